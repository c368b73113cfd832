//! The stack's trace as journeys of packets, and which packet a frame on the wire was made from.

use crate::case::model::Nanos;
use crate::rig::Journey;
use crate::rig::journey::{Flow, Moment, Packet, What};
use stack_under_test::trace::{Context, Event, Step};
use std::collections::BTreeMap;

/// Journeys that grow as the stack tells.
#[derive(Debug, Default)]
pub struct Journal {
    journey: Journey,
    /// The packet that was posted last with this last descriptor of this queue.
    posted: BTreeMap<(u16, u16), u32>,
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
            self.one(event.at.0.saturating_sub(self.origin), event.packet, event);
        }
    }

    fn one(&mut self, at: Nanos, id: u32, event: Event) {
        let what = match event.step {
            Step::Made { head, total } => {
                self.packet(id, None, head, total);
                return;
            }
            Step::Derived { from } => {
                self.packet(id, (from > 0).then_some(from), Vec::new(), 0);
                return;
            }
            Step::Flow { daddr, dport, sport, protocol } => {
                if let Some(packet) = self.known(id) {
                    packet.flow = Some(Flow { daddr, dport, sport, protocol });
                }
                return;
            }
            Step::Function(name) => What::Function(name),
            Step::Queued(queue) => What::Queued(queue),
            Step::Dequeued(queue) => What::Dequeued(queue),
            Step::Posted { queue, last_descriptor } => {
                self.posted.insert((queue, last_descriptor), id);
                What::Posted { queue, last_descriptor }
            }
            Step::Consumed => What::Consumed,
            Step::Dropped(reason) => What::Dropped(reason.name()),
            Step::Refused(errno) => What::Refused(errno.name()),
        };
        let context = match event.context {
            Context::Process => "process",
            Context::HardIrq => "hardirq",
            Context::Softirq(softirq) => softirq.name(),
        };
        let moment = Moment { at, cpu: event.cpu, context, what };
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

    /// The packet behind a frame that left this queue with this last descriptor.
    #[must_use]
    pub fn packet_of(&self, queue: u16, last_descriptor: u16) -> Option<u32> {
        self.posted.get(&(queue, last_descriptor)).copied().filter(|id| *id > 0)
    }

    /// All that was told so far.
    #[must_use]
    pub fn journey(&self) -> &Journey {
        &self.journey
    }
}
