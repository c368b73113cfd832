//! Many seeds of hostilities, on all cores, with an eye on those that do not end.

use super::Hostilities;
use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A seed that takes longer, in real time, hangs. A usual one takes milliseconds.
const HANGS_AFTER: Duration = Duration::from_secs(60);
/// How often somebody looks.
const LOOKS: Duration = Duration::from_millis(20);

/// What came of many.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Seeds that were run.
    pub seeds: u64,
    /// Of all: frames are added up, and of what was in use it is the most.
    pub all: Hostilities,
    /// Failures, by seed.
    pub failures: Vec<(u64, String)>,
}

impl Tally {
    fn add(&mut self, seed: u64, result: Result<Hostilities, String>) {
        self.seeds += 1;
        match result {
            Ok(told) => {
                self.all.sent += told.sent;
                self.all.answered += told.answered;
                self.all.opened += told.opened;
                self.all.most = super::most(self.all.most, told.most);
            }
            Err(what) => self.failures.push((seed, what)),
        }
    }
}

fn one(seed: u64) -> Result<Hostilities, String> {
    catch_unwind(|| super::run(seed)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no text)");
        Err(format!("panic: {text}"))
    })
}

/// What one thread is at.
type At = Mutex<Option<(u64, Instant)>>;

/// Runs seeds until all are done, `time` is over, or `stop` is set. Ends the process with status 1 when one hangs: a
/// thread that does not come back cannot be ended otherwise.
pub fn run(seeds: Range<u64>, time: Option<Duration>, jobs: usize, stop: &AtomicBool) -> Tally {
    let begun = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let tally = Mutex::new(Tally::default());
    let at: Vec<At> = (0..jobs.max(1)).map(|_| Mutex::new(None)).collect();
    let working = AtomicU64::new(at.len() as u64);
    std::thread::scope(|scope| {
        for slot in &at {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) && time.is_none_or(|time| begun.elapsed() < time) {
                    let one_more = |seed: u64| (seed < seeds.end).then(|| seed + 1);
                    let Ok(seed) = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) else {
                        break;
                    };
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some((seed, Instant::now()));
                    let result = one(seed);
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    tally.lock().unwrap_or_else(PoisonError::into_inner).add(seed, result);
                }
                working.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while working.load(Ordering::Relaxed) > 0 {
            std::thread::sleep(LOOKS);
            at.iter().for_each(end_if_hanging);
        }
    });
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.failures.sort();
    tally
}

fn end_if_hanging(at: &At) {
    let at = *at.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((seed, since)) = at
        && since.elapsed() > HANGS_AFTER
    {
        let seconds = HANGS_AFTER.as_secs();
        crate::report::output::complain(&format!(
            "seed {seed} hangs: it runs for more than {seconds} s\nagain: wireproof simulate --hostile --seed {seed}"
        ));
        std::process::exit(1);
    }
}
