//! A guest that is asked for something and answers: one QEMU, for one trial after the other.

use super::machine::Machine;
use crate::rig::RigError;
use crate::rig::linux::ioctl;
use crate::rig::stop;
use guest::protocol::{Answer, Identity, Reply, Request, State};
use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// How long QEMU may take to take a frame from the cable; what it does not take then, its NIC has no room for.
const TAKES: Duration = Duration::from_millis(50);
/// The longest frame that a NIC with jumbo frames sends, with room.
const FRAME_MAX: usize = 16 * 1024;
/// More frames than this in one go may have filled the cable's socket: QEMU keeps the rest, and hands it out when it finds the time.
const MAY_BE_MORE: usize = 8;

/// A guest.
pub struct Guest {
    machine: Machine,
    /// How long an answer may take, in real time.
    patience: Duration,
    /// Whether it was asked, or QEMU was, and has not answered: then nobody can go on with it.
    owes_an_answer: bool,
    /// Bytes of the heap in use before the first stack: before each it is as many.
    heap: Option<u64>,
    /// Whether the cable is plugged.
    pub has_cable: bool,
    /// How many frames are on their way to it.
    injected: u32,
}

impl Guest {
    /// A guest that boots.
    #[must_use]
    pub fn new(machine: Machine, patience: Duration) -> Self {
        Self { machine, patience, owes_an_answer: false, heap: None, has_cable: true, injected: 0 }
    }

    /// A new stack that is up; what the one before has sent is gone. How things stand with it.
    ///
    /// # Errors
    /// When it does not come up, or left something behind.
    pub fn begin(&mut self, identity: Identity) -> Result<State, RigError> {
        if !self.has_cable {
            self.set_link(true)?;
        }
        let Reply { answer, state } = self.ask(&Request::Begin(identity))?;
        if let Answer::Refused(why) = answer {
            return Err(RigError::Broken(why));
        }
        while !self.frames()?.is_empty() {}
        if !self.has_served() {
            self.machine.tell_of_resets(Instant::now() + self.patience)?;
        }
        match self.heap.replace(state.heap) {
            Some(before) if before != state.heap => Err(RigError::Broken(format!(
                "the stack before left something behind: {before} bytes of the guest's heap were in use, and now {}",
                state.heap
            ))),
            _ => Ok(state),
        }
    }

    /// How many CPUs its machine has.
    #[must_use]
    pub fn cpus(&self) -> u8 {
        self.machine.hardware.cpus
    }

    /// Whether a stack has come up on it.
    #[must_use]
    pub fn has_served(&self) -> bool {
        self.heap.is_some()
    }

    /// Whether another trial may follow.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.owes_an_answer
    }

    /// Asks, and waits for the answer. What was injected before has arrived then.
    ///
    /// # Errors
    /// What became of a guest that does not answer.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, RigError> {
        if self.owes_an_answer {
            // What became of it was told when it did not answer.
            return Err(RigError::Broken("the guest does not answer".to_owned()));
        }
        self.deliver();
        self.owes_an_answer = true;
        let deadline = Instant::now() + self.patience;
        self.machine.send(&request.encode(), deadline)?;
        let message = self.machine.receive(deadline)?;
        let reply = Reply::decode(&message).ok_or_else(|| {
            RigError::Broken("the guest gave an answer that the harness does not understand".to_owned())
        })?;
        self.owes_an_answer = false;
        Ok(reply)
    }

    /// Frames that the NIC has sent.
    ///
    /// # Errors
    /// When the cable is broken.
    pub fn frames(&mut self) -> Result<Vec<Vec<u8>>, RigError> {
        let mut frames = Vec::new();
        let mut bytes = [0; FRAME_MAX];
        loop {
            match self.machine.wire.recv(&mut bytes) {
                Ok(count) => frames.push(bytes[..count].to_vec()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(frames),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(RigError::Broken(format!("the cable to QEMU: {error}"))),
            }
        }
    }

    /// Whether QEMU may have more frames than these, and needs to be let at its own affairs for them.
    #[must_use]
    pub fn may_have_more(frames: usize) -> bool {
        frames >= MAY_BE_MORE
    }

    /// Puts a frame on the cable.
    ///
    /// # Errors
    /// When QEMU takes none.
    pub fn inject(&mut self, frame: &[u8]) -> Result<(), RigError> {
        let deadline = Instant::now() + self.patience;
        loop {
            match self.machine.wire.send(frame) {
                Ok(_) => {
                    self.injected += 1;
                    return Ok(());
                }
                Err(error)
                    if error.kind() == ErrorKind::WouldBlock
                        && Instant::now() < deadline
                        && !stop::wanted() =>
                {
                    std::thread::sleep(Duration::from_micros(50));
                }
                Err(error) => {
                    self.owes_an_answer = true;
                    return Err(RigError::Broken(format!("QEMU takes no frame: {error}")));
                }
            }
        }
    }

    /// How many frames were injected since something was asked.
    #[must_use]
    pub fn on_the_way(&self) -> u32 {
        self.injected
    }

    /// Waits until QEMU has taken what was injected: it comes before what is asked then.
    fn deliver(&mut self) {
        if std::mem::take(&mut self.injected) == 0 {
            return;
        }
        let deadline = Instant::now() + TAKES;
        while ioctl::not_taken(self.machine.wire.as_fd()).is_ok_and(|bytes| bytes > 0)
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_micros(20));
        }
    }

    /// Pulls the cable, or puts it back.
    ///
    /// # Errors
    /// When QEMU does not do it.
    pub fn set_link(&mut self, up: bool) -> Result<(), RigError> {
        self.deliver();
        let before = std::mem::replace(&mut self.owes_an_answer, true);
        self.machine.set_link(up, Instant::now() + self.patience)?;
        self.owes_an_answer = before;
        self.has_cable = up;
        Ok(())
    }
}
