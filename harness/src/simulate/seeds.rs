//! Many seeds, on all cores.

use super::{Failure, Limits, Outcome};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What came of many.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Seeds that were run.
    pub seeds: u64,
    /// Connections.
    pub connections: usize,
    /// Bytes that arrived.
    pub bytes: u64,
    /// Ends that were told an error, as was asked for.
    pub errors: usize,
    /// Failures, by seed, as text.
    pub failures: Vec<(u64, String)>,
}

impl Tally {
    fn add(&mut self, seed: u64, result: Result<Outcome, String>) {
        self.seeds += 1;
        match result {
            Ok(outcome) => {
                self.connections += outcome.connections;
                self.bytes += outcome.bytes;
                self.errors += outcome.errors;
            }
            Err(failure) => self.failures.push((seed, failure)),
        }
    }
}

/// One seed; a panic is a failure too.
///
/// # Errors
/// What did not hold, as text.
pub fn one(seed: u64, limits: &Limits) -> Result<Outcome, String> {
    let plan = super::plan(seed, limits);
    match catch_unwind(AssertUnwindSafe(|| super::run(&plan))) {
        Ok(result) => result.map_err(|failure| failure.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no text)");
            Err(Failure::new(&plan, format!("panic: {text}"), Vec::new()).to_string())
        }
    }
}

/// Runs seeds on `jobs` threads, until all are done or `stop` is set.
pub fn run(seeds: Range<u64>, limits: &Limits, jobs: usize, stop: &AtomicBool) -> Tally {
    let next = AtomicU64::new(seeds.start);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let one_more = |seed: u64| (seed < seeds.end).then(|| seed + 1);
                    let Ok(seed) = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) else {
                        break;
                    };
                    let result = one(seed, limits);
                    tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(seed, result);
                }
            });
        }
    });
    let mut tally = tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    tally.failures.sort();
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_the_largest_seed_no_other_follows() {
        let limits = Limits { loss: None, bytes: 100 };
        let tally = run(u64::MAX - 2..u64::MAX, &limits, 4, &AtomicBool::new(false));
        assert_eq!((tally.seeds, tally.failures.len()), (2, 0));
    }
}
