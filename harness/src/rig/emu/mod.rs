//! Our stack and driver on the emulated NIC, in this process and in virtual time.
//!
//! ```text
//! engine ─ calls ────→ agent ──→ Stack ── registers ──→ machine ──→ Nic ──→ wire
//!        ─ commands ─→ Stack       ↑───── interrupts ──────┘  memory, as far as it is lent
//! ```
//!
//! Nothing waits: time jumps to the next thing that is due, in the NIC, in the stack, or in an application's `poll`.

mod announced;
pub mod apps;
mod bring_up;
mod clock;
mod host;
pub(in crate::rig) mod journal;
pub mod ledger;
mod lent;
mod machine;

pub use bring_up::Identity;
pub use host::Host;
pub use lent::{Access, Lent};

use crate::case::model::{Command, Interrupts, Nanos, RigKind, Source, Syscall, Trial};
use crate::rig::{
    CallId, CommandResult, Cpus, Event, FaultCount, Finished, Journey, Port, Readings, Reset, Rig, RigError,
};
use apps::{App, Apps};
use guest::agent::Agent;
use guest::{command, readings};
use journal::Journal;
use ledger::Ledger;
use machine::Machine;
use nic_emu::Output;
use stack_under_test::control;
use stack_under_test::control::ethtool::EthtoolCommand;
use stack_under_test::control::ip::link::LinkCommand;
use stack_under_test::stack::Stack;
use stack_under_test::time::Instant;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// How long a command that resets the device may take until there is carrier again; a self-test takes nearly ten seconds.
pub(in crate::rig) const CARRIER_BOUND: Nanos = 30_000_000_000;

/// A trial's stack, NIC and wire.
pub struct EmuRig {
    stack: Stack,
    machine: Rc<RefCell<Machine>>,
    agent: Agent,
    /// Applications of the harness itself.
    apps: Apps,
    journal: Journal,
    /// What the port saw since the first step, where somebody will ask.
    ledger: Option<Ledger>,
    /// What happened and was not handed out yet, in the order of time.
    events: VecDeque<Event>,
    /// What the NIC gave in one step; kept for its allocations.
    output: Output,
    /// The present, since power on.
    now: u64,
    /// The first step, since power on.
    origin: u64,
    /// How often in a row something was due without time passing.
    at_once: u32,
}

impl EmuRig {
    /// A stack with the topology of `design.md`, up and with carrier; its first step is now.
    ///
    /// # Errors
    /// When it does not come up, or the trial asks for a fault that the NIC cannot make.
    pub fn new(trial: &Trial) -> Result<Self, RigError> {
        bring_up::rig(&trial.faults, trial.interrupts, Cpus::of(trial))
    }

    /// The same without a trial.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn without_faults() -> Result<Self, RigError> {
        bring_up::rig(&[], Interrupts::Msix, Cpus::default())
    }

    /// From now on nothing is traced or kept: what runs for long would be told at length.
    pub(super) fn keep_no_journey(&mut self) {
        self.stack.trace_mut().set_on(false);
        self.stack.trace_mut().take();
        self.ledger = None;
        self.output.received = None;
    }

    /// Starts an application of the harness.
    pub(super) fn start_app(&mut self, call: CallId, app: Box<dyn App>) {
        self.apps.start(call, app);
        self.let_applications_go_on();
    }

    /// Something that happened and was not handed out yet.
    pub(super) fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn instant(&self) -> Instant {
        Instant(self.now)
    }

    fn relative(&self, at: u64) -> Nanos {
        at.saturating_sub(self.origin)
    }

    /// Whether packets could leave, or no link can come: there is no cable or no card, the driver has given up, or an
    /// administrator wants none.
    fn is_ready(&self) -> bool {
        let has_cable = self.machine.borrow().nic.has_cable();
        let can_come = has_cable && self.stack.is_up() && !self.stack.is_given_up();
        self.stack.is_settled() && (self.stack.carrier() || !can_come)
    }
}

/// Whether a command resets the port, so that its link is negotiated anew.
#[must_use]
pub(in crate::rig) fn resets_port(command: &control::Command) -> bool {
    match command {
        control::Command::Link(LinkCommand::Set(set)) => set.up == Some(true) || set.mtu.is_some(),
        control::Command::Ethtool(command) => match command {
            EthtoolCommand::Negotiate
            | EthtoolCommand::Rings { .. }
            | EthtoolCommand::Channels { .. }
            | EthtoolCommand::Pause { .. } => true,
            EthtoolCommand::Test { offline } => *offline,
            _ => false,
        },
        _ => false,
    }
}

/// What a source is to the stack.
///
/// # Errors
/// [`RigError::Missing`] for one that is not the stack's.
pub(in crate::rig) fn of_the_stack(source: &Source) -> Result<readings::Source, RigError> {
    Ok(match source {
        Source::Netdev => readings::Source::Netdev,
        Source::Ethtool => readings::Source::Ethtool,
        Source::Snmp => readings::Source::Snmp,
        Source::Softirqs => readings::Source::Softirqs,
        Source::Interrupts => readings::Source::Interrupts,
        Source::Qdisc => readings::Source::Qdisc,
        Source::Nft => readings::Source::Nft,
        Source::Neigh => readings::Source::Neigh,
        Source::Route(query) => readings::Source::Route(query.clone()),
        Source::Skb => readings::Source::Skb,
        Source::TcpInfo(_) => return Err(RigError::Missing("TCP_INFO is read of a socket".to_owned())),
        Source::Journey(_) => {
            return Err(RigError::Missing("a journey is not read as a list of values".to_owned()));
        }
    })
}

