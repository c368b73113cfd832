//! Where packets come from and go back to: their descriptions, each with a buffer, all taken at the start.

pub use super::charge::{
    RX_DATA_END, SHARED_INFO_BYTES, SKB_DESCRIPTION_BYTES, SMALL_HEAD_BYTES, SocketCharge, truesize,
};
pub use super::coherent::Coherent;
use super::{BufId, Charge, Frag, HEAD_BYTES, MAX_HEADER, MAX_SKB_FRAGS, PAGE_BYTES, SkBuff, Skb, SkbQueue};
use crate::dma::DmaMemory;
use crate::drop_reason::DropReason;
use crate::trace::{Step, Trace};
use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

pub(crate) const NONE: u32 = u32::MAX;

/// A packet that was built, and the buffer that was given for its own.
pub(crate) struct Exchanged<'a> {
    pub(crate) skb: Skb,
    pub(crate) meta: &'a mut SkBuff,
    pub(crate) buf: BufId,
    /// The bus address of `buf`.
    pub(crate) dma: u64,
}

impl SkBuff {
    /// Makes it that of a packet without data, which will begin at `data` in the buffer `head` at `head_at`.
    #[inline(always)]
    fn begin(&mut self, head: BufId, head_at: usize, data: u16) {
        self.head = head;
        self.head_at = head_at;
        self.data = data;
        self.tail = data;
        self.nr_frags = 0;
        self.len = 0;
        self.next = NONE;
        self.frag_list = NONE;
        self.protocol = 0;
        self.priority = 0;
        self.mark = 0;
        self.ip_summed = super::IpSummed::None;
        self.pkt_type = super::PacketType::Host;
        self.vlan_tci = None;
        self.iif = crate::route::OifId::ETH0;
        self.sk = NONE;
        self.charge = Charge::None;
        self.queue_mapping = 0;
        self.ignore_df = false;
        self.gso_size = 0;
        self.gso_segs = 0;
        self.gso_type = super::GsoType::NONE;
        self.frag_max_size = 0;
        self.dst = None;
        self.packet = 0;
        self.truesize = 0;
    }
}

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
        Self { skbs: 4096, heads: 8192, pages: 512, coherent_bytes: 1024 * 1024 }
    }
}

impl PoolConfig {
    /// The bytes of DMA memory that this takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.coherent_at() + self.coherent_bytes as usize
    }

    /// Where descriptor rings begin in the DMA region: behind all buffers, at a page.
    #[must_use]
    pub fn coherent_at(&self) -> usize {
        let buffers = self.heads as usize * HEAD_BYTES + self.pages as usize * PAGE_BYTES;
        buffers.next_multiple_of(crate::dma::PAGE_BYTES)
    }
}

/// Packets, their buffers, and the sockets' accounts.
#[derive(Debug)]
pub struct SkbPool {
    /// The memory that the device can reach.
    pub mem: DmaMemory,
    pub(crate) meta: Vec<SkBuff>,
    pub(super) frags: Vec<[Frag; MAX_SKB_FRAGS]>,
    pub(super) free_meta: Vec<u32>,
    /// Free descriptions that kept their linear buffer, with its one reference: a packet is made of one fastest.
    pub(super) whole: Vec<u32>,
    pub(super) refs: Vec<u16>,
    pub(super) free_heads: Vec<u32>,
    pub(super) free_pages: Vec<u32>,
    pub(super) heads: u32,
    pub(super) heads_at: usize,
    pub(super) pages_at: usize,
    pub(super) coherent_free: Vec<Coherent>,
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
    /// How many linear buffers there are in all.
    #[must_use]
    pub fn all_heads(&self) -> u32 {
        self.heads
    }

