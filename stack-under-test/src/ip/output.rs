//! The way out of an IPv4 packet: `ip_local_out` → `ip_output` → `ip_finish_output` → the neighbour (Linux 6.12).

use super::SendError;
use crate::drop_reason::DropReason;
use crate::errno::Errno;
use crate::mib::Counter;
use crate::netdev::xmit::NetXmit;
use crate::netfilter::{Hook, PacketView, Verdict};
use crate::route::{OifId, RouteKind};
use crate::skb::{Dst, Skb};
use crate::stack::Stack;
use crate::wire::ethernet::{BROADCAST, ETH_P_IP, Mac, multicast_mac};

impl Stack {
    /// `ip_local_out`: asks LOCAL_OUT, and sends the packet on its way. Its header is whole.
    ///
    /// # Errors
    /// What netfilter or the device layer say; the packet is gone then, too.
    #[inline(always)]
    pub(crate) fn ip_local_out(&mut self, skb: Skb) -> Result<(), SendError> {
        self.trace_skb(&skb, "__ip_local_out");
        self.mib.inc(Counter::IpOutRequests);
        let skb = self.netfilter_hook(Hook::LocalOut, skb)?;
        self.ip_output(skb)
    }

    /// Writes the total length and the header checksum.
    #[inline]
    pub(crate) fn ip_send_check(&mut self, skb: &Skb) {
        let length = (self.skbs[skb].len() as u16).to_be_bytes();
        let network_header = self.skbs[skb].network_header;
        let ip = self.skbs.header_mut(skb, network_header);
        let header_bytes = usize::from(ip[0] & 0xf) * 4;
        ip[2..4].copy_from_slice(&length);
        ip[10..12].fill(0);
        let checksum = crate::wire::checksum::checksum(&ip[..header_bytes]).to_be_bytes();
        ip[10..12].copy_from_slice(&checksum);
    }

    /// Asks a hook of netfilter. A packet that it drops is gone, and its sender gets the error.
    #[inline(always)]
    pub(crate) fn netfilter_hook(&mut self, hook: Hook, skb: Skb) -> Result<Skb, SendError> {
        if !self.netfilter.has_chains(hook) {
            return Ok(skb);
        }
        self.nf_hook_slow(hook, skb)
    }

    #[cold]
    fn nf_hook_slow(&mut self, hook: Hook, skb: Skb) -> Result<Skb, SendError> {
        let meta = &self.skbs[&skb];
        let iif = meta.iif;
        let oif = meta.dst.map_or(OifId::ETH0, |dst| dst.oif);
        let outward = matches!(hook, Hook::LocalOut | Hook::PostRouting);
        let mut view = PacketView {
            l3: self.skbs.header(&skb, meta.network_header),
            len: meta.len() as u32,
            iif: if outward { None } else { Some(iif.name().unwrap_or_default()) },
            oif: if outward { oif.name() } else { None },
            mark: meta.mark,
            priority: meta.priority,
        };
        let verdict = self.netfilter.evaluate(&mut self.trace, meta.packet, hook, &mut view);
        let (mark, priority) = (view.mark, view.priority);
        let meta = &mut self.skbs[&skb];
        (meta.mark, meta.priority) = (mark, priority);
        match verdict {
            Verdict::Accept => Ok(skb),
            Verdict::Reroute => self.ip_route_me_harder(skb),
            Verdict::Drop(errno) => {
                self.skbs.drop(&mut self.trace, skb, DropReason::NetfilterDrop);
                Err(SendError::Errno(errno))
            }
        }
    }

    /// `ip_output`: asks POST_ROUTING, then cuts what is larger than the path takes.
    #[inline(always)]
    pub(crate) fn ip_output(&mut self, skb: Skb) -> Result<(), SendError> {
        self.trace_skb(&skb, "ip_output");
        self.mib.add(Counter::IpExtOutOctets, self.skbs[&skb].len());
        let skb = self.netfilter_hook(Hook::PostRouting, skb)?;
        self.ip_finish_output(skb)
    }

    #[inline(always)]
    fn ip_finish_output(&mut self, skb: Skb) -> Result<(), SendError> {
        self.trace_skb(&skb, "ip_finish_output");
        let meta = &self.skbs[&skb];
        let Some(dst) = meta.dst else {
            self.skbs.drop(&mut self.trace, skb, DropReason::IpOutNoRoutes);
            return Err(SendError::Errno(Errno::EHOSTUNREACH));
        };
        if meta.len() > dst.mtu as usize || meta.frag_max_size != 0 {
            return self.ip_fragment(skb, &dst);
        }
        self.ip_finish_output2(skb, &dst)
    }

    /// Finds the neighbour's address, puts the Ethernet header on, and hands the packet to the device.
    #[inline(always)]
    pub(crate) fn ip_finish_output2(&mut self, skb: Skb, dst: &Dst) -> Result<(), SendError> {
        self.mib.inc(Counter::IpOutTransmits);
        if dst.oif == OifId::LO {
            self.loopback_xmit(skb);
            return Ok(());
        }
        match dst.kind {
            RouteKind::Broadcast => self.push_eth_header(&skb, &BROADCAST, ETH_P_IP),
            RouteKind::Multicast => self.push_eth_header(&skb, &multicast_mac(dst.nexthop), ETH_P_IP),
            _ => {
                let Some(mac) = self.neigh.resolve(dst.nexthop, self.now) else {
                    return self.neigh_output_slow(dst.nexthop, skb);
                };
                self.skbs.push_eth_header(&skb, (mac, &self.dev.mac), ETH_P_IP);
                self.trace_skb(&skb, "neigh_resolve_output");
            }
        }
        Self::xmit_result(self.dev_queue_xmit(skb))
    }

    /// What a sender learns of what the device layer said.
    #[inline(always)]
    pub(crate) fn xmit_result(result: NetXmit) -> Result<(), SendError> {
        match result {
            NetXmit::Success | NetXmit::Cn => Ok(()),
            NetXmit::Drop => Err(SendError::Congested),
            NetXmit::NetDown => Err(SendError::Errno(Errno::ENETDOWN)),
        }
    }

    /// Records that a packet went through a function; its description is read only while the journal is on.
    #[inline(always)]
    pub(crate) fn trace_skb(&mut self, skb: &Skb, name: &'static str) {
        if self.trace.is_on() {
            let packet = self.skbs[skb].packet;
            self.trace.function(packet, name);
        }
    }

    /// Puts the Ethernet header on.
    #[inline(always)]
    pub(crate) fn push_eth_header(&mut self, skb: &Skb, dst: &Mac, ethertype: u16) {
        self.skbs.push_eth_header(skb, (dst, &self.dev.mac), ethertype);
    }
}
