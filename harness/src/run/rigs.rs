//! The rigs that are built, by their kind.

use super::factory::RigFactory;
use crate::case::model::{CheckItem, RigKind, Trial};
use crate::rig::linux::lab::{Lab, file::LabFile};
use crate::rig::linux::wire::WireKind;
use crate::rig::qemu::{self, ClockKind, QemuRig};
use crate::rig::vfio::lab::VfioLab;
use crate::rig::{Cpus, Rig, RigError, emu, linux, peer, vfio};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a rig is to be made with, where it has a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct With {
    /// The wire of the linux rig.
    pub wire: WireKind,
    /// The description of a lab.
    pub lab: Option<PathBuf>,
    /// Of the qemu rig.
    pub qemu: qemu::Options,
}

/// The factory of a rig.
///
/// # Errors
/// Why it cannot be had on this machine, and what would get it.
pub fn factory(kind: RigKind, with: &With) -> Result<Box<dyn RigFactory>, String> {
    match kind {
        RigKind::Linux if with.lab.is_some() => lab(with),
        RigKind::Vfio => taken(with),
        _ if with.lab.is_some() => {
            Err(format!("rig {} has no lab to describe; --lab is for linux and vfio", kind.name()))
        }
        _ if with.qemu.clock == ClockKind::Real && kind != RigKind::Qemu => {
            Err(format!("rig {} has no choice of clocks; --clock real is for qemu", kind.name()))
        }
        RigKind::Emu => Ok(Box::new(EmuFactory)),
        RigKind::Linux => match linux::unusable(with.wire) {
            None => Ok(Box::new(LinuxFactory { wire: with.wire })),
            Some(why) => Err(format!("{why}; `wireproof doctor --rig linux` says more")),
        },
        RigKind::Qemu => {
            let hint = "`wireproof doctor --rig qemu` says more";
            let qemu = qemu::program::find().map_err(|why| format!("{why}; {hint}"))?;
            Ok(Box::new(QemuFactory(Arc::new(qemu::Pool::new(qemu, with.qemu)?))))
        }
    }
}

fn read_lab(path: &Path) -> Result<LabFile, String> {
    LabFile::read(path).map_err(|problems| format!("the lab cannot be used:\n{problems}"))
}

/// Our stack on a real port.
fn taken(with: &With) -> Result<Box<dyn RigFactory>, String> {
    let path = with
        .lab
        .as_deref()
        .ok_or("it needs the description of a lab: --lab FILE, as fixtures/lab.example.yaml")?;
    Ok(Box::new(VfioFactory(VfioLab::open(&read_lab(path)?)?)))
}

/// The linux rig on a pair of real ports.
fn lab(with: &With) -> Result<Box<dyn RigFactory>, String> {
    let file = read_lab(with.lab.as_deref().unwrap_or_else(|| Path::new("")))?;
    if with.wire != WireKind::Auto {
        return Err("--wire is for the linux rig without --lab: a lab names its wire".to_owned());
    }
    Ok(Box::new(LabFactory(Lab::open(&file)?)))
}

struct EmuFactory;

impl RigFactory for EmuFactory {
    fn kind(&self) -> RigKind {
        RigKind::Emu
    }

    fn missing(&self, trial: &Trial) -> Option<String> {
        trial.real_peer.is_some().then(|| peer::missing(trial)).flatten()
    }

    fn create(&self, trial: &Trial) -> Result<Box<dyn Rig>, RigError> {
        if trial.real_peer.is_some() {
            return Ok(Box::new(peer::PeerRig::new(trial)?));
        }
        Ok(Box::new(emu::EmuRig::new(trial)?))
    }
}

struct QemuFactory(Arc<qemu::Pool>);

impl RigFactory for QemuFactory {
    fn kind(&self) -> RigKind {
        RigKind::Qemu
    }

    fn missing(&self, trial: &Trial) -> Option<String> {
        qemu::missing(trial)
    }

    fn is_virtual(&self) -> bool {
        self.0.clock() == ClockKind::Virtual
    }

    fn notes(&self) -> Vec<String> {
        self.0.note().map(str::to_owned).into_iter().collect()
    }

    fn objection(&self, trials: &[&Trial]) -> Option<String> {
        self.0.nobody_goes_wrong(trials)
    }

    fn rest(&self) {
        self.0.rest();
    }

    fn create(&self, trial: &Trial) -> Result<Box<dyn Rig>, RigError> {
        Ok(Box::new(QemuRig::new(&self.0, &trial.name(), Cpus::of(trial))?))
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

struct LabFactory(Lab);

impl RigFactory for LabFactory {
    fn kind(&self) -> RigKind {
        RigKind::Linux
    }

    fn is_igb(&self) -> bool {
        self.0.is_igb()
    }

    fn missing(&self, trial: &Trial) -> Option<String> {
        self.0.missing(trial)
    }

    fn unreadable(&self, item: &CheckItem) -> Option<String> {
        self.0.unreadable(item)
    }

    fn notes(&self) -> Vec<String> {
        self.0.notes().to_vec()
    }

    fn at_once(&self) -> Option<usize> {
        Some(1)
    }

    fn create(&self, trial: &Trial) -> Result<Box<dyn Rig>, RigError> {
        Ok(Box::new(linux::LinuxRig::in_a_lab(&self.0, trial)?))
    }
}

struct VfioFactory(VfioLab);

impl RigFactory for VfioFactory {
    fn kind(&self) -> RigKind {
        RigKind::Vfio
    }

    fn missing(&self, trial: &Trial) -> Option<String> {
        self.0.missing(trial)
    }

    fn notes(&self) -> Vec<String> {
        self.0.notes().to_vec()
    }

    fn at_once(&self) -> Option<usize> {
        Some(1)
    }

    fn create(&self, _trial: &Trial) -> Result<Box<dyn Rig>, RigError> {
        Ok(Box::new(vfio::VfioRig::new(self.0.shared())?))
    }
}
