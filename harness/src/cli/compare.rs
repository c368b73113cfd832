//! `wireproof compare`.

use super::args::CompareArguments;
use super::{CANNOT, places};
use crate::case::{self, model::Trial};
use crate::compare::report::{self, Tally};
use crate::compare::watch::Watching;
use crate::compare::{Outcome, Side, compare};
use crate::report::again::Again;
use crate::report::output::{Output, complain};
use crate::report::progress::Format;
use crate::run::pool::{self, Entry, Options};
use crate::run::{RigFactory as _, TrialReport, Verdict, artifacts, rigs};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Runs the cases on both rigs, and tells where these differ.
///
/// # Errors
/// When nothing differs, and results cannot be printed or kept.
pub fn run(arguments: &CompareArguments) -> io::Result<u8> {
    // Before all else: reading many cases takes its time, and a rig may start threads and have something to take down.
    let cancelled = super::stop::on_signal();
    let (first, second) = match arguments.rigs() {
        Ok(pair) => pair,
        Err(why) => return Ok(cannot(&why)),
    };
    let trials = match case::load(&arguments.trials.paths) {
        Ok(trials) => trials,
        Err(problems) => return Ok(super::check::refuse(&problems)),
    };
    let watched = |kind| {
        let made = rigs::factory(kind, &arguments.with(kind)).map(Watching::new);
        made.map_err(|why| format!("rig {}: {why}", kind.name()))
    };
    // Both rigs may have the ports of one lab: one after the other then, and what the second lacks is told late.
    let later = [first, second].iter().all(|rig| arguments.with(*rig).lab.is_some());
    let both = watched(first).and_then(|a| Ok((a, if later { None } else { Some(watched(second)?) })));
    let (a, b) = match both {
        Ok(both) => both,
        Err(why) => return Ok(cannot(&why)),
    };
    let wanted = arguments.trials.filter.as_deref().unwrap_or_default();
    let chosen: Vec<_> = trials.iter().filter(|trial| trial.name().contains(wanted)).collect();
    if chosen.is_empty() {
        let all = trials.len();
        return Ok(cannot(&format!("no trial of {all} has {wanted:?} in its name; nothing ran")));
    }
    for watched in [Some(&a), b.as_ref()].into_iter().flatten() {
        if let Some(why) = watched.objection(&chosen) {
            return Ok(cannot(&why));
        }
    }
    if let Err(why) = places::writable(&arguments.trials.out, None) {
        return Ok(cannot(&why));
    }
    let work = Work {
        arguments,
        all: &trials,
        chosen: &chosen,
        cancelled,
        again: Again::this_program(),
        labels: report::labels(first, second),
        trouble: Mutex::new(None),
    };
    let tally = match work.compare(a, || b.map_or_else(|| watched(second), Ok)) {
        Ok(tally) => tally,
        Err(why) => return Ok(cannot(&why)),
    };
    let status =
        if cancelled.load(Ordering::Relaxed) { 1.max(tally.exit_status()) } else { tally.exit_status() };
    match work.trouble.into_inner().ok().flatten() {
        Some(error) if status == 1 => {
            complain(&error.to_string());
            Ok(status)
        }
        Some(error) => Err(error),
        None => Ok(status),
    }
}

fn cannot(why: &str) -> u8 {
    complain(why);
    CANNOT
}

/// What a comparison works with.
struct Work<'w> {
    arguments: &'w CompareArguments,
    all: &'w [Trial],
    chosen: &'w [&'w Trial],
    cancelled: &'static AtomicBool,
    again: Again,
    labels: (String, String),
    /// The first thing that could not be kept or printed; it changes no outcome.
    trouble: Mutex<Option<io::Error>>,
}

