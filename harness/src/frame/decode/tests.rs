//! Frames of other hands, and hostile ones.

use super::*;
use crate::frame::fixtures::{arp_request, icmp_echo, spec, tcp_syn, udp_hello};
use crate::frame::{automatic_peer, build};
use rstest::rstest;

fn problems(frame: &[u8]) -> Vec<String> {
    decode(frame).problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_datagram_of_another_hand_is_read_field_by_field() {
    let frame = udp_hello();
    let d = decode(&frame);
    assert_eq!(d.problems, []);
    assert_eq!(d.layers, [Layer::Eth, Layer::Ipv4, Layer::Udp]);
    assert_eq!(d.payload, b"hello");
    let shown: Vec<_> = d.fields.iter().map(|(f, v)| format!("{}={}", f.name(), f.show(v))).collect();
    assert_eq!(
        shown.join(" "),
        "eth.dst=02:00:00:00:00:02 eth.src=02:00:00:00:00:01 eth.type=ipv4 ipv4.version=4 ipv4.ihl=5 ipv4.tos=0 \
         ipv4.length=33 ipv4.id=0 ipv4.flags=[DF] ipv4.frag_offset=0 ipv4.ttl=64 ipv4.protocol=udp \
         ipv4.checksum=46792 ipv4.src=192.0.2.1 ipv4.dst=192.0.2.2 udp.src_port=4000 udp.dst_port=7 udp.length=13 \
         udp.checksum=10327"
    );
}

#[test]
fn a_syn_of_another_hand_has_its_options_and_no_payload() {
    let frame = tcp_syn();
    let d = decode(&frame);
    assert_eq!(d.problems, []);
    assert_eq!(d.number(Layer::Tcp, "flags"), Some(2));
    assert_eq!(d.number(Layer::Tcp, "data_offset"), Some(6));
    assert_eq!(d.get(find(Layer::Tcp, "options").unwrap()), Some(&Value::Bytes(vec![2, 4, 5, 0xb4])));
    assert_eq!(d.payload, b"");
}

#[rstest]
#[case::a_bit_of_the_ip_header(24, 1, "ipv4.checksum: is 0xb7c8, right is 0xb6c8")]
#[case::a_version_that_is_not_4(14, 0x65 ^ 0x45, "ipv4.version: is 6, an IPv4 packet has 4")]
#[case::a_header_that_is_too_short(14, 0x44 ^ 0x45, "ipv4.ihl: says 16 bytes of header; 20 is the least, 46 are there")]
#[case::a_header_that_is_too_long(14, 0x4f ^ 0x45, "ipv4.ihl: says 60 bytes of header; 20 is the least, 46 are there")]
#[case::a_total_length_beyond_the_frame(17, 33 ^ 47, "ipv4.length: says 47 bytes; the header has 20, the frame carries 46")]
#[case::the_reserved_bit(20, 0x80, "ipv4.flags: the reserved bit is set")]
#[case::a_bit_of_the_data(42, 1, "udp.checksum: is 0x2857, right is 0x2757")]
#[case::a_udp_length_that_is_too_small(39, 13 ^ 12, "udp.length: says 12 bytes, the packet carries 13")]
#[case::a_udp_length_that_is_too_large(39, 13 ^ 14, "udp.length: says 14 bytes, the packet carries 13")]
fn what_is_malformed_is_said(#[case] at: usize, #[case] flip: u8, #[case] expected: &str) {
    let mut frame = udp_hello();
    frame[at] ^= flip;
    assert!(problems(&frame).iter().any(|p| p == expected), "{:?}", problems(&frame));
}

#[test]
fn padding_is_only_for_short_frames() {
    let mut frame = udp_hello();
    assert_eq!(decode(&frame).notes, Vec::<String>::new());
    frame[59] = 1;
    assert_eq!(decode(&frame).notes, ["the padding of 13 bytes is not zero"]);
    assert_eq!(problems(&frame), Vec::<String>::new());
    frame.push(0);
    assert_eq!(
        problems(&frame),
        ["ipv4.length: 14 bytes follow the packet in a frame of 61: only a frame of 60 is padded"]
    );
    frame.truncate(47);
    assert_eq!(problems(&frame), Vec::<String>::new(), "a frame of a TAP is not padded");
}

#[test]
fn a_udp_checksum_of_zero_is_none() {
    let mut frame = udp_hello();
    frame[40..42].fill(0);
    assert_eq!(problems(&frame), Vec::<String>::new());
}

#[rstest]
#[case::a_later_fragment("ipv4: {flags: 0, frag_offset: 1480, protocol: 17}", 16, vec![])]
#[case::a_fragment_that_is_no_multiple_of_8(
    "ipv4: {flags: 1, frag_offset: 1480, protocol: 17}", 15,
    vec!["ipv4.length: a fragment with MF carries 15 bytes, not a multiple of 8"]
)]
#[case::a_fragment_beyond_the_end_of_all_datagrams(
    "ipv4: {flags: 0, frag_offset: 65520, protocol: 17}", 16,
    vec!["ipv4.frag_offset: 65520 and 16 bytes of data make a datagram of 65556, more than 65535"]
)]
#[case::a_fragment_that_may_not_be_one("ipv4: {flags: 3, frag_offset: 0, protocol: 47}", 16, vec![])]
fn fragments_carry_payload_only(#[case] text: &str, #[case] length: usize, #[case] expected: Vec<&str>) {
    let frame = build(&spec(text, Some(&vec![7; length])), None).unwrap();
    let d = decode(&frame);
    assert_eq!(d.layers, [Layer::Eth, Layer::Ipv4]);
    assert_eq!(d.payload, vec![7; length]);
    assert_eq!(problems(&frame), expected);
}

