//! Segments byte for byte. The frames were put together apart from this crate, from RFC 791, 768, 9293 and the rules of
//! RFC 1071: two full segments and a rest, with identification and sequence number passing their largest value on the way.

mod machine;

use machine::{Machine, data};
use nic_emu::Rule;
use rstest::rstest;

const EOP_IFCS_RS: u32 = 0x0B00_0000;
const IFCS: u32 = 0x0200_0000;
const VLE: u32 = 1 << 30;
const TSE: u32 = 1 << 31;
const IXSM_TXSM: u32 = 3;
const IPV4: u32 = 1 << 10;
const TCP: u32 = 1 << 11;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// 54 bytes of headers: total length 0, header checksum a negative zero, CWR, ACK, PSH, FIN, and the seed without the length
/// (C000 + 0201 + C000 + 0202 + 6).
const TCP_HEADERS: &str = "020000000002 020000000001 0800 4500 0000 ffff4000 4006 ffff c0000201 c0000202
    1000 2000 fffffff0 00000007 5099 faf0 840a 0000";
/// 42 bytes: a UDP length that does not matter, and C000 + 0201 + C000 + 0202 + 11.
const UDP_HEADERS: &str = "020000000002 020000000001 0800 4500 0000 00094000 4011 ffff c0000201 c0000202
    0fa0 0007 dead 8415";

/// 43 bytes: with 20 a segment, 20, 20 and 3.
const PAYLOAD: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

/// Context, headers, and the payload in two more buffers, cut within a segment.
fn send(
    machine: &mut Machine,
    context: [u32; 4],
    headers: &[u8],
    payload: &[u8],
    command: u32,
    paylen: usize,
) {
    machine.ram.put(0x8_0000, headers);
    machine.ram.put(0x9_0003, &payload[..7]);
    machine.ram.put(0xA_0000, &payload[7..]);
    machine.queue(context);
    machine.queue(data(0x8_0000, headers.len(), IFCS | TSE | command, IXSM_TXSM, paylen));
    machine.queue(data(0x9_0003, 7, IFCS | TSE | command, 0, 0));
    machine.queue(data(0xA_0000, payload.len() - 7, EOP_IFCS_RS | TSE | command, 0, 0));
    machine.ring();
    machine.run();
}

fn context(iplen: u32, vlan: u32, tucmd: u32, l4len: u32, mss: u32) -> [u32; 4] {
    [vlan << 16 | 14 << 9 | iplen, 0, 0x2020_0000 | tucmd, mss << 16 | l4len << 8]
}

/// The frames that were sent are these, padded to 60 bytes.
fn assert_sent(machine: &Machine, expected: &[&str]) {
    let sent: Vec<Vec<u8>> = machine.out.frames.iter().map(|frame| frame.bytes.clone()).collect();
    let expected: Vec<Vec<u8>> = expected
        .iter()
        .map(|hex| {
            let mut frame = bytes(hex);
            frame.resize(frame.len().max(60), 0);
            frame
        })
        .collect();
    assert_eq!(sent, expected);
}

#[test]
fn tcp_segments() {
    let mut machine = Machine::up();
    send(&mut machine, context(20, 0, IPV4 | TCP, 20, 20), &bytes(TCP_HEADERS), PAYLOAD, 0, 43);
    assert_sent(
        &machine,
        &[
            "020000000002 020000000001 0800 4500 003c ffff4000 4006 b6b8 c0000201 c0000202
             1000 2000 fffffff0 00000007 5090 faf0 004a 0000 303132333435363738396162636465666768696a",
            "020000000002 020000000001 0800 4500 003c 00004000 4006 b6b8 c0000201 c0000202
             1000 2000 00000004 00000007 5010 faf0 e89e 0000 6b6c6d6e6f707172737475767778797a41424344",
            "020000000002 020000000001 0800 4500 002b 00014000 4006 b6c8 c0000201 c0000202
             1000 2000 00000018 00000007 5019 faf0 746e 0000 454647",
        ],
    );
    // TSCTC, TSCTFC, GPTC, PTC64, PTC127, GOTCL: 74 and 74 bytes, 57 padded to 60, each with 4 of FCS.
    let counters = [0x40F8, 0x40FC, 0x4080, 0x40D8, 0x40DC, 0x4090].map(|register| machine.read(register));
    assert_eq!(counters, [1, 0, 3, 1, 2, 78 + 78 + 64]);
    assert_eq!(machine.rules(), []);
}

