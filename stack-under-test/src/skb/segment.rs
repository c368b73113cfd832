//! `skb_segment` and `__skb_linearize`: one large packet as many, and a packet in pieces as one run (Linux 6.12,
//! `net/core/skbuff.c`).

use super::pool::truesize;
use super::{Frag, MAX_HEADER, Skb, SkbPool, SkbQueue};

/// Walks over the bytes of a packet behind its headers, buffer by buffer.
struct Cursor {
    /// 0 is the linear part, n the piece n - 1.
    run: usize,
    /// Bytes of that run which are behind the cursor.
    at: u16,
}

impl SkbPool {
    /// Cuts a packet into segments of at most `mss` bytes behind the first `header_len` bytes of its data, which lie in its
    /// linear part. Each segment has a fresh buffer with a copy of the headers, and refers to the buffers of the rest; with
    /// `gather` off what fits into the linear part is copied there. What the layers know of the packet they know of each
    /// segment, the charge and what says that it is large aside. `None` when memory is out, or when the packet is not one
    /// that can be cut: then nothing was made.
    pub fn skb_segment(
        &mut self,
        skb: &Skb,
        header_len: usize,
        mss: usize,
        gather: bool,
    ) -> Option<SkbQueue> {
        let meta = &self.meta[skb.0 as usize];
        if mss == 0 || header_len > meta.headlen() || header_len > MAX_HEADER || self.has_frag_list(skb) {
            return None;
        }
        let mut left = meta.len() - header_len;
        let mut cursor = Cursor { run: 0, at: header_len as u16 };
        let mut out = SkbQueue::default();
        while left > 0 {
            let take = left.min(mss);
            let Some(segment) = self.one_segment(skb, header_len, take, (&mut cursor, gather)) else {
                while let Some(made) = out.pop_front(self) {
                    self.free(made.0);
                }
                return None;
            };
            out.push_back(self, segment);
            left -= take;
        }
        Some(out)
    }

    fn one_segment(
        &mut self,
        skb: &Skb,
        header_len: usize,
        len: usize,
        (cursor, gather): (&mut Cursor, bool),
    ) -> Option<Skb> {
        let out = self.alloc()?;
        self.describe_segment(skb, &out, header_len);
        self.meta[out.0 as usize].truesize = truesize(MAX_HEADER as u32) + len as u32;
        let copies = !gather && len <= self.tailroom(&out);
        let mut left = len;
        while left > 0 {
            let Some(run) = self.run(skb, cursor.run) else {
                self.free(out.0);
                return None;
            };
            let take = left.min(usize::from(run.len - cursor.at));
            if take == 0 {
                *cursor = Cursor { run: cursor.run + 1, at: 0 };
                continue;
            }
            let frag = Frag { buf: run.buf, offset: run.offset + cursor.at, len: take as u16 };
            if copies {
                self.copy_behind(&out, &frag);
            } else if !self.refer_behind(&out, frag) {
                self.free(out.0);
                return None;
            }
            cursor.at += take as u16;
            left -= take;
        }
        Some(out)
    }

    /// A run of a packet's bytes: 0 is the linear part, n the piece n - 1.
    fn run(&self, skb: &Skb, n: usize) -> Option<Frag> {
        let meta = &self.meta[skb.0 as usize];
        match n.checked_sub(1) {
            None => Some(Frag { buf: meta.head, offset: meta.data, len: meta.tail - meta.data }),
            Some(at) => self.frags(skb).get(at).copied(),
        }
    }

    /// Adds a piece of somebody else's buffer behind a packet, with a reference of its own. `false` when there are too many.
    fn refer_behind(&mut self, skb: &Skb, frag: Frag) -> bool {
        let slot = skb.0 as usize;
        // The next run of the same buffer continues the piece before: the segment is one piece then.
        if let Some(last) = self.meta[slot].nr_frags().checked_sub(1) {
            let last = &mut self.frags[slot][last];
            if last.buf == frag.buf && last.offset + last.len == frag.offset {
                last.len += frag.len;
                self.meta[slot].len += u32::from(frag.len);
                return true;
            }
        }
        self.get_buf(frag.buf);
        let added = self.add_frag(skb, frag);
        if !added {
            self.put_buf(frag.buf);
        }
        added
    }

    /// Copies a piece of somebody else's buffer behind the linear data of a packet, which has room.
    fn copy_behind(&mut self, skb: &Skb, frag: &Frag) {
        let len = usize::from(frag.len);
        let from = self.buf_offset(frag.buf) + usize::from(frag.offset);
        let to = self.head_at(skb) + usize::from(self.meta[skb.0 as usize].tail);
        self.put(skb, len);
        self.copied_bytes += len as u64;
        self.move_bytes(from, to, len);
    }

