//! Where packets come from and go back to: descriptions, counted buffers in DMA memory, and what sockets are charged.

use super::{BufId, Charge, Frag, HEAD_BYTES, MAX_HEADER, MAX_SKB_FRAGS, PAGE_BYTES, SkBuff, Skb, SkbQueue};
use crate::dma::DmaMemory;
use crate::drop_reason::DropReason;
use crate::trace::{Step, Trace};
use crate::wire::ethernet::{HEADER_BYTES as ETH_HEADER_BYTES, Mac};
use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

pub(crate) const NONE: u32 = u32::MAX;

/// How much there is of everything; all of it is taken at the start.
#[derive(Clone, Copy, Debug)]
pub struct PoolConfig {
    /// Packets that can be in flight.
    pub skbs: u32,
    /// Linear buffers of [`HEAD_BYTES`], those in receive rings included.
    pub heads: u32,
    /// Page buffers of [`PAGE_BYTES`].
    pub pages: u32,
    /// Bytes for descriptor rings.
    pub coherent_bytes: u32,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { skbs: 4096, heads: 4096, pages: 512, coherent_bytes: 512 * 1024 }
    }
}

impl PoolConfig {
    /// The bytes of DMA memory that this takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.coherent_bytes as usize + self.heads as usize * HEAD_BYTES + self.pages as usize * PAGE_BYTES
    }
}

/// Memory for descriptors that both sides read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coherent {
    /// Where it begins in the DMA region.
    pub offset: usize,
    /// Its size in bytes.
    pub len: usize,
}

/// What a socket is charged with, and whether it waits for room.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketCharge {
    /// `sk_wmem_alloc` without its initial one: bytes of truesize on the way out.
    pub wmem: u32,
    /// `sk_rmem_alloc`: bytes of truesize in the receive queue.
    pub rmem: u32,
    /// `SOCK_NOSPACE`: tell the socket when memory on the way out is freed.
    pub nospace: bool,
}

/// Packets, their buffers, and the sockets' accounts.
#[derive(Debug)]
pub struct SkbPool {
    /// The memory that the device can reach.
    pub mem: DmaMemory,
    pub(crate) meta: Vec<SkBuff>,
    frags: Vec<[Frag; MAX_SKB_FRAGS]>,
    free_meta: Vec<u32>,
    /// Free descriptions that kept their linear buffer, with its one reference: a packet is made of one fastest.
    whole: Vec<u32>,
    refs: Vec<u16>,
    free_heads: Vec<u32>,
    free_pages: Vec<u32>,
    heads: u32,
    heads_at: usize,
    pages_at: usize,
    coherent_free: Vec<Coherent>,
    /// A charge per socket slot.
    pub charges: Vec<SocketCharge>,
    /// Sockets that waited for room, and of whose memory some was freed since this was last emptied.
    pub woken: Vec<u32>,
    /// Bytes that were copied from applications into packets, or between packets.
    pub copied_bytes: u64,
}

impl Index<&Skb> for SkbPool {
    type Output = SkBuff;
    #[inline]
    fn index(&self, skb: &Skb) -> &SkBuff {
        &self.meta[skb.0 as usize]
    }
}

impl IndexMut<&Skb> for SkbPool {
    #[inline]
    fn index_mut(&mut self, skb: &Skb) -> &mut SkBuff {
        &mut self.meta[skb.0 as usize]
    }
}

impl SkbPool {
    /// Divides `mem` up as `config` says.
    ///
    /// # Panics
    /// If `mem` is smaller than [`PoolConfig::bytes`].
    #[must_use]
    pub fn new(mem: DmaMemory, config: &PoolConfig) -> Self {
        assert!(mem.len() >= config.bytes(), "the DMA region is smaller than the pool's configuration");
        let coherent = config.coherent_bytes as usize;
        let heads_at = coherent;
        let pages_at = heads_at + config.heads as usize * HEAD_BYTES;
        Self {
            mem,
            meta: alloc::vec![SkBuff::EMPTY; config.skbs as usize],
            frags: alloc::vec![[Frag::EMPTY; MAX_SKB_FRAGS]; config.skbs as usize],
            free_meta: (0..config.skbs).rev().collect(),
            whole: Vec::with_capacity(config.skbs as usize),
            refs: alloc::vec![0; (config.heads + config.pages) as usize],
            free_heads: (0..config.heads).rev().collect(),
            free_pages: (config.heads..config.heads + config.pages).rev().collect(),
            heads: config.heads,
            heads_at,
            pages_at,
            coherent_free: alloc::vec![Coherent { offset: 0, len: coherent }],
            charges: Vec::new(),
            woken: Vec::new(),
            copied_bytes: 0,
        }
    }

    // Buffers.

