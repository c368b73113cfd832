//! From a stopped device to the first step: probed, up and with carrier, and the address of the topology.

use super::device::Interrupts;
use super::kernel_log::KernelLog;
use super::lab::{Ends, Shared};
use super::of_qemu;
use super::{RealTime, VfioRig};
use crate::case::model::topology;
use crate::rig::RigError;
use crate::rig::emu::journal::Journal;
use crate::rig::linux::lab::file::Sabotage;
use crate::rig::linux::moments::Moments;
use guest::agent::Agent;
use stack_under_test::control;
use stack_under_test::stack::{Config, Stack};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// How long what the bring-up set off may take to come to rest.
const CALM: Duration = Duration::from_millis(2);

impl VfioRig {
    /// A stack on the port of a lab, at its first step.
    ///
    /// # Errors
    /// When it does not come up; the lab has its ports again.
    ///
    /// # Panics
    /// When the lab's file asks for it.
    pub fn new(shared: &Arc<Shared>) -> Result<Self, RigError> {
        let mut rig = Self::stopped(shared)?;
        let now = rig.clock();
        rig.stack.start(now);
        rig.wait_until("the device is probed", |rig| rig.stack.is_started() && rig.stack.is_settled())?;
        rig.configure(&["ip", "link", "set", "dev", "eth0", "up"])?;
        rig.wait_until("there is carrier (is the cable plugged in at both ends?)", Self::is_ready)?;
        rig.shared.check_speed().map_err(RigError::Broken)?;
        rig.configure(&["ip", "addr", "add", &format!("{}/24", topology::SUT_IP), "dev", "eth0"])?;
        if of_qemu::version().is_some() {
            rig.configure(&of_qemu::LEFT_TO_THE_STACK)?;
        }
        // The driver's first poll and the qdisc's first run belong to the bring-up, not to the first step.
        let calm = Instant::now() + CALM;
        while Instant::now() < calm {
            rig.serve(calm.saturating_duration_since(Instant::now()))?;
        }
        match rig.shared.sabotage {
            None => {}
            Some(Sabotage::Memory) => rig.ends()?.device.take_memory_away().map_err(RigError::Broken)?,
            Some(Sabotage::Panic) => panic!("on purpose, as the lab's file says `sabotage: panic`"),
        }
        rig.stack.trace_mut().take();
        rig.stack.trace_mut().set_on(true);
        let origin = rig.clock();
        rig.journal.begin(origin.0);
        Ok(rig)
    }

    /// A stack that has not begun.
    fn stopped(shared: &Arc<Shared>) -> Result<Self, RigError> {
        let ends = shared.take().map_err(RigError::Broken)?;
        match Self::with(ends, shared) {
            Ok(rig) => Ok(rig),
            Err((ends, why)) => {
                shared.give_back(*ends);
                Err(RigError::Broken(why))
            }
        }
    }

    fn with(mut ends: Ends, shared: &Arc<Shared>) -> Result<Self, (Box<Ends>, String)> {
        let log = KernelLog::from_now();
        // Frames of the trial before that nobody waited for are none of this one.
        loop {
            match ends.wire.next() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(why) => return Err((Box::new(ends), why)),
            }
        }
        if let Err(why) = ends.device.start() {
            return Err((Box::new(ends), why));
        }
        let mut config = Config::default();
        config.igb.device = ends.id;
        config.igb.mac = Some(topology::SUT_MAC);
        config.igb.msix = ends.device.interrupts() == Interrupts::Msix;
        let mut lease = ends.device.lease();
        // Descriptors of the trial before are none of this one.
        lease.memory.zero(config.pool.coherent_at(), config.pool.coherent_bytes as usize);
        let mut stack = Stack::new(&config, lease.memory, Box::new(lease.bus));
        stack.trace_mut().set_on(false);
        let (to, happenings) = channel();
        Ok(Self {
            stack,
            agent: Agent::default(),
            journal: Journal::default(),
            ends: Some(ends),
            shared: Arc::clone(shared),
            moments: Moments::new(happenings),
            to,
            began: Instant::now(),
            log,
            has_cable: true,
            last_lateness: 0,
            _soon: RealTime::begin(),
        })
    }

    fn configure(&mut self, words: &[&str]) -> Result<(), RigError> {
        let broken = |why: String| RigError::Broken(format!("`{}`: {why}", words.join(" ")));
        let command = control::parse(words).map_err(|error| broken(error.message))?;
        let now = self.clock();
        self.stack.control(now, &command).map_err(|refusal| broken(refusal.message))
    }
}
