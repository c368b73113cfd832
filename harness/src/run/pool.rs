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
}

/// Runs `trials`, of which `all` are every one that there is (a case of which only some rows run is not judged by what it
/// covers). `keep` is called in the worker thread, as soon as a trial is over; `tell` in this one, in the order of `trials`.
/// A run that is stopped is inconclusive for each trial that did not run, with [`NOT_RUN`] as the reason.
///
/// Where no thread can be started, trials run in this one, and what they gave is told at the end.
pub fn run(
    factory: &dyn RigFactory,
    all: &[Trial],
    trials: &[&Trial],
    options: Options<'_>,
    keep: &(dyn Fn(&Trial, &mut TrialReport) + Sync),
    tell: &mut dyn FnMut(Entry),
) {
    let next = AtomicUsize::new(0);
    let (results, inbox) = mpsc::channel();
    let most = factory.at_once().unwrap_or(options.jobs);
    let workers = options.jobs.min(most).clamp(1, trials.len().max(1));
    let governor = Governor::new(workers);
    let work = |results: mpsc::Sender<(usize, TrialReport, Duration)>| {
        loop {
            let stop = || options.cancelled.load(Ordering::Relaxed);
            let Some(mut permit) = governor.enter(stop) else { return };
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(trial) = trials.get(index) else { return };
            if options.cancelled.load(Ordering::Relaxed) {
                return;
            }
            let begin = Instant::now();
            let mut report = execute(factory, trial, options.max_wait, options.cancelled);
            if let Some(timing) = &report.timing {
                permit.was_late_by(timing.late());
            }
            drop(permit);
            covers::judge(trial, &mut report);
            keep(trial, &mut report);
            // Nobody listens any more when the other side has died; then there is nobody to tell that either.
            let _ = results.send((index, report, begin.elapsed()));
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
        for (index, report, took) in inbox {
            waiting.insert(index, (report, took));
            while let Some((report, took)) = waiting.remove(&due) {
                let rig = factory.kind();
                for entry in entries((rig, options.again), trials[due], report, took, &mut coverage) {
                    tell(entry);
                }
                due += 1;
            }
        }
        for (index, trial) in trials.iter().enumerate().skip(due) {
            let not_run = || TrialReport::only(Verdict::Inconclusive(NOT_RUN.to_owned()));
            let (report, took) = waiting.remove(&index).unwrap_or_else(|| (not_run(), Duration::ZERO));
            tell(entry(factory.kind(), trial, report, took));
        }
    });
}

/// The result of a trial.
fn entry(rig: RigKind, trial: &Trial, report: TrialReport, took: Duration) -> Entry {
    let TrialReport { verdict, shown, skipped_checks, timing, .. } = report;
    Entry { name: trial.name(), rig, verdict, shown, took, skipped_checks, timing }
}

/// The result of a trial, and that of its case when this was the last row of several and something it covers was not seen.
fn entries(
    (rig, again): (RigKind, &Again),
    trial: &Trial,
    report: TrialReport,
    took: Duration,
    coverage: &mut Coverage,
) -> Vec<Entry> {
    // On a card some rows cannot run, and others are told apart by chance: what a case covers is judged elsewhere.
    let seen = (report.journey.is_some() && rig != RigKind::Vfio).then(|| report.functions());
    // What was interrupted may not have come to where it should have gone.
    let missing = if report.is_interrupted() { None } else { coverage.row(trial, seen) };
    let entry = entry(rig, trial, report, took);
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
    };
    vec![entry, of_the_case]
}

#[cfg(test)]
mod tests;
