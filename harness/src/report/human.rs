//! Results for people: a line for each trial, failures in full.

use super::output::printable;
use crate::run::pool::{Entry, NOT_RUN};
use crate::run::{Failure, Verdict};
use std::fmt::Write as _;

/// Lines about one result, without what could command a terminal; of a pass only one, and none of it when `quiet`. A trial
/// that did not run because the run was interrupted has none. Before it, why it was run again, if it was.
#[must_use]
pub fn lines(entry: &Entry, quiet: bool) -> String {
    printable(&raw(entry, quiet)).into_owned()
}

fn raw(entry: &Entry, quiet: bool) -> String {
    let mut text = String::new();
    let (rig, name) = (entry.rig.name(), &entry.name);
    for why in &entry.earlier {
        let _ = writeln!(text, "????  {rig}  {name}: inconclusive, and run again: {why}");
    }
    match &entry.verdict {
        Verdict::Pass | Verdict::Skip(_) if quiet => {}
        Verdict::Inconclusive(why) if why == NOT_RUN => {}
        Verdict::Pass => drop(writeln!(text, "pass  {rig}  {name}")),
        Verdict::Skip(why) => drop(writeln!(text, "skip  {rig}  {name}: {why}")),
        Verdict::Inconclusive(why) => drop(writeln!(text, "????  {rig}  {name}: inconclusive: {why}")),
        Verdict::Fail(failure) => {
            let _ = writeln!(text, "FAIL  {rig}  {name}");
            text.push_str(&in_full(&entry.shown, failure));
        }
    }
    text
}

/// A failure, indented: all that is known of it, or where that was not asked for, what it says itself.
#[must_use]
pub fn in_full(shown: &str, failure: &Failure) -> String {
    let own =
        std::iter::once(failure.to_string()).chain(failure.details.iter().map(|line| format!("  {line}")));
    let lines: Vec<String> =
        if shown.is_empty() { own.collect() } else { shown.lines().map(str::to_owned).collect() };
    lines.iter().map(|line| format!("      {line}\n")).collect()
}
