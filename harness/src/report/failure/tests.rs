//! What a person reads.

use super::*;
use crate::capture::journal::tests::journey;
use crate::case::model::Interrupts;
use crate::frame::fixtures::{nowhere, spec};
use crate::report::ladder::tests::capture;

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
        charged_as_igb: false,
        real_peer: None,
        differs: Vec::new(),
        faults: Vec::new(),
        interrupts: Interrupts::Msix,
        steps: Vec::new(),
    }
}

#[test]
fn a_failure_says_where_what_and_how_to_see_it_again() {
    let wanted =
        spec("ipv4: {ttl: 64, flags: 0}; tcp: {src_port: 40000, dst_port: 80, flags: SYN}", Some(b"lost"));
    let lost = spec("udp: {dst_port: 80}", Some(b"lost"));
    let failure =
        Failure::new(&trial(), RigKind::Emu, Some(&nowhere()), "another frame came than the one expected")
            .beside(&wanted, &capture())
            .on_the_wire(&capture())
            .missing(&lost, &journey())
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
       5    1.000000000 → 192.0.2.1:40000 > 192.0.2.2:8080 TCP S 0:0(0) win 65535 <mss 1460>  unexplained
       6    1.000012304 ← 192.0.2.2 > 192.0.2.1 ICMP echo_request id=7 seq=3 4              unexplained
       7    1.000024608 → 192.0.2.1:4000 > 192.0.2.2:7 UDP 5 [udp.checksum: is 0x2857, right is 0x2757]  unexplained
    packet 2 (4 bytes, "lost", to 192.0.2.2:80) was dropped after nf_hook_slow: NETFILTER_DROP
           0.060000000  CPU 0 process  udp_sendmsg
           0.060000250  CPU 0 process  nf_hook_slow
           0.060000300  CPU 0 process  dropped: NETFILTER_DROP
           0.060000300  CPU 0 process  refused: EPERM
    capture: target/wireproof/emu/udp/one/wire.pcapng
    again: cargo run --release -- run cases/udp/one.yaml --filter 'udp/one[length=4]' --rig emu
    "#);
}

#[test]
fn a_frame_that_another_step_took_is_nearest_where_it_is_and_named_where_it_fits() {
    let wanted = spec("udp: {src_port: 4000, dst_port: 8}", None);
    let near = Failure::new(&trial(), RigKind::Emu, None, "no frame came").beside(&wanted, &capture());
    assert_eq!(near.nearest.map(|(frame, _)| frame), Some(3));
    let wanted = spec("udp: {src_port: 4000, dst_port: 7}", Some(b"hello"));
    let taken = Failure::new(&trial(), RigKind::Emu, None, "no frame came").beside(&wanted, &capture());
    assert!(taken.to_string().contains("frame 3 is such a frame, but udp/one.yaml:2 took it"), "{taken}");
}

#[test]
fn a_place_outside_of_its_file_is_shown_all_the_same() {
    let mut at = nowhere();
    (at.line, at.column) = (99, 0);
    assert!(source_text(&at).contains("--> cases/udp/one.yaml:99:0"));
}
