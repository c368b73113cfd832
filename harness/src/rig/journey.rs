//! Journeys as the harness keeps them: each packet with the steps it took, independent of the stack that told them.

use crate::case::model::Nanos;
use std::net::Ipv4Addr;

/// All packets of a trial, and what the stack did on its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journey {
    /// In the order in which they were made; `packets[i].id` is `i + 1`.
    pub packets: Vec<Packet>,
    /// Functions that ran without a packet (timers, error reports).
    pub alone: Vec<Moment>,
}

/// One packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Its number, from 1.
    pub id: u32,
    /// The packet that it was made out of.
    pub parent: Option<u32>,
    /// The first bytes of what it carries (an application's bytes, or the frame received).
    pub head: Vec<u8>,
    /// How many there are in all.
    pub total: u32,
    /// Where an application sent it, if one did.
    pub flow: Option<Flow>,
    /// What it went through.
    pub moments: Vec<Moment>,
}

/// Where an application sends a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The address that it is sent to.
    pub daddr: Ipv4Addr,
    /// The port that it is sent to.
    pub dport: u16,
    /// The port that it is sent from; 0: none was chosen yet.
    pub sport: u16,
    /// The protocol number of IP.
    pub protocol: u8,
}

/// One line of a journey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Nanos,
    /// On which CPU.
    pub cpu: u8,
    /// `process`, `hardirq`, `NET_RX`, …
    pub context: &'static str,
    /// What.
    pub what: What,
}

/// What happened to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A function of the path.
    Function(&'static str),
    /// Put into a queue.
    Queued(&'static str),
    /// Taken out of it.
    Dequeued(&'static str),
    /// In the ring: queue and last descriptor.
    Posted {
        /// The transmit queue.
        queue: u16,
        /// The index of its last descriptor.
        last_descriptor: u16,
    },
    /// On the wire, as the frame with this number in `wire.pcapng` (from 1).
    Wire(u32),
    /// Its way was done.
    Consumed,
    /// Dropped: Linux's name of the reason.
    Dropped(&'static str),
    /// The call that made it failed: the name of the error.
    Refused(String),
}
