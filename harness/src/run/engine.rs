//! Executes one trial on one rig, step by step.
//!
//! Nothing in here knows which rig it is. Time passes only in `pump`: frames that come on the way go to the
//! inbox, calls that end go to their table, and the automatic peer answers.

use super::calls::Calls;
use super::check::{self, Baseline, Wrong};
use super::conserve::Books;
use super::datagrams::{Datagrams, Part};
use super::differs::Deviations;
use super::flows::Flows;
use super::lateness::Excuse;
use super::outcome::{nanos, show_time};
use super::record::{Explained, From as Sender, Record, WireFrame};
use super::unread::Unread;
use super::unstated::Unstated;
use super::verdict::Failure;
use crate::case::model::{Action, Check, Command, Inject, Nanos, Step, Trial};
use crate::frame;
use crate::rig::{Event, Rig, RigError, SeenFrame};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a check is read again in real time until it holds.
const CHECK_BOUND: Duration = Duration::from_millis(500);
/// How often.
const CHECK_PAUSE: Duration = Duration::from_millis(10);
/// In virtual time, what the device still has to do before counters are read: its write-back and its interrupt.
const SETTLE: Duration = Duration::from_millis(1);
/// In virtual time, how long a trial goes on after a failure, for what was under way.
const AFTERMATH: Duration = Duration::from_millis(10);
/// In real time, how long a wait may go on before somebody who wants to stop the run is heard.
const SLICE: Duration = Duration::from_millis(100);

/// Why a trial ended before its last step.
#[derive(Debug)]
pub enum Stop {
    /// A step did not hold.
    Failed(Box<Failure>),
    /// The rig cannot go on.
    Rig(RigError),
    /// Somebody stopped the run.
    Cancelled,
}

impl From<RigError> for Stop {
    fn from(error: RigError) -> Self {
        Self::Rig(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// A trial that is being executed.
pub struct Engine<'t> {
    pub(super) rig: &'t mut dyn Rig,
    pub(super) trial: &'t Trial,
    pub(super) record: &'t mut Record,
    cancelled: &'t AtomicBool,
    /// Frames of the system under test that no step has taken yet: indices into the record, in the order of the wire.
    pub(super) inbox: VecDeque<usize>,
    pub(super) calls: Calls,
    /// When each named step was: a frame on the wire, a call at its start.
    pub(super) times: BTreeMap<&'t str, Nanos>,
    /// The frame that each named `expect` took.
    named_frames: BTreeMap<&'t str, usize>,
    pub(super) deviations: Deviations<'t>,
    /// Large packets of UDP, where a deviation in how they are cut is listed.
    pub(super) datagrams: Option<Datagrams>,
    /// The TCP connections.
    pub(super) flows: Flows,
    automatic_arp: bool,
    baseline: Baseline,
    /// What `conserve` needs to know.
    pub(super) books: Books,
    /// The step that runs, from 0.
    pub(super) index: usize,
    /// Whether the first step has begun.
    begun: bool,
    /// When the previous step was over.
    pub(super) previous: Nanos,
    /// Items of checks that this rig cannot read.
    unread: &'t Unread,
    /// How late the machine was at worst in the last so many nanoseconds.
    machine: &'t dyn Fn(Nanos) -> Nanos,
    /// Waits that ended too late: when, and by how much.
    overslept: Vec<(Nanos, Nanos)>,
    /// Readings of checks: when they were there, and how long they took.
    readings: Vec<(Nanos, Nanos)>,
    /// How long the engine let time pass.
    waited: Duration,
}

impl<'t> Engine<'t> {
    /// An engine for one trial; the record keeps what was on the wire, also when the trial fails.
    pub fn new(
        rig: &'t mut dyn Rig,
        trial: &'t Trial,
        record: &'t mut Record,
        unread: &'t Unread,
        machine: &'t dyn Fn(Nanos) -> Nanos,
        cancelled: &'t AtomicBool,
    ) -> Self {
        let deviations = Deviations::of(trial, rig);
        Self {
            automatic_arp: trial.automatic_arp
                && trial.real_peer.is_none()
                && !super::select::names_arp(trial),
            rig,
            trial,
            record,
            cancelled,
            inbox: VecDeque::new(),
            calls: Calls::default(),
            times: BTreeMap::new(),
            named_frames: BTreeMap::new(),
            datagrams: deviations.datagrams(),
            deviations,
            flows: Flows::default(),
            baseline: Baseline::default(),
            books: Books::default(),
            index: 0,
            begun: false,
            previous: 0,
            unread,
            machine,
            overslept: Vec::new(),
            readings: Vec::new(),
            waited: Duration::ZERO,
        }
    }

    /// Runs every step, then looks for frames that no step explains. What follows the last step is outside of the case. After
    /// a step that did not hold, virtual time goes on a little, so that what was under way is seen where it ends.
    ///
    /// # Errors
    /// What ended the trial early.
    pub fn run(&mut self) -> Result<(), Stop> {
        let result = self.steps();
        let Err(Stop::Failed(mut failure)) = result else { return result };
        if let Some(beyond) = self.datagrams.as_ref().and_then(Datagrams::beyond) {
            self.deviations.datagrams_missing(beyond);
        }
        for wrong in self.deviations.wrong() {
            if !failure.message.contains(&wrong) {
                failure.message = format!("{}; {wrong}", failure.message);
            }
        }
        if self.rig.is_virtual() {
            let until = self.rig.now().saturating_add(nanos(AFTERMATH));
            // Whatever else is wrong came after what is told.
            let _ = self.drain(until);
        }
        Err(Stop::Failed(failure))
    }

    fn steps(&mut self) -> Result<(), Stop> {
        let trial = self.trial;
        self.baseline = Baseline::read(self.rig, trial, self.unread)?;
        self.books = Books::open(self.rig, trial);
        let unstated = Unstated::open(self.rig, &self.deviations);
        self.previous = self.rig.now();
        for (index, step) in trial.steps.iter().enumerate() {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Stop::Cancelled);
            }
            self.index = index;
            self.begun = true;
            self.step(step)?;
            self.previous = self.rig.now();
        }
        let end = self.rig.now();
        self.drain(end)?;
        let first = self.inbox.iter().find(|i| self.record.frame(**i).at <= end);
        if let (Some(&first), None) = (first, &trial.real_peer) {
            return Err(self.unexplained(first).into());
        }
        if let Some(datagrams) = &self.datagrams
            && let Some(missing) = datagrams.missing().map_err(Failure::new)?
        {
            self.deviations.datagrams_missing(missing);
        }
        unstated.close(self.rig, &mut self.deviations);
        self.deviations.all_occurred()?;
        Ok(())
    }

