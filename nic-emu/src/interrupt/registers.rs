//! Reads and writes of the interrupt registers (section 8.8).

use alloc::format;

use super::VECTORS;
use super::causes::IVAR_VALID;
use crate::nic::Nic;
use crate::observation::Rule;
use crate::registers::bit::{gpie, icr};
use crate::registers::offset;

/// Bits of `EICS`, `EIMS` and `EIMC` with MSI-X.
const VECTOR_BITS: u32 = (1 << VECTORS) - 1;
/// Without: 16 causes, the TCP timer, and other.
const LEGACY_BITS: u32 = 0xC000_FFFF;

impl Nic {
    pub(crate) fn read_interrupt(&mut self, register: u32) -> u32 {
        match register {
            offset::ICR => self.read_icr(),
            offset::IMS | offset::IMC => self.registers.get(offset::IMS),
            offset::EIMS | offset::EIMC => self.registers.get(offset::EIMS),
            offset::EICR => {
                let value = self.registers.get(offset::EICR);
                if !self.is_msix() {
                    self.registers.set(offset::EICR, 0);
                    self.evaluate_interrupts();
                }
                value
            }
            _ => 0,
        }
    }

    /// `NSICR` makes each read clear; else only one that finds an interrupt asserted, or nothing enabled (section 8.8.7).
    fn read_icr(&mut self) -> u32 {
        let causes = self.registers.get(offset::ICR);
        let mask = self.registers.get(offset::IMS);
        let asserted = causes & mask != 0;
        if asserted {
            let automatic = self.registers.get(offset::IAM);
            self.registers.clear_bits(offset::IMS, automatic);
        }
        if asserted || mask == 0 || self.registers.has(offset::GPIE, gpie::NSICR) {
            self.registers.set(offset::ICR, 0);
        }
        let other = self.other_bit();
        self.registers.clear_bits(offset::EICR, other);
        self.evaluate_interrupts();
        causes | if asserted { icr::INT_ASSERTED } else { 0 }
    }

    pub(crate) fn write_interrupt(&mut self, register: u32, value: u32) {
        let extended = value & if self.is_msix() { VECTOR_BITS } else { LEGACY_BITS };
        match register {
            offset::ICR => {
                if self.registers.get(offset::ICR) & self.registers.get(offset::IMS) != 0 {
                    let automatic = self.registers.get(offset::IAM);
                    self.registers.clear_bits(offset::IMS, automatic);
                }
                self.registers.clear_bits(offset::ICR, value);
            }
            offset::ICS => return self.raise_cause(value & icr::CAUSES),
            offset::IMS => {
                self.registers.set_bits(offset::IMS, value & icr::CAUSES);
                if self.registers.get(offset::ICR) & value & icr::CAUSES != 0 {
                    self.raise_other();
                }
            }
            offset::IMC => self.registers.clear_bits(offset::IMS, value),
            offset::EICS => self.registers.set_bits(offset::EICR, extended),
            offset::EIMS => self.registers.set_bits(offset::EIMS, extended),
            offset::EIMC => self.registers.clear_bits(offset::EIMS, value),
            offset::EICR => self.registers.clear_bits(offset::EICR, value),
            offset::EITR..offset::IVAR => {
                self.write_eitr((register - offset::EITR) as usize / 4, value);
            }
            offset::IVAR..=offset::IVAR_MISC => self.check_ivar(register, value),
            offset::PBACLR => self.clear_pending(value),
            _ => {}
        }
        self.evaluate_interrupts();
    }

    fn check_ivar(&mut self, register: u32, value: u32) {
        for entry in value.to_le_bytes() {
            let vector = u32::from(entry) & 0x1F;
            if u32::from(entry) & IVAR_VALID == 0 {
                continue;
            }
            let limit = u32::from(self.config.msix_vectors);
            if vector >= limit {
                let text =
                    format!("IVAR at {register:#x} names vector {vector}; there are {limit} (section 7.3.1)");
                self.observe(Rule::VectorMapping, text);
            } else if vector != 0 && !self.is_msix() {
                let text = format!(
                    "IVAR at {register:#x} names vector {vector} before GPIE.Multiple_MSIX (section 7.3.1)"
                );
                self.observe(Rule::VectorMapping, text);
            }
        }
    }
}
