//! How many trials ended how.

use crate::run::Verdict;
use crate::run::pool::{Entry, NOT_RUN};
use crate::run::timing::Timing;
use crate::run::unread::SkippedChecks;
use std::collections::BTreeMap;
use std::time::Duration;

/// Counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Trials that passed.
    pub passed: usize,
    /// Trials, and cases over all of their rows, that failed.
    pub failed: usize,
    /// Trials that were not run, by the reason.
    pub skipped: BTreeMap<String, usize>,
    /// Trials that were run and say nothing.
    pub inconclusive: usize,
    /// Trials that did not run, because the run was interrupted.
    pub not_run: usize,
    /// Checks that the rig cannot make, by the reason.
    pub skipped_checks: SkippedChecks,
    /// How often a trial was run again, as it had said nothing.
    pub retries: usize,
    /// In real time, what that cost over all trials.
    pub timing: Timing,
}

impl Tally {
    /// Counts one result.
    pub fn add(&mut self, entry: &Entry) {
        for (reason, count) in &entry.skipped_checks {
            *self.skipped_checks.entry(reason.clone()).or_default() += count;
        }
        self.retries += entry.earlier.len();
        if let Some(timing) = &entry.timing {
            self.timing.add(timing);
        }
        match &entry.verdict {
            Verdict::Pass => self.passed += 1,
            Verdict::Fail(_) => self.failed += 1,
            Verdict::Skip(reason) => *self.skipped.entry(reason.clone()).or_default() += 1,
            Verdict::Inconclusive(why) if why == NOT_RUN => self.not_run += 1,
            Verdict::Inconclusive(_) => self.inconclusive += 1,
        }
    }

    /// How many were run.
    #[must_use]
    pub fn ran(&self) -> usize {
        self.passed + self.failed + self.inconclusive
    }

    /// How many were not.
    #[must_use]
    pub fn skips(&self) -> usize {
        self.skipped.values().sum()
    }

    /// The exit status: 0 all passed; 1 one failed, was inconclusive, or did not run because the run was interrupted; 2
    /// nothing ran.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match (self.ran(), self.failed + self.inconclusive + self.not_run) {
            (0, 0) => 2,
            (_, 0) => 0,
            _ => 1,
        }
    }

    /// `12 passed, 1 failed, 2 skipped, 0 inconclusive`, with what else there is to say, in lines.
    #[must_use]
    pub fn summary(&self, took: Duration) -> Vec<String> {
        let rate = self.ran() as f64 / took.as_secs_f64().max(1e-9);
        let mut lines = vec![format!(
            "{} passed, {} failed, {} skipped, {} inconclusive in {took:.2?} ({rate:.0} trials/s)",
            self.passed,
            self.failed,
            self.skips(),
            self.inconclusive
        )];
        if self.not_run > 0 {
            let all = self.ran() + self.skips() + self.not_run;
            lines.push(format!("interrupted: {} of {all} trials did not run", self.not_run));
        }
        lines.extend(run_again(self.retries));
        lines.extend(self.timing.summary());
        lines.extend(self.skipped.iter().map(|(reason, count)| format!("  skipped {count}: {reason}")));
        let checks = self.skipped_checks.iter();
        lines.extend(checks.map(|(reason, count)| format!("  skipped {count} single checks: {reason}")));
        lines
    }
}

/// What is to be said of so many retries.
pub(crate) fn run_again(retries: usize) -> Option<String> {
    (retries > 0)
        .then(|| format!("run again: {retries}, each as it was inconclusive; the reasons stand above"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::model::RigKind;
    use crate::run::Failure;
    use rstest::rstest;

    fn entry(verdict: Verdict) -> Entry {
        Entry {
            name: "c".into(),
            rig: RigKind::Emu,
            verdict,
            shown: String::new(),
            took: Duration::ZERO,
            timing: None,
            earlier: Vec::new(),
            skipped_checks: [("no NIC".to_owned(), 2)].into(),
        }
    }

    #[rstest]
    #[case::all_passed(&[Verdict::Pass], 0)]
    #[case::one_was_skipped(&[Verdict::Pass, Verdict::Skip("no".into())], 0)]
    #[case::one_failed(&[Verdict::Pass, Verdict::fail(Failure::new("x"))], 1)]
    #[case::one_was_inconclusive(&[Verdict::Pass, Verdict::Inconclusive("late".into())], 1)]
    #[case::the_rest_did_not_run(&[Verdict::Pass, Verdict::Inconclusive(NOT_RUN.into())], 1)]
    #[case::none_had_run(&[Verdict::Inconclusive(NOT_RUN.into())], 1)]
    #[case::nothing_ran(&[Verdict::Skip("no".into())], 2)]
    #[case::there_was_nothing(&[], 2)]
    fn the_exit_status_tells_how_a_run_ended(#[case] verdicts: &[Verdict], #[case] status: u8) {
        let mut tally = Tally::default();
        for verdict in verdicts {
            tally.add(&entry(verdict.clone()));
        }
        assert_eq!(tally.exit_status(), status);
        let checks = tally.skipped_checks.get("no NIC").copied().unwrap_or(0);
        assert_eq!(checks as usize, 2 * verdicts.len());
    }
}
