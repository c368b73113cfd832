//! The rigs that are built, by their kind.

use super::factory::RigFactory;
use crate::case::model::{CheckItem, RigKind, Trial};
use crate::rig::linux::wire::WireKind;
use crate::rig::{Rig, RigError, emu, linux};
use std::path::PathBuf;

/// What a rig is to be made with, where it has a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct With {
    /// The wire of the linux rig.
    pub wire: WireKind,
    /// The description of a lab.
    pub lab: Option<PathBuf>,
}

/// The factory of a rig.
///
/// # Errors
/// Why it cannot be had on this machine, and what would get it.
pub fn factory(kind: RigKind, with: &With) -> Result<Box<dyn RigFactory>, String> {
    if with.lab.is_some() {
        return Err(format!("rig {} has no lab to describe; --lab is for vfio", kind.name()));
    }
    match kind {
        RigKind::Emu => Ok(Box::new(EmuFactory)),
        RigKind::Linux => match linux::unusable(with.wire) {
            None => Ok(Box::new(LinuxFactory { wire: with.wire })),
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

struct LinuxFactory {
    wire: WireKind,
}

impl RigFactory for LinuxFactory {
    fn kind(&self) -> RigKind {
        RigKind::Linux
    }

    fn missing(&self, trial: &Trial) -> Option<String> {
        linux::missing(trial, self.wire)
    }

    fn unreadable(&self, item: &CheckItem) -> Option<String> {
        linux::unreadable(item)
    }

    fn create(&self, _trial: &Trial) -> Result<Box<dyn Rig>, RigError> {
        Ok(Box::new(linux::LinuxRig::new(self.wire)?))
    }
}
