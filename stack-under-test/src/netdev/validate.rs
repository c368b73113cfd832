//! `netif_skb_features`, `validate_xmit_skb`: what a packet needs before the driver may have it (Linux 6.12,
//! `net/core/dev.c`).

use super::features::Features;
use crate::drop_reason::DropReason;
use crate::skb::{GsoType, IpSummed, SkBuff, Skb, SkbQueue};
use crate::stack::Stack;

/// `gso_max_size`, in bytes: a packet of this length, link header included, is not for the device.
pub const GSO_MAX_SIZE: usize = 65_536;
/// From these lengths on, in bytes, a header is too long for the descriptors of igb (`igb_features_check`).
const MAC_HEADER_MAX: u16 = 128;
const NETWORK_HEADER_MAX: u16 = 512;

/// `net_gso_ok`: whether a device with `features` cuts this kind of packet.
fn net_gso_ok(features: Features, gso_type: GsoType) -> bool {
    let needs = [
        (GsoType::TCPV4, Features::TSO),
        (GsoType::TCP_ECN, Features::TSO_ECN),
        (GsoType::UDP_L4, Features::GSO_UDP_L4),
    ];
    // A packet of no kind is one that its maker forgot to describe: software finds out.
    gso_type != GsoType::NONE
        && needs.iter().all(|&(kind, feature)| !gso_type.contains(kind) || features.contains(feature))
}

impl Stack {
    /// `netif_skb_features`: what of the device's features holds for this packet.
    pub(crate) fn netif_skb_features(&self, meta: &SkBuff) -> Features {
        let mut features = self.dev.features.active();
        if meta.gso_size != 0 && meta.len() >= GSO_MAX_SIZE {
            features = features.without(Features::GSO_MASK);
        }
        // `igb_features_check`
        let mac_bytes = meta.network_header.saturating_sub(meta.data_offset());
        let network_bytes = meta.csum_start.saturating_sub(meta.network_header);
        let partial = meta.ip_summed == IpSummed::Partial;
        if mac_bytes >= MAC_HEADER_MAX || (partial && network_bytes >= NETWORK_HEADER_MAX) {
            features = features.without(Features::HW_CSUM.with(Features::GSO_MASK));
        }
        // `harmonize_features`
        if meta.ip_summed != IpSummed::None && !features.contains(Features::HW_CSUM) {
            features = features.without(Features::GSO_MASK);
        }
        features
    }

    /// `validate_xmit_skb`: cuts the packet, makes it linear, or adds its checksum up, as far as the device does not. Gives
    /// the packets that the driver gets; none when it was dropped, and counted.
    #[cold]
    pub(crate) fn validate_xmit_skb(&mut self, skb: Skb) -> SkbQueue {
        let Some(skb) = self.validate_xmit_vlan(skb) else { return SkbQueue::default() };
        let meta = &self.skbs[&skb];
        self.trace.function(meta.packet, "validate_xmit_skb");
        let features = self.netif_skb_features(meta);
        let listed = self.skbs.has_frag_list(&skb);
        let summed_later = meta.ip_summed != IpSummed::None;
        let mut out = SkbQueue::default();
        if meta.gso_size != 0 && (listed || !summed_later || !net_gso_ok(features, meta.gso_type)) {
            return self.skb_gso_segment(skb, features).unwrap_or_else(|skb| {
                self.drop_invalid(skb);
                SkbQueue::default()
            });
        }
        let pieces = meta.nr_frags() > 0 && !features.contains(Features::SG);
        // Pieces that do not fit into one buffer stay pieces: this device can take them. A list of packets it cannot.
        if listed || pieces {
            let linear = self.skbs.skb_linearize(&skb);
            if listed && !linear {
                self.drop_invalid(skb);
                return out;
            }
        }
        if !features.contains(Features::HW_CSUM) {
            self.skb_checksum_help(&skb);
        }
        out.push_back(&mut self.skbs, skb);
        out
    }

    fn drop_invalid(&mut self, skb: Skb) {
        self.dev.tx_dropped += 1;
        self.skbs.drop(&mut self.trace, skb, DropReason::SkbGsoSeg);
    }
}
