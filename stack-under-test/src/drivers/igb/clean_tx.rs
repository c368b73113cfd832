//! Completions of sent packets: `igb_clean_tx_irq` of Linux 6.12.

use super::Igb;
use super::hw::Fault;
use super::regs::{STATUS, STATUS_TXOFF};
use super::ring::{NO_EOP, ROW};
use super::xmit::DESC_NEEDED;
use crate::netdev::DriverCtx;
use crate::skb::SkbPool;
use crate::time::Duration;

/// Packets that one poll cleans at most.
const BUDGET: u32 = 4 * ROW as u32;
/// A queue with this many descriptors free is woken.
const WAKE_THRESHOLD: u16 = 2 * DESC_NEEDED;

impl Igb {
    /// Takes back what the device is done with. Whether that was all.
    #[inline]
    pub(super) fn clean_tx_irq(&mut self, ctx: &mut DriverCtx<'_>, q: usize) -> bool {
        ctx.trace.function(0, "igb_clean_tx_irq");
        let tx = &mut self.tx[q];
        if !tx.has_work() {
            tx.detect_hang = false;
            return true;
        }
        let (mut packets, mut bytes, mut more, mut row) = (0, 0, 0, ROW);
        while row == ROW && packets < BUDGET {
            row = tx.clean_row(ctx.bus, (&mut bytes, &mut more));
            if row == 1 && !ctx.trace.is_on() {
                ctx.skbs.consume_untraced(SkbPool::handle(tx.done[0]));
            } else {
                ctx.skbs.consume_slots(ctx.trace, &tx.done[..row]);
            }
            packets += row as u32;
        }
        let detect_hang = core::mem::take(&mut tx.detect_hang);
        if packets > 0 {
            if more > 0 {
                // `packets` counts what was taken from the ring; a packet that was cut is more on the wire.
                self.queue_stats[q].tx_packets += u64::from(more);
                self.vectors[q].tx.add(more, 0);
            }
            self.tx_cleaned(ctx, q, packets, bytes);
        }
        if detect_hang {
            self.detect_tx_hang(ctx, q);
        }
        packets < BUDGET
    }

    /// Counts, gives the bytes back to the byte limit, and wakes the queue when there is room again.
    #[inline]
    fn tx_cleaned(&mut self, ctx: &mut DriverCtx<'_>, q: usize, packets: u32, bytes: u32) {
        let stats = &mut self.queue_stats[q];
        stats.tx_packets += u64::from(packets);
        stats.tx_bytes += u64::from(bytes);
        self.vectors[q].tx.add(packets, bytes);
        let queue = &mut ctx.queues[q];
        queue.completed(ctx.now, bytes);
        if queue.is_stopped_by_driver()
            && self.link.carrier
            && self.is_up()
            && self.tx[q].ring.unused() >= WAKE_THRESHOLD
        {
            queue.wake();
            self.queue_stats[q].tx_restart += 1;
        }
    }

    /// The oldest packet lies in the ring for longer than a second (14 at 10 Mb/s), and no pause frame is the cause: the
    /// queue is stopped, and the watchdog resets the device when nothing moves.
    #[cold]
    fn detect_tx_hang(&mut self, ctx: &mut DriverCtx<'_>, q: usize) {
        let factor = if self.link.speed == 10 { 14 } else { 1 };
        let tx = &mut self.tx[q];
        let oldest = &tx.buffers[usize::from(tx.ring.next_to_clean)];
        let stuck =
            oldest.next_to_watch != NO_EOP && ctx.now > oldest.time_stamp + Duration::from_secs(factor);
        if stuck && self.hw.rd32(ctx.bus, STATUS) & STATUS_TXOFF == 0 {
            self.hw.fault(Fault::TxHang);
            ctx.queues[q].stop();
        }
    }
}
