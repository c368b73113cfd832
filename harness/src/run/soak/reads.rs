//! Rigs that note what the checks of a case read, round by round.
//!
//! The engine does not know of it: calls and frames pass through.

use crate::case::model::{Action, Source, Trial};
use crate::rig::around::Around;
use crate::rig::{Readings, Rig, RigError};
use crate::run::check::source_name;
use crate::run::{RigFactory, factory};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// What a value was at the end of a trial: by its name, `netdev.tx_packets`, and counters as differences since the first step.
pub type Reading = (String, crate::rig::Reading);

/// What each trial of a round has read.
type Noted = Arc<Mutex<BTreeMap<String, Vec<Reading>>>>;

/// Makes rigs whose readings are noted.
pub struct Noting<'f> {
    inner: &'f dyn RigFactory,
    noted: Noted,
}

impl<'f> Noting<'f> {
    /// Notes what the rigs of a factory read.
    #[must_use]
    pub fn new(inner: &'f dyn RigFactory) -> Self {
        Self { inner, noted: Noted::default() }
    }

    /// What a trial that is over has read; nothing where its rig could not be made.
    #[must_use]
    pub fn take(&self, trial: &Trial) -> Vec<Reading> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.remove(&trial.name()).unwrap_or_default()
    }
}

impl factory::Around for Noting<'_> {
    fn inner(&self) -> &dyn RigFactory {
        self.inner
    }

    fn wrap(&self, inner: Box<dyn Rig>, trial: &Trial) -> Result<Box<dyn Rig>, RigError> {
        let noted = self.noted.clone();
        let (name, wanted) = (trial.name(), wanted(trial));
        Ok(Box::new(NotingRig { inner, wanted, first: BTreeMap::new(), last: BTreeMap::new(), name, noted }))
    }
}

/// What the checks of a trial ask for.
fn wanted(trial: &Trial) -> BTreeSet<(Source, String)> {
    let checks = trial.steps.iter().filter_map(|step| match &step.action {
        Action::Check(check) => Some(&check.items),
        _ => None,
    });
    checks.flatten().map(|item| (item.source.clone(), item.key.clone())).collect()
}

/// What a source is called: one route is not another, nor is one socket.
fn label(source: &Source) -> String {
    match source {
        Source::Route(query) => format!("route({query:?})"),
        Source::TcpInfo(socket) => format!("tcp_info({socket})"),
        other => source_name(other).to_owned(),
    }
}

fn found(readings: &BTreeMap<Source, Readings>, source: &Source, key: &str) -> Option<crate::rig::Reading> {
    readings.get(source)?.get(key).cloned()
}

struct NotingRig {
    inner: Box<dyn Rig>,
    wanted: BTreeSet<(Source, String)>,
    first: BTreeMap<Source, Readings>,
    last: BTreeMap<Source, Readings>,
    name: String,
    noted: Noted,
}

impl NotingRig {
    /// A counter is what it moved by; one that began anew, and what is no number, is as it is.
    fn readings(&self) -> Vec<Reading> {
        use crate::rig::Reading::Number;
        let value = |(source, key): &(Source, String)| {
            let now = found(&self.last, source, key)?;
            let moved = match (&now, found(&self.first, source, key)) {
                (Number(now), Some(Number(before))) if before <= *now => Number(now - before),
                _ => now,
            };
            Some((format!("{}.{key}", label(source)), moved))
        };
        self.wanted.iter().filter_map(value).collect()
    }
}

impl Around for NotingRig {
    fn inner(&self) -> &dyn Rig {
        self.inner.as_ref()
    }

    fn inner_mut(&mut self) -> &mut dyn Rig {
        self.inner.as_mut()
    }

    fn after_read(&mut self, source: &Source, readings: &Readings) {
        if self.wanted.iter().any(|(wanted, _)| wanted == source) {
            self.first.entry(source.clone()).or_insert_with(|| readings.clone());
            self.last.insert(source.clone(), readings.clone());
        }
    }

    fn before_finish(&mut self) {
        let readings = self.readings();
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name.clone(), readings);
    }
}