    fn move_bytes(&mut self, from: usize, to: usize, len: usize) {
        let low = from.min(to);
        let span = self.mem.bytes_mut(low, from.max(to) + len - low);
        span.copy_within(from - low..from - low + len, to - low);
    }

    /// `__copy_skb_header`: the headers of `skb` before the data of `out`, and what the layers know.
    fn describe_segment(&mut self, skb: &Skb, out: &Skb, header_len: usize) {
        let start = (MAX_HEADER - header_len) as u16;
        self.push(out, header_len);
        let slots = [skb.0 as usize, out.0 as usize];
        let Ok([from, meta]) = self.meta.get_disjoint_mut(slots) else { return };
        let shifted = |offset: u16| offset.wrapping_sub(from.data).wrapping_add(start);
        meta.mac_header = shifted(from.mac_header);
        meta.network_header = shifted(from.network_header);
        meta.transport_header = shifted(from.transport_header);
        meta.csum_start = shifted(from.csum_start);
        meta.csum_offset = from.csum_offset;
        meta.ip_summed = from.ip_summed;
        meta.protocol = from.protocol;
        (meta.priority, meta.mark) = (from.priority, from.mark);
        (meta.pkt_type, meta.iif, meta.vlan_tci) = (from.pkt_type, from.iif, from.vlan_tci);
        (meta.queue_mapping, meta.ignore_df) = (from.queue_mapping, from.ignore_df);
        (meta.tstamp, meta.dst) = (from.tstamp, from.dst);
        let (from, to) = (from.head_at + usize::from(from.data), meta.head_at + usize::from(start));
        self.move_bytes(from, to, header_len);
    }

    /// `skb_gso_network_seglen`: the bytes of the longest segment from its IP header on, the transport header being that of
    /// TCP or UDP.
    #[must_use]
    pub fn gso_network_seglen(&self, skb: &Skb) -> usize {
        let meta = &self.meta[skb.0 as usize];
        let tcp = self.header(skb, meta.network_header).get(9) == Some(&6);
        let l4 = match self.header(skb, meta.transport_header).get(12) {
            Some(offset) if tcp => usize::from(offset >> 4) * 4,
            _ => 8,
        };
        usize::from(meta.transport_header - meta.network_header) + l4 + usize::from(meta.gso_size)
    }

