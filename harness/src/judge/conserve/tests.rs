//! Equations that hold and that do not, over frames of another hand.

use super::traffic::{Came, Cast, Device, Frame};
use super::*;
use crate::frame::fixtures::{arp_request, icmp_echo, tcp_syn, udp_hello};
use crate::rig::port::Lost;
use nic_emu::DropReason;
use rstest::rstest;

/// An ARP request (42 bytes, padded), a datagram (47, padded) and a SYN (58, padded) were sent by queue 0, and a ping of 60 bytes
/// came, once whole and once damaged.
fn traffic() -> Traffic {
    let sent = [arp_request(), udp_hello(), tcp_syn()];
    let frame =
        |(packet, bytes): (u32, &Vec<u8>)| Frame { queue: Some(0), packet: Some(packet), ..Frame::of(bytes) };
    let sent = (0..).zip(&sent).map(frame).collect();
    let ping = icmp_echo();
    let lost = [Lost { reason: DropReason::BadCrc, bytes: ping.clone() }];
    Traffic::new(Device::Hardware, sent, vec![came(&ping), came(&ping)], Some(&lost), 1_500)
}

fn came(bytes: &[u8]) -> Came<'_> {
    Came { bytes, tag_is_of_device: false, queue: Some(1) }
}

#[test]
fn a_device_that_does_not_pad_counts_frames_as_they_are() {
    let mut padded = arp_request();
    padded.resize(60, 0);
    let mut traffic = Traffic::new(Device::Hardware, vec![Frame::of(&padded)], Vec::new(), None, 1_500);
    assert_eq!(traffic.sent[0].with_fcs(), 64);
    traffic.sent_unpadded();
    assert_eq!(traffic.sent[0].with_fcs(), 46);
}

fn moved(counters: &[(&str, i64)]) -> Moved {
    counters.iter().map(|(name, is)| ((*name).to_owned(), *is)).collect()
}

fn broken(group: Group, counters: &[(&str, i64)]) -> Vec<String> {
    let all = equations(group, &moved(counters), &traffic());
    all.iter().filter(|equation| !equation.holds()).map(Equation::message).collect()
}

const NETDEV: &[(&str, i64)] = &[
    ("tx_packets", 3),
    ("tx_bytes", 42 + 47 + 58),
    ("rx_packets", 1),
    ("rx_bytes", 60),
    ("rx_errors", 1),
    ("rx_crc_errors", 1),
    ("rx_length_errors", 0),
    ("multicast", 0),
];
const ETHTOOL: &[(&str, i64)] = &[
    ("tx_packets", 3),
    ("tx_bytes", 192),
    ("tx_broadcast", 1),
    ("tx_multicast", 0),
    ("rx_packets", 1),
    ("rx_bytes", 64),
    ("rx_long_byte_count", 64),
    ("rx_crc_errors", 1),
    ("tx_tcp_seg_good", 0),
];
const QUEUES: &[(&str, i64)] = &[
    ("tx_queue_0_packets", 3),
    ("tx_queue_0_bytes", 147),
    ("tx_queue_1_packets", 0),
    ("tx_queue_1_bytes", 0),
    ("rx_queue_0_packets", 0),
    ("rx_queue_0_bytes", 0),
    ("rx_queue_1_packets", 1),
    ("rx_queue_1_bytes", 60),
];
const SIZES: &[(&str, i64)] = &[("tx_64", 3), ("tx_65_127", 0), ("rx_64", 1), ("rx_1024_max", 0)];
const TCP: &[(&str, i64)] = &[("Tcp.OutSegs", 0), ("Tcp.RetransSegs", 1)];
const SNMP: &[(&str, i64)] = &[
    ("IpExt.InNoECTPkts", 1),
    ("Ip.InReceives", 1),
    ("IpExt.InOctets", 46),
    ("Udp.OutDatagrams", 1),
    ("Ip.OutTransmits", 2),
    ("IpExt.OutOctets", 33 + 44),
];
const QDISC: &[(&str, i64)] = &[("root/packets", 3), ("root/bytes", 147), ("root/drops", 7)];

#[rstest]
#[case::netdev(Group::Netdev, NETDEV)]
#[case::ethtool(Group::Ethtool, ETHTOOL)]
#[case::queues(Group::Queues, QUEUES)]
#[case::sizes(Group::Sizes, SIZES)]
#[case::tcp(Group::Tcp, TCP)]
#[case::snmp(Group::Snmp, SNMP)]
#[case::qdisc(Group::Qdisc, &QDISC[..2])]
fn every_counter_is_held_to_the_frame(#[case] group: Group, #[case] right: &[(&str, i64)]) {
    assert_eq!(broken(group, right), Vec::<String>::new());
    for wrong in 0..right.len() {
        for by in [-1, 1] {
            let mut counters = right.to_vec();
            counters[wrong].1 += by;
            let said = broken(group, &counters);
            assert!(!said.is_empty(), "{} off by {by} is not noticed", right[wrong].0);
        }
    }
}

#[test]
fn what_a_counter_says_nothing_of_is_not_held_against_it() {
    assert_eq!(broken(Group::Qdisc, &QDISC[2..]), Vec::<String>::new());
    assert_eq!(equations(Group::Netdev, &Moved::new(), &traffic()), Vec::new());
}

