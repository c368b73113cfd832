//! `conserve:` - counters against the frames that were on the wire; and the same at the end of a trial, whatever its case says.

mod account;
mod losses;
mod unseen;

use super::engine::{Engine, Stop};
use super::outcome::nanos;
use super::record::{Explained, From as Sender, Record, WireFrame};
use super::unread::SkippedChecks;
use super::verdict::Failure;
use crate::case::model::{Action, Command, Group, Nanos, RigKind, Source, Step, Trial};
use crate::judge::conserve::traffic::{Came, Device, Frame};
use crate::judge::conserve::{Equation, Moved, Traffic, equations};
use crate::rig::{Event, Reading, Readings, Rig, RigError, SeenFrame};
use account::Account;
use losses::Losses;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use unseen::{Seen, Unseen};

/// In virtual time, what device and driver still have to do before counters are read.
const SETTLE: Duration = Duration::from_millis(1);
/// In real time, how long counters are read again until they add up, and how often.
const BOUND: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(10);
/// In virtual time, the longest that a completion waits for its interrupt (82576 datasheet, section 8.8.14: EITR), and some more.
const MODERATION: Duration = Duration::from_millis(20);
/// What is held at the end of each trial on a NIC whose port can be seen.
const ALWAYS: [Group; 6] =
    [Group::Netdev, Group::Ethtool, Group::Queues, Group::Sizes, Group::Tcp, Group::Qdisc];
/// The end of a trial is at rest when nothing left for so long.
const REST: Nanos = 2_000_000;
/// How long it is waited for that, and how many frames may come.
const AFTERWARDS: Nanos = 120_000_000_000;
const FRAMES_AFTERWARDS: usize = 100_000;
/// The MTU at first.
const MTU: u64 = 1_500;
/// Equations that a failure shows in full.
const SHOWN: usize = 3;

/// The last reset of the device: nothing that was on its way then comes to the wire any more.
#[derive(Clone, Debug)]
struct Since {
    /// When.
    at: Nanos,
    /// How many frames the port had lost.
    lost: usize,
    /// The root qdisc from then on.
    qdisc: Account,
}

/// What has to be known to hold counters against frames: how they moved, and what the record of frames does not tell.
#[derive(Debug, Default)]
pub struct Books {
    accounts: BTreeMap<Source, Account>,
    /// The device's counters by size as they stood.
    sizes: Readings,
    /// How many resets of the device were looked at, and the last.
    resets: usize,
    since_reset: Option<Since>,
    /// Frames that were injected while the NIC could not hear them, by their place in the record.
    unheard: BTreeSet<usize>,
    is_unplugged: bool,
    /// What happened that a rig without sight of its port cannot follow.
    unseen: Unseen,
    /// From which frame on the device handles VLAN tags (`ethtool -K eth0 rxvlan`), or does not any more: it does at first.
    tags: Vec<(usize, bool)>,
    /// The smallest and the largest MTU that a command has set.
    mtus: Option<(u64, u64)>,
    /// Equations that could not be decided, by the reason.
    undecided: SkippedChecks,
}

impl Books {
    /// Opens them if a step will ask, or the end of the trial does.
    #[must_use]
    pub fn open(rig: &mut dyn Rig, trial: &Trial) -> Self {
        let asked = trial.steps.iter().filter_map(|step| match &step.action {
            Action::Conserve(groups) => Some(groups),
            _ => None,
        });
        let mut groups: BTreeSet<Group> = asked.flatten().copied().collect();
        let port = rig.port();
        if port.is_some() {
            groups.extend(ALWAYS);
        }
        let sources: BTreeSet<Source> = groups.iter().filter_map(|group| group.source()).collect();
        let read = |source: Source| rig.read(&source).ok().map(|now| (source, Account::open(&now)));
        let accounts = sources.into_iter().filter_map(read).collect();
        let sizes = port.map(|port| port.sizes).unwrap_or_default();
        Self { accounts, sizes, unseen: Unseen::of(trial), ..Self::default() }
    }

    /// Reads all counters: whatever begins anew after this was read before. Whether something has begun anew since the last time.
    pub fn look(&mut self, rig: &mut dyn Rig) -> bool {
        self.look_at_resets(rig);
        let mut renewed = false;
        for (source, account) in &mut self.accounts {
            if let Ok(now) = rig.read(source) {
                renewed |= account.observe(&now);
                if let (Source::Qdisc, Some(since)) = (source, &mut self.since_reset) {
                    since.qdisc.observe(&now);
                }
            }
        }
        renewed
    }

