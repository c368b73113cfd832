//! A rig that is watched: every call with its result, every command, and how counters moved from the first step to the last.
//!
//! The engine does not know of it: calls and frames pass through.

use super::sizes;
use super::ways::Crossed;
use crate::case::model::{Command, Location, Nanos, PORTS, RigKind, Source, Trial};
use crate::rig::around::Around;
use crate::rig::{CallId, CallResult, CommandResult, Event, Reading, Readings, Rig, RigError};
use crate::run::{RigFactory, factory};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How long after the last step counters and neighbours are read, on every rig: what was under way has an end.
const SETTLE: Nanos = 20_000_000;

/// The parts of a rig whose versions a case can name, and what its port can be.
const PARTS: [&str; 7] = ["linux", "kernel", "qemu", PORTS[0], PORTS[1], PORTS[2], PORTS[3]];

/// A call of an application.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// When it was made.
    pub started: Nanos,
    /// When it came back, and with what; `None`: it did not.
    pub ended: Option<(Nanos, CallResult)>,
}

/// What was seen of a trial on a rig, besides frames.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Whether its time is virtual.
    pub is_virtual: bool,
    /// The calls in the order in which they were made.
    pub calls: Vec<Call>,
    /// The exit status of each command.
    pub commands: Vec<i32>,
    /// When the harness did something that frames may follow on: a call, an injected frame, a command (its end).
    pub actions: Vec<Nanos>,
    /// How counters moved since the first step, and what neighbours are at the end, by `netdev.tx_packets` and the like.
    pub values: BTreeMap<String, Reading>,
    /// Versions of its parts.
    pub versions: BTreeMap<&'static str, String>,
    /// Sources that could not be read, with why.
    pub unread: Vec<String>,
    /// What a NIC had to tell of.
    pub traffic: Traffic,
    /// What its counters count.
    pub crossed: Crossed,
}

/// What a NIC had to tell of by interrupts, since the first step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Frames that it sent, and those that were put on its cable.
    pub frames: u64,
    /// Times at which it sent, each so long after the one before that nothing was under way any more.
    pub bursts: u64,
    /// How often at most the driver had its vectors kicked because the device or its link was changed.
    pub kicks: u64,
    /// When counters were read.
    pub until: Nanos,
    /// When it sent last.
    pub(super) last: Option<Nanos>,
}

impl Traffic {
    fn sent(&mut self, at: Nanos) {
        self.frames += 1;
        if self.last.replace(at).is_none_or(|last| at.saturating_sub(last) > BURST) {
            self.bursts += 1;
        }
    }

    fn ran(&mut self, command: &Command) {
        let changes_the_device = match command.words.first().map(String::as_str) {
            Some("ethtool") => true,
            Some("ip") => command.words.iter().any(|word| word == "link"),
            _ => false,
        };
        self.kicks += if changes_the_device { KICKS } else { 0 };
    }
}

/// A NIC holds its interrupts back for less than this, as drivers set it.
const BURST: Nanos = 15_000_000;
/// A change of the device or of its link is followed by one when it is up again, and one by the watchdog.
const KICKS: u64 = 2;

impl Observed {
    /// Whether the rig counts the interrupts of its NIC; that of a kernel with a TAP has none.
    #[must_use]
    pub fn counts_interrupts(&self) -> bool {
        self.values.keys().any(|key| key.starts_with("interrupts."))
    }
}

/// The sources that are compared, with how a case names them.
const SOURCES: [(Source, &str); 6] = [
    (Source::Netdev, "netdev"),
    (Source::Snmp, "snmp"),
    (Source::Qdisc, "qdisc"),
    (Source::Neigh, "neigh"),
    (Source::Ethtool, "ethtool"),
    (Source::Interrupts, "interrupts"),
];

/// Makes rigs that are watched.
pub struct Watching {
    inner: Box<dyn RigFactory>,
    seen: std::sync::Arc<Mutex<BTreeMap<String, Observed>>>,
}

impl Watching {
    /// Watches every rig that a factory makes.
    #[must_use]
    pub fn new(inner: Box<dyn RigFactory>) -> Self {
        Self { inner, seen: std::sync::Arc::default() }
    }

    /// What was seen of a trial that has ended; nothing where its rig could not be made.
    #[must_use]
    pub fn take(&self, trial: &Trial) -> Observed {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(&trial.name()).unwrap_or_default()
    }
}

impl factory::Around for Watching {
    fn inner(&self) -> &dyn RigFactory {
        self.inner.as_ref()
    }

    fn useless(&self, trial: &Trial) -> Option<String> {
        trial.real_peer.map(|_| "its peer is real, and never does the same twice".to_owned())
    }

    fn wrap(&self, mut inner: Box<dyn Rig>, trial: &Trial) -> Result<Box<dyn Rig>, RigError> {
        let at = trial.steps.first().map(|step| step.at.clone());
        let mut before = read(inner.as_mut()).0;
        // Where a trial finds a device as it is made, it has counted nothing, and no command disturbs it.
        if inner.kind() == RigKind::Vfio {
            before.extend(read_sizes(inner.as_mut(), at.as_ref()));
        }
        let versions = PARTS.iter().filter_map(|part| Some((*part, inner.version(part)?))).collect();
        let observed = Observed { is_virtual: inner.is_virtual(), versions, ..Observed::default() };
        let (name, seen) = (trial.name(), self.seen.clone());
        Ok(Box::new(Watched {
            inner,
            before,
            observed,
            ids: BTreeMap::new(),
            name,
            seen,
            finished: false,
            received: 0,
            takes_tags_off: true,
            at,
        }))
    }
}

