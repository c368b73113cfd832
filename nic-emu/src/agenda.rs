//! What the NIC will do and when.

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;

use crate::random::mix;

/// A thing to do. Events of the same discriminant, due at the same time, stay in the order in which they were planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    ResetDone,
    NvmLoaded,
    ConfigDone,
    NvmRead,
    NvmWrite,
    MdioDone,
    AutonegDone(u32),
    TransmitFetch(u8),
    TransmitData,
    TransmitWriteBack(u8),
    TransmitFlush(u8),
    WireFree,
    PauseOver,
    PauseRefresh,
    FrameArrived,
    ReceiveFetch(u8),
    ReceiveData,
    ReceiveWriteBack(u8),
    ReceiveFlush(u8),
    Moderated(u8),
    Message(u8),
    Fault(u16),
    CableBack,
}

impl Event {
    /// Whether `CTRL.RST` leaves it in place.
    pub(crate) const fn survives_reset(self) -> bool {
        matches!(
            self,
            Self::AutonegDone(_) | Self::FrameArrived | Self::Fault(_) | Self::CableBack | Self::Message(_)
        )
    }

    /// Events of one class keep their order: they are one pipeline of the hardware.
    const fn class(self) -> u64 {
        match self {
            Self::ResetDone | Self::NvmLoaded | Self::ConfigDone => 1,
            Self::NvmRead | Self::NvmWrite => 2,
            Self::MdioDone | Self::AutonegDone(_) => 3,
            Self::TransmitFetch(queue) => 0x100 + queue as u64,
            Self::TransmitData => 4,
            Self::TransmitWriteBack(_) | Self::ReceiveWriteBack(_) | Self::Message(_) => 5,
            Self::TransmitFlush(queue) => 0x200 + queue as u64,
            Self::WireFree => 6,
            Self::FrameArrived => 7,
            Self::ReceiveFetch(queue) => 0x300 + queue as u64,
            Self::ReceiveData => 8,
            Self::ReceiveFlush(queue) => 0x400 + queue as u64,
            Self::Moderated(vector) => 0x500 + vector as u64,
            Self::Fault(_) | Self::CableBack => 9,
            Self::PauseOver | Self::PauseRefresh => 10,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: u64,
    /// Orders classes that are due at the same time; drawn from the seed.
    tie: u64,
    sequence: u64,
    event: Event,
}

/// The planned events, earliest first.
#[derive(Clone, Debug)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    seed: u64,
}

impl Agenda {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { heap: BinaryHeap::new(), sequence: 0, seed }
    }

    pub(crate) fn plan(&mut self, at: u64, event: Event) {
        let tie = mix(self.seed ^ mix(at) ^ event.class());
        self.sequence += 1;
        self.heap.push(Reverse(Entry { at, tie, sequence: self.sequence, event }));
    }

    /// The same, unless it is planned for then already: who asks again and again without time passing is heard once.
    pub(crate) fn plan_once(&mut self, at: u64, event: Event) {
        if !self.heap.iter().any(|Reverse(entry)| entry.at == at && entry.event == event) {
            self.plan(at, event);
        }
    }

    /// Forgets the ends of autonegotiations.
    pub(crate) fn drop_autoneg(&mut self) {
        self.heap.retain(|Reverse(entry)| !matches!(entry.event, Event::AutonegDone(_)));
    }

    pub(crate) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    pub(crate) fn pop_due(&mut self, now: u64) -> Option<(u64, Event)> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }

    pub(crate) fn drop_all(&mut self) {
        self.heap.clear();
    }

    pub(crate) fn drop_all_but_survivors(&mut self) {
        self.heap.retain(|Reverse(entry)| entry.event.survives_reset());
    }
}
