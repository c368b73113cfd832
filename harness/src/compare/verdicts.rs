//! How a trial ended on both rigs: what ends the comparison, and what is a difference by itself.

use super::{Difference, Outcome, Side};
use crate::case::model::{Location, Trial};
use crate::run::{Failure, Verdict};

/// What the verdicts of both rigs say.
#[derive(Debug)]
pub enum Judged {
    /// The comparison is over.
    Over(Outcome),
    /// The trial failed on one of them.
    OneFailed(Difference),
    /// It passed on both: what they did is to be compared.
    Both,
}

/// Looks at how a trial ended on both rigs.
#[must_use]
pub fn compare(trial: &Trial, a: &Side, b: &Side) -> Judged {
    let skips: Vec<_> = [a, b].iter().filter_map(|side| skipped(side)).collect();
    if !skips.is_empty() {
        return Judged::Over(Outcome::NotCompared(skips.join("; ")));
    }
    let unsure: Vec<_> = [a, b].iter().filter_map(|side| inconclusive(side)).collect();
    if !unsure.is_empty() {
        return Judged::Over(Outcome::Inconclusive(unsure.join("; ")));
    }
    match (&a.verdict, &b.verdict) {
        (Verdict::Fail(x), Verdict::Fail(y)) if same_step(trial, x, y) => {
            Judged::Over(Outcome::Wrong { a: said(x), b: said(y), at: x.at.clone() })
        }
        (Verdict::Fail(x), other) | (other, Verdict::Fail(x)) => {
            let at = match other {
                Verdict::Fail(y) => x.at.clone().or_else(|| y.at.clone()),
                _ => x.at.clone(),
            };
            let step = at.as_ref().and_then(|at| step_at(trial, at)).map(|i| &trial.steps[i]);
            Judged::OneFailed(Difference {
                what: "the verdict".to_owned(),
                step: step.and_then(|step| step.name.clone()),
                at,
                field: "verdict".to_owned(),
                a: ended(&a.verdict),
                b: ended(&b.verdict),
                why: None,
                beyond: None,
            })
        }
        _ => Judged::Both,
    }
}

fn skipped(side: &Side) -> Option<String> {
    if let Verdict::Skip(why) = &side.verdict { Some(format!("{}: {why}", side.rig.name())) } else { None }
}

fn inconclusive(side: &Side) -> Option<String> {
    side.verdict.inconclusive().map(|why| format!("{}: {why}", side.rig.name()))
}

fn said(failure: &Failure) -> String {
    failure.message.clone()
}

fn ended(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Fail(failure) => format!("fails: {}", said(failure)),
        _ => "passes".to_owned(),
    }
}

/// The step that a line of the case is in.
fn step_at(trial: &Trial, at: &Location) -> Option<usize> {
    let before = |(i, step): (usize, &crate::case::model::Step)| {
        (step.at.file == at.file && step.at.line <= at.line).then_some((step.at.line, i))
    };
    // The step that begins last before the line; of several with that line (a repetition) the first.
    let found = trial.steps.iter().enumerate().filter_map(before);
    found.max_by_key(|(line, i)| (*line, std::cmp::Reverse(*i))).map(|(_, i)| i)
}

/// Whether two failures are of the same step: there neither rig does what the case says, be it in the same manner or not.
fn same_step(trial: &Trial, a: &Failure, b: &Failure) -> bool {
    match (&a.at, &b.at) {
        (Some(x), Some(y)) => x == y || step_at(trial, x) == step_at(trial, y),
        (None, None) => a.message == b.message,
        _ => false,
    }
}
