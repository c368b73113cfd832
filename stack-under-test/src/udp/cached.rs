//! What all datagrams of a socket to one destination have in common, remembered from one to the next.
//!
//! The tables are asked once (as with the `dst` that a connected socket of Linux holds, but here for unconnected ones too);
//! then a datagram that goes in one piece costs a look whether nothing changed, and the fields that differ. Whatever is out
//! of the ordinary takes the long way of [`super::output`], which does the same to the packet.

use crate::errno::Errno;
use crate::ip::Flow;
use crate::ip::append::finish_ip_header;
use crate::netdev::features::Features;
use crate::route::{OifId, RouteKind};
use crate::skb::datagram::{DATAGRAM_ROOM, HEADERS, LINK_RESERVE, Origin};
use crate::skb::pool::truesize;
use crate::skb::{Dst, Skb};
use crate::socket::{Fd, SocketTable};
use crate::stack::Stack;
use crate::time::Instant;
use crate::trace::PacketId;
use crate::wire::checksum::{fold_small, pseudo_header};
use crate::wire::ipv4::{HEADER_BYTES as IP_BYTES, IPPROTO_UDP};
use core::net::{Ipv4Addr, SocketAddrV4};

/// Where the identification of a packet comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IdSource {
    /// A connected socket counts its own.
    Socket,
    /// The counter of the flow: see [`crate::ip::ident`].
    Bucket(u8),
    /// It is 0: the packet cannot be fragmented.
    Zero,
}

/// The destination that a socket sent to last, and what its packets have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CachedFlow {
    /// What the caller asked for: the address given to sendto, or none.
    to: u64,
    /// [`Stack::flow_generation`] when it was made.
    generation: u64,
    ids: IdSource,
    /// The most bytes that go in one piece and into one buffer.
    room: usize,
    dst: Dst,
    mark: u32,
    priority: u32,
    ignore_df: bool,
    /// IP and UDP header, but for lengths, identification and checksums.
    headers: [u8; HEADERS],
    /// The sum of the IP header's words, and of the pseudo-header but for the length.
    ip_sum: u32,
    pseudo_sum: u32,
}

/// No address is packed into this.
const NOWHERE: u64 = u64::MAX;

impl CachedFlow {
    /// Nothing is remembered.
    pub(crate) const NONE: Self = Self {
        to: NOWHERE,
        generation: 0,
        ids: IdSource::Zero,
        room: 0,
        dst: Dst { nexthop: Ipv4Addr::UNSPECIFIED, mtu: 0, kind: RouteKind::Unicast, oif: OifId::LO },
        mark: 0,
        priority: 0,
        ignore_df: false,
        headers: [0; HEADERS],
        ip_sum: 0,
        pseudo_sum: 0,
    };
}

/// An address given to sendto, or none, as one number.
#[inline(always)]
fn packed(to: Option<SocketAddrV4>) -> u64 {
    match to {
        Some(to) => 1 << 48 | u64::from(to.port()) << 32 | u64::from(u32::from_ne_bytes(to.ip().octets())),
        None => 0,
    }
}

impl Stack {
    /// Changes with everything but the socket that a remembered flow depends on: each part only grows.
    #[inline(always)]
    pub(crate) fn flow_generation(&self) -> u64 {
        u64::from(self.fib.generation()) + self.path_mtus.generation() + self.commands
    }

