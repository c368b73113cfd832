//! To the protocol: `ip_local_deliver`, and the loopback device (Linux 6.12).

use crate::drop_reason::DropReason;
use crate::mib::Counter;
use crate::netdev::softirq::Softirq;
use crate::netfilter::Hook;
use crate::route::OifId;
use crate::skb::{IpSummed, PacketType, Skb};
use crate::stack::Stack;
use crate::wire::icmpv4::ICMP_PROT_UNREACH;
use crate::wire::ipv4::{IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, Ipv4};

impl Stack {
    /// Puts fragments together, asks LOCAL_IN, and hands what the packet carries to its protocol.
    #[inline(always)]
    pub(crate) fn ip_local_deliver(&mut self, skb: Skb, header: &Ipv4) {
        self.trace_skb::<true>(&skb, "ip_local_deliver");
        let skb = if header.is_fragment() {
            match self.ip_defrag(skb, header) {
                Some(whole) => whole,
                None => return,
            }
        } else {
            skb
        };
        let Ok(skb) = self.netfilter_hook(Hook::LocalIn, skb) else { return };
        self.ip_local_deliver_finish(skb, header);
    }

    #[inline(always)]
    fn ip_local_deliver_finish(&mut self, skb: Skb, header: &Ipv4) {
        let meta = self.skbs.pull(&skb, usize::from(header.header_len));
        meta.transport_header = meta.data_offset();
        match header.protocol {
            IPPROTO_UDP => {
                self.mib.inc(Counter::IpInDelivers);
                self.udp_rcv(skb);
            }
            IPPROTO_TCP => {
                self.mib.inc(Counter::IpInDelivers);
                self.tcp_v4_rcv(skb, header.src, header.dst);
            }
            IPPROTO_ICMP => {
                self.mib.inc(Counter::IpInDelivers);
                self.icmp_rcv(skb);
            }
            _ => {
                self.mib.inc(Counter::IpInUnknownProtos);
                self.icmp_send_unreachable(&skb, ICMP_PROT_UNREACH, 0);
                self.skbs.drop(&mut self.trace, skb, DropReason::IpNoProto);
            }
        }
    }

    /// `loopback_xmit`: what was sent to ourselves comes in again, in the NET_RX softirq of the CPU that sent it.
    pub(crate) fn loopback_xmit(&mut self, skb: Skb) {
        self.trace_skb::<true>(&skb, "loopback_xmit");
        self.skbs.orphan(&skb);
        self.skbs[&skb].iif = OifId::LO;
        self.loopback_rx(skb);
    }

    /// `netif_rx`: a packet of our own waits to come in again.
    pub(crate) fn loopback_rx(&mut self, skb: Skb) {
        let meta = &mut self.skbs[&skb];
        meta.pkt_type = PacketType::Host;
        // Nothing was on a wire that could have damaged it.
        meta.ip_summed = IpSummed::Unnecessary;
        if self.backlog.len() >= crate::netdev::MAX_BACKLOG {
            self.skbs.drop(&mut self.trace, skb, DropReason::CpuBacklog);
            return;
        }
        self.backlog.push_back(&mut self.skbs, skb);
        self.raise_softirq(Softirq::NetRx);
    }

    /// `process_backlog`: at most `quota` packets of the loopback device.
    pub(crate) fn process_backlog(&mut self, quota: u32) -> u32 {
        let mut done = 0;
        while done < quota
            && let Some(skb) = self.backlog.pop_front(&mut self.skbs)
        {
            done += 1;
            self.ip_rcv(skb);
        }
        done
    }
}
