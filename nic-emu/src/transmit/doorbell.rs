//! Writes to a transmit queue's registers: ring setup, enable, tail (section 4.5.10, 8.12).

use alloc::format;

use super::Queue;
use crate::nic::Nic;
use crate::observation::Rule;
use crate::registers::bit::{dctl, tctl};
use crate::registers::{offset, register_name};

impl Nic {
    pub(crate) fn write_transmit_queue(&mut self, register: u32, old: u32, value: u32) {
        let queue = ((register - offset::TDBAL) / offset::QUEUE_STRIDE) as usize;
        let enabled = self.is_transmit_queue_enabled(queue);
        match register - offset::QUEUE_STRIDE * queue as u32 {
            offset::TDBAL | offset::TDBAH | offset::TDLEN => {
                self.check_ring_write(register, (old, value), enabled)
            }
            offset::TDT => self.write_tdt(queue, value),
            offset::TXDCTL => self.write_txdctl(queue, old, value),
            _ => {}
        }
    }

    /// Base and length have an alignment, and hold still while the queue runs.
    pub(crate) fn check_ring_write(&mut self, register: u32, (old, value): (u32, u32), enabled: bool) {
        let name = register_name(register).unwrap_or("?");
        let is_base = matches!(name, "TDBAL" | "RDBAL");
        if is_base && value & 0x7F != 0 {
            let text = format!(
                "{name} at {register:#x} = {value:#x}, not a multiple of 128 (section 8.10.5, 8.12.8)"
            );
            self.observe(Rule::RingMisaligned, text);
        }
        if enabled && old != self.registers.get(register) {
            let text = format!(
                "{name} at {register:#x} changed from {old:#x} to {value:#x} while enabled (section 4.5.9)"
            );
            self.observe(Rule::RingChangedWhileEnabled, text);
        }
    }

    /// A ring is whole 128-byte lines, at least one, at most 64 KiB.
    pub(crate) fn check_ring_length(&mut self, register: u32) {
        let length = self.registers.get(register);
        if length == 0 || !length.is_multiple_of(128) || length > 0x1_0000 {
            let name = register_name(register).unwrap_or("?");
            let text = format!(
                "{name} at {register:#x} is {length:#x} as its queue is enabled (section 8.10.7, 8.12.10)"
            );
            self.observe(Rule::RingLength, text);
        }
    }

    pub(super) fn is_transmit_queue_enabled(&self, queue: usize) -> bool {
        self.registers.has(offset::of_queue(offset::TXDCTL, queue), dctl::ENABLE)
    }

    /// Descriptors in the ring.
    pub(super) fn transmit_ring_entries(&self, queue: usize) -> u32 {
        self.registers.get(offset::of_queue(offset::TDLEN, queue)) / 16
    }

    fn write_tdt(&mut self, queue: usize, value: u32) {
        let tail = offset::of_queue(offset::TDT, queue);
        let (value, entries) = (value & 0xFFFF, self.transmit_ring_entries(queue));
        if !self.is_transmit_queue_enabled(queue) {
            if value != 0 {
                let text = format!("TDT({queue}) = {value} while TXDCTL.ENABLE is clear (section 4.5.10)");
                self.observe(Rule::DoorbellWhileDisabled, text);
            }
            return self.registers.set(tail, value);
        }
        if value >= entries && value != 0 {
            let text =
                format!("TDT({queue}) = {value}; the ring has {entries} descriptors (section 8.12.16)");
            self.observe(Rule::TailBeyondRing, text);
        } else if !self.registers.has(offset::TCTL, tctl::EN) && value != self.registers.get(tail) {
            let text = format!("TDT({queue}) = {value} while TCTL.EN is clear (section 4.5.10)");
            self.observe(Rule::DoorbellWhileDisabled, text);
        }
        self.registers.set(tail, value);
        self.plan_transmit_fetch(queue);
    }

    fn write_txdctl(&mut self, queue: usize, old: u32, value: u32) {
        if value & dctl::SWFLUSH != 0 {
            self.plan_transmit_flush(queue, self.now + 1);
        }
        if value & !old & dctl::ENABLE != 0 {
            self.check_ring_length(offset::of_queue(offset::TDLEN, queue));
            let state = &mut self.transmit.queues[queue];
            *state = Queue { fetching: state.fetching, ..Queue::default() };
            self.registers.set(offset::of_queue(offset::TDT, queue), 0);
        } else if old & !value & dctl::ENABLE != 0 {
            let state = &mut self.transmit.queues[queue];
            state.cache.clear();
            state.issued = 0;
        }
    }
}