    /// Remembers a flow that a datagram was just sent with. One that checks its path's MTU, or adds up checksums itself, is
    /// not remembered, nor is one whose socket sends large packets.
    pub(super) fn remember_flow(&mut self, fd: Fd, to: Option<SocketAddrV4>, dport: u16, flow: &Flow) {
        let generation = self.flow_generation();
        let bucket = self.ident.bucket((flow.daddr, flow.saddr, IPPROTO_UDP));
        let Ok(socket) = self.sockets.get_mut(fd) else { return };
        if socket.options.no_check
            || socket.options.gso_size != 0
            || socket.shutdown_write
            || !self.dev.has(Features::HW_CSUM)
            || !self.path_mtus.is_empty()
        {
            return;
        }
        let (ip, ip_sum) = flow.ip_header();
        let mut headers = [0; HEADERS];
        headers[..IP_BYTES].copy_from_slice(&ip);
        headers[IP_BYTES..IP_BYTES + 2].copy_from_slice(&socket.sport.to_be_bytes());
        headers[IP_BYTES + 2..IP_BYTES + 4].copy_from_slice(&dport.to_be_bytes());
        let ids = if socket.peer.is_some() {
            IdSource::Socket
        } else if !flow.df || flow.ignore_df {
            IdSource::Bucket(bucket)
        } else {
            IdSource::Zero
        };
        socket.cached_flow = CachedFlow {
            to: packed(to),
            room: (flow.dst.mtu as usize).min(DATAGRAM_ROOM),
            generation,
            ids,
            dst: flow.dst,
            mark: flow.mark,
            priority: flow.priority,
            ignore_df: flow.ignore_df,
            headers,
            ip_sum,
            pseudo_sum: u32::from(pseudo_header(flow.saddr, flow.daddr, IPPROTO_UDP, 0)),
        };
    }

