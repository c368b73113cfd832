//! Our stack and driver as a guest on the bare machine, under QEMU, on a NIC that we did not write.
//!
//! ```text
//! engine ─ calls, commands, time ─→ control channel ─→ agent ─→ Stack ─ registers ─→ QEMU's igb
//!        ←─────────────── frames, each a datagram ──────────────────────────────────────┘
//! ```
//!
//! The stack's clock is set by the harness, so that a minute of back-off costs nothing. The device's is QEMU's own: after each
//! moment of the stack's clock it is given time until it is at rest. With `--clock real` the harness lets the stack's clock follow the
//! one on the wall, in small steps.

mod ability;
pub mod acceleration;
mod clock;
mod crash;
mod guest;
mod hang;
pub mod image;
mod machine;
mod monitor;
mod options;
mod pool;
pub mod program;
mod starter;
mod stopped;

pub use ability::missing;
pub use options::{Accel, ClockKind, Options, PATIENCE};
pub use pool::Pool;

use crate::case::model::{Command, Nanos, RigKind, Source, Syscall, topology};
use crate::rig::emu::journal::Journal;
use crate::rig::emu::{CARRIER_BOUND, of_the_stack, resets_port};
use crate::rig::linux::schedule::RealTime;
use crate::rig::{CallId, CommandResult, Cpus, Event, Finished, Journey, Readings, Rig, RigError, SeenFrame};
use ::guest::protocol::{Answer, CpuReading, Identity, Reply, Request, State, Wrong};
use ::guest::readings::Source as OfTheStack;
use clock::Clock;
use guest::Guest;
use stack_under_test::control;
use std::collections::VecDeque;
use std::sync::Arc;

/// So many frames arrive at one moment at most before the stack is let at them: a ring has room for 256.
const AT_ONCE_MAX: u32 = 64;
/// Of ids, ports, hashes.
const SEED: u64 = 0;

/// A trial's guest.
pub struct QemuRig {
    pool: Arc<Pool>,
    /// `None` once it was given back.
    guest: Option<Guest>,
    state: State,
    journal: Journal,
    /// What happened and was not handed out yet, in the order of time.
    events: VecDeque<Event>,
    /// The first step, by the stack's clock.
    origin: u64,
    /// Whether something was done at this moment that the stack or the device has not seen to.
    is_stirred: bool,
    clock: Clock,
    /// Why the journal is not whole.
    trouble: Option<String>,
    /// How the guest is to go wrong at the next call, for tests of the rig.
    accident: Option<(Wrong, u8)>,
    /// In real time, the engine's thread is not to wait for what is ordinary; it is the one that makes the rig.
    _soon: Option<RealTime>,
}

