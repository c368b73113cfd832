//! What happens in a trial and when, in the time since its first step; and how late the harness was for each of it.

use super::Happening;
use crate::case::model::Nanos;
use crate::rig::{Delays, Event, Lateness, RigError, SeenFrame};
use std::cell::OnceCell;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Each time that the harness was late.
#[derive(Debug, Default)]
struct Late {
    captured: Vec<Nanos>,
    injected: Vec<Nanos>,
    returned: Vec<Nanos>,
    read: Vec<Nanos>,
}

/// The time of a trial, and what its threads tell, in order.
#[derive(Debug)]
pub struct Moments {
    happenings: Receiver<Happening>,
    /// An event that came after the time that the engine let pass: the next one to hand out.
    held: Option<Event>,
    /// The first step.
    origin: OnceCell<Instant>,
    /// The last event that was handed out: time does not go back.
    last: Nanos,
    /// When the engine was last given control: what it does then, it wanted done at that time.
    asked: Nanos,
    /// The worst of all.
    worst: Nanos,
    late: Late,
}

impl Moments {
    /// Of a trial whose threads tell `happenings`.
    #[must_use]
    pub fn new(happenings: Receiver<Happening>) -> Self {
        let (held, origin) = (None, OnceCell::new());
        Self { happenings, held, origin, last: 0, asked: 0, worst: 0, late: Late::default() }
    }

    /// The first call of the engine is the origin of time; what came before belongs to no step.
    pub fn origin(&self) -> Instant {
        *self.origin.get_or_init(|| {
            while self.happenings.try_recv().is_ok() {}
            Instant::now()
        })
    }

    /// The time since the first step.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.origin();
        self.nanos(Instant::now())
    }

    fn nanos(&self, at: Instant) -> Nanos {
        u64::try_from(at.saturating_duration_since(self.origin()).as_nanos()).unwrap_or(Nanos::MAX)
    }

    /// Something that the engine wanted at the time it got control happened just now; gives how late that is.
    pub fn done(&mut self) -> Nanos {
        let now = self.now();
        let late = now.saturating_sub(self.asked);
        self.asked = now;
        self.at_worst(late)
    }

    /// A frame was injected just now; gives how late that is.
    pub fn injected(&mut self) -> Nanos {
        let late = self.done();
        self.late.injected.push(late);
        late
    }

    /// Something took its time that the engine knows of: what follows is wanted from now on.
    pub fn took_time(&mut self) {
        self.asked = self.now();
    }

    /// A reading that was begun at `before` is there. It is no reason to doubt what held: the worst leaves it out.
    pub fn has_read(&mut self, before: Nanos) {
        self.took_time();
        self.late.read.push(self.now().saturating_sub(before));
    }

    fn at_worst(&mut self, late: Nanos) -> Nanos {
        self.worst = self.worst.max(late);
        late
    }

    /// How late the harness was at worst.
    #[must_use]
    pub fn worst(&self) -> Duration {
        Duration::from_nanos(self.worst)
    }

    /// How late it was, summed up; what is told is forgotten.
    pub fn sum(&mut self) -> Lateness {
        let late = std::mem::take(&mut self.late);
        Lateness {
            captured: Delays::of(late.captured),
            injected: Delays::of(late.injected),
            returned: Delays::of(late.returned),
            read: Delays::of(late.read),
        }
    }

    /// Lets time pass up to `until`, and stops at the first event on the way.
    ///
    /// # Errors
    /// When the wire is gone.
    pub fn advance(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        let event = match self.held.take() {
            Some(held) => Some(held),
            None => self.wait(until)?,
        };
        match event {
            Some(event) if event_at(&event) <= until => {
                // What a late frame makes the engine do was wanted when it was on the wire.
                self.asked = event_at(&event) - late_of(&event).min(event_at(&event));
                Ok(Some(event))
            }
            later => {
                self.held = later;
                // A time that was over before is not what the harness was late for.
                self.asked = until.max(self.asked);
                Ok(None)
            }
        }
    }

    /// What happened by now and before a time, without waiting for it.
    ///
    /// # Errors
    /// When the wire is gone.
    pub fn ready(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        let event = match self.held.take() {
            Some(held) => Some(held),
            None => self.happenings.try_recv().ok().map(|happening| self.event(happening)).transpose()?,
        };
        match event {
            Some(event) if event_at(&event) <= until => {
                self.asked = event_at(&event) - late_of(&event).min(event_at(&event));
                Ok(Some(event))
            }
            later => {
                self.held = later;
                Ok(None)
            }
        }
    }

    /// The time until which somebody waited is over, by now.
    pub fn passed(&mut self, until: Nanos, waited: bool) {
        if waited {
            let late = self.now().saturating_sub(until);
            self.at_worst(late);
        }
        self.asked = until.max(self.asked);
    }

    /// The next thing that happens before a time, or just after it.
    fn wait(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        let deadline = self.origin() + Duration::from_nanos(until);
        let left = deadline.saturating_duration_since(Instant::now());
        // What is there already comes first, also when the time is over.
        match self.happenings.recv_timeout(left) {
            Ok(happening) => self.event(happening).map(Some),
            Err(RecvTimeoutError::Timeout) => {
                if !left.is_zero() {
                    let late = self.now().saturating_sub(until);
                    self.at_worst(late);
                }
                Ok(None)
            }
            Err(RecvTimeoutError::Disconnected) => Err(RigError::Broken("nobody is left to tell".to_owned())),
        }
    }

    fn event(&mut self, happening: Happening) -> Result<Event, RigError> {
        // Two threads may stamp and send in a different order, some microseconds apart.
        let in_order = |moments: &mut Self, at| {
            moments.last = moments.nanos(at).max(moments.last);
            moments.last
        };
        match happening {
            Happening::Frame { at, late, bytes } => {
                self.at_worst(late);
                self.late.captured.push(late);
                Ok(Event::Frame(SeenFrame { at: in_order(self, at), late, bytes, packet: None }))
            }
            Happening::Returned { call, at, late, result } => {
                self.at_worst(late);
                self.late.returned.push(late);
                Ok(Event::Returned { call, at: in_order(self, at), result })
            }
            Happening::Broken(why) => Err(RigError::Broken(why)),
        }
    }
}

fn event_at(event: &Event) -> Nanos {
    match event {
        Event::Frame(frame) | Event::OfPeer(frame) => frame.at,
        Event::Returned { at, .. } => *at,
    }
}

fn late_of(event: &Event) -> Nanos {
    if let Event::Frame(frame) = event { frame.late } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn an_event_after_the_time_that_passes_is_kept_for_later_and_time_does_not_go_back() {
        let (to, happenings) = channel();
        let mut moments = Moments::new(happenings);
        let origin = moments.origin();
        for (at, late) in [(2_000, 10), (1_000, 30)] {
            let at = origin + Duration::from_nanos(at);
            to.send(Happening::Frame { at, late, bytes: Vec::new() }).expect("it is open");
        }
        assert!(moments.advance(1_999).expect("the wire is there").is_none(), "it is of later");
        let first = moments.advance(2_000).expect("the wire is there").expect("it is due");
        let second = moments.advance(2_000).expect("the wire is there").expect("it came out of order");
        assert_eq!((event_at(&first), event_at(&second)), (2_000, 2_000));
        assert_eq!(moments.worst(), Duration::from_nanos(30));
    }
}