    /// The counters as they stood at each reset of the device, where the rig keeps that: a driver may make its queues anew then.
    fn look_at_resets(&mut self, rig: &dyn Rig) {
        for reset in rig.resets().iter().skip(self.resets) {
            for (source, then) in &reset.readings {
                if let Some(account) = self.accounts.get_mut(source) {
                    account.observe(then);
                }
            }
            let qdisc = reset.readings.get(&Source::Qdisc).map(Account::open).unwrap_or_default();
            self.since_reset = Some(Since { at: reset.at, lost: reset.lost, qdisc });
            self.resets += 1;
            self.unseen.reset_without_link |= self.is_unplugged;
        }
    }

    /// A command was done when so many frames were recorded.
    pub fn ran(&mut self, rig: &mut dyn Rig, command: &Command, frames: usize) {
        let words: Vec<_> = command.words.iter().map(String::as_str).collect();
        if let Some(at) = words.iter().position(|word| matches!(*word, "rxvlan" | "rx-vlan-offload")) {
            self.tags.push((frames, words.get(at + 1) == Some(&"on")));
        }
        if let ["ip", "link", "set", rest @ ..] = words.as_slice() {
            let number = rest.iter().skip_while(|word| **word != "mtu").nth(1);
            if let Some(mtu) = number.and_then(|number| number.parse().ok()) {
                let (least, most) = self.mtus.unwrap_or((MTU, MTU));
                self.mtus = Some((least.min(mtu), most.max(mtu)));
            }
        }
        let renewed = self.look(rig);
        self.unseen.ran(&words, renewed);
    }

    /// The cable was pulled or put back.
    pub fn link(&mut self, up: bool) {
        self.is_unplugged = !up;
        self.unseen.was_unplugged |= !up;
    }

    /// A frame was injected, and stands at this place in the record; the NIC may not have heard it.
    pub fn injected(&mut self, index: usize, heard: bool) {
        if self.is_unplugged || !heard {
            self.unheard.insert(index);
        }
    }

    /// The equations of these groups that do not hold, over these frames; and of those that cannot be decided, why.
    fn broken(
        &mut self,
        rig: &mut dyn Rig,
        groups: &[Group],
        frames: &[&WireFrame],
    ) -> Result<Vec<(Equation, Option<String>)>, RigError> {
        let is_virtual_device = rig.version("virtual").is_some();
        let device = if is_virtual_device { Device::Virtual } else { Device::Hardware };
        let mut readings = BTreeMap::new();
        for source in groups.iter().filter_map(|group| group.source()) {
            match rig.read(&source) {
                Ok(now) if is_without_queue(&now) => {}
                Ok(now) => drop(readings.insert(source, now)),
                Err(RigError::Missing(_)) => {}
                Err(broken @ RigError::Broken(_)) => return Err(broken),
            }
        }
        self.look(rig);
        let port = rig.port();
        let is_unpadded = rig.kind() != RigKind::Qemu && rig.version("qemu").is_some();
        let journey = rig.journey();
        let losses = journey.map(Losses::of);
        let since = losses.as_ref().and_then(|losses| self.since(losses));
        let seen = Seen { device, port: port.as_ref(), journey, losses: losses.as_ref(), frames };
        let traffic = self.traffic(&seen, None);
        let doubts =
            self.unseen.doubts(&seen, &traffic, (self.mtus.unwrap_or((MTU, MTU)).0, since.is_some()));
        let mut broken = Vec::new();
        for &group in groups {
            let since = since.filter(|_| group == Group::Qdisc);
            let moved = match (group.source(), since) {
                (None, _) => {
                    port.as_ref().map(|port| differences(&self.sizes, &port.sizes)).unwrap_or_default()
                }
                (Some(source), _) if !readings.contains_key(&source) => continue,
                (Some(_), Some(since)) => since.qdisc.moved().clone(),
                (Some(source), None) => {
                    self.accounts.get(&source).map(|a| a.moved().clone()).unwrap_or_default()
                }
            };
            let mut traffic = if since.is_some() { self.traffic(&seen, since) } else { traffic.clone() };
            // On the qemu rig it is listed as a difference, with all else that QEMU's igb does otherwise.
            if is_unpadded {
                traffic.sent_unpadded();
            }
            for equation in equations(group, &moved, &traffic).into_iter().filter(|e| !e.holds()) {
                let why = doubts.about(group, &equation).map(|why| format!("conserve: {why}"));
                broken.push((equation, why));
            }
        }
        Ok(broken)
    }

