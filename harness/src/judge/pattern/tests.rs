//! Patterns against frames of another hand.

use super::*;
use crate::frame::decode;
use crate::frame::fixtures::{arp_request, spec, tcp_syn, udp_hello};
use rstest::rstest;

#[rstest]
#[case::nothing_mentioned("", None)]
#[case::a_header_alone("udp: {}", None)]
#[case::some_fields("ipv4: {ttl: 64, flags: DF}; udp: {dst_port: 7}", Some("hello"))]
fn a_frame_matches_what_is_mentioned(#[case] text: &str, #[case] payload: Option<&str>) {
    assert_eq!(matches(&spec(text, payload.map(str::as_bytes)), &decode(&udp_hello())), Ok(()));
}

#[rstest]
#[case::a_port("udp: {dst_port: 8}", "udp.dst_port", "8", "7")]
#[case::flags_exactly("ipv4: {flags: 0}", "ipv4.flags", "[]", "[DF]")]
#[case::a_header_that_is_not_there("tcp: {}", "tcp", "present", "ends with udp")]
#[case::a_field_of_a_header_that_is_not_there("icmp: {code: 1}", "icmp.code", "1", "-")]
fn a_difference_is_shown(#[case] text: &str, #[case] field: &str, #[case] wanted: &str, #[case] got: &str) {
    let mismatch = matches(&spec(text, None), &decode(&udp_hello())).unwrap_err();
    let line = mismatch.lines.iter().find(|l| l.field == field).unwrap();
    assert_eq!((line.expected.as_str(), line.got.as_str(), line.same), (wanted, got, false));
}

#[test]
fn a_malformed_frame_never_matches() {
    let mut frame = udp_hello();
    frame[46] ^= 1;
    let mismatch = matches(&spec("udp: {dst_port: 7}", None), &decode(&frame)).unwrap_err();
    assert_eq!(mismatch.problems.len(), 1);
    assert!(mismatch.lines.iter().all(|l| l.same));
}

#[test]
fn a_payload_differs_from_a_byte_on() {
    let mismatch = matches(&spec("", Some(b"help!")), &decode(&udp_hello())).unwrap_err();
    let diff = mismatch.payload.unwrap();
    assert_eq!((diff.first, diff.expected.as_str(), diff.got.as_str()), (3, "\"p!\"", "\"lo\""));
}

#[test]
fn the_nearest_frame_is_the_one_with_the_same_headers() {
    let frames = [arp_request(), udp_hello(), tcp_syn()];
    let decoded: Vec<_> = frames.iter().map(|f| decode(f)).collect();
    let (index, mismatch) = nearest(&spec("ipv4: {ttl: 1}; udp: {dst_port: 7}", None), &decoded).unwrap();
    assert_eq!(index, 1);
    assert_eq!(mismatch.lines.iter().filter(|l| !l.same).count(), 1);
}

#[rstest]
#[case::without_a_word_of_it("udp: {dst_port: 7}", false)]
#[case::by_its_number("vlan: {id: 7}; udp: {dst_port: 7}", true)]
#[case::of_another_vlan("vlan: {id: 8}; udp: {dst_port: 7}", false)]
#[case::by_its_ethertype("eth: {type: vlan}", true)]
fn a_frame_of_a_vlan_matches_a_pattern_that_speaks_of_it(#[case] text: &str, #[case] matches_it: bool) {
    let mut frame = udp_hello();
    frame.splice(12..12, [0x81, 0, 0, 7]);
    assert_eq!(matches(&spec(text, None), &decode(&frame)).is_ok(), matches_it);
}
