//! What the journey tells of packets that counters and the wire do not see alike: those that were lost on their way out, and
//! those that were large.

use crate::case::model::Nanos;
use crate::rig::journey::{Journey, Moment, Packet, What};
use std::collections::BTreeSet;

/// Where the root qdisc has counted a packet: it takes it out for the driver.
const COUNTED_BY_QDISC: &str = "sch_direct_xmit";
/// Where TCP has counted a segment.
const COUNTED_BY_TCP: &str = "__tcp_transmit_skb";
/// Where IP has counted a packet, or a layer above it.
const COUNTED_BY_IP: [&str; 4] = ["__ip_local_out", "ip_output", "udp_sendmsg", COUNTED_BY_TCP];
/// Where a packet goes back up to this host.
const TO_OURSELVES: &str = "loopback_xmit";
/// The reason of those that a reset found in the rings.
const IN_A_RING: &str = "DEV_RESET";

/// Packets that were dropped on their way out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// When each of those was handed to the driver that the root qdisc has counted.
    pub behind_qdisc: Vec<Nanos>,
    /// How many IP or a layer above it has counted, and the reasons.
    pub below_ip: usize,
    /// How many TCP has counted.
    pub below_tcp: usize,
    /// Those that a reset found in the rings: what the wire has seen of them, the driver has not counted.
    pub in_rings: BTreeSet<u32>,
    /// How many went over the loopback, which IP counts both ways.
    pub looped: usize,
    /// Why packets were dropped.
    pub reasons: BTreeSet<&'static str>,
}

impl Losses {
    /// All that the journey tells so far.
    #[must_use]
    pub fn of(journey: &Journey) -> Self {
        let mut losses = Self::default();
        for packet in &journey.packets {
            let went_back = |m: &Moment| m.what == What::Function(TO_OURSELVES);
            losses.looped += usize::from(packet.moments.iter().any(went_back));
            let Some(reason) = dropped(packet) else { continue };
            let passed = |name| packet.moments.iter().rev().find(|m| m.what == What::Function(name));
            let behind_qdisc = passed(COUNTED_BY_QDISC).map(|moment| moment.at);
            let from_above = COUNTED_BY_IP.iter().any(|name| passed(name).is_some());
            if reason == IN_A_RING {
                losses.in_rings.insert(packet.id);
            }
            losses.below_tcp += usize::from(passed(COUNTED_BY_TCP).is_some());
            losses.below_ip += usize::from(from_above);
            if from_above || behind_qdisc.is_some() {
                losses.reasons.insert(reason);
            }
            losses.behind_qdisc.extend(behind_qdisc);
        }
        losses
    }

    /// The reasons, in words.
    #[must_use]
    pub fn why(&self) -> String {
        self.reasons.iter().copied().collect::<Vec<_>>().join(", ")
    }
}

fn dropped(packet: &Packet) -> Option<&'static str> {
    packet.moments.iter().find_map(|Moment { what, .. }| match what {
        What::Dropped(reason) => Some(*reason),
        _ => None,
    })
}

/// The packet that an application or a layer of its own accord made, of which this one was cut.
#[must_use]
pub fn whole(journey: &Journey, id: u32) -> u32 {
    let parent = |id: u32| journey.packets.get(id.checked_sub(1)? as usize)?.parent;
    let mut id = id;
    while let Some(above) = parent(id).filter(|above| *above < id) {
        id = above;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn journey(functions: &[&'static str], end: What) -> Journey {
        let moment = |what| Moment { at: 7, cpu: 0, context: "process", what };
        let moments = functions.iter().map(|name| moment(What::Function(name))).chain([moment(end)]);
        Journey {
            packets: vec![Packet { id: 1, moments: moments.collect(), ..Packet::default() }],
            alone: vec![],
        }
    }

    /// Behind the qdisc, below IP, below TCP, in a ring.
    #[rstest]
    #[case::sent(&["udp_sendmsg", "sch_direct_xmit"], What::Consumed, [0, 0, 0, 0])]
    #[case::in_a_ring(&["udp_sendmsg", "sch_direct_xmit"], What::Dropped("DEV_RESET"), [1, 1, 0, 1])]
    #[case::in_the_qdisc(&["__tcp_transmit_skb"], What::Dropped("QUEUE_PURGE"), [0, 1, 1, 0])]
    #[case::an_arp_request(&["arp_send", "sch_direct_xmit"], What::Dropped("DEV_RESET"), [1, 0, 0, 1])]
    #[case::on_its_way_in(&["ip_rcv"], What::Dropped("NO_SOCKET"), [0, 0, 0, 0])]
    fn a_packet_is_lost_to_those_who_counted_it(
        #[case] way: &[&'static str],
        #[case] end: What,
        #[case] lost: [usize; 4],
    ) {
        let l = Losses::of(&journey(way, end));
        assert_eq!([l.behind_qdisc.len(), l.below_ip, l.below_tcp, l.in_rings.len()], lost);
    }

    #[test]
    fn a_segment_is_of_the_packet_that_it_was_cut_from() {
        let packet = |id, parent| Packet { id, parent, ..Packet::default() };
        let packets = vec![packet(1, None), packet(2, Some(1)), packet(3, Some(2)), packet(4, None)];
        let journey = Journey { packets, alone: vec![] };
        assert_eq!([1, 2, 3, 4, 9].map(|id| whole(&journey, id)), [1, 1, 1, 4, 9]);
    }
}
