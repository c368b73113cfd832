//! Our stack and driver on a real NIC that was taken from the kernel through VFIO, and the port at the other end of its cable.
//!
//! ```text
//! engine ─ calls ────→ agent ──→ Stack ── loads and stores ──→ the NIC's registers   (device)
//!        ─ commands ─→ Stack       ↑──── eventfds ─────────────┘  DMA through the IOMMU
//!        ─ frames ───→ wire (libpcap) ═════ cable ═════════════════ the NIC
//! ```
//!
//! Time is real. One thread does it all, and sleeps until an interrupt, a frame, or something that is due.

pub mod binding;
mod bring_up;
pub mod device;
pub mod doctor;
mod kernel_log;
pub mod lab;
pub(in crate::rig) mod of_qemu;
mod serve;
mod wire;

use crate::case::model::{Command, Nanos, RigKind, Source, Syscall};
use crate::rig::emu::journal::Journal;
use crate::rig::emu::{of_the_stack, resets_port};
use crate::rig::linux::Happening;
use crate::rig::linux::moments::Moments;
use crate::rig::linux::schedule::RealTime;
use crate::rig::{CallId, CommandResult, Event, Finished, Journey, Readings, Rig, RigError};
use guest::agent::Agent;
use guest::{command, readings};
use kernel_log::KernelLog;
use lab::{Ends, Shared};
use stack_under_test::control;
use stack_under_test::control::ethtool::EthtoolCommand;
use stack_under_test::stack::Stack;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// How long a command that resets the device may take until there is carrier again.
const CARRIER_BOUND: Duration = Duration::from_secs(10);

/// A trial's stack on the port under test.
pub struct VfioRig {
    stack: Stack,
    agent: Agent,
    journal: Journal,
    /// The device and the wire, until the trial is over.
    ends: Option<Ends>,
    shared: Arc<Shared>,
    moments: Moments,
    /// What happens goes through the same queue as on the linux rig.
    to: Sender<Happening>,
    /// When the stack's clock began.
    began: Instant,
    log: KernelLog,
    has_cable: bool,
    last_lateness: Nanos,
    _soon: RealTime,
}

impl Rig for VfioRig {
    fn kind(&self) -> RigKind {
        RigKind::Vfio
    }

    fn version(&self, of: &str) -> Option<String> {
        if of == "qemu" { of_qemu::version() } else { None }
    }

    fn is_virtual(&self) -> bool {
        false
    }

    fn now(&self) -> Nanos {
        self.moments.now()
    }

    fn start(&mut self, call: CallId, cpu: Option<u32>, syscall: &Syscall) -> Result<(), RigError> {
        self.moments.origin();
        let cpu = u8::try_from(cpu.unwrap_or(0)).unwrap_or(u8::MAX);
        let now = self.clock();
        if let Some(result) = self.agent.start(&mut self.stack, now, (call, cpu), syscall) {
            self.tell(Happening::Returned { call, at: Instant::now(), late: 0, result });
        }
        self.let_applications_go_on();
        self.moments.done();
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Result<CommandResult, RigError> {
        self.moments.origin();
        let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
        let parsed = match control::parse(&words) {
            Ok(parsed) => parsed,
            Err(error) => {
                let output = format!("{}: expected {}", error.message, error.expected);
                return Ok(CommandResult { status: 1, output });
            }
        };
        let now = self.clock();
        if let Err(refusal) = self.stack.control(now, &parsed) {
            return Ok(CommandResult { status: 2, output: command::printed(&words, &refusal) });
        }
        self.let_applications_go_on();
        let done = words.join(" ");
        match resets_port(&parsed) {
            true => self.wait_until(&format!("there is carrier after `{done}`"), Self::is_ready)?,
            false => self.wait_until(&format!("`{done}` is done"), |rig| rig.stack.is_settled())?,
        }
        self.moments.took_time();
        if matches!(parsed, control::Command::Ethtool(EthtoolCommand::Test { .. })) {
            let (output, passed) = self.stack.self_test();
            return Ok(CommandResult { status: i32::from(!passed), output });
        }
        Ok(CommandResult { status: 0, output: self.stack.tool_output().to_owned() })
    }

    fn sysfs(&mut self, path: &str, value: &str) -> Result<CommandResult, RigError> {
        self.moments.origin();
        let now = self.clock();
        Ok(match self.stack.sysfs_write(now, path, value) {
            Ok(()) => CommandResult::default(),
            Err(errno) => {
                let output = format!("{path}: {} (os error {})", errno.strerror(), errno as i32);
                CommandResult { status: 1, output }
            }
        })
    }

    fn inject(&mut self, frame: &[u8]) -> Result<(), RigError> {
        self.moments.origin();
        let wire = &mut self.ends()?.wire;
        wire.inject(frame)
            .map_err(|why| RigError::Broken(format!("a frame of {} bytes: {why}", frame.len())))?;
        self.last_lateness = self.moments.injected();
        Ok(())
    }

    fn last_lateness(&self) -> Nanos {
        self.last_lateness
    }

    fn set_link(&mut self, up: bool) -> Result<(), RigError> {
        self.moments.origin();
        self.has_cable = up;
        self.shared.set_carrier(up).map_err(RigError::Broken)
    }

    fn advance(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        let deadline = self.moments.origin() + Duration::from_nanos(until);
        let mut waited = false;
        self.serve(Duration::ZERO)?;
        loop {
            if let Some(event) = self.moments.ready(until)? {
                return Ok(Some(event));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.moments.passed(until, waited);
                return Ok(None);
            }
            waited = true;
            self.serve(left)?;
        }
    }

    fn read(&mut self, source: &Source) -> Result<Readings, RigError> {
        let before = self.now();
        self.serve(Duration::ZERO)?;
        let now = self.clock();
        let values = match source {
            Source::TcpInfo(name) => match self.agent.fd(name) {
                Some(fd) => readings::tcp_info(&self.stack, fd)
                    .map_err(|errno| RigError::Broken(format!("TCP_INFO: {}", errno.name()))),
                None => Err(RigError::Broken(format!("no socket `{name}` is open"))),
            },
            _ => Ok(readings::read(&mut self.stack, now, &of_the_stack(source)?)),
        };
        self.moments.has_read(before);
        values
    }

    fn journey(&mut self) -> Option<&Journey> {
        self.journal.absorb(self.stack.trace_mut().take());
        Some(self.journal.journey())
    }

    fn finish(&mut self) -> Finished {
        let mut finished = self.let_go();
        finished.lateness = Some(self.moments.worst());
        finished.delays = self.moments.sum();
        finished
    }
}

impl Drop for VfioRig {
    fn drop(&mut self) {
        drop(self.let_go());
    }
}