impl Work<'_> {
    /// Everything on the first rig, then on the second; each trial is compared as soon as that is over.
    ///
    /// # Errors
    /// Why the second cannot be had.
    fn compare(&self, a: Watching, b: impl FnOnce() -> Result<Watching, String>) -> Result<Tally, String> {
        let begin = Instant::now();
        let sides = Mutex::new(BTreeMap::new());
        let first_side = |trial: &Trial, side| {
            lock(&sides).insert(trial.name(), side);
            None
        };
        let mut retried = BTreeMap::new();
        self.run(&a, &first_side, &mut |entry| drop(retried.insert(entry.name, entry.earlier)));
        let first = a.kind();
        // Its ports are free again, if it has any.
        drop(a);
        let outcomes = Mutex::new(BTreeMap::new());
        let judge = |trial: &Trial, b: Side| {
            let a = lock(&sides).remove(&trial.name())?;
            let outcome = compare(trial, &a, &b);
            // Another run of the second rig is of no use where the first said nothing.
            let unsure = match &outcome {
                Outcome::Inconclusive(why) if a.verdict.inconclusive().is_none() => Some(why.clone()),
                _ => None,
            };
            lock(&outcomes).insert(trial.name(), outcome);
            if unsure.is_some() {
                // The trial may run again on the second rig.
                lock(&sides).insert(trial.name(), a);
            }
            unsure
        };
        let (mut tally, mut output) = (Tally::default(), Output::new(io::stdout()));
        let labels = (self.labels.0.as_str(), self.labels.1.as_str());
        let names: std::collections::BTreeSet<String> = self.chosen.iter().map(|t| t.name()).collect();
        let mut tell = |name: String, earlier: Vec<String>| {
            if !names.contains(&name) {
                return;
            }
            let mut all = retried.remove(&name).unwrap_or_default();
            all.extend(earlier);
            let Some(outcome) = lock(&outcomes).remove(&name) else { return tally.not_run() };
            tally.add(&outcome, &all);
            let text = match self.arguments.trials.format {
                Format::Human => report::human(&name, labels, &outcome, &all),
                Format::Json => report::machine(&name, labels, &outcome, &all) + "\n",
            };
            self.note(output.put(&text));
        };
        if self.cancelled.load(Ordering::Relaxed) {
            names.iter().for_each(|name| tell(name.clone(), Vec::new()));
        } else {
            let b = b()?;
            self.run(&b, &judge, &mut |entry| tell(entry.name, entry.earlier));
            tally.close(self.chosen, (first, b.kind()));
        }
        if self.arguments.trials.format == Format::Human {
            self.note(output.put(&(tally.summary(begin.elapsed()).join("\n") + "\n")));
        }
        Ok(tally)
    }

    /// Runs everything on one rig; `keep` gets what each trial left, and may say why that does not count yet; `tell` gets how they
    /// ended, in order.
    fn run(
        &self,
        on: &Watching,
        keep: &(dyn Fn(&Trial, Side) -> Option<String> + Sync),
        tell: &mut dyn FnMut(Entry),
    ) {
        let rig = on.kind();
        on.notes().iter().for_each(|note| complain(note));
        let options = Options {
            jobs: self.arguments.jobs_on(rig),
            max_wait: self.arguments.trials.max_wait,
            retries: self.arguments.trials.retries.into(),
            cancelled: self.cancelled,
            again: &self.again,
        };
        let kept = |trial: &Trial, report: &mut TrialReport| {
            if !matches!(report.verdict, Verdict::Skip(_)) {
                let written = artifacts::write(&self.arguments.trials.out, rig, trial, report, &self.again);
                self.note(written.map(drop));
            }
            let record = std::mem::take(&mut report.record);
            let machine = report.timing.iter().flat_map(|timing| &timing.machine).copied().max().unwrap_or(0);
            let observed = on.take(trial);
            // In virtual time nobody is late.
            let late = if observed.is_virtual { 0 } else { report.late.max(machine) };
            keep(trial, Side { rig, verdict: report.verdict.clone(), record, observed, late })
        };
        pool::run(on, self.all, self.chosen, options, &kept, tell);
    }

    fn note(&self, result: io::Result<()>) {
        if let Err(error) = result {
            lock(&self.trouble).get_or_insert(error);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A thread that panicked in between left a whole table behind: each change is one insertion.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
