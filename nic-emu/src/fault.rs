//! Misbehaviour on request: what a case's `faults:` can ask of the NIC.

use alloc::vec::Vec;

use crate::random::mix;

/// Which of many alike happenings a fault strikes. They are counted from when the fault was armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The n-th, from 1 on.
    Nth(u32),
    /// So many of thousand, the seed says which.
    Share {
        /// 0 (none) to 1000 (all).
        per_mille: u16,
        /// The same seed strikes the same ones.
        seed: u64,
    },
}

impl Which {
    fn selects(self, count: u32) -> bool {
        match self {
            Self::Nth(nth) => count == nth,
            Self::Share { per_mille, seed } => mix(seed ^ mix(count.into())) % 1000 < per_mille.into(),
        }
    }
}

/// One planned fault. Times are in nanoseconds, and begin when the fault was armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A message of a vector never reaches the CPU, though the NIC believes it sent it.
    LostInterrupt {
        /// MSI-X vector.
        vector: u16,
        /// Which of its messages.
        which: Which,
    },
    /// A message for which there is no cause.
    SpuriousInterrupt {
        /// MSI-X vector.
        vector: u16,
        /// Arrival.
        at: u64,
    },
    /// A transmit write-back of a queue comes late; those behind it wait.
    LateWriteBack {
        /// Transmit queue.
        queue: u16,
        /// Which of its write-backs.
        which: Which,
        /// How much later.
        by_ns: u64,
    },
    /// A transmit write-back of a queue never reaches memory: DD does not come, though the interrupt does.
    LostWriteBack {
        /// Transmit queue.
        queue: u16,
        /// Which of its write-backs.
        which: Which,
    },
    /// A fetch of transmit descriptors fails. The queue stands still until it is enabled anew, and `ICR.DOUTSYNC` says so.
    DescriptorFetchError {
        /// Transmit queue.
        queue: u16,
        /// Which of its fetches.
        which: Which,
    },
    /// The host refuses a read of packet data: the frame is lost, the ring goes on.
    RefusedDma {
        /// Transmit queue.
        queue: u16,
        /// Which of its reads, of at most 2 KiB each.
        which: Which,
    },
    /// A receive write-back of a queue comes late; those behind it wait.
    LateReceiveWriteBack {
        /// Receive queue.
        queue: u16,
        /// Which of its write-backs.
        which: Which,
        /// How much later.
        by_ns: u64,
    },
    /// A receive write-back of a queue never reaches memory: `RDH` moves and the interrupt comes, and DD does not.
    LostReceiveWriteBack {
        /// Receive queue.
        queue: u16,
        /// Which of its write-backs.
        which: Which,
    },
    /// A fetch of free receive descriptors fails. The queue stands still until it is enabled anew, and no cause says so; its frames stay
    /// in the packet buffer, and those behind them.
    ReceiveFetchError {
        /// Receive queue.
        queue: u16,
        /// Which of its fetches.
        which: Which,
    },
    /// The host refuses a write of received data. Writes are posted: the NIC never learns of it, and the descriptor says that a good
    /// frame is there.
    RefusedReceiveDma {
        /// Receive queue.
        queue: u16,
        /// Which of its writes, one a buffer.
        which: Which,
    },
    /// The link is lost and found again.
    LinkFlap {
        /// Loss.
        at: u64,
        /// From the loss until the cable is whole again and autonegotiation begins.
        for_ns: u64,
    },
    /// A frame is damaged between PHY and cable on its way in: its FCS is wrong.
    CorruptedReceivedFrame {
        /// Which of those that come in.
        which: Which,
    },
    /// A frame is lost between PHY and cable on its way in: the MAC never sees it.
    LostReceivedFrame {
        /// Which of those that come in.
        which: Which,
    },
    /// A frame is damaged between PHY and cable on its way out; nobody at the other end takes it. The MAC counts it as sent.
    CorruptedSentFrame {
        /// Which of those that leave.
        which: Which,
    },
    /// A frame is lost between PHY and cable on its way out. The MAC counts it as sent.
    LostSentFrame {
        /// Which of those that leave.
        which: Which,
    },
    /// The card is pulled out: registers read all ones, writes do nothing, and nothing comes or leaves any more.
    Removal {
        /// When.
        at: u64,
    },
    /// One register cannot be read for a time: it gives all ones, and a read has no side effects. The others are as ever.
    AllOnes {
        /// Its offset in BAR 0.
        register: u32,
        /// From when on.
        at: u64,
        /// For how long.
        for_ns: u64,
    },
    /// A `CTRL.RST` takes longer than it should.
    SlowReset {
        /// Which of them.
        which: Which,
        /// How much longer.
        by_ns: u64,
    },
}

