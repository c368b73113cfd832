//! How many ICMP errors a destination gets: `icmpv4_xrlim_allow` (Linux 6.12; RFC 1812, section 4.3.2.8).
//!
//! A token bucket a destination: one token each `icmp_ratelimit`, six at most. Linux has one for all destinations beside
//! it (1,000 a second, 50 at once), as here.

use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::Ipv4Addr;

const BURST: u32 = 6;
const DESTINATIONS_MAX: usize = 1024;
const GLOBAL_PER_SECOND: u64 = 1000;
const GLOBAL_BURST: u64 = 50;

#[derive(Debug)]
struct Bucket {
    to: Ipv4Addr,
    credit: Duration,
    at: Instant,
}

/// The buckets.
#[derive(Debug)]
pub struct IcmpRateLimit {
    buckets: Vec<Bucket>,
    global_credit: u64,
    global_at: Instant,
}

impl Default for IcmpRateLimit {
    fn default() -> Self {
        Self { buckets: Vec::new(), global_credit: GLOBAL_BURST, global_at: Instant::ZERO }
    }
}

impl IcmpRateLimit {
    /// Whether an error may be sent to `to` now; if so, it is counted. `interval` zero: no limit.
    pub fn allow(&mut self, now: Instant, to: Ipv4Addr, interval: Duration) -> bool {
        self.allow_global(now) && (interval.is_zero() || self.allow_one(now, to, interval))
    }

    fn allow_global(&mut self, now: Instant) -> bool {
        let earned = now.0.saturating_sub(self.global_at.0) / (1_000_000_000 / GLOBAL_PER_SECOND);
        if earned > 0 {
            self.global_credit = (self.global_credit + earned).min(GLOBAL_BURST);
            self.global_at = now;
        }
        let allowed = self.global_credit > 0;
        self.global_credit = self.global_credit.saturating_sub(1);
        allowed
    }

    fn allow_one(&mut self, now: Instant, to: Ipv4Addr, interval: Duration) -> bool {
        let full = interval * BURST;
        let at = match self.buckets.iter().position(|b| b.to == to) {
            Some(at) => at,
            None => {
                if self.buckets.len() == DESTINATIONS_MAX {
                    self.buckets.remove(0);
                }
                self.buckets.push(Bucket { to, credit: full, at: now });
                self.buckets.len() - 1
            }
        };
        let bucket = &mut self.buckets[at];
        bucket.credit = (bucket.credit + now.since(bucket.at)).min(full);
        bucket.at = now;
        let allowed = bucket.credit >= interval;
        if allowed {
            bucket.credit -= interval;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
    const SECOND: Duration = Duration::from_secs(1);

    fn allowed(limit: &mut IcmpRateLimit, at: Duration, times: usize, interval: Duration) -> usize {
        (0..times).filter(|_| limit.allow(Instant::ZERO + at, PEER, interval)).count()
    }

    #[rstest]
    #[case::at_once(Duration::ZERO, 0)]
    #[case::not_yet_a_second(Duration::from_millis(999), 0)]
    #[case::a_second(SECOND, 1)]
    #[case::four_seconds(SECOND * 4, 4)]
    #[case::never_more_than_six(SECOND * 100, 6)]
    fn six_at_once_then_one_a_second(#[case] later: Duration, #[case] more: usize) {
        let mut limit = IcmpRateLimit::default();
        assert_eq!(allowed(&mut limit, Duration::ZERO, 10, SECOND), 6);
        assert_eq!(allowed(&mut limit, later, 10, SECOND), more);
    }

    #[test]
    fn destinations_do_not_share_their_tokens() {
        let mut limit = IcmpRateLimit::default();
        assert_eq!(allowed(&mut limit, Duration::ZERO, 10, SECOND), 6);
        assert!(limit.allow(Instant::ZERO, Ipv4Addr::new(192, 0, 2, 3), SECOND));
    }

    #[test]
    fn without_an_interval_only_the_limit_for_all_holds() {
        let mut limit = IcmpRateLimit::default();
        assert_eq!(allowed(&mut limit, Duration::ZERO, 100, Duration::ZERO), 50);
        assert_eq!(allowed(&mut limit, Duration::from_millis(10), 100, Duration::ZERO), 10);
    }
}
