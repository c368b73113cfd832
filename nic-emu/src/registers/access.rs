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
    /// The low half of a 64-bit counter: a read of the high half clears it; writes do nothing.
    ReadToClearLow,
    /// The high half of a 64-bit counter: a read clears both halves; writes do nothing.
    ReadToClearPair,
    /// A written 1 clears the bit.
    WriteOneToClear,
    /// A written 1 sets the bit: causes, and masks of interrupts.
    WriteOneToSet,
    /// A written 1 clears the bit in the mask that reads give.
    WriteOneToMask,
    /// Reads give 0; a write has an effect elsewhere.
    WriteOnly,
    /// Reads and writes are answered by a block of the NIC, not by the register file: `MDIC`, `EERD`, semaphores, `STATUS`,
    /// tails.
    Block,
}
