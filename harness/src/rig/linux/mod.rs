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
mod charge;
pub(in crate::rig) mod command;
pub(in crate::rig) mod descriptors;
pub mod doctor;
mod epoll;
mod features;
pub(in crate::rig) mod ioctl;
pub mod lab;
pub(in crate::rig) mod moments;
pub(in crate::rig) mod namespace;
mod netlink;
mod offloads;
mod options;
pub mod peer;
mod pins;
mod qdisc;
mod reader;
pub mod rights;
pub(in crate::rig) mod schedule;
mod sockets;
mod sources;
mod tap;
mod tcp_info;
mod veth;
pub mod wire;

pub use capability::{missing, unreadable, unusable};
pub use doctor::Finding;
pub use sources::unavailable;

use crate::case::model::{Command, Nanos, RigKind, Source, Syscall, Trial};
use crate::rig::vfio::of_qemu;
use crate::rig::{CallId, CallResult, CommandResult, Event, Finished, Journey};
use crate::rig::{Reading, Readings, Rig, RigError};
use agents::Agents;
use charge::Charge;
use lab::Lab;
use moments::Moments;
use namespace::Namespace;
use pins::ipv6_off;
use qdisc::StandIn;
use schedule::RealTime;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
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

/// A trial's kernel. Needs root, or to be root of a user namespace: see [`rights::enter`].
#[derive(Debug)]
pub struct LinuxRig {
    // In this order they are dropped: the wire stops, calls are woken, and the namespace goes with its last thread.
    wire: Box<dyn Wire>,
    agents: Agents,
    namespace: Arc<Namespace>,
    /// The namespace, its device and its wire are those of a lab: they stay when the trial ends.
    in_a_lab: bool,
    /// The kernel's igb drives its device.
    is_igb: bool,
    moments: Moments,
    notes: Vec<String>,
    kind: WireKind,
    charge: Charge,
    default_qdisc: StandIn,
    /// What the device had dropped when the cable was pulled; `None` while it is plugged in.
    dropped_before: Option<u64>,
    /// What it dropped without a cable, where no reader could have been too slow.
    unplugged: u64,
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

    /// The port of a lab, as every case starts with it, for a trial. Trials run one at a time there.
    ///
    /// # Errors
    /// [`RigError::Broken`] when the port cannot be made what it was, or has no carrier.
    pub fn in_a_lab(lab: &Lab, trial: &Trial) -> Result<Self, RigError> {
        let (to, happenings) = channel();
        let ready = lab.ready(to.clone(), trial).map_err(RigError::Broken)?;
        let mut agents = Agents::new(to);
        agents.add(&ready.namespace, None)?;
        let mut rig = Self::of(Box::new(ready.wire), agents, ready.namespace, happenings);
        (rig.in_a_lab, rig.is_igb, rig.default_qdisc) = (true, lab.is_igb(), ready.default_qdisc);
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
            is_igb: false,
            moments: Moments::new(happenings),
            notes: Vec::new(),
            kind: WireKind::Auto,
            charge: Charge::default(),
            default_qdisc: StandIn::NotNeeded,
            dropped_before: None,
            unplugged: 0,
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
            // A port of its making, not a machine of its making: a veth there is as anywhere.
            "qemu" if self.in_a_lab && !self.namespace.run(tap::is_virtual).unwrap_or(true) => {
                of_qemu::version()
            }
            "igb" => here(self.is_igb),
            "virtual" => here(self.namespace.run(tap::is_virtual).unwrap_or(false)),
            _ => None,
        }
    }

    fn is_virtual(&self) -> bool {
        false
    }

    fn now(&self) -> Nanos {
        self.moments.now()
    }

    fn start(&mut self, call: CallId, cpu: Option<u32>, syscall: &Syscall) -> Result<(), RigError> {
        sockets::check(syscall).map_err(RigError::Missing)?;
        self.moments.origin();
        self.agents.start(&self.namespace, call, cpu, syscall)?;
        self.moments.done();
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Result<CommandResult, RigError> {
        self.moments.origin();
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
        if self.in_a_lab && self.dropped_before.is_none() {
            // A card that was reset negotiates its link anew.
            self.namespace.run(lab::settle)?;
        }
        self.moments.took_time();
        let (result, after) = done?;
        self.default_qdisc = after;
        Ok(result)
    }

    fn sysfs(&mut self, path: &str, value: &str) -> Result<CommandResult, RigError> {
        self.moments.origin();
        if !path.starts_with("/sys/class/net/") || path.split('/').any(|part| part == "..") {
            return Err(RigError::Broken(format!("`{path}` is no file of a network device")));
        }
        let (file, text) = (path.to_owned(), value.to_owned());
        let written = self.namespace.run(move || write_existing(&file, &text))?;
        self.moments.took_time();
        Ok(match written {
            Ok(()) => CommandResult::default(),
            Err(e) => CommandResult { status: 1, output: format!("{path}: {e}") },
        })
    }

    fn inject(&mut self, frame: &[u8]) -> Result<(), RigError> {
        self.moments.origin();
        let padded = (self.kind == WireKind::Tap).then(|| self.charge.padded(frame)).flatten();
        self.wire.inject(padded.as_deref().unwrap_or(frame))?;
        self.last_lateness = self.moments.injected();
        Ok(())
    }

    fn last_lateness(&self) -> Nanos {
        self.last_lateness
    }

    fn set_link(&mut self, up: bool) -> Result<(), RigError> {
        self.moments.origin();
        let dropped = self.dropped_by_the_tap();
        match (up, self.dropped_before) {
            (false, None) => self.dropped_before = Some(dropped),
            (true, Some(_)) => self.plugged_in(dropped),
            _ => {}
        }
        self.wire.set_carrier(up)
    }

    fn advance(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        self.moments.advance(until)
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
        if let Ok(readings) = &mut readings {
            self.charge.uncount(source, readings);
        }
        self.moments.has_read(before);
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
        Finished {
            violations,
            lateness: Some(self.moments.worst()),
            delays: self.moments.sum(),
            lost_frames,
            ..Finished::default()
        }
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
