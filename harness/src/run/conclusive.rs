//! A trial by itself that is run again while it says nothing. Runs of many do it in the pool.

use super::trial::TrialReport;
use super::verdict::Verdict;

/// How often a test runs a trial again at most.
pub const RETRIES: usize = 5;

/// The report of `once`, or of the first time after it that is not inconclusive, [`RETRIES`] times more at most. Each reason is printed, as
/// none is to be hidden.
pub fn conclusive(name: &str, mut once: impl FnMut() -> TrialReport) -> TrialReport {
    let mut report = once();
    for _ in 0..RETRIES {
        let Verdict::Inconclusive(why) = &report.verdict else { break };
        eprintln!("{name}: inconclusive, and run again: {why}");
        report = once();
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Failure;
    use rstest::rstest;

    #[rstest]
    #[case::it_says_something_at_once(0, "fail", 1)]
    #[case::it_says_something_at_last(2, "fail", 3)]
    #[case::it_never_does(usize::MAX, "inconclusive", 1 + RETRIES)]
    fn a_trial_that_says_nothing_is_run_again(#[case] late: usize, #[case] word: &str, #[case] runs: usize) {
        let mut ran = 0;
        let report = conclusive("a trial", || {
            ran += 1;
            let is_late = ran <= late;
            let late = || Verdict::Inconclusive("late".to_owned());
            TrialReport::only(if is_late { late() } else { Verdict::fail(Failure::new("no")) })
        });
        assert_eq!((report.verdict.word(), ran), (word, runs));
    }
}
