//! The ladder of a trial: its frames one below the other, with time, direction, a summary, and the step that took each.

use crate::capture::{Capture, CapturedFrame, Direction, Explained};
use crate::case::model::Nanos;
use crate::frame::decode;
use crate::frame::summary::relative;
use crate::frame::tcp::Streams;
use std::fmt::Write as _;

/// Summaries are aligned up to this width, in characters; longer ones push their step to the right.
const SUMMARY_WIDTH: usize = 64;

/// All frames, a line each. `→` comes from the system under test, `←` goes to it.
#[must_use]
pub fn ladder(capture: &Capture) -> String {
    rungs(capture, 0)
}

/// The last `most` frames, and how many came before them.
#[must_use]
pub fn end_of_ladder(capture: &Capture, most: usize) -> String {
    let first = capture.frames.len().saturating_sub(most);
    let before = if first == 0 { String::new() } else { format!("  … {first} frames before\n") };
    before + &rungs(capture, first)
}

fn rungs(capture: &Capture, first: usize) -> String {
    let mut streams = Streams::default();
    let lines: Vec<_> = capture.frames.iter().map(|frame| line(frame, &mut streams)).collect();
    let shown: Vec<_> =
        capture.frames.iter().zip(lines).enumerate().skip(first).map(|(i, (f, line))| (i, f, line)).collect();
    let width = shown.iter().map(|(_, _, s)| s.chars().count()).max().unwrap_or(0).min(SUMMARY_WIDTH);
    let mut text = String::new();
    for (index, frame, summary) in shown {
        let arrow = match frame.direction {
            Direction::Outbound => "→",
            Direction::Inbound => "←",
        };
        let (number, time, step) = (index + 1, seconds(frame.at), explained(&frame.explained));
        let _ = writeln!(text, "{number:>4} {time:>14} {arrow} {summary:<width$}  {step}");
    }
    text
}

fn line(frame: &CapturedFrame, streams: &mut Streams) -> String {
    let d = decode(&frame.bytes);
    relative(&d, &streams.bases(&d))
}

fn explained(explained: &Explained) -> String {
    match explained {
        Explained::No => "unexplained".to_owned(),
        Explained::Automatic => "automatic peer".to_owned(),
        Explained::Step(step) => format!("{}:{}", step.file, step.line),
    }
}

/// Seconds with all their nanoseconds: `0.000012304`.
#[must_use]
pub fn seconds(at: Nanos) -> String {
    format!("{}.{:09}", at / 1_000_000_000, at % 1_000_000_000)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::capture::StepRef;
    use crate::frame::fixtures::{arp_request, icmp_echo, nowhere, spec, tcp_syn, udp_hello};
    use crate::frame::{automatic_peer, build};

    /// An ARP exchange, a datagram, a fragment, a SYN that nobody expects, a ping.
    pub(crate) fn capture() -> Capture {
        let step = Explained::Step(StepRef::new(&nowhere()));
        let fragment = spec("ipv4: {flags: MF, frag_offset: 1480, id: 9, protocol: udp}", Some(&[0; 16]));
        let mut spoilt = udp_hello();
        spoilt[42] ^= 1;
        let reply = automatic_peer(&arp_request()).unwrap();
        let all = [
            (12_304, Direction::Outbound, arp_request(), Explained::Automatic),
            (12_304, Direction::Inbound, reply, Explained::Automatic),
            (25_000, Direction::Outbound, udp_hello(), step.clone()),
            (37_304, Direction::Inbound, build(&fragment, None).unwrap(), step),
            (1_000_000_000, Direction::Outbound, tcp_syn(), Explained::No),
            (1_000_012_304, Direction::Inbound, icmp_echo(), Explained::No),
            (1_000_024_608, Direction::Outbound, spoilt, Explained::No),
        ];
        let frames = all
            .into_iter()
            .map(|(at, direction, bytes, explained)| CapturedFrame {
                at,
                direction,
                bytes,
                explained,
                packet: None,
            })
            .collect();
        Capture { frames }
    }

    #[test]
    fn each_frame_has_its_line() {
        insta::assert_snapshot!(ladder(&capture()), @r#"
        1    0.000012304 → ARP who-has 192.0.2.2 tell 192.0.2.1                              automatic peer
        2    0.000012304 ← ARP reply 192.0.2.2 is-at 02:00:00:00:00:02                       automatic peer
        3    0.000025000 → 192.0.2.1:4000 > 192.0.2.2:7 UDP 5                                udp/one.yaml:2
        4    0.000037304 ← 192.0.2.2 > 192.0.2.1 udp 16 frag id=9 off=1480 len=16 MF         udp/one.yaml:2
        5    1.000000000 → 192.0.2.1:40000 > 192.0.2.2:8080 TCP S 0:0(0) win 65535 <mss 1460>  unexplained
        6    1.000012304 ← 192.0.2.2 > 192.0.2.1 ICMP echo_request id=7 seq=3 4              unexplained
        7    1.000024608 → 192.0.2.1:4000 > 192.0.2.2:7 UDP 5 [udp.checksum: is 0x2857, right is 0x2757]  unexplained
        "#);
    }

    #[test]
    fn the_end_of_a_long_ladder_says_what_it_leaves_out() {
        let text = end_of_ladder(&capture(), 2);
        assert_eq!(text.lines().next(), Some("  … 5 frames before"));
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().nth(1).unwrap().starts_with("   6 "));
    }
}
