//! BAR 3: the MSI-X table with its mask bits, and the pending bits (PCI 3.0, 6.8.2; section 7.3.1).

use super::VECTORS;
use crate::nic::Nic;

/// Where the pending bits are in BAR 3, in bytes.
const PBA: u32 = 0x2000;
/// Bytes of an entry: address low and high, data, vector control.
const ENTRY: u32 = 16;
/// Vector control: the vector is masked.
const MASKED: u32 = 1;

/// What the machine has written to the table. Vectors begin unmasked: a machine without a PCI layer need not touch it.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    entries: [[u32; 4]; VECTORS],
}

impl Table {
    pub(crate) const fn new() -> Self {
        Self { entries: [[0; 4]; VECTORS] }
    }

    /// A bit a masked vector.
    pub(super) fn masked(&self) -> u32 {
        let bits = self.entries.iter().zip(0..).map(|(entry, vector)| (entry[3] & MASKED) << vector);
        bits.fold(0, |all, bit| all | bit)
    }
}

impl Nic {
    /// The machine reads BAR 3 at this offset, in bytes. 0 beyond the table and the pending bits.
    #[must_use]
    pub fn read_msix(&self, offset: u32) -> u32 {
        if offset == PBA {
            // A masked vector keeps what it was asked for until it is unmasked, or its cause is gone.
            return self.interrupts.pending & self.msix.masked();
        }
        self.entry(offset).map_or(0, |(vector, word)| self.msix.entries[vector][word])
    }

    /// The machine writes BAR 3 at this offset, in bytes. A vector that is unmasked sends what waited for it.
    pub fn write_msix(&mut self, offset: u32, value: u32) {
        if let Some((vector, word)) = self.entry(offset) {
            self.msix.entries[vector][word] = if word == 3 { value & MASKED } else { value };
            self.moderate();
        }
    }

    /// Whether the INTx line is asserted: the level that a machine without MSI-X looks at.
    #[must_use]
    pub fn is_intx_asserted(&self) -> bool {
        !self.is_msix() && self.interrupts.asserted != 0
    }

    /// `PBACLR`: what waits for a masked vector is forgotten.
    pub(super) fn clear_pending(&mut self, bits: u32) {
        self.interrupts.pending &= !(bits & self.msix.masked());
    }

    fn entry(&self, offset: u32) -> Option<(usize, usize)> {
        let vector = (offset / ENTRY) as usize;
        let exists = offset.is_multiple_of(4) && vector < usize::from(self.config.msix_vectors);
        exists.then_some((vector, (offset % ENTRY / 4) as usize))
    }
}