#[rstest]
#[case::by_an_fcs_for_each("tx_bytes", 180, "12 is missing: 4 for each frame, as much as an FCS")]
#[case::by_one_class("tx_packets", 4, "1 is too much: as much as the 1 frame of 64 bytes to everybody is")]
fn a_difference_is_shown_with_the_frames_that_make_it_up(
    #[case] counter: &str,
    #[case] is: i64,
    #[case] guess: &str,
) {
    let all = equations(Group::Ethtool, &moved(&[(counter, is)]), &traffic());
    let equation = all.iter().find(|equation| !equation.holds()).unwrap();
    let lines = equation.lines();
    assert_eq!(lines.last().map(|line| line.trim()), Some(guess), "{lines:#?}");
    let right: i64 = if counter == "tx_bytes" { 192 } else { 3 };
    let expected = ["2 frames of 64 bytes to one", "1 frame of 64 bytes to everybody"];
    assert!(expected.iter().all(|class| lines.iter().any(|line| line.ends_with(class))), "{lines:#?}");
    assert!(equation.message().contains(&format!("the wire says {right}")), "{}", equation.message());
}

#[rstest]
#[case::of_a_station([2, 0, 0, 0, 0, 2], Cast::Unicast)]
#[case::of_a_group([1, 0, 0x5e, 0, 0, 1], Cast::Multicast)]
#[case::of_all([0xff; 6], Cast::Broadcast)]
fn a_destination_address_says_for_whom_a_frame_is(#[case] to: [u8; 6], #[case] cast: Cast) {
    let mut bytes = udp_hello();
    bytes[..6].copy_from_slice(&to);
    assert_eq!(Frame::of(&bytes).cast, cast);
}

#[rstest]
#[case(60, "64 bytes to one")]
#[case(61, "65 to 127 bytes to one")]
#[case(123, "65 to 127 bytes to one")]
#[case(124, "128 to 255 bytes to one")]
#[case(252, "256 to 511 bytes to one")]
#[case(508, "512 to 1023 bytes to one")]
#[case(1019, "512 to 1023 bytes to one")]
#[case(1020, "1024 bytes or more to one")]
#[case(9000, "1024 bytes or more to one")]
fn sizes_count_the_fcs(#[case] bytes: usize, #[case] class: &str) {
    let mut frame = udp_hello();
    frame.resize(bytes, 0);
    assert_eq!(Frame::of(&frame).class().name(), class);
}

#[test]
fn a_nic_refuses_what_a_tap_takes() {
    let (mut short, mut other) = (udp_hello(), udp_hello());
    short.truncate(50);
    short[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    other[..6].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    let came = vec![came(&short), came(&other)];
    let nic = Traffic::new(Device::Hardware, Vec::new(), came.clone(), None, 1_500);
    let reasons: Vec<_> = nic.refused.iter().map(|(reason, _)| *reason).collect();
    assert_eq!((nic.accepted.len(), reasons), (0, vec![DropReason::Undersize, DropReason::Filtered]));
    let tap = Traffic::new(Device::Virtual, Vec::new(), came, None, 1_500);
    assert_eq!((tap.accepted.len(), tap.refused.len()), (2, 0));
}

#[test]
fn what_the_cable_lost_was_taken_by_the_device() {
    let lost = [Lost { reason: DropReason::LinkDown, bytes: udp_hello() }];
    let traffic = Traffic::new(Device::Hardware, Vec::new(), vec![], Some(&lost), 1_500);
    let held =
        |group, name: &str, is| equations(group, &moved(&[(name, is)]), &traffic).iter().all(Equation::holds);
    assert!(held(Group::Netdev, "tx_packets", 1), "its completion was cleaned");
    assert!(held(Group::Ethtool, "tx_packets", 0), "it was never on the wire");
}

/// Frames of one packet are one that the device cut; frames of which nothing is known are not.
#[rstest]
#[case::two_of_one(&[Some(1), Some(1), Some(2)], 1)]
#[case::each_its_own(&[Some(1), Some(2), Some(3)], 0)]
#[case::two_packets(&[Some(1), Some(1), Some(2), Some(2), Some(2)], 2)]
#[case::unknown(&[None, None], 0)]
fn what_the_device_cut_is_counted_by_packet(#[case] packets: &[Option<u32>], #[case] cut: usize) {
    let sent = packets.iter().map(|packet| Frame { packet: *packet, ..Frame::of(&udp_hello()) }).collect();
    assert_eq!(Traffic::new(Device::Hardware, sent, vec![], None, 1_500).cut().count(), cut);
}

/// A frame of 64 bytes with a tag: the driver sees it, or what is left without it, padded again.
#[rstest]
#[case::the_device_takes_it_off(true, 60, 43)]
#[case::it_stays_in_the_frame(false, 60, 47)]
fn a_tag_is_counted_where_it_is_seen(#[case] tag_is_of_device: bool, #[case] up: u64, #[case] down: u64) {
    let mut bytes = udp_hello();
    bytes.splice(12..12, [0x81, 0, 0, 7]);
    bytes.truncate(60);
    let frame = Frame { tag_is_of_device, ..Frame::of(&bytes) };
    assert_eq!((frame.is_ipv4, frame.handed_up(), frame.queued()), (true, up, 47));
    assert_eq!(frame.handed_down(), down + 4);
}
