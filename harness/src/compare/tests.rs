//! Two records of one case, held against each other: what a rig did, and the same with one thing changed.

use super::watch::Watching;
use super::*;
use crate::case::model::{Differs, Extent, Nanos, Way};
use crate::rig::Reading;
use crate::run::record::{Explained, From, WireFrame};
use crate::run::{execute, rigs};
use rstest::rstest;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const CASE: &str = r#"
about: Three datagrams, the last of them in fragments.
steps:
  - run: "ip neigh replace ${peer.ip} lladdr ${peer.mac} dev eth0 nud permanent"
  - socket: {as: s, type: udp}
  - sendto: {as: first, socket: s, to: "${peer.ip}:7", payload: "one"}
  - expect: {as: one, payload: "one"}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "two"}
  - expect: {as: two, ipv4: {ttl: 64}, payload: "two"}
  - getsockname: {as: name, socket: s}
  - setsockopt: {socket: s, level: IPPROTO_IP, name: IP_MTU_DISCOVER, value: IP_PMTUDISC_DONT}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: {pattern: counting, length: 2000}}
  - fragments: {mtu: 1500, payload: {pattern: counting, length: 2000}}
  - check: {snmp: {Udp.OutDatagrams: 3}}
"#;

/// The case, with these entries of `differs:`.
fn trial(differs: &str) -> Trial {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = folder.path().join("case.yaml");
    let text = if differs.is_empty() { CASE.to_owned() } else { format!("{CASE}differs: [{differs}]\n") };
    std::fs::write(&path, text).expect("it can be written");
    let mut trials = crate::case::load(&[path]).unwrap_or_else(|problems| panic!("{problems}"));
    trials.remove(0)
}

/// What emu does with it.
fn side(trial: &Trial) -> Side {
    let factory = rigs::factory(RigKind::Emu, &rigs::With::default()).expect("emu is always there");
    let watching = Watching::new(factory);
    let report = execute(&watching, trial, Duration::from_secs(1), &AtomicBool::new(false));
    let (verdict, record) = (report.verdict, report.record);
    Side { rig: RigKind::Emu, verdict, record, observed: watching.take(trial), late: 0 }
}

/// The record with some of its frames changed; `None` takes one away.
fn changed(record: &Record, change: impl Fn(usize, &mut WireFrame) -> bool) -> Record {
    let mut out = Record::default();
    for (index, frame) in record.frames().iter().enumerate() {
        let mut frame = frame.clone();
        if change(index, &mut frame) {
            out.push(frame);
        }
    }
    out
}

/// The fields that differ between what emu does and the same after a change, as they would on linux.
fn fields(change: impl FnOnce(&mut Side)) -> String {
    let trial = trial("");
    let (a, mut b) = (side(&trial), side(&trial));
    assert!(a.verdict.is_pass(), "{:?}", a.verdict);
    b.rig = RigKind::Linux;
    b.observed.is_virtual = false;
    change(&mut b);
    match compare(&trial, &a, &b) {
        Outcome::Same { .. } => "same".to_owned(),
        Outcome::Differs { differences, .. } => {
            differences.iter().map(|d| d.field.as_str()).collect::<Vec<_>>().join(" ")
        }
        Outcome::Wrong { .. } => "wrong".to_owned(),
        Outcome::NotCompared(_) => "not compared".to_owned(),
        Outcome::Inconclusive(_) => "inconclusive".to_owned(),
    }
}

/// Changes one byte of the frame with this index.
fn byte(side: &mut Side, index: usize, at: usize, value: u8) {
    side.record = changed(&side.record, |i, frame| {
        if i == index {
            frame.bytes[at] = value;
        }
        true
    });
}

fn later(side: &mut Side, from: usize, by: Nanos) {
    side.record = changed(&side.record, |i, frame| {
        if i >= from {
            frame.at += by;
        }
        true
    });
}

fn one_more(side: &mut Side) {
    let mut record = Record::default();
    for (index, frame) in side.record.frames().iter().enumerate() {
        if index == 1 {
            let bytes = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1, 0x12, 0x34], &[0; 46]].concat();
            record.push(WireFrame { bytes, explained: Explained::No, ..frame.clone() });
        }
        record.push(frame.clone());
    }
    side.record = record;
}

/// The TTL, the ECN bits, the id and the UDP source port of a frame without options; its payload.
const TTL: usize = 14 + 8;
const TOS: usize = 14 + 1;
const ID: usize = 14 + 4;
const PORT: usize = 14 + 20 + 1;
const DATA: usize = 14 + 28;