impl QemuRig {
    /// A stack with the topology of `design.md`, up and with carrier, in a guest that waits for a trial or in a new one; its first
    /// step is now. `trial` is the name of the trial, `cpus` are those that it asks for.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn new(pool: &Arc<Pool>, trial: &str, cpus: Cpus) -> Result<Self, RigError> {
        let patience = u16::try_from(pool.patience().as_secs()).unwrap_or(u16::MAX);
        let identity = Identity { ip: topology::SUT_IP, seed: SEED, cpus: cpus.of_the_stack, patience };
        let (guest, state) = pool.begin(cpus.at_work, identity)?;
        let _soon = (pool.clock() == ClockKind::Real).then(RealTime::begin);
        let mut journal = Journal::default();
        journal.begin(state.now);
        let (origin, events) = (state.now, VecDeque::new());
        let (clock, accident) = (Clock::new(pool.clock()), pool.accident(trial));
        let pool = Arc::clone(pool);
        let guest = Some(guest);
        let (is_stirred, trouble) = (false, None);
        Ok(Self { pool, guest, state, journal, events, origin, is_stirred, clock, trouble, accident, _soon })
    }

    /// What each CPU of the guest's machine has done in this trial, by its number.
    ///
    /// # Errors
    /// When the guest does not say.
    pub fn cpus(&mut self) -> Result<Vec<CpuReading>, RigError> {
        match self.ask(&Request::Cpus)? {
            Answer::Cpus(readings) => Ok(readings),
            other => Err(RigError::Broken(format!("the guest's CPUs are {other:?}"))),
        }
    }

    fn guest(&mut self) -> Result<&mut Guest, RigError> {
        self.guest.as_mut().ok_or_else(|| RigError::Broken("the trial is over".to_owned()))
    }

    /// Asks the guest, and takes over what has happened since.
    fn ask(&mut self, request: &Request) -> Result<Answer, RigError> {
        let Reply { answer, state } = self.guest()?.ask(request)?;
        let origin = self.origin;
        self.state = state;
        self.take_frames()?;
        for (call, at, result) in std::mem::take(&mut self.state.ended) {
            self.events.push_back(Event::Returned { call, at: at.saturating_sub(origin), result });
        }
        match answer {
            Answer::Refused(why) => Err(RigError::Broken(why)),
            answer => Ok(answer),
        }
    }

    /// The frames that left until now.
    fn take_frames(&mut self) -> Result<(), RigError> {
        // They left at the time of the stack's clock, or a little later.
        let (at, late) = (self.now(), self.clock.late_for(self.stack_time()));
        let mut quiet = 0;
        loop {
            let frames = self.guest()?.frames()?;
            let more = Guest::may_have_more(frames.len());
            let none = frames.is_empty();
            let seen = |bytes| Event::Frame(SeenFrame { at, late, bytes, packet: None });
            self.events.extend(frames.into_iter().map(seen));
            if quiet == 0 && !more {
                return Ok(());
            }
            // QEMU hands out the rest when it is at its own affairs, which it is on the way of a question.
            quiet = if none { quiet - 1 } else { 2 };
            if quiet == 0 {
                return Ok(());
            }
            self.guest()?.ask(&Request::Read(OfTheStack::Skb))?;
        }
    }

    fn go_on(&mut self, until: u64) -> Result<(), RigError> {
        let stirred = std::mem::take(&mut self.is_stirred);
        self.ask(&Request::Advance { limit: until, stirred }).map(drop)
    }

    /// The stack's clock, since the first step.
    fn stack_time(&self) -> Nanos {
        self.state.now.saturating_sub(self.origin)
    }

    /// When something is due next, since the first step.
    fn due(&self) -> Option<Nanos> {
        self.state.due.map(|due| due.saturating_sub(self.origin))
    }

    /// In real time, brings the stack's clock to the time that it is.
    fn catch_up(&mut self) -> Result<(), RigError> {
        let Some(now) = self.clock.elapsed() else { return Ok(()) };
        let now = self.origin.saturating_add(now);
        while self.state.now < now || self.is_stirred {
            if let Some(due) = self.due() {
                self.clock.late_for(due);
            }
            self.go_on(now)?;
        }
        Ok(())
    }

    /// In real time, lets time pass up to `until` or the next event, which is handed out.
    fn follow(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        loop {
            self.catch_up()?;
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if self.now() >= until {
                return Ok(None);
            }
            self.clock.sleep(self.due(), until);
        }
    }

    /// Lets time pass until something is due, or `bound` by the stack's clock.
    fn step(&mut self, bound: u64) -> Result<(), RigError> {
        let next = self.state.due.map_or(bound, |due| due.clamp(self.state.now, bound));
        if self.clock.elapsed().is_none() {
            return self.go_on(next);
        }
        self.clock.sleep(self.due(), next.saturating_sub(self.origin));
        self.catch_up()
    }

    /// Whether packets could leave, were it not for the cable or an administrator.
    fn is_ready(&self) -> bool {
        let has_cable = self.guest.as_ref().is_some_and(|guest| guest.has_cable);
        self.state.settled && (self.state.carrier || !has_cable || !self.state.up)
    }
}

impl Rig for QemuRig {
    fn kind(&self) -> RigKind {
        RigKind::Qemu
    }

    fn version(&self, of: &str) -> Option<String> {
        (of == "qemu").then(|| self.pool.version().to_owned())
    }

    fn is_virtual(&self) -> bool {
        self.clock.elapsed().is_none()
    }

    fn now(&self) -> Nanos {
        self.clock.elapsed().unwrap_or_else(|| self.stack_time())
    }

