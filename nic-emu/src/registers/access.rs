//! How a register behaves when the driver touches it (section 8.1.1).

/// The access kinds of the datasheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads give what was written, under the writable mask.
    ReadWrite,
    /// Writes do nothing.
    ReadOnly,
    /// A read clears it; writes do nothing. The statistics.
    ReadToClear,
    /// The high half of a 64-bit counter: a read clears both halves; writes do nothing.
    ReadToClearPair,
    /// A written 1 clears the bit.
    WriteOneToClear,
    /// Reads give 0; a write has an effect elsewhere.
    WriteOnly,
    /// Reads and writes are answered by a block of the NIC, not by the register file: interrupt causes and masks, `MDIC`,
    /// `EERD`, semaphores, `STATUS`, tails.
    Block,
}