    /// Divides `mem` up as `config` says.
    ///
    /// # Panics
    /// If `mem` is smaller than [`PoolConfig::bytes`].
    #[must_use]
    pub fn new(mut mem: DmaMemory, config: &PoolConfig) -> Self {
        assert!(mem.len() >= config.bytes(), "the DMA region is smaller than the pool's configuration");
        mem.keep_apart(config.coherent_at());
        let rings = Coherent { offset: config.coherent_at(), len: config.coherent_bytes as usize };
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
            heads_at: 0,
            pages_at: config.heads as usize * HEAD_BYTES,
            coherent_free: alloc::vec![rings],
            charges: Vec::new(),
            woken: Vec::new(),
            copied_bytes: 0,
        }
    }

    #[inline]
    fn alloc_on(&mut self, head: BufId, data: u16) -> Option<Skb> {
        if self.free_meta.is_empty() {
            self.take_apart()?;
        }
        let slot = self.free_meta.pop()?;
        Some(self.begin(slot, head, data))
    }

    /// A packet without data, of a description that is not in use and a buffer.
    #[inline(always)]
    fn begin(&mut self, slot: u32, head: BufId, data: u16) -> Skb {
        let head_at = self.buf_offset(head);
        self.meta[slot as usize].begin(head, head_at, data);
        Skb(slot)
    }

    /// A packet without data, with [`MAX_HEADER`] bytes of room for headers. `None` when memory is out.
    #[inline]
    pub fn alloc(&mut self) -> Option<Skb> {
        if let Some(slot) = self.whole.pop() {
            let head = self.meta[slot as usize].head;
            return Some(self.begin(slot, head, MAX_HEADER as u16));
        }
        if self.free_meta.is_empty() {
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

    /// [`Self::build_skb`] of a buffer with `len` bytes from its start on, with a description that has a linear buffer already:
    /// that one is given in exchange. `None` when there is none.
    #[inline(always)]
    pub(crate) fn build_skb_for_another(&mut self, buf: BufId, len: u16) -> Option<Exchanged<'_>> {
        debug_assert!(buf.0 < self.heads && usize::from(len) <= HEAD_BYTES);
        let slot = self.take_whole()?;
        let head_at = self.head_offset(buf);
        let meta = self.meta.get_mut(slot as usize)?;
        let (other, dma) = (meta.head, self.mem.bus_addr(meta.head_at));
        meta.begin(buf, head_at, 0);
        meta.tail = len;
        meta.len = u32::from(len);
        meta.mac_header = 0;
        meta.truesize = HEAD_BYTES as u32 + SKB_DESCRIPTION_BYTES;
        Some(Exchanged { skb: Skb(slot), meta, buf: other, dma })
    }

    /// Packets that were made and not freed.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.meta.len() - self.free_meta.len() - self.whole.len()
    }

    /// Linear buffers and page buffers that something refers to. What a free description keeps is free.
    #[must_use]
    pub fn buffers_in_use(&self) -> (usize, usize) {
        let heads = self.heads as usize - self.free_heads.len() - self.whole.len();
        (heads, self.refs.len() - self.heads as usize - self.free_pages.len())
    }

    pub(super) fn free(&mut self, slot: u32) {
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
        if meta.charge != Charge::None {
            let charge = (core::mem::take(&mut meta.charge), meta.sk, meta.truesize);
            self.uncharge(charge);
        }
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
    pub(super) fn take_apart(&mut self) -> Option<()> {
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
        if trace.is_on() || self.free_whole(&[skb.0]) == 0 {
            self.consume_any(trace, skb);
        }
    }

    #[inline(never)]
    fn consume_any(&mut self, trace: &mut Trace, skb: Skb) {
        trace.step(self.meta[skb.0 as usize].packet, Step::Consumed);
        self.consume_untraced(skb);
    }

    /// [`Self::consume`] while the journal is off.
    #[inline(always)]
    pub(crate) fn consume_untraced(&mut self, skb: Skb) {
        if self.meta[skb.0 as usize].frag_list == NONE { self.free_one(skb.0) } else { self.free(skb.0) }
    }

    /// `napi_consume_skb`: the way of these packets is done; each slot is one whose handle was given up.
    #[inline(never)]
    pub(crate) fn consume_slots(&mut self, trace: &mut Trace, slots: &[u32]) {
        let mut slots = slots;
        if trace.is_on() {
            for &slot in slots {
                trace.step(self.meta[slot as usize].packet, Step::Dequeued("ring"));
                self.consume(trace, Skb(slot));
            }
            return;
        }
        loop {
            slots = &slots[self.free_whole(slots)..];
            let Some((&slot, rest)) = slots.split_first() else { return };
            self.free(slot);
            slots = rest;
        }
    }

    /// Frees packets that have nothing but a linear buffer of their own, and whose owner does not wait. How many there were
    /// before the first that is not of that kind.
    #[inline(always)]
    fn free_whole(&mut self, slots: &[u32]) -> usize {
        for (n, &slot) in slots.iter().enumerate() {
            let Some(meta) = self.meta.get(slot as usize) else { return n };
            let alone = self.refs.get(meta.head.0 as usize) == Some(&1);
            if !alone
                || meta.nr_frags != 0
                || meta.frag_list != NONE
                || self.whole.len() == self.whole.capacity()
            {
                return n;
            }
            if meta.charge != Charge::None {
                let (Charge::Wmem, Some(charge)) = (meta.charge, self.charges.get_mut(meta.sk as usize))
                else {
                    return n;
                };
                if charge.nospace {
                    return n;
                }
                charge.wmem -= meta.truesize;
            }
            self.whole.push(slot);
        }
        slots.len()
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

    /// The handle of a slot that a queue's link named; the caller must not let two handles of a slot live.
    #[inline]
    pub(crate) fn handle(slot: u32) -> Skb {
        Skb(slot)
    }
}
