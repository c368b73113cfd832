//! What two rigs did with the same trial, held against each other: frames, results of calls, neighbours and counters.
//!
//! ```text
//! rig A ─ watch → what it did ─┐
//!                              ├→ frames, results, counters → differences → listed or not → report
//! rig B ─ watch → what it did ─┘
//! ```
//!
//! A case says only what it is about; here all that was seen counts, but for what no standard fixes (see [`freedom`]).

pub mod align;
pub mod counters;
pub mod frames;
pub mod freedom;
pub mod interrupts;
pub mod listed;
pub mod report;
pub mod results;
pub mod sizes;
pub mod verdicts;
pub mod watch;
pub mod ways;

use crate::case::model::{Location, Nanos, RigKind, Trial};
use crate::run::lateness::BOUND;
use crate::run::outcome::{nanos, show_time};
use crate::run::{Record, Verdict};
use watch::Observed;

/// What one rig did with a trial.
#[derive(Debug)]
pub struct Side {
    /// Which rig.
    pub rig: RigKind,
    /// How the trial ended there.
    pub verdict: Verdict,
    /// What was on the wire.
    pub record: Record,
    /// What else was seen: calls, commands, neighbours, counters.
    pub observed: Observed,
    /// How late the harness or the machine was at worst, in real time.
    pub late: Nanos,
}

/// One thing that is not the same on both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is about, for people: `frame 3 (192.0.2.1 > …)`, `recv`, `counters`.
    pub what: String,
    /// The line of the case that it belongs to, where there is one.
    pub at: Option<Location>,
    /// The name of that step (`as:`).
    pub step: Option<String>,
    /// The field, as `differs:` names it: `ipv4.ttl`, `time`, `frame`, `value`, `snmp.Udp.InErrors`, `neigh.192.0.2.2/state`.
    pub field: String,
    /// What it is on the first rig.
    pub a: String,
    /// What it is on the second.
    pub b: String,
    /// Why it is meant, where it is listed.
    pub why: Option<String>,
    /// Of a time: by how much it is beyond what is allowed.
    pub beyond: Option<Nanos>,
}

impl Difference {
    /// Whether so late a harness may be the reason: of a time when that is no further off, of all else when it was later than
    /// [`BOUND`]. A verdict has had its lateness weighed before.
    fn is_lateness(&self, late: Nanos) -> bool {
        match self.beyond {
            Some(beyond) => beyond <= late,
            None => late > nanos(BOUND) && self.field != "verdict",
        }
    }
}

/// How a comparison ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Nothing differs but what is listed and free.
    Same {
        /// The differences that are listed.
        listed: Vec<Difference>,
    },
    /// Something differs, or a listed difference is stale.
    Differs {
        /// All differences, the listed ones too.
        differences: Vec<Difference>,
        /// Differences that are listed and did not occur: a sentence each.
        stale: Vec<String>,
    },
    /// Neither rig does what the case says: the case is wrong.
    Wrong {
        /// What the first says did not hold.
        a: String,
        /// What the second says.
        b: String,
        /// The line of the case.
        at: Option<Location>,
    },
    /// A rig does not run it.
    NotCompared(String),
    /// A rig ran it, and says nothing.
    Inconclusive(String),
}

/// Compares what two rigs did with a trial.
#[must_use]
pub fn compare(trial: &Trial, a: &Side, b: &Side) -> Outcome {
    let mut differences = match verdicts::compare(trial, a, b) {
        verdicts::Judged::Over(outcome) => return outcome,
        verdicts::Judged::OneFailed(difference) => vec![difference],
        verdicts::Judged::Both => {
            let mut freedom = freedom::Freedom::of(trial);
            let mut all = results::compare(trial, a, b, &mut freedom);
            all.extend(frames::compare(trial, a, b, &mut freedom));
            all.extend(counters::compare(trial, (a, b), &freedom));
            all.extend(interrupts::compare(trial, a, b));
            all
        }
    };
    let stale = listed::mark(trial, (a, b), &mut differences);
    if stale.is_empty() && differences.iter().all(|d| d.why.is_some()) {
        return Outcome::Same { listed: differences };
    }
    let late = a.late.max(b.late);
    if stale.is_empty() && differences.iter().all(|d| d.why.is_some() || d.is_lateness(late)) {
        let first = differences.iter().find(|d| d.why.is_none());
        let what = first.map_or_else(String::new, |d| format!("{} of {}", d.field, d.what));
        return Outcome::Inconclusive(format!(
            "{what} differs, which the {} that a rig was late explain",
            show_time(late)
        ));
    }
    Outcome::Differs { differences, stale }
}

#[cfg(test)]
mod tests;
