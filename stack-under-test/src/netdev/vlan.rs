//! VLAN devices: `vlan_dev_hard_start_xmit` on the way out, `vlan_do_receive` on the way in (IEEE 802.1Q; Linux 6.12, `net/8021q`).
//!
//! A tag travels beside the packet, in [`crate::skb::SkBuff::vlan_tci`], as long as the device below puts it on the wire and takes it
//! off; else it stands in the frame, behind the addresses.

use super::features::Features;
use super::xmit::NetXmit;
use crate::drop_reason::DropReason;
use crate::neigh::{NeighParms, NeighTable};
use crate::netdev::NetdevStats;
use crate::route::OifId;
use crate::skb::{IpSummed, PacketType, Skb, SkbQueue};
use crate::stack::Stack;
use crate::wire::ethernet::HEADER_BYTES as ETH_BYTES;

/// Ethertype of a tag.
pub const ETH_P_8021Q: u16 = 0x8100;
/// Ethertype of an outer tag.
pub const ETH_P_8021AD: u16 = 0x88a8;
/// Bytes of a tag.
const VLAN_BYTES: usize = 4;
/// The bits of a tag that name the VLAN; also the number that no VLAN has.
pub const VLAN_VID_MASK: u16 = 0xfff;
/// Where a tag stands in a frame, and what lies before it.
const ADDRESSES: usize = 12;

/// A device for one VLAN above `eth0`: `vlan_dev_priv`. It has the address of the device below.
#[derive(Debug)]
pub struct VlanDevice {
    /// Its index.
    pub(crate) oif: OifId,
    /// The number of its VLAN, 0 to 4,094.
    pub(crate) id: u16,
    /// `IFF_UP`.
    pub(crate) up: bool,
    /// Its neighbours.
    pub(crate) neigh: NeighTable,
    /// What it counts: packets and bytes, with the Ethernet header on the way out and without on the way in; groups; drops.
    pub(crate) stats: NetdevStats,
}

impl VlanDevice {
    /// A device that is down. `seed` is that of its neighbours' times.
    pub(crate) fn new(oif: OifId, id: u16, seed: u64) -> Self {
        let mut neigh = NeighTable::new(NeighParms::default(), seed);
        neigh.oif = oif;
        Self { oif, id, up: false, neigh, stats: NetdevStats::default() }
    }
}

/// `eth_type_vlan`: whether a tag follows.
pub(crate) fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, ETH_P_8021Q | ETH_P_8021AD)
}

impl Stack {
    /// The VLAN device with this index.
    pub(crate) fn vlan(&mut self, oif: OifId) -> Option<&mut VlanDevice> {
        self.vlans.iter_mut().find(|vlan| vlan.oif == oif)
    }

    /// `dev_queue_xmit` on a VLAN device: it has no queue, and hands on at once what it is given.
    #[inline(never)]
    pub(crate) fn vlan_queue_xmit(&mut self, skb: Skb, oif: OifId) -> NetXmit {
        let active = self.dev.active;
        let Some(vlan) = self.vlan(oif).filter(|vlan| vlan.up) else {
            self.skbs.drop(&mut self.trace, skb, DropReason::DevReady);
            return NetXmit::NetDown;
        };
        if !active {
            // Without carrier below there is none here: the qdisc is `noop`.
            vlan.stats.tx_dropped += 1;
            self.skbs.drop(&mut self.trace, skb, DropReason::QdiscDrop);
            return NetXmit::Cn;
        }
        let tci = vlan.id;
        let mut list = self.validate_of_vlan(skb);
        let mut result = NetXmit::Drop;
        while let Some(skb) = list.pop_front(&mut self.skbs) {
            self.trace_skb::<true>(&skb, "vlan_dev_hard_start_xmit");
            self.skbs[&skb].vlan_tci = Some(tci);
            let bytes = self.skbs[&skb].len() as u64;
            result = self.dev_queue_xmit::<true>(skb);
            let Some(vlan) = self.vlan(oif) else { continue };
            if matches!(result, NetXmit::Success | NetXmit::Cn) {
                vlan.stats.tx_packets += 1;
                vlan.stats.tx_bytes += bytes;
            } else {
                vlan.stats.tx_dropped += 1;
            }
        }
        result
    }

    /// `validate_xmit_skb` of a VLAN device: it offers what the device below does, and takes large packets also where that one does not
    /// cut them itself, as long as it gathers pieces and computes checksums (`vlan_dev_fix_features`).
    fn validate_of_vlan(&mut self, skb: Skb) -> SkbQueue {
        let gathers = self.dev.has(Features::SG) && self.dev.has(Features::HW_CSUM);
        let meta = &self.skbs[&skb];
        if meta.gso_size == 0
            || !gathers
            || meta.ip_summed != IpSummed::Partial
            || self.skbs.has_frag_list(&skb)
        {
            return self.validate_xmit_skb(skb);
        }
        let mut whole = SkbQueue::default();
        whole.push_back(&mut self.skbs, skb);
        whole
    }

