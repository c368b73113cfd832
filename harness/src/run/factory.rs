//! Makes a fresh rig for each trial, so that trials are independent of each other and of their order.

use crate::case::model::{CheckItem, RigKind, Trial};
use crate::case::rigs::Here;
use crate::rig::{Rig, RigError};

/// Makes rigs of one kind. Shared by all worker threads; a rig itself stays in its thread.
pub trait RigFactory: Send + Sync {
    /// Which of the four.
    fn kind(&self) -> RigKind;

    /// Whether its rigs' time is virtual, so that waiting is free; a trial with a real peer is in real time on any rig.
    fn is_virtual(&self) -> bool {
        self.kind() == RigKind::Emu
    }

    /// Whether the kernel's igb drives the port of its rigs.
    fn is_igb(&self) -> bool {
        false
    }

    /// What `rigs:` of a case can tell of it.
    fn here(&self) -> Here {
        Here { rig: self.kind(), is_virtual: self.is_virtual(), is_igb: self.is_igb() }
    }

    /// What a trial needs that this machine does not have; it is skipped with this reason. `None`: it can run.
    fn missing(&self, trial: &Trial) -> Option<String>;

    /// What people should know of the rig before a run.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Why these trials cannot be run as asked, found before the first. `None`: they can.
    fn objection(&self, _trials: &[&Trial]) -> Option<String> {
        None
    }

    /// How many trials may run at once, at most; `None`: as many as one likes.
    fn at_once(&self) -> Option<usize> {
        None
    }

    /// Why this rig, or this machine, cannot read what an item of a check asks for; the item is left out with this reason, and
    /// the rest of the trial runs. `None`: it can.
    fn unreadable(&self, _item: &CheckItem) -> Option<String> {
        None
    }

    /// Lets go of what it keeps for later trials, but for what does not depend on which of them ran at the same time: so that what is
    /// held between two rounds of a soak can be counted.
    fn rest(&self) {}

    /// A rig with the topology of the trial, up and with carrier, at the time of its first step.
    ///
    /// # Errors
    /// When it cannot be set up.
    fn create(&self, trial: &Trial) -> Result<Box<dyn Rig>, RigError>;
}

/// A factory around another, whose rigs it puts something around: all else is passed on here, and nowhere else.
pub trait Around: Send + Sync {
    /// The factory that makes them.
    fn inner(&self) -> &dyn RigFactory;

    /// Why a trial is of no use around a rig, whatever the rig can do; it is skipped with this reason.
    fn useless(&self, _trial: &Trial) -> Option<String> {
        None
    }

    /// Puts something around the rig of a trial.
    ///
    /// # Errors
    /// When the rig is broken.
    fn wrap(&self, rig: Box<dyn Rig>, trial: &Trial) -> Result<Box<dyn Rig>, RigError>;
}

impl<A: Around> RigFactory for A {
    fn kind(&self) -> RigKind {
        self.inner().kind()
    }

    fn is_virtual(&self) -> bool {
        self.inner().is_virtual()
    }

    fn is_igb(&self) -> bool {
        self.inner().is_igb()
    }

    fn missing(&self, trial: &Trial) -> Option<String> {
        self.useless(trial).or_else(|| self.inner().missing(trial))
    }

    fn notes(&self) -> Vec<String> {
        self.inner().notes()
    }

    fn objection(&self, trials: &[&Trial]) -> Option<String> {
        self.inner().objection(trials)
    }

    fn at_once(&self) -> Option<usize> {
        self.inner().at_once()
    }

    fn unreadable(&self, item: &CheckItem) -> Option<String> {
        self.inner().unreadable(item)
    }

    fn rest(&self) {
        self.inner().rest();
    }

    fn create(&self, trial: &Trial) -> Result<Box<dyn Rig>, RigError> {
        self.wrap(self.inner().create(trial)?, trial)
    }
}
