//! Rigs that note what the checks of a case read, round by round.
//!
//! The engine does not know of it: calls and frames pass through.

use crate::case::model::{
    Action, Application, CheckItem, Command, Nanos, PeerRun, RigKind, Source, Syscall, Trial,
};
use crate::rig::{CallId, CommandResult, Event, Finished, Journey, Port, Readings, Reset, Rig, RigError};
use crate::run::RigFactory;
use crate::run::check::source_name;
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

impl RigFactory for Noting<'_> {
    fn kind(&self) -> RigKind {
        self.inner.kind()
    }

    fn is_virtual(&self) -> bool {
        self.inner.is_virtual()
    }

    fn missing(&self, trial: &Trial) -> Option<String> {
        self.inner.missing(trial)
    }

    fn notes(&self) -> Vec<String> {
        self.inner.notes()
    }

    fn at_once(&self) -> Option<usize> {
        self.inner.at_once()
    }

    fn unreadable(&self, item: &CheckItem) -> Option<String> {
        self.inner.unreadable(item)
    }

    fn rest(&self) {
        self.inner.rest();
    }

    fn create(&self, trial: &Trial) -> Result<Box<dyn Rig>, RigError> {
        let inner = self.inner.create(trial)?;
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

impl Rig for NotingRig {
    fn kind(&self) -> RigKind {
        self.inner.kind()
    }

    fn version(&self, of: &str) -> Option<String> {
        self.inner.version(of)
    }

    fn is_virtual(&self) -> bool {
        self.inner.is_virtual()
    }

    fn now(&self) -> Nanos {
        self.inner.now()
    }

    fn start(&mut self, call: CallId, cpu: Option<u32>, syscall: &Syscall) -> Result<(), RigError> {
        self.inner.start(call, cpu, syscall)
    }

    fn application(&mut self, call: CallId, application: &Application) -> Result<(), RigError> {
        self.inner.application(call, application)
    }

    fn peer_run(&mut self, call: CallId, run: &PeerRun) -> Result<(), RigError> {
        self.inner.peer_run(call, run)
    }

    fn command(&mut self, command: &Command) -> Result<CommandResult, RigError> {
        self.inner.command(command)
    }

    fn sysfs(&mut self, path: &str, value: &str) -> Result<CommandResult, RigError> {
        self.inner.sysfs(path, value)
    }

    fn inject(&mut self, frame: &[u8]) -> Result<(), RigError> {
        self.inner.inject(frame)
    }

    fn inject_damaged(&mut self, frame: &[u8]) -> Result<(), RigError> {
        self.inner.inject_damaged(frame)
    }

    fn last_lateness(&self) -> Nanos {
        self.inner.last_lateness()
    }

    fn set_link(&mut self, up: bool) -> Result<(), RigError> {
        self.inner.set_link(up)
    }

    fn advance(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        self.inner.advance(until)
    }

    fn read(&mut self, source: &Source) -> Result<Readings, RigError> {
        let readings = self.inner.read(source)?;
        if self.wanted.iter().any(|(wanted, _)| wanted == source) {
            self.first.entry(source.clone()).or_insert_with(|| readings.clone());
            self.last.insert(source.clone(), readings.clone());
        }
        Ok(readings)
    }

    fn port(&mut self) -> Option<Port> {
        self.inner.port()
    }

    fn resets(&self) -> &[Reset] {
        self.inner.resets()
    }

    fn hears(&self) -> bool {
        self.inner.hears()
    }

    fn journey(&mut self) -> Option<&Journey> {
        self.inner.journey()
    }

    fn finish(&mut self) -> Finished {
        let readings = self.readings();
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name.clone(), readings);
        self.inner.finish()
    }
}
