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

/// Times beyond this, about two years, are taken as this: what is added to them does not overflow.
const TIME_MAX: u64 = 1 << 56;

impl Fault {
    /// The same with times that the NIC can reckon with.
    pub(crate) fn bounded(self) -> Self {
        match self {
            Self::LostInterrupt { .. } => self,
            Self::SpuriousInterrupt { vector, at } => {
                Self::SpuriousInterrupt { vector, at: at.min(TIME_MAX) }
            }
            Self::LateWriteBack { queue, nth, by_ns } => {
                Self::LateWriteBack { queue, nth, by_ns: by_ns.min(TIME_MAX) }
            }
            Self::LinkFlap { at, for_ns } => {
                Self::LinkFlap { at: at.min(TIME_MAX), for_ns: for_ns.min(TIME_MAX) }
            }
        }
    }
}
