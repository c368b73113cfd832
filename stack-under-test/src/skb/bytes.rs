//! The linear bytes of a packet: where its headers stand, and data put before, behind, or taken off.

use super::pool::NONE;
use super::{HEAD_BYTES, IpSummed, SkBuff, Skb, SkbPool};
use crate::wire::ethernet::{HEADER_BYTES as ETH_HEADER_BYTES, Mac};

impl SkbPool {
    #[inline]
    pub(super) fn head_at(&self, skb: &Skb) -> usize {
        self.meta[skb.0 as usize].head_at
    }

    /// The linear data.
    #[inline]
    #[must_use]
    pub fn linear(&self, skb: &Skb) -> &[u8] {
        let meta = &self.meta[skb.0 as usize];
        self.mem.bytes(self.head_at(skb) + usize::from(meta.data), meta.headlen())
    }

    /// The linear data, to be changed.
    #[inline]
    #[must_use]
    pub fn linear_mut(&mut self, skb: &Skb) -> &mut [u8] {
        let at = self.head_at(skb);
        let meta = &self.meta[skb.0 as usize];
        self.mem.bytes_mut(at + usize::from(meta.data), meta.headlen())
    }

    /// The linear data from a header's offset on (`mac_header`, `network_header`, `transport_header`).
    #[inline]
    #[must_use]
    pub fn header(&self, skb: &Skb, offset: u16) -> &[u8] {
        let meta = &self.meta[skb.0 as usize];
        self.mem.bytes(self.head_at(skb) + usize::from(offset), usize::from(meta.tail - offset))
    }

    /// The linear data from a header's offset on, to be changed.
    #[inline]
    #[must_use]
    pub fn header_mut(&mut self, skb: &Skb, offset: u16) -> &mut [u8] {
        let at = self.head_at(skb);
        let meta = &self.meta[skb.0 as usize];
        self.mem.bytes_mut(at + usize::from(offset), usize::from(meta.tail - offset))
    }

    /// Where the linear data lies in the DMA region.
    #[inline]
    #[must_use]
    pub fn linear_offset(&self, skb: &Skb) -> usize {
        self.head_at(skb) + usize::from(self.meta[skb.0 as usize].data)
    }

    /// Room before the data.
    #[inline]
    #[must_use]
    pub fn headroom(&self, skb: &Skb) -> usize {
        usize::from(self.meta[skb.0 as usize].data)
    }

    /// Room behind the linear data.
    #[inline]
    #[must_use]
    pub fn tailroom(&self, skb: &Skb) -> usize {
        HEAD_BYTES - usize::from(self.meta[skb.0 as usize].tail)
    }

    /// `skb_push`: the data begins `n` bytes earlier; gives those bytes.
    ///
    /// # Panics
    /// If there is less room.
    #[inline(always)]
    pub fn push(&mut self, skb: &Skb, n: usize) -> &mut [u8] {
        let meta = &mut self.meta[skb.0 as usize];
        meta.data = meta.data.checked_sub(n as u16).expect("skb_push beyond the headroom");
        meta.len += n as u32;
        let at = meta.head_at + usize::from(meta.data);
        self.mem.bytes_mut(at, n)
    }

    /// Puts an Ethernet header before the data: the destination, and the rest of it (source and type).
    #[inline(always)]
    pub(crate) fn push_eth_header(&mut self, skb: &Skb, dst: &Mac, end: &[u8; 8]) {
        let meta = &mut self.meta[skb.0 as usize];
        let data = meta.data.checked_sub(ETH_HEADER_BYTES as u16).expect("skb_push beyond the headroom");
        meta.data = data;
        meta.len += ETH_HEADER_BYTES as u32;
        meta.mac_header = data;
        let out = self.mem.bytes_mut(meta.head_at + usize::from(data), ETH_HEADER_BYTES);
        out[..6].copy_from_slice(dst);
        out[6..].copy_from_slice(end);
    }

    /// `skb_pull`: the data begins `n` bytes later.
    ///
    /// # Panics
    /// If the linear part is shorter.
    #[inline]
    pub fn pull(&mut self, skb: &Skb, n: usize) -> &mut SkBuff {
        let meta = &mut self.meta[skb.0 as usize];
        assert!(n <= meta.headlen(), "skb_pull beyond the linear data");
        meta.data += n as u16;
        meta.len -= n as u32;
        meta
    }

    /// `skb_put`: the linear data ends `n` bytes later; gives those bytes.
    ///
    /// # Panics
    /// If there is less room.
    #[inline]
    pub fn put(&mut self, skb: &Skb, n: usize) -> &mut [u8] {
        assert!(n <= self.tailroom(skb), "skb_put beyond the tailroom");
        let at = self.head_at(skb) + usize::from(self.meta[skb.0 as usize].tail);
        let meta = &mut self.meta[skb.0 as usize];
        meta.tail += n as u16;
        meta.len += n as u32;
        self.mem.bytes_mut(at, n)
    }

    /// `pskb_trim`: cuts the packet to `len` bytes. Pieces that are no longer needed are given back.
    #[inline(always)]
    pub fn trim(&mut self, skb: &Skb, len: usize) {
        if len < self.meta[skb.0 as usize].len() {
            self.trim_slow(skb, len);
        }
    }

    #[inline(never)]
    fn trim_slow(&mut self, skb: &Skb, len: usize) {
        let slot = skb.0 as usize;
        if self.meta[slot].frag_list != NONE {
            return;
        }
        let headlen = self.meta[slot].headlen();
        let mut left = len.saturating_sub(headlen);
        for i in 0..self.meta[slot].nr_frags() {
            let keep = left.min(usize::from(self.frags[slot][i].len));
            self.frags[slot][i].len = keep as u16;
            left -= keep;
        }
        while let Some(last) = self.meta[slot].nr_frags().checked_sub(1) {
            if self.frags[slot][last].len != 0 {
                break;
            }
            self.put_buf(self.frags[slot][last].buf);
            self.meta[slot].nr_frags -= 1;
        }
        if len < headlen {
            self.meta[slot].tail = self.meta[slot].data + len as u16;
        }
        self.meta[slot].len = len as u32;
    }

    /// Adds up the checksum of a packet of TCP that lies in one piece, and was left to the device: `skb_checksum_help` of most
    /// packets. `false`, and nothing done, for any other.
    #[inline(always)]
    pub(crate) fn checksum_linear(&mut self, skb: &Skb) -> bool {
        const AT: usize = crate::wire::tcp::CHECKSUM_OFFSET;
        let meta = &mut self.meta[skb.0 as usize];
        let len = usize::from(meta.tail.wrapping_sub(meta.csum_start));
        let whole = meta.nr_frags == 0 && meta.frag_list == NONE && len >= crate::wire::tcp::HEADER_BYTES;
        if !whole || meta.ip_summed != IpSummed::Partial || usize::from(meta.csum_offset) != AT {
            return false;
        }
        meta.ip_summed = IpSummed::None;
        let bytes = self.mem.bytes_mut(meta.head_at + usize::from(meta.csum_start), len);
        let check = crate::wire::checksum::checksum(bytes);
        bytes[AT..AT + 2].copy_from_slice(&check.to_be_bytes());
        true
    }

    /// Copies `bytes` behind the linear data: the one copy of an application's bytes.
    #[inline]
    pub fn copy_in(&mut self, skb: &Skb, bytes: &[u8]) {
        self.copied_bytes += bytes.len() as u64;
        self.put(skb, bytes.len()).copy_from_slice(bytes);
    }
}
