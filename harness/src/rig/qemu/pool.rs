//! Guests that have booted and wait for a trial: one boot serves many.

use super::guest::Guest;
use super::image;
use super::machine::{Accel, Machine};
use super::program::Qemu;
use crate::case::model::topology;
use crate::rig::RigError;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The guests of a run. Those that wait end with it.
pub struct Pool {
    qemu: Qemu,
    image: &'static Path,
    /// Each trial has a boot of its own.
    isolated: bool,
    accel: Accel,
    idle: Mutex<Vec<Guest>>,
}

impl Pool {
    /// A pool without guests; the image is built where it is stale.
    ///
    /// # Errors
    /// Why there can be no guests.
    pub fn new(qemu: Qemu, isolated: bool, accel: Accel) -> Result<Self, String> {
        Ok(Self { qemu, image: image::image()?, isolated, accel, idle: Mutex::default() })
    }

    /// A guest that waits, or one that boots.
    ///
    /// # Errors
    /// When QEMU cannot be started.
    pub fn take(&self) -> Result<Guest, RigError> {
        let waiting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match waiting {
            Some(guest) => Ok(guest),
            None => Ok(Guest::new(Machine::start(&self.qemu, self.image, topology::SUT_MAC, self.accel)?)),
        }
    }

    /// A guest whose trial is over. One with which nobody can go on ends here.
    pub fn give_back(&self, guest: Guest) {
        if guest.is_healthy() && !self.isolated {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(guest);
        }
    }

    /// QEMU's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.qemu.version
    }
}
