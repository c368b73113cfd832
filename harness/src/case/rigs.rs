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
    /// What the others cannot do.
    pub because: Option<String>,
}

impl Rigs {
    /// Whether a rig is one of them, in virtual time at least.
    #[must_use]
    pub fn contains(&self, rig: &RigKind) -> bool {
        self.only.contains(rig)
    }

    /// Whether a rig is one of them, with the time that it has: virtual or not.
    #[must_use]
    pub fn allow(&self, rig: RigKind, is_virtual: bool) -> bool {
        self.contains(&rig) && (is_virtual || !self.is_virtual || rig != RigKind::Qemu)
    }
}

/// `emu, qemu only: a TAP has no ring`, `emu, qemu only, qemu in virtual time: …`.
impl fmt::Display for Rigs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.only.iter().map(|rig| rig.name()).collect();
        write!(
            f,
            "{} only{}",
            names.join(", "),
            if self.is_virtual { ", qemu in virtual time" } else { "" }
        )?;
        self.because.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}
