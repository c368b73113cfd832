//! The stack's trace as journeys of packets, and which packet a frame on the wire was made from.

use crate::case::model::Nanos;
use crate::rig::Journey;
use crate::rig::journey::{Flow, Moment, Packet, What};
use guest::told::{Tale, Told, ToldStep};
use stack_under_test::trace::{Context, Event, Step};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

/// A packet in a ring, by its descriptors.
#[derive(Clone, Copy, Debug)]
struct Posted {
    packet: u32,
    /// The last descriptor of the packet before it.
    after: u16,
    last: u16,
}

impl Posted {
    /// Whether a descriptor is one of it; the ring begins anew behind its end.
    fn has(&self, descriptor: u16) -> bool {
        if self.after < self.last {
            (self.after + 1..=self.last).contains(&descriptor)
        } else {
            descriptor > self.after || descriptor <= self.last
        }
    }
}

/// One thing that the stack told, whoever brought it.
enum Said {
    Made { head: Vec<u8>, total: u32 },
    Derived(u32),
    Flow(Flow),
    What(What),
}

/// The same name, for as long as the program runs: those of functions and queues come again and again, and are some hundred.
fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept: &'static str = Box::leak(name.into());
    names.insert(kept);
    kept
}

/// Journeys that grow as the stack tells.
#[derive(Debug, Default)]
pub struct Journal {
    journey: Journey,
    /// The packets that were posted in each queue and may still have frames to come, the oldest first.
    posted: BTreeMap<u16, VecDeque<Posted>>,
    /// The last descriptor that was posted in each queue.
    last_posted: BTreeMap<u16, u16>,
    /// The first step, in the stack's time.
    origin: u64,
}

impl Journal {
    /// The first step is at `origin`, in the stack's time. The trace was off before.
    pub fn begin(&mut self, origin: u64) {
        self.origin = origin;
    }

    /// Takes over what the stack told.
    pub fn absorb(&mut self, events: Vec<Event>) {
        for event in events {
            let said = match event.step {
                Step::Made { head, total } => Said::Made { head, total },
                Step::Derived { from } => Said::Derived(from),
                Step::Flow { daddr, dport, sport, protocol } => {
                    Said::Flow(Flow { daddr, dport, sport, protocol })
                }
                Step::Function(name) => Said::What(What::Function(name)),
                Step::Queued(queue) => Said::What(What::Queued(queue)),
                Step::Dequeued(queue) => Said::What(What::Dequeued(queue)),
                Step::Posted { queue, last_descriptor } => {
                    Said::What(What::Posted { queue, last_descriptor })
                }
                Step::Consumed => Said::What(What::Consumed),
                Step::Dropped(reason) => Said::What(What::Dropped(reason.name())),
                Step::Refused(errno) => Said::What(What::Refused(errno.name())),
            };
            let context = match event.context {
                Context::Process => "process",
                Context::HardIrq => "hardirq",
                Context::Softirq(softirq) => softirq.name(),
            };
            self.one((event.at.0, event.cpu, context), event.packet, said);
        }
    }

    /// The same, as a guest told it.
    pub fn absorb_tale(&mut self, tale: Tale) {
        let names: Vec<_> = tale.names.iter().map(|name| interned(name)).collect();
        let name = |number: u16| names.get(usize::from(number)).copied().unwrap_or("");
        for Told { at, cpu, context, packet, step } in tale.events {
            let said = match step {
                ToldStep::Made { head, total } => Said::Made { head, total },
                ToldStep::Derived { from } => Said::Derived(from),
                ToldStep::Flow { daddr, dport, sport, protocol } => {
                    Said::Flow(Flow { daddr, dport, sport, protocol })
                }
                ToldStep::Function(function) => Said::What(What::Function(name(function))),
                ToldStep::Queued(queue) => Said::What(What::Queued(name(queue))),
                ToldStep::Dequeued(queue) => Said::What(What::Dequeued(name(queue))),
                ToldStep::Posted { queue, last_descriptor } => {
                    Said::What(What::Posted { queue, last_descriptor })
                }
                ToldStep::Consumed => Said::What(What::Consumed),
                ToldStep::Dropped(reason) => Said::What(What::Dropped(name(reason))),
                ToldStep::Refused(errno) => Said::What(What::Refused(name(errno).to_owned())),
            };
            self.one((at, cpu, name(context)), packet, said);
        }
    }