#[rstest]
#[case::nothing(|_: &mut Side| {}, "same")]
#[case::a_field(|b: &mut Side| byte(b, 0, TTL, 63), "ipv4.ttl")]
#[case::a_byte_of_the_payload(|b: &mut Side| byte(b, 0, DATA, b'O'), "payload")]
#[case::the_field_of_one_of_two_alike(|b: &mut Side| byte(b, 1, TOS, 2), "ipv4.tos")]
#[case::an_id_that_is_free(|b: &mut Side| byte(b, 0, ID, 77), "same")]
#[case::the_id_of_one_fragment_of_two(|b: &mut Side| byte(b, 3, ID, 77), "ipv4.id")]
#[case::a_port_that_is_not_the_sockets_any_more(|b: &mut Side| byte(b, 1, PORT, 1), "udp.src_port")]
#[case::one_frame_more(one_more, "frame")]
#[case::one_frame_less(|b: &mut Side| b.record = changed(&b.record, |i, _| i != 1), "frame")]
#[case::a_little_later(|b: &mut Side| later(b, 1, 19_000_000), "same")]
#[case::much_later(|b: &mut Side| later(b, 1, 60_000_000), "time")]
#[case::padding(|b: &mut Side| { b.record = changed(&b.record, |i, f| { if i == 0 { f.bytes.resize(60, 0) } true }) }, "same")]
#[case::a_refresh_of_the_automatic_peer(|b: &mut Side| { b.record = changed(&b.record, |i, f| {
    if i == 1 { f.explained = Explained::Automatic } true }) }, "frame")]
#[case::a_frame_of_the_peer(|b: &mut Side| { b.record = changed(&b.record, |i, f| {
    if i == 1 { f.from = From::Peer } true }) }, "frame")]
#[case::a_counter(|b: &mut Side| drop(b.observed.values.insert("snmp.Udp.InErrors".into(), Reading::Number(1))), "snmp.Udp.InErrors")]
#[case::a_counter_that_is_not_there(|b: &mut Side| drop(b.observed.values.remove("snmp.Udp.InErrors")), "same")]
#[case::a_setting(|b: &mut Side| drop(b.observed.values.insert("snmp.Ip.DefaultTTL".into(), Reading::Number(1))), "same")]
#[case::a_neighbour(|b: &mut Side| drop(b.observed.values.insert("neigh.192.0.2.2/state".into(), Reading::Text("STALE".into()))), "neigh.192.0.2.2/state")]
#[case::a_command(|b: &mut Side| b.observed.commands[0] = 2, "status")]
#[case::a_skip(|b: &mut Side| b.verdict = Verdict::Skip("no".into()), "not compared")]
#[case::nothing_known(|b: &mut Side| b.verdict = Verdict::Inconclusive("late".into()), "inconclusive")]
#[case::a_failure(|b: &mut Side| b.verdict = Verdict::fail(crate::run::Failure::new("no")), "verdict")]
fn what_differs_is_found_and_what_is_free_is_not(#[case] change: fn(&mut Side), #[case] found: &str) {
    assert_eq!(fields(change), found);
}

#[rstest]
#[case::as_late_as_the_harness(41_000_000, "inconclusive")]
#[case::later_than_that(30_000_000, "time")]
fn a_time_that_the_harness_explains_says_nothing(#[case] late: Nanos, #[case] found: &str) {
    let change = |b: &mut Side| {
        later(b, 1, 60_000_000);
        b.late = late;
    };
    assert_eq!(fields(change), found);
}

#[rstest]
#[case::within_the_bound(5_000_000, "snmp.Udp.InErrors")]
#[case::beyond_it(5_000_001, "inconclusive")]
fn another_value_says_nothing_when_a_rig_was_late_enough_to_change_it(
    #[case] late: Nanos,
    #[case] found: &str,
) {
    let change = |b: &mut Side| {
        b.observed.values.insert("snmp.Udp.InErrors".into(), Reading::Number(1));
        b.late = late;
    };
    assert_eq!(fields(change), found);
}

