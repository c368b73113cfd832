//! A soak: the suite again and again, and what is not the same as in the first round.
//!
//! ```text
//! round → verdicts → changes ┐
//!   └→ reads (what the cases read) → drift ┼→ findings
//!   └→ usage (of this process) → leaks ┘
//! ```

pub mod drift;
pub mod leaks;
pub mod reads;

use super::RigFactory;
use super::pool::{Entry, NOT_RUN};
use super::trial::INTERRUPTED;
use super::verdict::Verdict;
use crate::case::model::{RigKind, Trial};
use drift::Drift;
use leaks::{Ledger, Usage};
use reads::Reading;
use std::collections::{BTreeMap, BTreeSet};

/// What is not the same in every round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `changed`, `drift` or `leak`.
    pub kind: &'static str,
    /// The trial, or what leaks.
    pub what: String,
    /// How it differs, in one line.
    pub why: String,
}

/// How one trial ended, over all rounds.
#[derive(Debug)]
struct Ends {
    /// In the first round.
    first: &'static str,
    /// Rounds in which it ended otherwise: how many, and of the first such one its number, how it ended and why.
    others: BTreeMap<&'static str, (u64, u64, String)>,
    /// Rounds in which it ended as in the first.
    same: u64,
    /// Rounds in which it was inconclusive, which says nothing.
    unknown: u64,
}

/// What is known after some rounds.
#[derive(Debug)]
pub struct Soak {
    round: u64,
    ends: BTreeMap<String, Ends>,
    /// Trials that began with rounds in which they were inconclusive.
    inconclusive: BTreeSet<String>,
    drift: Drift,
    ledger: Ledger,
}

impl Soak {
    /// Nothing yet. On `emu`, which does the same each time, what a case reads must be the same too.
    #[must_use]
    pub fn new(rig: RigKind) -> Self {
        let exact = rig == RigKind::Emu;
        Self {
            round: 1,
            ends: BTreeMap::new(),
            inconclusive: BTreeSet::new(),
            drift: Drift::new(exact),
            ledger: Ledger::default(),
        }
    }

    /// The round that is under way, from 1 on.
    #[must_use]
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Takes a result of this round. `true`: in the first round it was another, or it is inconclusive, and people may want to know.
    pub fn ended(&mut self, entry: &Entry) -> bool {
        // What did not run to its end says nothing.
        if matches!(&entry.verdict, Verdict::Inconclusive(why) if why == NOT_RUN || why == INTERRUPTED) {
            return false;
        }
        let word = entry.verdict.word();
        if matches!(entry.verdict, Verdict::Inconclusive(_)) {
            // As it is in the first round, it has no first verdict yet.
            if let Some(ends) = self.ends.get_mut(&entry.name) {
                ends.unknown += 1;
            } else {
                self.inconclusive.insert(entry.name.clone());
            }
            return true;
        }
        let Some(ends) = self.ends.get_mut(&entry.name) else {
            // That of a case over all of its rows is there only when it is a failure.
            let is_new = self.round > 1 && !self.inconclusive.contains(&entry.name);
            let first = if is_new { "no result" } else { word };
            let now = (word, (1, self.round, entry.verdict.why()));
            let others = is_new.then_some(now).into_iter().collect();
            let same = if is_new { self.round - 1 } else { 1 };
            self.ends.insert(entry.name.clone(), Ends { first, others, same, unknown: 0 });
            return is_new;
        };
        if ends.first == word {
            ends.same += 1;
            return false;
        }
        let other = ends.others.entry(word).or_insert((0, self.round, entry.verdict.why()));
        other.0 += 1;
        true
    }

    /// Takes what a trial read in this round.
    pub fn read(&mut self, trial: &Trial, readings: &[Reading]) {
        let exact = trial.real_peer.is_none();
        self.drift.add(&trial.name(), exact, self.round, readings);
    }

    /// A round is over, and this is what the process uses.
    pub fn round_is_over(&mut self, usage: Usage) {
        self.ledger.add(usage);
        self.round += 1;
    }

    /// All that was found so far.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let rounds = self.round - 1;
        let mut found: Vec<_> =
            self.ends.iter().filter_map(|(name, ends)| changed(name, ends, rounds)).collect();
        found.extend(self.drift.findings(rounds));
        found.extend(self.ledger.findings());
        found
    }

    /// How many trials, and values that they read, were held against the first round.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.ends.len(), self.drift.len())
    }

    /// Whether there were too few rounds to find what grows slowly, in words; `None`: there were enough.
    #[must_use]
    pub fn too_few(&self, factory: &dyn RigFactory) -> Option<String> {
        let rounds = self.round - 1;
        let mut lacking = Vec::new();
        if rounds < leaks::MEMORY_ROUNDS {
            lacking.push(format!("memory that grows ({} rounds)", leaks::MEMORY_ROUNDS));
        }
        if rounds < drift::TREND_ROUNDS && factory.kind() != RigKind::Emu {
            lacking.push(format!("counters that drift in real time ({} rounds)", drift::TREND_ROUNDS));
        }
        (!lacking.is_empty()).then(|| format!("too few rounds to tell of {}", lacking.join(" and ")))
    }
}

fn changed(name: &str, ends: &Ends, rounds: u64) -> Option<Finding> {
    let others: Vec<_> = ends
        .others
        .iter()
        .map(|(word, (times, first, why))| {
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            format!("{word} in {times} (first in round {first}{why})")
        })
        .collect();
    let told: u64 = ends.same + ends.unknown + ends.others.values().map(|other| other.0).sum::<u64>();
    let why = match others.is_empty() {
        false => format!("{} in {} of {rounds} rounds, {}", ends.first, ends.same, others.join(", ")),
        // A result of a case over its rows is there only when it is a failure.
        true if told < rounds && ends.first == "fail" => {
            format!("{} in {} of {rounds} rounds, and not in the others", ends.first, ends.same)
        }
        true => return None,
    };
    Some(Finding { kind: "changed", what: name.to_owned(), why })
}

#[cfg(test)]
mod tests;