    /// `validate_xmit_vlan`: a device that does not put tags on the wire gets them in the frame. `None` when there is no room for
    /// it, and the packet was dropped.
    pub(crate) fn validate_xmit_vlan(&mut self, skb: Skb) -> Option<Skb> {
        if self.dev.has(Features::VLAN_CTAG_TX) || self.skbs[&skb].vlan_tci.is_none() {
            return Some(skb);
        }
        if self.skbs.headroom(&skb) < VLAN_BYTES || self.skbs[&skb].headlen() < ETH_BYTES {
            self.dev.tx_dropped += 1;
            self.skbs.drop(&mut self.trace, skb, DropReason::NoMem);
            return None;
        }
        // `__vlan_hwaccel_push_inside`
        let tci = self.skbs[&skb].vlan_tci.take().unwrap_or_default();
        self.skbs.push(&skb, VLAN_BYTES);
        let frame = self.skbs.linear_mut(&skb);
        frame.copy_within(VLAN_BYTES..VLAN_BYTES + ADDRESSES, 0);
        frame[ADDRESSES..ADDRESSES + 2].copy_from_slice(&ETH_P_8021Q.to_be_bytes());
        frame[ADDRESSES + 2..ADDRESSES + 4].copy_from_slice(&tci.to_be_bytes());
        let meta = &mut self.skbs[&skb];
        (meta.mac_header, meta.protocol) = (meta.data_offset(), ETH_P_8021Q);
        Some(skb)
    }

    /// `vlan_gro_receive`: takes the tag out of a frame that begins with its Ethernet header. Whether there was one.
    pub(crate) fn vlan_untag_frame(&mut self, skb: &Skb) -> bool {
        let frame = self.skbs.linear(skb);
        let Some(&[kind, _, a, b, ..]) = frame.get(ADDRESSES..).and_then(|rest| rest.first_chunk::<6>())
        else {
            return false;
        };
        let low = frame[ADDRESSES + 1];
        if u16::from_be_bytes([kind, low]) != ETH_P_8021Q || self.skbs[skb].vlan_tci.is_some() {
            return false;
        }
        self.skbs.linear_mut(skb).copy_within(..ADDRESSES, VLAN_BYTES);
        let meta = self.skbs.pull(skb, VLAN_BYTES);
        meta.mac_header = meta.data_offset();
        meta.vlan_tci = Some(u16::from_be_bytes([a, b]));
        true
    }

    /// What `__netif_receive_skb_core` does with tags: a packet of a VLAN is its device's from now on; one of a VLAN that nobody
    /// has is for nobody, and a tag that has a priority alone means nothing. The data begins behind the Ethernet header. `None`
    /// when the packet is gone.
    #[cold]
    pub(crate) fn vlan_receive(&mut self, skb: Skb) -> Option<Skb> {
        loop {
            let protocol = self.skbs[&skb].protocol;
            let (tci, kind) = match self.skbs[&skb].vlan_tci.take() {
                Some(tci) => (tci, ETH_P_8021Q),
                None if is_tag(protocol) => match self.skb_vlan_untag(&skb) {
                    Some(tci) => (tci, protocol),
                    None => {
                        self.skbs.drop(&mut self.trace, skb, DropReason::NotSpecified);
                        return None;
                    }
                },
                None => return Some(skb),
            };
            let id = tci & VLAN_VID_MASK;
            let above = kind == ETH_P_8021Q && self.skbs[&skb].iif == OifId::ETH0;
            match self.vlans.iter().position(|vlan| above && vlan.id == id) {
                Some(at) if self.vlan_do_receive(&skb, at) => {}
                Some(_) => {
                    self.skbs.drop(&mut self.trace, skb, DropReason::NotSpecified);
                    return None;
                }
                None if id != 0 => {
                    self.skbs[&skb].pkt_type = PacketType::OtherHost;
                    return Some(skb);
                }
                None => {}
            }
        }
    }

    /// `skb_vlan_untag`: takes a tag off the front of the data.
    fn skb_vlan_untag(&mut self, skb: &Skb) -> Option<u16> {
        let &[a, b, c, d] = self.skbs.linear(skb).first_chunk::<VLAN_BYTES>()?;
        let meta = self.skbs.pull(skb, VLAN_BYTES);
        meta.protocol = u16::from_be_bytes([c, d]);
        meta.network_header = meta.data_offset();
        Some(u16::from_be_bytes([a, b]))
    }

    /// `vlan_do_receive`: the packet is that of a VLAN device. `false` when that is down.
    fn vlan_do_receive(&mut self, skb: &Skb, at: usize) -> bool {
        self.trace_skb::<true>(skb, "vlan_do_receive");
        let Some(vlan) = self.vlans.get_mut(at).filter(|vlan| vlan.up) else { return false };
        let meta = &mut self.skbs[skb];
        meta.iif = vlan.oif;
        vlan.stats.rx_packets += 1;
        vlan.stats.rx_bytes += meta.len() as u64;
        vlan.stats.multicast += u64::from(meta.pkt_type == PacketType::Multicast);
        true
    }

    /// Nobody handles a packet that came in on this device: `rx_dropped` of the core.
    pub(crate) fn count_rx_dropped(&mut self, iif: OifId) {
        match self.vlan(iif) {
            Some(vlan) => vlan.stats.rx_dropped += 1,
            None => self.dev.rx_dropped += 1,
        }
    }
}
