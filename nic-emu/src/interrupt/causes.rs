//! From an event in the NIC to a bit of `ICR` or `EICR` (section 7.3.1, 7.3.2).

use crate::nic::Nic;
use crate::registers::bit::{gpie, icr};
use crate::registers::offset;

/// Set in an IVAR byte that holds a vector.
pub(super) const IVAR_VALID: u32 = 0x80;
/// `EICR` bit for other causes without MSI-X.
pub(super) const EICR_OTHER: u32 = 1 << 31;

impl Nic {
    pub(crate) fn is_msix(&self) -> bool {
        self.registers.has(offset::GPIE, gpie::MULTIPLE_MSIX)
    }

    /// Sets bits of `ICR`. Those that `IMS` enables also set the "other" bit of `EICR`.
    pub(crate) fn raise_cause(&mut self, bits: u32) {
        self.registers.set_bits(offset::ICR, bits);
        if self.registers.get(offset::IMS) & bits != 0 {
            self.raise_other();
        }
        self.evaluate_interrupts();
    }

    pub(super) fn raise_other(&mut self) {
        let bit = self.other_bit();
        self.registers.set_bits(offset::EICR, bit);
    }

    /// The bit of `EICR` that stands for causes of `ICR`.
    pub(super) fn other_bit(&self) -> u32 {
        if !self.is_msix() {
            return EICR_OTHER;
        }
        vector_bit(self.registers.get(offset::IVAR_MISC) >> 8)
    }

    /// A transmit descriptor of this queue was written back.
    pub(crate) fn raise_transmit_cause(&mut self, queue: usize) {
        self.raise_queue_cause(queue, 8, icr::TXDW);
    }

    /// A receive descriptor of this queue was written back.
    pub(crate) fn raise_receive_cause(&mut self, queue: usize) {
        self.raise_queue_cause(queue, 0, icr::RXDW);
    }

    /// IVAR is column-major on the 82576: register `queue & 7`, upper half for queues 8 to 15 (section 8.8.13).
    fn raise_queue_cause(&mut self, queue: usize, shift: u32, cause: u32) {
        let register = self.registers.get(offset::IVAR + 4 * (queue as u32 & 7));
        let half = if queue >= 8 { 16 } else { 0 };
        let bit = vector_bit(register >> (half + shift));
        self.registers.set_bits(offset::EICR, bit);
        self.raise_cause(cause);
    }

    /// A bit that becomes set in `EICR & EIMS`, or without MSI-X in anything enabled, asks for a message.
    pub(crate) fn evaluate_interrupts(&mut self) {
        let extended = self.registers.get(offset::EICR) & self.registers.get(offset::EIMS);
        let asserted = if self.is_msix() {
            extended
        } else {
            u32::from(extended != 0 || self.registers.get(offset::ICR) & self.registers.get(offset::IMS) != 0)
        };
        let risen = asserted & !self.interrupts.asserted;
        self.interrupts.pending = (self.interrupts.pending & asserted) | risen;
        self.interrupts.asserted = asserted;
        self.moderate();
    }
}

/// The `EICR` bit of an IVAR byte; none when it is not valid.
const fn vector_bit(entry: u32) -> u32 {
    if entry & IVAR_VALID == 0 { 0 } else { 1 << (entry & 0x1F) }
}
