//! Ports of TCP: binding, choosing one, and who is in whose way (`inet_csk_get_port`, `__inet_hash_connect`, 6.12).

use super::hash::{Owner, Tuple};
use super::sock::TcpSock;
use super::state::TcpState;
use crate::errno::Errno;
use crate::route::RouteKind;
use crate::stack::Stack;
use core::net::{Ipv4Addr, SocketAddrV4};

/// Who holds a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holder {
    Sock(u32),
    TimeWait(u32),
}

/// What of a holder matters to others.
struct Held {
    addr: Ipv4Addr,
    reuse: bool,
    reuseport: bool,
    listening: bool,
    bound_dev: u32,
    locked: bool,
}

fn overlap(a: Ipv4Addr, b: Ipv4Addr) -> bool {
    a.is_unspecified() || b.is_unspecified() || a == b
}

impl Stack {
    fn tcp_holders(&self, port: u16) -> impl Iterator<Item = Holder> + '_ {
        self.tcp.bound.holders(port)
    }

    fn tcp_held(&self, holder: Holder) -> Option<Held> {
        Some(match holder {
            Holder::Sock(slot) => {
                let tp = self.tcp.sock(slot)?;
                Held {
                    addr: tp.rcv_saddr,
                    reuse: tp.options.reuseaddr,
                    reuseport: tp.options.reuseport,
                    listening: tp.state == TcpState::Listen,
                    bound_dev: tp.options.bound_dev,
                    locked: tp.port_locked,
                }
            }
            Holder::TimeWait(id) => {
                let tw = self.tcp.timewaits.get(id)?;
                Held {
                    addr: tw.tuple.laddr,
                    reuse: tw.reuse,
                    reuseport: tw.reuseport,
                    listening: false,
                    bound_dev: tw.bound_dev,
                    locked: false,
                }
            }
        })
    }

    /// `inet_csk_bind_conflict`: whether somebody else has the port in a way that excludes this socket.
    pub(crate) fn tcp_bind_conflict(&self, tp: &TcpSock, port: u16, _listening: bool) -> bool {
        self.tcp_holders(port).filter(|holder| *holder != Holder::Sock(tp.slot)).any(|holder| {
            let Some(other) = self.tcp_held(holder) else { return false };
            let devices = (tp.options.bound_dev, other.bound_dev);
            let apart = devices.0 != 0 && devices.1 != 0 && devices.0 != devices.1;
            let reuse = tp.options.reuseaddr && other.reuse && !other.listening;
            let reuseport = tp.options.reuseport && other.reuseport;
            !apart && !reuse && !reuseport && overlap(tp.rcv_saddr, other.addr)
        })
    }

    /// `bind` of a TCP socket; the address was checked.
    pub(crate) fn tcp_bind(&mut self, tp: &mut TcpSock, to: SocketAddrV4) -> Result<(), Errno> {
        if tp.state != TcpState::Close || tp.bound != super::ports::Held::default() {
            return Err(Errno::EINVAL);
        }
        // What reaches many is no source: the way out gives it (`__inet_bind`).
        let source = if self.is_of_many(*to.ip()) { Ipv4Addr::UNSPECIFIED } else { *to.ip() };
        (tp.rcv_saddr, tp.saddr, tp.sport) = (*to.ip(), source, 0);
        let bound = if to.port() == 0 && tp.options.bind_address_no_port {
            true
        } else if to.port() == 0 {
            self.tcp_autobind(tp)
        } else {
            !self.tcp_bind_conflict(tp, to.port(), false) && {
                self.tcp_take_port(tp, to.port());
                true
            }
        };
        if !bound {
            (tp.rcv_saddr, tp.saddr) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
            return Err(Errno::EADDRINUSE);
        }
        tp.addr_locked = !to.ip().is_unspecified();
        tp.port_locked = to.port() != 0;
        tp.daddr = Ipv4Addr::UNSPECIFIED;
        tp.dport = 0;
        Ok(())
    }

    /// Whether an address is that of a group, or of all hosts of a net.
    pub(crate) fn is_of_many(&self, addr: Ipv4Addr) -> bool {
        addr.is_multicast() || addr.is_broadcast() || self.fib.addr_type(addr) == RouteKind::Broadcast
    }

    #[inline(always)]
    fn tcp_take_port(&mut self, tp: &mut TcpSock, port: u16) {
        tp.sport = port;
        tp.bound = self.tcp.bound.insert(port, Holder::Sock(tp.slot));
    }

    /// `inet_put_port`.
    pub(crate) fn tcp_put_port(&mut self, tp: &mut TcpSock) {
        self.tcp.bound.remove(core::mem::take(&mut tp.bound), Holder::Sock(tp.slot));
    }

    /// A port that nobody has, for a socket that does not care. `false` when all are taken.
    pub(crate) fn tcp_autobind(&mut self, tp: &mut TcpSock) -> bool {
        let (low, high) = self.sysctl.ip_local_port_range;
        let count = u32::from(high.saturating_sub(low)) + 1;
        let first = self.entropy.below(count);
        for i in 0..count {
            let port = low + ((first + i) % count) as u16;
            if self.tcp_holders(port).next().is_none() {
                self.tcp_take_port(tp, port);
                return true;
            }
        }
        false
    }

    /// `__inet_hash_connect`: a port with which the connection is the only one of its kind; one that others connected from
    /// to elsewhere will do, too. Gives what [`Self::tcp_check_established`] does.
    ///
    /// # Errors
    /// EADDRNOTAVAIL when there is none.
    pub(crate) fn tcp_port_to_connect(&mut self, tp: &mut TcpSock) -> Result<(u32, Option<u32>), Errno> {
        if tp.sport != 0 {
            return self.tcp_check_established(&tp.tuple()).ok_or(Errno::EADDRNOTAVAIL);
        }
        let (low, high) = self.sysctl.ip_local_port_range;
        let count = u32::from(high.saturating_sub(low)) + 1;
        let first = self.entropy.below(count);
        for i in 0..count {
            let port = low + ((first + i) % count) as u16;
            if let Some(free) = self.tcp_port_fits(tp, port) {
                self.tcp_take_port(tp, port);
                return Ok(free);
            }
        }
        Err(Errno::EADDRNOTAVAIL)
    }

    /// Whether a connection from this port can be made; nearly always that is the first that is tried.
    #[inline(never)]
    fn tcp_port_fits(&mut self, tp: &TcpSock, port: u16) -> Option<(u32, Option<u32>)> {
        let shared = self
            .tcp_holders(port)
            .filter_map(|holder| self.tcp_held(holder))
            .all(|held| !held.locked && !held.listening);
        if shared { self.tcp_check_established(&Tuple { lport: port, ..tp.tuple() }) } else { None }
    }

    /// `__inet_check_established`: whether a connection of this name can be made; gives its hash, and the record of TIME-WAIT
    /// that gives way, which it does when its timestamps show that a second has passed (`tcp_twsk_unique`; `tcp_tw_reuse` 1,
    /// or 2 for the loopback).
    #[inline(always)]
    fn tcp_check_established(&mut self, tuple: &Tuple) -> Option<(u32, Option<u32>)> {
        let hash = self.tcp.table.hash(tuple);
        match self.tcp.table.get_hashed(hash, tuple) {
            None => Some((hash, None)),
            Some(Owner::TimeWait(id)) => self.tcp_twsk_unique(id).then_some((hash, Some(id))),
            Some(_) => None,
        }
    }
}
