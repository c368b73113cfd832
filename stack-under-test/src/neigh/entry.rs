//! One neighbour, and the states that it can be in.

use crate::skb::SkbQueue;
use crate::time::Instant;
use crate::wire::Mac;
use core::net::Ipv4Addr;

/// How sure it is that the neighbour has the address: `NUD_*`, with Linux's values, so that a set of states is a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum NudState {
    /// Nothing was tried yet.
    None = 0,
    /// It is being asked for; packets wait.
    Incomplete = 0x01,
    /// It answered of late.
    Reachable = 0x02,
    /// It may have gone; the next packet starts finding out.
    Stale = 0x04,
    /// It is used, and will be asked unless something confirms it before.
    Delay = 0x08,
    /// It is being asked, while packets still go to it.
    Probe = 0x10,
    /// It did not answer.
    Failed = 0x20,
    /// It needs no asking: a broadcast address.
    NoArp = 0x40,
    /// An administrator said so.
    Permanent = 0x80,
}

impl NudState {
    /// `NUD_VALID`: packets can be sent.
    #[inline]
    #[must_use]
    pub const fn is_valid(self) -> bool {
        !matches!(self, Self::None | Self::Incomplete | Self::Failed)
    }

    /// `NUD_CONNECTED`: packets can be sent without a second thought.
    #[inline]
    #[must_use]
    pub const fn is_connected(self) -> bool {
        self as u8 & (Self::Permanent as u8 | Self::NoArp as u8 | Self::Reachable as u8) != 0
    }

    /// `NUD_IN_TIMER`: the state ends by itself.
    #[must_use]
    pub const fn is_in_timer(self) -> bool {
        matches!(self, Self::Incomplete | Self::Reachable | Self::Delay | Self::Probe)
    }

    /// The word of `ip neigh`; empty for `None`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Incomplete => "INCOMPLETE",
            Self::Reachable => "REACHABLE",
            Self::Stale => "STALE",
            Self::Delay => "DELAY",
            Self::Probe => "PROBE",
            Self::Failed => "FAILED",
            Self::NoArp => "NOARP",
            Self::Permanent => "PERMANENT",
        }
    }

    /// The state of this word, in any case, as `ip neigh … nud WORD` takes it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::None,
            Self::Incomplete,
            Self::Reachable,
            Self::Stale,
            Self::Delay,
            Self::Probe,
            Self::Failed,
            Self::NoArp,
            Self::Permanent,
        ]
        .into_iter()
        .find(|state| state.name().eq_ignore_ascii_case(name))
    }
}

/// A neighbour: `struct neighbour`.
#[derive(Debug)]
pub struct Neighbour {
    /// Its address.
    pub addr: Ipv4Addr,
    /// How sure it is.
    pub state: NudState,
    /// Its station; meaningless unless the state is valid. After a failure it still holds the last one.
    pub lladdr: Mac,
    /// Requests since asking began. Asking by broadcast begins with the number of unicast requests, which are skipped.
    pub probes: u32,
    /// When a packet last needed it.
    pub used: Instant,
    /// When it was last known to answer; `None`: not for a long time.
    pub confirmed: Option<Instant>,
    /// When state or station last changed.
    pub updated: Instant,
    pub(super) timer: Option<Instant>,
    pub(super) arp_queue: SkbQueue,
}

impl Neighbour {
    pub(super) fn new(addr: Ipv4Addr, now: Instant) -> Self {
        Self {
            addr,
            state: NudState::None,
            lladdr: [0; 6],
            probes: 0,
            used: now,
            confirmed: None,
            updated: now,
            timer: None,
            arp_queue: SkbQueue::default(),
        }
    }

    /// Its station, if the state is valid.
    #[inline]
    #[must_use]
    pub fn lladdr(&self) -> Option<Mac> {
        if self.state.is_valid() { Some(self.lladdr) } else { None }
    }

    /// How many packets wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.arp_queue.len()
    }
}