    /// The last reset, when packets that the root qdisc had counted were lost by then, and none after it.
    fn since(&self, losses: &Losses) -> Option<&Since> {
        let last = losses.behind_qdisc.iter().max()?;
        self.since_reset.as_ref().filter(|since| since.at >= *last)
    }

    /// Whether the device handled the VLAN tag of the frame at this place in the record.
    fn tag_is_of_device(&self, device: Device, index: usize) -> bool {
        let last = self.tags.iter().rev().find(|(from, _)| *from <= index);
        device == Device::Hardware && last.is_none_or(|(_, on)| *on)
    }

    fn traffic(&self, seen: &Seen<'_>, since: Option<&Since>) -> Traffic {
        let Seen { device, port, journey, losses, frames } = *seen;
        let mut queues = port.into_iter().flat_map(|port| &port.queues);
        let received = port.map(|port| port.received.as_slice()).unwrap_or_default();
        let mut received: Vec<_> = received.iter().map(Some).collect();
        // The next that reached memory and looks like this frame.
        let mut queue_of = |bytes: &[u8]| {
            let found = received.iter_mut().find(|of| of.is_some_and(|(_, other)| other == bytes));
            found.and_then(Option::take).map(|(queue, _)| *queue)
        };
        let (mut sent, mut came) = (Vec::new(), Vec::new());
        for (index, frame) in frames.iter().enumerate() {
            let tag_is_of_device = self.tag_is_of_device(device, index);
            let counts = since.is_none_or(|since| frame.at > since.at);
            if frame.from == Sender::Sut {
                let queue = queues.next().copied();
                let whole = frame.packet.and_then(|id| Some(losses::whole(journey?, id)));
                let in_ring = |id: u32| losses.is_some_and(|losses| losses.in_rings.contains(&id));
                let is_uncounted = frame.packet.is_some_and(in_ring);
                if counts {
                    let packet = frame.packet;
                    let of = Frame::of(&frame.bytes);
                    sent.push(Frame { queue, packet, whole, is_uncounted, tag_is_of_device, ..of });
                }
                continue;
            }
            let queue = queue_of(&frame.bytes);
            if counts && (port.is_some() || !self.unheard.contains(&index)) {
                came.push(Came { bytes: &frame.bytes, tag_is_of_device, queue });
            }
        }
        let lost = port.map(|port| port.lost.get(since.map_or(0, |since| since.lost)..).unwrap_or_default());
        Traffic::new(device, sent, came, lost, self.mtus.unwrap_or((MTU, MTU)).1)
    }

    /// Equations that could not be decided so far: how many, by the reason.
    #[must_use]
    pub fn undecided(&self) -> &SkippedChecks {
        &self.undecided
    }

    fn set_aside(&mut self, undecided: SkippedChecks) {
        for (why, count) in undecided {
            *self.undecided.entry(why).or_default() += count;
        }
    }

    /// What does not add up at the end of a trial, whatever its case says. Where the port of the NIC can be seen, and it was not
    /// asked to misbehave, all counters of the device have to, and those of TCP's segments. Time goes on for it until all is at
    /// rest.
    ///
    /// # Errors
    /// When the rig cannot go on.
    pub fn close(
        &mut self,
        rig: &mut dyn Rig,
        trial: &Trial,
        record: &Record,
    ) -> Result<Option<Failure>, RigError> {
        if !rig.is_virtual() || rig.port().is_none() || !trial.faults.is_empty() {
            return Ok(None);
        }
        let Some(later) = come_to_rest(rig)? else { return Ok(None) };
        let frames: Vec<_> = record.frames().iter().chain(&later).collect();
        let (broken, undecided) = decided(self.broken(rig, &ALWAYS, &frames)?);
        // Those that a step has asked for are told already.
        let told: Vec<_> = self.undecided.keys().cloned().collect();
        self.set_aside(undecided.into_iter().filter(|(why, _)| !told.contains(why)).collect());
        Ok(failure(&broken).map(|failure| Failure {
            message: format!("at the end of the trial {}", failure.message),
            ..failure
        }))
    }
}

