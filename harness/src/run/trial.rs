//! One trial from an empty rig to its verdict.

use super::canary::Canaries;
use super::check::{self, Baseline};
use super::engine::{Engine, Stop};
use super::factory::RigFactory;
use super::lateness::{self, Late};
use super::outcome::nanos;
use super::record::Record;
use super::select;
use super::struck;
use super::timing::Timing;
use super::unread::{SkippedChecks, Unread};
use super::verdict::{Failure, Verdict};
use crate::case::model::{Nanos, RigKind, Source, Step, Trial};
use crate::rig::journey::What;
use crate::rig::{Finished, Journey, Readings, RigError};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Why a trial says nothing when somebody stopped the run.
pub const INTERRUPTED: &str = "interrupted";

/// Values that `show` gives besides frames and journeys.
const SHOWN: [Source; 6] =
    [Source::Netdev, Source::Ethtool, Source::Snmp, Source::Softirqs, Source::Qdisc, Source::Skb];

/// What a trial left.
#[derive(Debug)]
pub struct TrialReport {
    /// How it ended.
    pub verdict: Verdict,
    /// A failure in full, as people want to see it, once [`super::artifacts::explain`] was asked for it.
    pub shown: String,
    /// What was on the wire.
    pub record: Record,
    /// Where each packet was, on a rig that knows.
    pub journey: Option<Journey>,
    /// Counters at the end, as differences since the first step; only those that moved.
    pub counters: BTreeMap<&'static str, Readings>,
    /// Checks that this rig cannot make.
    pub skipped_checks: SkippedChecks,
    /// How long the engine let time pass, waiting for something to happen.
    pub waited: Duration,
    /// How late the harness was at worst.
    pub late: Nanos,
    /// On a rig in real time, what that cost; on one in virtual time that runs outside of this process, how long it took.
    pub timing: Option<Timing>,
}

impl TrialReport {
    /// One without a run.
    #[must_use]
    pub fn only(verdict: Verdict) -> Self {
        Self {
            verdict,
            shown: String::new(),
            record: Record::default(),
            journey: None,
            counters: BTreeMap::new(),
            skipped_checks: SkippedChecks::new(),
            waited: Duration::ZERO,
            late: 0,
            timing: None,
        }
    }

    /// Whether somebody stopped the run while the trial was under way.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(&self.verdict, Verdict::Inconclusive(why) if why == INTERRUPTED)
    }

    /// The functions that a packet, or the stack on its own, went through.
    #[must_use]
    pub fn functions(&self) -> BTreeSet<&'static str> {
        let Some(journey) = &self.journey else { return BTreeSet::new() };
        let moments = journey.packets.iter().flat_map(|packet| &packet.moments).chain(&journey.alone);
        moments.filter_map(|m| if let What::Function(name) = m.what { Some(name) } else { None }).collect()
    }
}

/// Runs a trial on a fresh rig. A panic under it - of the stack, the emulator or the harness - fails it.
#[must_use]
pub fn execute(
    factory: &dyn RigFactory,
    trial: &Trial,
    max_wait: Duration,
    cancelled: &AtomicBool,
) -> TrialReport {
    let unread = Unread::of(trial, factory);
    if let Some(reason) = left_out(factory, trial, &unread, max_wait) {
        return TrialReport::only(Verdict::Skip(reason));
    }
    let mut report = TrialReport::only(Verdict::Pass);
    report.skipped_checks.clone_from(unread.reasons());
    let begin = Instant::now();
    // Before the rig is made, for its threads may be more urgent than others.
    let is_timed = !factory.is_virtual();
    let canaries = (is_timed || trial.real_peer.is_some()).then(Canaries::watch);
    let machine =
        |ago| canaries.as_ref().map_or(0, |c| nanos(c.worst_of_the_last(Duration::from_nanos(ago))));
    let run = AssertUnwindSafe(|| on_a_rig(factory, trial, (&unread, &machine), cancelled, &mut report));
    report.verdict = match catch_unwind(run) {
        Ok(verdict) => verdict,
        Err(panic) => Verdict::fail(Failure::new(format!("panicked: {}", panic_message(&*panic)))),
    };
    if is_timed {
        // By now the rig is taken down.
        let took = begin.elapsed();
        let overhead = nanos(took.saturating_sub(report.waited));
        let late = (report.late, machine(nanos(took)));
        report.timing = Some(Timing::of(&report.record, overhead, late));
    } else if factory.kind() != RigKind::Emu {
        // Virtual waits cost nothing: whatever it took is overhead.
        report.timing = Some(Timing::in_virtual_time(nanos(begin.elapsed())));
    }
    report
}

/// Why a trial does not run on this rig and machine, found before the run; `None`: it does.
#[must_use]
pub fn skip_reason(factory: &dyn RigFactory, trial: &Trial, max_wait: Duration) -> Option<String> {
    left_out(factory, trial, &Unread::of(trial, factory), max_wait)
}

fn left_out(factory: &dyn RigFactory, trial: &Trial, unread: &Unread, max_wait: Duration) -> Option<String> {
    select::skip_reason(trial, factory.here(), max_wait)
        .or_else(|| factory.missing(trial))
        .or_else(|| unread.nothing_left(trial))
}

