//! What a comparison found, for people and for machines.

use super::listed::never_shown;
use super::{Difference, Outcome};
use crate::case::model::{Location, RigKind, Trial};
use crate::report::output::printable;
use crate::report::tally::run_again;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

/// How many of the most frequent fields the end of a comparison names.
const TOP: usize = 10;
/// How many differences of a trial are shown to people.
const SHOWN: usize = 12;

/// How both rigs are called: by their names, and numbered where they are of one kind.
#[must_use]
pub fn labels(a: RigKind, b: RigKind) -> (String, String) {
    if a == b {
        return (format!("{}#1", a.name()), format!("{}#2", b.name()));
    }
    (a.name().to_owned(), b.name().to_owned())
}

/// Counts of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    same: usize,
    differ: usize,
    wrong: usize,
    inconclusive: usize,
    retries: usize,
    not_run: usize,
    not_compared: BTreeMap<String, usize>,
    listed: usize,
    /// Differences that are not listed, by their field: in how many trials.
    fields: BTreeMap<String, usize>,
    /// The reasons of listed differences that there were.
    shown: BTreeSet<String>,
    /// Entries that showed nowhere: a sentence each.
    stale: Vec<String>,
}

impl Tally {
    /// Counts one outcome, and why there was none when the trial ran before.
    pub fn add(&mut self, outcome: &Outcome, earlier: &[String]) {
        self.retries += earlier.len();
        if let Outcome::Same { listed: all } | Outcome::Differs { differences: all, .. } = outcome {
            self.shown.extend(all.iter().filter_map(|d| d.why.clone()));
        }
        match outcome {
            Outcome::Same { listed } => {
                self.same += 1;
                self.listed += listed.len();
            }
            Outcome::Differs { differences, stale } => {
                self.differ += 1;
                self.listed += differences.iter().filter(|d| d.why.is_some()).count();
                let unlisted = differences.iter().filter(|d| d.why.is_none()).map(|d| d.field.clone());
                let stale = stale.iter().map(|_| "a stale entry of differs".to_owned());
                let fields: BTreeSet<String> = unlisted.chain(stale).collect();
                for field in fields {
                    *self.fields.entry(field).or_default() += 1;
                }
            }
            Outcome::Wrong { .. } => self.wrong += 1,
            Outcome::NotCompared(why) => *self.not_compared.entry(why.clone()).or_default() += 1,
            Outcome::Inconclusive(_) => self.inconclusive += 1,
        }
    }

    /// All is compared: which of the entries that may show in any trial showed in none?
    pub fn close(&mut self, trials: &[&Trial], rigs: (RigKind, RigKind)) {
        self.stale = never_shown(trials, rigs, self.same + self.differ, &self.shown);
    }

    /// Counts a trial that did not run because somebody stopped the comparison.
    pub fn not_run(&mut self) {
        self.not_run += 1;
    }

    /// 0 no difference but listed ones; 1 differences, cases that are wrong, inconclusive trials; 2 nothing was compared.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        let bad = self.differ + self.wrong + self.inconclusive + self.not_run + self.stale.len();
        match (self.same, bad) {
            (0, 0) => 2,
            (_, 0) => 0,
            _ => 1,
        }
    }

    /// The end of a comparison, in lines.
    #[must_use]
    pub fn summary(&self, took: Duration) -> Vec<String> {
        let skipped: usize = self.not_compared.values().sum();
        let mut lines = vec![format!(
            "{} same, {} differ, {} wrong on both, {skipped} not compared, {} inconclusive in {took:.2?}",
            self.same, self.differ, self.wrong, self.inconclusive
        )];
        if self.not_run > 0 {
            lines.push(format!("interrupted: {} trials did not run", self.not_run));
        }
        lines.extend(run_again(self.retries));
        if self.listed > 0 {
            lines.push(format!("  {} differences are listed in `differs:`", self.listed));
        }
        lines.extend(self.stale.iter().map(|line| format!("  {line}")));
        lines.extend(self.not_compared.iter().map(|(why, count)| format!("  not compared {count}: {why}")));
        let mut top: Vec<_> = self.fields.iter().collect();
        top.sort_by_key(|(field, count)| (std::cmp::Reverse(**count), (*field).clone()));
        if !top.is_empty() {
            lines.push("most frequent, by the number of trials:".to_owned());
        }
        lines.extend(top.iter().take(TOP).map(|(field, count)| format!("  {count:>5}  {field}")));
        if top.len() > TOP {
            lines.push(format!("         and {} more fields", top.len() - TOP));
        }
        lines
    }
}