    /// The packet of a datagram to the remembered destination, headers and all: `ip_make_skb`. `None` when the long way must
    /// be taken, and nothing happened then.
    ///
    /// # Errors
    /// EAGAIN when the send buffer is full.
    #[inline(always)]
    pub(super) fn make_cached(
        &mut self,
        fd: Fd,
        payload: &[u8],
        to: Option<SocketAddrV4>,
        packet: PacketId,
    ) -> Result<Option<Skb>, Errno> {
        let generation = self.flow_generation();
        let slot = SocketTable::slot(fd);
        let Ok(socket) = self.sockets.get_mut(fd) else { return Ok(None) };
        let flow = &socket.cached_flow;
        let total = HEADERS + payload.len();
        let same = flow.to == packed(to) && flow.generation == generation;
        if !same || socket.err.is_some() || total > flow.room {
            return Ok(None);
        }
        let charge = &mut self.skbs.charges[slot as usize];
        if charge.wmem >= socket.options.sndbuf {
            (charge.nospace, socket.nospace) = (true, true);
            return Err(Errno::EAGAIN);
        }
        let (mark, priority, ignore_df) = (flow.mark, flow.priority, flow.ignore_df);
        let truesize = truesize(total as u32 + LINK_RESERVE);
        charge.wmem += truesize;
        let tstamp = Instant::ZERO;
        let origin =
            Origin { dst: Some(flow.dst), mark, priority, ignore_df, sk: slot, truesize, tstamp, packet };
        let Some((skb, headers)) = self.skbs.alloc_datagram(&flow.headers, payload, &origin) else {
            self.skbs.charges[slot as usize].wmem -= truesize;
            return Ok(None);
        };
        let id = if let IdSource::Bucket(bucket) = flow.ids {
            self.ident.next_in(self.jiffies, &mut self.entropy, bucket)
        } else {
            let counts = matches!(flow.ids, IdSource::Socket);
            let id = if counts { socket.inet_id } else { 0 };
            socket.inet_id = socket.inet_id.wrapping_add(u16::from(counts));
            id
        };
        finish_ip_header(headers, flow.ip_sum, total as u16, id);
        let length = (total - IP_BYTES) as u16;
        let pseudo = fold_small(flow.pseudo_sum + u32::from(length));
        headers[IP_BYTES + 4..IP_BYTES + 6].copy_from_slice(&length.to_be_bytes());
        headers[IP_BYTES + 6..].copy_from_slice(&pseudo.to_be_bytes());
        Ok(Some(skb))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{Bus, Direction};
    use crate::dma::DmaMemory;
    use crate::socket::SocketOption;
    use crate::stack::Config;
    use crate::time::Instant;
    use alloc::boxed::Box;
    use rstest::rstest;

    /// A machine without a device: what is sent here stays on `lo`.
    struct NoDevice;

    impl Bus for NoDevice {
        fn read32(&mut self, _: u32) -> u32 {
            u32::MAX
        }
        fn write32(&mut self, _: u32, _: u32) {}
        fn dma_map(&mut self, _: u64, _: u32, _: Direction) {}
        fn dma_unmap(&mut self, _: u64, _: u32) {}
    }

    const TO: Option<SocketAddrV4> = Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));

    fn command(stack: &mut Stack, words: &str) {
        let words: alloc::vec::Vec<&str> = words.split(' ').collect();
        let command = crate::control::parse(&words).expect("a command");
        stack.control(Instant::ZERO, &command).expect("a command that is done");
    }

    fn option(stack: &mut Stack, fd: Fd, option: SocketOption, value: i32) {
        stack.setsockopt(fd, option, value).expect("an option that can be set");
    }

    /// Whether the next datagram would take the short way.
    fn is_remembered(stack: &mut Stack, fd: Fd, to: Option<SocketAddrV4>, bytes: usize) -> bool {
        let made = stack.make_cached(fd, &alloc::vec![0; bytes], to, 0).expect("room to send");
        made.map(|skb| stack.skbs.consume(&mut stack.trace, skb)).is_some()
    }

    fn sent_once() -> (Stack, Fd) {
        let config = Config::default();
        let memory = DmaMemory::zeroed(config.pool.bytes(), 0x1000_0000);
        let mut stack = Stack::new(&config, memory, Box::new(NoDevice));
        let fd = stack.socket_udp().expect("a socket");
        assert!(!is_remembered(&mut stack, fd, TO, 10));
        stack.sendto(Instant::ZERO, 0, fd, b"one", TO, Default::default()).expect("lo takes it");
        (stack, fd)
    }

    #[test]
    fn the_second_datagram_takes_the_short_way() {
        let (mut stack, fd) = sent_once();
        assert!(is_remembered(&mut stack, fd, TO, 10));
        let other = Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 10));
        assert!(!is_remembered(&mut stack, fd, other, 10));
        assert!(!is_remembered(&mut stack, fd, None, 10));
        assert!(!is_remembered(&mut stack, fd, TO, DATAGRAM_ROOM - HEADERS + 1));
    }

    #[rstest]
    #[case::the_time_to_live(|stack: &mut Stack, fd: Fd| option(stack, fd, SocketOption::IpTtl, 3))]
    #[case::the_type_of_service(|stack: &mut Stack, fd: Fd| option(stack, fd, SocketOption::IpTos, 0x10))]
    #[case::the_mark(|stack: &mut Stack, fd: Fd| option(stack, fd, SocketOption::SoMark, 7))]
    #[case::the_priority(|stack: &mut Stack, fd: Fd| option(stack, fd, SocketOption::SoPriority, 6))]
    #[case::whether_to_fragment(|stack: &mut Stack, fd: Fd| option(stack, fd, SocketOption::IpMtuDiscover, 2))]
    #[case::the_checksum(|stack: &mut Stack, fd: Fd| option(stack, fd, SocketOption::SoNoCheck, 1))]
    #[case::the_segment_size(|stack: &mut Stack, fd: Fd| option(stack, fd, SocketOption::UdpSegment, 5))]
    #[case::the_device(|stack: &mut Stack, fd: Fd| stack.bind_to_device(fd, "lo").expect("lo is there"))]
    #[case::a_peer(|stack: &mut Stack, fd: Fd| stack.connect(Instant::ZERO, fd, TO.expect("an address")).expect("a way"))]
    #[case::no_more_writing(|stack: &mut Stack, fd: Fd| assert!(stack.shutdown(fd, false, true).is_err()))]
    #[case::the_default_time_to_live(|stack: &mut Stack, _: Fd| command(stack, "sysctl -w net.ipv4.ip_default_ttl=3"))]
    #[case::a_route(|stack: &mut Stack, _: Fd| command(stack, "ip route add unreachable 10.0.0.0/8"))]
    #[case::a_rule(|stack: &mut Stack, _: Fd| command(stack, "ip rule add fwmark 1 lookup 100"))]
    #[case::the_offload(|stack: &mut Stack, _: Fd| command(stack, "ethtool -K eth0 tx off"))]
    fn a_change_makes_it_be_looked_up_anew(#[case] change: fn(&mut Stack, Fd)) {
        let (mut stack, fd) = sent_once();
        change(&mut stack, fd);
        assert!(!is_remembered(&mut stack, fd, TO, 10));
    }
}