    /// What `conserve` needs to know, when all steps are over.
    #[must_use]
    pub fn take_books(&mut self) -> Books {
        std::mem::take(&mut self.books)
    }

    /// The index of the step that ran last, once one did.
    #[must_use]
    pub fn last_step(&self) -> Option<usize> {
        self.begun.then_some(self.index)
    }

    /// How long the engine let time pass while it waited for something to happen; real time on any rig.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// How late the harness was at worst since a time of the trial: for frames that it read and sent, and in waking up.
    #[must_use]
    pub fn late_since(&self, since: Nanos) -> Nanos {
        let frames = self.record.frames().iter().map(|frame| (frame.at, frame.late));
        worst(frames.chain(self.overslept.iter().copied()), since)
    }

    /// The same, and how late the machine was, and how long checks took to read: what may explain a failure.
    #[must_use]
    pub fn all_late_since(&self, since: Nanos) -> Nanos {
        if self.rig.is_virtual() {
            return self.late_since(since);
        }
        let ago = self.rig.now().saturating_sub(since);
        let reading = worst(self.readings.iter().copied(), since);
        self.late_since(since).max(reading).max((self.machine)(ago))
    }

    fn step(&mut self, step: &'t Step) -> Result<(), Stop> {
        match &step.action {
            Action::Run(commands) => commands.iter().try_for_each(|command| self.command(command)),
            Action::Sysfs { path, value, error } => {
                let result = self.rig.sysfs(path, value)?;
                let said = result.output.trim();
                let what = match error {
                    None if result.status == 0 => return Ok(()),
                    None => format!("writing {value:?} to {path} failed: {said}"),
                    Some(error) if result.status == 0 => {
                        format!("writing {value:?} to {path} should have failed with {error:?}, and did not")
                    }
                    Some(error) if said.contains(error.as_str()) => return Ok(()),
                    Some(error) => format!("writing {value:?} failed, but not with {error:?}: {said}"),
                };
                Err(Failure::at(&step.at, what).into())
            }
            Action::Link(up) => {
                self.books.link(*up);
                Ok(self.rig.set_link(*up)?)
            }
            Action::Call(call) => self.call(step, call),
            Action::Join(join) => self.join(step, join),
            Action::PeerRun(run) => self.peer_run(step, run),
            Action::App(app) => self.application(step, app),
            Action::Expect(expect) => self.expect(expect),
            Action::AnyOrder(expects) => self.any_order(step, expects),
            Action::Order(order) => self.order(step, order),
            Action::Fragments(fragments) => self.fragments(step, fragments),
            Action::Segments(segments) => self.segments(step, segments),
            Action::Inject(inject) => self.inject(step, inject),
            Action::Wait(time) => {
                let until = self.rig.now().saturating_add(nanos(*time));
                self.drain(until)
            }
            Action::Quiet(time) => self.quiet(step, *time),
            Action::Check(check) => self.check(check),
            Action::Conserve(groups) => self.conserve(step, groups),
        }
    }