    fn start(&mut self, call: CallId, cpu: Option<u32>, syscall: &Syscall) -> Result<(), RigError> {
        let cpu = u8::try_from(cpu.unwrap_or(0)).unwrap_or(u8::MAX);
        if let Some((wrong, on)) = self.accident.take() {
            self.ask(&Request::GoWrong(wrong, on))?;
        }
        self.catch_up()?;
        self.is_stirred = true;
        self.ask(&Request::Call(call, cpu, syscall.clone())).map(drop)
    }

    fn command(&mut self, command: &Command) -> Result<CommandResult, RigError> {
        self.catch_up()?;
        self.is_stirred = true;
        if let Answer::Command(result) = self.ask(&Request::Command(command.words.clone()))? {
            return Ok(result);
        }
        let bound = self.state.now.saturating_add(CARRIER_BOUND);
        let words: Vec<_> = command.words.iter().map(String::as_str).collect();
        let resets = control::parse(&words).is_ok_and(|parsed| resets_port(&parsed));
        while !(self.state.settled && (!resets || self.is_ready())) {
            if self.state.now >= bound {
                let seconds = CARRIER_BOUND / 1_000_000_000;
                let what = if resets { "no carrier" } else { "no rest" };
                let what = format!("{what} {seconds} s after `{}`", command.words.join(" "));
                return Err(RigError::Broken(what));
            }
            self.step(bound)?;
        }
        match self.ask(&Request::Printed)? {
            Answer::Command(result) => Ok(result),
            other => Err(RigError::Broken(format!("the guest prints {other:?}"))),
        }
    }

    fn sysfs(&mut self, path: &str, value: &str) -> Result<CommandResult, RigError> {
        self.catch_up()?;
        self.is_stirred = true;
        match self.ask(&Request::Sysfs(path.to_owned(), value.to_owned()))? {
            Answer::Command(result) => Ok(result),
            other => Err(RigError::Broken(format!("the guest writes {other:?}"))),
        }
    }

    fn inject(&mut self, frame: &[u8]) -> Result<(), RigError> {
        if !self.hears() {
            // A NIC that does not listen hears nothing. QEMU would keep the frame until it does.
            return Ok(());
        }
        let wanted = self.now();
        self.catch_up()?;
        self.is_stirred = true;
        if self.guest()?.on_the_way() >= AT_ONCE_MAX {
            self.go_on(self.state.now)?;
        }
        self.guest()?.inject(frame)?;
        self.clock.injected(wanted);
        Ok(())
    }

    fn hears(&self) -> bool {
        self.state.up && self.state.carrier
    }

    fn last_lateness(&self) -> Nanos {
        self.clock.injected_late()
    }

    fn set_link(&mut self, up: bool) -> Result<(), RigError> {
        self.catch_up()?;
        self.is_stirred = true;
        self.guest()?.set_link(up)
    }

    fn advance(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        if !self.is_virtual() {
            return self.follow(until);
        }
        let until = self.origin.saturating_add(until);
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let is_due = self.state.due.is_some_and(|due| due <= until);
            if self.state.now >= until && !is_due && !self.is_stirred {
                return Ok(None);
            }
            self.go_on(until)?;
        }
    }

    fn read(&mut self, source: &Source) -> Result<Readings, RigError> {
        let request = match source {
            Source::TcpInfo(name) => Request::TcpInfo(name.clone()),
            source => Request::Read(of_the_stack(source)?),
        };
        match self.ask(&request)? {
            Answer::Readings(readings) => Ok(readings),
            other => Err(RigError::Broken(format!("the guest reads {other:?}"))),
        }
    }

    fn journey(&mut self) -> Option<&Journey> {
        if self.trouble.is_none() {
            match self.ask(&Request::Trace) {
                Ok(Answer::Trace(tale)) => self.journal.absorb_tale(tale),
                Ok(other) => self.trouble = Some(format!("the guest tells {other:?}")),
                Err(error) => self.trouble = Some(error.to_string()),
            }
        }
        Some(self.journal.journey())
    }

    fn finish(&mut self) -> Finished {
        if let Some(guest) = self.guest.take() {
            self.pool.give_back(guest);
        }
        let violations = self.trouble.take().into_iter().collect();
        Finished { violations, lateness: self.clock.worst(), ..Finished::default() }
    }
}

impl Drop for QemuRig {
    fn drop(&mut self) {
        self.finish();
    }
}
