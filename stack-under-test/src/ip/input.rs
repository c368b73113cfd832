//! The way in of an IPv4 packet: `ip_rcv` → PRE_ROUTING → routing → `ip_local_deliver` (Linux 6.12).

use super::options;
use crate::drop_reason::DropReason;
use crate::mib::Counter;
use crate::netdev::vlan::is_tag;
use crate::netfilter::Hook;
use crate::route::RouteKind;
use crate::skb::{PacketType, Skb};
use crate::stack::Stack;
use crate::wire::ethernet::{ETH_P_ARP, ETH_P_IP, Ethernet, HEADER_BYTES as ETH_HEADER_BYTES};
use crate::wire::ipv4::Ipv4;
use core::net::Ipv4Addr;

impl Stack {
    /// `netif_receive_skb`: a frame from the driver, to the protocol of its ethertype.
    #[inline(never)]
    pub(crate) fn netif_receive_skb(&mut self, skb: Skb) {
        self.trace_skb::<true>(&skb, "netif_receive_skb");
        let ethernet = match Ethernet::parse(self.skbs.linear(&skb)) {
            Ok(ethernet) => ethernet,
            Err(reason) => return self.skbs.drop(&mut self.trace, skb, reason),
        };
        let pkt_type = ethernet.packet_type(&self.dev.mac());
        let now = self.now;
        let meta = self.skbs.pull(&skb, ETH_HEADER_BYTES);
        meta.protocol = ethernet.ethertype;
        meta.pkt_type = pkt_type;
        meta.network_header = meta.data_offset();
        meta.tstamp = now;
        if meta.vlan_tci.is_some() || is_tag(ethernet.ethertype) {
            let Some(skb) = self.vlan_receive(skb) else { return };
            return self.deliver_skb(skb);
        }
        self.deliver_skb(skb);
    }

    /// `deliver_skb`: to the protocol of the ethertype.
    #[inline(always)]
    fn deliver_skb(&mut self, skb: Skb) {
        match self.skbs[&skb].protocol {
            ETH_P_IP => self.ip_rcv(skb),
            ETH_P_ARP => self.arp_rcv(skb),
            _ => {
                self.count_rx_dropped(self.skbs[&skb].iif);
                self.skbs.drop(&mut self.trace, skb, DropReason::UnhandledProto);
            }
        }
    }

    /// `ip_rcv`: is it a packet at all, and for us?
    #[inline(always)]
    pub(crate) fn ip_rcv(&mut self, skb: Skb) {
        self.trace_skb::<true>(&skb, "ip_rcv");
        let meta = &self.skbs[&skb];
        let (len, pkt_type, segs) = (meta.len(), meta.pkt_type, meta.gso_segs);
        if pkt_type == PacketType::OtherHost {
            // `rx_otherhost_dropped` of the device: nothing that is shown.
            self.dev.rx_otherhost_dropped += 1;
            return self.skbs.drop(&mut self.trace, skb, DropReason::OtherHost);
        }
        self.mib.inc(Counter::IpInReceives);
        self.mib.add(Counter::IpExtInOctets, len);
        let packet = self.skbs.linear(&skb);
        // `ip_rcv_core` counts this of whatever begins like a header, before it looks at the rest.
        if let [0x45..=0x4f, tos, ..] = *packet {
            let marked = match tos & 3 {
                0 => Counter::IpExtInNoEctPkts,
                1 => Counter::IpExtInEct1Pkts,
                2 => Counter::IpExtInEct0Pkts,
                _ => Counter::IpExtInCePkts,
            };
            // A packet that was merged, or never cut, counts as its segments here, and here alone.
            self.mib.add(marked, usize::from(segs.max(1)));
        }
        let header = match Ipv4::parse_with_len(packet, len) {
            Ok(header) => header,
            Err(reason) => return self.ip_rcv_wrong(skb, reason),
        };
        // What lies behind the packet is padding of the link.
        self.skbs.trim(&skb, usize::from(header.total_len));
        let Ok(skb) = self.netfilter_hook(Hook::PreRouting, skb) else { return };
        self.ip_rcv_finish(skb, &header);
    }

