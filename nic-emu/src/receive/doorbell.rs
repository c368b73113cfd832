//! Writes to a receive queue's registers, and the fetch of free descriptors (section 4.5.9, 7.1.8, 8.10).

use alloc::format;
use alloc::vec;

use super::Queue;
use super::descriptor::{self, Free};
use crate::agenda::Event;
use crate::fault::Happening;
use crate::nic::{Io, Nic};
use crate::observation::Rule;
use crate::registers::bit::dctl;
use crate::registers::offset;
use crate::transmit::wants_descriptors;

/// Descriptors of one queue that the chip holds.
const CACHE_MAX: usize = 64;

impl Nic {
    pub(crate) fn write_receive_queue(&mut self, register: u32, old: u32, value: u32) {
        let queue = ((register - offset::RDBAL) / offset::QUEUE_STRIDE) as usize;
        let enabled = self.is_receive_queue_enabled(queue);
        match register - offset::QUEUE_STRIDE * queue as u32 {
            offset::RDBAL | offset::RDBAH | offset::RDLEN | offset::SRRCTL => {
                self.check_ring_write(register, (old, value), enabled);
            }
            offset::RDT => self.write_rdt(queue, value),
            offset::RXDCTL => self.write_rxdctl(queue, old, value),
            _ => {}
        }
    }

    pub(super) fn is_receive_queue_enabled(&self, queue: usize) -> bool {
        self.registers.has(offset::of_queue(offset::RXDCTL, queue), dctl::ENABLE)
    }

    pub(super) fn receive_ring_entries(&self, queue: usize) -> u32 {
        self.registers.get(offset::of_queue(offset::RDLEN, queue)) / 16
    }

    pub(super) fn receive_ring_base(&self, queue: usize) -> u64 {
        u64::from(self.registers.get(offset::of_queue(offset::RDBAH, queue))) << 32
            | u64::from(self.registers.get(offset::of_queue(offset::RDBAL, queue)))
    }

    fn write_rdt(&mut self, queue: usize, value: u32) {
        let tail = offset::of_queue(offset::RDT, queue);
        let (value, entries) = (value & 0xFFFF, self.receive_ring_entries(queue));
        if !self.is_receive_queue_enabled(queue) {
            if value != 0 {
                let text = format!("RDT({queue}) = {value} while RXDCTL.ENABLE is clear (section 4.5.9)");
                self.observe(Rule::DoorbellWhileDisabled, text);
            }
            return;
        }
        let moved = value != self.registers.get(tail);
        if value >= entries && value != 0 {
            let text =
                format!("RDT({queue}) = {value}; the ring has {entries} descriptors (section 8.10.10)");
            self.observe(Rule::TailBeyondRing, text);
        } else if moved && value == u32::from(self.receive.queues[queue].head) {
            let text =
                format!("RDT({queue}) = {value} = RDH: all given looks like none given (section 7.1.8)");
            self.observe(Rule::TailMeetsHead, text);
        }
        self.registers.set(tail, value);
        self.plan_receive_fetch(queue);
        self.receive_pump();
    }

    fn write_rxdctl(&mut self, queue: usize, old: u32, value: u32) {
        if value & dctl::SWFLUSH != 0 {
            self.plan_receive_flush(queue, self.now + 1);
        }
        if value & !old & dctl::ENABLE != 0 {
            self.check_ring_length(offset::of_queue(offset::RDLEN, queue));
            let layout = self.registers.get(offset::of_queue(offset::SRRCTL, queue)) >> 25 & 7;
            if layout > 1 {
                let text = format!(
                    "SRRCTL({queue}).DESCTYPE {layout}: header split is not modelled (section 7.1.10)"
                );
                self.observe(Rule::NotModelled, text);
            }
            let fetching = self.receive.queues[queue].fetching;
            self.receive.queues[queue] = Queue { fetching, ..Queue::default() };
            self.registers.set(offset::of_queue(offset::RDT, queue), 0);
        } else if old & !value & dctl::ENABLE != 0 {
            self.receive.queues[queue].cache.clear();
        }
    }

    /// Free descriptors in the ring that the chip has not fetched; none while the tail is outside of it.
    pub(super) fn receive_available(&self, queue: usize) -> u32 {
        let entries = self.receive_ring_entries(queue);
        let tail = self.registers.get(offset::of_queue(offset::RDT, queue));
        let next = u32::from(self.receive.queues[queue].next_fetch);
        if tail >= entries || next >= entries { 0 } else { (tail + entries - next) % entries }
    }

    pub(super) fn plan_receive_fetch(&mut self, queue: usize) {
        let state = &self.receive.queues[queue];
        let available = self.receive_available(queue);
        let control = self.registers.get(offset::of_queue(offset::RXDCTL, queue));
        // A frame that waits may need more than PTHRESH has brought.
        let wanted = wants_descriptors(control, state.cache.len(), available)
            || !self.receive.fifo.is_empty() && state.cache.len() < CACHE_MAX;
        let idle = !state.fetching && !state.is_stalled && wanted;
        if idle && self.is_bus_master() && self.is_receive_queue_enabled(queue) && available > 0 {
            self.receive.queues[queue].fetching = true;
            let at = self.after(self.config.latency.descriptor_fetch_ns);
            self.agenda.plan(at, Event::ReceiveFetch(queue as u8));
        }
    }

    pub(crate) fn receive_fetched(&mut self, queue: usize, io: &mut Io<'_>) {
        self.receive.queues[queue].fetching = false;
        let entries = self.receive_ring_entries(queue);
        let next = u32::from(self.receive.queues[queue].next_fetch);
        let room = (CACHE_MAX - self.receive.queues[queue].cache.len()) as u32;
        let count = self.receive_available(queue).min(room).min(entries.saturating_sub(next));
        if count == 0 || !self.is_receive_queue_enabled(queue) {
            return;
        }
        if self.faults.strike(Happening::ReceiveFetch(queue as u16)).is_some() {
            self.receive.queues[queue].is_stalled = true;
            return;
        }
        let address = self.receive_ring_base(queue).wrapping_add(u64::from(next) * descriptor::BYTES);
        let mut bytes = vec![0; count as usize * 16];
        if io.memory.read(address, &mut bytes).is_err() {
            let text = format!("RDT({queue}): {count} descriptors at {address:#x} are not readable");
            return self.observe(Rule::DmaFault, text);
        }
        let state = &mut self.receive.queues[queue];
        for (index, bytes) in (next..).zip(bytes.chunks_exact(16)) {
            state.cache.push_back(Free::new(index as u16, bytes));
        }
        state.next_fetch = ((next + count) % entries) as u16;
        self.receive_pump();
    }
}
