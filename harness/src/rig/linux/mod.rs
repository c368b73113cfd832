//! The Linux kernel's own stack: a namespace per trial, a TAP or a veth as its wire, system calls and commands as they stand.
//!
//! ```text
//! engine ─ calls ────→ agents (threads in the namespace, one per call that blocks) ─┐
//!        ─ commands ─→ namespace (its thread starts the processes)                  ├→ one queue → advance
//!        ─ frames ───→ wire ─────── eth0 of the namespace ──────→ reader ───────────┘
//! ```
//!
//! Time is real. A frame has the time at which the harness read it (on a veth, at which the kernel saw it), a call the time at which
//! it came back; both are taken by the threads that wait for them, so that a command in between does not move them.

mod agents;
pub mod capability;
mod command;
mod descriptors;
pub mod doctor;
mod features;
mod ioctl;
pub mod lab;
mod namespace;
mod netlink;
mod offloads;
mod options;
pub mod peer;
mod pins;
mod qdisc;
mod reader;
pub mod rights;
mod schedule;
mod sockets;
mod sources;
mod tap;
mod tcp_info;
mod veth;
pub mod wire;

pub use capability::{missing, unreadable, unusable};
pub use doctor::Finding;
pub use sources::unavailable;

use crate::case::model::{Command, Nanos, RigKind, Source, Syscall};
use crate::rig::{
    CallId, CallResult, CommandResult, Delays, Event, Finished, Journey, Lateness, Readings, Rig,
};
use crate::rig::{Reading, RigError, SeenFrame};
use agents::Agents;
use lab::Lab;
use namespace::Namespace;
use pins::ipv6_off;
use qdisc::StandIn;
use schedule::RealTime;
use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tap::Tap;
use veth::Veth;
use wire::{Wire, WireKind};

/// What the threads of a trial tell.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A frame was read, and by how much its time may be late.
    Frame { at: Instant, late: Nanos, bytes: Vec<u8> },
    /// A call came back, and how long its thread had to wait for a CPU since it was asked.
    Returned { call: CallId, at: Instant, late: Nanos, result: CallResult },
    /// The wire is gone.
    Broken(String),
}

/// Each time that the harness was late.
#[derive(Debug, Default)]
struct Late {
    captured: Vec<Nanos>,
    injected: Vec<Nanos>,
    returned: Vec<Nanos>,
    read: Vec<Nanos>,
}

impl Late {
    fn sum(&mut self) -> Lateness {
        let sum = |all: &mut Vec<Nanos>| Delays::of(std::mem::take(all));
        Lateness {
            captured: sum(&mut self.captured),
            injected: sum(&mut self.injected),
            returned: sum(&mut self.returned),
            read: sum(&mut self.read),
        }
    }
}

/// A trial's kernel. Needs root, or to be root of a user namespace: see [`rights::enter`].
#[derive(Debug)]
pub struct LinuxRig {
    // In this order they are dropped: the wire stops, calls are woken, and the namespace goes with its last thread.
    wire: Box<dyn Wire>,
    agents: Agents,
    namespace: Arc<Namespace>,
    /// The namespace, its device and its wire are those of a lab: they stay when the trial ends.
    in_a_lab: bool,
    happenings: Receiver<Happening>,
    /// An event that came after the time that the engine let pass: the next one to hand out.
    held: Option<Event>,
    notes: Vec<String>,
    kind: WireKind,
    default_qdisc: StandIn,
    /// The first step.
    origin: OnceCell<Instant>,
    /// The last event that was handed out: time does not go back.
    last: Nanos,
    /// When the engine was last given control: what it does then, it wanted done at that time.
    asked: Nanos,
    /// The worst of all.
    lateness: Duration,
    /// What the device had dropped when the cable was pulled; `None` while it is plugged in.
    dropped_before: Option<u64>,
    /// What it dropped without a cable, where no reader could have been too slow.
    unplugged: u64,
    late: Late,
    /// Of the frame that was injected last.
    last_lateness: Nanos,
    finished: bool,
    /// The engine runs in the thread that makes the rig.
    _soon: RealTime,
}

