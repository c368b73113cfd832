//! Trials on worker threads; results in the order of the cases, the same for any number of threads.

use super::covers::{self, Coverage};
use super::factory::RigFactory;
use super::governor::Governor;
use super::timing::Timing;
use super::trial::{TrialReport, execute};
use super::unread::SkippedChecks;
use super::verdict::Verdict;
use crate::case::model::{RigKind, Trial};
use crate::report::again::Again;
use crate::report::failure::Failure as FullFailure;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Why a trial has no result when the run was interrupted before it began.
pub const NOT_RUN: &str = "not run: the run was interrupted";

/// How a run is done.
#[derive(Clone, Copy, Debug)]
pub struct Options<'r> {
    /// How many trials run at once at most; at least one. In real time fewer, while they make each other late.
    pub jobs: usize,
    /// A case that itself waits for longer is not run in real time.
    pub max_wait: Duration,
    /// How often a trial is run again at most that says nothing; [`Entry::earlier`] tells of each.
    pub retries: usize,
    /// Set by whoever wants the run to stop.
    pub cancelled: &'r AtomicBool,
    /// How to run one trial again.
    pub again: &'r Again,
}

/// One line of the results.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The trial, or the case when it is about all of its rows.
    pub name: String,
    /// The rig.
    pub rig: RigKind,
    /// How it ended.
    pub verdict: Verdict,
    /// A failure in full, as people want to see it; empty otherwise.
    pub shown: String,
    /// How long it took, in real time.
    pub took: Duration,
    /// Checks that this rig cannot make, by the reason.
    pub skipped_checks: SkippedChecks,
    /// In real time, what that cost.
    pub timing: Option<Timing>,
    /// Why it said nothing when it ran before, for each time.
    pub earlier: Vec<String>,
}

/// A trial that has run, at last.
#[derive(Debug)]
struct Ran {
    report: TrialReport,
    took: Duration,
    earlier: Vec<String>,
}

/// Runs `trials`, of which `all` are every one that there is (a case of which only some rows run is not judged by what it
/// covers). `keep` is called in the worker thread, as soon as a trial is over, and may say why that does not count yet: then, as when
/// the trial is inconclusive, it is run again while there are retries. `tell` is called in this one, in the order of `trials`.
/// A run that is stopped is inconclusive for each trial that did not run, with [`NOT_RUN`] as the reason.
///
/// Where no thread can be started, trials run in this one, and what they gave is told at the end.
pub fn run(
    factory: &dyn RigFactory,
    all: &[Trial],
    trials: &[&Trial],
    options: Options<'_>,
    keep: &(dyn Fn(&Trial, &mut TrialReport) -> Option<String> + Sync),
    tell: &mut dyn FnMut(Entry),
) {
    let next = AtomicUsize::new(0);
    let (results, inbox) = mpsc::channel();
    let most = factory.at_once().unwrap_or(options.jobs);
    let workers = options.jobs.min(most).clamp(1, trials.len().max(1));
    let governor = Governor::new(workers);
    let work = |results: mpsc::Sender<(usize, Ran)>| {
        while !options.cancelled.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(trial) = trials.get(index) else { return };
            let Some(ran) = until_it_says_something(factory, trial, &options, &governor, keep) else {
                return;
            };
            // Nobody listens any more when the other side has died; then there is nobody to tell that either.
            let _ = results.send((index, ran));
        }
    };
    std::thread::scope(|scope| {
        let work = &work;
        let started = (0..workers)
            .take_while(|_| {
                let results = results.clone();
                std::thread::Builder::new().spawn_scoped(scope, move || work(results)).is_ok()
            })
            .count();
        if started == 0 {
            work(results);
        } else {
            drop(results);
        }
        let mut coverage = Coverage::of(all);
        let mut waiting = BTreeMap::new();
        let mut due = 0;
        for (index, ran) in inbox {
            waiting.insert(index, ran);
            while let Some(ran) = waiting.remove(&due) {
                let rig = factory.kind();
                for entry in entries((rig, options.again), trials[due], ran, &mut coverage) {
                    tell(entry);
                }
                due += 1;
            }
        }
        for (index, trial) in trials.iter().enumerate().skip(due) {
            let not_run = || TrialReport::only(Verdict::Inconclusive(NOT_RUN.to_owned()));
            let nothing = || Ran { report: not_run(), took: Duration::ZERO, earlier: Vec::new() };
            tell(entry(factory.kind(), trial, waiting.remove(&index).unwrap_or_else(nothing)));
        }
    });
}

/// Runs a trial, and again while it says nothing and there are retries. `None`: the run was stopped before it began.
fn until_it_says_something(
    factory: &dyn RigFactory,
    trial: &Trial,
    options: &Options<'_>,
    governor: &Governor,
    keep: &(dyn Fn(&Trial, &mut TrialReport) -> Option<String> + Sync),
) -> Option<Ran> {
    let stop = || options.cancelled.load(Ordering::Relaxed);
    let mut earlier = Vec::new();
    let mut took = Duration::ZERO;
    loop {
        let mut permit = governor.enter(stop)?;
        if stop() {
            return None;
        }
        let begin = Instant::now();
        let mut report = execute(factory, trial, options.max_wait, options.cancelled);
        if let Some(timing) = &report.timing {
            permit.was_late_by(timing.late());
        }
        drop(permit);
        covers::judge(trial, &mut report);
        let unsure = keep(trial, &mut report).or_else(|| report.verdict.inconclusive().map(str::to_owned));
        took += begin.elapsed();
        match unsure {
            Some(why) if earlier.len() < options.retries && !stop() => earlier.push(why),
            _ => return Some(Ran { report, took, earlier }),
        }
    }
}

/// The result of a trial.
fn entry(rig: RigKind, trial: &Trial, ran: Ran) -> Entry {
    let Ran { report, took, earlier } = ran;
    let TrialReport { verdict, shown, skipped_checks, timing, .. } = report;
    Entry { name: trial.name(), rig, verdict, shown, took, skipped_checks, timing, earlier }
}

/// The result of a trial, and that of its case when this was the last row of several and something it covers was not seen.
fn entries((rig, again): (RigKind, &Again), trial: &Trial, ran: Ran, coverage: &mut Coverage) -> Vec<Entry> {
    // On a card some rows cannot run, and others are told apart by chance: what a case covers is judged elsewhere.
    let report = &ran.report;
    let seen = (report.journey.is_some() && rig != RigKind::Vfio).then(|| report.functions());
    // What was interrupted may not have come to where it should have gone.
    let missing = if report.is_interrupted() { None } else { coverage.row(trial, seen) };
    let entry = entry(rig, trial, ran);
    let Some(failure) = missing else { return vec![entry] };
    let mut shown = FullFailure::new(trial, rig, failure.at.as_ref(), &failure.message);
    shown.trial.clone_from(&trial.case);
    shown.details.clone_from(&failure.details);
    shown.again = again.command(&trial.file.path, &trial.case, rig);
    let of_the_case = Entry {
        name: trial.case.clone(),
        rig,
        verdict: Verdict::fail(failure),
        shown: shown.to_string(),
        took: Duration::ZERO,
        skipped_checks: SkippedChecks::new(),
        timing: None,
        earlier: Vec::new(),
    };
    vec![entry, of_the_case]
}

#[cfg(test)]
mod tests;
