//! Virtual time: it jumps to whatever is due next.

use super::EmuRig;
use crate::case::model::{Nanos, Source};
use crate::rig::{Event, RigError, SeenFrame};
use stack_under_test::time::Instant;

/// How often something may be due without time passing before the two sides are taken to be chasing each other.
const AT_ONCE_MAX: u32 = 100_000;

impl EmuRig {
    /// Does what is due next, if that is not after `limit`. `false`: it is `limit`, and nothing is due before it.
    ///
    /// # Errors
    /// When device and driver keep each other busy without time passing.
    pub(super) fn tick(&mut self, limit: u64) -> Result<bool, RigError> {
        let next = self.next_due().map(|at| at.max(self.now));
        match next.filter(|at| *at <= limit) {
            None => {
                if limit > self.now {
                    // The device takes what the driver writes next as written at the time of its last step.
                    self.now = limit;
                    self.step();
                }
                Ok(false)
            }
            Some(at) => {
                self.at_once = if at > self.now { 0 } else { self.at_once + 1 };
                if self.at_once > AT_ONCE_MAX {
                    let what =
                        format!("driver and device keep each other busy at {at} ns without time passing");
                    return Err(RigError::Broken(what));
                }
                self.now = at;
                self.step();
                Ok(true)
            }
        }
    }

    /// As [`EmuRig::tick`], in time since the first step.
    ///
    /// # Errors
    /// As there.
    pub(in crate::rig) fn go_on(&mut self, limit: Nanos) -> Result<bool, RigError> {
        self.tick(self.origin.saturating_add(limit))
    }

    /// When something is due next, in time since the first step.
    pub(in crate::rig) fn next_event_at(&mut self) -> Option<Nanos> {
        self.next_due().map(|at| self.relative(at))
    }

    pub(super) fn next_due(&mut self) -> Option<u64> {
        let nic = self.machine.borrow().nic.next_event();
        let stack = self.stack.next_deadline().map(|at| at.0);
        let applications = self.agent.next_deadline().map(|at| at.0);
        let of_the_harness = self.apps.next_deadline().map(|at| at.0);
        [nic, stack, applications, of_the_harness].into_iter().flatten().min()
    }

    /// Everything that is due now: the device first, then its interrupts, then timers, then applications.
    fn step(&mut self) {
        self.journal.absorb(self.stack.trace_mut().take());
        if std::mem::take(&mut self.machine.borrow_mut().was_reset) {
            self.journal.rings_are_new();
            self.keep_counters_of_reset();
        }
        let mut output = std::mem::take(&mut self.output);
        self.machine.borrow_mut().step(self.now, self.stack.memory(), &mut output);
        for frame in output.frames.drain(..) {
            if let Some(ledger) = &mut self.ledger {
                ledger.sent(frame.queue);
            }
            let packet = self.journal.packet_of(frame.queue, frame.last_descriptor);
            let at = self.relative(frame.at);
            self.events.push_back(Event::Frame(SeenFrame { at, late: 0, bytes: frame.bytes, packet }));
        }
        let now = Instant(self.now);
        for message in output.interrupts.drain(..) {
            self.stack.interrupt(now, message.vector);
        }
        match &mut self.ledger {
            Some(ledger) => {
                ledger.lost(output.dropped.drain(..));
                ledger.received(output.received.iter_mut().flat_map(|frames| frames.drain(..)));
            }
            None => output.dropped.clear(),
        }
        self.output = output;
        if self.stack.next_deadline().is_some_and(|at| at <= now) {
            self.stack.run_timers(now);
        }
        self.let_applications_go_on();
    }

    /// The driver is about to begin anew: what it has counted until now.
    fn keep_counters_of_reset(&mut self) {
        let (at, now) = (self.relative(self.now), Instant(self.now));
        if let Some(ledger) = &mut self.ledger {
            let mut read = |source: &Source| {
                let of = super::of_the_stack(source).ok()?;
                Some((source.clone(), guest::readings::read(&mut self.stack, now, &of)))
            };
            let sources = [Source::Netdev, Source::Ethtool, Source::Qdisc];
            ledger.reset(at, sources.iter().filter_map(&mut read).collect());
        }
    }

    /// Calls that blocked and can go on.
    pub(super) fn let_applications_go_on(&mut self) {
        if self.agent.retired {
            // Others make the calls, and ask who was woken.
            return;
        }
        let at = self.relative(self.now);
        let now = Instant(self.now);
        let woken = self.stack.take_woken();
        let mut ended = self.agent.progress(&mut self.stack, now, &woken);
        ended.extend(self.apps.progress(&mut self.stack, now, &woken));
        for (call, result) in ended {
            self.events.push_back(Event::Returned { call, at, result });
        }
    }
}
