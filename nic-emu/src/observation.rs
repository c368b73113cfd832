//! What the NIC saw the driver do that the datasheet forbids, or that it cannot follow.

use alloc::string::String;

/// Which rule an [`Observation`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A register access beyond BAR 0 (section 8.1). Reads give all ones.
    AccessOutsideBar,
    /// A register access not on a multiple of 4 (section 8.1). Reads give all ones.
    MisalignedAccess,
    /// An offset where the 82576 has no register, or one that is not modelled. Reads give 0.
    UnknownRegister,
    /// A register other than `CTRL`, `STATUS` and `EECD` touched while `CTRL.RST` was at work (section 4.3).
    AccessDuringReset,
    /// A reserved bit set in a register or descriptor (section 8.1.2, 7.2.2).
    ReservedBit,
    /// A tail register past the ring's last descriptor (section 8.12.16, 8.10.10).
    TailBeyondRing,
    /// A tail register moved while the queue, or the transmitter, was disabled (section 4.5.9, 4.5.10).
    DoorbellWhileDisabled,
    /// A ring base that is not a multiple of 128 (section 8.10.5, 8.12.8).
    RingMisaligned,
    /// A ring length of 0, or not a multiple of 128 bytes (section 8.10.7, 8.12.10).
    RingLength,
    /// Base, length or buffer layout changed while the queue was enabled (section 4.5.9, 4.5.10).
    RingChangedWhileEnabled,
    /// The receive tail was moved onto the head: all descriptors given looks like none given (section 7.1.8).
    TailMeetsHead,
    /// The sum of `DTALEN` is not `PAYLEN` (plus headers with TSE) (section 7.2.2.3).
    LengthMismatch,
    /// The tail cut a packet: its last descriptor has no `EOP` (section 7.2.2.3).
    PacketUnfinished,
    /// `TSE` without `TXSM`, or without `IXSM` for IPv4, or with `IXSM` for IPv6 (section 7.2.2.3.10).
    SegmentationWithoutChecksum,
    /// A data descriptor with `DTALEN` 0 (section 7.2.2.3).
    ZeroLength,
    /// An offload asked for by way of a context slot that was never written (section 7.2.2.2).
    NoContext,
    /// Context fields that cannot be obeyed: header lengths outside of the packet, MSS 0, reserved L4T (section 7.2.2.2).
    BadContext,
    /// A descriptor type that does not exist (section 7.2.2).
    DescriptorType,
    /// A frame that the MAC cannot send: below 17 bytes, or above the maximum (section 7.2.1, 8.12.1).
    FrameLength,
    /// An IVAR entry for a vector that does not exist, or set before `GPIE.Multiple_MSIX` (section 7.3.1).
    VectorMapping,
    /// The host refused a DMA access: memory that was never lent, or is lent no more.
    DmaFault,
    /// An NVM access out of range, or while one is running (section 3.3).
    NvmAccess,
    /// An MDIC access to a PHY that is not there, or while one is running (section 8.2.4).
    PhyAccess,
    /// Legal, but the emulator does not do it.
    NotModelled,
}

/// One thing seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// When, in nanoseconds.
    pub at: u64,
    /// The rule.
    pub kind: Rule,
    /// What happened, with the values, and the section that forbids it.
    pub text: String,
}
