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

    /// `fib_nhc_update_mtu`: the device takes packets of `new` bytes now, and took `old`. A path is no wider than its device;
    /// one that was as wide as that is as wide as it is now.
    pub fn device_mtu(&mut self, new: u32, old: u32) {
        for entry in &mut self.exceptions {
            if entry.locked && new <= entry.mtu {
                (entry.mtu, entry.locked) = (new, false);
            } else if !entry.locked && (new < entry.mtu || old == entry.mtu) {
                entry.mtu = new;
            }
        }
        self.generation += 1;
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
    const TEN_MINUTES: Duration = Duration::from_secs(600);

    // RFC 1191 section 6.5 asks for a floor; Linux's is min_pmtu, and it locks what lies below.
    #[rstest]
    #[case::a_narrower_path_is_believed(1400, Some(PathMtu { mtu: 1400, locked: false }))]
    #[case::the_floor_itself_is_believed(552, Some(PathMtu { mtu: 552, locked: false }))]
    #[case::below_the_floor_it_is_locked_there(400, Some(PathMtu { mtu: 552, locked: true }))]
    #[case::the_same_teaches_nothing(1500, None)]
    #[case::a_wider_one_is_a_lie(9000, None)]
    fn what_a_router_says(#[case] mtu: u32, #[case] known: Option<PathMtu>) {
        let mut paths = PathMtus::default();
        paths.learn(Instant(5), PEER, (mtu, 1500), (552, TEN_MINUTES));
        assert_eq!(paths.get(PEER, Instant(6)), known);
        assert_eq!(paths.get(Ipv4Addr::new(192, 0, 2, 3), Instant(6)), None);
    }

    #[rstest]
    #[case::narrower_than_the_path(&[800], 800)]
    #[case::wider_than_the_path(&[1400], 1000)]
    #[case::narrower_and_wide_again(&[800, 1500], 1500)]
    fn the_device_takes_the_path_with_it(#[case] mtus: &[u32], #[case] path: u32) {
        let mut paths = PathMtus::default();
        paths.learn(Instant(5), PEER, (1000, 1500), (552, TEN_MINUTES));
        let mut old = 1500;
        for new in mtus {
            paths.device_mtu(*new, old);
            old = *new;
        }
        assert_eq!(paths.get(PEER, Instant(6)), Some(PathMtu { mtu: path, locked: false }));
    }

    #[test]
    fn what_was_learned_is_forgotten_after_its_time_and_whoever_remembers_it_can_tell() {
        let mut paths = PathMtus::default();
        paths.learn(Instant::ZERO, PEER, (1400, 1500), (552, TEN_MINUTES));
        let learned = paths.generation();
        let end = paths.next_deadline().expect("one entry expires");
        assert_eq!(end, Instant::ZERO + TEN_MINUTES);
        paths.expire(end - Duration::from_nanos(1));
        assert!(paths.get(PEER, end - Duration::from_nanos(1)).is_some() && paths.generation() == learned);
        assert_eq!(paths.get(PEER, end), None, "not used any more, though not yet thrown away");
        paths.expire(end);
        assert!(paths.is_empty() && paths.generation() != learned);
    }

    #[test]
    fn a_flood_of_paths_pushes_out_the_one_that_expires_first() {
        let mut paths = PathMtus::default();
        for i in 0..=EXCEPTIONS_MAX as u32 {
            let peer = Ipv4Addr::from_bits(0x0a00_0000 + i);
            paths.learn(Instant(u64::from(i)), peer, (1400, 1500), (552, TEN_MINUTES));
        }
        let now = Instant(2000);
        assert_eq!(paths.exceptions.len(), EXCEPTIONS_MAX);
        assert_eq!(paths.get(Ipv4Addr::from_bits(0x0a00_0000), now), None);
        assert!(paths.get(Ipv4Addr::from_bits(0x0a00_0001), now).is_some());
    }
}
