//! Byte queue limits: how many bytes may lie in a transmit ring, adapted to what the device gets done between two
//! completions (Linux 6.12, `lib/dynamic_queue_limits.c`).
//!
//! The limit is to be the smallest that keeps the device busy. It grows when the device ran dry although there was more to
//! send (*starved*), and shrinks by what was never needed (*slack*) over a second, but not below `limit_min`.
use crate::time::{Duration, Instant};

/// The largest limit: Linux's `DQL_MAX_LIMIT`.
const MAX_LIMIT: u64 = (u32::MAX / 2 - u32::MAX / 16) as u64;
/// `byte_queue_limits/limit_min`, in bytes: two full frames. Linux differs: there it is 0, so that each packet after a
/// pause stops the queue and costs a NET_TX softirq when it completes; 3028 can be set there too.
pub const LIMIT_MIN: u64 = 3028;
/// For how long slack is watched before the limit shrinks by the least of it.
const SLACK_HOLD_TIME: Duration = Duration::from_secs(1);

/// The limit of one queue, and what is under way.
#[derive(Debug)]
pub struct Dql {
    queued: u64,
    completed: u64,
    limit: u64,
    limit_min: u64,
    last_queued: u64,
    /// As they were at the last completion.
    prev: Snapshot,
    lowest_slack: u64,
    slack_since: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Snapshot {
    /// Bytes handed over until then.
    queued: u64,
    /// By how much the bytes under way passed the limit.
    over_limit: u64,
    /// The last hand-over.
    last_queued: u64,
}

impl Default for Dql {
    fn default() -> Self {
        Self {
            queued: 0,
            completed: 0,
            limit: 0,
            limit_min: 0,
            last_queued: 0,
            prev: Snapshot::default(),
            lowest_slack: u64::MAX,
            slack_since: Instant::ZERO,
        }
    }
}

impl Dql {
    /// A limit that begins at `limit_min` and does not shrink below it.
    #[must_use]
    pub fn with_limit_min(limit_min: u64) -> Self {
        Self { limit: limit_min, limit_min, ..Self::default() }
    }

    /// `bytes` were handed to the device.
    #[inline(always)]
    pub fn queued(&mut self, bytes: u32) {
        self.last_queued = u64::from(bytes);
        self.queued += u64::from(bytes);
    }

    /// `bytes` were handed to the device in a row of packets, the last one of `last_bytes`.
    #[inline(always)]
    pub fn queued_row(&mut self, bytes: u64, last_bytes: u32) {
        self.last_queued = u64::from(last_bytes);
        self.queued += bytes;
    }

    /// How many bytes more are allowed; negative when the limit is passed.
    #[inline(always)]
    #[must_use]
    pub fn available(&self) -> i64 {
        // Neither can reach the sign bit: the limit is bounded, and what is under way lies in memory.
        self.limit as i64 - (self.queued - self.completed) as i64
    }

    /// From the next completion on the limit is not below `bytes`.
    pub fn set_limit_min(&mut self, bytes: u64) {
        self.limit_min = bytes.min(MAX_LIMIT);
    }

    /// What the limit does not shrink below, in bytes.
    #[must_use]
    pub fn limit_min(&self) -> u64 {
        self.limit_min
    }

    /// The limit itself, in bytes: `byte_queue_limits/limit` in sysfs.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The device is done with `bytes`, at `now`; adapts the limit. More than was queued counts as all of it.
    #[inline]
    pub fn completed(&mut self, now: Instant, bytes: u32) {
        let completed = (self.completed + u64::from(bytes)).min(self.queued);
        let held_back = self.queued - self.completed > self.limit || self.prev.over_limit > 0;
        if completed == self.queued && !held_back && self.limit >= self.limit_min {
            // All is done, and the queue was never held back: the limit is right.
            self.prev = Snapshot { queued: self.queued, over_limit: 0, last_queued: self.last_queued };
            self.completed = completed;
            return;
        }
        let over_limit = (self.queued - self.completed).saturating_sub(self.limit);
        let idle = completed == self.queued;
        let all_previous_done = completed >= self.prev.queued;
        let before = self.limit;

        if (over_limit > 0 && idle) || (self.prev.over_limit > 0 && all_previous_done) {
            self.starved(now, completed);
        } else if !idle && self.prev.queued > self.completed && !all_previous_done {
            self.busy(now, completed);
        }

        self.limit = self.limit.clamp(self.limit_min, MAX_LIMIT);
        // Under a new limit, how far the old one was passed says nothing.
        let over_limit = if self.limit == before { over_limit } else { 0 };
        self.prev = Snapshot { queued: self.queued, over_limit, last_queued: self.last_queued };
        self.completed = completed;
    }

