//! Path MTUs learned from ICMP (RFC 1191): exceptions to what routing says, for ten minutes each (Linux 6.12).

use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// Exceptions that are kept; the one that expires first goes when there are more.
pub const EXCEPTIONS_MAX: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Exception {
    daddr: Ipv4Addr,
    mtu: u32,
    locked: bool,
    expires: Instant,
}

/// The table of exceptions (`fib_nh_exception`).
#[derive(Debug, Default)]
pub struct PathMtus {
    exceptions: Vec<Exception>,
    generation: u64,
}

/// What was learned of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathMtu {
    /// The largest IP packet that goes through, in bytes.
    pub mtu: u32,
    /// It is narrower than `min_pmtu`: DF is not set any more.
    pub locked: bool,
}

impl PathMtus {
    /// Whether anything was learned.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exceptions.is_empty()
    }

    /// Changes with every entry.
    #[inline]
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What is known of the path to `daddr`.
    #[must_use]
    pub fn get(&self, daddr: Ipv4Addr, now: Instant) -> Option<PathMtu> {
        let found = self.exceptions.iter().find(|e| e.daddr == daddr && e.expires > now)?;
        Some(PathMtu { mtu: found.mtu, locked: found.locked })
    }

    /// `__ip_rt_update_pmtu`: a router says that `mtu` is all that goes through, on a path that was taken for `old`. A
    /// larger one is not believed; one below `min_pmtu` counts as that, and locks it.
    pub fn learn(
        &mut self,
        now: Instant,
        daddr: Ipv4Addr,
        (mtu, old): (u32, u32),
        (min_pmtu, expires): (u32, Duration),
    ) {
        if mtu >= old {
            return;
        }
        let locked = mtu < min_pmtu;
        let entry = Exception {
            daddr,
            mtu: if locked { old.min(min_pmtu) } else { mtu },
            locked,
            expires: now + expires,
        };
        self.generation += 1;
        if let Some(known) = self.exceptions.iter_mut().find(|e| e.daddr == daddr) {
            *known = entry;
            return;
        }
        if self.exceptions.len() == EXCEPTIONS_MAX {
            let first =
                self.exceptions.iter().enumerate().min_by_key(|(_, e)| e.expires).map_or(0, |(i, _)| i);
            self.exceptions.swap_remove(first);
        }
        self.exceptions.push(entry);
    }

    /// Forgets what has expired; a socket's remembered way is looked up anew then.
    pub fn expire(&mut self, now: Instant) {
        let before = self.exceptions.len();
        self.exceptions.retain(|e| e.expires > now);
        if self.exceptions.len() != before {
            self.generation += 1;
        }
    }

    /// When the next one expires.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.exceptions.iter().map(|e| e.expires).min()
    }
}
