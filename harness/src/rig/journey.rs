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

impl Journey {
    /// The packet that TCP handed to IP, in one piece, and that the packet `id` is or was cut from; `None` when there is
    /// none: it is not of TCP, or TCP did not come by it.
    #[must_use]
    pub fn sent_as(&self, id: u32) -> Option<u32> {
        let mut next = Some(id);
        while let Some(id) = next {
            let packet = self.packets.get(id.checked_sub(1)? as usize)?;
            if packet.moments.iter().any(|moment| moment.what == What::Function("__tcp_transmit_skb")) {
                return Some(id);
            }
            // What a packet is made out of was there before it.
            next = packet.parent.filter(|parent| *parent < id);
        }
        None
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn packet(id: u32, parent: Option<u32>, function: &'static str) -> Packet {
        let what = What::Function(function);
        let moments = vec![Moment { at: 0, cpu: 0, context: "process", what }];
        Packet { id, parent, moments, ..Packet::default() }
    }

    #[rstest]
    #[case::one_that_tcp_sent(2, Some(2))]
    #[case::a_segment_of_it(3, Some(2))]
    #[case::what_the_application_wrote(1, None)]
    #[case::one_that_is_not_there(9, None)]
    #[case::none(0, None)]
    fn a_segment_was_sent_as_the_packet_that_it_was_cut_from(#[case] id: u32, #[case] sent_as: Option<u32>) {
        let packets = vec![
            packet(1, None, "tcp_sendmsg"),
            packet(2, Some(1), "__tcp_transmit_skb"),
            packet(3, Some(2), "skb_segment"),
        ];
        assert_eq!(Journey { packets, alone: Vec::new() }.sent_as(id), sent_as);
    }
}
