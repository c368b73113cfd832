//! What is written, read back by ourselves, by libpcap and, where it is installed, by tshark.

use super::*;
use crate::capture::{CapturedFrame, StepRef, read};
use crate::frame::build;
use crate::frame::fixtures::{arp_request, icmp_echo, nowhere, spec, tcp_syn, udp_hello};
use std::process::Command;

const EPOCH: Duration = Duration::from_secs(1_577_836_800);

fn capture() -> Capture {
    let frame =
        |at, direction, bytes, explained, packet| CapturedFrame { at, direction, bytes, explained, packet };
    let step = Explained::Step(StepRef::new(&nowhere()));
    let mut capture = Capture::default();
    capture.push(frame(12_304, Direction::Outbound, arp_request(), Explained::Automatic, Some(1)));
    capture.push(frame(3_000_000_001, Direction::Outbound, udp_hello(), step, Some(2)));
    capture.push(frame(12_305, Direction::Inbound, icmp_echo(), Explained::No, None));
    capture
}

fn on_disk(capture: &Capture) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wire.pcapng");
    write(&path, capture, EPOCH).unwrap();
    write(&path, capture, EPOCH).unwrap();
    (folder, path)
}

#[test]
fn frames_are_in_the_order_of_time_and_the_bytes_are_the_same_each_time() {
    let times: Vec<_> = capture().frames.iter().map(|f| f.at).collect();
    assert_eq!(times, [12_304, 12_305, 3_000_000_001]);
    assert_eq!(bytes(&capture(), EPOCH).unwrap(), bytes(&capture(), EPOCH).unwrap());
}

#[test]
fn what_is_read_back_is_what_was_written() {
    let (_folder, path) = on_disk(&capture());
    assert_eq!(read::read(&path, EPOCH, None).unwrap(), capture());
    let udp = read::read(&path, EPOCH, Some("udp port 7")).unwrap();
    assert_eq!(udp.frames, capture().frames[2..]);
    assert!(matches!(read::read(&path, EPOCH, Some("udp prt")), Err(read::ReadError::Filter(_))));
}

#[test]
fn a_damaged_file_is_an_error_and_no_panic() {
    let whole = bytes(&capture(), EPOCH).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wire.pcapng");
    for length in (0..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..length]).unwrap();
        let _ = read::read(&path, EPOCH, None);
    }
    std::fs::write(&path, b"no capture").unwrap();
    assert!(read::read(&path, EPOCH, None).is_err());
}

#[test]
fn libpcap_reads_the_same_frames_to_the_nanosecond() {
    let (_folder, path) = on_disk(&capture());
    let mut file = pcap::Capture::from_file_with_precision(&path, pcap::Precision::Nano).unwrap();
    for frame in capture().frames {
        let got = file.next_packet().unwrap();
        assert_eq!(got.data, frame.bytes);
        let at = EPOCH + Duration::from_nanos(frame.at);
        let got = (u64::try_from(got.header.ts.tv_sec), u32::try_from(got.header.ts.tv_usec));
        assert_eq!(got, (Ok(at.as_secs()), Ok(at.subsec_nanos())));
    }
    assert!(file.next_packet().is_err());
}

/// tshark's answer.
fn tshark(capture: &Capture, arguments: &[&str]) -> String {
    let (_folder, path) = on_disk(capture);
    let output = Command::new("tshark").arg("-n").arg("-r").arg(&path).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[cfg_attr(not(has_tshark), ignore = "tshark is not installed: apt-get install tshark")]
fn tshark_finds_nothing_malformed_in_frames_built_here() {
    let mut capture = capture();
    let recipes = [
        ("udp: {src_port: 9, dst_port: 4000}", 1400),
        ("udp: {src_port: 9, dst_port: 4000}; ipv4: {tos: 184, ttl: 1}", 3),
        ("tcp: {src_port: 1, dst_port: 2, flags: ACK}", 11),
        ("icmp: {type: echo_reply}", 56),
        ("arp: {op: reply}", 0),
        ("ipv4: {flags: MF, id: 7}; udp: {src_port: 9, dst_port: 4000, length: 1481}", 1472),
        ("ipv4: {frag_offset: 1480, id: 7, protocol: udp}", 1),
    ];
    for (at, (text, length)) in (4_000_000_000..).zip(recipes) {
        let bytes = build(&spec(text, Some(&vec![0x61; length])), None).unwrap();
        let (direction, explained) = (Direction::Inbound, Explained::No);
        capture.push(CapturedFrame { at, direction, bytes, explained, packet: None });
    }
    let bytes = tcp_syn();
    let (direction, explained) = (Direction::Outbound, Explained::No);
    capture.push(CapturedFrame { at: 5_000_000_000, direction, bytes, explained, packet: None });
    let checks =
        ["ip.check_checksum", "udp.check_checksum", "tcp.check_checksum"].map(|c| format!("{c}:TRUE"));
    let wrong = "_ws.malformed or ip.checksum.status == Bad or udp.checksum.status == Bad \
                 or tcp.checksum.status == Bad or icmp.checksum.status == Bad or _ws.expert.severity >= 0x600000";
    let mut arguments = vec!["-Y", wrong];
    for check in &checks {
        arguments.extend(["-o", check]);
    }
    assert_eq!(tshark(&capture, &arguments), "");
    // The same question does find a frame that is wrong.
    let spoilt = capture.frames.len() - 1;
    capture.frames[spoilt].bytes[40] ^= 1;
    assert_ne!(tshark(&capture, &arguments), "");
}

#[test]
#[cfg_attr(not(has_tshark), ignore = "tshark is not installed: apt-get install tshark")]
fn tshark_shows_direction_and_step() {
    let fields = [
        "-T",
        "fields",
        "-e",
        "frame.packet_flags_direction",
        "-e",
        "frame.comment",
        "-e",
        "frame.time_relative",
    ];
    let text = tshark(&capture(), &fields);
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "0x00000002\tautomatic peer,packet 1\t0.000000000",
            "0x00000001\tunexplained\t0.000000001",
            "0x00000002\tudp/one.yaml:2 expect: {udp: {dst_port: 7}, payload: \"hello\"},packet 2\t2.999987697",
        ]
    );
}
