//! Many seeds on all cores. A seed makes an input and changes it, keeping those changes that show something new; it also
//! starts from inputs of the corpus. The same corpus and seed do the same each time.

use super::Target;
use super::features::Features;
use super::mutate::{changed, fresh, smaller};
use crate::simulate::dice::Dice;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Inputs that one seed runs.
pub const INPUTS_EACH: u32 = 40;
/// An input that takes longer, in real time, hangs. A usual one takes milliseconds; on a busy machine it may get little time.
const HANGS_AFTER: Duration = Duration::from_secs(180);
/// More memory than the process may ever use, in bytes.
const MEMORY_MAX: u64 = 2 << 30;
/// How often somebody looks.
const LOOKS: Duration = Duration::from_millis(50);
/// Inputs that are run to make a failing one smaller.
const SHRINKS: u32 = 2000;
/// Failures of different texts that are kept; then a campaign ends.
const FAILURES_MAX: usize = 16;

/// What is asked of a campaign.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is fuzzed.
    pub target: Target,
    /// The seeds.
    pub seeds: Range<u64>,
    /// It ends after this time, with whatever seed.
    pub time: Option<Duration>,
    /// Threads.
    pub jobs: usize,
    /// Inputs to start from.
    pub corpus: Vec<Vec<u8>>,
}

/// An input that failed, made smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed that made it.
    pub seed: u64,
    /// What did not hold.
    pub what: String,
    /// The input.
    pub input: Vec<u8>,
}

/// What came of a campaign.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Seeds that were run.
    pub seeds: u64,
    /// Inputs that were run.
    pub inputs: u64,
    /// Everything that was seen.
    pub features: Features,
    /// Inputs that showed something that no input before did, with how much.
    pub showed: Vec<(usize, Vec<u8>)>,
    /// The most memory that the process used, in bytes.
    pub memory: u64,
    /// Failures, one of each text.
    pub failures: Vec<Failure>,
}

/// The input that a thread runs, and since when.
type At = Mutex<Option<(u64, Vec<u8>, Instant)>>;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs seeds until all are done, the time is over, `stop` is set, or too much failed. An input that hangs ends the process
/// with status 1, after `hangs` was told of it: a thread that does not come back cannot be ended otherwise.
pub fn run(plan: &Plan, stop: &AtomicBool, hangs: &(dyn Fn(&Failure) + Sync)) -> Tally {
    let begun = Instant::now();
    let next = AtomicU64::new(plan.seeds.start);
    let tally = Mutex::new(Tally::default());
    let at: Vec<At> = (0..plan.jobs.max(1)).map(|_| Mutex::new(None)).collect();
    let working = AtomicU64::new(at.len() as u64);
    let goes_on = || {
        !stop.load(Ordering::Relaxed)
            && plan.time.is_none_or(|time| begun.elapsed() < time)
            && lock(&tally).failures.len() < FAILURES_MAX
    };
    std::thread::scope(|scope| {
        for slot in &at {
            scope.spawn(|| {
                while goes_on() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= plan.seeds.end {
                        break;
                    }
                    one(plan, seed, slot, &tally);
                }
                working.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while working.load(Ordering::Relaxed) > 0 {
            std::thread::sleep(LOOKS);
            let used = memory();
            let most = &mut lock(&tally).memory;
            *most = used.max(*most);
            for slot in &at {
                if let Some(failure) = hanging(slot, used) {
                    hangs(&failure);
                    std::process::exit(1);
                }
            }
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The bytes of memory that this process uses, or 0 where nobody says.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

fn hanging(slot: &At, used: u64) -> Option<Failure> {
    let at = lock(slot);
    let (seed, input, since) = at.as_ref()?;
    let what = if since.elapsed() > HANGS_AFTER {
        format!("it runs for more than {} s", HANGS_AFTER.as_secs())
    } else if used > MEMORY_MAX {
        format!("{used} bytes of memory are in use")
    } else {
        return None;
    };
    Some(Failure { seed: *seed, what, input: input.clone() })
}

/// All inputs of a seed.
fn one(plan: &Plan, seed: u64, slot: &At, tally: &Mutex<Tally>) {
    let mut dice = Dice::new(seed, 4);
    let kinds = plan.target.kinds();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut seen = Features::default();
    lock(tally).seeds += 1;
    for _ in 0..INPUTS_EACH {
        let pick = |dice: &mut Dice, from: &[Vec<u8>]| from[dice.below(from.len() as u64) as usize].clone();
        let input = if kept.is_empty() && (plan.corpus.is_empty() || dice.chance(300)) {
            fresh(&mut dice, kinds)
        } else if kept.is_empty() || (!plan.corpus.is_empty() && dice.chance(200)) {
            let (base, other) = (pick(&mut dice, &plan.corpus), pick(&mut dice, &plan.corpus));
            changed(&mut dice, kinds, &base, &other)
        } else {
            let (base, other) = (pick(&mut dice, &kept), pick(&mut dice, &kept));
            changed(&mut dice, kinds, &base, &other)
        };
        *lock(slot) = Some((seed, input.clone(), Instant::now()));
        let result = plan.target.run(&input);
        *lock(slot) = None;
        match result {
            Ok(features) => {
                if seen.merge(&features) > 0 {
                    kept.push(input.clone());
                }
                let mut tally = lock(tally);
                tally.inputs += 1;
                let new = tally.features.merge(&features);
                if new > 0 {
                    tally.showed.push((new, input));
                }
            }
            Err(what) => return failed(plan, Failure { seed, what, input }, tally),
        }
    }
}

/// Keeps a failure, made smaller, unless one like it is known.
fn failed(plan: &Plan, failure: Failure, tally: &Mutex<Tally>) {
    let kind = kind_of(&failure.what).to_owned();
    {
        let mut tally = lock(tally);
        tally.inputs += 1;
        if tally.failures.iter().any(|known| kind_of(&known.what) == kind) {
            return;
        }
        tally.failures.push(failure.clone());
    }
    let same = |what: &str| kind_of(what) == kind;
    let mut fails = |input: &[u8]| plan.target.run(input).is_err_and(|what| same(&what));
    let input = smaller(&failure.input, SHRINKS, &mut fails);
    let what = plan.target.run(&input).err().unwrap_or(failure.what);
    let mut tally = lock(tally);
    if let Some(kept) = tally.failures.iter_mut().find(|known| same(&known.what)) {
        *kept = Failure { seed: failure.seed, what, input };
    }
}

/// The text up to its first number: failures that differ in numbers alone are one.
fn kind_of(what: &str) -> &str {
    what.split(|c: char| c.is_ascii_digit()).next().unwrap_or(what)
}
