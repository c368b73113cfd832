//! What the builder fills in, and what it refuses.

use super::*;
use crate::frame::fixtures::{arp_request, spec, udp_hello};
use rstest::rstest;

fn whole(text: &str, payload: &[u8]) -> Vec<u8> {
    build(&spec(text, Some(payload)), None).unwrap()
}

#[test]
fn a_recipe_with_every_address_gives_the_bytes_of_another_hand() {
    let text = "eth: {src: 02:00:00:00:00:01, dst: 02:00:00:00:00:02}; \
                ipv4: {src: 192.0.2.1, dst: 192.0.2.2, flags: DF}; udp: {src_port: 4000, dst_port: 7}";
    assert_eq!(whole(text, b"hello"), udp_hello());
}

#[rstest]
#[case::udp("udp: {src_port: 9, dst_port: 4000}")]
#[case::udp_with_ip_options("udp: {src_port: 9, dst_port: 4000}; ipv4: {options: abcd}")]
#[case::icmp("icmp: {type: echo_request}")]
#[case::tcp("tcp: {src_port: 1, dst_port: 2, flags: SYN, options: abcdefgh}")]
#[case::raw("ipv4: {protocol: 47}")]
fn what_is_left_out_is_what_the_peer_would_send(#[case] text: &str) {
    for length in [0, 1, 2, 3, 100, 1400] {
        let frame = whole(text, &vec![0xa5; length]);
        let d = decode(&frame);
        assert_eq!(d.problems, [], "{length} bytes");
        assert_eq!(d.payload.len(), length);
        let ip = d.ipv4.unwrap();
        assert_eq!((ip.src, ip.dst, ip.ttl, ip.id), (topology::PEER_IP, topology::SUT_IP, 64, 0));
        assert_eq!(frame[..6], topology::SUT_MAC);
        assert_eq!(frame[6..12], topology::PEER_MAC);
    }
}

#[rstest]
#[case::ip_checksum("ipv4: {checksum: 1}; udp: {src_port: 1, dst_port: 2}", "ipv4.checksum")]
#[case::ip_length("ipv4: {length: 60, protocol: 47}", "ipv4.length")]
#[case::ip_header_length("ipv4: {ihl: 4}; udp: {src_port: 1, dst_port: 2}", "ipv4.ihl")]
#[case::ip_version("ipv4: {version: 5}; udp: {src_port: 1, dst_port: 2}", "ipv4.version")]
#[case::udp_checksum("udp: {src_port: 1, dst_port: 2, checksum: 1}", "udp.checksum")]
#[case::udp_length("udp: {src_port: 1, dst_port: 2, length: 9}", "udp.length")]
#[case::icmp_checksum("icmp: {checksum: 1}", "icmp.checksum")]
#[case::tcp_checksum("tcp: {src_port: 1, dst_port: 2, checksum: 1}", "tcp.checksum")]
#[case::tcp_data_offset("tcp: {src_port: 1, dst_port: 2, data_offset: 4}", "tcp.data_offset")]
fn a_wrong_value_that_is_given_is_the_only_one_wrong(#[case] text: &str, #[case] wrong: &str) {
    let frame = whole(text, b"abcdef");
    let names: Vec<_> = decode(&frame).problems.iter().filter_map(|p| p.field.map(|f| f.name())).collect();
    assert_eq!(names, [wrong]);
}

#[rstest]
#[case::no_port("udp: {src_port: 1}", "`udp.dst_port` must be given: no port is usual")]
#[case::no_protocol("ipv4: {ttl: 3}", "`ipv4.protocol` must be given: the packet has no other header")]
#[case::no_ethertype("eth: {}", "`eth.type` must be given: the frame has no other header")]
#[case::no_operation("arp: {}", "`arp.op` must be given: request and reply are both usual")]
#[case::two_transports("udp: {}; tcp: {}", "a frame has one of `udp` and `tcp`, not both")]
#[case::half_an_offset(
    "ipv4: {frag_offset: 4, protocol: udp}",
    "`ipv4.frag_offset` cannot be 4: it is a multiple of 8, at most 65528"
)]
#[case::too_many_bits("ipv4: {ttl: 256, protocol: udp}", "`ipv4.ttl` cannot be 256: it is too large")]
#[case::too_many_bits_of_four("ipv4: {ihl: 16, protocol: udp}", "`ipv4.ihl` cannot be 16: it is too large")]
#[case::a_fragment_without_its_length(
    "ipv4: {flags: MF}; udp: {src_port: 1, dst_port: 2}",
    "`udp.length` must be given: a fragment does not know how long its datagram is"
)]
fn what_cannot_be_guessed_is_refused(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(build(&spec(text, None), None).unwrap_err().to_string(), expected);
}

