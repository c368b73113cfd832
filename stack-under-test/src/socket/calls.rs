//! The system calls that do not move data: socket, bind, connect, getsockname, shutdown, poll, close.

use super::epoll::Wake;
use super::{Fd, Options, Socket, SocketTable};
use crate::drop_reason::DropReason;
use crate::errno::Errno;
use crate::route::FlowKey;
use crate::stack::Stack;
use crate::time::Instant;
use crate::udp::cached::CachedFlow;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

/// What `poll` reports of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// POLLIN: a datagram is there.
    pub readable: bool,
    /// POLLOUT: less than half of the send buffer is on its way out.
    pub writable: bool,
    /// POLLERR: an error is pending, or the error queue is not empty.
    pub error: bool,
    /// POLLHUP: shut down both ways.
    pub hangup: bool,
    /// POLLRDHUP: shut down for reading.
    pub read_hangup: bool,
    /// POLLPRI: an urgent byte is there.
    pub urgent: bool,
}

impl Stack {
    /// `socket(AF_INET, SOCK_DGRAM, 0)`.
    ///
    /// # Errors
    /// ENOMEM when there are too many.
    pub fn socket_udp(&mut self) -> Result<Fd, Errno> {
        let options = Options::new(&self.sysctl);
        let socket = Socket::new(options, self.first_inet_id());
        let fd = self.sockets.insert(socket).ok_or(Errno::ENOMEM)?;
        self.cover_slots(SocketTable::slot(fd));
        Ok(fd)
    }

    /// Every slot has its account; a new socket knows nothing of the queues of the one before it.
    fn cover_slots(&mut self, new: u32) {
        let slots = self.sockets.slots();
        if self.skbs.charges.len() < slots {
            self.skbs.charges.resize(slots, Default::default());
        }
        let charge = &mut self.skbs.charges[new as usize];
        (charge.tx_queue, charge.rx_queue) = (None, None);
    }

    /// A slot for a TCP socket.
    #[inline(always)]
    pub(crate) fn reserve_slot(&mut self) -> Option<u32> {
        let slot = self.sockets.reserve()?;
        self.cover_slots(slot);
        Some(slot)
    }

    /// The first identification of a socket.
    pub(crate) fn first_inet_id(&mut self) -> u16 {
        self.entropy.next_u64() as u16
    }

    /// `bind`. Port 0 chooses one.
    ///
    /// # Errors
    /// EINVAL when it is bound already; EADDRNOTAVAIL for an address that is not ours; EADDRINUSE.
    pub fn bind(&mut self, fd: Fd, to: SocketAddrV4) -> Result<(), Errno> {
        if !self.is_bindable(*to.ip()) && !self.sockets.get(fd)?.options.freebind {
            return Err(Errno::EADDRNOTAVAIL);
        }
        if self.is_tcp(fd) {
            return self.tcp_call(fd, |stack, tp| stack.tcp_bind(tp, to));
        }
        let of_many = self.is_of_many(*to.ip());
        let socket = self.sockets.get_mut(fd)?;
        if socket.sport != 0 || socket.peer.is_some() {
            return Err(Errno::EINVAL);
        }
        socket.cached_flow = CachedFlow::NONE;
        (socket.saddr, socket.bound_to_many) = (*to.ip(), of_many);
        let slot = SocketTable::slot(fd);
        let bound = if to.port() == 0 && socket.options.bind_address_no_port {
            true
        } else if to.port() == 0 {
            self.sockets.bind_any_port(slot, self.sysctl.ip_local_port_range, &mut self.entropy)
        } else {
            self.sockets.bind_port(slot, to.port())
        };
        let socket = self.sockets.get_mut(fd)?;
        if !bound {
            socket.saddr = Ipv4Addr::UNSPECIFIED;
            return Err(Errno::EADDRINUSE);
        }
        socket.addr_locked = !to.ip().is_unspecified();
        socket.port_locked = to.port() != 0;
        Ok(())
    }

    fn is_bindable(&self, addr: Ipv4Addr) -> bool {
        addr.is_unspecified() || self.fib.is_own(addr) || self.is_of_many(addr)
    }

