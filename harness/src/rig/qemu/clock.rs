//! Whom the stack's clock follows: the harness, which sets it as it likes, or the clock on the wall.

use super::options::ClockKind;
use crate::case::model::Nanos;
use std::time::{Duration, Instant};

/// How long the stack is left alone in real time at most.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// The clock of a trial, from its first step on.
#[derive(Debug)]
pub struct Clock {
    /// The first step on the wall's clock; `None`: the harness sets the stack's clock.
    begin: Option<Instant>,
    /// How late the harness was at worst, in real time.
    late: Nanos,
    /// How late it was to inject the last frame.
    injected_late: Nanos,
}

impl Clock {
    /// A clock whose time 0 is now.
    #[must_use]
    pub fn new(kind: ClockKind) -> Self {
        let begin = (kind == ClockKind::Real).then(Instant::now);
        Self { begin, late: 0, injected_late: 0 }
    }

    /// Real time since the first step. `None`: the harness sets the clock.
    #[must_use]
    pub fn elapsed(&self) -> Option<Nanos> {
        self.begin.map(|begin| nanos(begin.elapsed()))
    }

    /// Waits until something is due, or `until`, whichever comes first; somewhat less where that is far away.
    pub fn sleep(&self, due: Option<Nanos>, until: Nanos) {
        let Some(now) = self.elapsed() else { return };
        let next = due.map_or(until, |due| due.min(until));
        std::thread::sleep(Duration::from_nanos(next.saturating_sub(now)).min(SLEEP_MAX));
    }

    /// Something that was to be at a time happens now: how late that is, which is 0 where the harness sets the clock.
    pub fn late_for(&mut self, wanted: Nanos) -> Nanos {
        let late = self.elapsed().map_or(0, |now| now.saturating_sub(wanted));
        self.late = self.late.max(late);
        late
    }

    /// A frame that was to be injected at a time was.
    pub fn injected(&mut self, wanted: Nanos) {
        self.injected_late = self.late_for(wanted);
    }

    /// How late the harness was to inject the last frame.
    #[must_use]
    pub fn injected_late(&self) -> Nanos {
        self.injected_late
    }

    /// How late the harness was at worst. `None`: it sets the clock, and is never late.
    #[must_use]
    pub fn worst(&self) -> Option<Duration> {
        self.begin.map(|_| Duration::from_nanos(self.late))
    }
}

fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_never_late() {
        let mut clock = Clock::new(ClockKind::Virtual);
        clock.sleep(None, Nanos::MAX);
        assert_eq!((clock.elapsed(), clock.late_for(0), clock.worst()), (None, 0, None));
    }

    #[test]
    fn real_time_passes_and_lateness_is_kept() {
        let mut clock = Clock::new(ClockKind::Real);
        clock.sleep(Some(3_000_000), 60_000_000_000);
        assert!(clock.elapsed().is_some_and(|now| now >= 3_000_000));
        clock.injected(1_000_000);
        assert!(clock.injected_late() >= 2_000_000);
        assert_eq!(clock.late_for(Nanos::MAX), 0);
        assert!(clock.worst().is_some_and(|worst| worst >= Duration::from_millis(2)));
    }
}
