//! Softirqs: which are pending on which CPU, and how often each has run.

/// The softirqs that networking uses, by their rows in `/proc/softirqs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Softirq {
    /// Timers: neighbour states, qdisc watchdogs, reassembly.
    Timer,
    /// Qdiscs that were rescheduled.
    NetTx,
    /// NAPI polls: received frames, and completions of sent ones.
    NetRx,
}

impl Softirq {
    /// All of them, in the order in which the kernel serves them.
    pub const ALL: [Self; 3] = [Self::Timer, Self::NetTx, Self::NetRx];

    /// The row in `/proc/softirqs`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Timer => "TIMER",
            Self::NetTx => "NET_TX",
            Self::NetRx => "NET_RX",
        }
    }
}

/// One CPU's softirqs.
#[derive(Clone, Copy, Debug, Default)]
pub struct SoftirqState {
    pending: u8,
    runs: [u64; 3],
}

impl SoftirqState {
    /// `raise_softirq`.
    #[inline]
    pub fn raise(&mut self, which: Softirq) {
        self.pending |= 1 << which as u8;
    }

    /// Takes the next pending one, in the kernel's order, and counts it.
    #[inline]
    pub fn take(&mut self) -> Option<Softirq> {
        if self.pending == 0 {
            return None;
        }
        let which = Softirq::ALL[self.pending.trailing_zeros() as usize];
        self.pending &= self.pending - 1;
        self.runs[which as usize] += 1;
        Some(which)
    }

    /// Whether one is pending.
    #[inline]
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.pending != 0
    }

    /// How often it has run on this CPU.
    #[must_use]
    pub fn runs(&self, which: Softirq) -> u64 {
        self.runs[which as usize]
    }
}
