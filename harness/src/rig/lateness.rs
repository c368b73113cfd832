//! How late the harness was for what it read and sent, over a whole trial.

use crate::case::model::Nanos;

/// How late the harness was in a trial in real time; in virtual time nothing is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Frames of the system under test: by how much their times may be later than they were.
    pub captured: Delays,
    /// Frames of the peer: how long after the moment at which the engine wanted them they were on the wire.
    pub injected: Delays,
    /// Calls: by how much the time at which one came back may be later than it was.
    pub returned: Delays,
    /// Readings for checks: how long each took, so that the value may be of a later time than was wanted. They do not count for
    /// the worst of a trial ([`crate::rig::Finished::lateness`]): what was read and held did hold.
    pub read: Delays,
}

/// Some delays, summed up; all times are in nanoseconds, and 0 when there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// How many.
    pub count: usize,
    /// Half of them were not longer.
    pub median: Nanos,
    /// 99 in 100 were not longer.
    pub p99: Nanos,
    /// The longest.
    pub worst: Nanos,
}

impl Delays {
    /// Sums up delays, given in any order.
    #[must_use]
    pub fn of(mut delays: Vec<Nanos>) -> Self {
        delays.sort_unstable();
        // The smallest that is not below this share of all.
        let at = |percent: usize| {
            let rank = (delays.len() * percent).div_ceil(100).max(1);
            delays.get(rank - 1).copied().unwrap_or(0)
        };
        Self { count: delays.len(), median: at(50), p99: at(99), worst: at(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::none(vec![], (0, 0, 0, 0))]
    #[case::one(vec![7], (1, 7, 7, 7))]
    #[case::two(vec![9, 3], (2, 3, 9, 9))]
    #[case::a_hundred_and_one((0..=100).rev().collect(), (101, 50, 99, 100))]
    #[case::two_hundred((1..=200).collect(), (200, 100, 198, 200))]
    fn delays_are_summed_up(#[case] delays: Vec<Nanos>, #[case] summary: (usize, Nanos, Nanos, Nanos)) {
        let found = Delays::of(delays);
        assert_eq!((found.count, found.median, found.p99, found.worst), summary);
    }
}
