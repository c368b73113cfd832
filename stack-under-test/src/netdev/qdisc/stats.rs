//! What `tc -s qdisc` shows, and the length that a qdisc sees of a packet.

use crate::skb::{Skb, SkbPool};

/// The counters of a qdisc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QdiscStats {
    /// `Sent … bytes`: what left it, or went past it; headers of the link layer included.
    pub bytes: u64,
    /// `Sent … pkt`; a large packet counts as its segments.
    pub packets: u64,
    /// `dropped`.
    pub drops: u64,
    /// `overlimits`: how often it had a packet and did not give it.
    pub overlimits: u64,
    /// `requeues`: how often the driver had no room.
    pub requeues: u64,
    /// `backlog … b`: bytes that lie in it.
    pub backlog: u64,
    /// `backlog … p`: packets that lie in it.
    pub qlen: u32,
}

impl QdiscStats {
    pub(super) fn inserted(&mut self, len: u32) {
        self.qlen += 1;
        self.backlog += u64::from(len);
    }

    pub(super) fn removed(&mut self, len: u32) {
        self.qlen = self.qlen.saturating_sub(1);
        self.backlog = self.backlog.saturating_sub(u64::from(len));
    }

    /// `bstats_update`.
    #[inline(always)]
    pub(super) fn sent(&mut self, len: u32, segs: u32) {
        self.bytes += u64::from(len);
        self.packets += u64::from(segs);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.packets += other.packets;
        self.drops += other.drops;
        self.overlimits += other.overlimits;
        self.requeues += other.requeues;
        self.backlog += other.backlog;
        self.qlen += other.qlen;
    }
}

/// What a qdisc knows of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacketInfo {
    /// `qdisc_pkt_len`: the packet with its Ethernet header; a large one with the headers of all its segments.
    pub len: u32,
    /// How many packets it counts as.
    pub segs: u32,
    /// The length of its longest segment; `len` of one that is not to be cut.
    pub seg_len: u32,
}

impl PacketInfo {
    #[inline(always)]
    pub fn of(skbs: &SkbPool, skb: &Skb) -> Self {
        let meta = &skbs[skb];
        let len = meta.len() as u32;
        if meta.gso_size == 0 { Self { len, segs: 1, seg_len: len } } else { Self::of_large(skbs, skb) }
    }

    /// `qdisc_pkt_len_init`.
    #[cold]
    fn of_large(skbs: &SkbPool, skb: &Skb) -> Self {
        let meta = &skbs[skb];
        let before = meta.transport_header.saturating_sub(meta.data_offset());
        let tcp = skbs.header(skb, meta.network_header).get(9) == Some(&6);
        let l4 = match skbs.header(skb, meta.transport_header).get(12) {
            Some(offset) if tcp => u32::from(offset >> 4) * 4,
            _ => 8,
        };
        let headers = u32::from(before) + l4;
        let segs = u32::from(meta.gso_segs).max(1);
        let len = (meta.len() as u32).saturating_add((segs - 1) * headers);
        Self { len, segs, seg_len: headers + u32::from(meta.gso_size) }
    }
}
