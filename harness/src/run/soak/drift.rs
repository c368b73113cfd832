//! Values that cases read and that are not the same in every round.

use super::Finding;
use super::reads::Reading;
use crate::rig::Reading as Value;
use std::collections::BTreeMap;

/// From how many rounds on a trend is told from chance in real time: that all of the second half lie above all of the first half
/// happens once in 12,870 times by chance.
pub const TREND_ROUNDS: u64 = 16;
/// How many rounds of a value are kept.
const KEPT: usize = 4096;

/// What each trial has read, round by round.
#[derive(Debug)]
pub struct Drift {
    /// Whether trials do the same each time.
    exact: bool,
    values: BTreeMap<(String, String), Series>,
}

#[derive(Debug)]
struct Series {
    exact: bool,
    first: Value,
    /// The first round in which it was another, and what it was then.
    other: Option<(u64, Value)>,
    /// Of a number: each round.
    numbers: Vec<i64>,
}

impl Drift {
    /// Nothing yet; `exact`: any other value is a finding, and not a trend alone.
    #[must_use]
    pub fn new(exact: bool) -> Self {
        Self { exact, values: BTreeMap::new() }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Takes what a trial read in a round; `exact`: it does the same each time where the rig does.
    pub fn add(&mut self, trial: &str, exact: bool, round: u64, readings: &[Reading]) {
        let exact = exact && self.exact;
        for (key, value) in readings {
            let series = self.values.entry((trial.to_owned(), key.clone())).or_insert_with(|| Series {
                exact,
                first: value.clone(),
                other: None,
                numbers: Vec::new(),
            });
            if *value != series.first && series.other.is_none() {
                series.other = Some((round, value.clone()));
            }
            if let (Value::Number(number), true) = (value, series.numbers.len() < KEPT && !exact) {
                series.numbers.push(*number);
            }
        }
    }

    /// What has drifted.
    #[must_use]
    pub fn findings(&self, rounds: u64) -> Vec<Finding> {
        let found = self.values.iter().filter_map(|((trial, key), series)| {
            let why = match &series.other {
                Some((round, other)) if series.exact => {
                    format!("{key} was {}, and {} in round {round}", shown(&series.first), shown(other))
                }
                _ => trend(key, &series.numbers, rounds)?,
            };
            Some(Finding { kind: "drift", what: trial.clone(), why })
        });
        found.collect()
    }
}

/// Whether all values of the later half lie on one side of all of the earlier half.
fn trend(key: &str, numbers: &[i64], rounds: u64) -> Option<String> {
    if rounds < TREND_ROUNDS || (numbers.len() as u64) < TREND_ROUNDS {
        return None;
    }
    let (early, late) = numbers.split_at(numbers.len() / 2);
    let range = |part: &[i64]| Some((*part.iter().min()?, *part.iter().max()?));
    let ((low, high), (later_low, later_high)) = (range(early)?, range(late)?);
    (later_low > high || later_high < low)
        .then(|| format!("{key} was {low} to {high} in the first half of the rounds, and {later_low} to {later_high} in the second"))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    }
}
