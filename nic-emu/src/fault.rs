//! Misbehaviour on request: what a case's `faults:` can ask of the NIC.

/// One planned fault. Counts begin at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The n-th message of a vector never reaches the CPU, though the NIC believes it sent it.
    LostInterrupt {
        /// MSI-X vector.
        vector: u16,
        /// Which of its messages.
        nth: u32,
    },
    /// A message for which there is no cause.
    SpuriousInterrupt {
        /// MSI-X vector.
        vector: u16,
        /// Arrival, in nanoseconds.
        at: u64,
    },
    /// The n-th transmit write-back of a queue comes late; those behind it wait.
    LateWriteBack {
        /// Transmit queue.
        queue: u16,
        /// Which of its write-backs.
        nth: u32,
        /// How much later, in nanoseconds.
        by_ns: u64,
    },
    /// The link is lost and found again.
    LinkFlap {
        /// Loss, in nanoseconds.
        at: u64,
        /// From the loss until the cable is whole again and autonegotiation begins, in nanoseconds.
        for_ns: u64,
    },
}
