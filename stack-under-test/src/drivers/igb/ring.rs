//! Descriptor rings and what the driver keeps beside each descriptor (`struct igb_ring`).

use super::regs::{Q_TAIL, rxq, txq};
use crate::bus::{Bus, Direction};
use crate::dma::{DESCRIPTOR_BYTES, Descriptors};
use crate::skb::pool::{Coherent, NONE};
use crate::skb::{BufId, HEAD_BYTES, Skb, SkbPool};
use crate::time::Instant;
use alloc::vec::Vec;

/// It is not known what a context slot holds.
pub(super) const NO_CONTEXT: u64 = u64::MAX;
/// `next_to_watch` of a slot where no packet begins.
pub(super) const NO_EOP: u16 = u16::MAX;

/// In `nr_frags` of a slot where a packet begins: the device cuts it, and the slot behind has the number of segments there.
pub(super) const TSO: u16 = 1 << 15;

/// Descriptors in DMA memory, and the two indices.
#[derive(Debug)]
pub(super) struct Ring {
    memory: Coherent,
    pub(super) descs: Descriptors,
    /// How many descriptors there are.
    pub(super) count: u16,
    /// The next descriptor that the driver writes.
    pub(super) next_to_use: u16,
    /// The next descriptor of which the driver expects news.
    pub(super) next_to_clean: u16,
    /// The offset of the tail register.
    pub(super) tail: u32,
}

impl Ring {
    fn new(skbs: &mut SkbPool, bus: &mut dyn Bus, count: u16, tail: u32) -> Option<Self> {
        let memory = skbs.alloc_coherent(usize::from(count) * DESCRIPTOR_BYTES)?;
        let descs = skbs.mem.descriptors(memory.offset, count)?;
        bus.dma_map(skbs.mem.bus_addr(memory.offset), memory.len as u32, Direction::Bidirectional);
        Some(Self { memory, descs, count, next_to_use: 0, next_to_clean: 0, tail })
    }

    fn free(&self, skbs: &mut SkbPool, bus: &mut dyn Bus) {
        bus.dma_unmap(skbs.mem.bus_addr(self.memory.offset), self.memory.len as u32);
        skbs.free_coherent(self.memory);
    }

    /// The bus address of the first descriptor.
    pub(super) fn dma(&self, skbs: &SkbPool) -> u64 {
        skbs.mem.bus_addr(self.memory.offset)
    }

    /// The size in bytes that the device is told.
    pub(super) fn bytes(&self) -> u32 {
        u32::from(self.count) * DESCRIPTOR_BYTES as u32
    }

    /// Where descriptor `i` lies in the DMA region.
    #[cfg(test)]
    pub(super) fn at(&self, i: u16) -> usize {
        self.memory.offset + usize::from(i) * DESCRIPTOR_BYTES
    }

    /// The index after `i`.
    #[inline(always)]
    pub(super) fn after(&self, i: u16) -> u16 {
        if i + 1 == self.count { 0 } else { i + 1 }
    }

    /// Descriptors that may be written; one is always left, so that a full ring differs from an empty one.
    #[inline(always)]
    pub(super) fn unused(&self) -> u16 {
        let gap = self.next_to_clean + if self.next_to_clean > self.next_to_use { 0 } else { self.count };
        gap - self.next_to_use - 1
    }

    fn rewind(&mut self, skbs: &mut SkbPool) {
        skbs.mem.zero(self.memory.offset, self.memory.len);
        self.next_to_use = 0;
        self.next_to_clean = 0;
    }
}

/// What is kept beside a transmit descriptor (`struct igb_tx_buffer`).
#[derive(Clone, Copy, Debug)]
pub(super) struct TxBuffer {
    /// The slot of the packet that begins here, if one does.
    pub(super) skb: u32,
    /// The bytes of the packet, at the slot where it begins.
    pub(super) bytecount: u32,
    /// The descriptor with the end of the packet, at the slot where it begins; [`NO_EOP`] elsewhere: no packet begins there.
    pub(super) next_to_watch: u16,
    /// Pieces beside the linear part, at the slot where the packet begins.
    pub(super) nr_frags: u16,
    /// What is lent: how many bytes; 0 is nothing.
    pub(super) len: u32,
    /// What is lent: the bus address.
    pub(super) dma: u64,
    /// When the packet was posted.
    pub(super) time_stamp: Instant,
}

impl TxBuffer {
    const EMPTY: Self = Self {
        skb: NONE,
        bytecount: 0,
        next_to_watch: NO_EOP,
        nr_frags: 0,
        len: 0,
        dma: 0,
        time_stamp: Instant::ZERO,
    };

    /// Takes the packet out that begins here.
    #[inline(always)]
    pub(super) fn take_skb(&mut self) -> Option<Skb> {
        let begins = core::mem::replace(&mut self.next_to_watch, NO_EOP) != NO_EOP;
        begins.then(|| SkbPool::handle(self.skb))
    }
}

