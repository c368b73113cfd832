//! What the NIC needs from the machine, and what it gives to the outside.

use alloc::vec::Vec;

/// The machine refused an access: the range is outside of memory, or not lent to the device for this direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaFault;

/// Memory of the machine, by bus address, as a bus master sees it.
pub trait HostMemory {
    /// Fills `into` from `addr` on.
    ///
    /// # Errors
    /// [`DmaFault`] when any byte of the range may not be read by the device.
    fn read(&mut self, addr: u64, into: &mut [u8]) -> Result<(), DmaFault>;

    /// Stores `bytes` from `addr` on.
    ///
    /// # Errors
    /// [`DmaFault`] when any byte of the range may not be written by the device.
    fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), DmaFault>;
}

/// A frame that has left the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentFrame {
    /// When its last bit, FCS included, was on the wire, in nanoseconds.
    pub at: u64,
    /// When its preamble began, in nanoseconds.
    pub started: u64,
    /// From destination address to the last byte before the FCS, padded to 60 bytes when `TCTL.PSP` is set.
    pub bytes: Vec<u8>,
    /// The transmit queue that it came from, or [`SentFrame::OF_THE_MAC`].
    pub queue: u16,
    /// Ring index of its packet's last descriptor. For a segment of TSE: of the descriptor that held its last byte.
    pub last_descriptor: u16,
}

impl SentFrame {
    /// In the place of a queue: a pause frame of the MAC's own.
    pub const OF_THE_MAC: u16 = u16::MAX;
}

/// An interrupt message that has reached the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msix {
    /// Arrival, in nanoseconds.
    pub at: u64,
    /// MSI-X table entry. Without `GPIE.Multiple_MSIX` there is one interrupt, number 0.
    pub vector: u16,
}

/// Why a frame did not go where it was meant to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// `STATUS.LU` was clear.
    LinkDown,
    /// `RCTL.EN` was clear, or the NIC was in reset.
    ReceiverDisabled,
    /// No address or VLAN filter let it pass.
    Filtered,
    /// Shorter than 64 bytes with FCS (counted in `RUC`).
    Undersize,
    /// Longer than the limit (counted in `ROC`).
    Oversize,
    /// The FCS was wrong (counted in `CRCERRS`).
    BadCrc,
    /// The receive packet buffer was full (counted in `MPC`).
    FifoFull,
    /// No descriptor, and the queue has `SRRCTL.Drop_En` (counted in `RQDPC`).
    NoDescriptor,
    /// Its queue was not enabled.
    QueueDisabled,
    /// The host refused the DMA.
    DmaFault,
    /// The driver described a packet that cannot be sent; an [`crate::Observation`] says why.
    Malformed,
    /// A reset came while it was in the NIC.
    Reset,
    /// Lost between PHY and cable, or damaged there on its way out, as a [`crate::Fault`] asks for.
    Cable,
    /// The card was pulled out.
    Removed,
}

/// A frame that was lost, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// When, in nanoseconds.
    pub at: u64,
    /// Why.
    pub reason: DropReason,
    /// What there was of it, without FCS.
    pub bytes: Vec<u8>,
}

/// A frame that has reached memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The receive queue by whose descriptors it went.
    pub queue: u16,
    /// As it was on the cable, without FCS.
    pub bytes: Vec<u8>,
}

/// What one or more steps brought forth, each list in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Frames that have left the port.
    pub frames: Vec<SentFrame>,
    /// Interrupts that have reached the CPU.
    pub interrupts: Vec<Msix>,
    /// Frames lost in the NIC or at its port.
    pub dropped: Vec<Dropped>,
    /// Frames that have reached memory, where somebody wants to know of them.
    pub received: Option<Vec<Received>>,
}
