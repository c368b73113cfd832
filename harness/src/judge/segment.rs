//! One TCP segment against one in packetdrill's notation, field by field, in relative numbers.

use super::pattern::Line;
use crate::frame::decode::Decoded;
use crate::frame::tcp::options::{padded, relative, same, show};
use crate::frame::tcp::{Segment, TcpSpec, letters, range};

/// Every field that the notation names beside what came; none where the frame has no TCP header.
#[must_use]
pub fn lines(spec: &TcpSpec, d: &Decoded<'_>) -> Vec<Line> {
    let Some(got) = Segment::of(d) else { return Vec::new() };
    let mut lines = Vec::new();
    let (src, dst) = spec.ports.unwrap_or_default();
    let known = &spec.bases.ports;
    for (key, wanted, port) in
        [("src_port", src.or(known.0), got.ports.0), ("dst_port", dst.or(known.1), got.ports.1)]
    {
        lines.extend(wanted.map(|wanted| line(key, wanted, port)));
    }
    lines.push(line("flags", letters(spec.flags), letters(got.flags)));
    let seq = spec.bases.seq.map_or(spec.seq, |base| got.seq.wrapping_sub(base));
    lines.push(line("seq", range(spec.seq, spec.length), range(seq, got.length)));
    lines.extend(spec.ack.map(|ack| line("ack", ack, got.ack.wrapping_sub(spec.bases.ack))));
    lines.extend(spec.window.map(|window| line("window", window, got.window)));
    lines.extend(spec.urgent.map(|urgent| line("urgent", urgent, got.urgent)));
    if let Some(options) = &spec.options {
        let (wanted, came) = (padded(options), relative(&got.options, spec.bases.ack));
        let equal = same(&wanted, &came);
        lines.push(Line { same: equal, ..line("options", show(&wanted), show(&came)) });
    }
    lines
}

fn line(key: &str, expected: impl ToString, got: impl ToString) -> Line {
    let (expected, got) = (expected.to_string(), got.to_string());
    Line { field: format!("tcp.{key}"), same: expected == got, expected, got }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::fixtures::{nowhere, tcp_syn};
    use crate::frame::tcp::Bases;
    use crate::frame::{decode, tcp::notation::parse};
    use rstest::rstest;

    /// The frame is 40000 > 8080 S, sequence number 0, window 65535, an MSS of 1460.
    #[rstest]
    #[case::as_it_is("40000 > 8080 S 0:0(0) win 65535 <mss 1460>", 0, None)]
    #[case::what_is_omitted("S 0:0(0)", 0, None)]
    #[case::counted_from_its_first("S 10:10(0)", 10, None)]
    #[case::another_port("40000 > 8081 S 0:0(0)", 0, Some("tcp.dst_port 8081 8080"))]
    #[case::a_flag_more("SE 0:0(0)", 0, Some("tcp.flags SE S"))]
    #[case::another_number("S 1:1(0)", 0, Some("tcp.seq 1:1(0) 0:0(0)"))]
    #[case::data_that_is_not_there("S 0:10(10)", 0, Some("tcp.seq 0:10(10) 0:0(0)"))]
    #[case::another_window("S 0:0(0) win 1", 0, Some("tcp.window 1 65535"))]
    #[case::no_options("S 0:0(0) <>", 0, Some("tcp.options <> <mss 1460>"))]
    #[case::another_option("S 0:0(0) <mss 1460,nop>", 0, Some("tcp.options <mss 1460,nop,eol> <mss 1460>"))]
    fn a_segment_is_held_against_the_notation(
        #[case] text: &str,
        #[case] first: u32,
        #[case] differs: Option<&str>,
    ) {
        let mut spec = parse(text, nowhere()).unwrap();
        spec.bases = Bases { seq: Some(0_u32.wrapping_sub(first)), ..Bases::default() };
        let frame = tcp_syn();
        let wrong: Vec<_> = lines(&spec, &decode(&frame))
            .into_iter()
            .filter(|line| !line.same)
            .map(|l| format!("{} {} {}", l.field, l.expected, l.got))
            .collect();
        assert_eq!(wrong, differs.into_iter().map(str::to_owned).collect::<Vec<_>>());
    }
}
