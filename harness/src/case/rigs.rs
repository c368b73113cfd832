//! `rigs:` - which rigs a case or a check is for, and why no others.

use super::model::RigKind;
use std::fmt;

/// The rigs that a case or a check is limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rigs {
    /// These, and no other; at least one.
    pub only: Vec<RigKind>,
    /// Qemu, the only one with a choice of clocks, not in real time.
    pub is_virtual: bool,
    /// Linux, the only one with a choice of ports, on one that its igb drives.
    pub is_igb: bool,
    /// What the others cannot do.
    pub because: Option<String>,
}

/// A rig, with what `rigs:` can say of it besides its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Here {
    /// Which.
    pub rig: RigKind,
    /// Whether its time is virtual.
    pub is_virtual: bool,
    /// Whether the kernel's igb drives its port.
    pub is_igb: bool,
}

impl Rigs {
    /// Whether a rig is one of them, in virtual time or on an igb at least.
    #[must_use]
    pub fn contains(&self, rig: &RigKind) -> bool {
        self.only.contains(rig)
    }

    /// Their names, that of linux with the port that it needs.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let name = |rig: &RigKind| match rig {
            RigKind::Linux if self.is_igb => "linux on an igb",
            rig => rig.name(),
        };
        self.only.iter().map(name).collect()
    }

    /// Whether a rig is one of them, with the time and the port that it has.
    #[must_use]
    pub fn allow(&self, here: Here) -> bool {
        self.contains(&here.rig)
            && (here.is_virtual || !self.is_virtual || here.rig != RigKind::Qemu)
            && (here.is_igb || !self.is_igb || here.rig != RigKind::Linux)
    }
}

/// `emu, qemu only: a TAP has no ring`, `vfio, linux on an igb only: …`, `emu, qemu only, qemu in virtual time: …`.
impl fmt::Display for Rigs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} only{}",
            self.names().join(", "),
            if self.is_virtual { ", qemu in virtual time" } else { "" },
        )?;
        self.because.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}
