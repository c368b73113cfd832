//! `conserve:` - counters against the frames that were on the wire; and the same at the end of a trial, whatever its case says.

use super::engine::{Engine, Stop};
use super::outcome::nanos;
use super::record::{Explained, From as Sender, Record, WireFrame};
use super::verdict::Failure;
use crate::case::model::{Action, Command, Group, Nanos, RigKind, Source, Step, Trial};
use crate::judge::conserve::traffic::{Came, Device, Frame};
use crate::judge::conserve::{Equation, Moved, Traffic, equations};
use crate::rig::journey::{Moment, What};
use crate::rig::{Event, Journey, Port, Reading, Readings, Rig, RigError, SeenFrame};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// In virtual time, what device and driver still have to do before counters are read.
const SETTLE: Duration = Duration::from_millis(1);
/// In real time, how long counters are read again until they add up, and how often.
const BOUND: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(10);
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

/// From where on something counts.
#[derive(Clone, Copy, Debug, Default)]
struct Since {
    /// How many frames were recorded before.
    frames: usize,
    /// How many the port had lost.
    lost: usize,
}

/// What has to be known to hold counters against frames: how they stood, and what the record of frames does not tell.
#[derive(Debug, Default)]
pub struct Books {
    before: BTreeMap<Source, Readings>,
    /// The device's counters by size as they stood.
    sizes: Readings,
    /// Since when the counters of a source count, where that is not the first step.
    since: BTreeMap<Source, Since>,
    /// Frames that were injected while the cable was pulled, by their place in the record.
    unplugged: BTreeSet<usize>,
    is_unplugged: bool,
    /// From which frame on the device handles VLAN tags (`ethtool -K eth0 rxvlan`), or does not any more: it does at first.
    tags: Vec<(usize, bool)>,
    /// The largest MTU that a command has set.
    mtu: u64,
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
        let read = |source: Source| rig.read(&source).ok().map(|readings| (source, readings));
        let before = sources.into_iter().filter_map(read).collect();
        Self { before, sizes: port.map(|port| port.sizes).unwrap_or_default(), ..Self::default() }
    }

    /// A command was run when so many frames were recorded. A qdisc may be new, and counts from now on; so does a driver that
    /// changed the number of its queues (Linux 6.12: `igb_reinit_queues` makes them anew, and what they counted is gone).
    pub fn ran(&mut self, rig: &mut dyn Rig, command: &Command, frames: usize) {
        let words: Vec<_> = command.words.iter().map(String::as_str).collect();
        if let Some(at) = words.iter().position(|word| matches!(*word, "rxvlan" | "rx-vlan-offload")) {
            self.tags.push((frames, words.get(at + 1) == Some(&"on")));
        }
        if let ["ip", "link", "set", rest @ ..] = words.as_slice() {
            let number = rest.iter().skip_while(|word| **word != "mtu").nth(1);
            self.mtu = self.mtu.max(number.and_then(|number| number.parse().ok()).unwrap_or(0));
        }
        let renewed: &[Source] = match words.as_slice() {
            ["ethtool", "-L" | "--set-channels", ..] => &[Source::Netdev, Source::Ethtool, Source::Qdisc],
            ["tc" | "ethtool", ..] => &[Source::Qdisc],
            // What lies in the rings then went past the qdisc, and is lost.
            ["ip", "link", "set", rest @ ..] if rest.contains(&"mtu") || rest.contains(&"down") => {
                &[Source::Qdisc]
            }
            _ => &[],
        };
        for source in renewed {
            if let Some(before) = self.before.get_mut(source) {
                *before = rig.read(source).unwrap_or_default();
                let lost = rig.port().map_or(0, |port| port.lost.len());
                self.since.insert(source.clone(), Since { frames, lost });
            }
        }
    }

    /// The cable was pulled or put back.
    pub fn link(&mut self, up: bool) {
        self.is_unplugged = !up;
    }

    /// A frame was injected, and stands at this place in the record.
    pub fn injected(&mut self, index: usize) {
        if self.is_unplugged {
            self.unplugged.insert(index);
        }
    }

    /// The equations of these groups that do not hold, over these frames.
    fn broken(
        &self,
        rig: &mut dyn Rig,
        groups: &[Group],
        frames: &[&WireFrame],
    ) -> Result<Vec<Equation>, RigError> {
        let is_virtual_device = rig.version("virtual").is_some();
        let device = if is_virtual_device { Device::Virtual } else { Device::Hardware };
        let mut broken = Vec::new();
        for &group in groups {
            let moved = self.moved(rig, group)?;
            if moved.is_empty() {
                continue;
            }
            let since =
                group.source().and_then(|source| self.since.get(&source)).copied().unwrap_or_default();
            let mut traffic = self.traffic(device, rig.port().as_ref(), frames, since);
            // On the qemu rig it is listed as a difference, with all else that QEMU's igb does otherwise.
            if rig.kind() != RigKind::Qemu && rig.version("qemu").is_some() {
                traffic.sent_unpadded();
            }
            broken
                .extend(equations(group, &moved, &traffic).into_iter().filter(|equation| !equation.holds()));
        }
        Ok(broken)
    }

    /// How the counters of a group moved; nothing where the rig does not have them.
    fn moved(&self, rig: &mut dyn Rig, group: Group) -> Result<Moved, RigError> {
        let Some(source) = group.source() else {
            return Ok(rig
                .port()
                .map(|port| differences(Some(&self.sizes), &port.sizes))
                .unwrap_or_default());
        };
        match rig.read(&source) {
            Ok(now) if is_without_queue(&now) => Ok(Moved::new()),
            Ok(now) => Ok(differences(self.before.get(&source), &now)),
            Err(RigError::Missing(_)) => Ok(Moved::new()),
            Err(broken @ RigError::Broken(_)) => Err(broken),
        }
    }

    /// Whether the device handled the VLAN tag of the frame at this place in the record.
    fn tag_is_of_device(&self, device: Device, index: usize) -> bool {
        let last = self.tags.iter().rev().find(|(from, _)| *from <= index);
        device == Device::Hardware && last.is_none_or(|(_, on)| *on)
    }

    fn traffic(&self, device: Device, port: Option<&Port>, frames: &[&WireFrame], since: Since) -> Traffic {
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
            if frame.from == Sender::Sut {
                let queue = queues.next().copied();
                if index >= since.frames {
                    sent.push(Frame {
                        queue,
                        packet: frame.packet,
                        tag_is_of_device,
                        ..Frame::of(&frame.bytes)
                    });
                }
                continue;
            }
            let queue = queue_of(&frame.bytes);
            if index >= since.frames && (port.is_some() || !self.unplugged.contains(&index)) {
                came.push(Came { bytes: &frame.bytes, tag_is_of_device, queue });
            }
        }
        let lost = port.map(|port| port.lost.get(since.lost..).unwrap_or_default());
        Traffic::new(device, sent, came, lost, self.mtu.max(MTU))
    }

    /// What does not add up at the end of a trial, whatever its case says. Where the port of the NIC can be seen, and it was not
    /// asked to misbehave, all counters of the device have to, and those
    /// of TCP's segments unless one was dropped on its way to the device. Time goes on for it until all is at rest.
    ///
    /// # Errors
    /// When the rig cannot go on.
    pub fn close(
        &self,
        rig: &mut dyn Rig,
        trial: &Trial,
        record: &Record,
    ) -> Result<Option<Failure>, RigError> {
        if !rig.is_virtual() || rig.port().is_none() || !trial.faults.is_empty() {
            return Ok(None);
        }
        let Some(later) = come_to_rest(rig)? else { return Ok(None) };
        let frames: Vec<_> = record.frames().iter().chain(&later).collect();
        let lost_inside = rig.journey().is_some_and(loses_segments);
        let held: Vec<_> = ALWAYS.into_iter().filter(|group| *group != Group::Tcp || !lost_inside).collect();
        let broken = self.broken(rig, &held, &frames)?;
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

/// Whether the stack dropped a segment that TCP had counted.
fn loses_segments(journey: &Journey) -> bool {
    let counted = |moment: &Moment| moment.what == What::Function("__tcp_transmit_skb");
    let dropped = |moment: &Moment| matches!(moment.what, What::Dropped(_));
    journey.packets.iter().any(|p| p.moments.iter().any(counted) && p.moments.iter().any(dropped))
}

/// Whether packets go past the root qdisc, which counts none of them.
fn is_without_queue(now: &Readings) -> bool {
    now.get("root/kind") == Some(&Reading::Text("noqueue".to_owned()))
}

/// How each number of a source moved; one that is smaller than it was counts anew.
fn differences(before: Option<&Readings>, now: &Readings) -> Moved {
    let number = |reading: &Reading| if let Reading::Number(n) = reading { Some(*n) } else { None };
    now.iter()
        .filter_map(|(key, reading)| {
            let after = number(reading)?;
            let before = before.and_then(|before| number(before.get(key)?)).unwrap_or(0);
            Some((key.clone(), if before <= after { after - before } else { after }))
        })
        .collect()
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
        let bound = self.rig.now().saturating_add(nanos(BOUND));
        loop {
            let frames: Vec<_> = self.record.frames().iter().collect();
            let mut broken = self.books.broken(self.rig, groups, &frames)?;
            broken.retain(|equation| {
                let values = (equation.right().to_string(), equation.is.to_string());
                !self.deviations.tolerates(None, &equation.field(), (&values.0, &values.1))
            });
            let Some(failure) = failure(&broken) else { return Ok(()) };
            if self.rig.is_virtual() || self.rig.now() >= bound {
                return Err(Failure { at: Some(step.at.clone()), ..failure }.untimed().into());
            }
            self.drain(self.rig.now().saturating_add(nanos(PAUSE)))?;
        }
    }
}
