//! How many trials in real time run at once: as many as do not make each other late.

use crate::case::model::{Nanos, RigKind};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How many trials in real time overlap at most where nobody says it: mostly they wait.
pub const OVERLAP: usize = 8;

/// A trial in which the harness was as late as this has suffered.
const LATE: Nanos = 2_000_000;

/// How long a trial that must wait is not heard of by somebody who stops the run.
const PATIENCE: Duration = Duration::from_millis(100);

/// Lets trials begin. After one in which the harness was late, only half as many run at once, and after each that was on time
/// one more, up to the limit. One may always run.
#[derive(Debug)]
pub struct Governor {
    limit: usize,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug)]
struct State {
    allowed: usize,
    running: usize,
}

/// What a trial holds while it runs.
#[derive(Debug)]
pub struct Permit<'g> {
    governor: &'g Governor,
    late: Option<Nanos>,
}

impl Governor {
    /// One that lets at most `limit` trials run at once; at least one.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = limit.max(1);
        Self { limit, state: Mutex::new(State { allowed: limit, running: 0 }), ended: Condvar::new() }
    }

    /// How many trials may run at once where nobody says it: one for each core in virtual time, which is all work, and
    /// [`OVERLAP`] in real time.
    #[must_use]
    pub fn usual_limit(rig: RigKind) -> usize {
        match rig {
            RigKind::Emu | RigKind::Qemu => std::thread::available_parallelism().map_or(1, usize::from),
            RigKind::Linux | RigKind::Vfio => OVERLAP,
        }
    }

    /// Waits until one more trial may run. `None`: `stop` says so meanwhile.
    pub fn enter(&self, stop: impl Fn() -> bool) -> Option<Permit<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.running >= state.allowed {
            if stop() {
                return None;
            }
            let woken = self.ended.wait_timeout(state, PATIENCE);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.running += 1;
        Some(Permit { governor: self, late: None })
    }
}

impl Permit<'_> {
    /// Says how late the harness was in this trial.
    pub fn was_late_by(&mut self, late: Nanos) {
        self.late = Some(late);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let governor = self.governor;
        let mut state = governor.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running -= 1;
        state.allowed = match self.late {
            None => state.allowed,
            Some(late) if late >= LATE => (state.allowed / 2).max(1),
            Some(_) => (state.allowed + 1).min(governor.limit),
        };
        drop(state);
        governor.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many more may begin now; they run on.
    fn fill<'g>(governor: &'g Governor, running: &mut Vec<Permit<'g>>) -> usize {
        let before = running.len();
        running.extend(std::iter::from_fn(|| governor.enter(|| true)));
        running.len() - before
    }

    fn end(running: &mut Vec<Permit<'_>>, late_ms: u64) {
        running.remove(0).was_late_by(late_ms * 1_000_000);
    }

    #[test]
    fn as_many_run_at_once_as_the_limit_says() {
        let governor = Governor::new(4);
        let mut running = Vec::new();
        assert_eq!(fill(&governor, &mut running), 4);
        end(&mut running, 1);
        assert_eq!(fill(&governor, &mut running), 1);
    }

    #[test]
    fn when_one_was_late_half_as_many_run_until_others_are_on_time() {
        let governor = Governor::new(4);
        let mut running = Vec::new();
        fill(&governor, &mut running);
        end(&mut running, 2);
        assert_eq!(fill(&governor, &mut running), 0, "three run, and two may");
        running.remove(0);
        running.remove(0);
        assert_eq!(fill(&governor, &mut running), 1);
        end(&mut running, 0);
        assert_eq!(fill(&governor, &mut running), 2, "three may");
    }

    #[test]
    fn one_may_always_run() {
        let governor = Governor::new(0);
        let mut running = Vec::new();
        for _ in 0..3 {
            assert_eq!(fill(&governor, &mut running), 1);
            end(&mut running, 1_000);
        }
    }

    #[test]
    fn one_that_waits_goes_on_when_another_ends() {
        let governor = Governor::new(1);
        let first = governor.enter(|| true);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| governor.enter(|| false).is_some());
            std::thread::sleep(Duration::from_millis(5));
            assert!(!second.is_finished());
            drop(first);
            assert!(second.join().expect("it does not panic"));
        });
    }
}
