//! Receive descriptors are filled: write them back, then the interrupt cause (section 7.1.9).

use alloc::format;

use super::{Batch, descriptor};
use crate::agenda::Event;
use crate::fault::{Fault, Happening};
use crate::nic::{Io, Nic};
use crate::observation::Rule;
use crate::registers::bit::icr;
use crate::registers::offset;

impl Nic {
    /// Writes back now, or when WTHRESH have accumulated, or when they have waited long enough.
    pub(super) fn finish_receive(&mut self, queue: usize) {
        let threshold = self.registers.get(offset::of_queue(offset::RXDCTL, queue)) >> 16 & 0x1F;
        if self.receive.queues[queue].finished.len() >= threshold as usize {
            self.receive_flush(queue);
        } else if self.receive.queues[queue].flush_at.is_none() {
            let at = self.now + self.threshold_timeout_ns(queue, 0);
            self.plan_receive_flush(queue, at);
        }
    }

    pub(super) fn plan_receive_flush(&mut self, queue: usize, at: u64) {
        self.receive.queues[queue].flush_at = Some(at);
        self.agenda.plan_once(at, Event::ReceiveFlush(queue as u8));
    }

    /// A planned flush is due, unless what it was planned for has been written back meanwhile.
    pub(crate) fn receive_flush_due(&mut self, queue: usize) {
        if self.receive.queues[queue].flush_at.is_some_and(|at| at <= self.now) {
            self.receive_flush(queue);
        }
    }

    fn receive_flush(&mut self, queue: usize) {
        let state = &mut self.receive.queues[queue];
        state.flush_at = None;
        if state.finished.is_empty() {
            return;
        }
        let written = core::mem::take(&mut state.finished);
        let (is_lost, late) = match self.faults.strike(Happening::ReceiveWriteBack(queue as u16)) {
            Some(Fault::LateReceiveWriteBack { by_ns, .. }) => (false, by_ns),
            struck => (struck.is_some(), 0),
        };
        self.receive.queues[queue].writing.push_back(Batch { written, is_lost });
        let at = self.after(self.config.latency.write_back_ns).saturating_add(late);
        let state = &mut self.receive.queues[queue];
        state.written_at = state.written_at.max(at);
        let at = state.written_at;
        self.agenda.plan(at, Event::ReceiveWriteBack(queue as u8));
    }

    pub(crate) fn receive_write_back(&mut self, queue: usize, io: &mut Io<'_>) {
        let Some(Batch { written: batch, is_lost }) = self.receive.queues[queue].writing.pop_front() else {
            return;
        };
        let entries = self.receive_ring_entries(queue).max(1);
        let base = self.receive_ring_base(queue);
        let mut ended = false;
        for written in batch {
            let address = base.wrapping_add(u64::from(written.index) * descriptor::BYTES);
            if !is_lost && io.memory.write(address, &written.bytes()).is_err() {
                let text =
                    format!("queue {queue} descriptor {}: no write-back to {address:#x}", written.index);
                self.observe(Rule::DmaFault, text);
            }
            self.receive.queues[queue].head = ((u32::from(written.index) + 1) % entries) as u16;
            ended |= written.ends;
        }
        if ended {
            self.raise_receive_cause(queue);
        }
        let threshold = (self.registers.get(offset::of_queue(offset::SRRCTL, queue)) >> 20 & 0x1F) * 16;
        let free = self.receive_available(queue) + self.receive.queues[queue].cache.len() as u32;
        if threshold != 0 && free <= threshold {
            self.raise_cause(icr::RXDMT0);
        }
    }
}