    fn one(&mut self, (at, cpu, context): (u64, u8, &'static str), id: u32, said: Said) {
        let at: Nanos = at.saturating_sub(self.origin);
        let what = match said {
            Said::Made { head, total } => return self.packet(id, None, head, total),
            Said::Derived(from) => return self.packet(id, (from > 0).then_some(from), Vec::new(), 0),
            Said::Flow(flow) => {
                if let Some(packet) = self.known(id) {
                    packet.flow = Some(flow);
                }
                return;
            }
            Said::What(what) => what,
        };
        if let What::Posted { queue, last_descriptor } = what {
            let ring = self.posted.entry(queue).or_default();
            let after = self.last_posted.insert(queue, last_descriptor).unwrap_or(u16::MAX);
            ring.push_back(Posted { packet: id, after, last: last_descriptor });
        }
        let moment = Moment { at, cpu, context, what };
        match self.known(id) {
            Some(packet) => packet.moments.push(moment),
            None => self.journey.alone.push(moment),
        }
    }

    fn known(&mut self, id: u32) -> Option<&mut Packet> {
        self.journey.packets.get_mut(id.checked_sub(1)? as usize)
    }

    /// A packet that was made; numbers come in order, so a gap is filled with packets of which nothing is known.
    fn packet(&mut self, id: u32, parent: Option<u32>, head: Vec<u8>, total: u32) {
        let packets = &mut self.journey.packets;
        while packets.len() + 1 < id as usize {
            let id = packets.len() as u32 + 1;
            packets.push(Packet { id, ..Packet::default() });
        }
        if packets.len() + 1 == id as usize {
            packets.push(Packet { id, parent, head, total, ..Packet::default() });
        }
    }

    /// The device was reset: what lay in its rings is lost, and they begin anew.
    pub fn rings_are_new(&mut self) {
        self.posted.clear();
        self.last_posted.clear();
    }

    /// The packet behind the next frame that left a queue; the last byte of the frame was named by this descriptor. Frames of a
    /// queue leave in the order in which their packets were posted.
    pub fn packet_of(&mut self, queue: u16, descriptor: u16) -> Option<u32> {
        let ring = self.posted.get_mut(&queue)?;
        let place = ring.iter().position(|posted| posted.has(descriptor))?;
        // Those before it have had their frames, or were lost.
        ring.drain(..place);
        ring.front().map(|posted| posted.packet).filter(|id| *id > 0)
    }

    /// All that was told so far.
    #[must_use]
    pub fn journey(&self) -> &Journey {
        &self.journey
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::its_last_descriptor(9, 12, 12, true)]
    #[case::its_first(9, 12, 10, true)]
    #[case::of_the_packet_before(9, 12, 9, false)]
    #[case::of_the_packet_behind(9, 12, 13, false)]
    #[case::before_the_end_of_the_ring(254, 1, 255, true)]
    #[case::behind_the_end_of_the_ring(254, 1, 0, true)]
    #[case::not_of_one_that_goes_around_the_end(254, 1, 2, false)]
    #[case::the_very_first(u16::MAX, 0, 0, true)]
    fn a_packet_has_the_descriptors_behind_those_of_the_one_before(
        #[case] after: u16,
        #[case] last: u16,
        #[case] descriptor: u16,
        #[case] has: bool,
    ) {
        assert_eq!(Posted { packet: 1, after, last }.has(descriptor), has);
    }
}
