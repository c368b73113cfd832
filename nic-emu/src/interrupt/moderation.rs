//! EITR throttling and the way of a message to the CPU (section 7.3.4, 8.8.14).

use alloc::format;

use super::VECTORS;
use crate::agenda::Event;
use crate::fault::{Fault, Happening};
use crate::host::Msix;
use crate::nic::{AllOnes, Io, Nic};
use crate::registers::bit::gpie;
use crate::registers::offset;

/// `EITR` bit 31: a write leaves the running counter alone.
const CNT_INGR: u32 = 1 << 31;

impl Nic {
    /// The interval of a vector: bits 14:2 in microseconds.
    pub(crate) fn moderation_ns(&self, vector: usize) -> u64 {
        u64::from((self.registers.get(offset::EITR + 4 * vector as u32) & 0x7FFC) >> 2) * 1000
    }

    /// Plans the message of each vector that asks for one, as soon as its interval allows.
    pub(super) fn moderate(&mut self) {
        let masked = self.masked_vectors();
        for vector in 0..VECTORS {
            let bit = 1 << vector;
            if self.interrupts.pending & !self.interrupts.waiting & !masked & bit != 0 {
                self.interrupts.waiting |= bit;
                let at = self.interrupts.allowed_at[vector].max(self.now + 1);
                self.agenda.plan(at, Event::Moderated(vector as u8));
            }
        }
    }

    /// Without MSI-X nothing masks the one interrupt but `IMS` and `EIMS`.
    fn masked_vectors(&self) -> u32 {
        if self.is_msix() { self.msix.masked() } else { 0 }
    }

    pub(super) fn write_eitr(&mut self, vector: usize, value: u32) {
        if value & CNT_INGR != 0 || vector >= VECTORS {
            return;
        }
        self.interrupts.allowed_at[vector] = self.now;
        if self.interrupts.waiting & 1 << vector != 0 {
            self.agenda.plan_once(self.now + 1, Event::Moderated(vector as u8));
        }
    }

    /// The interval is over: if the cause still stands, the message leaves, and with it auto-clear and auto-mask happen.
    pub(crate) fn send_message(&mut self, vector: usize) {
        // An event that a write to EITR overtook: the one planned since is still to come.
        let is_early = self.now < self.interrupts.allowed_at[vector];
        if self.interrupts.waiting & 1 << vector == 0 || is_early {
            return;
        }
        let bit = 1 << vector;
        self.interrupts.waiting &= !bit;
        if self.interrupts.pending & !self.masked_vectors() & bit == 0 {
            return;
        }
        self.interrupts.pending &= !bit;
        self.interrupts.allowed_at[vector] = self.now + self.moderation_ns(vector);
        if self.is_msix() {
            let cleared = self.registers.get(offset::EIAC) & bit;
            self.registers.clear_bits(offset::EICR, cleared);
            if self.registers.has(offset::GPIE, gpie::EIAME) {
                let masked = self.registers.get(offset::EIAM) & bit;
                self.registers.clear_bits(offset::EIMS, masked);
            }
        }
        self.count(offset::IAC, 1);
        let at = self.after(self.config.latency.msix_ns);
        self.agenda.plan(at, Event::Message(vector as u8));
        self.evaluate_interrupts();
    }

    pub(crate) fn message_arrived(&mut self, vector: usize, io: &mut Io<'_>) {
        if self.faults.strike(Happening::Message(vector as u16)).is_some() {
            return;
        }
        if vector >= usize::from(self.config.msix_vectors) {
            let text = format!(
                "vector {vector} fires; the MSI-X table has {} (section 7.3.1)",
                self.config.msix_vectors
            );
            return self.observe(crate::observation::Rule::VectorMapping, text);
        }
        io.out.interrupts.push(Msix { at: self.now, vector: vector as u16 });
    }

    pub(crate) fn fault_due(&mut self, index: usize, io: &mut Io<'_>) {
        let fault = self.faults.get(index);
        // A register of all ones has to be read.
        if !matches!(fault, Some(Fault::AllOnes { .. })) {
            self.faults.struck(index);
        }
        match fault {
            Some(Fault::SpuriousInterrupt { vector, .. }) => {
                io.out.interrupts.push(Msix { at: self.now, vector });
            }
            Some(Fault::Removal { .. }) => self.remove(),
            Some(Fault::AllOnes { register, for_ns, .. }) => {
                let until = self.now.saturating_add(for_ns);
                self.all_ones.retain(|ones| self.now < ones.until);
                let register = crate::registers::canonical(register);
                self.all_ones.push(AllOnes { register, until, fault: index });
            }
            Some(Fault::LinkFlap { for_ns, .. }) => {
                self.flaps_until = self.flaps_until.max(self.now.saturating_add(for_ns));
                self.agenda.plan(self.flaps_until, Event::CableBack);
                self.set_link(false);
            }
            _ => {}
        }
    }
}