#[rstest]
#[case::hardware_type(15, 6, "arp.htype: is 0x6, ARP for IPv4 over Ethernet has 0x1")]
#[case::protocol_type(16, 0x86, "arp.ptype: is 0x8600, ARP for IPv4 over Ethernet has 0x800")]
#[case::length_of_hardware_addresses(18, 8, "arp.hlen: is 0x8, ARP for IPv4 over Ethernet has 0x6")]
#[case::length_of_protocol_addresses(19, 16, "arp.plen: is 0x10, ARP for IPv4 over Ethernet has 0x4")]
fn arp_for_anything_but_ipv4_over_ethernet_is_malformed(
    #[case] at: usize,
    #[case] value: u8,
    #[case] expected: &str,
) {
    let mut frame = arp_request();
    assert_eq!(problems(&frame), Vec::<String>::new());
    frame[at] = value;
    assert_eq!(problems(&frame), [expected]);
}

#[rstest]
#[case::udp(udp_hello())]
#[case::tcp(tcp_syn())]
#[case::arp(arp_request())]
#[case::icmp(icmp_echo())]
fn hostile_bytes_are_only_malformed(#[case] frame: Vec<u8>) {
    for length in 0..frame.len() {
        let d = decode(&frame[..length]);
        assert!(length >= 42 || !d.problems.is_empty(), "a prefix of {length} bytes looks whole");
        let _ = (crate::frame::summary::summary(&d), automatic_peer(&frame[..length]));
    }
    for bit in 0..frame.len() * 8 {
        let mut bent = frame.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        let d = decode(&bent);
        let _ = (crate::frame::summary::summary(&d), automatic_peer(&bent));
    }
    for length in (0..frame.len()).step_by(3) {
        let mut noise: Vec<u8> = (0..length).map(|i| u8::try_from(i * 97 % 251).unwrap_or(0)).collect();
        let keep = length.min(24);
        noise[..keep].copy_from_slice(&frame[..keep]);
        let _ = crate::frame::summary::summary(&decode(&noise));
    }
}
