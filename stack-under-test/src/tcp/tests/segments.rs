//! Segment by segment against a scripted peer. The expectations are what Linux was measured to do, or what the RFC says.

use super::peer::{SYN_OPTIONS, Script};
use crate::errno::Errno;
use crate::time::Duration;
use alloc::vec::Vec;
use rstest::rstest;
use std::string::String;

const MS: Duration = Duration::from_millis(1);

/// Only the text.
fn lines(timed: Vec<(u64, String)>) -> Vec<String> {
    timed.into_iter().map(|(_, line)| line).collect()
}

#[test]
fn a_connection_is_opened_carries_data_both_ways_and_is_closed() {
    let (mut s, fd) = Script::established();
    s.send("P.", 1, 1, 512, &[], &[9; 10]);
    assert_eq!(s.sent(), [". 1:1(0) ack 11"], "the first data is acknowledged at once");
    assert_eq!(s.read(fd), Ok(10));
    assert_eq!(s.write(fd, 100), 100);
    assert_eq!(s.sent(), ["P. 1:101(100) ack 11"]);
    s.ack(11, 101);
    let info = s.stack.tcp_info(fd).expect("a TCP socket");
    assert_eq!((info.state_name(), info.unacked, info.snd_cwnd), ("ESTABLISHED", 0, 10));
    s.send("F.", 11, 101, 512, &[], &[]);
    assert_eq!(s.read(fd), Ok(0), "the end of the stream");
    assert_eq!(lines(s.pass(MS * 300)), [". 101:101(0) ack 12"]);
    s.stack.tcp_close(s.now, 0, fd).expect("it is open");
    assert_eq!(s.sent(), ["F. 101:101(0) ack 12"]);
    s.ack(12, 102);
    s.pass(Duration::from_secs(200));
    assert_eq!(s.stack.skbs_in_flight(), 0);
}

#[test]
fn after_an_answer_the_next_acknowledgement_waits_forty_milliseconds() {
    let (mut s, fd) = Script::established();
    s.send("P.", 1, 1, 512, &[], &[9; 10]);
    s.sent();
    s.write(fd, 100);
    s.sent();
    s.send("P.", 11, 101, 512, &[], &[9; 10]);
    assert!(s.sent().is_empty());
    let timed = s.pass(MS * 100);
    assert_eq!(timed[0].1, ". 101:101(0) ack 21");
    assert!((40..=45).contains(&timed[0].0), "{timed:?}");
}

// linux-facts: lost single segment, defaults, reno: 205-209 ms (tail loss probe), +208, +424-440, +831.
#[test]
fn a_lost_segment_is_probed_then_sent_again_with_back_off() {
    let (mut s, fd) = Script::established();
    s.write(fd, 1000);
    let first = s.pass(Duration::from_secs(3));
    assert!(first.iter().all(|(_, line)| line == "P. 1:1001(1000) ack 1"), "{first:?}");
    let at: Vec<u64> = first.iter().map(|(at, _)| *at).collect();
    assert_eq!(at[0], 0);
    let gaps: Vec<u64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((200..=210).contains(&gaps[0]), "{gaps:?}");
    assert!((204..=212).contains(&gaps[1]), "{gaps:?}");
    assert!((408..=442).contains(&gaps[2]), "{gaps:?}");
    assert!((816..=864).contains(&gaps[3]), "{gaps:?}");
}