    /// Takes a linear buffer, with one reference.
    #[inline(always)]
    pub fn alloc_head(&mut self) -> Option<BufId> {
        if self.free_heads.is_empty() {
            self.take_apart()?;
        }
        let buf = self.free_heads.pop()?;
        self.refs[buf as usize] = 1;
        Some(BufId(buf))
    }

    /// Takes a page buffer, with one reference.
    #[inline]
    pub fn alloc_page(&mut self) -> Option<BufId> {
        let buf = self.free_pages.pop()?;
        self.refs[buf as usize] = 1;
        Some(BufId(buf))
    }

    /// One more reference to a buffer.
    #[inline]
    pub fn get_buf(&mut self, buf: BufId) {
        self.refs[buf.0 as usize] += 1;
    }

    /// One reference less; the last one gives it back.
    #[inline(always)]
    pub fn put_buf(&mut self, buf: BufId) {
        let refs = &mut self.refs[buf.0 as usize];
        *refs -= 1;
        if *refs == 0 {
            if buf.0 < self.heads { self.free_heads.push(buf.0) } else { self.free_pages.push(buf.0) }
        }
    }

    /// Where a buffer begins in the DMA region.
    #[inline(always)]
    #[must_use]
    pub fn buf_offset(&self, buf: BufId) -> usize {
        if buf.0 < self.heads {
            self.heads_at + buf.0 as usize * HEAD_BYTES
        } else {
            self.pages_at + (buf.0 - self.heads) as usize * PAGE_BYTES
        }
    }

    /// Linear buffers that are free.
    #[must_use]
    pub fn free_heads(&self) -> usize {
        self.free_heads.len() + self.whole.len()
    }

    /// Takes `len` bytes for a descriptor ring, aligned to a page, zeroed.
    pub fn alloc_coherent(&mut self, len: usize) -> Option<Coherent> {
        let len = len.next_multiple_of(crate::dma::PAGE_BYTES);
        let at = self.coherent_free.iter().position(|free| free.len >= len)?;
        let free = &mut self.coherent_free[at];
        let taken = Coherent { offset: free.offset, len };
        free.offset += len;
        free.len -= len;
        if free.len == 0 {
            self.coherent_free.remove(at);
        }
        self.mem.bytes_mut(taken.offset, taken.len).fill(0);
        Some(taken)
    }

    /// Gives a ring's memory back.
    pub fn free_coherent(&mut self, region: Coherent) {
        let at = self.coherent_free.partition_point(|free| free.offset < region.offset);
        self.coherent_free.insert(at, region);
        let merge = |list: &mut Vec<Coherent>, i: usize| {
            if i + 1 < list.len() && list[i].offset + list[i].len == list[i + 1].offset {
                list[i].len += list[i + 1].len;
                list.remove(i + 1);
            }
        };
        merge(&mut self.coherent_free, at);
        if at > 0 {
            merge(&mut self.coherent_free, at - 1);
        }
    }

    // Packets.

    #[inline]
    fn alloc_on(&mut self, head: BufId, data: u16) -> Option<Skb> {
        if self.free_meta.is_empty() {
            self.take_apart()?;
        }
        let slot = self.free_meta.pop()?;
        let head_at = self.buf_offset(head);
        let meta = &mut self.meta[slot as usize];
        meta.head = head;
        meta.head_at = head_at;
        meta.data = data;
        meta.tail = data;
        meta.nr_frags = 0;
        meta.len = 0;
        meta.next = NONE;
        meta.frag_list = NONE;
        meta.protocol = 0;
        meta.priority = 0;
        meta.mark = 0;
        meta.ip_summed = super::IpSummed::None;
        meta.pkt_type = super::PacketType::Host;
        meta.iif = crate::route::OifId::ETH0;
        meta.sk = NONE;
        meta.charge = Charge::None;
        meta.queue_mapping = 0;
        meta.ignore_df = false;
        meta.gso_size = 0;
        meta.gso_segs = 0;
        meta.frag_max_size = 0;
        meta.dst = None;
        meta.packet = 0;
        meta.truesize = 0;
        Some(Skb(slot))
    }

    /// A packet without data, with [`MAX_HEADER`] bytes of room for headers. `None` when memory is out.
    #[inline]
    pub fn alloc(&mut self) -> Option<Skb> {
        if self.free_meta.is_empty() && self.whole.is_empty() {
            return None;
        }
        let head = self.alloc_head()?;
        self.alloc_on(head, MAX_HEADER as u16)
    }

