//! Datagrams cut by hand, rightly and wrongly.

use super::*;
use crate::frame::fixtures::spec;
use crate::frame::{build, decode};
use rstest::rstest;
use std::sync::Arc;

fn counting(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i % 256).unwrap_or(0)).collect()
}

fn step(mtu: u32, length: usize) -> Fragments {
    Fragments::new(&model::Fragments {
        mtu,
        pattern: spec("udp: {dst_port: 9}", None),
        payload: model::Payload(Arc::from(counting(length))),
        within: None,
    })
}

/// One piece: offset, bytes, MF, and more IPv4 fields.
fn piece(datagram: &[u8], at: usize, end: usize, more: &str) -> Vec<u8> {
    let mf = if end < datagram.len() { "MF" } else { "0" };
    let text = format!("ipv4: {{frag_offset: {at}, flags: {mf}, protocol: udp, {more}}}");
    build(&spec(&text, Some(&datagram[at..end])), None).unwrap()
}

/// The datagram with its UDP header, the checksum by pnet over the whole.
fn datagram(length: usize) -> Vec<u8> {
    let whole = build(&spec("udp: {src_port: 4000, dst_port: 9}", Some(&counting(length))), None).unwrap();
    whole[34..34 + 8 + length].to_vec()
}

fn cut(length: usize, room: usize) -> Vec<Vec<u8>> {
    let d = datagram(length);
    (0..d.len()).step_by(room).map(|at| piece(&d, at, d.len().min(at + room), "id: 5")).collect()
}

fn push_all(step: &mut Fragments, frames: &[Vec<u8>]) -> Vec<Progress> {
    frames.iter().map(|f| step.push(&decode(f))).collect()
}

#[rstest]
#[case::one_that_just_fits(1500, 1472, 1)]
#[case::one_byte_too_many(1500, 1473, 2)]
#[case::several(1500, 4000, 3)]
#[case::a_small_mtu(576, 1473, 3)]
#[case::a_room_that_is_no_multiple_of_8(1502, 4000, 3)]
fn legal_fragments_are_complete_with_the_last(
    #[case] mtu: u32,
    #[case] length: usize,
    #[case] frames: usize,
) {
    let cut = if frames == 1 {
        vec![piece(&datagram(length), 0, length + 8, "id: 5")]
    } else {
        cut(length, (mtu as usize - 20) & !7)
    };
    assert_eq!(cut.len(), frames);
    let mut expected = vec![Progress::NeedMore; frames - 1];
    expected.push(Progress::Complete);
    assert_eq!(push_all(&mut step(mtu, length), &cut), expected);
}

fn why(frames: &[Vec<u8>]) -> String {
    match push_all(&mut step(1500, 4000), frames).pop() {
        Some(Progress::Failed(why)) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::another_id(1480, 2960, "id: 6", "fragment 2: ipv4.id is 6, the first fragment has 5")]
#[case::another_ttl(1480, 2960, "id: 5, ttl: 3", "fragment 2: ipv4.ttl is 3, the first fragment has 64")]
#[case::a_gap(2960, 4008, "id: 5", "fragment 2 has offset 2960, the next in order is 1480: a gap")]
#[case::the_first_again(
    0,
    1480,
    "id: 5",
    "fragment 2 has offset 0, the next in order is 1480: an overlap or a repetition"
)]
#[case::not_full(
    1480,
    2952,
    "id: 5",
    "fragment 2 is not the last and carries 1472 bytes, an MTU of 1500 has room for 1480"
)]
#[case::too_large(1480, 2968, "id: 5", "fragment 2 has 1508 bytes of IP, the MTU is 1500")]
fn the_second_fragment_breaks_a_rule(
    #[case] at: usize,
    #[case] end: usize,
    #[case] more: &str,
    #[case] expected: &str,
) {
    let d = datagram(4000);
    assert_eq!(why(&[piece(&d, 0, 1480, "id: 5"), piece(&d, at, end, more)]), expected);
}

#[test]
fn df_on_a_fragment_breaks_a_rule() {
    let d = datagram(4000);
    let frame = build(&spec("ipv4: {flags: 3, protocol: udp}", Some(&d[..1480])), None).unwrap();
    assert_eq!(why(&[frame]), "fragment 1 has DF set");
}

#[test]
fn an_early_end_breaks_a_rule() {
    let d = datagram(4000);
    let frame =
        build(&spec("ipv4: {protocol: udp, frag_offset: 1480, id: 5}", Some(&d[1480..2960])), None).unwrap();
    assert_eq!(
        why(&[piece(&d, 0, 1480, "id: 5"), frame]),
        "fragment 2 has no MF and ends at 2960, the datagram has 4008 bytes"
    );
}

#[test]
fn a_wrong_byte_is_found_by_the_checksum_over_the_whole() {
    let mut d = datagram(4000);
    d[3000] ^= 1;
    let frames =
        [piece(&d, 0, 1480, "id: 5"), piece(&d, 1480, 2960, "id: 5"), piece(&d, 2960, 4008, "id: 5")];
    assert!(why(&frames).starts_with("udp.checksum over the whole datagram is "), "{}", why(&frames));
    d[6..8].fill(0);
    let frames =
        [piece(&d, 0, 1480, "id: 5"), piece(&d, 1480, 2960, "id: 5"), piece(&d, 2960, 4008, "id: 5")];
    assert_eq!(
        why(&frames),
        "the payload differs from byte 2992 of 4000 on: expected hex b0b1b2b3b4b5b6b7b8b9babbbcbdbebf…, got hex b1b1b2b3b4b5b6b7b8b9babbbcbdbebf…"
    );
}

#[test]
fn the_wrong_port_is_shown_beside_the_pattern() {
    let mut step = Fragments { pattern: spec("udp: {dst_port: 10}", None), ..step(1500, 100) };
    let frame = build(&spec("udp: {src_port: 4000, dst_port: 9}", Some(&counting(100))), None).unwrap();
    let Progress::Failed(why) = step.push(&decode(&frame)) else { panic!("it matched") };
    assert_eq!(why.mismatch.unwrap().lines[0].got, "9");
}

#[test]
fn what_is_missing_is_said() {
    let mut step = step(1500, 4000);
    assert_eq!(step.awaited(), "0 of 3 frames came; the next is at offset 0 of 4008");
    step.push(&decode(&cut(4000, 1480)[0]));
    assert_eq!(step.awaited(), "1 of 3 frames came; the next is at offset 1480 of 4008");
}
