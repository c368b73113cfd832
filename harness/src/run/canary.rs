//! How late the machine is: a thread on each CPU that sleeps for a millisecond at ordinary priority, again and again. By what it
//! oversleeps, a thread of the kernel that was to work there (ksoftirqd, a kworker) may be late too; the harness would not see
//! that by its own lateness, for it may run at a higher priority.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a canary sleeps.
const NAP: Duration = Duration::from_millis(1);
/// What a timer is late by anyway; less is not kept.
const USUAL: Duration = Duration::from_micros(500);
/// How many oversleeps are kept; more than there are in the longest trial would be of no use.
const KEPT: usize = 4096;

/// The canaries of all trials that are under way. They are gone with the last that watches them.
#[derive(Debug)]
pub struct Canaries {
    seen: Arc<Seen>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Seen {
    stop: AtomicBool,
    epoch: Instant,
    /// When each canary is to wake, in nanoseconds since the epoch.
    due: Vec<AtomicU64>,
    /// When one woke, and by how much too late.
    late: Mutex<VecDeque<(Instant, Duration)>>,
}

impl Canaries {
    /// Those that fly already, or new ones. Without a thread to be had, or on a machine that does not say what CPUs it has,
    /// there are fewer, or none: then less is known.
    #[must_use]
    pub fn watch() -> Arc<Self> {
        static FLYING: Mutex<Weak<Canaries>> = Mutex::new(Weak::new());
        let mut flying = FLYING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(canaries) = flying.upgrade() {
            return canaries;
        }
        let canaries = Arc::new(Self::fly());
        *flying = Arc::downgrade(&canaries);
        canaries
    }

    fn fly() -> Self {
        let ours = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
        let cpus: Vec<_> = (0..CpuSet::count()).filter(|cpu| ours.is_set(*cpu).unwrap_or(false)).collect();
        let seen = Arc::new(Seen {
            stop: AtomicBool::new(false),
            epoch: Instant::now(),
            due: cpus.iter().map(|_| AtomicU64::new(u64::MAX)).collect(),
            late: Mutex::default(),
        });
        let thread = |(index, cpu): (usize, &usize)| {
            let (seen, cpu) = (Arc::clone(&seen), *cpu);
            let fly = move || {
                if stay_on(cpu) {
                    seen.fly(index);
                }
            };
            std::thread::Builder::new().name("canary".to_owned()).spawn(fly).ok()
        };
        let threads = cpus.iter().enumerate().filter_map(thread).collect();
        Self { seen, threads }
    }

    /// By how much one overslept at worst in the time that is just over; also one that should be awake by now and is not.
    #[must_use]
    pub fn worst_of_the_last(&self, time: Duration) -> Duration {
        let now = Instant::now();
        let since = now.checked_sub(time).unwrap_or(self.seen.epoch);
        let late = self.seen.late.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = late.iter().rev().take_while(|(woke, _)| *woke >= since).map(|(_, late)| *late);
        let asleep = self.seen.due.iter().map(|due| self.seen.overdue(due, now));
        woken.chain(asleep).max().unwrap_or_default()
    }
}

impl Drop for Canaries {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic of it has been printed; it tells nothing any more.
            drop(thread.join());
        }
    }
}

impl Seen {
    fn fly(&self, index: usize) {
        while !self.stop.load(Ordering::Relaxed) {
            let due = Instant::now() + NAP;
            let nanos = u64::try_from(due.saturating_duration_since(self.epoch).as_nanos());
            self.due[index].store(nanos.unwrap_or(u64::MAX), Ordering::Relaxed);
            std::thread::sleep(NAP);
            let woke = Instant::now();
            let late = woke.saturating_duration_since(due);
            if late >= USUAL {
                let mut all = self.late.lock().unwrap_or_else(PoisonError::into_inner);
                all.push_back((woke, late));
                if all.len() > KEPT {
                    all.pop_front();
                }
            }
        }
        self.due[index].store(u64::MAX, Ordering::Relaxed);
    }

    /// How long ago a canary should have woken, where that is more than usual.
    fn overdue(&self, due: &AtomicU64, now: Instant) -> Duration {
        let due = Duration::from_nanos(due.load(Ordering::Relaxed));
        let late = now.saturating_duration_since(self.epoch).saturating_sub(due);
        if late >= USUAL { late } else { Duration::ZERO }
    }
}

/// Ties the calling thread to a CPU.
fn stay_on(cpu: usize) -> bool {
    let mut set = CpuSet::new();
    set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(due_ms: u64, late: &[(u64, u64)]) -> Canaries {
        let epoch = Instant::now();
        let ago = |ms| epoch.checked_sub(Duration::from_millis(ms)).unwrap_or(epoch);
        let late = late.iter().map(|(at, by)| (ago(*at), Duration::from_millis(*by))).collect();
        let due = Duration::from_millis(due_ms).as_nanos() as u64;
        let seen = Seen {
            stop: AtomicBool::new(false),
            epoch: ago(10_000),
            due: vec![AtomicU64::new(due)],
            late: Mutex::new(late),
        };
        Canaries { seen: Arc::new(seen), threads: Vec::new() }
    }

    #[test]
    fn only_what_was_late_in_the_stretch_that_is_asked_for_counts() {
        let canaries = told(60_000, &[(5_000, 40), (2_000, 7), (1_000, 3)]);
        let worst = |ms| canaries.worst_of_the_last(Duration::from_millis(ms)).as_millis();
        assert_eq!([worst(500), worst(1_500), worst(3_000), worst(9_000)], [0, 3, 7, 40]);
    }

    #[test]
    fn one_that_is_not_awake_yet_is_late_already() {
        let late = told(9_950, &[]).worst_of_the_last(Duration::from_millis(1));
        assert!(late >= Duration::from_millis(50), "{late:?}");
    }

    #[test]
    fn they_are_shared_and_gone_with_the_last_that_watches() {
        let first = Canaries::watch();
        let seen = Arc::downgrade(&first.seen);
        let second = Canaries::watch();
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        assert!(seen.upgrade().is_none(), "a thread still has it");
    }
}
