//! A packet's journey: which function it went through, when, in which context, where it lay, and why it was dropped.
//!
//! Untraced, a step costs one test of a flag. Traced, events go into a list that whoever drives the stack takes out.

use crate::drop_reason::DropReason;
use crate::errno::Errno;
use crate::time::Instant;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// Names a packet in the trace; a fragment or clone has its own, and says what it came from. Zero: not traced.
pub type PacketId = u32;

/// In which context a CPU does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Context {
    /// A system call of an application.
    #[default]
    Process,
    /// The handler of a device's interrupt.
    HardIrq,
    /// A softirq.
    Softirq(crate::netdev::softirq::Softirq),
}

/// What happened to a packet, or (with packet 0) what the stack did on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A function of the path was entered; the name is Linux's.
    Function(&'static str),
    /// The packet was made: the first bytes of what it carries (the application's bytes, or the frame received), and how
    /// many there are in all.
    Made {
        /// At most [`HEAD_BYTES`] of its first bytes.
        head: Vec<u8>,
        /// How many there are.
        total: u32,
    },
    /// Where an application sends it, and from which port (0: none was chosen yet).
    Flow {
        /// The address that it is sent to.
        daddr: Ipv4Addr,
        /// The port that it is sent to.
        dport: u16,
        /// The port that it is sent from.
        sport: u16,
        /// The protocol number of IP.
        protocol: u8,
    },
    /// The packet was made out of another: a fragment, a clone, a segment.
    Derived {
        /// The packet that it came from.
        from: PacketId,
    },
    /// It was put into a queue: `arp_queue`, `qdisc`, `ring`, `receive_queue`.
    Queued(&'static str),
    /// It left that queue.
    Dequeued(&'static str),
    /// The driver wrote its descriptors: `queue`, and the index of the last of them.
    Posted {
        /// The transmit queue.
        queue: u16,
        /// The index of its last descriptor in the ring.
        last_descriptor: u16,
    },
    /// It was freed because its way was done.
    Consumed,
    /// It was dropped.
    Dropped(DropReason),
    /// The call that made it failed with this error; the packet may have been dropped before.
    Refused(Errno),
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// On which CPU.
    pub cpu: u8,
    /// In which context.
    pub context: Context,
    /// Which packet; 0 where it is not about one.
    pub packet: PacketId,
    /// What.
    pub step: Step,
}

/// How many bytes of a packet's payload [`Step::Made`] keeps.
pub const HEAD_BYTES: usize = 128;

/// The journal, and what a new entry needs to know of the moment.
#[derive(Debug, Default)]
pub struct Trace {
    on: bool,
    /// The time at which the stack is being driven.
    pub now: Instant,
    /// The CPU that runs.
    pub cpu: u8,
    /// What it runs.
    pub context: Context,
    /// The packet that a system call is making, while that is traced; 0 otherwise.
    pub making: PacketId,
    last_packet: PacketId,
    events: Vec<Event>,
}

impl Trace {
    /// Switches the journal on or off; what is in it stays.
    pub fn set_on(&mut self, on: bool) {
        self.on = on;
    }

    /// Whether events are recorded.
    #[inline]
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Records that `packet` went through the function `name`.
    #[inline]
    pub fn function(&mut self, packet: PacketId, name: &'static str) {
        if self.on {
            self.push(packet, Step::Function(name));
        }
    }

    /// Records `step` of `packet`.
    #[inline]
    pub fn step(&mut self, packet: PacketId, step: Step) {
        if self.on {
            self.push(packet, step);
        }
    }

    /// A name for a packet that is being made of `payload` (what is at hand of it) and `total` bytes; 0 while the journal
    /// is off.
    #[inline]
    pub fn made(&mut self, payload: &[u8], total: usize) -> PacketId {
        if !self.on {
            return 0;
        }
        let head = payload[..payload.len().min(HEAD_BYTES)].to_vec();
        self.name(Step::Made { head, total: u32::try_from(total).unwrap_or(u32::MAX) })
    }

    /// A name for a packet that is made out of `from`; 0 while the journal is off.
    #[inline]
    pub fn derived(&mut self, from: PacketId) -> PacketId {
        if self.on { self.name(Step::Derived { from }) } else { 0 }
    }

    #[cold]
    fn name(&mut self, step: Step) -> PacketId {
        self.last_packet += 1;
        self.push(self.last_packet, step);
        self.last_packet
    }

    #[cold]
    fn push(&mut self, packet: PacketId, step: Step) {
        self.events.push(Event { at: self.now, cpu: self.cpu, context: self.context, packet, step });
    }

    /// Takes out what was recorded since the last call.
    pub fn take(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.events)
    }
}
