//! Our stack, driver and emulated NIC in real time, with the Linux kernel at the other end of the cable.
//!
//! ```text
//! engine ─ calls ──→ EmuRig: stack, driver, NIC ── wire that loses, reorders, duplicates ── KernelPeer: eth0, programs
//! ```
//!
//! The emulator's clock follows the wall clock, a short step at a time; between two steps frames are taken from the kernel. Where the
//! machine is too slow, the emulated time falls behind, and no timer of the stack expires before what came is looked at.

pub mod impair;

use crate::case::model::{
    Action, Application, Command, Impairment, Nanos, PeerRun, RigKind, Source, Step, Syscall, Trial,
};
use crate::rig::emu::EmuRig;
use crate::rig::emu::apps::{App, Echo, HttpClient, HttpServer};
use crate::rig::linux::peer::{KernelPeer, Told, absent, unusable};
use crate::rig::{
    CallId, CommandResult, Event, FaultCount, Finished, Journey, Readings, Rig, RigError, SeenFrame,
};
use impair::{Done, Impaired};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far emulated time goes before frames are taken from the kernel again.
const STEP: Nanos = 200_000;
/// Frames that are taken at once: what a wire of 1 Gbit/s carries in a step.
const AT_ONCE: usize = 16;
/// The shortest frame, without its FCS.
const FRAME_MIN: usize = 60;
/// The longest sleep, in case a clock is set.
const NAP: Duration = Duration::from_millis(100);

/// A trial's system under test with a real peer.
pub struct PeerRig {
    emu: EmuRig,
    kernel: KernelPeer,
    /// The wall clock at the origin of emulated time.
    origin: Instant,
    to_peer: Impaired,
    from_peer: Impaired,
    /// Frames on their way; kept for its allocation.
    passing: Vec<Vec<u8>>,
    /// What happened and was not handed out yet.
    events: VecDeque<Event>,
}

/// Why this machine cannot run a trial with a real peer; `None`: it can.
#[must_use]
pub fn missing(trial: &Trial) -> Option<String> {
    let program = |step: &Step| match &step.action {
        Action::PeerRun(run) => run.words.first().and_then(|program| absent(program)),
        _ => None,
    };
    unusable().or_else(|| trial.steps.iter().find_map(program))
}

impl PeerRig {
    /// As a trial asks for it: our side as [`EmuRig::new`] makes it, the kernel's as [`KernelPeer::new`].
    ///
    /// # Errors
    /// When either cannot be had.
    pub fn new(trial: &Trial) -> Result<Self, RigError> {
        let impairment = trial.real_peer.unwrap_or_default();
        Ok(Self::of(EmuRig::new(trial)?, KernelPeer::new()?, impairment))
    }

    /// With a peer that was made before, and a wire that is good.
    ///
    /// # Errors
    /// When our side does not come up.
    pub fn with(kernel: KernelPeer) -> Result<Self, RigError> {
        Ok(Self::of(EmuRig::without_faults()?, kernel, Impairment::default()))
    }