    fn command(&mut self, command: &Command) -> Result<(), Stop> {
        self.books.look(self.rig);
        let result = self.rig.command(command)?;
        if result.status == 0 {
            self.books.ran(self.rig, command, self.record.frames().len());
        }
        let output = result.output.trim();
        let what = match &command.error {
            None if result.status == 0 => match missing_line(output, &command.output) {
                None => return Ok(()),
                Some(line) => format!("`{}` did not print {line:?} where it should", command.words.join(" ")),
            },
            None => format!("`{}` failed with status {}", command.words.join(" "), result.status),
            Some(error) if result.status == 0 => {
                format!("`{}` should have failed with {error:?}, and did not", command.words.join(" "))
            }
            Some(error) if output.contains(error.as_str()) => return Ok(()),
            Some(error) => {
                format!("`{}` failed, but not with {error:?}", command.words.join(" "))
            }
        };
        Err(Failure::at(&command.at, what).with(output.lines().map(str::to_owned)).into())
    }

    fn inject(&mut self, step: &'t Step, inject: &Inject) -> Result<(), Stop> {
        let quoted = match &inject.frame.quotes {
            None => None,
            Some(name) => match self.named_frames.get(name.as_str()) {
                Some(&frame) => Some(self.record.frame(frame).bytes.as_slice()),
                None => return Err(Failure::at(&step.at, format!("no frame is named {name}")).into()),
            },
        };
        let mut bytes = frame::build(&self.flows.injected(&inject.frame), quoted)
            .map_err(|error| Failure::at(&step.at, format!("the frame cannot be built: {error}")))?;
        bytes.truncate(inject.cut_to);
        self.remember(step.name.as_deref(), self.rig.now());
        if inject.has_wrong_fcs {
            self.rig.inject_damaged(&bytes)?;
            self.recorded(bytes, Sender::Peer, Explained::Step(self.index));
            return Ok(());
        }
        self.send(bytes, Sender::Peer, Explained::Step(self.index))
    }

    /// Puts a frame of the peer on the wire.
    fn send(&mut self, bytes: Vec<u8>, from: Sender, explained: Explained) -> Result<(), Stop> {
        self.rig.inject(&bytes)?;
        self.recorded(bytes, from, explained);
        Ok(())
    }

    /// A frame of the peer is on the wire.
    fn recorded(&mut self, bytes: Vec<u8>, from: Sender, explained: Explained) {
        let (at, late) = (self.rig.now(), self.rig.last_lateness());
        let index = self.record.push(WireFrame { at, late, from, bytes, packet: None, explained });
        self.books.injected(index, self.rig.hears());
    }

    fn check(&mut self, check: &'t Check) -> Result<(), Stop> {
        let items: Vec<_> = self.unread.left(self.index, check).collect();
        if items.is_empty() {
            return Ok(());
        }
        if self.rig.is_virtual() {
            self.drain(self.rig.now().saturating_add(nanos(SETTLE)))?;
        }
        let bound = self.rig.now().saturating_add(nanos(CHECK_BOUND));
        loop {
            let begin = self.rig.now();
            let mut wrong = check::wrong(self.rig, &self.baseline, &items)?;
            // What was read is of some time until now.
            let now = self.rig.now();
            self.readings.push((now, now.saturating_sub(begin)));
            let more_time = !self.rig.is_virtual() && self.rig.now() < bound;
            if more_time && !wrong.is_empty() {
                self.drain(self.rig.now().saturating_add(nanos(CHECK_PAUSE)))?;
                continue;
            }
            wrong.retain(|Wrong { item, got, .. }| {
                let field = format!("{}.{}", check::source_name(&item.source), item.key);
                !self.deviations.tolerates(None, &field, ("", got))
            });
            let Some(first) = wrong.first() else { return Ok(()) };
            let rest = wrong[1..].iter().map(|wrong| wrong.what.clone());
            return Err(Failure::at(&first.item.at, first.what.clone()).with(rest).untimed().into());
        }
    }

    /// Keeps the time of a named step.
    pub(super) fn remember(&mut self, name: Option<&'t str>, at: Nanos) {
        if let Some(name) = name {
            self.times.insert(name, at);
        }
    }