/// Lets time pass until nothing leaves any more; gives the frames that still came. `None`: it never rests.
fn come_to_rest(rig: &mut dyn Rig) -> Result<Option<Vec<WireFrame>>, RigError> {
    let mut later = Vec::new();
    let (begin, mut until) = (rig.now(), rig.now().saturating_add(REST));
    while until - begin < AFTERWARDS && later.len() < FRAMES_AFTERWARDS {
        match rig.advance(until)? {
            Some(Event::Frame(SeenFrame { at, late, bytes, packet })) => {
                let explained = Explained::No;
                later.push(WireFrame { at, late, from: Sender::Sut, bytes, packet, explained });
                until = rig.now().saturating_add(REST);
            }
            Some(_) => {}
            None => return Ok(Some(later)),
        }
    }
    Ok(None)
}

/// Whether packets go past the root qdisc, which counts none of them.
fn is_without_queue(now: &Readings) -> bool {
    now.get("root/kind") == Some(&Reading::Text("noqueue".to_owned()))
}

/// How each of the device's counters by size moved; one that is smaller than it was counts anew.
fn differences(before: &Readings, now: &Readings) -> Moved {
    let mut account = Account::open(before);
    account.observe(now);
    account.moved().clone()
}

/// The equations that certainly do not hold, and the others counted by the reason.
fn decided(broken: Vec<(Equation, Option<String>)>) -> (Vec<Equation>, SkippedChecks) {
    let (mut certain, mut undecided) = (Vec::new(), SkippedChecks::new());
    for (equation, why) in broken {
        match why {
            Some(why) => *undecided.entry(why).or_default() += 1,
            None => certain.push(equation),
        }
    }
    (certain, undecided)
}

/// What a failure says of equations that a step asks for and that cannot be decided.
fn in_doubt(broken: &[(Equation, Option<String>)]) -> Option<Failure> {
    let mut doubtful = broken.iter().filter_map(|(equation, why)| Some((equation, why.as_ref()?)));
    let (first, why) = doubtful.next()?;
    let why = why.strip_prefix("conserve: ").unwrap_or(why);
    let equations = std::iter::once(first).chain(doubtful.map(|(equation, _)| equation));
    let lines = equations.map(|equation| format!("not decided: {}", equation.message()));
    let help =
        "name the groups that can be (`conserve: [netdev, tcp]`), and state the other counters in a `check`";
    let message = format!("what this asks for cannot be decided for {}: {why}", first.counter);
    Some(Failure::new(message).with(lines.chain([help.to_owned()])))
}

/// What a failure says of equations that do not hold: the first in its message, all in its lines.
fn failure(broken: &[Equation]) -> Option<Failure> {
    let first = broken.first()?;
    let shown = broken.iter().take(SHOWN).flat_map(Equation::lines);
    let more = broken.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("and {more} more equations do not hold"));
    Some(Failure::new(first.message()).with(shown.chain(more)))
}

impl<'t> Engine<'t> {
    /// `conserve: …`
    pub(super) fn conserve(&mut self, step: &'t Step, groups: &[Group]) -> Result<(), Stop> {
        if self.rig.is_virtual() {
            self.drain(self.rig.now().saturating_add(nanos(SETTLE)))?;
        }
        let (bound, pause) = if self.rig.is_virtual() { (MODERATION, MODERATION) } else { (BOUND, PAUSE) };
        let bound = self.rig.now().saturating_add(nanos(bound));
        // What a case asks for is to be decided, but for what a rig does not see.
        let sees_all = self.rig.port().is_some();
        loop {
            let frames: Vec<_> = self.record.frames().iter().collect();
            let mut broken = self.books.broken(self.rig, groups, &frames)?;
            broken.retain(|(equation, _)| {
                let values = (equation.right().to_string(), equation.is.to_string());
                !self.deviations.tolerates(None, &equation.field(), (&values.0, &values.1))
            });
            let doubtful = if sees_all { in_doubt(&broken) } else { None };
            let (broken, undecided) = decided(broken);
            let Some(failure) = failure(&broken).or(doubtful) else {
                self.books.set_aside(undecided);
                return Ok(());
            };
            if self.rig.now() >= bound {
                return Err(Failure { at: Some(step.at.clone()), ..failure }.untimed().into());
            }
            self.drain(self.rig.now().saturating_add(nanos(pause)))?;
        }
    }
}