#[test]
fn a_frame_longer_than_the_wire_carries_is_refused() {
    let most = topology::WIRE_BYTES - 14 - 28;
    assert_eq!(whole("udp: {src_port: 1, dst_port: 2}", &vec![0; most]).len(), topology::WIRE_BYTES);
    let text = spec("udp: {src_port: 1, dst_port: 2}", Some(&vec![0; most + 1]));
    assert_eq!(build(&text, None), Err(BuildError::TooLong(topology::WIRE_BYTES + 1)));
}

#[test]
fn an_icmp_error_quotes_the_header_and_eight_bytes() {
    let seen = udp_hello();
    let mut error = spec("icmp: {type: dest_unreachable, code: 3}", None);
    error.quotes = Some("sent".to_owned());
    let frame = build(&error, Some(&seen)).unwrap();
    let d = decode(&frame);
    assert_eq!(d.problems, []);
    assert_eq!(d.payload, &seen[14..14 + 28]);
    assert_eq!(build(&error, Some(&arp_request())), Err(BuildError::NothingToQuote));
    assert_eq!(build(&error, None), Err(BuildError::NothingToQuote));
}

#[rstest]
#[case::the_peer([192, 0, 2, 2], Some(topology::PEER_MAC))]
#[case::the_gateway([192, 0, 2, 254], Some(topology::GATEWAY_MAC))]
#[case::nobody([192, 0, 2, 9], None)]
fn the_automatic_peer_answers_for(#[case] tpa: [u8; 4], #[case] answer: Option<[u8; 6]>) {
    let mut request = arp_request();
    request[38..42].copy_from_slice(&tpa);
    let reply = automatic_peer(&request);
    assert_eq!(reply.is_some(), answer.is_some());
    if let (Some(reply), Some(mac)) = (reply, answer) {
        assert_eq!(reply.len(), 60);
        assert_eq!(reply[..6], topology::SUT_MAC);
        assert_eq!(reply[6..12], mac);
        let mut body = vec![0, 1, 8, 0, 6, 4, 0, 2];
        body.extend(mac.iter().chain(&tpa).chain(&topology::SUT_MAC).chain(&[192, 0, 2, 1]));
        assert_eq!(reply[14..42], body);
    }
}

#[test]
fn the_automatic_peer_is_silent_about_what_is_not_for_it() {
    assert_eq!(automatic_peer(&udp_hello()), None);
    let mut to_another = arp_request();
    to_another[..6].copy_from_slice(&topology::GATEWAY_MAC);
    assert_eq!(automatic_peer(&to_another), None);
    let mut reply = arp_request();
    reply[21] = 2;
    assert_eq!(automatic_peer(&reply), None);
}

#[test]
fn a_tag_stands_between_the_addresses_and_the_type() {
    let text = "eth: {src: 02:00:00:00:00:01, dst: 02:00:00:00:00:02}; vlan: {id: 100, priority: 5, dei: 1}; \
                ipv4: {src: 192.0.2.1, dst: 192.0.2.2, flags: DF}; udp: {src_port: 4000, dst_port: 7}";
    let mut expected = udp_hello();
    expected.splice(12..12, [0x81, 0x00, 0xb0, 0x64]);
    let frame = whole(text, b"hello");
    assert_eq!(frame[..51], expected[..51]);
    let d = decode(&frame);
    assert_eq!((d.number(Layer::Vlan, "id"), d.number(Layer::Vlan, "priority")), (Some(100), Some(5)));
    assert_eq!((d.problems.len(), d.payload), (0, b"hello".as_slice()));
}

#[test]
fn the_automatic_peer_answers_in_the_vlan_in_which_it_was_asked() {
    let mut request = arp_request();
    assert_eq!(automatic_peer(&request).map(|reply| reply.len()), Some(60));
    request.splice(12..12, [0x81, 0, 0, 7]);
    let reply = automatic_peer(&request).expect("an answer");
    assert_eq!(reply[12..18], [0x81, 0, 0, 7, 0x08, 0x06]);
    assert_eq!(decode(&reply).problems, []);
}
