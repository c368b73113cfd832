//! Tests of the notation.

use super::*;
use crate::frame::fixtures::nowhere;
use crate::frame::tcp::{FIN, PSH, RST, SYN, letters};
use rstest::rstest;

fn read(text: &str) -> TcpSpec {
    parse(text, nowhere()).unwrap_or_else(|e| panic!("{text}: {e:?}"))
}

#[rstest]
#[case::a_syn("S 0:0(0)", SYN, 0, 0, None)]
#[case::a_syn_ack("S. 0:0(0) ack 1", SYN | ACK, 0, 0, Some(1))]
#[case::data("P. 1:11(10) ack 1", PSH | ACK, 1, 10, Some(1))]
#[case::a_pure_ack(". 11:11(0) ack 5", ACK, 11, 0, Some(5))]
#[case::a_fin("F. 11:11(0) ack 5", FIN | ACK, 11, 0, Some(5))]
#[case::a_reset("R 7:7(0)", RST, 7, 0, None)]
#[case::no_flag_at_all("- 1:1(0)", 0, 1, 0, None)]
#[case::ece_and_cwr("SEW 0:0(0)", SYN | 64 | 128, 0, 0, None)]
#[case::around_the_end_of_the_numbers(". 4294967295:9(10) ack 1", ACK, u32::MAX, 10, Some(1))]
#[case::wide_spaces("  P.   1:11(10)   ack   1  ", PSH | ACK, 1, 10, Some(1))]
fn flags_and_numbers_are_read(
    #[case] text: &str,
    #[case] flags: u8,
    #[case] seq: u32,
    #[case] length: u32,
    #[case] ack: Option<u32>,
) {
    let spec = read(text);
    assert_eq!((spec.flags, spec.seq, spec.length, spec.ack), (flags, seq, length, ack));
    assert_eq!((spec.ports, spec.window, spec.options), (None, None, None));
}

#[rstest]
#[case::both("40000 > 8080 S 0:0(0)", Some(40000), Some(8080))]
#[case::any_source("* > 8080 S 0:0(0)", None, Some(8080))]
#[case::without_spaces("1>65535 S 0:0(0)", Some(1), Some(65535))]
fn ports_are_read(#[case] text: &str, #[case] src: Option<u16>, #[case] dst: Option<u16>) {
    assert_eq!(read(text).ports, Some((src, dst)));
}

#[rstest]
#[case::a_window(". 1:1(0) ack 1 win 512", Some(512), None)]
#[case::no_window(". 1:1(0) ack 1 win 0", Some(0), None)]
#[case::an_urgent_pointer("U. 1:2(1) ack 1 urg 1", None, Some(1))]
#[case::in_another_order("U. 1:2(1) win 7 urg 1 ack 1", Some(7), Some(1))]
fn clauses_are_read(#[case] text: &str, #[case] window: Option<u16>, #[case] urgent: Option<u16>) {
    let spec = read(text);
    assert_eq!((spec.window, spec.urgent), (window, urgent));
}

#[rstest]
#[case::none("<>", &[])]
#[case::of_a_syn("<mss 1460,sackOK,nop,wscale 7>",
    &[TcpOption::Mss(1460), TcpOption::SackOk, TcpOption::Nop, TcpOption::Wscale(7)])]
#[case::timestamps("<nop, nop, TS val 100 ecr 4294967295>",
    &[TcpOption::Nop, TcpOption::Nop, TcpOption::Timestamps { val: 100, ecr: u32::MAX }])]
#[case::two_blocks("<nop,nop,sack 11:21 31:41>",
    &[TcpOption::Nop, TcpOption::Nop, TcpOption::Sack(vec![(11, 21), (31, 41)])])]
#[case::the_end("<eol>", &[TcpOption::Eol])]
fn options_are_read(#[case] list: &str, #[case] options: &[TcpOption]) {
    assert_eq!(read(&format!(". 1:1(0) ack 1 {list}")).options.as_deref(), Some(options));
}

/// The place is marked with `^` below the text.
#[rstest]
#[case::nothing("", "^", "expected the flags")]
#[case::an_unknown_flag("SX 0:0(0)", " ^", "there is no flag `X`")]
#[case::a_flag_twice("SS 0:0(0)", " ^", "stands twice")]
#[case::no_numbers("S", "^", "expected the sequence number")]
#[case::no_length("S 0:0", "    ^", "expected `(`")]
#[case::a_length_that_is_not("P. 1:10(10) ack 1", "   ^^^^^^^^", "1:10 are 9 bytes, not 10")]
#[case::a_word_for_a_number(". 1:1(0) ack x", "             ^", "found `x`")]
#[case::an_ack_without_its_flag("P 1:1(0) ack 1", "^", "`ack` without the flag `.`")]
#[case::the_flag_without_its_ack(". 1:1(0)", "^", "the flag `.` without `ack N`")]
#[case::urgent_without_a_pointer("U. 1:1(0) ack 1", "^^", "the flag `U` without `urg N`")]
#[case::a_window_too_large(". 1:1(0) ack 1 win 65536", "                   ^^^^^", "too large")]
#[case::a_port_too_large("65536 > 1 S 0:0(0)", "^^^^^", "too large")]
#[case::an_unknown_word(". 1:1(0) ack 1 wim 5", "               ^^^", "`wim` is not understood")]
#[case::ack_twice(". 1:1(0) ack 1 ack 2", "               ^^^", "stands twice")]
#[case::an_unknown_option("S 0:0(0) <mms 1460>", "          ^^^", "there is no option `mms`")]
#[case::an_open_list("S 0:0(0) <nop", "            ^", "expected `,` or `>`")]
#[case::options_twice("S 0:0(0) <nop> <nop>", "               ^^^^^", "stand twice")]
#[case::timestamps_without_echo("S 0:0(0) <TS val 1>", "                  ^", "expected `ecr`")]
#[case::more_options_than_fit(
    "S 0:0(0) <sack 1:2 3:4 5:6 7:8,TS val 1 ecr 2>",
    "         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
    "take 44 bytes"
)]
fn what_is_wrong_is_told_with_its_place(#[case] text: &str, #[case] mark: &str, #[case] message: &str) {
    let error = parse(text, nowhere()).unwrap_err();
    let (from, to) = (mark.find('^').unwrap(), mark.len());
    assert!(error.message.contains(message), "{error:?}");
    let known = (from.min(text.len().saturating_sub(1)), to.min(text.len()));
    assert_eq!((error.from, error.to), known, "{error:?}");
    assert!(!error.help.is_empty());
}

#[test]
fn no_bytes_of_whatever_kind_are_too_much() {
    for text in [
        "<",
        ">",
        "1 >",
        "* >",
        "é 0:0(0)",
        "S é:0(0)",
        "S 0:0(0) é",
        "S 0:0(0) <é>",
        "S 0:0(0) <sack",
        "9 > é",
    ] {
        assert!(parse(text, nowhere()).is_err(), "{text}");
    }
}

#[test]
fn letters_are_in_packetdrills_order() {
    assert_eq!((letters(0x1f), letters(0xc2), letters(0)), ("SFRP.".into(), "SEW".into(), "-".into()));
}
