//! The stack's trace as a message: names are told once, and stand for themselves by number.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};
use stack_under_test::trace::{Context, Event, Step};

/// Where a name stands among those of a [`Tale`].
pub type Name = u16;

/// What the stack told, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tale {
    /// The names that occur.
    pub names: Vec<String>,
    /// What happened.
    pub events: Vec<Told>,
}

/// One line of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When, by the stack's clock.
    pub at: u64,
    /// On which CPU.
    pub cpu: u8,
    /// `process`, `hardirq`, `NET_RX`, …
    pub context: Name,
    /// Which packet; 0 where it is not about one.
    pub packet: u32,
    /// What.
    pub step: ToldStep,
}

/// What happened to a packet: [`Step`] with names by number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are those of `stack_under_test::trace::Step`, and explained there")]
pub enum ToldStep {
    Function(Name),
    Made { head: Vec<u8>, total: u32 },
    Flow { daddr: Ipv4Addr, dport: u16, sport: u16, protocol: u8 },
    Derived { from: u32 },
    Queued(Name),
    Dequeued(Name),
    Posted { queue: u16, last_descriptor: u16 },
    Consumed,
    Dropped(Name),
    Refused(Name),
}

impl Tale {
    /// What the stack told, as a message.
    #[must_use]
    pub fn of(events: Vec<Event>) -> Self {
        let mut names = Names::default();
        let events = events.into_iter().map(|event| names.told(event)).collect();
        Self { names: names.0, events }
    }

    /// The name that stands there. Who names one that is not there gets none.
    #[must_use]
    pub fn name(&self, name: Name) -> &str {
        self.names.get(usize::from(name)).map_or("", String::as_str)
    }
}

/// The names that were used so far. They are some hundred.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn number(&mut self, name: &str) -> Name {
        let place = self.0.iter().position(|known| known == name).unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        });
        Name::try_from(place).unwrap_or(Name::MAX)
    }

    fn told(&mut self, event: Event) -> Told {
        let Event { at, cpu, context, packet, step } = event;
        let context = self.number(match context {
            Context::Process => "process",
            Context::HardIrq => "hardirq",
            Context::Softirq(softirq) => softirq.name(),
        });
        let step = match step {
            Step::Function(name) => ToldStep::Function(self.number(name)),
            Step::Made { head, total } => ToldStep::Made { head, total },
            Step::Flow { daddr, dport, sport, protocol } => ToldStep::Flow { daddr, dport, sport, protocol },
            Step::Derived { from } => ToldStep::Derived { from },
            Step::Queued(queue) => ToldStep::Queued(self.number(queue)),
            Step::Dequeued(queue) => ToldStep::Dequeued(self.number(queue)),
            Step::Posted { queue, last_descriptor } => ToldStep::Posted { queue, last_descriptor },
            Step::Consumed => ToldStep::Consumed,
            Step::Dropped(reason) => ToldStep::Dropped(self.number(reason.name())),
            Step::Refused(errno) => ToldStep::Refused(self.number(&errno.name())),
        };
        Told { at: at.0, cpu, context, packet, step }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use stack_under_test::time::Instant;

    #[test]
    fn a_name_is_told_once() {
        let function = |name| Event {
            at: Instant(7),
            cpu: 1,
            context: Context::Process,
            packet: 3,
            step: Step::Function(name),
        };
        let tale = Tale::of(vec![function("udp_sendmsg"), function("ip_output"), function("udp_sendmsg")]);
        let names: Vec<_> = tale
            .events
            .iter()
            .map(|told| match told.step {
                ToldStep::Function(name) => tale.name(name),
                _ => "",
            })
            .collect();
        assert_eq!(names, ["udp_sendmsg", "ip_output", "udp_sendmsg"]);
        assert_eq!(tale.names.len(), 3, "with the context");
    }
}