#[test]
fn udp_datagrams() {
    let mut machine = Machine::up();
    send(&mut machine, context(20, 0, IPV4, 8, 20), &bytes(UDP_HEADERS), &PAYLOAD[..25], 0, 25);
    assert_sent(
        &machine,
        &[
            "020000000002 020000000001 0800 4500 0030 00094000 4011 b6b0 c0000201 c0000202
             0fa0 0007 001c 6c01 303132333435363738396162636465666768696a",
            "020000000002 020000000001 0800 4500 0021 000a4000 4011 b6be c0000201 c0000202
             0fa0 0007 000d 244e 6b6c6d6e6f",
        ],
    );
    assert_eq!([0x40F8, 0x40FC].map(|register| machine.read(register)), [1, 0]);
    assert_eq!(machine.rules(), []);
}

#[test]
fn every_segment_carries_the_tag() {
    let mut machine = Machine::up();
    send(&mut machine, context(20, 0x6064, IPV4, 8, 20), &bytes(UDP_HEADERS), &PAYLOAD[..25], VLE, 25);
    assert_sent(
        &machine,
        &[
            "020000000002 020000000001 8100 6064 0800 4500 0030 00094000 4011 b6b0 c0000201 c0000202
             0fa0 0007 001c 6c01 303132333435363738396162636465666768696a",
            "020000000002 020000000001 8100 6064 0800 4500 0021 000a4000 4011 b6be c0000201 c0000202
             0fa0 0007 000d 244e 6b6c6d6e6f",
        ],
    );
}

/// A length in the seed is added twice: the segments go out with checksums that are wrong, as from the hardware.
#[test]
fn a_seed_with_the_length_makes_wrong_checksums() {
    let mut machine = Machine::up();
    // 840a and the length of all, 20 + 43.
    let headers = bytes(&TCP_HEADERS.replace("840a", "8449"));
    send(&mut machine, context(20, 0, IPV4 | TCP, 20, 20), &headers, PAYLOAD, 0, 43);
    let field = |n: usize| machine.out.frames[n].bytes[50..52].to_vec();
    // Each is less than the right one by 3f.
    assert_eq!([field(0), field(1), field(2)], [bytes("000b"), bytes("e85f"), bytes("742f")]);
}

#[rstest]
#[case::a_tcp_header_that_is_too_short(context(20, 0, IPV4 | TCP, 19, 20), 43, Rule::BadContext)]
#[case::a_udp_header_that_is_too_short(context(20, 0, IPV4, 7, 20), 43, Rule::BadContext)]
#[case::an_ip_header_that_is_too_short(context(19, 0, IPV4 | TCP, 20, 20), 43, Rule::BadContext)]
#[case::headers_beyond_512_bytes(context(511, 0, IPV4 | TCP, 20, 20), 43, Rule::BadContext)]
#[case::segments_beyond_the_longest_frame(context(20, 0, IPV4 | TCP, 20, 9700), 43, Rule::BadContext)]
#[case::more_payload_than_was_said(context(20, 0, IPV4 | TCP, 20, 20), 40, Rule::LengthMismatch)]
#[case::less_payload_than_was_said(context(20, 0, IPV4 | TCP, 20, 20), 44, Rule::LengthMismatch)]
fn what_contradicts_itself_is_noted_and_the_ring_goes_on(
    #[case] context: [u32; 4],
    #[case] paylen: usize,
    #[case] rule: Rule,
) {
    let mut machine = Machine::up();
    send(&mut machine, context, &bytes(TCP_HEADERS), PAYLOAD, 0, paylen);
    assert_eq!(machine.rules(), [rule]);
    assert_eq!([0x40F8, 0x40FC].map(|register| machine.read(register)), [0, 1], "TSCTC and TSCTFC");
    assert_eq!(machine.read(0xE010), 4, "the ring goes on");
}
