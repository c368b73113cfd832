//! Guests that have booted and wait for a trial: one boot serves many.

use super::acceleration;
use super::guest::Guest;
use super::image;
use super::machine::{Hardware, Machine};
use super::options::{Accel, Accident, ClockKind, Options};
use super::program::{self, Qemu};
use crate::case::model::{Trial, topology};
use crate::rig::{Cpus, RigError};
use guest::protocol::{Identity, State, Wrong};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// After so many boots one after the other of which none came up, no more are tried.
const BOOTS_IN_VAIN: u32 = 3;

/// The guests of a run. Those that wait end with it.
pub struct Pool {
    qemu: Qemu,
    image: &'static Path,
    options: Options,
    accident: Option<Accident>,
    /// Why the CPU is had as it is, where that was left open.
    note: Option<String>,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    idle: Vec<Guest>,
    /// Boots that did not come up since one did.
    in_vain: u32,
}

impl Pool {
    /// A pool without guests; the image is built where it is stale.
    ///
    /// # Errors
    /// Why there can be no guests.
    pub fn new(qemu: Qemu, mut options: Options) -> Result<Self, String> {
        let accident = Accident::asked_for()?;
        if options.accel == Accel::Kvm {
            // Before the image is built.
            program::kvm().map_err(acceleration::refused)?;
        }
        let image = image::image()?;
        let tried = |patience| acceleration::try_kvm(&qemu, image, patience);
        let (accel, note) = acceleration::choose(options.accel, options.patience, tried)?;
        options.accel = accel;
        Ok(Self { qemu, image, options, accident, note, inside: Mutex::default() })
    }

    /// A guest that waits, or a new one, on a machine with so many CPUs; with a new stack that is up, and how things stand with it.
    ///
    /// # Errors
    /// When QEMU cannot be started, or the stack does not come up.
    pub fn begin(&self, cpus: u8, identity: Identity) -> Result<(Guest, State), RigError> {
        let mut guest = match self.waiting(cpus) {
            Some(guest) => guest,
            None => self.boot(cpus)?,
        };
        let is_new = !guest.has_served();
        let begun = guest.begin(identity);
        if is_new {
            let mut inside = self.inside();
            inside.in_vain = if begun.is_ok() { 0 } else { inside.in_vain + 1 };
        }
        begun.map(|state| (guest, state))
    }

    fn waiting(&self, cpus: u8) -> Option<Guest> {
        let mut inside = self.inside();
        let at = inside.idle.iter().rposition(|guest| guest.cpus() == cpus)?;
        Some(inside.idle.remove(at))
    }

    fn boot(&self, cpus: u8) -> Result<Guest, RigError> {
        let in_vain = self.inside().in_vain;
        if in_vain >= BOOTS_IN_VAIN {
            return Err(RigError::Broken(format!(
                "QEMU is not started any more: {in_vain} boots one after the other did not come up, as the trials before say"
            )));
        }
        let Options { accel, clock, .. } = self.options;
        let is_urgent = clock == ClockKind::Real;
        let hardware = Hardware { mac: topology::SUT_MAC, cpus, accel, is_urgent };
        let machine = Machine::start(&self.qemu, self.image, hardware)?;
        Ok(Guest::new(machine, self.options.patience))
    }

    /// A guest whose trial is over. One with which nobody can go on ends here.
    pub fn give_back(&self, guest: Guest) {
        if guest.is_healthy() && !self.options.isolated {
            self.inside().idle.push(guest);
        }
    }

    /// Lets go of all guests that wait but one for each number of CPUs: which trials ran at the same time no longer shows.
    pub fn rest(&self) {
        let mut kept = BTreeSet::new();
        let mut inside = self.inside();
        let (stay, go): (Vec<_>, Vec<_>) = inside.idle.drain(..).partition(|guest| kept.insert(guest.cpus()));
        inside.idle = stay;
        drop(inside);
        // Each takes its time to end.
        drop(go);
    }

    /// What people should know before the run.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// QEMU's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.qemu.version
    }

    /// Whom the stack's clock follows.
    #[must_use]
    pub fn clock(&self) -> ClockKind {
        self.options.clock
    }

    /// How long a guest may take to answer, in real time.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.options.patience
    }

    /// How the guest is to go wrong in a trial, and on which CPU, for tests of the rig.
    #[must_use]
    pub fn accident(&self, trial: &str) -> Option<(Wrong, u8)> {
        self.accident.as_ref().and_then(|accident| accident.of(trial))
    }

    /// Why no guest goes wrong in these trials, though one is to.
    #[must_use]
    pub fn nobody_goes_wrong(&self, trials: &[&Trial]) -> Option<String> {
        let names: Vec<_> = trials.iter().map(|trial| (trial.name(), Cpus::of(trial).at_work)).collect();
        self.accident.as_ref()?.misses(names.iter().map(|(name, cpus)| (name.as_str(), *cpus)))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