/// A transmit ring.
#[derive(Debug)]
pub(super) struct TxRing {
    pub(super) ring: Ring,
    pub(super) buffers: Vec<TxBuffer>,
    /// The device reaches all memory: packets are not mapped.
    pub(super) direct: bool,
    /// What the device holds in the queue's context slot 0: see `tx_csum`.
    pub(super) context: u64,
    /// When the driver last took a packet.
    pub(super) trans_start: Instant,
    /// The watchdog asks the next cleaning to look for a hang.
    pub(super) detect_hang: bool,
}

impl TxRing {
    /// Takes memory for `count` descriptors of queue `index`.
    pub(super) fn new(skbs: &mut SkbPool, bus: &mut dyn Bus, count: u16, index: u32) -> Option<Self> {
        let ring = Ring::new(skbs, bus, count, txq(index) + Q_TAIL)?;
        let (buffers, direct) = (alloc::vec![TxBuffer::EMPTY; usize::from(count)], bus.dma_direct());
        Some(Self { ring, buffers, direct, context: NO_CONTEXT, trans_start: Instant::ZERO, detect_hang: false })
    }

    /// Takes back the pieces of a packet, which lie behind the slot `first`, `last` included. Gives how many packets more
    /// than one it is on the wire.
    #[inline(never)]
    pub(super) fn unmap_frags(&mut self, bus: &mut dyn Bus, first: u16, last: u16) -> u16 {
        let mut i = first;
        while i != last {
            i = self.ring.after(i);
            let buffer = &mut self.buffers[usize::from(i)];
            if buffer.len != 0 {
                bus.dma_unmap(buffer.dma, buffer.len);
                buffer.len = 0;
            }
        }
        let cut = self.buffers[usize::from(first)].nr_frags & TSO != 0;
        if cut { self.buffers[usize::from(self.ring.after(first))].nr_frags.saturating_sub(1) } else { 0 }
    }

    /// Whether packets lie in it that the device has not finished.
    pub(super) fn has_work(&self) -> bool {
        self.ring.next_to_use != self.ring.next_to_clean
    }

    /// Takes back all that is lent, gives each packet to `lost`, and empties the ring (`igb_clean_tx_ring`). The device
    /// must have let go.
    pub(super) fn clean(
        &mut self,
        skbs: &mut SkbPool,
        bus: &mut dyn Bus,
        lost: &mut dyn FnMut(&mut SkbPool, Skb),
    ) {
        for buffer in &mut self.buffers {
            if buffer.len != 0 {
                bus.dma_unmap(buffer.dma, buffer.len);
            }
            if let Some(skb) = buffer.take_skb() {
                lost(skbs, skb);
            }
            *buffer = TxBuffer::EMPTY;
        }
        self.ring.rewind(skbs);
        // Whoever resets the device empties its rings.
        self.context = NO_CONTEXT;
        self.detect_hang = false;
    }

    /// Gives the ring's own memory back; it must have been cleaned.
    pub(super) fn free(self, skbs: &mut SkbPool, bus: &mut dyn Bus) {
        self.ring.free(skbs, bus);
    }
}

/// A receive ring. Each buffer is a linear buffer of [`HEAD_BYTES`].
#[derive(Debug)]
pub(super) struct RxRing {
    pub(super) ring: Ring,
    /// The buffer that each descriptor lends.
    pub(super) buffers: Vec<Option<BufId>>,
    /// A packet of which more descriptors are to come.
    pub(super) skb: Option<Skb>,
    /// The rest of the present packet is thrown away, up to its last descriptor.
    pub(super) discard: bool,
}

impl RxRing {
    /// Takes memory for `count` descriptors of queue `index`; buffers are lent later.
    pub(super) fn new(skbs: &mut SkbPool, bus: &mut dyn Bus, count: u16, index: u32) -> Option<Self> {
        let ring = Ring::new(skbs, bus, count, rxq(index) + Q_TAIL)?;
        Some(Self { ring, buffers: alloc::vec![None; usize::from(count)], skb: None, discard: false })
    }

    /// Takes back every buffer and empties the ring (`igb_clean_rx_ring`). The device must have let go.
    pub(super) fn clean(
        &mut self,
        skbs: &mut SkbPool,
        bus: &mut dyn Bus,
        lost: &mut dyn FnMut(&mut SkbPool, Skb),
    ) {
        if let Some(skb) = self.skb.take() {
            lost(skbs, skb);
        }
        for buf in self.buffers.iter_mut().filter_map(Option::take) {
            bus.dma_unmap(skbs.mem.bus_addr(skbs.buf_offset(buf)), HEAD_BYTES as u32);
            skbs.put_buf(buf);
        }
        self.ring.rewind(skbs);
        self.discard = false;
    }

    /// Gives the ring's own memory back; it must have been cleaned.
    pub(super) fn free(self, skbs: &mut SkbPool, bus: &mut dyn Bus) {
        self.ring.free(skbs, bus);
    }
}
