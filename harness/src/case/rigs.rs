//! `rigs:` - which rigs a case or a check is for, and why no others.

use super::model::RigKind;
use std::fmt;

/// The rigs that a case or a check is limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rigs {
    /// These, and no other; at least one.
    pub only: Vec<RigKind>,
    /// What the others cannot do.
    pub because: Option<String>,
}

impl Rigs {
    /// Whether a rig is one of them.
    #[must_use]
    pub fn contains(&self, rig: &RigKind) -> bool {
        self.only.contains(rig)
    }
}

/// `emu, qemu only: a TAP has no ring`.
impl fmt::Display for Rigs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.only.iter().map(|rig| rig.name()).collect();
        write!(f, "{} only", names.join(", "))?;
        self.because.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}
