//! The way out of an IPv4 packet: `ip_local_out` → `ip_output` → `ip_finish_output` → the neighbour (Linux 6.12).

use super::SendError;
use crate::drop_reason::DropReason;
use crate::errno::Errno;
use crate::mib::Counter;
use crate::netdev::features::Features;
use crate::netdev::xmit::NetXmit;
use crate::netfilter::{Hook, PacketView, Verdict};
use crate::route::{OifId, RouteKind};
use crate::skb::{Dst, Skb};
use crate::stack::Stack;
use crate::wire::ethernet::{BROADCAST, ETH_P_IP, Mac, multicast_mac};
use core::net::Ipv4Addr;

/// MF and the offset, in the IPv4 header.
const FRAGMENT: u16 = 0x3fff;

impl Stack {
    /// `ip_local_out`: asks LOCAL_OUT, and sends the packet on its way. Its header is whole.
    ///
    /// # Errors
    /// What netfilter or the device layer say; the packet is gone then, too.
    #[inline(always)]
    pub(crate) fn ip_local_out<const TRACED: bool>(&mut self, skb: Skb) -> Result<(), SendError> {
        self.trace_skb::<TRACED>(&skb, "__ip_local_out");
        self.mib.inc(Counter::IpOutRequests);
        if self.netfilter.has_chains(Hook::LocalOut) {
            return self.ip_local_out_filtered(skb);
        }
        self.ip_output::<TRACED>(skb)
    }

    /// [`Self::ip_local_out`] of a packet whose way out and length (`len`) are at hand, and not noted in it yet: nothing needs
    /// them there where nobody listens and the neighbour is known.
    ///
    /// # Errors
    /// The same.
    #[inline(always)]
    pub(crate) fn ip_local_out_by(&mut self, skb: Skb, dst: &Dst, len: usize) -> Result<(), SendError> {
        let heard = self.trace.is_on()
            || self.netfilter.has_chains(Hook::LocalOut)
            || self.netfilter.has_chains(Hook::PostRouting);
        let direct = dst.kind == RouteKind::Unicast && dst.oif == OifId::ETH0 && len <= dst.mtu as usize;
        #[cfg(test)]
        let direct = direct && self.test_wire.is_none();
        if heard || !direct {
            return self.ip_local_out_noted(skb, *dst);
        }
        let Some(mac) = self.neigh.resolve_connected(dst.nexthop) else {
            return self.ip_local_out_noted(skb, *dst);
        };
        self.skbs.push_eth_header(&skb, mac, self.dev.header_end());
        self.mib.inc(Counter::IpOutRequests);
        self.mib.add(Counter::IpExtOutOctets, len);
        self.mib.inc(Counter::IpOutTransmits);
        Self::xmit_result(self.dev_queue_xmit::<false>(skb))
    }

    /// The same by way of all functions, with the way out in the packet.
    #[inline(never)]
    fn ip_local_out_noted(&mut self, skb: Skb, dst: Dst) -> Result<(), SendError> {
        self.skbs[&skb].dst = Some(dst);
        self.ip_local_out::<true>(skb)
    }

