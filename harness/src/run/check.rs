//! Checks: counters as differences since the first step, and states as they are.

use super::outcome::{nanos, show_time, slack};
use super::path;
use super::unread::Unread;
use crate::case::model::Action;
use crate::case::model::{Check, CheckItem, Comparison, Expected, Nanos, Source, Trial};
use crate::case::rigs::Here;
use crate::rig::{Reading, Readings, Rig, RigError};
use std::collections::BTreeMap;

/// Counters as they were before the first step.
#[derive(Debug, Default)]
pub struct Baseline {
    before: BTreeMap<Source, Readings>,
}

impl Baseline {
    /// Reads every source of counters that a check of the trial asks for on this rig.
    ///
    /// # Errors
    /// When the rig is broken. A source that it does not have is left out, and found by the check.
    pub fn read(rig: &mut dyn Rig, trial: &Trial, unread: &Unread) -> Result<Self, RigError> {
        let mut before = BTreeMap::new();
        for (index, step) in trial.steps.iter().enumerate() {
            let Action::Check(check) = &step.action else { continue };
            for item in unread.left(index, check) {
                if !counts(&item.source) || before.contains_key(&item.source) {
                    continue;
                }
                match rig.read(&item.source) {
                    Ok(readings) => drop(before.insert(item.source.clone(), readings)),
                    Err(RigError::Missing(_)) => {}
                    Err(broken @ RigError::Broken(_)) => return Err(broken),
                }
            }
        }
        Ok(Self { before })
    }

    /// Reads these sources, as far as the rig has them.
    #[must_use]
    pub fn of(rig: &mut dyn Rig, sources: &[Source]) -> Self {
        let read = |source: &Source| Some((source.clone(), rig.read(source).ok()?));
        Self { before: sources.iter().filter_map(read).collect() }
    }

    /// The numbers of a source that are not as they were before the first step, as differences.
    #[must_use]
    pub fn moved(&self, source: &Source, now: &Readings) -> Readings {
        let before = self.before.get(source);
        now.iter()
            .filter_map(|(key, reading)| {
                let Reading::Number(after) = reading else { return None };
                let before = match before.and_then(|r| r.get(key)) {
                    Some(Reading::Number(before)) if before <= after => *before,
                    _ => 0,
                };
                (*after != before).then(|| (key.clone(), Reading::Number(after - before)))
            })
            .collect()
    }

    /// The value of an item as a check means it: a counter counts since the first step, and anew when its device was reset
    /// since (a counter that is smaller than it was).
    fn since(&self, item: &CheckItem, now: &Readings) -> Option<Reading> {
        let reading = now.get(&item.key)?;
        let (Reading::Number(after), true) = (reading, is_difference(item)) else {
            return Some(reading.clone());
        };
        let before = match self.before.get(&item.source).and_then(|r| r.get(&item.key)) {
            Some(Reading::Number(before)) => *before,
            _ => 0,
        };
        Some(Reading::Number(if *after >= before { after - before } else { *after }))
    }
}

/// Whether a check is for this rig, with the time and the port that it has.
#[must_use]
pub fn applies(check: &Check, here: Here) -> bool {
    check.rigs.as_ref().is_none_or(|rigs| rigs.allow(here))
}

/// Whether a source has counters.
fn counts(source: &Source) -> bool {
    match source {
        Source::Netdev | Source::Ethtool | Source::Snmp | Source::Softirqs => true,
        Source::Interrupts => true,
        Source::Qdisc | Source::Nft | Source::Skb => true,
        Source::TcpInfo(_) | Source::Neigh | Source::Route(_) | Source::Journey(_) => false,
    }
}

/// Whether a key is a counter; what lies in a queue or is in flight is what is.
fn is_difference(item: &CheckItem) -> bool {
    let last = item.key.rsplit('/').next().unwrap_or_default();
    counts(&item.source)
        && !matches!(last, "backlog" | "backlog_bytes" | "backlog_packets" | "qlen" | "in_flight")
}

/// An item that does not hold.
#[derive(Debug)]
pub struct Wrong<'c> {
    /// Which.
    pub item: &'c CheckItem,
    /// What it is, as a case would write it; empty where there is nothing.
    pub got: String,
    /// What is wrong, in a sentence.
    pub what: String,
}