    /// Keeps the frame that a named `expect` took.
    pub(super) fn remember_frame(&mut self, name: Option<&'t str>, frame: usize) {
        if let Some(name) = name {
            self.named_frames.insert(name, frame);
            self.times.insert(name, self.record.frame(frame).at);
        }
    }

    /// Lets time pass up to `until`, whatever happens on the way.
    pub(super) fn drain(&mut self, until: Nanos) -> Result<(), Stop> {
        while self.pump(until)? {}
        Ok(())
    }

    /// Lets time pass up to `until` or the next event, and puts that where it belongs. `false`: it is `until`.
    pub(super) fn pump(&mut self, until: Nanos) -> Result<bool, Stop> {
        loop {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Stop::Cancelled);
            }
            let slice = if self.rig.is_virtual() {
                until
            } else {
                until.min(self.rig.now().saturating_add(nanos(SLICE)))
            };
            let begin = self.rig.now();
            let event = self.advance(slice)?;
            match event {
                Some(Event::Frame(frame)) => {
                    self.arrived(frame)?;
                    return Ok(true);
                }
                Some(Event::OfPeer(SeenFrame { at, late, bytes, packet })) => {
                    let (from, explained) = (Sender::AutomaticPeer, Explained::Automatic);
                    self.record.push_if_room(WireFrame { at, late, from, bytes, packet, explained });
                    return Ok(true);
                }
                Some(Event::Returned { call, at, result }) => {
                    self.calls.returned(call, at, result);
                    return Ok(true);
                }
                None => {
                    // A time that was over before is not what the harness was late for.
                    let woke = self.rig.now();
                    if begin < slice && woke > slice {
                        self.overslept.push((woke, woke - slice));
                    }
                    if slice >= until {
                        return Ok(false);
                    }
                }
            }
        }
    }

    fn advance(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        let begin = Instant::now();
        let event = self.rig.advance(until);
        self.waited += begin.elapsed();
        event
    }

    /// A frame of the system under test came: the automatic peer answers it, or it waits for a step.
    fn arrived(&mut self, frame: SeenFrame) -> Result<(), Stop> {
        let answer = if self.automatic_arp { frame::automatic_peer(&frame.bytes) } else { None };
        let explained = if answer.is_some() { Explained::Automatic } else { Explained::No };
        let SeenFrame { at, late, bytes, packet } = frame;
        if self.trial.real_peer.is_some() {
            let seen = WireFrame { at, late, from: Sender::Sut, bytes, packet, explained };
            self.inbox.extend(self.record.push_if_room(seen));
            return Ok(());
        }
        let index = self.record.push(WireFrame { at, late, from: Sender::Sut, bytes, packet, explained });
        match answer {
            Some(reply) => self.send(reply, Sender::AutomaticPeer, Explained::Automatic),
            None => {
                if !self.is_of_another(index)? {
                    self.inbox.push_back(index);
                }
                Ok(())
            }
        }
    }

    /// Whether a frame is a later fragment of a large packet of UDP, where a deviation in the cut of those is listed: no step is about
    /// it.
    fn is_of_another(&mut self, index: usize) -> Result<bool, Stop> {
        let Some(datagrams) = &mut self.datagrams else { return Ok(false) };
        let part = datagrams.came(&frame::decode(&self.record.frame(index).bytes)).map_err(Failure::new)?;
        if part == Part::Later {
            self.record.explain(index, Explained::Step(self.index));
        }
        Ok(part == Part::Later)
    }

    /// The failure for a frame that no step explains.
    pub(super) fn unexplained(&self, index: usize) -> Failure {
        let frame = self.record.frame(index);
        let at = self.trial.steps.get(self.index).map(|step| &step.at);
        let summary = self.summary(index);
        let what = format!("no step explains the frame at {}: {summary}", show_time(frame.at));
        let failure = Failure { at: at.cloned(), excuse: Excuse::BeyondTolerance, ..Failure::new(what) };
        failure.with(["expected: no frame".to_owned(), format!("got:      {}", self.line(index).trim())])
    }
}

/// The longest of some delays since a time, each with the time at which it was over.
fn worst(delays: impl Iterator<Item = (Nanos, Nanos)>, since: Nanos) -> Nanos {
    delays.filter(|(at, _)| *at >= since).map(|(_, late)| late).max().unwrap_or(0)
}

/// The first of `lines` that is not in `output` behind the one before it. White space counts as one space.
fn missing_line<'l>(output: &str, lines: &'l [String]) -> Option<&'l str> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut printed = output.lines().map(words);
    lines.iter().find(|line| !printed.any(|is| is == words(line))).map(String::as_str)
}

#[cfg(test)]
mod tests;