impl LinuxRig {
    /// A namespace as every case starts with: the topology, pinned settings, no sockets. It takes some milliseconds. The calling thread
    /// is scheduled in real time until the rig is dropped, if that is allowed.
    ///
    /// # Errors
    /// [`RigError::Missing`] when this machine cannot have it, as [`missing`] would have said.
    pub fn new(wire: WireKind) -> Result<Self, RigError> {
        let kind = capability::wire(wire).map_err(RigError::Missing)?;
        let pfifo_fast = std::fs::read_to_string("/proc/sys/net/core/default_qdisc")
            .is_ok_and(|kind| kind.trim() == "pfifo_fast");
        // A veth has no queue, and noqueue by default.
        let stand_in = kind == WireKind::Veth || !pfifo_fast;
        let namespace = Namespace::new()?;
        let (to, happenings) = channel();
        namespace.run(ipv6_off)??;
        let wire: Box<dyn Wire> = match kind {
            WireKind::Veth => Box::new(Veth::new(&namespace, to.clone())?),
            WireKind::Auto | WireKind::Tap => Box::new(Tap::new(namespace.run(tap::open)??, to.clone())?),
        };
        let (notes, default_qdisc) = namespace.run(move || {
            let notes = pins::apply()?;
            let default_qdisc = if stand_in { StandIn::begin()? } else { StandIn::NotNeeded };
            tap::configure()?;
            Ok((notes, default_qdisc))
        })??;
        let mut agents = Agents::new(to);
        agents.add(&namespace, None)?;
        let mut rig = Self::of(wire, agents, Arc::new(namespace), happenings);
        (rig.notes, rig.kind, rig.default_qdisc) = (notes, kind, default_qdisc);
        Ok(rig)
    }

    /// The port of a lab, as every case starts with it. Trials run one at a time there.
    ///
    /// # Errors
    /// [`RigError::Broken`] when the port cannot be made what it was, or has no carrier.
    pub fn in_a_lab(lab: &Lab) -> Result<Self, RigError> {
        let (to, happenings) = channel();
        let ready = lab.ready(to.clone()).map_err(RigError::Broken)?;
        let mut agents = Agents::new(to);
        agents.add(&ready.namespace, None)?;
        let mut rig = Self::of(Box::new(ready.wire), agents, ready.namespace, happenings);
        (rig.in_a_lab, rig.default_qdisc) = (true, ready.default_qdisc);
        Ok(rig)
    }

    fn of(
        wire: Box<dyn Wire>,
        agents: Agents,
        namespace: Arc<Namespace>,
        happenings: Receiver<Happening>,
    ) -> Self {
        Self {
            wire,
            agents,
            namespace,
            in_a_lab: false,
            happenings,
            held: None,
            notes: Vec::new(),
            kind: WireKind::Auto,
            default_qdisc: StandIn::NotNeeded,
            origin: OnceCell::new(),
            last: 0,
            asked: 0,
            lateness: Duration::ZERO,
            dropped_before: None,
            unplugged: 0,
            late: Late::default(),
            last_lateness: 0,
            finished: false,
            _soon: RealTime::begin(),
        }
    }

    /// Which wire it has: [`WireKind::Tap`] or [`WireKind::Veth`]; in a lab [`WireKind::Auto`].
    #[must_use]
    pub fn wire(&self) -> WireKind {
        self.kind
    }

    /// Pinned settings that this kernel does not have.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The first call of the engine is the origin of time; what came before belongs to no step.
    fn origin(&self) -> Instant {
        *self.origin.get_or_init(|| {
            while self.happenings.try_recv().is_ok() {}
            Instant::now()
        })
    }

    fn nanos(&self, at: Instant) -> Nanos {
        u64::try_from(at.saturating_duration_since(self.origin()).as_nanos()).unwrap_or(Nanos::MAX)
    }

    /// Something that the engine wanted at the time it got control happened just now; gives how late that is.
    fn note_lateness(&mut self) -> Nanos {
        let now = self.now();
        let late = now.saturating_sub(self.asked);
        self.asked = now;
        self.at_worst(late)
    }

    fn at_worst(&mut self, late: Nanos) -> Nanos {
        self.lateness = self.lateness.max(Duration::from_nanos(late));
        late
    }

    /// A frame that the reader was too slow for is dropped by the TAP, and counted there. A veth counts others: its reader tells.
    fn dropped_by_the_tap(&self) -> u64 {
        if self.kind != WireKind::Tap {
            return 0;
        }
        let netdev = self.namespace.run(|| sources::read(&Source::Netdev));
        match netdev.ok().and_then(Result::ok).and_then(|mut r| r.remove("tx_dropped")) {
            Some(Reading::Number(lost)) => u64::try_from(lost).unwrap_or(0),
            _ => 0,
        }
    }