impl Rig for EmuRig {
    fn kind(&self) -> RigKind {
        RigKind::Emu
    }

    fn is_virtual(&self) -> bool {
        true
    }

    fn now(&self) -> Nanos {
        self.relative(self.now)
    }

    fn start(&mut self, call: CallId, cpu: Option<u32>, syscall: &Syscall) -> Result<(), RigError> {
        let cpu = u8::try_from(cpu.unwrap_or(0)).unwrap_or(u8::MAX);
        let now = self.instant();
        if let Some(result) = self.agent.start(&mut self.stack, now, (call, cpu), syscall) {
            self.events.push_back(Event::Returned { call, at: self.now(), result });
        }
        self.let_applications_go_on();
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Result<CommandResult, RigError> {
        let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
        let parsed = match control::parse(&words) {
            Ok(parsed) => parsed,
            Err(error) => {
                let what = format!("{}: expected {}", error.message, error.expected);
                return Ok(command::refused(what));
            }
        };
        let is_self_test = matches!(parsed, control::Command::Ethtool(EthtoolCommand::Test { .. }));
        if is_self_test {
            self.machine.borrow_mut().keep_observations();
        }
        let now = self.instant();
        if let Err(refusal) = self.stack.control(now, &parsed) {
            return Ok(CommandResult { status: 2, output: command::printed(&words, &refusal) });
        }
        self.let_applications_go_on();
        let bound = self.now.saturating_add(CARRIER_BOUND);
        let resets = resets_port(&parsed);
        while !(self.stack.is_settled() && (!resets || self.is_ready())) {
            if !self.tick(bound)? {
                let what = if resets { "no carrier" } else { "no rest" };
                let what = format!("{what} {} s after `{}`", CARRIER_BOUND / 1_000_000_000, words.join(" "));
                return Err(RigError::Broken(what));
            }
        }
        if is_self_test {
            // It writes patterns into registers at will: what the NIC thinks of them is no fault of the driver.
            drop(self.machine.borrow_mut().nic.take_observations());
            let (output, passed) = self.stack.self_test();
            return Ok(CommandResult { status: i32::from(!passed), output });
        }
        Ok(CommandResult { status: 0, output: self.stack.tool_output().to_owned() })
    }

    fn sysfs(&mut self, path: &str, value: &str) -> Result<CommandResult, RigError> {
        let now = self.instant();
        Ok(match self.stack.sysfs_write(now, path, value) {
            Ok(()) => CommandResult::default(),
            Err(errno) => {
                command::refused(format!("{path}: {} (os error {})", errno.strerror(), errno as i32))
            }
        })
    }

    fn inject(&mut self, frame: &[u8]) -> Result<(), RigError> {
        self.machine.borrow_mut().nic.receive(self.now, frame);
        Ok(())
    }

    fn inject_damaged(&mut self, frame: &[u8]) -> Result<(), RigError> {
        self.machine.borrow_mut().nic.receive_with_bad_crc(self.now, frame);
        Ok(())
    }

    fn set_link(&mut self, up: bool) -> Result<(), RigError> {
        self.machine.borrow_mut().nic.set_link(up);
        Ok(())
    }

    fn advance(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        let until = self.origin.saturating_add(until);
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if !self.tick(until)? {
                return Ok(None);
            }
        }
    }

    fn read(&mut self, source: &Source) -> Result<Readings, RigError> {
        let now = self.instant();
        if let Source::TcpInfo(name) = source {
            let fd =
                self.agent.fd(name).ok_or_else(|| RigError::Broken(format!("no socket `{name}` is open")))?;
            return readings::tcp_info(&self.stack, fd)
                .map_err(|errno| RigError::Broken(format!("TCP_INFO: {}", errno.name())));
        }
        Ok(readings::read(&mut self.stack, now, &of_the_stack(source)?))
    }

    fn port(&mut self) -> Option<Port> {
        let machine = self.machine.borrow();
        self.ledger.as_ref().map(|ledger| ledger.port(machine.counted.sizes(&machine.nic)))
    }

    fn resets(&self) -> &[Reset] {
        self.ledger.as_ref().map(Ledger::resets).unwrap_or_default()
    }

    fn fault_counts(&self) -> Vec<FaultCount> {
        self.machine.borrow().nic.fault_counts().collect()
    }

    fn journey(&mut self) -> Option<&Journey> {
        self.journal.absorb(self.stack.trace_mut().take());
        Some(self.journal.journey())
    }

    fn finish(&mut self) -> Finished {
        Finished { violations: self.machine.borrow_mut().take_violations(), ..Finished::default() }
    }
}
