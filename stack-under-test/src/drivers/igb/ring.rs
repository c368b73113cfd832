//! Descriptor rings and what the driver keeps beside each descriptor (`struct igb_ring`).

use super::desc::TX_DD;
use super::regs::{Q_TAIL, rxq, txq};
use crate::bus::{Bus, Direction};
use crate::dma::{DESCRIPTOR_BYTES, Descriptors};
use crate::skb::pool::{Coherent, NONE};
use crate::skb::{BufId, HEAD_BYTES, Skb, SkbPool};
use crate::time::Instant;
use alloc::vec::Vec;
use core::hint::cold_path;

/// It is not known what a context slot holds.
pub(super) const NO_CONTEXT: u64 = u64::MAX;
/// `next_to_watch` of a slot where no packet begins.
pub(super) const NO_EOP: u16 = u16::MAX;

/// In `flags` of a slot where a packet begins: the device cuts it, and the slot behind has the number of segments.
pub(super) const CUT: u16 = 1;
/// In `flags` of a slot where a packet begins: its bytes are lent.
const LENT: u16 = 2;

/// Packets that are freed in one go.
pub(super) const ROW: usize = 32;

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
        if i + 1 == self.count {
            cold_path();
            return 0;
        }
        i + 1
    }

    /// Descriptors that may be written; one is always left, so that a full ring differs from an empty one.
    #[inline(always)]
    pub(super) fn unused(&self) -> u16 {
        let gap = self.next_to_clean + if self.next_to_clean > self.next_to_use { 0 } else { self.count };
        gap - self.next_to_use - 1
    }

    /// `n` descriptors were taken and as many written, up to the end of the ring at most.
    #[inline(always)]
    pub(super) fn advance(&mut self, n: u16) {
        let next = |i: u16| if i + n >= self.count { i + n - self.count } else { i + n };
        (self.next_to_use, self.next_to_clean) = (next(self.next_to_use), next(self.next_to_clean));
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
    /// The bytes of the packet, at the slot where it begins; behind that of one that the device cuts, the number of segments.
    pub(super) bytecount: u32,
    /// The descriptor with the end of the packet, at the slot where it begins; [`NO_EOP`] elsewhere: no packet begins there.
    pub(super) next_to_watch: u16,
    /// [`CUT`] and [`LENT`], at the slot where the packet begins.
    pub(super) flags: u16,
    /// What is lent: how many bytes; 0 is nothing.
    pub(super) len: u32,
    /// What is lent: the bus address.
    pub(super) dma: u64,
    /// When the packet was posted.
    pub(super) time_stamp: Instant,
}

const _: () = assert!(size_of::<TxBuffer>() == 32, "half a cache line");

impl TxBuffer {
    const EMPTY: Self = Self {
        skb: NONE,
        bytecount: 0,
        next_to_watch: NO_EOP,
        flags: 0,
        len: 0,
        dma: 0,
        time_stamp: Instant::ZERO,
    };

    /// The packet of slot `skb` begins here: the descriptor with its end, its bytes, and what is to be known of it when it is done.
    #[inline(always)]
    pub(super) fn begin(&mut self, skb: u32, (last, bytecount, flags): (u16, u32, u16), now: Instant) {
        self.skb = skb;
        self.bytecount = bytecount;
        self.next_to_watch = last;
        self.flags = flags;
        self.time_stamp = now;
    }

