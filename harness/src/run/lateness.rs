//! What a late harness, or a late machine, makes of a result: it decides between failed and inconclusive.
//!
//! In real time a frame may come late because the stack sent it late, or because nobody got a CPU. So each failure says how
//! much lateness would explain it, and is inconclusive where there was as much.

use super::outcome::{nanos, show_time};
use super::verdict::{Failure, Verdict};
use crate::case::model::Nanos;
use std::time::Duration;

/// A harness that is later than this could have changed what it saw, however generous a trial is with its times.
///
/// Measured on Linux 6.18: from a round trip of some 7 ms on, `tcp_tso_autosize` makes its large packets smaller, and PSH stands on
/// other segments.
pub const BOUND: Duration = Duration::from_millis(5);

/// How much lateness would explain that something did not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Excuse {
    /// None would.
    #[default]
    None,
    /// This much, at this time of the trial or later: something was that much too late or too early.
    By {
        /// As much as it was off.
        late: Nanos,
        /// Where the time began that it was held against.
        since: Nanos,
    },
    /// More than the smallest tolerance of the trial: it was not about time, but the peer may have come too late to something.
    BeyondTolerance,
}

impl Excuse {
    /// From when on lateness counts for it.
    #[must_use]
    pub fn since(self) -> Nanos {
        match self {
            Self::By { since, .. } => since,
            Self::None | Self::BeyondTolerance => 0,
        }
    }

    /// Whether so much lateness explains it, in a trial whose smallest tolerance is this.
    fn holds(self, late: Nanos, tolerance: Nanos) -> bool {
        match self {
            Self::None => false,
            Self::By { late: needed, .. } => late >= needed && needed > 0,
            Self::BeyondTolerance => late > tolerance,
        }
    }
}

/// How late it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// The harness, over the whole trial: in what it read, sent and waited for.
    pub harness: Nanos,
    /// The harness or the machine, while what failed was under way.
    pub failing: Nanos,
}

/// The verdict on a trial whose steps held or not. `stated` is the smallest tolerance that the trial states, if it states any:
/// a pass of what is held against no time is a pass, however late.
#[must_use]
pub fn decide(failure: Option<Failure>, late: Late, stated: Option<Duration>) -> Verdict {
    let tolerance = nanos(stated.unwrap_or(BOUND).min(BOUND));
    let Some(failure) = failure else {
        return match stated {
            Some(stated) if late.harness > nanos(stated) => Verdict::Inconclusive(format!(
                "it passed, but the harness was late by {}, and the case allows for {}",
                show_time(late.harness),
                show_time(nanos(stated))
            )),
            _ => Verdict::Pass,
        };
    };
    let worst = match failure.excuse {
        Excuse::By { .. } => late.failing,
        Excuse::None | Excuse::BeyondTolerance => late.failing.max(late.harness),
    };
    if !failure.excuse.holds(worst, tolerance) {
        return Verdict::fail(failure);
    }
    let why = match failure.excuse {
        Excuse::By { late, .. } => format!("{} explain it", show_time(late)),
        _ => format!("the case allows for {}", show_time(tolerance)),
    };
    Verdict::Inconclusive(format!("late by {}, and {why}: {failure}", show_time(worst)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const MS: Nanos = 1_000_000;

    fn failure(excuse: Excuse) -> Failure {
        Failure { excuse, ..Failure::new("it did not hold") }
    }

    fn off_by(late: Nanos) -> Excuse {
        Excuse::By { late: late * MS, since: 0 }
    }

    #[rstest]
    #[case::less_lateness_than_it_is_off(off_by(30), 29, "fail")]
    #[case::as_much(off_by(30), 30, "inconclusive")]
    #[case::a_little_off_and_a_little_late(off_by(1), 2, "inconclusive")]
    #[case::off_by_much_and_late_beyond_the_tolerance(off_by(500), 100, "fail")]
    #[case::a_wrong_field_and_within_the_tolerance(Excuse::BeyondTolerance, 3, "fail")]
    #[case::a_wrong_field_and_beyond_the_tolerance(Excuse::BeyondTolerance, 4, "inconclusive")]
    #[case::no_lateness_explains_it(Excuse::None, 5_000, "fail")]
    #[case::nothing_was_late(off_by(0), 0, "fail")]
    fn lateness_decides_between_failed_and_inconclusive(
        #[case] excuse: Excuse,
        #[case] late_ms: Nanos,
        #[case] word: &str,
    ) {
        let late = Late { harness: 0, failing: late_ms * MS };
        let stated = Some(Duration::from_millis(3));
        assert_eq!(decide(Some(failure(excuse)), late, stated).word(), word);
    }

    #[rstest]
    #[case::late_within_the_smallest_tolerance(Some(15), 15, "pass")]
    #[case::later_than_it(Some(15), 16, "inconclusive")]
    #[case::a_generous_trial(Some(145), 140, "pass")]
    #[case::held_against_no_time(None, 5_000, "pass")]
    fn a_pass_says_nothing_when_the_harness_was_later_than_the_trial_allows_for(
        #[case] stated_ms: Option<u64>,
        #[case] late_ms: Nanos,
        #[case] word: &str,
    ) {
        let late = Late { harness: late_ms * MS, failing: 0 };
        assert_eq!(decide(None, late, stated_ms.map(Duration::from_millis)).word(), word);
    }

    #[test]
    fn lateness_before_what_failed_began_explains_nothing_of_its_time() {
        let late = Late { harness: 900 * MS, failing: 0 };
        assert_eq!(decide(Some(failure(off_by(30))), late, None).word(), "fail");
    }

    #[test]
    fn without_a_stated_tolerance_a_wrong_field_needs_more_than_5_ms() {
        let late = |ms| Late { harness: ms * MS, failing: 0 };
        let verdict = |ms| decide(Some(failure(Excuse::BeyondTolerance)), late(ms), None);
        assert_eq!([verdict(5).word(), verdict(6).word()], ["fail", "inconclusive"]);
    }
}
