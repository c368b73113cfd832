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

    /// Takes those that are pending, in the kernel's order, and counts them.
    #[inline]
    pub fn take_all(&mut self) -> Pending {
        let pending = core::mem::take(&mut self.pending);
        if pending == 0 {
            return Pending(0);
        }
        for which in Softirq::ALL {
            self.runs[which as usize] += u64::from(pending >> which as u8 & 1);
        }
        Pending(pending)
    }

    /// One ran, which nobody had to raise.
    #[inline]
    pub fn ran(&mut self, which: Softirq) {
        self.runs[which as usize] += 1;
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

/// Softirqs that were pending.
#[derive(Clone, Copy, Debug)]
pub struct Pending(u8);

impl Pending {
    /// Whether there are none.
    #[inline]
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this one was.
    #[inline]
    #[must_use]
    pub fn has(self, which: Softirq) -> bool {
        self.0 >> which as u8 & 1 != 0
    }
}
