//! The rigs that are built, by their kind.

use super::factory::RigFactory;
use crate::case::model::{RigKind, Trial};
use crate::rig::{Rig, RigError, emu, linux};

/// The factory of a rig.
///
/// # Errors
/// Why it cannot be had on this machine, and what would get it.
pub fn factory(kind: RigKind) -> Result<Box<dyn RigFactory>, String> {
    match kind {
        RigKind::Emu => Ok(Box::new(EmuFactory)),
        RigKind::Linux => match linux::unusable() {
            None => Ok(Box::new(LinuxFactory)),
            Some(why) => Err(format!("{why}; `wireproof doctor --rig linux` says more")),
        },
        RigKind::Qemu | RigKind::Vfio => Err(format!("the {} rig is not built yet", kind.name())),
    }
}

struct EmuFactory;

impl RigFactory for EmuFactory {
    fn kind(&self) -> RigKind {
        RigKind::Emu
    }

    fn missing(&self, _trial: &Trial) -> Option<String> {
        None
    }

    fn create(&self, trial: &Trial) -> Result<Box<dyn Rig>, RigError> {
        Ok(Box::new(emu::EmuRig::new(trial)?))
    }
}

struct LinuxFactory;

impl RigFactory for LinuxFactory {
    fn kind(&self) -> RigKind {
        RigKind::Linux
    }

    fn missing(&self, trial: &Trial) -> Option<String> {
        linux::missing(trial)
    }

    fn create(&self, _trial: &Trial) -> Result<Box<dyn Rig>, RigError> {
        Ok(Box::new(linux::LinuxRig::new()?))
    }
}