// linux-facts: 14,600 bytes, cwnd 10: ten segments at once, PSH on segments 5 and 10, IP id +1, DF; unacknowledged: segment
// 10 again after 3.5 to 8.7 ms.
#[test]
fn a_window_of_ten_segments_goes_at_once() {
    let (mut s, fd) = Script::established();
    s.write(fd, 14_600);
    let sent = s.sent();
    assert_eq!(sent.len(), 10);
    let pushed: Vec<usize> = (0..10).filter(|at| sent[*at].starts_with('P')).collect();
    assert_eq!(pushed, [4, 9], "{sent:?}");
    let ids: Vec<u16> = s.last.iter().map(|p| u16::from_be_bytes([p[4], p[5]])).collect();
    assert!(ids.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{ids:?}");
    assert!(s.last.iter().all(|p| p[6] == 0x40), "DF");
    let again = s.pass(MS * 50);
    assert_eq!(again[0].1, "P. 13141:14601(1460) ack 1");
    assert!((3..=9).contains(&again[0].0), "{again:?}");
}

#[test]
fn three_duplicate_acknowledgements_bring_the_lost_segment_again() {
    let (mut s, fd) = Script::established();
    s.write(fd, 14_600);
    s.sent();
    s.now = s.now + MS * 2;
    // SACK of segments 2, 3 and 4: `nop,nop,sack 1461:2921` and so on.
    for end in [2921_u32, 4381, 5841] {
        let mut options = alloc::vec![1, 1, 5, 10];
        options.extend_from_slice(&s.our_isn.wrapping_add(1461).to_be_bytes());
        options.extend_from_slice(&s.our_isn.wrapping_add(end).to_be_bytes());
        s.send(".", 1, 1, 512, &options, &[]);
    }
    assert_eq!(s.sent(), [". 1:1461(1460) ack 1"]);
    let info = s.stack.tcp_info(fd).expect("a TCP socket");
    assert_eq!((info.ca_state, info.sacked, info.lost, info.retrans), (3, 3, 1, 1));
    assert_eq!(info.snd_ssthresh, 5);
}

#[test]
fn data_out_of_order_is_told_selectively_and_delivered_in_order() {
    let (mut s, fd) = Script::established();
    s.send("P.", 11, 1, 512, &[], &[2; 10]);
    assert_eq!(s.sent(), [". 1:1(0) ack 1 sack 11:21"]);
    assert_eq!(s.read(fd), Err(Errno::EAGAIN));
    s.send("P.", 1, 1, 512, &[], &[1; 10]);
    assert_eq!(s.sent(), [". 1:1(0) ack 21"]);
    assert_eq!(s.read(fd), Ok(20));
    s.send("P.", 1, 1, 512, &[], &[1; 10]);
    assert_eq!(s.sent(), [". 1:1(0) ack 21 sack 1:11"], "a duplicate is told (RFC 2883)");
}

// RFC 5961: a reset at the left edge counts, one within the window is asked about, one outside is ignored.
#[rstest]
#[case::exact(1, &[], Err(Errno::ECONNRESET))]
#[case::in_the_window(100, &[". 1:1(0) ack 1"], Err(Errno::EAGAIN))]
#[case::outside(0x4000_0000, &[], Err(Errno::EAGAIN))]
fn a_reset(#[case] seq: u32, #[case] answer: &[&str], #[case] read: Result<usize, Errno>) {
    let (mut s, fd) = Script::established();
    s.send("R", seq, 0, 0, &[], &[]);
    assert_eq!(s.sent(), answer);
    assert_eq!(s.read(fd), read);
}

#[test]
fn a_syn_on_a_connection_is_challenged() {
    let (mut s, _) = Script::established();
    s.send("S", 1, 0, 512, SYN_OPTIONS, &[]);
    assert_eq!(s.sent(), [". 1:1(0) ack 1"]);
    s.send("S", 1, 0, 512, SYN_OPTIONS, &[]);
    assert!(s.sent().is_empty(), "no more than one in half a second");
}

#[test]
fn small_writes_wait_for_the_acknowledgement_of_the_last_small_one() {
    let (mut s, fd) = Script::established();
    s.write(fd, 10);
    s.write(fd, 20);
    s.write(fd, 30);
    assert_eq!(s.sent(), ["P. 1:11(10) ack 1"]);
    s.ack(1, 11);
    assert_eq!(s.sent(), ["P. 11:61(50) ack 1"]);
    let option = crate::socket::SocketOption::TcpNodelay;
    s.stack.setsockopt_at(s.now, 0, fd, option, 1).expect("an option");
    s.write(fd, 5);
    s.write(fd, 5);
    assert_eq!(s.sent(), ["P. 61:66(5) ack 1", "P. 66:71(5) ack 1"]);
}

#[test]
fn a_closed_window_is_probed_and_opened() {
    let (mut s, fd) = Script::established();
    s.send(".", 1, 1, 0, &[], &[]);
    s.write(fd, 100);
    assert!(s.sent().is_empty());
    let probes = s.pass(Duration::from_secs(2));
    assert!(probes.iter().all(|(_, line)| line == ". 0:0(0) ack 1"), "{probes:?}");
    assert!((200..=210).contains(&probes[0].0), "{probes:?}");
    s.ack(1, 1);
    assert_eq!(s.sent(), ["P. 1:101(100) ack 1"]);
}

#[test]
fn nobody_listens() {
    let mut s = Script::new();
    s.send("S", 0, 0, 512, SYN_OPTIONS, &[]);
    assert_eq!(s.sent(), ["R. 0:0(0) ack 1"]);
    s.our_isn = 0;
    s.send(".", 1, 500, 512, &[], &[]);
    assert_eq!(s.sent(), ["R 500:500(0)"]);
}

#[test]
fn unread_data_makes_close_a_reset() {
    let (mut s, fd) = Script::established();
    s.send("P.", 1, 1, 512, &[], &[9; 10]);
    s.sent();
    s.stack.tcp_close(s.now, 0, fd).expect("it is open");
    assert_eq!(s.sent(), ["R. 1:1(0) ack 11"]);
}

#[test]
fn a_keepalive_goes_after_its_time_and_gives_up_after_its_count() {
    use crate::socket::SocketOption as O;
    let (mut s, fd) = Script::established();
    for (option, value) in
        [(O::TcpKeepidle, 1), (O::TcpKeepintvl, 1), (O::TcpKeepcnt, 2), (O::SoKeepalive, 1)]
    {
        s.stack.setsockopt(fd, option, value).expect("an option");
    }
    s.did();
    let sent = lines(s.pass(Duration::from_secs(5)));
    assert_eq!(sent, [". 0:0(0) ack 1", ". 0:0(0) ack 1", "R. 1:1(0) ack 1"]);
    assert_eq!(s.read(fd), Err(Errno::ETIMEDOUT));
}

#[test]
fn nobody_answers_a_syn() {
    let mut s = Script::new();
    let fd = s.stack.socket_tcp().expect("a socket");
    let to = core::net::SocketAddrV4::new(super::peer::PEER, 80);
    assert_eq!(s.stack.tcp_connect(s.now, 0, fd, to), Err(Errno::EINPROGRESS));
    s.did();
    let sent = s.pass(Duration::from_secs(300));
    // tcp_syn_linear_timeouts is 4, tcp_syn_retries 6: 1, 2, 3, 4, 5, then 2, 4, 8, 16, 32 s more.
    let seconds: Vec<u64> = sent.iter().map(|(at, _)| at / 1000).collect();
    assert_eq!(seconds.len(), 11, "{sent:?}");
    assert_eq!(seconds[..6], [0, 1, 2, 3, 4, 5], "{sent:?}");
    assert_eq!(s.stack.tcp_connect(s.now, 0, fd, to), Err(Errno::ETIMEDOUT));
}