    /// Binds a socket that has no port yet to one (`inet_autobind`).
    #[inline]
    pub(crate) fn autobind(&mut self, fd: Fd) -> Result<(), Errno> {
        if self.sockets.get(fd)?.sport != 0 {
            return Ok(());
        }
        let range = self.sysctl.ip_local_port_range;
        if self.sockets.bind_any_port(SocketTable::slot(fd), range, &mut self.entropy) {
            Ok(())
        } else {
            Err(Errno::EAGAIN)
        }
    }

    /// `connect` of a datagram socket (`__ip4_datagram_connect`): remembers the peer and the way to it, sends nothing.
    ///
    /// # Errors
    /// What routing says; EACCES for a broadcast address without SO_BROADCAST; EAGAIN when no port is left.
    pub fn connect(&mut self, now: Instant, fd: Fd, to: SocketAddrV4) -> Result<(), Errno> {
        self.advance_clock(now);
        if self.is_tcp(fd) {
            return self.tcp_connect(now, 0, fd, to);
        }
        self.autobind(fd)?;
        let charge = &mut self.skbs.charges[SocketTable::slot(fd) as usize];
        (charge.tx_queue, charge.rx_queue) = (None, None);
        let daddr = if to.ip().is_unspecified() { Ipv4Addr::LOCALHOST } else { *to.ip() };
        let socket = self.sockets.get_mut(fd)?;
        socket.peer = None;
        socket.cached_route = None;
        socket.cached_flow = CachedFlow::NONE;
        let key = socket.flow_key(daddr, to.port());
        let mut route = self.route_output(&key)?;
        if key.src.is_none() {
            // `ip_route_connect`: with the source that was chosen, another rule may match.
            route = self.route_output(&FlowKey { src: Some(route.src), ..key })?;
        }
        let generation = self.route_generation();
        let socket = self.sockets.get_mut(fd)?;
        if route.kind == crate::route::RouteKind::Broadcast && !socket.options.broadcast {
            return Err(Errno::EACCES);
        }
        if socket.saddr.is_unspecified() {
            socket.saddr = route.src;
        }
        socket.peer = Some(SocketAddrV4::new(daddr, to.port()));
        socket.inet_id = self.entropy.next_u64() as u16;
        socket.cached_route = Some((generation, route));
        Ok(())
    }

    /// `connect` with AF_UNSPEC: no peer any more.
    ///
    /// # Errors
    /// EBADF.
    pub fn disconnect(&mut self, fd: Fd) -> Result<(), Errno> {
        if self.is_tcp(fd) {
            let now = self.now;
            self.enter_process(now, self.process_cpu);
            let result = self.tcp_call(fd, |stack, tp| {
                stack.tcp_disconnect(tp);
                stack.tcp_wake(tp, Wake::ErrorReport);
                Ok(())
            });
            self.leave_process();
            return result;
        }
        let socket = self.sockets.get_mut(fd)?;
        socket.peer = None;
        socket.cached_route = None;
        socket.cached_flow = CachedFlow::NONE;
        if !socket.addr_locked {
            socket.saddr = Ipv4Addr::UNSPECIFIED;
        }
        if !socket.port_locked {
            let port = core::mem::take(&mut socket.sport);
            self.sockets.unbind(SocketTable::slot(fd), port);
        }
        Ok(())
    }

    /// `getsockname`.
    ///
    /// # Errors
    /// EBADF.
    pub fn getsockname(&self, fd: Fd) -> Result<SocketAddrV4, Errno> {
        let socket = self.sockets.get(fd)?;
        if let Some(tp) = self.tcp.sock(SocketTable::slot(fd)) {
            let bound = if tp.rcv_saddr.is_unspecified() { tp.saddr } else { tp.rcv_saddr };
            return Ok(SocketAddrV4::new(bound, tp.sport));
        }
        Ok(SocketAddrV4::new(socket.saddr, socket.sport))
    }