    /// Lends what the descriptor names.
    #[inline]
    pub(super) fn lend(&mut self, bus: &mut dyn Bus, dma: u64, len: u32) {
        bus.dma_map(dma, len, Direction::ToDevice);
        self.dma = dma;
        self.len = len;
    }

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
    /// Slots of packets that are about to be freed.
    pub(super) done: [u32; ROW],
    /// The device reaches all memory: packets are not mapped.
    pub(super) direct: bool,
    /// Up to where the device was told.
    pub(super) told: u16,
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
        Some(Self {
            ring,
            buffers,
            done: [NONE; ROW],
            direct,
            told: 0,
            context: NO_CONTEXT,
            trans_start: Instant::ZERO,
            detect_hang: false,
        })
    }

    /// What is in the flags of every packet.
    #[inline(always)]
    pub(super) fn flags(&self) -> u16 {
        if self.direct { 0 } else { LENT }
    }

    /// Takes up to [`ROW`] packets out that the device is done with, to `done`; how many. Adds up their bytes, and how many
    /// packets more they are on the wire.
    #[inline(always)]
    pub(super) fn clean_row(&mut self, bus: &mut dyn Bus, (bytes, more): (&mut u32, &mut u32)) -> usize {
        let mut n = 0;
        loop {
            let i = self.ring.next_to_clean;
            let buffer = &mut self.buffers[usize::from(i)];
            let last = buffer.next_to_watch;
            if n == ROW || last == NO_EOP || self.ring.descs.second(last) & TX_DD == 0 {
                return n;
            }
            if n > 0 && last == i && buffer.flags == 0 {
                n = self.clean_plain(n, bytes);
                continue;
            }
            buffer.next_to_watch = NO_EOP;
            *bytes += buffer.bytecount;
            self.done[n] = buffer.skb;
            n += 1;
            if buffer.flags != 0 {
                *more += unmap(&self.ring, &mut self.buffers, bus, i, last);
            }
            self.ring.next_to_clean = self.ring.after(last);
        }
    }

    /// [`Self::clean_row`] of packets that took one descriptor and nothing else, up to the end of the ring.
    #[inline(never)]
    fn clean_plain(&mut self, n: usize, bytes: &mut u32) -> usize {
        let first = self.ring.next_to_clean;
        let (mut i, mut sum) = (first, *bytes);
        let most = (ROW - n).min(usize::from(self.ring.count - first));
        let slots = &mut self.buffers[usize::from(first)..][..most];
        for ((desc, slot), done) in self.ring.descs.row(first, slots).zip(&mut self.done[n..]) {
            if slot.next_to_watch != i || slot.flags != 0 || desc.second() & TX_DD == 0 {
                break;
            }
            slot.next_to_watch = NO_EOP;
            sum += slot.bytecount;
            *done = slot.skb;
            i += 1;
        }
        *bytes = sum;
        self.ring.next_to_clean = if i == self.ring.count { 0 } else { i };
        n + usize::from(i - first)
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
        self.told = 0;
        self.context = NO_CONTEXT;
        self.detect_hang = false;
    }

    /// Gives the ring's own memory back; it must have been cleaned.
    pub(super) fn free(self, skbs: &mut SkbPool, bus: &mut dyn Bus) {
        self.ring.free(skbs, bus);
    }
}

/// Takes back what is lent of the packet that begins at the slot `first` and has its end at `last`. Gives how many packets
/// more than one it is on the wire.
#[inline(never)]
fn unmap(ring: &Ring, buffers: &mut [TxBuffer], bus: &mut dyn Bus, first: u16, last: u16) -> u32 {
    let flags = buffers[usize::from(first)].flags;
    if flags & LENT != 0 {
        let mut i = first;
        loop {
            let buffer = &mut buffers[usize::from(i)];
            if buffer.len != 0 {
                bus.dma_unmap(buffer.dma, buffer.len);
                buffer.len = 0;
            }
            if i == last {
                break;
            }
            i = ring.after(i);
        }
    }
    if flags & CUT != 0 { buffers[usize::from(ring.after(first))].bytecount.saturating_sub(1) } else { 0 }
}

/// A receive ring. Each buffer is a linear buffer of [`HEAD_BYTES`].
#[derive(Debug)]
pub(super) struct RxRing {
    pub(super) ring: Ring,
    /// The buffer that each descriptor lends.
    pub(super) buffers: Vec<Option<BufId>>,
    /// The device reaches all memory: buffers are not mapped.
    pub(super) direct: bool,
    /// Up to where the device was told.
    pub(super) told: u16,
    /// A packet of which more descriptors are to come.
    pub(super) skb: Option<Skb>,
    /// The rest of the present packet is thrown away, up to its last descriptor.
    pub(super) discard: bool,
    /// A further buffer of the present packet looks as if the device had not written it: see `continue_packet`.
    pub(super) in_doubt: bool,
    /// The next descriptor, if the watchdog found it done and not written back, and where the device stood then.
    pub(super) stuck_at: Option<(u16, u16)>,
}

impl RxRing {
    /// Takes memory for `count` descriptors of queue `index`; buffers are lent later.
    pub(super) fn new(skbs: &mut SkbPool, bus: &mut dyn Bus, count: u16, index: u32) -> Option<Self> {
        let ring = Ring::new(skbs, bus, count, rxq(index) + Q_TAIL)?;
        let (buffers, direct) = (alloc::vec![None; usize::from(count)], bus.dma_direct());
        Some(Self {
            ring,
            buffers,
            direct,
            told: 0,
            skb: None,
            discard: false,
            in_doubt: false,
            stuck_at: None,
        })
    }

    /// Descriptors that were written since the device was told.
    #[inline(always)]
    pub(super) fn untold(&self) -> u16 {
        let next = self.ring.next_to_use;
        if next < self.told { next + self.ring.count - self.told } else { next - self.told }
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
            if !self.direct {
                bus.dma_unmap(skbs.mem.bus_addr(skbs.buf_offset(buf)), HEAD_BYTES as u32);
            }
            skbs.put_buf(buf);
        }
        self.ring.rewind(skbs);
        self.told = 0;
        self.discard = false;
        self.stuck_at = None;
    }

    /// Gives the ring's own memory back; it must have been cleaned.
    pub(super) fn free(self, skbs: &mut SkbPool, bus: &mut dyn Bus) {
        self.ring.free(skbs, bus);
    }
}