#[rstest]
#[case::listed("{rig: linux, step: one, field: ipv4.ttl, why: because}", 0, "same")]
#[case::of_another_step("{rig: linux, step: two, field: ipv4.tos, why: because}", 0, "ipv4.ttl stale")]
#[case::of_another_rig("{rig: qemu, step: one, field: ipv4.ttl, why: because}", 0, "ipv4.ttl")]
#[case::of_another_version(
    "{rig: linux, when: linux > 7, step: one, field: ipv4.ttl, why: because}",
    0,
    "ipv4.ttl"
)]
#[case::of_this_version("{rig: linux, when: linux > 6, step: one, field: ipv4.ttl, why: because}", 0, "same")]
#[case::a_counter_that_nobody_checks("{rig: linux, field: snmp.Ip.InDelivers, why: because}", 9, "stale")]
#[case::a_counter_of_a_device_that_a_kernel_lacks(
    "{rig: linux, field: ethtool.rx_packets, why: because}",
    9,
    ""
)]
#[case::a_counter_that_run_judges("{rig: linux, field: snmp.Udp.OutDatagrams, why: because}", 9, "")]
fn a_difference_that_is_listed_is_meant_and_must_occur(
    #[case] entry: &str,
    #[case] frame: usize,
    #[case] found: &str,
) {
    let trial = trial(entry);
    // The trial itself may be judged by `run`, which tells what it states.
    let (a, mut b) = (side(&trial), side(&trial));
    b.rig = RigKind::Linux;
    b.observed.versions.insert("linux", "6.18.1".to_owned());
    byte(&mut b, frame, TTL, 63);
    let (differences, stale) = match compare(&trial, &a, &b) {
        Outcome::Same { listed } => {
            let told = if listed.is_empty() { "" } else { "same" };
            return assert_eq!(told, found);
        }
        Outcome::Differs { differences, stale } => (differences, stale),
        other => panic!("{other:?}"),
    };
    let fields = differences.iter().filter(|d| d.why.is_none()).map(|d| d.field.as_str());
    let told: Vec<&str> = fields.chain(stale.iter().map(|_| "stale")).collect();
    assert_eq!(told.join(" "), found);
}

#[test]
fn where_neither_rig_does_what_the_case_says_the_case_is_wrong() {
    let trial = trial("");
    let (mut a, mut b) = (side(&trial), side(&trial));
    b.rig = RigKind::Linux;
    let fails =
        |step: usize, message: &str| Verdict::fail(crate::run::Failure::at(&trial.steps[step].at, message));
    (a.verdict, b.verdict) = (fails(3, "it came at 1 s"), fails(3, "it came at 1.02 s"));
    let outcome = compare(&trial, &a, &b);
    assert!(matches!(&outcome, Outcome::Wrong { .. }), "{outcome:?}");
    let text = report::human(&trial.name(), ("emu", "linux"), &outcome, &[]);
    assert!(text.contains("linux does not do this either: the case is wrong"), "{text}");
    b.verdict = fails(5, "another");
    assert!(matches!(compare(&trial, &a, &b), Outcome::Differs { .. }));
}

/// A trial with an entry of QEMU's list: what emu does with it, and the same as if QEMU had done it.
fn known(extent: Extent, field: &str, everywhere: bool) -> (Trial, Side, Side) {
    let mut trial = trial("");
    trial.differs.push(Differs {
        rig: RigKind::Qemu,
        when: None,
        seen: Some("10.0.2".to_owned()),
        step: None,
        field: Some(field.to_owned()),
        extent,
        everywhere,
        why: "because".to_owned(),
    });
    let (a, mut b) = (side(&trial), side(&trial));
    b.rig = RigKind::Qemu;
    b.observed.versions.insert("qemu", "11.0.0".to_owned());
    (trial, a, b)
}

#[test]
fn a_newer_qemu_that_behaves_makes_what_is_listed_stale() {
    let (trial, a, b) = known(Extent::Is(vec!["9".to_owned()]), "netdev.tx_packets", false);
    let Outcome::Differs { stale, .. } = compare(&trial, &a, &b) else { panic!("it does not occur") };
    assert!(stale[0].contains("on QEMU 10.0.2") && stale[0].contains("on this one, 11.0.0"), "{stale:?}");
}

#[rstest]
#[case::as_many_as_frames(4, "same")]
#[case::up_to_twice_as_many(8, "same")]
#[case::more_than_that(9, "interrupts")]
#[case::none_for_a_frame_that_was_sent(0, "interrupts")]
fn interrupts_that_qemu_sends_in_addition_are_listed_and_bounded(#[case] count: i64, #[case] found: &str) {
    let (trial, a, mut b) = known(Extent::Times(2), "interrupts.eth0-TxRx-*", true);
    assert_eq!(b.observed.traffic.frames, 4, "three datagrams, one of them in two fragments");
    b.observed.values.insert("interrupts.eth0-TxRx-0".to_owned(), Reading::Number(count));
    assert_eq!(unlisted(&compare(&trial, &a, &b)), found);
}

/// The fields of differences that are not listed.
fn unlisted(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Same { .. } => "same".to_owned(),
        Outcome::Differs { differences, .. } => {
            let unlisted = differences.iter().filter(|d| d.why.is_none());
            unlisted.map(|d| d.field.as_str()).collect::<Vec<_>>().join(" ")
        }
        other => panic!("{other:?}"),
    }
}

