//! What a person reads.

use super::*;
use crate::capture::journal::tests::journey;
use crate::frame::fixtures::{nowhere, spec};
use crate::report::ladder::tests::capture;
use rstest::rstest;

fn trial() -> Trial {
    Trial {
        case: "udp/one".to_owned(),
        row: vec![("length".to_owned(), "4".to_owned())],
        file: nowhere().file,
        about: String::new(),
        covers: Vec::new(),
        refs: Vec::new(),
        rigs: None,
        automatic_arp: true,
        differs: Vec::new(),
        faults: Vec::new(),
        steps: Vec::new(),
    }
}

#[test]
fn a_failure_says_where_what_and_how_to_see_it_again() {
    let wanted =
        spec("ipv4: {ttl: 64, flags: 0}; tcp: {src_port: 40000, dst_port: 80, flags: SYN}", Some(b"lost"));
    let failure =
        Failure::new(&trial(), RigKind::Emu, Some(&nowhere()), "another frame came than the one expected")
            .beside(&wanted, &capture())
            .on_the_wire(&capture())
            .missing(Some(&wanted), &journey())
            .kept_in("target/wireproof/emu/udp/one/wire.pcapng".into());
    insta::assert_snapshot!(failure, @r#"
    udp/one[length=4] failed on emu: another frame came than the one expected
     --> cases/udp/one.yaml:2:5
      |
    2 |   - expect: {udp: {dst_port: 7}, payload: "hello"}
      |     ^
    expected, beside frame 5, the nearest that came:
        field         expected               got
        ipv4.ttl      64                     64
      ! ipv4.flags    []                     [DF]
        tcp.src_port  40000                  40000
      ! tcp.dst_port  80                     8080
        tcp.flags     [SYN]                  [SYN]
      ! payload       4 bytes; at 0: "lost"  0 bytes; at 0: nothing
    the wire (→ from the system under test, ← to it):
       1    0.000012304 → ARP who-has 192.0.2.2 tell 192.0.2.1                              automatic peer
       2    0.000012304 ← ARP reply 192.0.2.2 is-at 02:00:00:00:00:02                       automatic peer
       3    0.000025000 → 192.0.2.1:4000 > 192.0.2.2:7 UDP 5                                udp/one.yaml:2
       4    0.000037304 ← 192.0.2.2 > 192.0.2.1 udp 16 frag id=9 off=1480 len=16 MF         udp/one.yaml:2
       5    1.000000000 → 192.0.2.1:40000 > 192.0.2.2:8080 TCP S seq=0 0 win=65535 <020405b4>  unexplained
       6    1.000012304 ← 192.0.2.2 > 192.0.2.1 ICMP echo_request id=7 seq=3 4              unexplained
       7    1.000024608 → 192.0.2.1:4000 > 192.0.2.2:7 UDP 5 [udp.checksum: is 0x2857, right is 0x2757]  unexplained
    packet 2 (4 bytes, "lost") was dropped after nf_hook_slow: NETFILTER_DROP
           0.060000000  CPU 0 process  udp_sendmsg
           0.060000250  CPU 0 process  nf_hook_slow
           0.060000300  CPU 0 process  dropped: NETFILTER_DROP
    capture: target/wireproof/emu/udp/one/wire.pcapng
    again: wireproof run cases/udp/one.yaml --filter 'udp/one[length=4]' --rig emu
    "#);
}

#[rstest]
#[case::of_this_payload(Some(&b"lost"[..]), 2)]
#[case::else_the_last_that_was_dropped(Some(&b"other"[..]), 3)]
#[case::not_one_of_this_payload_that_is_on_the_wire(Some(&b"one"[..]), 3)]
#[case::of_any_payload(None, 3)]
fn the_missing_packet_is_one_that_is_not_on_the_wire(#[case] payload: Option<&[u8]>, #[case] id: u32) {
    let mut journey = journey();
    let dropped = Packet { id: 3, head: b"late".to_vec(), ..journey.packets[1].clone() };
    let mut received = Packet { id: 4, parent: None, head: vec![2; 16], ..dropped.clone() };
    received.moments[2].what = What::Consumed;
    journey.packets.extend([dropped, received]);
    assert_eq!(missing_packet(&journey, payload).map(|p| p.id), Some(id));
}

#[test]
fn a_packet_whose_fragment_was_on_the_wire_is_not_missing() {
    let mut journey = journey();
    let wire = journey.packets[0].moments[4].clone();
    journey.packets[0].moments.truncate(2);
    journey.packets[1].moments = vec![wire];
    assert_eq!(missing_packet(&journey, Some(b"one")), None);
}

#[test]
fn a_place_outside_of_its_file_is_shown_all_the_same() {
    let mut at = nowhere();
    (at.line, at.column) = (99, 0);
    assert!(source_text(&at).contains("--> cases/udp/one.yaml:99:0"));
}
