//! Listed deviations in counters of which the trial itself states nothing: at its end the counter has a value that is listed, or the
//! list is stale.

use super::check::Baseline;
use super::differs::Deviations;
use super::outcome::nanos;
use crate::case::model::{Differs, Extent, Source};
use crate::rig::{Reading, Readings, Rig};
use std::collections::BTreeSet;
use std::time::Duration;

/// In real time, how often a counter is read again until it has its value, and after how long.
const READS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// The sources that count, by the names that a field begins with.
const COUNTING: [(&str, Source); 7] = [
    ("netdev", Source::Netdev),
    ("ethtool", Source::Ethtool),
    ("snmp", Source::Snmp),
    ("softirqs", Source::Softirqs),
    ("interrupts", Source::Interrupts),
    ("qdisc", Source::Qdisc),
    ("skb", Source::Skb),
];

/// The counter that an entry gives values for: its source, and its key there.
fn counter(entry: &Differs) -> Option<(Source, &str)> {
    let (source, key) = entry.field.as_deref()?.split_once('.')?;
    let (_, source) = COUNTING.into_iter().find(|(name, _)| *name == source)?;
    matches!(entry.extent, Extent::Is(_)).then_some((source, key))
}

/// How the counters stood of which only a list says something.
#[derive(Debug, Default)]
pub struct Unstated {
    sources: Vec<Source>,
    before: Baseline,
}

impl Unstated {
    /// Reads what entries are about that the trial itself states nothing of.
    #[must_use]
    pub fn open(rig: &mut dyn Rig, deviations: &Deviations<'_>) -> Self {
        let sources: BTreeSet<Source> =
            deviations.unstated().filter_map(|(_, entry)| Some(counter(entry)?.0)).collect();
        let sources: Vec<_> = sources.into_iter().collect();
        Self { before: Baseline::of(rig, &sources), sources }
    }

    /// Looks for the values at the end of a trial: which deviations have occurred is known then.
    pub fn close(&self, rig: &mut dyn Rig, deviations: &mut Deviations<'_>) {
        for read in 0..READS {
            let values = self.values(rig, deviations);
            if values.iter().all(|ended| ended.is_listed) || rig.is_virtual() || read + 1 == READS {
                return values.iter().for_each(|ended| deviations.ended_at(ended.place, &ended.value));
            }
            let until = rig.now().saturating_add(nanos(PAUSE));
            // What comes now belongs to no step.
            while let Ok(Some(_)) = rig.advance(until) {}
        }
    }

    fn values(&self, rig: &mut dyn Rig, deviations: &Deviations<'_>) -> Vec<Ended> {
        let mut now: Vec<(&Source, Readings)> = Vec::new();
        for source in &self.sources {
            if let Ok(readings) = rig.read(source) {
                now.push((source, self.before.moved(source, &readings)));
            }
        }
        let ended = |(place, entry): (usize, &Differs)| {
            let (source, key) = counter(entry)?;
            let (_, moved) = now.iter().find(|(of, _)| **of == source)?;
            let value = match moved.get(key) {
                Some(Reading::Number(number)) => number.to_string(),
                Some(Reading::Text(text)) => text.clone(),
                None => "0".to_owned(),
            };
            let is_listed = matches!(&entry.extent, Extent::Is(values) if values.contains(&value));
            Some(Ended { place, value, is_listed })
        };
        deviations.unstated().filter_map(ended).collect()
    }
}

/// The value of a counter at the end, for the deviation at this place.
struct Ended {
    place: usize,
    value: String,
    is_listed: bool,
}