/// The sources as they are now, by their full names, and why some could not be read.
fn read(rig: &mut dyn Rig) -> (Readings, Vec<String>) {
    let (mut all, mut unread) = (Readings::new(), Vec::new());
    for (source, name) in SOURCES {
        match rig.read(&source) {
            Ok(readings) => all.extend(readings.into_iter().map(|(k, v)| (format!("{name}.{k}"), v))),
            Err(why) => unread.push(format!("{name}: {why}")),
        }
    }
    (all, unread)
}

/// The device's counters by size, which are none of a source. On a kernel's port nobody compares them.
fn read_sizes(rig: &mut dyn Rig, at: Option<&Location>) -> Readings {
    let Some(at) = at.filter(|_| rig.kind() != RigKind::Linux) else { return Readings::new() };
    rig.command(&sizes::command(at.clone())).map(|shown| sizes::counters(&shown.output)).unwrap_or_default()
}

struct Watched {
    inner: Box<dyn Rig>,
    before: Readings,
    observed: Observed,
    /// Where each call stands in the list.
    ids: BTreeMap<CallId, usize>,
    name: String,
    seen: std::sync::Arc<Mutex<BTreeMap<String, Observed>>>,
    finished: bool,
    /// How many frames that reached memory were looked at, and whether the device takes their tags off now: it does at first.
    received: usize,
    takes_tags_off: bool,
    /// A place in the trial.
    at: Option<Location>,
}

impl Watched {
    fn acted(&mut self) {
        let now = self.inner.now();
        self.observed.actions.push(now);
    }

    /// Before a command that has the device take tags off or leave them on.
    fn look_for_tags(&mut self, command: &Command) {
        let words: Vec<_> = command.words.iter().map(String::as_str).collect();
        if let Some(at) = words.iter().position(|word| matches!(*word, "rxvlan" | "rx-vlan-offload")) {
            self.take_received();
            self.takes_tags_off = words.get(at + 1) == Some(&"on");
        }
    }

    /// The frames that reached memory since the last time.
    fn take_received(&mut self) {
        let received = self.inner.port().map(|port| port.received).unwrap_or_default();
        for (_, frame) in received.iter().skip(self.received) {
            self.observed.crossed.received(frame, self.takes_tags_off);
        }
        self.received = received.len();
    }

    /// Reads what there is to read at the end.
    fn look(&mut self) {
        let until = self.inner.now().saturating_add(SETTLE);
        // What comes now belongs to no step.
        while let Ok(Some(_)) = self.advance(until) {}
        self.observed.traffic.until = self.inner.now();
        // What lay in the ring when it was reset has interrupted, and is no frame: a reset that is seen stands for it.
        self.observed.traffic.kicks += self.inner.resets().len() as u64 * KICKS;
        self.take_received();
        let (now, unread) = read(self.inner.as_mut());
        self.observed.unread = unread;
        let by_size = read_sizes(self.inner.as_mut(), self.at.as_ref());
        self.observed.values = moved(&self.before, now.into_iter().chain(by_size).collect());
    }
}

/// How counters moved; a smaller one than before counts anew. What is no number is as it is.
fn moved(before: &Readings, now: Readings) -> Readings {
    now.into_iter()
        .map(|(key, reading)| {
            let value = match (&reading, before.get(&key)) {
                (Reading::Number(after), Some(Reading::Number(before))) if before <= after => {
                    Reading::Number(after - before)
                }
                _ => reading,
            };
            (key, value)
        })
        .collect()
}

impl Around for Watched {
    fn inner(&self) -> &dyn Rig {
        self.inner.as_ref()
    }

    fn inner_mut(&mut self) -> &mut dyn Rig {
        self.inner.as_mut()
    }

    fn before_start(&mut self, call: CallId) {
        self.acted();
        let started = self.inner.now();
        self.ids.insert(call, self.observed.calls.len());
        self.observed.calls.push(Call { started, ended: None });
    }

    fn before_command(&mut self, command: &Command) {
        self.observed.traffic.ran(command);
        self.look_for_tags(command);
    }

    fn after_command(&mut self, result: &CommandResult) {
        self.observed.commands.push(result.status);
        self.acted();
    }

    fn before_inject(&mut self, is_damaged: bool) {
        self.acted();
        self.observed.traffic.frames += u64::from(!is_damaged);
    }

    fn before_link(&mut self) {
        self.acted();
        self.observed.traffic.kicks += KICKS;
    }

    fn after_event(&mut self, event: &Event) {
        match event {
            Event::Returned { call, at, result } => {
                if let Some(place) = self.ids.get(call).and_then(|i| self.observed.calls.get_mut(*i)) {
                    place.ended = Some((*at, result.clone()));
                }
            }
            Event::Frame(frame) => {
                self.observed.traffic.sent(frame.at);
                self.observed.crossed.sent(frame);
            }
            Event::OfPeer(_) => {}
        }
    }

    fn before_finish(&mut self) {
        if !self.finished {
            self.finished = true;
            self.look();
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert(self.name.clone(), std::mem::take(&mut self.observed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(key: &str, value: i64) -> Readings {
        Readings::from([(key.to_owned(), Reading::Number(value))])
    }

    #[test]
    fn a_counter_counts_since_the_first_step_and_anew_after_a_reset() {
        assert_eq!(moved(&one("k", 3), one("k", 5)), one("k", 2));
        assert_eq!(moved(&one("k", 3), one("k", 1)), one("k", 1));
        assert_eq!(moved(&Readings::new(), one("k", 4)), one("k", 4));
    }
}
