//! `udp_sendmsg`: from the application's bytes to `ip_send_skb` (Linux 6.12).

use super::HEADER_BYTES;
use crate::errno::Errno;
use crate::ip::{Flow, SendError};
use crate::mib::Counter;
use crate::netdev::features::Features;
use crate::route::{FlowKey, OifId, RouteKind, RouteResult};
use crate::skb::{Dst, IpSummed, Skb};
use crate::socket::{Fd, PmtuDisc, Socket, SocketTable};
use crate::stack::Stack;
use crate::time::Instant;
use crate::trace::{PacketId, Step};
use crate::wire::checksum::{Checksum, pseudo_header};
use crate::wire::ipv4::IPPROTO_UDP;
use core::net::{Ipv4Addr, SocketAddrV4};

/// The largest datagram, headers aside: what the IP length field leaves.
const PAYLOAD_MAX: usize = 0xffff;
/// Where the checksum stands in the header.
const CHECKSUM_OFFSET: u16 = 6;

/// The flags of send(2) that the stack knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendFlags {
    /// MSG_CONFIRM: the neighbour answered, as the application knows.
    pub confirm: bool,
    /// MSG_DONTROUTE: only to hosts on the link.
    pub dontroute: bool,
    /// MSG_DONTWAIT, or a nonblocking descriptor: EAGAIN goes to the application, and counts as a send that failed.
    pub dontwait: bool,
    /// MSG_MORE: the datagram goes when a call without it puts the last bytes to it.
    pub more: bool,
}

impl Socket {
    /// What routing is asked for a packet of this socket.
    #[inline]
    pub(crate) fn flow_key(&self, daddr: Ipv4Addr, dport: u16) -> FlowKey {
        FlowKey {
            dst: daddr,
            src: (!self.saddr.is_unspecified() && !self.bound_to_many).then_some(self.saddr),
            tos: self.options.tos & 0x1c,
            mark: self.options.mark,
            oif: (self.options.bound_dev != 0).then_some(OifId(self.options.bound_dev)),
            protocol: IPPROTO_UDP,
            sport: self.sport,
            dport,
            dont_route: self.options.dontroute,
        }
    }
}

impl Stack {
    /// `sendto` on a datagram socket, or `send` on a connected one when `to` is `None`. Never blocks.
    ///
    /// # Errors
    /// EAGAIN when the send buffer is full: try again when the socket is woken; EDESTADDRREQ without a peer; EMSGSIZE;
    /// EPERM from netfilter; what routing says; an error that was pending; ENOBUFS.
    #[inline(never)]
    pub fn sendto(
        &mut self,
        now: Instant,
        cpu: u8,
        fd: Fd,
        payload: &[u8],
        to: Option<SocketAddrV4>,
        flags: SendFlags,
    ) -> Result<usize, Errno> {
        self.enter_process(now, cpu);
        let result = if self.trace.is_on() {
            self.udp_sendmsg_traced(fd, payload, to, flags)
        } else {
            self.udp_sendmsg::<false>(fd, payload, to, flags)
        };
        self.leave_process();
        result
    }

    /// The way out while the journal is on; the packet's journey says where it is sent, and how the call failed.
    #[inline(never)]
    fn udp_sendmsg_traced(
        &mut self,
        fd: Fd,
        payload: &[u8],
        to: Option<SocketAddrV4>,
        flags: SendFlags,
    ) -> Result<usize, Errno> {
        let result = self.udp_sendmsg::<true>(fd, payload, to, flags);
        let packet = core::mem::take(&mut self.trace.making);
        if let Err(errno) = result {
            self.trace.step(packet, Step::Refused(errno));
        }
        result
    }

    /// Says in the journal which packet the call makes, and where that is sent.
    pub(super) fn trace_flow(&mut self, packet: PacketId, fd: Fd, to: Option<SocketAddrV4>) {
        self.trace.making = packet;
        let Ok(socket) = self.sockets.get(fd) else { return };
        let Some(to) = to.or(socket.peer) else { return };
        let (daddr, dport, sport) = (*to.ip(), to.port(), socket.sport);
        self.trace.step(packet, Step::Flow { daddr, dport, sport, protocol: IPPROTO_UDP });
    }