    #[cold]
    fn ip_rcv_wrong(&mut self, skb: Skb, reason: DropReason) {
        if reason == DropReason::IpCsum {
            self.mib.inc(Counter::IpExtInCsumErrors);
        }
        self.mib.inc(if reason == DropReason::PktTooSmall {
            Counter::IpInTruncatedPkts
        } else {
            Counter::IpInHdrErrors
        });
        self.skbs.drop(&mut self.trace, skb, reason);
    }

    #[inline(always)]
    fn ip_rcv_finish(&mut self, skb: Skb, header: &Ipv4) {
        self.trace_skb::<true>(&skb, "ip_rcv_finish");
        let meta = &self.skbs[&skb];
        let (mark, iif) = (meta.mark, meta.iif);
        let route = match meta.dst {
            // What we sent ourselves was routed on its way out.
            Some(dst) if matches!(dst.kind, RouteKind::Broadcast | RouteKind::Multicast) => Ok(dst.kind),
            Some(_) => Ok(RouteKind::Local),
            None => self.route_input(header, mark, iif),
        };
        if route.is_ok() && header.header_len > 20 && !self.ip_rcv_options(&skb, header) {
            return self.skbs.drop(&mut self.trace, skb, DropReason::IpInHdr);
        }
        match route {
            // Also in a frame for all: `drop_unicast_in_l2_multicast` is 0.
            Ok(RouteKind::Local) => {}
            Ok(kind @ (RouteKind::Broadcast | RouteKind::Multicast)) => self.ip_rcv_many(&skb, kind),
            Ok(_) => return self.skbs.drop(&mut self.trace, skb, DropReason::IpInNoRoutes),
            Err(reason) => {
                // `ip_error`: only what would have to be forwarded is counted.
                if reason == DropReason::IpInNoRoutes && !header.dst.is_multicast() {
                    self.mib.inc(Counter::IpInAddrErrors);
                }
                return self.skbs.drop(&mut self.trace, skb, reason);
            }
        }
        self.ip_local_deliver(skb, header);
    }

    /// Counts a packet to everybody, or to a group, and notes that it is one.
    #[inline(never)]
    fn ip_rcv_many(&mut self, skb: &Skb, kind: RouteKind) {
        if kind == RouteKind::Broadcast {
            self.count_packet(Counter::IpExtInBcastPkts, Counter::IpExtInBcastOctets, skb);
            self.skbs[skb].pkt_type = PacketType::Broadcast;
        } else {
            self.count_packet(Counter::IpExtInMcastPkts, Counter::IpExtInMcastOctets, skb);
            self.skbs[skb].pkt_type = PacketType::Multicast;
        }
    }

    /// `IP_UPD_PO_STATS`: one packet, and its bytes from the IPv4 header on.
    pub(crate) fn count_packet(&mut self, packets: Counter, octets: Counter, skb: &Skb) {
        self.mib.inc(packets);
        self.mib.add(octets, self.skbs[skb].len());
    }

    /// `ip_rcv_options`: whether the options of a packet let it in. The sender of a wrong one is told which octet it is.
    #[cold]
    fn ip_rcv_options(&mut self, skb: &Skb, header: &Ipv4) -> bool {
        let bytes = self.skbs.header(skb, self.skbs[skb].network_header);
        match options::judge(&bytes[..usize::from(header.header_len).min(bytes.len())]) {
            options::Verdict::Fine => true,
            options::Verdict::SourceRoute => false,
            options::Verdict::Wrong(octet) => {
                self.mib.inc(Counter::IpInHdrErrors);
                self.icmp_send_parameter_problem(skb, octet);
                false
            }
        }
    }

    /// Whether an address is that of more than one host: `RTCF_BROADCAST` or `RTCF_MULTICAST` of a packet to it.
    pub(crate) fn is_to_many(&self, daddr: Ipv4Addr) -> bool {
        daddr.is_multicast()
            || daddr.is_broadcast()
            || daddr.is_unspecified()
            || self.fib.addr_type(daddr) == RouteKind::Broadcast
    }

    /// The addresses of a packet whose network header is set: source, destination.
    pub(crate) fn ip_addresses(&self, skb: &Skb) -> (Ipv4Addr, Ipv4Addr) {
        let ip = self.skbs.header(skb, self.skbs[skb].network_header);
        (Ipv4Addr::new(ip[12], ip[13], ip[14], ip[15]), Ipv4Addr::new(ip[16], ip[17], ip[18], ip[19]))
    }
}
