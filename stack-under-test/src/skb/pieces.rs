//! The bytes of a packet beyond its linear part: pieces of page buffers, a list of fragments, and copies over all of them.

use super::pool::NONE;
use super::{Frag, MAX_SKB_FRAGS, PAGE_BYTES, Skb, SkbPool, SkbQueue};
use alloc::vec::Vec;

impl SkbPool {
    /// The pieces of page buffers.
    #[inline]
    #[must_use]
    pub fn frags(&self, skb: &Skb) -> &[Frag] {
        &self.frags[skb.0 as usize][..self.meta[skb.0 as usize].nr_frags()]
    }

    /// Adds a piece behind the data; takes over one reference to its buffer. `false`, and nothing taken, when there are
    /// [`MAX_SKB_FRAGS`] already.
    pub fn add_frag(&mut self, skb: &Skb, frag: Frag) -> bool {
        let slot = skb.0 as usize;
        let n = self.meta[slot].nr_frags();
        if n == MAX_SKB_FRAGS {
            return false;
        }
        self.frags[slot][n] = frag;
        self.meta[slot].nr_frags += 1;
        self.meta[slot].len += u32::from(frag.len);
        true
    }

    /// The bytes of a piece.
    #[inline]
    #[must_use]
    pub fn frag_bytes(&self, frag: &Frag) -> &[u8] {
        self.mem.bytes(self.buf_offset(frag.buf) + usize::from(frag.offset), usize::from(frag.len))
    }

    /// Copies `bytes` into a fresh page buffer and adds it as a piece; at most [`PAGE_BYTES`]. `false` when memory or
    /// pieces are out.
    pub fn copy_in_page(&mut self, skb: &Skb, bytes: &[u8]) -> bool {
        let Some(buf) = self.alloc_page() else { return false };
        let at = self.buf_offset(buf);
        self.copied_bytes += bytes.len() as u64;
        self.mem.bytes_mut(at, bytes.len()).copy_from_slice(bytes);
        let added = self.add_frag(skb, Frag { buf, offset: 0, len: bytes.len() as u16 });
        if !added {
            self.put_buf(buf);
        }
        added
    }

    /// Gives every run of bytes from `skip` on to `f`, in order: linear, pieces, then the list of fragments (each without
    /// the `list_skip` bytes at its start).
    pub fn for_each_run(&self, skb: &Skb, skip: usize, f: &mut dyn FnMut(&[u8])) {
        let mut skip = skip;
        let mut run = |bytes: &[u8]| {
            let from = skip.min(bytes.len());
            skip -= from;
            if from < bytes.len() {
                f(&bytes[from..]);
            }
        };
        let mut slot = skb.0;
        let mut first = true;
        while slot != NONE {
            let meta = &self.meta[slot as usize];
            run(self.mem.bytes(meta.head_at + usize::from(meta.data), meta.headlen()));
            for frag in &self.frags[slot as usize][..meta.nr_frags()] {
                run(self.frag_bytes(frag));
            }
            slot = if first { meta.frag_list } else { meta.next };
            first = false;
        }
    }

    /// The pieces of buffers that hold `len` bytes from `skip` on, in order; no reference is taken.
    #[must_use]
    pub fn pieces(&self, skb: &Skb, skip: usize, len: usize) -> Vec<Frag> {
        let (mut skip, mut left, mut out) = (skip, len, Vec::new());
        let mut slot = skb.0;
        let mut first = true;
        while slot != NONE && left > 0 {
            let meta = &self.meta[slot as usize];
            let linear = Frag { buf: meta.head, offset: meta.data, len: meta.tail - meta.data };
            for run in core::iter::once(&linear).chain(&self.frags[slot as usize][..meta.nr_frags()]) {
                let from = skip.min(usize::from(run.len));
                skip -= from;
                let take = left.min(usize::from(run.len) - from);
                if take > 0 {
                    out.push(Frag { buf: run.buf, offset: run.offset + from as u16, len: take as u16 });
                    left -= take;
                }
            }
            slot = if first { meta.frag_list } else { meta.next };
            first = false;
        }
        out
    }

