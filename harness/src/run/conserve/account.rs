//! How the counters of a source moved, also where somebody made them anew meanwhile: each stretch is added up.

use crate::judge::conserve::Moved;
use crate::rig::{Reading, Readings};
use std::collections::BTreeMap;

/// The counters of a source since a beginning. They are looked at whenever they may begin anew: one that is smaller than it was
/// did, at 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// As each stood when it was last looked at.
    last: BTreeMap<String, i64>,
    moved: Moved,
}

impl Account {
    /// Counters as they stand at the beginning.
    #[must_use]
    pub fn open(readings: &Readings) -> Self {
        Self { last: numbers(readings).collect(), moved: Moved::new() }
    }

    /// Counters are looked at. Whether one of them has begun anew since the last time, or is gone.
    pub fn observe(&mut self, readings: &Readings) -> bool {
        let now: BTreeMap<_, _> = numbers(readings).collect();
        let mut renewed = self.last.iter().any(|(name, was)| *was != 0 && !now.contains_key(name));
        for (name, is) in &now {
            let was = self.last.get(name).copied().unwrap_or(0);
            renewed |= *is < was;
            let step = if was <= *is { is - was } else { *is };
            *self.moved.entry(name.clone()).or_default() += step;
        }
        self.last = now;
        renewed
    }

    /// By how much each moved in all, up to when they were last looked at.
    #[must_use]
    pub fn moved(&self) -> &Moved {
        &self.moved
    }
}

fn numbers(readings: &Readings) -> impl Iterator<Item = (String, i64)> + '_ {
    readings.iter().filter_map(|(name, reading)| match reading {
        Reading::Number(number) => Some((name.clone(), *number)),
        Reading::Text(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn readings(of: &[(&str, i64)]) -> Readings {
        of.iter().map(|(name, is)| ((*name).to_owned(), Reading::Number(*is))).collect()
    }

    #[rstest]
    #[case::nothing_happens(vec![vec![("a", 3)]], 0, false)]
    #[case::it_goes_on(vec![vec![("a", 5)], vec![("a", 9)]], 6, false)]
    #[case::it_begins_anew(vec![vec![("a", 5)], vec![("a", 1)], vec![("a", 2)]], 4, true)]
    #[case::it_goes_and_comes_back(vec![vec![("a", 5)], vec![], vec![("a", 9)]], 11, true)]
    fn stretches_add_up(#[case] seen: Vec<Vec<(&str, i64)>>, #[case] moved: i64, #[case] renewed: bool) {
        let mut account = Account::open(&readings(&[("a", 3)]));
        let any = seen.iter().fold(false, |any, now| account.observe(&readings(now)) | any);
        assert_eq!((account.moved().get("a").copied().unwrap_or(0), any), (moved, renewed));
    }
}
