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
