//! The packet that a person is shown.

use super::*;
use crate::frame::fixtures::spec;
use crate::rig::journey::Moment;
use rstest::rstest;
use std::net::Ipv4Addr;

/// A datagram that went through these, from port 4000 to this port of 192.0.2.`host`.
fn sent(id: u32, payload: &[u8], host: u8, dport: u16, way: &[What]) -> Packet {
    let all = [What::Function("udp_sendmsg")].into_iter().chain(way.iter().cloned());
    let moment = |(i, what)| Moment { at: u64::from(id) * 1000 + i as u64, cpu: 0, context: "process", what };
    Packet {
        id,
        parent: None,
        head: payload.to_vec(),
        total: payload.len() as u32,
        flow: Some(Flow { daddr: Ipv4Addr::new(192, 0, 2, host), dport, sport: 4000, protocol: 17 }),
        moments: all.enumerate().map(moment).collect(),
    }
}

const DROPPED: What = What::Dropped("NETFILTER_DROP");
const WAITS: What = What::Queued("arp_queue");

/// 1 was dropped, 2 waits for an address, 3 is on the wire, 4 has another payload and was refused.
fn journey() -> Journey {
    let packets = vec![
        sent(1, b"lost", 2, 7, &[DROPPED, What::Refused("EPERM".to_owned())]),
        sent(2, b"else", 77, 8, &[WAITS]),
        sent(3, b"wire", 2, 7, &[What::Wire(1), What::Consumed]),
        sent(4, b"more", 2, 9, &[What::Refused("ENETUNREACH".to_owned())]),
    ];
    Journey { packets, alone: Vec::new() }
}

#[rstest]
#[case::by_its_port("udp: {dst_port: 7}", None, Some(1))]
#[case::by_its_address("ipv4: {dst: 192.0.2.77}", None, Some(2))]
#[case::by_its_payload("udp: {src_port: 4000}", Some("else"), Some(2))]
#[case::one_whose_call_failed("udp: {dst_port: 9}", None, Some(4))]
#[case::rather_the_last_that_was_lost_than_one_under_way("ipv4: {protocol: udp}", None, Some(4))]
#[case::none_from_another_port("udp: {src_port: 4001}", None, None)]
#[case::none_when_the_only_one_is_on_the_wire("udp: {dst_port: 7}", Some("wire"), None)]
#[case::none_of_another_protocol("arp: {op: request}", None, None)]
#[case::of_a_fragment_by_all_but_its_part_of_the_payload(
    "ipv4: {dst: 192.0.2.77, frag_offset: 8}",
    Some("s"),
    Some(2)
)]
fn the_missing_packet_is_what_the_pattern_wants(
    #[case] pattern: &str,
    #[case] payload: Option<&str>,
    #[case] id: Option<u32>,
) {
    let wanted = spec(pattern, payload.map(str::as_bytes));
    assert_eq!(missing_packet(&journey(), &wanted).map(|p| p.id), id);
}

#[test]
fn a_call_that_was_made_anew_is_not_the_one_that_lost_the_packet() {
    let mut journey = journey();
    journey.packets[3] = sent(4, b"lost", 2, 7, &[What::Refused("EAGAIN".to_owned())]);
    assert_eq!(missing_packet(&journey, &spec("udp: {dst_port: 7}", None)).map(|p| p.id), Some(1));
}

#[test]
fn a_fragment_that_was_dropped_is_found_by_its_datagram() {
    let mut journey = journey();
    let fragment = |id, what: What| Packet {
        id,
        parent: Some(2),
        head: Vec::new(),
        total: 0,
        flow: None,
        moments: vec![Moment { at: 9_000, cpu: 0, context: "process", what }],
    };
    journey.packets.extend([fragment(5, What::Wire(2)), fragment(6, What::Dropped("QDISC_DROP"))]);
    let wanted = spec("ipv4: {dst: 192.0.2.77}", Some(b"else"));
    assert_eq!(missing_packet(&journey, &wanted).map(|p| p.id), Some(6));
}

#[rstest]
#[case::that_was_refused(b"more", 0, Some(4))]
#[case::that_was_made_before_the_call(b"more", 9_999, None)]
#[case::that_is_under_way(b"else", 0, None)]
#[case::that_is_on_the_wire(b"wire", 0, None)]
fn a_failed_call_shows_its_own_packet(#[case] payload: &[u8], #[case] since: Nanos, #[case] id: Option<u32>) {
    assert_eq!(packet_of_call(&journey(), since, payload).map(|p| p.id), id);
}

#[rstest]
#[case::dropped(
    0,
    "packet 1 (4 bytes, \"lost\", to 192.0.2.2:7) was dropped after udp_sendmsg: NETFILTER_DROP"
)]
#[case::waiting(
    1,
    "packet 2 (4 bytes, \"else\", to 192.0.2.77:8) was still under way when the trial ended, last seen at arp_queue"
)]
#[case::on_the_wire(2, "packet 3 (4 bytes, \"wire\", to 192.0.2.2:7) reached the wire")]
#[case::refused(3, "packet 4 (4 bytes, \"more\", to 192.0.2.2:9) was refused after udp_sendmsg: ENETUNREACH")]
fn a_journey_says_first_how_it_ended(#[case] index: usize, #[case] first: &str) {
    let journey = journey();
    assert_eq!(packet_text(&journey.packets[index], &journey).lines().next(), Some(first));
}