/// Times beyond this, about two years, are taken as this: what is added to them does not overflow.
const TIME_MAX: u64 = 1 << 56;

impl Fault {
    /// The same with times that the NIC can reckon with.
    pub(crate) fn bounded(mut self) -> Self {
        match &mut self {
            Self::SpuriousInterrupt { at: time, .. }
            | Self::Removal { at: time }
            | Self::LateWriteBack { by_ns: time, .. }
            | Self::LateReceiveWriteBack { by_ns: time, .. }
            | Self::SlowReset { by_ns: time, .. } => *time = (*time).min(TIME_MAX),
            Self::LinkFlap { at, for_ns } | Self::AllOnes { at, for_ns, .. } => {
                (*at, *for_ns) = ((*at).min(TIME_MAX), (*for_ns).min(TIME_MAX));
            }
            _ => {}
        }
        self
    }

    /// When it happens by itself, after it was armed.
    pub(crate) const fn due(&self) -> Option<u64> {
        match *self {
            Self::SpuriousInterrupt { at, .. }
            | Self::LinkFlap { at, .. }
            | Self::Removal { at }
            | Self::AllOnes { at, .. } => Some(at),
            _ => None,
        }
    }
}

/// Something that happens, and that a fault may strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    Message(u16),
    /// Of a queue; the two kinds of fault count by themselves.
    WriteBack(u16),
    DescriptorFetch(u16),
    DataRead(u16),
    /// Of a receive queue; the two kinds of fault count by themselves.
    ReceiveWriteBack(u16),
    ReceiveFetch(u16),
    DataWrite(u16),
    FrameIn,
    FrameOut,
    Reset,
}

/// What has come of a planned fault since it was armed. Counts stay at their largest value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCount {
    /// How often there was what the fault can strike: messages of the vector, write-backs of the queue. 0 for a fault that has a
    /// time of its own.
    pub seen: u32,
    /// How often it struck. A register of all ones strikes each read, all else that has a time of its own once.
    pub struck: u32,
}

/// The plan, and what of it has come to pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    faults: Vec<(Fault, FaultCount)>,
}

impl Plan {
    /// Adds faults; gives the place of the first.
    pub(crate) fn arm(&mut self, faults: &[Fault]) -> usize {
        let first = self.faults.len();
        self.faults.extend(faults.iter().map(|fault| (fault.bounded(), FaultCount::default())));
        first
    }

    pub(crate) fn get(&self, place: usize) -> Option<Fault> {
        self.faults.get(place).map(|(fault, _)| *fault)
    }

    /// The fault at this place strikes now.
    pub(crate) fn struck(&mut self, place: usize) {
        if let Some((_, count)) = self.faults.get_mut(place) {
            count.struck = count.struck.saturating_add(1);
        }
    }

    /// What has come of each fault, in the order of being armed.
    pub(crate) fn counts(&self) -> impl Iterator<Item = FaultCount> + '_ {
        self.faults.iter().map(|(_, count)| *count)
    }

    /// This happens now: the fault that strikes it. Each fault counts it, whichever strikes.
    pub(crate) fn strike(&mut self, happening: Happening) -> Option<Fault> {
        let mut struck = None;
        for (place, (fault, count)) in self.faults.iter_mut().enumerate() {
            let Some(which) = concerns(fault, happening) else { continue };
            count.seen = count.seen.saturating_add(1);
            if which.selects(count.seen) {
                struck = struck.or(Some((place, *fault)));
            }
        }
        let (place, fault) = struck?;
        self.struck(place);
        Some(fault)
    }
}

