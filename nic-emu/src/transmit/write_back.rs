//! Descriptors are done: DD into memory, then the interrupt cause (section 7.2.3).

use alloc::format;
use alloc::vec::Vec;

use super::descriptor::{self, Descriptor};
use crate::agenda::Event;
use crate::fault::{Fault, Happening};
use crate::nic::{Io, Nic};
use crate::observation::Rule;
use crate::registers::bit::dcmd;
use crate::registers::offset;

/// `TDWBAL` bit 0.
const HEAD_WB_EN: u32 = 1;

impl Nic {
    /// All data of this descriptor is on the chip.
    pub(super) fn finish_descriptor(&mut self, queue: usize, descriptor: &Descriptor) {
        if !self.is_transmit_queue_enabled(queue) {
            return;
        }
        let entries = self.transmit_ring_entries(queue).max(1);
        let state = &mut self.transmit.queues[queue];
        state.head = ((u32::from(descriptor.index) + 1) % entries) as u16;
        if !descriptor.has(dcmd::RS) {
            return;
        }
        state.finished.push(descriptor.index);
        let threshold = self.registers.get(offset::of_queue(offset::TXDCTL, queue)) >> 16 & 0x1F;
        if self.transmit.queues[queue].finished.len() >= threshold as usize {
            self.transmit_flush(queue);
        } else if self.transmit.queues[queue].flush_at.is_none() {
            let at = self.now + self.threshold_timeout_ns(queue, 8);
            self.plan_transmit_flush(queue, at);
        }
    }

    /// How long a descriptor waits for WTHRESH: until the EITR of its queue's vector expires.
    pub(crate) fn threshold_timeout_ns(&self, queue: usize, shift: u32) -> u64 {
        let half = if queue >= 8 { 16 } else { 0 };
        let entry = self.registers.get(offset::IVAR + 4 * (queue as u32 & 7)) >> (half + shift);
        self.moderation_ns((entry & 0x1F) as usize).max(1000)
    }

    pub(super) fn plan_transmit_flush(&mut self, queue: usize, at: u64) {
        self.transmit.queues[queue].flush_at = Some(at);
        self.agenda.plan_once(at, Event::TransmitFlush(queue as u8));
    }

    /// A planned flush is due, unless what it was planned for has been written back meanwhile.
    pub(crate) fn transmit_flush_due(&mut self, queue: usize) {
        if self.transmit.queues[queue].flush_at.is_some_and(|at| at <= self.now) {
            self.transmit_flush(queue);
        }
    }

    /// Begins the write-back of what has accumulated.
    fn transmit_flush(&mut self, queue: usize) {
        let state = &mut self.transmit.queues[queue];
        state.flush_at = None;
        if state.finished.is_empty() {
            return;
        }
        let batch = core::mem::take(&mut state.finished);
        let (batch, late) = match self.faults.strike(Happening::WriteBack(queue as u16)) {
            Some(Fault::LateWriteBack { by_ns, .. }) => (batch, by_ns),
            // It takes its turn, and its interrupt comes; memory sees nothing of it.
            Some(_) => (Vec::new(), 0),
            None => (batch, 0),
        };
        self.transmit.queues[queue].writing.push_back(batch);
        let at = self.after(self.config.latency.write_back_ns).saturating_add(late);
        let state = &mut self.transmit.queues[queue];
        state.written_at = state.written_at.max(at);
        let at = state.written_at;
        self.agenda.plan(at, Event::TransmitWriteBack(queue as u8));
    }

    pub(crate) fn transmit_write_back(&mut self, queue: usize, io: &mut Io<'_>) {
        let Some(batch) = self.transmit.queues[queue].writing.pop_front() else { return };
        if batch.is_empty() {
            return self.raise_transmit_cause(queue);
        }
        let base = u64::from(self.registers.get(offset::of_queue(offset::TDBAH, queue))) << 32
            | u64::from(self.registers.get(offset::of_queue(offset::TDBAL, queue)));
        if self.registers.get(offset::of_queue(offset::TDWBAL, queue)) & HEAD_WB_EN != 0 {
            self.write_head(queue, io);
            return self.raise_transmit_cause(queue);
        }
        for index in batch {
            // Word 3: STA.DD; the rest of the descriptor stays.
            let address = base.wrapping_add(u64::from(index) * descriptor::BYTES + 12);
            if io.memory.write(address, &1_u32.to_le_bytes()).is_err() {
                let text = format!("queue {queue} descriptor {index}: no write-back to {address:#x}");
                self.observe(Rule::DmaFault, text);
            }
        }
        self.raise_transmit_cause(queue);
    }

    /// Head write-back: the index of the first descriptor that is not done, instead of DD in those that are.
    fn write_head(&mut self, queue: usize, io: &mut Io<'_>) {
        let low = u64::from(self.registers.get(offset::of_queue(offset::TDWBAL, queue)) & !3);
        let address = u64::from(self.registers.get(offset::of_queue(offset::TDWBAH, queue))) << 32 | low;
        let head = u32::from(self.transmit.queues[queue].head);
        if io.memory.write(address, &head.to_le_bytes()).is_err() {
            let text = format!("queue {queue}: no head write-back to {address:#x}");
            self.observe(Rule::DmaFault, text);
        }
    }
}