    /// The queue was held back, and the device ran dry: allow what it got done beyond the earlier hand-overs.
    fn starved(&mut self, now: Instant, completed: u64) {
        self.limit += completed.saturating_sub(self.prev.queued) + self.prev.over_limit;
        self.slack_since = now;
        self.lowest_slack = u64::MAX;
    }

    /// The device stayed busy from one completion to the next: what of the limit was not needed for that is slack. An
    /// interval of two completions is needed, and a last packet that passed the limit cannot be had in part.
    fn busy(&mut self, now: Instant, completed: u64) {
        let needed = 2 * (completed - self.completed);
        let unused = (self.limit + self.prev.over_limit).saturating_sub(needed);
        let beyond = if self.prev.over_limit > 0 {
            self.prev.last_queued.saturating_sub(self.prev.over_limit)
        } else {
            0
        };
        self.lowest_slack = self.lowest_slack.min(unused.max(beyond));
        if now > self.slack_since + SLACK_HOLD_TIME {
            self.limit = self.limit.saturating_sub(self.lowest_slack);
            self.slack_since = now;
            self.lowest_slack = u64::MAX;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    #[test]
    fn a_least_limit_that_was_raised_holds_from_the_next_completion_on() {
        let mut dql = Dql::with_limit_min(3028);
        for (ms, least) in [(1, 3028), (2, 10_000)] {
            dql.set_limit_min(least);
            dql.queued(60);
            dql.completed(at(ms), 60);
            assert_eq!(dql.limit(), least);
        }
    }

    #[test]
    fn a_limit_does_not_shrink_below_its_least() {
        let mut dql = Dql::with_limit_min(3028);
        for ms in 0..5000 {
            dql.queued(60);
            dql.completed(Instant(ms * 1_000_000), 60);
            assert_eq!(dql.limit(), 3028);
        }
    }

    #[test]
    fn the_largest_limit_is_linux_s() {
        assert_eq!(MAX_LIMIT, 1_879_048_192);
    }

    #[test]
    fn the_first_packet_goes_and_the_second_waits() {
        let mut dql = Dql::default();
        assert_eq!(dql.available(), 0);
        dql.queued(1514);
        assert_eq!(dql.available(), -1514);
        dql.completed(at(0), 1514);
        assert!(dql.available() >= 0);
    }

    #[test]
    fn a_starved_queue_gets_a_larger_limit() {
        let mut dql = Dql::default();
        // The first completion finds the device idle and the limit passed: it grows by what was done beyond the
        // hand-overs that the completion before saw (none).
        dql.queued(1514);
        dql.completed(at(0), 1514);
        assert_eq!(dql.limit(), 1514);
        dql.queued(1514);
        dql.queued(1514);
        dql.completed(at(1), 3028);
        assert_eq!(dql.limit(), 1514 + 3028);
    }

    #[test]
    fn what_passed_the_limit_before_all_of_it_was_done_is_added() {
        let mut dql = Dql::default();
        dql.queued(1514);
        dql.completed(at(0), 1514);
        // Three packets under a limit of one: 3,028 bytes pass it, and the device runs dry with them.
        (0..3).for_each(|_| dql.queued(1514));
        dql.completed(at(1), 1514);
        assert_eq!(dql.limit(), 1514);
        dql.completed(at(2), 3028);
        assert_eq!(dql.limit(), 4542);
    }

    #[test]
    fn slack_is_given_up_after_a_second() {
        let mut dql = Dql::default();
        dql.queued(60_000);
        dql.completed(at(0), 60_000);
        assert_eq!(dql.limit(), 60_000);
        // Always 30,000 under way, 1,000 done each time: all but 2,000 is slack.
        dql.queued(30_000);
        let mut now = 1;
        while dql.limit() == 60_000 && now < 3000 {
            dql.completed(at(now), 1000);
            dql.queued(1000);
            now += 10;
        }
        assert_eq!((dql.limit(), now > 1000, now < 1050), (2000, true, true));
    }

    #[test]
    fn a_completion_of_more_than_was_queued_does_no_harm() {
        let mut dql = Dql::default();
        dql.queued(100);
        dql.completed(at(0), 5000);
        assert_eq!(dql.available(), dql.limit() as i64);
    }
}