/// Which happenings of this kind the fault strikes, if it is about them.
fn concerns(fault: &Fault, happening: Happening) -> Option<Which> {
    match (*fault, happening) {
        (Fault::LostInterrupt { vector: of, which }, Happening::Message(is))
        | (Fault::LateWriteBack { queue: of, which, .. }, Happening::WriteBack(is))
        | (Fault::LostWriteBack { queue: of, which }, Happening::WriteBack(is))
        | (Fault::DescriptorFetchError { queue: of, which }, Happening::DescriptorFetch(is))
        | (Fault::RefusedDma { queue: of, which }, Happening::DataRead(is))
        | (Fault::LateReceiveWriteBack { queue: of, which, .. }, Happening::ReceiveWriteBack(is))
        | (Fault::LostReceiveWriteBack { queue: of, which }, Happening::ReceiveWriteBack(is))
        | (Fault::ReceiveFetchError { queue: of, which }, Happening::ReceiveFetch(is))
        | (Fault::RefusedReceiveDma { queue: of, which }, Happening::DataWrite(is)) => {
            (of == is).then_some(which)
        }
        (
            Fault::CorruptedReceivedFrame { which } | Fault::LostReceivedFrame { which },
            Happening::FrameIn,
        )
        | (Fault::CorruptedSentFrame { which } | Fault::LostSentFrame { which }, Happening::FrameOut)
        | (Fault::SlowReset { which, .. }, Happening::Reset) => Some(which),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn a_share_is_about_what_it_says_and_the_same_each_time() {
        let which = Which::Share { per_mille: 100, seed: 7 };
        let struck: Vec<u32> = (1..=10_000).filter(|count| which.selects(*count)).collect();
        assert!((900..=1100).contains(&struck.len()), "{} of 10,000", struck.len());
        assert_eq!(struck, (1..=10_000).filter(|count| which.selects(*count)).collect::<Vec<_>>());
        let other = Which::Share { per_mille: 100, seed: 8 };
        assert_ne!(struck, (1..=10_000).filter(|count| other.selects(*count)).collect::<Vec<_>>());
    }

    #[test]
    fn faults_count_what_they_are_about_and_nothing_else() {
        let fault = Fault::LostInterrupt { vector: 1, which: Which::Nth(2) };
        let mut plan = Plan::default();
        plan.arm(&[fault]);
        let happenings =
            [Happening::Message(1), Happening::Message(0), Happening::FrameIn, Happening::Message(1)];
        assert_eq!(happenings.map(|happening| plan.strike(happening)), [None, None, None, Some(fault)]);
    }

    #[test]
    fn two_faults_of_one_kind_count_the_same_happenings() {
        let faults = vec![
            Fault::LostSentFrame { which: Which::Nth(1) },
            Fault::LostSentFrame { which: Which::Nth(2) },
        ];
        let mut plan = Plan::default();
        plan.arm(&faults);
        assert_eq!(plan.strike(Happening::FrameOut), Some(faults[0]));
        assert_eq!(plan.strike(Happening::FrameOut), Some(faults[1]));
        assert_eq!(plan.strike(Happening::FrameOut), None);
    }

    #[test]
    fn of_two_faults_that_select_the_same_happening_only_the_first_has_struck() {
        let mut plan = Plan::default();
        plan.arm(&[
            Fault::CorruptedSentFrame { which: Which::Nth(2) },
            Fault::LostSentFrame { which: Which::Share { per_mille: 1000, seed: 0 } },
        ]);
        let _ = [(); 3].map(|()| plan.strike(Happening::FrameOut));
        let counts: Vec<_> = plan.counts().collect();
        assert_eq!(counts, [FaultCount { seen: 3, struck: 1 }, FaultCount { seen: 3, struck: 2 }]);
    }
}
