//! Results for people: a line for each trial, failures in full.

use crate::case::model::Location;
use crate::run::pool::Entry;
use crate::run::{Failure, Verdict};
use std::fmt::Write as _;

/// Lines about one result; of a pass only one, and none of it when `quiet`.
#[must_use]
pub fn lines(entry: &Entry, quiet: bool) -> String {
    let mut text = String::new();
    let (rig, name) = (entry.rig.name(), &entry.name);
    match &entry.verdict {
        Verdict::Pass | Verdict::Skip(_) if quiet => {}
        Verdict::Pass => drop(writeln!(text, "pass  {rig}  {name}")),
        Verdict::Skip(why) => drop(writeln!(text, "skip  {rig}  {name}: {why}")),
        Verdict::Inconclusive(why) => drop(writeln!(text, "????  {rig}  {name}: inconclusive: {why}")),
        Verdict::Fail(failure) => {
            let _ = writeln!(text, "FAIL  {rig}  {name}");
            text.push_str(&failure_in_full(failure));
        }
    }
    text
}

/// A failure with the line of the case, indented.
#[must_use]
pub fn failure_in_full(failure: &Failure) -> String {
    let mut text = String::new();
    if let Some(at) = &failure.at {
        text.push_str(&source_line(at));
    }
    let _ = writeln!(text, "      {}", failure.message);
    for detail in &failure.details {
        let _ = writeln!(text, "        {detail}");
    }
    text
}

/// The line of a case that something is about.
fn source_line(at: &Location) -> String {
    let mut text = format!("      --> {}:{}:{}\n", at.file.path.display(), at.line, at.column);
    let line = at.file.text.lines().nth((at.line as usize).saturating_sub(1));
    if let Some(line) = line {
        let _ = writeln!(text, "      {:>4} | {}", at.line, line.trim_end());
    }
    text
}
