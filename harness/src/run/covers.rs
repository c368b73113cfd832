//! `covers:` - the trace must have seen each function in at least one row of the case.

use super::verdict::Failure;
use crate::case::model::Trial;
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
        if rows.done != rows.expected || !rows.kept_journeys {
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
    Some(Failure::new(what).with([seen]))
}