    /// `getpeername`.
    ///
    /// # Errors
    /// EBADF; ENOTCONN.
    pub fn getpeername(&self, fd: Fd) -> Result<SocketAddrV4, Errno> {
        let socket = self.sockets.get(fd)?;
        if let Some(tp) = self.tcp.sock(SocketTable::slot(fd)) {
            let closed = matches!(tp.state, crate::tcp::TcpState::Close | crate::tcp::TcpState::SynSent);
            let peer = (tp.dport != 0 && !closed).then(|| SocketAddrV4::new(tp.daddr, tp.dport));
            return peer.ok_or(Errno::ENOTCONN);
        }
        socket.peer.ok_or(Errno::ENOTCONN)
    }

    /// `shutdown`: no more reading, no more writing, or neither.
    ///
    /// # Errors
    /// EBADF; ENOTCONN without a peer (the flags are set all the same, as on Linux).
    pub fn shutdown(&mut self, fd: Fd, read: bool, write: bool) -> Result<(), Errno> {
        if self.is_tcp(fd) {
            return self.tcp_shutdown(self.now, 0, fd, read, write);
        }
        let socket = self.sockets.get_mut(fd)?;
        socket.shutdown_read |= read;
        socket.shutdown_write |= write;
        socket.cached_flow = CachedFlow::NONE;
        let connected = socket.peer.is_some();
        self.sockets.wake(SocketTable::slot(fd), Wake::StateChange);
        if connected { Ok(()) } else { Err(Errno::ENOTCONN) }
    }

    /// What `poll` would report now. Asking for it makes the socket wake its waiters when that changes.
    ///
    /// # Errors
    /// EBADF.
    pub fn readiness(&mut self, fd: Fd) -> Result<Readiness, Errno> {
        if self.is_tcp(fd) {
            return self.tcp_call(fd, |stack, tp| Ok(tp.readiness(stack.sysctl.tcp.notsent_lowat)));
        }
        let socket = self.sockets.get(fd)?;
        let charge = &mut self.skbs.charges[SocketTable::slot(fd) as usize];
        charge.nospace = true;
        Ok(Readiness {
            urgent: false,
            readable: !socket.receive_queue.is_empty() || socket.shutdown_read,
            writable: socket.is_writeable(charge.wmem),
            error: socket.err.is_some() || !socket.error_queue.is_empty(),
            hangup: socket.shutdown_read && socket.shutdown_write,
            read_hangup: socket.shutdown_read,
        })
    }

    /// `close`. Packets on their way out still go.
    ///
    /// # Errors
    /// EBADF.
    pub fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        if self.is_tcp(fd) {
            return self.tcp_close(self.now, 0, fd);
        }
        if self.sockets.is_epoll(fd) {
            self.sockets.close_epoll(fd);
            return Ok(());
        }
        let slot = SocketTable::slot(fd);
        self.sockets.get(fd)?;
        let mut queue = core::mem::take(&mut self.sockets.get_mut(fd)?.receive_queue);
        self.skbs.purge(&mut self.trace, &mut queue, DropReason::SocketClose);
        let charge = &mut self.skbs.charges[slot as usize];
        let busy = charge.wmem > 0;
        charge.nospace = busy;
        self.sockets.remove(fd, busy)?;
        Ok(())
    }

    /// The descriptors whose waiters are to be woken since this was last asked: a datagram came, room was made, an error
    /// is pending. A blocked call is to be tried again then, and not before.
    pub fn take_woken(&mut self) -> Vec<Fd> {
        self.sockets.take_woken()
    }

    /// Packets were freed: wakes those who waited for room (`sock_def_write_space_wfree`), and frees slots of closed sockets.
    #[inline]
    pub(crate) fn wake_writers(&mut self) {
        while let Some(slot) = self.skbs.woken.pop() {
            let charge = self.skbs.charges[slot as usize];
            match self.sockets.at(slot) {
                Some(socket) if socket.is_writeable(charge.wmem) => {
                    // A set is told of every packet that is freed, also when there was room before.
                    self.skbs.charges[slot as usize].nospace = self.sockets.is_watched(slot);
                    self.sockets.wake(slot, Wake::WriteSpace);
                }
                Some(_) => {}
                None if charge.wmem == 0 => {
                    self.skbs.charges[slot as usize].nospace = false;
                    self.sockets.release_lingering(slot);
                }
                None => {}
            }
        }
    }
}