    fn of(mut emu: EmuRig, kernel: KernelPeer, impairment: Impairment) -> Self {
        emu.keep_no_journey();
        Self {
            emu,
            kernel,
            origin: Instant::now(),
            to_peer: Impaired::new(impairment, 0),
            from_peer: Impaired::new(impairment, 1),
            passing: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// The other end.
    #[must_use]
    pub fn kernel(&self) -> &KernelPeer {
        &self.kernel
    }

    /// What the wire has done to frames: to the peer, and from it.
    #[must_use]
    pub fn impaired(&self) -> [Done; 2] {
        [self.to_peer.done, self.from_peer.done]
    }

    /// Starts an application on our side.
    pub fn start_app(&mut self, call: CallId, app: Box<dyn App>) {
        self.emu.start_app(call, app);
    }

    /// Starts an echo server on our side.
    pub fn echo(&mut self, call: CallId, port: u16) {
        self.start_app(call, Box::new(Echo::new(port)));
    }

    fn wall(&self) -> Nanos {
        Nanos::try_from(self.origin.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
    }

    /// What the emulator gave goes where it belongs: frames to the kernel, all to the engine.
    fn hand_on(&mut self) -> Result<(), RigError> {
        let now = self.emu.now();
        while let Some(event) = self.emu.take_event() {
            if let Event::Frame(frame) = &event {
                self.to_peer.pass(now, frame.bytes.clone(), &mut self.passing);
            }
            self.events.push_back(event);
        }
        self.to_peer.release(now, &mut self.passing);
        for frame in self.passing.drain(..) {
            self.kernel.send(&frame)?;
        }
        Ok(())
    }

    /// Something that the kernel's end told.
    fn told(&mut self, told: Told) {
        let at = self.emu.now();
        match told {
            Told::Frame(bytes) => self.from_peer.pass(at, bytes, &mut self.passing),
            Told::Ended(call, result) => self.events.push_back(Event::Returned { call, at, result }),
        }
    }

    /// Puts frames of the kernel on the emulated wire, as many as fit. `true`: there may be more.
    fn take_in(&mut self) -> Result<bool, RigError> {
        let mut count = 0;
        while count < AT_ONCE {
            let Some(told) = self.kernel.told(Duration::ZERO)? else { break };
            self.told(told);
            count += 1;
        }
        self.arrive()?;
        Ok(count == AT_ONCE)
    }

    /// Frames that passed the wire towards us arrive.
    fn arrive(&mut self) -> Result<(), RigError> {
        let at = self.emu.now();
        self.from_peer.release(at, &mut self.passing);
        for mut bytes in std::mem::take(&mut self.passing) {
            // The sender's NIC would have padded it; a TAP has none.
            bytes.resize(bytes.len().max(FRAME_MIN), 0);
            self.emu.inject(&bytes)?;
            self.events.push_back(Event::OfPeer(SeenFrame { at, late: 0, bytes, packet: None }));
        }
        Ok(())
    }

    /// Nothing is due: sleeps until something is, or the kernel tells something.
    fn sleep(&mut self, until: Nanos) -> Result<(), RigError> {
        let held = [self.to_peer.next_release(), self.from_peer.next_release()];
        let next = held.into_iter().flatten().chain(self.emu.next_event_at()).fold(until, Nanos::min);
        let time = Duration::from_nanos(next.saturating_sub(self.wall())).min(NAP);
        if time.is_zero() {
            return Ok(());
        }
        if let Some(told) = self.kernel.told(time)? {
            // It came now, not when the sleep began.
            let now = self.wall().min(next);
            while self.emu.go_on(now)? {}
            self.told(told);
            self.arrive()?;
        }
        Ok(())
    }
}

impl Rig for PeerRig {
    fn kind(&self) -> RigKind {
        RigKind::Emu
    }

    fn is_virtual(&self) -> bool {
        false
    }

    fn now(&self) -> Nanos {
        self.emu.now()
    }

    fn start(&mut self, call: CallId, cpu: Option<u32>, syscall: &Syscall) -> Result<(), RigError> {
        self.emu.start(call, cpu, syscall)
    }

    fn application(&mut self, call: CallId, application: &Application) -> Result<(), RigError> {
        let folder = self.kernel.folder();
        let app: Box<dyn App> = match application {
            Application::HttpServer { port } => {
                Box::new(HttpServer::new(*port, folder.clone(), "wireproof\n"))
            }
            Application::HttpGet(get) => {
                let broken = |e: std::io::Error| RigError::Broken(format!("{}: {e}", get.to));
                let file = folder.create(&get.to).map_err(broken)?;
                Box::new(HttpClient::new(get.clone(), file))
            }
        };
        self.start_app(call, app);
        Ok(())
    }

    fn peer_run(&mut self, call: CallId, run: &PeerRun) -> Result<(), RigError> {
        self.kernel.start(call, run)
    }

    fn command(&mut self, command: &Command) -> Result<CommandResult, RigError> {
        self.emu.command(command)
    }

    fn sysfs(&mut self, path: &str, value: &str) -> Result<CommandResult, RigError> {
        self.emu.sysfs(path, value)
    }

    fn inject(&mut self, frame: &[u8]) -> Result<(), RigError> {
        self.emu.inject(frame)
    }

    fn set_link(&mut self, up: bool) -> Result<(), RigError> {
        self.kernel.set_carrier(up)?;
        self.emu.set_link(up)
    }

    fn advance(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        loop {
            self.hand_on()?;
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let more = self.take_in()?;
            let now = self.emu.now();
            let limit = until.min(self.wall()).min(now.saturating_add(STEP)).max(now);
            // The whole step at once: what it gives is handed on after it.
            while self.emu.go_on(limit)? {}
            self.hand_on()?;
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if limit >= until {
                return Ok(None);
            }
            if !more && limit >= self.wall().saturating_sub(STEP) {
                self.sleep(until)?;
            }
        }
    }

    fn read(&mut self, source: &Source) -> Result<Readings, RigError> {
        self.emu.read(source)
    }

    fn fault_counts(&self) -> Vec<FaultCount> {
        self.emu.fault_counts()
    }

    fn journey(&mut self) -> Option<&Journey> {
        None
    }

    fn finish(&mut self) -> Finished {
        let mut finished = self.emu.finish();
        finished.violations.extend(self.kernel.stop());
        finished.lost_frames = self.kernel.lost();
        finished
    }
}
