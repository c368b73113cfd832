//! One of several hosts of a simulation: the whole of the rig, without a case. Who simulates makes the calls and carries
//! the frames.

use super::bring_up::{self, Identity};
use super::{EmuRig, Event};
use crate::case::model::Nanos;
use crate::rig::{Rig as _, RigError};
use stack_under_test::stack::Stack;
use stack_under_test::tcp::Usage;
use stack_under_test::time::Instant;

/// A stack with its driver on a NIC of its own. Times are since its first step.
pub struct Host {
    rig: EmuRig,
    /// What was in use at the first step: the buffers in the receive rings.
    at_rest: Usage,
}

impl Host {
    /// A host that is up and has carrier, after these commands.
    ///
    /// # Errors
    /// When it does not come up, or refuses a command.
    pub fn new(identity: &Identity, commands: &[String]) -> Result<Self, RigError> {
        let mut rig = bring_up::boot(identity)?;
        rig.stack.trace_mut().set_on(false);
        rig.agent.retired = true;
        for command in commands {
            rig.configured(command)?;
        }
        let calm = rig.now + bring_up::CALM;
        while rig.tick(calm)? {}
        rig.events.clear();
        rig.origin = rig.now;
        let at_rest = rig.stack.usage();
        Ok(Self { rig, at_rest })
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.rig.now()
    }

    /// The stack, and the present as it counts.
    pub fn stack(&mut self) -> (&mut Stack, Instant) {
        (&mut self.rig.stack, Instant(self.rig.now))
    }

    /// A command of an administrator, and until the device has done it.
    ///
    /// # Errors
    /// When it is refused, or there is no carrier afterwards.
    pub fn command(&mut self, line: &str) -> Result<(), RigError> {
        self.rig.configured(line)
    }

    /// How often the driver has rung for a packet: writes of the tail of a transmit ring.
    #[must_use]
    pub fn doorbells(&self) -> u64 {
        self.rig.machine.borrow().doorbells
    }

    /// How many interrupts the stack has taken, of all vectors.
    #[must_use]
    pub fn interrupts(&self) -> u64 {
        self.rig.stack.interrupts().map(|(_, taken)| taken).sum()
    }

    /// When something is due next in the NIC or the stack. It may be the present.
    pub fn next_due(&mut self) -> Option<Nanos> {
        let due = self.rig.next_due();
        due.map(|at| at.saturating_sub(self.rig.origin).max(self.rig.now()))
    }

    /// Goes on to `at`, and does everything that is due until then.
    ///
    /// # Errors
    /// When device and driver keep each other busy without time passing.
    pub fn go_to(&mut self, at: Nanos) -> Result<(), RigError> {
        let limit = self.rig.origin.saturating_add(at);
        while self.rig.tick(limit)? {}
        Ok(())
    }

    /// The next frame that left the NIC, and when.
    pub fn next_frame(&mut self) -> Option<(Nanos, Vec<u8>)> {
        loop {
            if let Event::Frame(frame) = self.rig.events.pop_front()? {
                return Some((frame.at, frame.bytes));
            }
        }
    }

    /// A frame arrives now.
    ///
    /// # Errors
    /// Never, as it is today.
    pub fn receive(&mut self, frame: &[u8]) -> Result<(), RigError> {
        self.rig.inject(frame)
    }

    /// What is in use beyond what the rings hold at rest.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let usage = self.rig.stack.usage();
        Usage {
            heads: usage.heads.saturating_sub(self.at_rest.heads),
            pages: usage.pages.saturating_sub(self.at_rest.pages),
            ..usage
        }
    }

    /// The rules of memory and registers that were broken since this was last asked.
    pub fn violations(&mut self) -> Vec<String> {
        self.rig.machine.borrow_mut().take_violations()
    }
}

impl EmuRig {
    fn configured(&mut self, line: &str) -> Result<(), RigError> {
        self.configure(&line.split(' ').collect::<Vec<_>>())?;
        self.wait_until("there is carrier again", Self::is_ready)
    }
}