    #[inline(always)]
    fn udp_sendmsg<const TRACED: bool>(
        &mut self,
        fd: Fd,
        payload: &[u8],
        to: Option<SocketAddrV4>,
        flags: SendFlags,
    ) -> Result<usize, Errno> {
        // One that waits for more is named when it goes.
        let whole = TRACED && !self.udp_waits_for_more(fd, flags.more);
        let packet = if whole { self.trace.made(payload, payload.len()) } else { 0 };
        if whole {
            self.trace_flow(packet, fd, to);
        }
        if TRACED {
            self.trace.function(packet, "udp_sendmsg");
        }
        if payload.len() > PAYLOAD_MAX {
            return Err(Errno::EMSGSIZE);
        }
        if flags == SendFlags::default()
            && let Some(skb) = self.make_cached(fd, payload, to, packet)?
        {
            return self.udp_send_skb::<TRACED>(fd, skb).map(|()| payload.len());
        }
        self.udp_sendmsg_slow(fd, payload, to, flags, packet)
    }

    /// The long way: looks everything up, and remembers what it found.
    #[inline(never)]
    fn udp_sendmsg_slow(
        &mut self,
        fd: Fd,
        payload: &[u8],
        to: Option<SocketAddrV4>,
        flags: SendFlags,
        packet: PacketId,
    ) -> Result<usize, Errno> {
        if self.is_tcp(fd) {
            return self.tcp_call(fd, |stack, tp| stack.tcp_sendmsg_locked(tp, payload, Default::default()));
        }
        if self.sockets.get(fd)?.pending.is_some() {
            return self.udp_append_data(fd, payload, flags.more);
        }
        let socket = self.sockets.get(fd)?;
        let (daddr, dport, connected) = match (to, socket.peer) {
            (Some(to), _) if to.port() == 0 => return Err(Errno::EINVAL),
            (Some(to), _) if to.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, to.port(), false),
            (Some(to), _) => (*to.ip(), to.port(), false),
            (None, Some(peer)) => (*peer.ip(), peer.port(), true),
            (None, None) => return Err(Errno::EDESTADDRREQ),
        };
        if socket.sport == 0 {
            self.autobind(fd)?;
        }
        let route = self.udp_route(fd, daddr, dport, connected, flags)?;
        if let Err(errno) = self.sock_alloc_send_check(fd) {
            if errno != Errno::EAGAIN || flags.dontwait {
                // The call ends with it: `__ip_append_data` counts what it did not make, and `udp_sendmsg` that there was no
                // room, now or earlier (SOCK_NOSPACE stays set on a datagram socket).
                self.mib.inc(Counter::IpOutDiscards);
                if self.sockets.get(fd)?.nospace {
                    self.mib.inc(Counter::UdpSndbufErrors);
                }
            }
            return Err(errno);
        }
        let mut flow = self.udp_flow(fd, daddr, &route)?;
        let way = (dport, route.mtu_locked);
        self.trace.function(packet, "__ip_append_data");
        if self.udp_waits_for_more(fd, flags.more) {
            return self.udp_cork(fd, flow, way, payload);
        }
        self.udp_fits(fd, &flow, dport, payload.len())?;
        let skb = self.udp_make_datagram(fd, &mut flow, way, payload, packet)?;
        let total = HEADER_BYTES + payload.len() + crate::wire::ipv4::HEADER_BYTES;
        if flags == SendFlags::default() && total <= flow.dst.mtu as usize {
            self.remember_flow(fd, to, dport, &flow);
        }
        self.udp_send_skb::<true>(fd, skb).map(|()| payload.len())
    }

    /// `ip_make_skb` and `udp_send_skb`'s checks: the packet of a datagram whose way is known, headers and all.
    ///
    /// # Errors
    /// Those of UDP_SEGMENT; ENOBUFS.
    pub(super) fn udp_make_datagram(
        &mut self,
        fd: Fd,
        flow: &mut Flow,
        (dport, mtu_locked): (u16, bool),
        payload: &[u8],
        packet: PacketId,
    ) -> Result<Skb, Errno> {
        let total = HEADER_BYTES + payload.len() + crate::wire::ipv4::HEADER_BYTES;
        let gso_size = self.udp_gso_size(fd, payload.len(), flow.dst.mtu as usize)?;
        let socket = self.sockets.get_mut(fd)?;
        let pmtudisc = socket.options.pmtudisc;
        flow.df = matches!(pmtudisc, PmtuDisc::Do | PmtuDisc::Probe)
            || (pmtudisc == PmtuDisc::Want && total <= flow.dst.mtu as usize && !mtu_locked);
        flow.ignore_df = pmtudisc < PmtuDisc::Do;
        let (sport, no_check) = (socket.sport, socket.options.no_check);
        if socket.peer.is_some() {
            flow.id = socket.inet_id;
            socket.inet_id = socket.inet_id.wrapping_add(1);
        } else if !flow.df || flow.ignore_df {
            let between = (flow.daddr, flow.saddr, IPPROTO_UDP);
            flow.id = self.ident.next(self.jiffies, &mut self.entropy, between);
        }
        let skb = self.udp_make_skb(flow, (sport, dport), payload, gso_size)?;
        self.skbs[&skb].packet = packet;
        if !no_check {
            self.udp_set_checksum(&skb, flow);
        }
        Ok(skb)
    }

    /// The way out: the one that a connected socket remembers, or a new look-up.
    #[inline]
    fn udp_route(
        &mut self,
        fd: Fd,
        daddr: Ipv4Addr,
        dport: u16,
        connected: bool,
        flags: SendFlags,
    ) -> Result<RouteResult, Errno> {
        let generation = self.route_generation();
        let socket = self.sockets.get(fd)?;
        let route = match socket.cached_route {
            Some((at, route)) if connected && at == generation && !flags.dontroute => route,
            _ => {
                let key = socket.flow_key(daddr, dport);
                let key = FlowKey { dont_route: flags.dontroute || key.dont_route, ..key };
                let broadcast = socket.options.broadcast;
                let route = self.route_output(&key)?;
                if route.kind == RouteKind::Broadcast && !broadcast {
                    return Err(Errno::EACCES);
                }
                if connected && !flags.dontroute {
                    self.sockets.get_mut(fd)?.cached_route = Some((generation, route));
                }
                route
            }
        };
        if flags.confirm {
            self.neigh_confirm(route.oif, route.nexthop());
        }
        Ok(route)
    }

    /// `sock_alloc_send_pskb`'s questions: is an error pending, may it still send, is there room?
    #[inline]
    fn sock_alloc_send_check(&mut self, fd: Fd) -> Result<(), Errno> {
        let socket = self.sockets.get_mut(fd)?;
        if let Some(errno) = socket.err.take() {
            return Err(errno);
        }
        if socket.shutdown_write {
            return Err(Errno::EPIPE);
        }
        let charge = &mut self.skbs.charges[SocketTable::slot(fd) as usize];
        if charge.wmem >= socket.sndbuf() {
            (charge.nospace, socket.nospace) = (true, true);
            return Err(Errno::EAGAIN);
        }
        Ok(())
    }

    #[inline]
    fn udp_flow(&self, fd: Fd, daddr: Ipv4Addr, route: &RouteResult) -> Result<Flow, Errno> {
        let socket = self.sockets.get(fd)?;
        let options = &socket.options;
        let multicast = route.kind == RouteKind::Multicast;
        let ttl =
            if multicast { options.multicast_ttl } else { options.ttl.unwrap_or(self.sysctl.ip_default_ttl) };
        let mtu = match options.pmtudisc {
            PmtuDisc::Probe | PmtuDisc::Interface | PmtuDisc::Omit if route.oif != OifId::LO => {
                self.fib.link(route.oif).map_or(self.dev.mtu, |link| link.mtu)
            }
            _ => route.mtu,
        };
        Ok(Flow {
            saddr: if socket.saddr.is_unspecified() || socket.bound_to_many {
                route.src
            } else {
                socket.saddr
            },
            daddr,
            protocol: IPPROTO_UDP,
            tos: options.tos,
            ttl,
            df: false,
            ignore_df: false,
            id: 0,
            mark: options.mark,
            priority: options.priority,
            dst: Dst { nexthop: route.nexthop(), mtu, kind: route.kind, oif: route.oif },
            sk: SocketTable::slot(fd),
        })
    }

    #[inline]
    fn udp_make_skb(
        &mut self,
        flow: &Flow,
        (sport, dport): (u16, u16),
        payload: &[u8],
        gso_size: u16,
    ) -> Result<Skb, Errno> {
        let length = ((HEADER_BYTES + payload.len()) as u16).to_be_bytes();
        let (s, d) = (sport.to_be_bytes(), dport.to_be_bytes());
        let header = [s[0], s[1], d[0], d[1], length[0], length[1], 0, 0];
        let built = if gso_size == 0 {
            self.ip_append_data(flow, &header, payload).inspect(|skb| self.push_ip_header(skb, flow))
        } else {
            self.udp_make_large(flow, &header, payload, gso_size)
        };
        built.inspect_err(|_| {
            self.mib.inc(Counter::UdpSndbufErrors);
            self.mib.inc(Counter::IpOutDiscards);
        })
    }

    /// `udp_send_skb`: sends, and counts.
    #[inline(always)]
    pub(super) fn udp_send_skb<const TRACED: bool>(&mut self, fd: Fd, skb: Skb) -> Result<(), Errno> {
        if let Err(error) = self.ip_local_out::<TRACED>(skb) {
            return self.udp_send_failed(fd, error);
        }
        self.mib.inc(Counter::UdpOutDatagrams);
        Ok(())
    }

    /// What the application learns of a datagram that did not leave. `ip_send_skb` counts it as a packet discarded.
    #[cold]
    fn udp_send_failed(&mut self, fd: Fd, error: SendError) -> Result<(), Errno> {
        self.mib.inc(Counter::IpOutDiscards);
        match error {
            SendError::Congested => {
                // Counted in either case: here, or in `udp_sendmsg` where the error comes out.
                self.mib.inc(Counter::UdpSndbufErrors);
                let told = self.sockets.get(fd).is_ok_and(|socket| socket.options.recverr);
                if told { Err(Errno::ENOBUFS) } else { Ok(()) }
            }
            SendError::Errno(errno) => Err(errno),
        }
    }

    /// Leaves the checksum to the device when the datagram goes in one piece and the device can; else adds it up.
    #[inline]
    fn udp_set_checksum(&mut self, skb: &Skb, flow: &Flow) {
        let ip_bytes = crate::wire::ipv4::HEADER_BYTES;
        let length = self.skbs[skb].len() - ip_bytes;
        let pseudo = pseudo_header(flow.saddr, flow.daddr, IPPROTO_UDP, length as u16);
        let whole = !self.skbs.has_frag_list(skb) && length + ip_bytes <= flow.dst.mtu as usize;
        let at = self.skbs[skb].transport_header;
        let large = self.skbs[skb].gso_size != 0;
        let field = if large || (whole && self.dev.has(Features::HW_CSUM)) {
            let meta = &mut self.skbs[skb];
            meta.ip_summed = IpSummed::Partial;
            meta.csum_start = at;
            meta.csum_offset = CHECKSUM_OFFSET;
            pseudo
        } else {
            let mut sum = Checksum::starting_with(pseudo);
            self.skbs.for_each_run(skb, ip_bytes, &mut |run| sum.add(run));
            sum.finish_udp()
        };
        self.skbs.header_mut(skb, at)[6..8].copy_from_slice(&field.to_be_bytes());
    }
}
