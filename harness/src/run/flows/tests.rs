//! Tests of the connections of a trial.

use super::*;
use crate::frame::fixtures::nowhere;
use crate::frame::tcp::notation::parse;
use crate::frame::{build, decode};
use crate::judge::pattern::matches;
use rstest::rstest;

fn spec(text: &str) -> FrameSpec {
    let tcp = Some(Box::new(parse(text, nowhere()).unwrap()));
    FrameSpec { layers: vec![Layer::Tcp], tcp, ..FrameSpec::default() }
}

fn segment(frame: &[u8]) -> Segment {
    Segment::of(&decode(frame)).unwrap()
}

fn inject(flows: &mut Flows, text: &str) -> (Segment, Vec<u8>) {
    let frame = build(&flows.injected(&spec(text)), None).unwrap();
    assert!(decode(&frame).problems.is_empty());
    (segment(&frame), frame)
}

/// A frame of the system under test with these numbers.
fn from_sut(text: &str, seq: u32, ack: u32) -> Vec<u8> {
    let mut own = Flows::default();
    let mut made = own.injected(&spec(text));
    for (key, number) in [("seq", seq), ("ack", ack)] {
        made.fields
            .iter_mut()
            .filter(|f| f.field.key == key)
            .for_each(|f| f.value = Value::Number(number.into()));
    }
    build(&made, None).unwrap()
}

fn fits(flows: &mut Flows, text: &str, frame: &[u8]) -> bool {
    let (wanted, d) = (spec(text), decode(frame));
    let fits = matches(&flows.expected(&wanted), &d).is_ok();
    if fits {
        flows.took(&wanted, &d);
    }
    fits
}

/// The peer opens a connection to which the system under test answers with 5000.
fn established() -> (Flows, u32) {
    let mut flows = Flows::default();
    let (syn, _) = inject(&mut flows, "40000 > 8080 S 0:0(0)");
    assert!(fits(
        &mut flows,
        "8080 > 40000 S. 0:0(0) ack 1",
        &from_sut("8080 > 40000 S. 0:0(0) ack 1", 5000, syn.seq + 1)
    ));
    (flows, syn.seq)
}

#[test]
fn numbers_count_from_the_first_of_each_side() {
    let (mut flows, isn) = established();
    let (data, frame) = inject(&mut flows, "P. 1:11(10) ack 1");
    assert_eq!((data.seq, data.ack, data.ports), (isn + 1, 5001, (40000, 8080)));
    assert_eq!(decode(&frame).payload, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let answer = from_sut("8080 > 40000 . 0:0(0) ack 1", 5001, isn + 11);
    assert!(fits(&mut flows, ". 1:1(0) ack 11", &answer));
    assert!(!fits(&mut flows, ". 1:1(0) ack 10", &answer));
    assert!(!fits(&mut flows, ". 0:0(0) ack 11", &answer));
}

#[rstest]
#[case::the_same_again("S. 0:0(0) ack 1", 5000, true)]
#[case::with_another_first_number("S. 0:0(0) ack 1", 5001, false)]
fn a_syn_ack_comes_again_with_its_number(#[case] text: &str, #[case] seq: u32, #[case] same: bool) {
    let (mut flows, isn) = established();
    assert_eq!(fits(&mut flows, text, &from_sut("8080 > 40000 S. 0:0(0) ack 1", seq, isn + 1)), same);
}

#[test]
fn a_syn_that_names_its_ports_begins_anew_with_a_later_number() {
    let (mut flows, isn) = established();
    let (again, _) = inject(&mut flows, "S 0:0(0)");
    assert_eq!(again.seq, isn, "without ports it is the same once more");
    let (anew, _) = inject(&mut flows, "40000 > 8080 S 0:0(0)");
    assert_eq!(anew.seq, isn + NEXT_ISN);
    assert!(fits(&mut flows, "S. 0:0(0) ack 1", &from_sut("8080 > 40000 S. 0:0(0) ack 1", 77, anew.seq + 1)));
}

#[test]
fn a_port_that_the_system_under_test_chose_is_kept() {
    let mut flows = Flows::default();
    assert!(fits(&mut flows, "* > 8080 S 0:0(0)", &from_sut("33000 > 8080 S 0:0(0)", 900, 0)));
    let (answer, _) = inject(&mut flows, "S. 0:0(0) ack 1");
    assert_eq!((answer.ports, answer.ack), ((8080, 33000), 901));
}

#[test]
fn a_reset_to_a_port_that_nobody_listens_on_counts_from_0() {
    let mut flows = Flows::default();
    let (syn, _) = inject(&mut flows, "40000 > 9 S 0:0(0)");
    let reset = from_sut("9 > 40000 R. 0:0(0) ack 1", 0, syn.seq + 1);
    assert!(fits(&mut flows, "9 > 40000 R. 0:0(0) ack 1", &reset));
    assert!(!fits(&mut flows, "R. 1:1(0) ack 1", &reset));
}

#[test]
fn an_echo_is_of_the_clock_as_it_was() {
    let mut flows = Flows::default();
    let (syn, _) = inject(&mut flows, "40000 > 8080 S 0:0(0) <mss 1000,sackOK,TS val 7 ecr 0>");
    assert_eq!(syn.options[2], TcpOption::Timestamps { val: 7, ecr: 0 });
    let reply =
        from_sut("8080 > 40000 S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 123456 ecr 7>", 5000, syn.seq + 1);
    assert!(!fits(&mut flows, "8080 > 40000 S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 8>", &reply));
    assert!(fits(&mut flows, "8080 > 40000 S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 7>", &reply));
    let echo = |flows: &mut Flows, ecr: u32| {
        let (data, _) = inject(flows, &format!(". 1:1(0) ack 1 <nop,nop,TS val 8 ecr {ecr}>"));
        data.options[2].clone()
    };
    assert_eq!(echo(&mut flows, 100), TcpOption::Timestamps { val: 8, ecr: 123_456 });
    assert_eq!(echo(&mut flows, 90), TcpOption::Timestamps { val: 8, ecr: 123_446 });
}

#[test]
fn blocks_count_from_the_first_number_of_the_stream_that_they_are_about() {
    let (mut flows, isn) = established();
    let (ack, _) = inject(&mut flows, ". 1:1(0) ack 1 <nop,nop,sack 1001:2001>");
    assert_eq!(ack.options[2], TcpOption::Sack(vec![(6001, 7001)]));
    let text = format!("8080 > 40000 . 0:0(0) ack 1 <nop,nop,sack {}:{}>", isn + 11, isn + 21);
    let reply = from_sut(&text, 5001, isn + 1);
    assert!(fits(&mut flows, ". 1:1(0) ack 1 <nop,nop,sack 11:21>", &reply));
}

#[test]
fn the_bytes_of_a_stream_count_on() {
    let (mut flows, _) = established();
    let (_, frame) = inject(&mut flows, ". 251:261(10) ack 1");
    assert_eq!(decode(&frame).payload, [250, 251, 252, 253, 254, 255, 0, 1, 2, 3]);
}