/// Two datagrams of 45 bytes are padded by 15 each, and nothing is cut.
#[rstest]
#[case::as_the_frames_make_it("tx_bytes", -30, "same")]
#[case::an_octet_too_many("tx_bytes", -29, "ethtool.tx_bytes")]
#[case::an_octet_too_few("tx_bytes", -31, "ethtool.tx_bytes")]
#[case::no_deviation_at_all("tx_bytes", 0, "ethtool.tx_bytes")]
#[case::a_frame_that_was_not_counted("tx_packets", -1, "ethtool.tx_packets")]
#[case::nothing_of_a_cut("tx_packets", 0, "same")]
fn what_a_device_counts_otherwise_is_worked_out_and_nothing_else_passes(
    #[case] counter: &str,
    #[case] more: i64,
    #[case] found: &str,
) {
    let field = format!("ethtool.{counter}");
    let way = if counter == "tx_bytes" { Way::Padding } else { Way::Cut };
    let (trial, a, mut b) = known(Extent::By(way), &field, true);
    let Some(Reading::Number(counted)) = a.observed.values.get(&field).cloned() else { panic!("it is read") };
    b.observed.values.insert(field.clone(), Reading::Number(counted + more));
    assert_eq!(unlisted(&compare(&trial, &a, &b)), found);
    // Either may be the first.
    assert_eq!(unlisted(&compare(&trial, &b, &a)), found);
}

#[test]
fn what_a_counter_must_be_is_told_with_the_reason() {
    let (trial, a, b) = known(Extent::By(Way::Padding), "ethtool.tx_bytes", true);
    let outcome = compare(&trial, &a, &b);
    let Some(Reading::Number(counted)) = a.observed.values.get("ethtool.tx_bytes") else {
        panic!("it is read")
    };
    let text = report::human(&trial.name(), ("emu", "qemu"), &outcome, &[]);
    let told = format!("a counter that by the frames must be {} on qemu (-30: because)", counted - 30);
    assert!(text.contains(&told), "{text}");
}

#[test]
fn where_both_count_otherwise_they_agree() {
    let (mut trial, mut a, b) = known(Extent::By(Way::Padding), "ethtool.tx_bytes", true);
    let of_vfio = trial.differs.iter().map(|entry| Differs { rig: RigKind::Vfio, ..entry.clone() });
    trial.differs = of_vfio.chain(trial.differs.clone()).collect();
    a.rig = RigKind::Vfio;
    assert_eq!(unlisted(&compare(&trial, &a, &b)), "same");
    let never = |rigs| listed::never_shown(&[&trial], rigs, 100, &std::collections::BTreeSet::new()).len();
    assert_eq!((never((RigKind::Vfio, RigKind::Qemu)), never((RigKind::Emu, RigKind::Qemu))), (0, 1));
}

#[rstest]
#[case::in_some(&["because"], 100, 0)]
#[case::in_some_with_another(&["another; because"], 100, 0)]
#[case::in_none_of_many(&["another"], 100, 1)]
#[case::in_none_of_few(&[], 99, 0)]
fn what_may_show_anywhere_is_stale_where_it_shows_nowhere(
    #[case] shown: &[&str],
    #[case] compared: usize,
    #[case] stale: usize,
) {
    let (trial, ..) = known(Extent::Times(2), "interrupts.eth0-TxRx-*", true);
    let shown = shown.iter().map(|why| (*why).to_owned()).collect();
    let told = |rigs| listed::never_shown(&[&trial], rigs, compared, &shown).len();
    assert_eq!(told((RigKind::Emu, RigKind::Qemu)), stale);
    assert_eq!(told((RigKind::Qemu, RigKind::Linux)), 0, "a kernel on a TAP has no interrupts of a NIC");
}

#[rstest]
#[case::two_drivers_on_one_port(RigKind::Vfio, RigKind::Linux, &["ethtool.tx_packets"])]
#[case::one_driver_on_two_devices(RigKind::Emu, RigKind::Vfio, &["ethtool.tx_packets"])]
#[case::two_drivers_on_two_devices(RigKind::Emu, RigKind::Linux, &[])]
fn what_a_device_counts_is_compared_where_it_is_one_device_or_one_driver(
    #[case] first: RigKind,
    #[case] second: RigKind,
    #[case] differ: &[&str],
) {
    let trial = trial("");
    let (mut a, mut b) = (side(&trial), side(&trial));
    (a.rig, b.rig) = (first, second);
    assert!(a.observed.values.contains_key("ethtool.tx_packets"), "they are read");
    b.observed.values.insert("ethtool.tx_packets".to_owned(), Reading::Number(99));
    let found = counters::compare(&trial, (&a, &b), &freedom::Freedom::default());
    assert_eq!(found.iter().map(|d| d.field.as_str()).collect::<Vec<_>>(), differ);
}
