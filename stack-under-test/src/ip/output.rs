//! The way out of an IPv4 packet: `ip_local_out` → `ip_output` → `ip_finish_output` → the neighbour (Linux 6.12).

use super::SendError;
use crate::drop_reason::DropReason;
use crate::errno::Errno;
use crate::mib::Counter;
use crate::neigh::Resolved;
use crate::netdev::xmit::NetXmit;
use crate::netfilter::{Hook, PacketView, Verdict};
use crate::route::{OifId, RouteKind};
use crate::skb::{Dst, Skb};
use crate::stack::Stack;
use crate::wire::ethernet::{BROADCAST, ETH_P_IP, HEADER_BYTES as ETH_HEADER_BYTES, Mac, multicast_mac};

impl Stack {
    /// `ip_local_out`: fills in length and checksum, asks LOCAL_OUT, and sends the packet on its way.
    ///
    /// # Errors
    /// What netfilter or the device layer say; the packet is gone then, too.
    #[inline]
    pub(crate) fn ip_local_out(&mut self, skb: Skb) -> Result<(), SendError> {
        self.trace.function(self.skbs[&skb].packet, "__ip_local_out");
        self.mib.inc(Counter::IpOutRequests);
        self.ip_send_check(&skb);
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
    #[inline]
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
    #[inline]
    pub(crate) fn ip_output(&mut self, skb: Skb) -> Result<(), SendError> {
        let meta = &self.skbs[&skb];
        self.trace.function(meta.packet, "ip_output");
        self.mib.add(Counter::IpExtOutOctets, meta.len());
        let skb = self.netfilter_hook(Hook::PostRouting, skb)?;
        self.ip_finish_output(skb)
    }

    #[inline]
    fn ip_finish_output(&mut self, skb: Skb) -> Result<(), SendError> {
        let meta = &self.skbs[&skb];
        self.trace.function(meta.packet, "ip_finish_output");
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
    #[inline]
    pub(crate) fn ip_finish_output2(&mut self, skb: Skb, dst: &Dst) -> Result<(), SendError> {
        self.mib.inc(Counter::IpOutTransmits);
        match dst.kind {
            RouteKind::Multicast => {
                self.count_packet(Counter::IpExtOutMcastPkts, Counter::IpExtOutMcastOctets, &skb);
            }
            RouteKind::Broadcast => {
                self.count_packet(Counter::IpExtOutBcastPkts, Counter::IpExtOutBcastOctets, &skb);
            }
            _ => {}
        }
        if dst.oif == OifId::LO {
            self.loopback_xmit(skb);
            return Ok(());
        }
        let mac = match dst.kind {
            RouteKind::Broadcast => BROADCAST,
            RouteKind::Multicast => multicast_mac(dst.nexthop),
            _ => match self.neigh.resolve(dst.nexthop, self.now) {
                Resolved::Mac(mac) => {
                    self.trace.function(self.skbs[&skb].packet, "neigh_resolve_output");
                    mac
                }
                Resolved::Wait => return self.neigh_output_slow(dst.nexthop, skb),
            },
        };
        self.push_eth_header(&skb, &mac, ETH_P_IP);
        Self::xmit_result(self.dev_queue_xmit(skb))
    }

    /// What a sender learns of what the device layer said.
    #[inline]
    pub(crate) fn xmit_result(result: NetXmit) -> Result<(), SendError> {
        match result {
            NetXmit::Success | NetXmit::Cn => Ok(()),
            NetXmit::Drop => Err(SendError::Congested),
            NetXmit::NetDown => Err(SendError::Errno(Errno::ENETDOWN)),
        }
    }

    /// Puts the Ethernet header on.
    #[inline]
    pub(crate) fn push_eth_header(&mut self, skb: &Skb, dst: &Mac, ethertype: u16) {
        let src = self.dev.mac;
        let out: &mut [u8; ETH_HEADER_BYTES] = self
            .skbs
            .push(skb, ETH_HEADER_BYTES)
            .try_into()
            .expect("skb_push gives as many bytes as were asked for");
        out[..6].copy_from_slice(dst);
        out[6..12].copy_from_slice(&src);
        out[12..].copy_from_slice(&ethertype.to_be_bytes());
        let meta = &mut self.skbs[skb];
        meta.mac_header = meta.data_offset();
        meta.protocol = ethertype;
    }
}