    /// `__skb_linearize`: all bytes in the linear part. `false`, and nothing changed, when they do not fit there: a buffer
    /// here has [`super::HEAD_BYTES`], where Linux would take a larger one.
    pub fn skb_linearize(&mut self, skb: &Skb) -> bool {
        let meta = &self.meta[skb.0 as usize];
        let (len, headlen) = (meta.len(), meta.headlen());
        if len == headlen {
            return true;
        }
        if len - headlen > self.tailroom(skb) {
            return false;
        }
        let mut rest = alloc::vec![0; len - headlen];
        self.copy_out(skb, headlen, &mut rest);
        let mut list = self.take_frag_list(skb);
        while let Some(part) = list.pop_front(self) {
            self.free(part.0);
        }
        self.trim(skb, headlen);
        self.copy_in(skb, &rest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HEAD_BYTES, IpSummed, PoolConfig};
    use super::*;
    use crate::dma::DmaMemory;
    use crate::trace::Trace;
    use alloc::vec::Vec;
    use rstest::rstest;

    fn pool() -> SkbPool {
        let config = PoolConfig { skbs: 64, heads: 64, pages: 8, coherent_bytes: 4096 };
        SkbPool::new(DmaMemory::zeroed(config.bytes(), 0x1000_0000), &config)
    }

    fn counting(from: usize, len: usize) -> Vec<u8> {
        (from..from + len).map(|i| (i % 251) as u8).collect()
    }

    /// 54 bytes of headers, `linear` bytes behind them, and the rest in pages; the payload counts from 0.
    fn large(pool: &mut SkbPool, linear: usize, paged: usize) -> Skb {
        let skb = pool.alloc().expect("memory");
        pool.put(&skb, 54).fill(0xAB);
        pool.copy_in(&skb, &counting(0, linear));
        for page in counting(linear, paged).chunks(4096) {
            assert!(pool.copy_in_page(&skb, page));
        }
        let meta = &mut pool[&skb];
        (meta.mac_header, meta.network_header) = (meta.data, meta.data + 14);
        (meta.transport_header, meta.csum_start, meta.csum_offset) = (meta.data + 34, meta.data + 34, 16);
        (meta.mark, meta.ip_summed, meta.protocol) = (7, IpSummed::Partial, 0x0800);
        skb
    }

    fn bytes(pool: &SkbPool, skb: &Skb) -> Vec<u8> {
        let mut out = alloc::vec![0; pool[skb].len()];
        pool.copy_out(skb, 0, &mut out);
        out
    }

    #[rstest]
    #[case::all_in_pages(0, 10_000, 1448, &[1448, 1448, 1448, 1448, 1448, 1448, 1312])]
    #[case::half_in_the_linear_part(1500, 1500, 1000, &[1000, 1000, 1000])]
    #[case::all_linear(1000, 0, 300, &[300, 300, 300, 100])]
    #[case::one_more_byte_than_a_segment(0, 1449, 1448, &[1448, 1])]
    #[case::no_more_than_a_segment(0, 100, 1448, &[100])]
    fn the_payload_is_cut_and_not_copied(
        #[case] linear: usize,
        #[case] paged: usize,
        #[case] mss: usize,
        #[case] lengths: &[usize],
    ) {
        let mut pool = pool();
        let skb = large(&mut pool, linear, paged);
        let copied = pool.copied_bytes;
        let mut list = pool.skb_segment(&skb, 54, mss, true).expect("memory");
        pool.consume(&mut Trace::default(), skb);
        let (mut payload, mut seen) = (Vec::new(), Vec::new());
        while let Some(segment) = list.pop_front(&mut pool) {
            let all = bytes(&pool, &segment);
            assert_eq!((&all[..54], pool[&segment].headlen()), (&[0xAB; 54][..], 54));
            assert_eq!(pool[&segment].mark, 7);
            let meta = &pool[&segment];
            let data = meta.data_offset();
            assert_eq!((meta.mac_header, meta.network_header - data, meta.csum_start - data), (data, 14, 34));
            seen.push(all.len() - 54);
            payload.extend_from_slice(&all[54..]);
            pool.consume(&mut Trace::default(), segment);
        }
        assert_eq!((seen, payload), (lengths.to_vec(), counting(0, linear + paged)));
        assert_eq!((pool.copied_bytes, pool.in_flight()), (copied, 0));
        assert_eq!((0..9).map_while(|_| pool.alloc_page()).count(), 8, "every page is free again");
    }

    #[test]
    fn a_device_that_does_not_gather_gets_copies() {
        let mut pool = pool();
        let skb = large(&mut pool, 0, 5000);
        let copied = pool.copied_bytes;
        let mut list = pool.skb_segment(&skb, 54, 1448, false).expect("memory");
        assert_eq!(pool.copied_bytes, copied + 5000);
        let mut payload = Vec::new();
        while let Some(segment) = list.pop_front(&mut pool) {
            assert_eq!(pool[&segment].nr_frags(), 0);
            payload.extend_from_slice(&bytes(&pool, &segment)[54..]);
            pool.consume(&mut Trace::default(), segment);
        }
        assert_eq!(payload, counting(0, 5000));
        pool.consume(&mut Trace::default(), skb);
    }

    #[test]
    fn nothing_is_left_when_memory_runs_out_on_the_way() {
        let mut pool = pool();
        let skb = large(&mut pool, 0, 10_000);
        let (heads, in_flight) = (pool.free_heads(), pool.in_flight());
        assert!(pool.skb_segment(&skb, 54, 100, true).is_none(), "100 segments, 64 packets");
        assert_eq!((pool.free_heads(), pool.in_flight()), (heads, in_flight));
        pool.consume(&mut Trace::default(), skb);
        assert_eq!((0..9).map_while(|_| pool.alloc_page()).count(), 8);
    }

    #[rstest]
    #[case::pieces_that_fit(100, 1000, true)]
    #[case::more_than_a_buffer_holds(100, HEAD_BYTES, false)]
    #[case::nothing_to_do(100, 0, true)]
    fn a_packet_is_made_linear_when_it_fits(#[case] linear: usize, #[case] paged: usize, #[case] fits: bool) {
        let mut pool = pool();
        let skb = large(&mut pool, linear, paged);
        let before = bytes(&pool, &skb);
        assert_eq!(pool.skb_linearize(&skb), fits);
        assert_eq!((bytes(&pool, &skb), pool[&skb].nr_frags() == 0), (before, fits));
        pool.consume(&mut Trace::default(), skb);
    }
}
