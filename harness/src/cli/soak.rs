//! `wireproof run --soak TIME`: the suite again and again, until the time is over.

use super::args::RunArguments;
use crate::case::model::Trial;
use crate::report::output::{complain, printable, put};
use crate::report::progress::{Format, Progress};
use crate::report::{Tally, human};
use crate::run::pool::{self, Options};
use crate::run::soak::leaks::Usage;
use crate::run::soak::reads::Noting;
use crate::run::soak::{Finding, Soak};
use crate::run::{RigFactory, TrialReport, Verdict, artifacts};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// At the least so many rounds run: with one there is nothing to hold against it.
const ROUNDS_MIN: u64 = 2;

/// What is run.
pub struct Suite<'r> {
    /// Makes the rigs.
    pub factory: Box<dyn RigFactory>,
    /// All trials of the cases.
    pub all: &'r [Trial],
    /// Those that run.
    pub chosen: &'r [&'r Trial],
    /// How.
    pub options: Options<'r>,
    /// What the process held before the rig was there.
    pub before: Usage,
}

/// Repeats the suite; the round that is under way when the time is over is the last, and there are two at the least.
///
/// # Errors
/// When results cannot be printed or kept.
pub fn run(arguments: &RunArguments, time: Duration, suite: Suite<'_>) -> io::Result<u8> {
    let begin = Instant::now();
    let cancelled = suite.options.cancelled;
    let mut soak = Soak::new(arguments.rig);
    let mut status = 0;
    let mut usage = None;
    while !cancelled.load(Ordering::Relaxed) && (soak.round() <= ROUNDS_MIN || begin.elapsed() < time) {
        let (number, began) = (soak.round(), Instant::now());
        let tally = round(arguments, &suite, &mut soak)?;
        status = status.max(tally.exit_status());
        if cancelled.load(Ordering::Relaxed) {
            break;
        }
        suite.factory.rest();
        let held = Usage::settled(usage.as_ref());
        told(arguments.trials.format, number, &tally, began.elapsed(), &held)?;
        soak.round_is_over(held.clone());
        usage.get_or_insert(held);
        if tally.ran() == 0 {
            complain("nothing ran");
            return Ok(status);
        }
    }
    let too_few = soak.too_few(suite.factory.as_ref());
    let mut findings = soak.findings();
    drop(suite.factory);
    findings.extend(left(&suite.before));
    summary(arguments.trials.format, &soak, &findings, begin.elapsed(), too_few)?;
    if cancelled.load(Ordering::Relaxed) || !findings.is_empty() {
        status = status.max(1);
    }
    Ok(status)
}

/// Runs all trials once. Of later rounds only what ends otherwise than in the first is printed, and kept unless it passes.
fn round(arguments: &RunArguments, suite: &Suite<'_>, soak: &mut Soak) -> io::Result<Tally> {
    let (format, out) = (arguments.trials.format, &arguments.trials.out);
    let is_first = soak.round() == 1;
    let trouble: Mutex<Option<io::Error>> = Mutex::new(None);
    let note = |result: io::Result<()>| {
        if let (Err(error), Ok(mut trouble)) = (result, trouble.lock()) {
            trouble.get_or_insert(error);
        }
    };
    let keep = |trial: &Trial, report: &mut TrialReport| {
        let wanted = match report.verdict {
            Verdict::Skip(_) => false,
            Verdict::Pass => is_first,
            _ => true,
        };
        if wanted {
            note(artifacts::write(out, arguments.rig, trial, report, suite.options.again).map(drop));
        }
        None
    };
    let noting = Noting::new(suite.factory.as_ref());
    let mut progress = is_first.then(|| Progress::new(format, suite.chosen.len()));
    let mut tally = Tally::default();
    pool::run(&noting, suite.all, suite.chosen, suite.options, &keep, &mut |entry| {
        tally.add(&entry);
        let changed = soak.ended(&entry);
        if let Some(progress) = &mut progress {
            note(progress.tell(entry));
        } else if changed && format == Format::Human {
            let word = format!("round {}: otherwise than in round 1\n", soak.round());
            note(put(&(word + &human::lines(&entry, false))));
        }
    });
    for trial in suite.chosen {
        soak.read(trial, &noting.take(trial));
    }
    if let Some(progress) = progress {
        note(progress.finish(arguments.rig, None).1);
    }
    trouble.into_inner().ok().flatten().map_or(Ok(tally), Err)
}

/// What is still there of the rig when it is gone.
fn left(before: &Usage) -> Vec<Finding> {
    let after = Usage::settled(Some(before));
    let left = before.counts().into_iter().zip(after.counts()).filter(|((_, was), (_, is))| is > was);
    left.map(|((what, was), (_, is))| Finding {
        kind: "leak",
        what: what.to_owned(),
        why: format!("{was} before the rig was made, {is} after it was gone"),
    })
    .collect()
}

fn told(format: Format, number: u64, tally: &Tally, took: Duration, held: &Usage) -> io::Result<()> {
    let (passed, failed, skipped, inconclusive) =
        (tally.passed, tally.failed, tally.skips(), tally.inconclusive);
    if format == Format::Json {
        let counts: serde_json::Map<_, _> =
            held.counts().map(|(what, n)| (what.to_owned(), n.into())).into_iter().collect();
        let object = serde_json::json!({"soak": "round", "round": number, "passed": passed, "failed": failed, "skipped": skipped,
            "inconclusive": inconclusive, "ms": took.as_millis() as u64, "held": counts, "memory_kib": held.memory});
        return put(&format!("{object}\n"));
    }
    put(&format!(
        "round {number}: {passed} passed, {failed} failed, {skipped} skipped, {inconclusive} inconclusive in {took:.2?}; {} \
         descriptors, {} threads, {:.1} MiB\n",
        held.descriptors,
        held.threads,
        held.memory as f64 / 1024.0
    ))
}

fn summary(
    format: Format,
    soak: &Soak,
    findings: &[Finding],
    took: Duration,
    too_few: Option<String>,
) -> io::Result<()> {
    let rounds = soak.round() - 1;
    let (trials, values) = soak.counts();
    if format == Format::Json {
        for Finding { kind, what, why } in findings {
            put(&format!("{}\n", serde_json::json!({"soak": kind, "of": what, "why": why})))?;
        }
        let object = serde_json::json!({"soak": "over", "rounds": rounds, "trials": trials, "values": values,
            "findings": findings.len(), "too_few_rounds": too_few.unwrap_or_default()});
        return put(&format!("{object}\n"));
    }
    for Finding { kind, what, why } in findings {
        put(&printable(&format!("{:<7}  {what}: {why}\n", kind.to_uppercase())))?;
    }
    let found = |kind: &str| findings.iter().filter(|finding| finding.kind == kind).count();
    put(&format!(
        "soak: {rounds} rounds of {trials} results in {took:.0?}: {} changed; of {values} values that cases read {} drifted; {} leaks\n",
        found("changed"),
        found("drift"),
        found("leak")
    ))?;
    too_few.map_or(Ok(()), |why| put(&format!("  {why}\n")))
}