    /// Something took its time that the engine knows of: what follows is wanted from now on.
    fn took_time(&mut self) {
        self.asked = self.now();
    }

    /// The next thing that happens before a time, or just after it.
    fn wait(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        let deadline = self.origin() + Duration::from_nanos(until);
        let left = deadline.saturating_duration_since(Instant::now());
        // What is there already comes first, also when the time is over.
        match self.happenings.recv_timeout(left) {
            Ok(happening) => self.event(happening).map(Some),
            Err(RecvTimeoutError::Timeout) => {
                if !left.is_zero() {
                    let late = self.now().saturating_sub(until);
                    self.at_worst(late);
                }
                Ok(None)
            }
            Err(RecvTimeoutError::Disconnected) => Err(RigError::Broken("nobody is left to tell".to_owned())),
        }
    }

    fn event(&mut self, happening: Happening) -> Result<Event, RigError> {
        let at = match &happening {
            Happening::Frame { at, .. } | Happening::Returned { at, .. } => self.nanos(*at),
            Happening::Broken(why) => return Err(RigError::Broken(why.clone())),
        };
        // Two threads may stamp and send in a different order, some microseconds apart.
        let at = at.max(self.last);
        self.last = at;
        Ok(match happening {
            Happening::Frame { late, bytes, .. } => {
                self.at_worst(late);
                self.late.captured.push(late);
                Event::Frame(SeenFrame { at, late, bytes, packet: None })
            }
            Happening::Returned { call, late, result, .. } => {
                self.at_worst(late);
                self.late.returned.push(late);
                Event::Returned { call, at, result }
            }
            Happening::Broken(why) => return Err(RigError::Broken(why)),
        })
    }
}

impl Rig for LinuxRig {
    fn kind(&self) -> RigKind {
        RigKind::Linux
    }

    fn version(&self, of: &str) -> Option<String> {
        let here = |is: bool| is.then(String::new);
        match of {
            "linux" | "kernel" => {
                nix::sys::utsname::uname().ok().map(|name| name.release().to_string_lossy().into_owned())
            }
            "tap" => here(self.kind == WireKind::Tap),
            "veth" => here(self.kind == WireKind::Veth),
            "virtual" => here(self.namespace.run(tap::is_virtual).unwrap_or(false)),
            _ => None,
        }
    }

    fn is_virtual(&self) -> bool {
        false
    }

    fn now(&self) -> Nanos {
        self.origin();
        self.nanos(Instant::now())
    }