/// The lines about one trial, without what could command a terminal; first why it was run again, if it was.
#[must_use]
pub fn human(trial: &str, (a, b): (&str, &str), outcome: &Outcome, earlier: &[String]) -> String {
    let mut text = String::new();
    for why in earlier {
        let _ = writeln!(text, "????  {trial}: inconclusive, and run again: {why}");
    }
    match outcome {
        Outcome::Same { listed } if listed.is_empty() => drop(writeln!(text, "same  {trial}")),
        Outcome::Same { listed } => drop(writeln!(text, "same  {trial} ({} listed)", listed.len())),
        Outcome::NotCompared(why) => drop(writeln!(text, "skip  {trial}: not compared: {why}")),
        Outcome::Inconclusive(why) => drop(writeln!(text, "????  {trial}: inconclusive: {why}")),
        Outcome::Wrong { a: x, b: y, at } => {
            let _ = writeln!(
                text,
                "WRONG {trial}: {b} does not do this either: the case is wrong{}",
                place(at.as_ref())
            );
            let _ = writeln!(text, "      {a}: {x}");
            let _ = writeln!(text, "      {b}: {y}");
        }
        Outcome::Differs { differences, stale } => {
            let _ = writeln!(text, "DIFFERS {trial}");
            let unlisted: Vec<_> = differences.iter().filter(|d| d.why.is_none()).collect();
            for difference in unlisted.iter().take(SHOWN) {
                let Difference { what, at, field, a: x, b: y, .. } = difference;
                let field = if field == "verdict" { String::new() } else { format!(": {field}") };
                let _ = writeln!(text, "      {what}{field}{}", place(at.as_ref()));
                let width = a.len().max(b.len());
                let _ = writeln!(text, "          {a:<width$}  {x}");
                let _ = writeln!(text, "          {b:<width$}  {y}");
            }
            if unlisted.len() > SHOWN {
                let _ = writeln!(text, "      and {} more", unlisted.len() - SHOWN);
            }
            for line in stale {
                let _ = writeln!(text, "      {line}");
            }
        }
    }
    printable(&text).into_owned()
}

fn place(at: Option<&Location>) -> String {
    at.map_or_else(String::new, |at| format!(" --> {}", line_of(at)))
}

fn line_of(at: &Location) -> String {
    format!("{}:{}:{}", at.file.path.display(), at.line, at.column)
}

/// One object for a machine, without a line end.
#[must_use]
pub fn machine(trial: &str, (a, b): (&str, &str), outcome: &Outcome, earlier: &[String]) -> String {
    let (word, rest) = match outcome {
        Outcome::Same { listed } => ("same", json!({ "differences": differences(listed) })),
        Outcome::Differs { differences: all, stale } => {
            ("differs", json!({ "differences": differences(all), "stale": stale }))
        }
        Outcome::Wrong { a, b, at } => {
            let at = at.as_ref().map(line_of);
            ("wrong", json!({ "why": "neither rig does what the case says", "a": a, "b": b, "at": at }))
        }
        Outcome::NotCompared(why) => ("skip", json!({ "why": why })),
        Outcome::Inconclusive(why) => ("inconclusive", json!({ "why": why })),
    };
    let mut object = json!({ "case": trial, "rigs": [a, b], "result": word });
    if let (Some(object), Value::Object(rest)) = (object.as_object_mut(), rest) {
        object.extend(rest);
        if !earlier.is_empty() {
            object.insert("earlier".to_owned(), json!(earlier));
        }
    }
    object.to_string()
}

fn differences(list: &[Difference]) -> Vec<Value> {
    let one = |d: &Difference| {
        json!({
            "what": d.what,
            "at": d.at.as_ref().map(line_of),
            "step": d.step,
            "field": d.field,
            "a": d.a,
            "b": d.b,
            "listed": d.why,
        })
    };
    list.iter().map(one).collect()
}