    #[cold]
    fn ip_local_out_filtered(&mut self, skb: Skb) -> Result<(), SendError> {
        let skb = self.nf_hook_slow(Hook::LocalOut, skb)?;
        self.ip_output::<true>(skb)
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
        let checksum = crate::wire::checksum::header_checksum(&ip[..header_bytes]).to_be_bytes();
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
        let [out_name, in_name] = [oif, iif].map(|dev| self.fib.link_name(dev));
        let mut view = PacketView {
            l3: self.skbs.header(&skb, meta.network_header),
            len: meta.len() as u32,
            iif: if outward { None } else { Some(in_name.as_deref().unwrap_or_default()) },
            oif: if outward { out_name.as_deref() } else { None },
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
    pub(crate) fn ip_output<const TRACED: bool>(&mut self, skb: Skb) -> Result<(), SendError> {
        self.trace_skb::<TRACED>(&skb, "ip_output");
        if self.netfilter.has_chains(Hook::PostRouting) {
            return self.ip_output_filtered(skb);
        }
        self.ip_finish_output::<TRACED>(skb)
    }

    #[cold]
    fn ip_output_filtered(&mut self, skb: Skb) -> Result<(), SendError> {
        if let Some(dst) = self.skbs[&skb].dst {
            self.ip_mc_loop(&skb, dst, true);
        }
        let skb = self.nf_hook_slow(Hook::PostRouting, skb)?;
        self.ip_finish_output::<true>(skb)
    }

    #[inline(always)]
    fn ip_finish_output<const TRACED: bool>(&mut self, skb: Skb) -> Result<(), SendError> {
        self.trace_skb::<TRACED>(&skb, "ip_finish_output");
        let meta = &self.skbs[&skb];
        match meta.dst {
            Some(dst) if meta.len() <= dst.mtu as usize => {
                self.mib.add(Counter::IpExtOutOctets, meta.len());
                self.ip_finish_output2::<TRACED>(skb, dst)
            }
            _ => self.ip_finish_output_slow(skb),
        }
    }

    /// A packet that must be cut, or that was not routed.
    #[cold]
    fn ip_finish_output_slow(&mut self, skb: Skb) -> Result<(), SendError> {
        let Some(dst) = self.skbs[&skb].dst else {
            self.skbs.drop(&mut self.trace, skb, DropReason::IpOutNoRoutes);
            return Err(SendError::Errno(Errno::EHOSTUNREACH));
        };
        if self.skbs[&skb].gso_size != 0 {
            return self.ip_finish_output_gso(skb, dst);
        }
        self.ip_mc_loop(&skb, dst, false);
        self.ip_fragment(skb, &dst)
    }

    /// `ip_finish_output_gso`: a packet that is to be cut is larger than the path takes, and its segments may be. They seldom
    /// are: then it is cut here, and each of them is fragmented.
    fn ip_finish_output_gso(&mut self, skb: Skb, dst: Dst) -> Result<(), SendError> {
        let segment = self.skbs.gso_network_seglen(&skb);
        if segment <= dst.mtu as usize {
            self.mib.add(Counter::IpExtOutOctets, self.skbs[&skb].len());
            return self.ip_finish_output2::<true>(skb, dst);
        }
        let features = self.netif_skb_features(&self.skbs[&skb]).without(Features::GSO_MASK);
        let mut segments = match self.skb_gso_segment(skb, features) {
            Ok(segments) => segments,
            Err(skb) => {
                self.skbs.drop(&mut self.trace, skb, DropReason::SkbGsoSeg);
                return Err(SendError::Errno(Errno::ENOMEM));
            }
        };
        let mut result = Ok(());
        while let Some(segment) = segments.pop_front(&mut self.skbs) {
            let sent = self.ip_fragment(segment, &dst);
            result = result.and(sent);
        }
        result
    }

    /// Finds the neighbour's address, puts the Ethernet header on, and hands the packet to the device.
    #[inline(always)]
    pub(crate) fn ip_finish_output2<const TRACED: bool>(
        &mut self,
        skb: Skb,
        dst: Dst,
    ) -> Result<(), SendError> {
        #[cfg(test)]
        if self.test_wire.is_some() {
            self.test_transmit(skb);
            return Ok(());
        }
        self.mib.inc(Counter::IpOutTransmits);
        if matches!(dst.kind, RouteKind::Broadcast | RouteKind::Multicast) {
            return self.ip_finish_output_many(skb, dst.kind, dst.nexthop, dst.oif);
        }
        if dst.oif != OifId::ETH0 {
            return self.ip_finish_output_other(skb, dst);
        }
        let Some(mac) = self.neigh.resolve_connected(dst.nexthop) else {
            return self.neigh_resolve_output(dst.nexthop, skb);
        };
        self.skbs.push_eth_header(&skb, mac, self.dev.header_end());
        self.trace_skb::<TRACED>(&skb, "neigh_resolve_output");
        Self::xmit_result(self.dev_queue_xmit::<TRACED>(skb))
    }

    /// The end of [`Self::ip_finish_output2`] for a broadcast or a group, which have no neighbour.
    #[inline(never)]
    fn ip_finish_output_many(
        &mut self,
        skb: Skb,
        kind: RouteKind,
        to: Ipv4Addr,
        oif: OifId,
    ) -> Result<(), SendError> {
        let ip = self.skbs.header(&skb, self.skbs[&skb].network_header);
        let whole = u16::from_be_bytes([ip[6], ip[7]]) & FRAGMENT == 0;
        if let Some(dst) = self.skbs[&skb].dst.filter(|_| whole) {
            self.ip_mc_loop(&skb, dst, false);
        }
        let mac = if kind == RouteKind::Broadcast {
            self.count_packet(Counter::IpExtOutBcastPkts, Counter::IpExtOutBcastOctets, &skb);
            BROADCAST
        } else {
            self.count_packet(Counter::IpExtOutMcastPkts, Counter::IpExtOutMcastOctets, &skb);
            multicast_mac(to)
        };
        if oif == OifId::LO {
            self.loopback_xmit(skb);
            return Ok(());
        }
        let (neigh, mut cx) = self.neigh_of(oif);
        let mac = neigh.noarp(&mut cx, to, mac);
        self.do_neigh_actions(oif);
        let Some(mac) = mac else {
            self.skbs.drop(&mut self.trace, skb, DropReason::NeighCreateFail);
            return Err(SendError::Congested);
        };
        Self::xmit_result(self.xmit_by(skb, oif, (&mac, ETH_P_IP)))
    }

    /// The end of [`Self::ip_finish_output2`] on any device but `eth0`.
    #[cold]
    fn ip_finish_output_other(&mut self, skb: Skb, dst: Dst) -> Result<(), SendError> {
        if dst.oif == OifId::LO {
            self.loopback_xmit(skb);
            return Ok(());
        }
        let now = self.now;
        let Some(vlan) = self.vlan(dst.oif) else {
            // The device is gone, and with it the way that was chosen.
            self.skbs.drop(&mut self.trace, skb, DropReason::DevReady);
            return Err(SendError::Errno(Errno::ENETDOWN));
        };
        let Some(mac) = vlan.neigh.resolve(dst.nexthop, now).copied() else {
            return self.neigh_output_slow(dst.oif, dst.nexthop, skb);
        };
        self.trace_skb::<true>(&skb, "neigh_resolve_output");
        Self::xmit_result(self.xmit_by(skb, dst.oif, (&mac, ETH_P_IP)))
    }

    /// Puts the Ethernet header on, and hands the packet to a device.
    pub(crate) fn xmit_by(&mut self, skb: Skb, oif: OifId, (to, ethertype): (&Mac, u16)) -> NetXmit {
        self.push_eth_header(&skb, to, ethertype);
        if oif == OifId::ETH0 { self.dev_queue_xmit::<true>(skb) } else { self.vlan_queue_xmit(skb, oif) }
    }

    /// `ip_mc_output`: of a packet to everybody, or to a group that was joined here, a copy comes in again by the device that
    /// it leaves through, before it is fragmented. It is not routed again. Where POST_ROUTING has chains (`filtered`), the copy
    /// goes through them by itself, and first.
    #[cold]
    fn ip_mc_loop(&mut self, skb: &Skb, dst: Dst, filtered: bool) {
        let loops = match dst.kind {
            RouteKind::Broadcast => true,
            RouteKind::Multicast => self.fib.is_member(dst.nexthop),
            _ => false,
        };
        if !loops || dst.oif == OifId::LO || filtered != self.netfilter.has_chains(Hook::PostRouting) {
            return;
        }
        let Some(copy) = self.skbs.copy(skb) else { return };
        let packet = self.trace.derived(self.skbs[skb].packet);
        let meta = &mut self.skbs[&copy];
        (meta.packet, meta.dst, meta.iif) = (packet, Some(dst), dst.oif);
        // What the hook drops is gone in silence: the sender hears of its own packet only.
        let copy = if filtered { self.nf_hook_slow(Hook::PostRouting, copy) } else { Ok(copy) };
        if let Ok(copy) = copy {
            self.loopback_rx(copy);
        }
    }

    /// The end of [`Self::ip_finish_output2`] where the neighbour table has to be searched, or its state may change.
    #[inline(never)]
    fn neigh_resolve_output(&mut self, nexthop: Ipv4Addr, skb: Skb) -> Result<(), SendError> {
        let Some(mac) = self.neigh.resolve(nexthop, self.now) else {
            return self.neigh_output_slow(OifId::ETH0, nexthop, skb);
        };
        self.skbs.push_eth_header(&skb, mac, self.dev.header_end());
        self.trace_skb::<true>(&skb, "neigh_resolve_output");
        Self::xmit_result(self.dev_queue_xmit::<true>(skb))
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

    /// Records that a packet went through a function. The way out is compiled twice, as with Linux's static keys: `TRACED`
    /// says that the journal may be on; without, it is known to be off, and nothing of it is left in the code.
    #[inline(always)]
    pub(crate) fn trace_skb<const TRACED: bool>(&mut self, skb: &Skb, name: &'static str) {
        if TRACED && self.trace.is_on() {
            let packet = self.skbs[skb].packet;
            self.trace.function(packet, name);
        }
    }

    /// Puts the Ethernet header on.
    #[inline(always)]
    pub(crate) fn push_eth_header(&mut self, skb: &Skb, dst: &Mac, ethertype: u16) {
        let [end @ .., _, _] = *self.dev.header_end();
        let ([a, b, c, d, e, f], [g, h]) = (end, ethertype.to_be_bytes());
        self.skbs.push_eth_header(skb, dst, &[a, b, c, d, e, f, g, h]);
        self.skbs[skb].protocol = ethertype;
    }
}