    fn start(&mut self, call: CallId, cpu: Option<u32>, syscall: &Syscall) -> Result<(), RigError> {
        sockets::check(syscall).map_err(RigError::Missing)?;
        self.origin();
        self.agents.start(&self.namespace, call, cpu, syscall)?;
        self.note_lateness();
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Result<CommandResult, RigError> {
        self.origin();
        let words = command.words.clone();
        let before = self.default_qdisc;
        let done = self.namespace.run(move || {
            if !qdisc::is_changed_by(&words) {
                return Ok((keep_the_wire(command::run(&words)?)?, before));
            }
            let away = before.give_way()?;
            let result = keep_the_wire(command::run(&words)?)?;
            Ok((result, away.come_back()?))
        })?;
        self.took_time();
        let (result, after) = done?;
        self.default_qdisc = after;
        Ok(result)
    }

    fn sysfs(&mut self, path: &str, value: &str) -> Result<CommandResult, RigError> {
        self.origin();
        if !path.starts_with("/sys/class/net/") || path.split('/').any(|part| part == "..") {
            return Err(RigError::Broken(format!("`{path}` is no file of a network device")));
        }
        let (file, text) = (path.to_owned(), value.to_owned());
        let written = self.namespace.run(move || write_existing(&file, &text))?;
        self.took_time();
        Ok(match written {
            Ok(()) => CommandResult::default(),
            Err(e) => CommandResult { status: 1, output: format!("{path}: {e}") },
        })
    }

    fn inject(&mut self, frame: &[u8]) -> Result<(), RigError> {
        self.origin();
        self.wire.inject(frame)?;
        self.last_lateness = self.note_lateness();
        self.late.injected.push(self.last_lateness);
        Ok(())
    }

    fn last_lateness(&self) -> Nanos {
        self.last_lateness
    }

    fn set_link(&mut self, up: bool) -> Result<(), RigError> {
        self.origin();
        let dropped = self.dropped_by_the_tap();
        match (up, self.dropped_before) {
            (false, None) => self.dropped_before = Some(dropped),
            (true, Some(_)) => self.plugged_in(dropped),
            _ => {}
        }
        self.wire.set_carrier(up)
    }

    fn advance(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        let event = match self.held.take() {
            Some(held) => Some(held),
            None => self.wait(until)?,
        };
        match event {
            Some(event) if event_at(&event) <= until => {
                // What a late frame makes the engine do was wanted when it was on the wire.
                self.asked = event_at(&event) - late_of(&event).min(event_at(&event));
                Ok(Some(event))
            }
            later => {
                self.held = later;
                // A time that was over before is not what the harness was late for.
                self.asked = until.max(self.asked);
                Ok(None)
            }
        }
    }

    fn read(&mut self, source: &Source) -> Result<Readings, RigError> {
        let before = self.now();
        let mut readings = match source {
            Source::TcpInfo(name) => match self.agents.sockets().get(name) {
                Some(socket) => tcp_info::read(&socket),
                None => Err(RigError::Broken(format!("no socket `{name}` is open"))),
            },
            Source::Ethtool if self.in_a_lab => self.namespace.run(lab::statistics)?,
            _ => {
                let source = source.clone();
                self.namespace.run(move || sources::read(&source))?
            }
        };
        if *source == Source::Qdisc {
            readings = readings.map(|readings| self.default_qdisc.as_default(readings));
        }
        self.took_time();
        let took = self.now().saturating_sub(before);
        // It is no reason to doubt what held: the worst leaves it out.
        self.late.read.push(took);
        readings
    }

    fn journey(&mut self) -> Option<&Journey> {
        None
    }

    fn finish(&mut self) -> Finished {
        if self.finished {
            return Finished::default();
        }
        self.finished = true;
        let mut violations = Vec::new();
        let dropped = self.dropped_by_the_tap();
        self.plugged_in(dropped);
        let lost_frames = self.wire.lost() + dropped.saturating_sub(self.unplugged);
        if !self.wire.stop() {
            violations.push("the reader of the wire did not end".to_owned());
        }
        let left = self.agents.stop(Duration::from_secs(1));
        if left > 0 {
            violations.push(format!("{left} system calls could not be ended"));
        }
        // A lab keeps its namespace for the next trial.
        if !Arc::get_mut(&mut self.namespace).is_none_or(Namespace::leave) {
            violations.push("the namespace's thread did not end".to_owned());
        }
        Finished { violations, lateness: Some(self.lateness), delays: self.late.sum(), lost_frames }
    }
}

impl LinuxRig {
    /// The cable is back, or the trial is over: what was dropped since it was pulled is no loss of the capture.
    fn plugged_in(&mut self, dropped: u64) {
        if let Some(before) = self.dropped_before.take() {
            self.unplugged += dropped.saturating_sub(before);
        }
    }
}

impl Drop for LinuxRig {
    fn drop(&mut self) {
        self.finish();
    }
}

fn event_at(event: &Event) -> Nanos {
    match event {
        Event::Frame(frame) | Event::OfPeer(frame) => frame.at,
        Event::Returned { at, .. } => *at,
    }
}

fn late_of(event: &Event) -> Nanos {
    if let Event::Frame(frame) = event { frame.late } else { 0 }
}

/// What a command came to; it has failed if eth0 is gone after it, whatever it says: without its wire a trial cannot go on.
fn keep_the_wire(result: CommandResult) -> Result<CommandResult, RigError> {
    let device = format!("/sys/class/net/{}", tap::DEVICE);
    match std::fs::exists(&device) {
        Ok(true) => Ok(result),
        Ok(false) => Ok(CommandResult {
            status: 1,
            output: format!("{}after this command {} is gone\n", result.output, tap::DEVICE),
        }),
        Err(e) => Err(RigError::Broken(format!("{device}: {e}"))),
    }
}

/// Writes a file, but never makes one.
fn write_existing(path: &str, value: &str) -> std::io::Result<()> {
    std::io::Write::write_all(&mut std::fs::OpenOptions::new().write(true).open(path)?, value.as_bytes())
}