/// The items that do not hold now: each with what is wrong. Every source is read once.
///
/// # Errors
/// When the rig is broken.
pub fn wrong<'c>(
    rig: &mut dyn Rig,
    baseline: &Baseline,
    items: &[&'c CheckItem],
) -> Result<Vec<Wrong<'c>>, RigError> {
    let mut read: BTreeMap<&Source, Result<Readings, String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for &item in items {
        if let Source::Journey(query) = &item.source {
            let (now, is_virtual) = (rig.now(), rig.is_virtual());
            let what = match rig.journey() {
                Some(journey) => path::wrong(journey, query, item, now, is_virtual),
                None => Some("this rig keeps no journey".to_owned()),
            };
            wrong.extend(what.map(|what| Wrong { item, got: String::new(), what }));
            continue;
        }
        if !read.contains_key(&item.source) {
            let readings = match rig.read(&item.source) {
                Ok(readings) => Ok(readings),
                Err(RigError::Missing(what)) => Err(what),
                Err(broken) => return Err(broken),
            };
            read.insert(&item.source, readings);
        }
        let (got, what) = match &read[&item.source] {
            Ok(readings) => {
                let value = baseline.since(item, readings);
                (value.as_ref().map(text), holds(&item.expected, value).err())
            }
            Err(missing) => (None, Some(missing.clone())),
        };
        let told = |what| format!("{} {}: {what}", source_name(&item.source), item.key);
        wrong.extend(what.map(|what| Wrong { item, got: got.unwrap_or_default(), what: told(what) }));
    }
    Ok(wrong)
}

/// A value as a case would write it.
fn text(value: &Reading) -> String {
    match value {
        Reading::Number(number) => number.to_string(),
        Reading::Text(text) => text.clone(),
    }
}

/// The key of a source in a case.
#[must_use]
pub fn source_name(source: &Source) -> &'static str {
    match source {
        Source::Netdev => "netdev",
        Source::Ethtool => "ethtool",
        Source::Snmp => "snmp",
        Source::Softirqs => "softirqs",
        Source::Interrupts => "interrupts",
        Source::Qdisc => "qdisc",
        Source::Nft => "nft",
        Source::TcpInfo(_) => "tcp_info",
        Source::Neigh => "neigh",
        Source::Route(_) => "route",
        Source::Skb => "skb",
        Source::Journey(_) => "journey",
    }
}

fn holds(expected: &Expected, value: Option<Reading>) -> Result<(), String> {
    let ok = match (expected, &value) {
        (Expected::Absent, None) => true,
        (Expected::Number(wanted), Some(Reading::Number(n))) => n == wanted,
        (Expected::Compare(comparison, wanted), Some(Reading::Number(n))) => {
            compare(*comparison, *n, *wanted)
        }
        (Expected::Text(wanted), Some(Reading::Text(text))) => text == wanted,
        (Expected::Number(wanted), Some(Reading::Text(text))) => *text == wanted.to_string(),
        (Expected::Text(wanted), Some(Reading::Number(n))) => n.to_string() == *wanted,
        _ => false,
    };
    if ok {
        return Ok(());
    }
    let is = match value {
        None => "is not there".to_owned(),
        Some(Reading::Number(n)) => format!("is {n}"),
        Some(Reading::Text(text)) => format!("is {text}"),
    };
    Err(format!("expected {}, it {is}", show(expected)))
}

fn compare(comparison: Comparison, value: i64, wanted: i64) -> bool {
    match comparison {
        Comparison::Less => value < wanted,
        Comparison::LessOrEqual => value <= wanted,
        Comparison::Greater => value > wanted,
        Comparison::GreaterOrEqual => value >= wanted,
        Comparison::NotEqual => value != wanted,
    }
}

/// What is expected, as a case would write it.
fn show(expected: &Expected) -> String {
    match expected {
        Expected::Number(n) => n.to_string(),
        Expected::Compare(comparison, n) => {
            let sign = match comparison {
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
                Comparison::NotEqual => "!=",
            };
            format!("{sign}{n}")
        }
        Expected::Text(text) => text.clone(),
        Expected::Absent => "nothing".to_owned(),
        Expected::Through(names) => names.join(" → "),
        Expected::Spent(time, _) => show_time(nanos(*time)),
    }
}

/// Whether a time that was spent is what is expected.
#[must_use]
pub(super) fn spent_holds(expected: &Expected, spent: Nanos, is_virtual: bool) -> bool {
    let Expected::Spent(time, tolerance) = expected else { return false };
    let slack = nanos(slack(*tolerance, *time, is_virtual));
    spent.abs_diff(nanos(*time)) <= slack
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::the_number(Expected::Number(1), Some(Reading::Number(1)), true)]
    #[case::another_number(Expected::Number(1), Some(Reading::Number(2)), false)]
    #[case::at_least(Expected::Compare(Comparison::GreaterOrEqual, 1), Some(Reading::Number(1)), true)]
    #[case::not_at_least(Expected::Compare(Comparison::GreaterOrEqual, 1), Some(Reading::Number(0)), false)]
    #[case::the_text(Expected::Text("STALE".into()), Some(Reading::Text("STALE".into())), true)]
    #[case::nothing_there(Expected::Text("STALE".into()), None, false)]
    #[case::absent(Expected::Absent, None, true)]
    #[case::there_but_should_not_be(Expected::Absent, Some(Reading::Number(0)), false)]
    fn a_value_holds_only_when_it_is_what_is_expected(
        #[case] expected: Expected,
        #[case] value: Option<Reading>,
        #[case] ok: bool,
    ) {
        assert_eq!(holds(&expected, value).is_ok(), ok);
    }
}
