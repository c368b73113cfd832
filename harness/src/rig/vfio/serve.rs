//! What happens around the stack in real time: interrupts, frames, what is due, and applications that can go on.

use super::VfioRig;
use super::lab::Ends;
use crate::rig::linux::Happening;
use crate::rig::{Finished, RigError};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use stack_under_test::time::Instant as Time;
use std::time::{Duration, Instant};

impl VfioRig {
    /// The stack's present.
    pub(super) fn clock(&self) -> Time {
        Time(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The device and the wire of this trial.
    pub(super) fn ends(&mut self) -> Result<&mut Ends, RigError> {
        self.ends.as_mut().ok_or_else(|| RigError::Broken("the trial is over".to_owned()))
    }

    pub(super) fn tell(&self, happening: Happening) {
        // The rig itself has the other end.
        drop(self.to.send(happening));
    }

    /// Waits for at most `longest`, until something happens or is due, and does what is to be done then.
    ///
    /// # Errors
    /// When the wire or the device is gone.
    pub(super) fn serve(&mut self, longest: Duration) -> Result<(), RigError> {
        let now = self.clock();
        let due = [self.stack.next_deadline(), self.agent.next_deadline()].into_iter().flatten().min();
        let due = due.map(|due| Duration::from_nanos(due.0.saturating_sub(now.0)));
        let (frames, vectors) = self.ends()?.wait(due.map_or(longest, |due| due.min(longest)))?;
        for vector in vectors {
            let now = self.clock();
            self.stack.interrupt(now, vector);
            self.ends()?.device.served().map_err(RigError::Broken)?;
        }
        let now = self.clock();
        if self.stack.next_deadline().is_some_and(|at| at <= now) {
            self.stack.run_timers(now);
        }
        if frames {
            while let Some(frame) = self.ends()?.wire.next().map_err(RigError::Broken)? {
                self.tell(Happening::Frame { at: frame.at, late: frame.late, bytes: frame.bytes });
            }
        }
        self.let_applications_go_on();
        self.journal.absorb(self.stack.trace_mut().take());
        Ok(())
    }

    /// Calls that blocked and can go on.
    pub(super) fn let_applications_go_on(&mut self) {
        let now = self.clock();
        let woken = self.stack.take_woken();
        for (call, result) in self.agent.progress(&mut self.stack, now, &woken) {
            self.tell(Happening::Returned { call, at: Instant::now(), late: 0, result });
        }
    }

    /// Whether packets could leave, were it not for the cable or an administrator.
    pub(super) fn is_ready(&self) -> bool {
        let down_on_purpose = !self.has_cable || !self.stack.is_up();
        self.stack.is_settled() && (self.stack.carrier() || down_on_purpose)
    }

    /// Serves until something holds.
    ///
    /// # Errors
    /// When that takes too long.
    pub(super) fn wait_until(&mut self, what: &str, holds: fn(&Self) -> bool) -> Result<(), RigError> {
        let deadline = Instant::now() + super::CARRIER_BOUND;
        while !holds(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let seconds = super::CARRIER_BOUND.as_secs();
                return Err(RigError::Broken(format!("waited {seconds} s until {what}, in vain")));
            }
            self.serve(left)?;
        }
        Ok(())
    }

    /// The trial is over: the device stops, and the next trial may have it.
    pub(super) fn let_go(&mut self) -> Finished {
        let mut finished = Finished::default();
        let Some(mut ends) = self.ends.take() else { return finished };
        finished.reasons = self.log.faults(&self.shared.address);
        // Without a link, descriptors wait in the device.
        let has_link = self.has_cable && self.stack.carrier();
        if finished.reasons.is_empty() && has_link && ends.device.is_there() {
            finished.reasons.extend(ends.device.unwritten());
        }
        if !ends.device.is_there() {
            finished.violations.push(format!("{} is gone: it reads as all ones", self.shared.address));
        }
        finished.lost_frames = self.shared.lost(&mut ends);
        if !self.has_cable
            && let Err(why) = self.shared.set_carrier(true)
        {
            finished.violations.push(why);
        }
        let is_well = finished.violations.is_empty() && finished.reasons.is_empty();
        let is_right = is_well && self.has_cable && self.shared.sabotage.is_none();
        if let Err(why) = if is_right { ends.device.park() } else { ends.device.stop() } {
            finished.violations.push(why);
        }
        self.shared.give_back(ends);
        finished
    }
}

impl Ends {
    /// Waits for at most `longest`; gives whether there are frames, and the vectors of interrupts that came.
    fn wait(&mut self, longest: Duration) -> Result<(bool, Vec<u16>), RigError> {
        let mut fds: Vec<_> = std::iter::once(self.wire.fd())
            .chain(self.device.vectors())
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        match ppoll(&mut fds, Some(TimeSpec::from_duration(longest)), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(RigError::Broken(format!("ppoll: {e:?}"))),
        }
        let ready: Vec<_> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        let vectors = (0_u16..)
            .zip(ready.iter().skip(1))
            .filter(|(vector, ready)| **ready && self.device.take_interrupt(usize::from(*vector)));
        Ok((ready[0], vectors.map(|(vector, _)| vector).collect()))
    }
}
