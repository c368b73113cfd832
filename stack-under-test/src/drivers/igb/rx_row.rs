//! Received frames in a row, each whole in one buffer: what `igb_clean_rx_irq` does to each, with a new buffer in the ring for it
//! at once.

use super::clean_rx::{RxQueue, WrittenBack, clear_header};
use super::desc;
use crate::bus::Direction;
use crate::netdev::DriverCtx;
use crate::skb::pool::Exchanged;
use crate::skb::{BufId, HEAD_BYTES, Skb};

/// A frame that was taken, and the buffer that is to be lent for it.
struct New {
    skb: Skb,
    buf: BufId,
    /// The bus address of `buf`.
    dma: u64,
    /// Its checksum is wrong, which is counted.
    wrong: bool,
}

/// How frames of a queue are taken.
#[derive(Clone, Copy)]
struct Taken {
    q: u16,
    direct: bool,
    rx_csum: bool,
    strips: bool,
}

/// Makes a packet of what the device wrote into `old`. `None` when there is no memory for another buffer.
#[inline(always)]
fn receive(ctx: &mut DriverCtx<'_>, (old, written): (BufId, &WrittenBack), taken: Taken) -> Option<New> {
    let Exchanged { skb, meta, buf, dma } = ctx.skbs.build_skb_for_another(old, written.len as u16)?;
    let (ip_summed, wrong) = written.checksum(taken.rx_csum);
    meta.ip_summed = ip_summed;
    meta.queue_mapping = taken.q;
    meta.tstamp = ctx.now;
    if taken.strips {
        meta.vlan_tci = written.tag();
    }
    clear_header(ctx.skbs, buf);
    if !taken.direct {
        let old = ctx.skbs.mem.bus_addr(ctx.skbs.head_offset(old));
        ctx.bus.dma_unmap(old, HEAD_BYTES as u32);
        ctx.bus.dma_map(dma, HEAD_BYTES as u32, Direction::FromDevice);
    }
    Some(New { skb, buf, dma, wrong })
}

impl RxQueue<'_> {
    #[inline(always)]
    fn taken(&self, q: usize) -> Taken {
        Taken { q: q as u16, direct: self.rx.direct, rx_csum: self.rx_csum, strips: self.strips }
    }

    /// Whether the frame behind the next one is there, too.
    #[inline(always)]
    pub(super) fn has_another(&self) -> bool {
        let ring = &self.rx.ring;
        WrittenBack::of(ring.descs.second(ring.after(ring.next_to_clean))).len != 0
    }

    /// [`Self::take_row`] of the next frame alone, of which the device wrote this back. Whether it was taken.
    #[inline(always)]
    pub(super) fn take_one(&mut self, ctx: &mut DriverCtx<'_>, q: usize, written: &WrittenBack) -> bool {
        let taken = self.taken(q);
        let rx = &mut *self.rx;
        let (free, first) = (rx.ring.next_to_use, rx.ring.next_to_clean);
        let slot = &mut rx.buffers[usize::from(first)];
        let Some(old) = *slot else { return false };
        let Some(New { skb, buf, dma, wrong }) = receive(ctx, (old, written), taken) else {
            return false;
        };
        *slot = None;
        rx.buffers[usize::from(free)] = Some(buf);
        rx.ring.descs.write(free, desc::lent(dma));
        (rx.ring.next_to_use, rx.ring.next_to_clean) = (rx.ring.after(free), rx.ring.after(first));
        self.stats.csum_err += u64::from(wrong);
        ctx.rx.push(skb);
        true
    }

    /// Takes up to `most` frames from the ring to `ctx.rx`, up to the first that is not whole in one buffer and good, to the end
    /// of the ring, or as long as there is memory for a new one. Every descriptor but the one before the next to be read must be
    /// lent, and no packet be begun; the device is not told of the new buffers. Gives how many frames there were, and their
    /// bytes.
    #[inline(always)]
    pub(super) fn take_row(&mut self, ctx: &mut DriverCtx<'_>, q: usize, most: u16) -> (u16, u32) {
        let (first, taken) = (self.rx.ring.next_to_use, self.taken(q));
        let room = (self.rx.ring.count - first).min(most + 1);
        let slots = &mut self.rx.buffers[usize::from(first)..][..usize::from(room)];
        let mut row = self.rx.ring.descs.row(first, slots);
        let Some((mut free, mut none)) = row.next() else { return (0, 0) };
        let (mut frames, mut bytes, mut csum_err) = (0, 0, 0);
        for (desc, slot) in row {
            let written = WrittenBack::of(desc.second());
            let Some(old) = *slot else { break };
            if !written.is_whole() {
                break;
            }
            let Some(New { skb, buf, dma, wrong }) = receive(ctx, (old, &written), taken) else {
                break;
            };
            free.write(desc::lent(dma));
            *none = Some(buf);
            (free, none) = (desc, slot);
            ctx.rx.push(skb);
            frames += 1;
            bytes += written.len as u32;
            csum_err += u64::from(wrong);
        }
        *none = None;
        self.rx.ring.advance(frames);
        self.stats.csum_err += csum_err;
        (frames, bytes)
    }
}