    /// A packet around a buffer that the device filled with `len` bytes at `offset`; takes the buffer's reference over.
    /// Gives the buffer back when there is no description left.
    ///
    /// # Errors
    /// With the buffer, when no description is left.
    #[inline]
    pub fn build_skb(&mut self, buf: BufId, offset: usize, len: usize) -> Result<Skb, BufId> {
        debug_assert!(buf.0 < self.heads && offset + len <= HEAD_BYTES);
        let skb = self.alloc_on(buf, offset as u16).ok_or(buf)?;
        let meta = &mut self.meta[skb.0 as usize];
        meta.tail += len as u16;
        meta.len = len as u32;
        meta.mac_header = offset as u16;
        meta.truesize = HEAD_BYTES as u32 + SKB_DESCRIPTION_BYTES;
        Ok(skb)
    }

    /// Packets that were made and not freed.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.meta.len() - self.free_meta.len() - self.whole.len()
    }

    #[inline]
    fn head_at(&self, skb: &Skb) -> usize {
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

    /// The pieces of page buffers.
    #[inline]
    #[must_use]
    pub fn frags(&self, skb: &Skb) -> &[Frag] {
        &self.frags[skb.0 as usize][..self.meta[skb.0 as usize].nr_frags()]
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

    /// Puts an Ethernet header before the data: its addresses (destination, source) and type.
    #[inline(always)]
    pub(crate) fn push_eth_header(&mut self, skb: &Skb, (dst, src): (&Mac, &Mac), ethertype: u16) {
        let meta = &mut self.meta[skb.0 as usize];
        let data = meta.data.checked_sub(ETH_HEADER_BYTES as u16).expect("skb_push beyond the headroom");
        meta.data = data;
        meta.len += ETH_HEADER_BYTES as u32;
        meta.mac_header = data;
        meta.protocol = ethertype;
        let out = self.mem.bytes_mut(meta.head_at + usize::from(data), ETH_HEADER_BYTES);
        out[..6].copy_from_slice(dst);
        out[6..12].copy_from_slice(src);
        out[12..].copy_from_slice(&ethertype.to_be_bytes());
    }

    /// `skb_pull`: the data begins `n` bytes later.
    ///
    /// # Panics
    /// If the linear part is shorter.
    #[inline]
    pub fn pull(&mut self, skb: &Skb, n: usize) {
        let meta = &mut self.meta[skb.0 as usize];
        assert!(n <= meta.headlen(), "skb_pull beyond the linear data");
        meta.data += n as u16;
        meta.len -= n as u32;
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
    pub fn trim(&mut self, skb: &Skb, len: usize) {
        let slot = skb.0 as usize;
        if len >= self.meta[slot].len() || self.meta[slot].frag_list != NONE {
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
    #[must_use]
    pub fn frag_bytes(&self, frag: &Frag) -> &[u8] {
        self.mem.bytes(self.buf_offset(frag.buf) + usize::from(frag.offset), usize::from(frag.len))
    }

    /// Copies `bytes` behind the linear data: the one copy of an application's bytes.
    #[inline]
    pub fn copy_in(&mut self, skb: &Skb, bytes: &[u8]) {
        self.copied_bytes += bytes.len() as u64;
        self.put(skb, bytes.len()).copy_from_slice(bytes);
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

    /// Charges a packet on its way out to a socket.
    #[inline]
    pub fn set_owner_w(&mut self, skb: &Skb, sk: u32) {
        let meta = &mut self.meta[skb.0 as usize];
        meta.sk = sk;
        meta.charge = Charge::Wmem;
        self.charges[sk as usize].wmem += meta.truesize;
    }

    /// Charges a received packet to a socket.
    pub fn set_owner_r(&mut self, skb: &Skb, sk: u32) {
        let meta = &mut self.meta[skb.0 as usize];
        meta.sk = sk;
        meta.charge = Charge::Rmem;
        self.charges[sk as usize].rmem += meta.truesize;
    }

    /// `skb_orphan`: takes the charge off.
    #[inline]
    pub fn orphan(&mut self, skb: &Skb) {
        let meta = &mut self.meta[skb.0 as usize];
        let charge = (core::mem::take(&mut meta.charge), meta.sk, meta.truesize);
        self.uncharge(charge);
    }

    #[inline(always)]
    fn uncharge(&mut self, (charge, sk, truesize): (Charge, u32, u32)) {
        if charge == Charge::Wmem {
            let charge = &mut self.charges[sk as usize];
            charge.wmem -= truesize;
            if charge.nospace {
                self.woken.push(sk);
            }
        } else if charge == Charge::Rmem {
            self.charges[sk as usize].rmem -= truesize;
        }
    }

    fn free(&mut self, slot: u32) {
        let mut part = core::mem::replace(&mut self.meta[slot as usize].frag_list, NONE);
        while part != NONE {
            let next = self.meta[part as usize].next;
            self.free_one(part);
            part = next;
        }
        self.free_one(slot);
    }

    #[inline(always)]
    fn free_one(&mut self, slot: u32) {
        let meta = &mut self.meta[slot as usize];
        let (head, nr_frags) = (meta.head, meta.nr_frags());
        let charge = (core::mem::take(&mut meta.charge), meta.sk, meta.truesize);
        self.uncharge(charge);
        if nr_frags != 0 {
            self.put_frags(slot, nr_frags);
        }
        if self.refs[head.0 as usize] == 1 {
            self.whole.push(slot);
        } else {
            self.put_buf(head);
            self.free_meta.push(slot);
        }
    }

    /// Takes a free description and the linear buffer that it kept apart. `None` when there is none.
    #[inline(never)]
    fn take_apart(&mut self) -> Option<()> {
        let slot = self.whole.pop()?;
        self.put_buf(self.meta[slot as usize].head);
        self.free_meta.push(slot);
        Some(())
    }

    /// A description with a linear buffer of its own that nobody else refers to; what else it says is old.
    #[inline(always)]
    pub(super) fn take_whole(&mut self) -> Option<u32> {
        match self.whole.pop() {
            Some(slot) => Some(slot),
            None => self.make_whole(),
        }
    }

    #[inline(never)]
    fn make_whole(&mut self) -> Option<u32> {
        self.alloc().map(|skb| skb.0)
    }

    #[inline(never)]
    fn put_frags(&mut self, slot: u32, nr_frags: usize) {
        for i in 0..nr_frags {
            self.put_buf(self.frags[slot as usize][i].buf);
        }
    }

    /// `consume_skb`: the packet's way is done.
    #[inline]
    pub fn consume(&mut self, trace: &mut Trace, skb: Skb) {
        trace.step(self.meta[skb.0 as usize].packet, Step::Consumed);
        self.consume_untraced(skb);
    }

    /// [`Self::consume`] while the journal is off.
    #[inline(always)]
    pub(crate) fn consume_untraced(&mut self, skb: Skb) {
        if self.meta[skb.0 as usize].frag_list == NONE { self.free_one(skb.0) } else { self.free(skb.0) }
    }

    /// `kfree_skb_reason`: the packet is lost.
    pub fn drop(&mut self, trace: &mut Trace, skb: Skb, reason: DropReason) {
        trace.step(self.meta[skb.0 as usize].packet, Step::Dropped(reason));
        self.free(skb.0);
    }

    /// Drops all packets of a queue.
    pub fn purge(&mut self, trace: &mut Trace, queue: &mut SkbQueue, reason: DropReason) {
        while let Some(skb) = queue.pop_front(self) {
            self.drop(trace, skb, reason);
        }
    }
}

impl SkbPool {
    /// The handle of a slot that a queue's link named; the caller must not let two handles of a slot live.
    #[inline]
    pub(crate) fn handle(slot: u32) -> Skb {
        Skb(slot)
    }
}

/// Linux 6.12, x86-64: `sizeof(struct sk_buff)` rounded up to a cache line.
pub const SKB_DESCRIPTION_BYTES: u32 = 256;
/// Linux 6.12, x86-64: `sizeof(struct skb_shared_info)` rounded up to a cache line.
pub const SHARED_INFO_BYTES: u32 = 320;

/// The slab for small packets, in bytes: `skb_small_head_cache` of 6.12. (6.18 has 576, read through SIOCOUTQ.)
pub const SMALL_HEAD_BYTES: u32 = 704;

/// What Linux charges for a packet whose linear buffer was asked for with `size` bytes: rounded up to a cache line, the
/// shared info added, rounded up to the small slab or to one of `kmalloc` (a power of two), and the description added.
#[inline]
#[must_use]
pub fn truesize(size: u32) -> u32 {
    let with_overhead = size.next_multiple_of(64) + SHARED_INFO_BYTES;
    let slab =
        if with_overhead <= SMALL_HEAD_BYTES { SMALL_HEAD_BYTES } else { with_overhead.next_power_of_two() };
    slab + SKB_DESCRIPTION_BYTES
}

#[cfg(test)]
mod tests {
    use super::truesize;
    use rstest::rstest;

    // A UDP datagram of n bytes asks for 14 + 2 + 15 + 28 + n. The small slab follows from a capture of 6.12, where 221
    // datagrams of 100 bytes fit into an ARP queue of 212,992; the others were read through SIOCOUTQ on 6.18.
    #[rstest]
    #[case::the_small_slab(100, 960)]
    #[case::half_a_kibibyte(600, 1280)]
    #[case::a_kibibyte(1000, 2304)]
    #[case::a_full_frame(1472, 2304)]
    fn truesize_is_what_linux_charges(#[case] payload: u32, #[case] charged: u32) {
        assert_eq!(truesize(payload + 28 + 31), charged);
    }
}