    /// Copies out up to `out.len()` bytes from `skip` on; gives how many there were.
    pub fn copy_out(&self, skb: &Skb, skip: usize, out: &mut [u8]) -> usize {
        let mut at = 0;
        self.for_each_run(skb, skip, &mut |bytes| {
            let n = bytes.len().min(out.len() - at);
            out[at..at + n].copy_from_slice(&bytes[..n]);
            at += n;
        });
        at
    }

    /// `skb_copy`: a packet of its own with the same bytes, for a second receiver. `None` when memory is out.
    pub fn copy(&mut self, skb: &Skb) -> Option<Skb> {
        let copy = self.alloc()?;
        let from = self.meta[skb.0 as usize].clone();
        let before = usize::from(from.data - from.network_header.min(from.data));
        let mut bytes = alloc::vec![0; from.len() + before];
        bytes[..before].copy_from_slice(&self.header(skb, from.data - before as u16)[..before]);
        self.copy_out(skb, 0, &mut bytes[before..]);
        self.copied_bytes += bytes.len() as u64;
        let linear = bytes.len().min(self.tailroom(&copy));
        self.put(&copy, linear).copy_from_slice(&bytes[..linear]);
        for page in bytes[linear..].chunks(PAGE_BYTES) {
            if !self.copy_in_page(&copy, page) {
                self.free(copy.0);
                return None;
            }
        }
        let meta = &mut self.meta[copy.0 as usize];
        meta.network_header = meta.data;
        meta.protocol = from.protocol;
        meta.ip_summed = from.ip_summed;
        meta.pkt_type = from.pkt_type;
        meta.iif = from.iif;
        meta.truesize = from.truesize;
        meta.tstamp = from.tstamp;
        (meta.gso_size, meta.gso_segs, meta.gso_type) = (from.gso_size, from.gso_segs, from.gso_type);
        self.pull(&copy, before);
        let meta = &mut self.meta[copy.0 as usize];
        meta.transport_header = meta.data;
        Some(copy)
    }

    /// Makes `list` the fragments of `skb` (`skb_shinfo(skb)->frag_list`): their bytes count as its own.
    pub fn set_frag_list(&mut self, skb: &Skb, list: &mut SkbQueue) {
        let mut added = 0;
        let mut last = NONE;
        while let Some(part) = list.pop_front(self) {
            added += self.meta[part.0 as usize].len;
            if last == NONE {
                self.meta[skb.0 as usize].frag_list = part.0;
            } else {
                self.meta[last as usize].next = part.0;
            }
            last = part.0;
        }
        self.meta[skb.0 as usize].len += added;
    }

    /// Puts a packet with all that was put behind it behind `last`, which is `skb` or the last that was put behind it: it lives
    /// as long as `skb`.
    #[inline]
    pub(crate) fn append(&mut self, skb: &Skb, last: u32, part: Skb) {
        let part_meta = &mut self.meta[part.0 as usize];
        let len = part_meta.len;
        part_meta.next = core::mem::replace(&mut part_meta.frag_list, NONE);
        let link = &mut self.meta[last as usize];
        if last == skb.0 {
            link.frag_list = part.0;
        } else {
            link.next = part.0;
        }
        self.meta[skb.0 as usize].len += len;
    }

    /// Whether the packet carries a list of fragments.
    #[inline]
    #[must_use]
    pub fn has_frag_list(&self, skb: &Skb) -> bool {
        self.meta[skb.0 as usize].frag_list != NONE
    }

    /// Takes the list of fragments out again.
    pub fn take_frag_list(&mut self, skb: &Skb) -> SkbQueue {
        let mut list = SkbQueue::default();
        let mut slot = core::mem::replace(&mut self.meta[skb.0 as usize].frag_list, NONE);
        while slot != NONE {
            let next = self.meta[slot as usize].next;
            self.meta[skb.0 as usize].len -= self.meta[slot as usize].len;
            list.push_back(self, Skb(slot));
            slot = next;
        }
        list
    }
}