fn on_a_rig(
    factory: &dyn RigFactory,
    trial: &Trial,
    (unread, machine): (&Unread, &dyn Fn(Nanos) -> Nanos),
    cancelled: &AtomicBool,
    report: &mut TrialReport,
) -> Verdict {
    let mut rig = match factory.create(trial) {
        Ok(rig) => rig,
        Err(_) if cancelled.load(Ordering::Relaxed) => return Verdict::Inconclusive(INTERRUPTED.to_owned()),
        Err(error) => return died(&error, None),
    };
    let rig = rig.as_mut();
    let baseline = if rig.is_virtual() { Baseline::of(rig, &SHOWN) } else { Baseline::default() };
    let mut engine = Engine::new(rig, trial, &mut report.record, unread, machine, cancelled);
    let result = engine.run().map_err(|stop| match stop {
        // It does not wait for an answer any more.
        Stop::Rig(_) if cancelled.load(Ordering::Relaxed) => Stop::Cancelled,
        stop => stop,
    });
    let failing = match &result {
        Err(Stop::Failed(failure)) => engine.all_late_since(failure.excuse.since()),
        _ => 0,
    };
    let harness = engine.late_since(0);
    report.waited = engine.waited();
    let mut books = engine.take_books();
    let last = engine.last_step().and_then(|index| trial.steps.get(index));
    if rig.is_virtual() {
        for source in &SHOWN {
            if let Ok(now) = rig.read(source) {
                let moved = baseline.moved(source, &now);
                report.counters.insert(check::source_name(source), moved);
            }
        }
    }
    report.journey = rig.journey().cloned();
    let result = result.and_then(|()| match books.close(rig, trial, &report.record)? {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    });
    let idle = struck::missing(trial, &rig.fault_counts(), rig.now());
    let result = with_idle_faults(result, idle);
    for (why, count) in books.undecided() {
        *report.skipped_checks.entry(why.clone()).or_default() += count;
    }
    let finished = rig.finish();
    report.late = harness.max(finished.lateness.map_or(0, nanos));
    judge(trial, result, last, finished, Late { harness: report.late, failing })
}

/// The same where faults of the case did not strike: a trial that went well otherwise fails, and for another it is worth knowing.
fn with_idle_faults(result: Result<(), Stop>, idle: Option<Failure>) -> Result<(), Stop> {
    match (result, idle) {
        (Ok(()), Some(idle)) => Err(idle.into()),
        (Err(Stop::Failed(failure)), Some(idle)) => {
            Err(failure.with(std::iter::once(idle.message).chain(idle.details)).into())
        }
        (result, _) => result,
    }
}

/// The verdict from how the steps ended and what the rig found.
fn judge(
    trial: &Trial,
    result: Result<(), Stop>,
    last: Option<&Step>,
    finished: Finished,
    late: Late,
) -> Verdict {
    let failure = match result {
        Err(Stop::Cancelled) => return Verdict::Inconclusive(INTERRUPTED.to_owned()),
        Err(Stop::Rig(RigError::Broken(what))) if !finished.reasons.is_empty() => Some(Failure {
            at: last.map(|step| step.at.clone()),
            ..Failure::new(format!("the rig died: {what}"))
        }),
        Err(Stop::Rig(error)) => return died(&error, last),
        Err(Stop::Failed(failure)) => Some(*failure),
        Ok(()) => None,
    };
    if let Some((reason, others)) = finished.reasons.split_first() {
        let failure = match failure {
            Some(failure) => Failure { message: format!("{reason}; so {}", failure.message), ..failure },
            None => Failure::new(reason),
        };
        return Verdict::fail(failure.with(others.to_vec()).with(finished.violations));
    }
    if !finished.violations.is_empty() {
        let mut violations = finished.violations;
        return Verdict::fail(match failure {
            Some(failure) => failure.with(violations),
            None => Failure::new(violations.remove(0)).with(violations),
        });
    }
    if finished.lost_frames > 0 {
        return Verdict::Inconclusive(format!("the capture lost {} frames", finished.lost_frames));
    }
    lateness::decide(failure, late, select::smallest_tolerance(trial))
}

/// The rig could not go on in a step, or before the first.
fn died(error: &RigError, step: Option<&Step>) -> Verdict {
    let at = step.map(|step| step.at.clone());
    match error {
        RigError::Missing(what) => Verdict::Inconclusive(format!("not there on this machine: {what}")),
        RigError::Broken(what) => {
            Verdict::fail(Failure { at, ..Failure::new(format!("the rig died: {what}")) })
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial_of(case: &str) -> Trial {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, case).expect("it can be written");
        crate::case::load(&[path]).expect("the case is right").remove(0)
    }

    #[test]
    fn a_rig_that_died_is_told_with_the_step_in_which_it_did() {
        let trial = trial_of("about: A case.\nsteps:\n  - wait: 1s\n  - quiet: 1s\n");
        let broken = || Err(Stop::Rig(RigError::Broken("no more memory".to_owned())));
        let said = |step| judge(&trial, broken(), step, Finished::default(), Late::default()).why();
        let why = said(trial.steps.get(1));
        assert!(why.ends_with("a.yaml:4:5: the rig died: no more memory"), "{why}");
        assert_eq!(said(None), "the rig died: no more memory");
    }

    #[test]
    fn what_explains_a_failure_is_its_reason() {
        let finished =
            || Finished { reasons: vec!["a fault".to_owned(), "another".to_owned()], ..Finished::default() };
        let trial = trial_of("about: A case.\nsteps:\n  - quiet: 1s\n");
        let failed = |message: &str| Err(Stop::Failed(Box::new(Failure::new(message))));
        let broken = || Err(Stop::Rig(RigError::Broken("no carrier".to_owned())));
        for (result, why) in [
            (failed("no frame came"), "a fault; so no frame came"),
            (broken(), "a fault; so the rig died: no carrier"),
            (Ok(()), "a fault"),
        ] {
            let verdict = judge(&trial, result, None, finished(), Late::default());
            let Verdict::Fail(failure) = verdict else { panic!("{verdict:?}") };
            assert_eq!(
                (failure.to_string().as_str(), &failure.details[..]),
                (why, &["another".to_owned()][..])
            );
        }
    }
}
