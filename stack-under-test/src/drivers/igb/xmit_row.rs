//! Packets in a row, as `dev_hard_start_xmit` gives them with `xmit_more`: what `igb_xmit_frame` does to each, where what they
//! have in common is looked at once.

use super::Igb;
use super::desc::{self, DATA_CMD, DCMD_EOP_RS};
use super::xmit::{DESC_NEEDED, Packet};
use crate::netdev::{DriverCtx, NetdevTx};
use crate::skb::{Skb, SkbPool};
use crate::trace::{PacketId, Step, Trace};

impl Igb {
    /// Sends what `next` gives on `queue` (modulo the number of queues), until that is all or the driver stops the queue: each
    /// as [`Igb::xmit_frame`] does, and the device is told at the end. `more`: others follow at once, so it need not be told
    /// yet.
    #[inline]
    pub fn xmit_frames(
        &mut self,
        ctx: &mut DriverCtx<'_>,
        queue: u16,
        more: bool,
        next: &mut impl FnMut(&mut SkbPool, &mut Trace) -> Option<Skb>,
    ) -> NetdevTx {
        let q = usize::from(queue % self.config.queue_pairs);
        let mut result = NetdevTx::Ok;
        while let Some(skb) = next(ctx.skbs, ctx.trace) {
            let left = if ctx.trace.is_on() {
                self.xmit_plain_frames::<true>(ctx, q, skb, next)
            } else {
                self.xmit_plain_frames::<false>(ctx, q, skb, next)
            };
            if let Some(skb) = left {
                result = self.xmit_frame(ctx, skb, queue, true);
            }
            if ctx.queues[q].is_stopped_by_driver() {
                break;
            }
        }
        if !more || ctx.queues[q].is_stopped() {
            self.tell(ctx, q);
        }
        result
    }

    /// Tells the device of all that lies in the ring, unless it was told.
    #[inline]
    fn tell(&mut self, ctx: &mut DriverCtx<'_>, q: usize) {
        let Some(tx) = self.tx.get_mut(q) else { return };
        if tx.told != tx.ring.next_to_use {
            tx.told = tx.ring.next_to_use;
            ctx.skbs.mem.write_barrier();
            self.hw.wr32(ctx.bus, tx.ring.tail, u32::from(tx.told));
        }
    }

    /// Sends packets that take one descriptor and no look at anything else, `skb` and what `next` gives. Ends with one that
    /// is not of that kind, and gives it back; or the one behind what passed the byte limit.
    #[inline(always)]
    fn xmit_plain_frames<const TRACED: bool>(
        &mut self,
        ctx: &mut DriverCtx<'_>,
        q: usize,
        skb: Skb,
        next: &mut impl FnMut(&mut SkbPool, &mut Trace) -> Option<Skb>,
    ) -> Option<Skb> {
        if !self.is_up() || ctx.queues[q].is_stopped() {
            return Some(skb);
        }
        let (tx, queue) = (&mut self.tx[q], &mut ctx.queues[q]);
        let allowed = queue.bql_available();
        let first = tx.ring.next_to_use;
        let run = tx.ring.unused().saturating_sub(DESC_NEEDED).min(tx.ring.count - first);
        let flags = tx.flags();
        let slots = &mut tx.buffers[usize::from(first)..][..usize::from(run)];
        let (mut bytes, mut last_bytes, mut i, mut skb) = (0, 0, first, skb);
        let mut all = false;
        for (mut desc, slot) in tx.ring.descs.row(first, slots) {
            let packet = Packet::of(&ctx.skbs[&skb]);
            if bytes > allowed || !packet.is_plain(tx.context) {
                break;
            }
            let dma = ctx.skbs.mem.bus_addr(packet.data_at);
            desc.write(desc::data(
                dma,
                DATA_CMD | DCMD_EOP_RS | packet.len,
                desc::olinfo(packet.len, packet.partial),
            ));
            slot.begin(skb.slot(), (i, packet.len, flags), ctx.now);
            if flags != 0 {
                slot.lend(ctx.bus, dma, packet.len);
            }
            if TRACED {
                trace_posted(ctx.trace, packet.name, (q as u16, i));
            }
            i += 1;
            bytes += i64::from(packet.len);
            last_bytes = packet.len;
            match next(ctx.skbs, ctx.trace) {
                Some(next) => skb = next,
                None => {
                    all = true;
                    break;
                }
            }
        }
        if bytes > 0 {
            tx.ring.next_to_use = if i == tx.ring.count { 0 } else { i };
            tx.trans_start = ctx.now;
            queue.sent_row(bytes as u64, last_bytes);
        }
        (!all).then_some(skb)
    }
}

/// What the journal has of a packet that was sent.
#[cold]
fn trace_posted(trace: &mut Trace, name: PacketId, (queue, last_descriptor): (u16, u16)) {
    trace.function(name, "igb_xmit_frame");
    trace.function(name, "igb_tx_map");
    trace.step(name, Step::Posted { queue, last_descriptor });
    trace.step(name, Step::Queued("ring"));
}
