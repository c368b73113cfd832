//! `covers:` - the trace must have seen each function in at least one row of the case.

use super::trial::TrialReport;
use super::verdict::{Failure, Verdict};
use crate::case::model::{Location, Trial};
use std::collections::{BTreeMap, BTreeSet};

/// What the rows of each case have seen so far.
#[derive(Debug, Default)]
pub struct Coverage {
    cases: BTreeMap<String, Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    expected: usize,
    done: usize,
    kept_journeys: bool,
    seen: BTreeSet<&'static str>,
}

impl Coverage {
    /// Counts the rows of every case: `all` is every trial, also those that are not run. A case of which only some rows run
    /// is not judged.
    #[must_use]
    pub fn of<'t>(all: impl IntoIterator<Item = &'t Trial>) -> Self {
        let mut cases: BTreeMap<String, Rows> = BTreeMap::new();
        for trial in all {
            cases.entry(trial.case.clone()).or_default().expected += 1;
        }
        Self { cases }
    }

    /// A row was run, and saw these functions; `None` where the rig keeps no journey, or the row did not run.
    /// When it was the last one: the failure, if a function was seen in none.
    pub fn row(&mut self, trial: &Trial, seen: Option<BTreeSet<&'static str>>) -> Option<Failure> {
        let rows = self.cases.get_mut(&trial.case)?;
        rows.done += 1;
        if let Some(seen) = seen {
            rows.kept_journeys = true;
            rows.seen.extend(seen);
        }
        // A case without rows is judged with its only trial.
        if trial.row.is_empty() || rows.done != rows.expected || !rows.kept_journeys {
            return None;
        }
        missing(trial, &rows.seen)
    }
}

/// The failure when a function that the case covers is not among those seen.
#[must_use]
pub fn missing(trial: &Trial, seen: &BTreeSet<&'static str>) -> Option<Failure> {
    let missing: Vec<_> =
        trial.covers.iter().filter(|name| !seen.contains(name.as_str())).map(String::as_str).collect();
    if missing.is_empty() {
        return None;
    }
    let what = format!("{} covers {}, and no row of it went there", trial.case, missing.join(", "));
    let seen = format!("seen: {}", seen.iter().copied().collect::<Vec<_>>().join(", "));
    Some(Failure::at(&place(trial, missing[0]), what).with([seen]))
}

/// Fails a trial that is all of its case, passed, and did not go where the case says.
pub fn judge(trial: &Trial, report: &mut TrialReport) {
    if trial.row.is_empty()
        && report.verdict.is_pass()
        && report.journey.is_some()
        && let Some(failure) = missing(trial, &report.functions())
    {
        report.verdict = Verdict::fail(failure);
    }
}

/// Where a function stands below `covers:`; where it cannot be found, the head of the file.
fn place(trial: &Trial, name: &str) -> Location {
    let lines = || trial.file.text.lines().enumerate();
    let begin = lines().find(|(_, line)| line.starts_with("covers:")).map_or(0, |(index, _)| index);
    let own = |line: &str| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        line.match_indices(name)
            .map(|(at, _)| at)
            .find(|at| !line[..*at].ends_with(is_part) && !line[at + name.len()..].starts_with(is_part))
    };
    let found =
        lines().skip(begin).find_map(|(index, line)| own(line).map(|at| (index, line[..at].chars().count())));
    let (line, column) = found.unwrap_or((begin, 0));
    let number = |n: usize| u32::try_from(n + 1).unwrap_or(u32::MAX);
    Location { file: trial.file.clone(), line: number(line), column: number(column) }
}
