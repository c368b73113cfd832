//! `udp_rcv`: a datagram that came in, to the socket that wants it (Linux 6.12).

use super::HEADER_BYTES;
use crate::drop_reason::DropReason;
use crate::mib::Counter;
use crate::skb::{IpSummed, PacketType, Skb};
use crate::socket::port::Demux;
use crate::stack::Stack;
use crate::wire::checksum::{Checksum, pseudo_header};
use crate::wire::icmpv4::ICMP_PORT_UNREACH;
use crate::wire::ipv4::IPPROTO_UDP;
use core::net::Ipv4Addr;

impl Stack {
    /// Takes a datagram whose data begins at its UDP header.
    pub(crate) fn udp_rcv(&mut self, skb: Skb) {
        self.trace_skb::<true>(&skb, "udp_rcv");
        let (saddr, daddr) = self.ip_addresses(&skb);
        let Some(header) = self.skbs.linear(&skb).first_chunk::<HEADER_BYTES>().copied() else {
            return self.udp_bad(skb, DropReason::PktTooSmall);
        };
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let checksum = u16::from_be_bytes([header[6], header[7]]);
        if length < HEADER_BYTES || length > self.skbs[&skb].len() {
            return self.udp_bad(skb, DropReason::PktTooSmall);
        }
        self.skbs.trim(&skb, length);
        if checksum != 0
            && self.skbs[&skb].ip_summed == IpSummed::None
            && !self.udp_verify(&skb, saddr, daddr)
        {
            self.mib.inc(Counter::UdpInCsumErrors);
            return self.udp_bad(skb, DropReason::UdpCsum);
        }
        let demux = Demux {
            saddr,
            sport: u16::from_be_bytes([header[0], header[1]]),
            daddr,
            dport: u16::from_be_bytes([header[2], header[3]]),
            iif: self.skbs[&skb].iif.0,
        };
        if self.skbs[&skb].pkt_type != PacketType::Host && self.is_to_many(daddr) {
            return self.udp_mcast_deliver(skb, &demux);
        }
        match self.sockets.lookup(&demux) {
            Some(slot) => self.udp_queue_rcv_skb(slot, skb),
            None => {
                self.mib.inc(Counter::UdpNoPorts);
                self.icmp_send_unreachable(&skb, ICMP_PORT_UNREACH, 0);
                self.skbs.drop(&mut self.trace, skb, DropReason::NoSocket);
            }
        }
    }

    pub(super) fn udp_bad(&mut self, skb: Skb, reason: DropReason) {
        self.mib.inc(Counter::UdpInErrors);
        self.skbs.drop(&mut self.trace, skb, reason);
    }

    fn udp_verify(&self, skb: &Skb, saddr: Ipv4Addr, daddr: Ipv4Addr) -> bool {
        let length = self.skbs[skb].len() as u16;
        let mut sum = Checksum::starting_with(pseudo_header(saddr, daddr, IPPROTO_UDP, length));
        self.skbs.for_each_run(skb, 0, &mut |run| sum.add(run));
        sum.finish() == 0
    }

    /// A datagram for many: each socket but the last gets a copy that refers to the same bytes.
    fn udp_mcast_deliver(&mut self, skb: Skb, demux: &Demux) {
        let mut slots = core::mem::take(&mut self.mcast_slots);
        self.sockets.lookup_all(demux, &mut slots);
        if let Some((&last, others)) = slots.split_last() {
            for &slot in others {
                match self.skbs.copy(&skb) {
                    Some(copy) => {
                        self.skbs[&copy].packet = self.trace.derived(self.skbs[&skb].packet);
                        self.udp_queue_rcv_skb(slot, copy);
                    }
                    None => self.mib.inc(Counter::UdpInErrors),
                }
            }
            self.udp_queue_rcv_skb(last, skb);
        } else {
            self.mib.inc(Counter::UdpIgnoredMulti);
            self.skbs.drop(&mut self.trace, skb, DropReason::NoSocket);
        }
        self.mcast_slots = slots;
    }
}
