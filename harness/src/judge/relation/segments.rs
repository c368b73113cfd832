//! `segments: {…}`: a stretch of a TCP stream, frame by frame, as a large packet is cut by the stack or the NIC.
//!
//! In order, all but the last of the same size, the same headers but for what a cut changes: sequence number, IP id (one more
//! each), and flags. PSH may stand where a large packet ended, FIN on the last alone, CWR where one began. Where the rig
//! keeps a journey it tells which frames were one packet: PSH must stand at the end of each, and nowhere else in it.
//! Elsewhere a packet ends where PSH says so. Window, acknowledgement and options are those of the packet.

use super::{Progress, Relation, Why};
use crate::case::model;
use crate::frame::Layer;
use crate::frame::decode::{Decoded, Ipv4View};
use crate::frame::tcp::options::show;
use crate::frame::tcp::{ACK, Bases, FIN, LETTERS, PSH, Segment, letters};
use crate::judge::pattern::PayloadDiff;
use std::net::Ipv4Addr;

/// CWR, which only the first segment of a large packet has (RFC 3168 section 6.1.2).
const CWR: u8 = 128;

/// A stretch on its way to being complete.
#[derive(Clone, Debug)]
pub struct Segments {
    step: model::Segments,
    bases: Bases,
    first: Option<First>,
    /// Bytes that have come.
    come: u32,
    frames: usize,
    /// The packet that the next frame was sent as, by the journey.
    coming: Option<u32>,
    large: Option<Large>,
    /// Flags that a cut may clear, a deviation that is listed; and where it did: those that are right, and those that came.
    may_lack: u8,
    excused: Option<(String, String)>,
}

/// The large packet that the frames are of at the moment.
#[derive(Clone, Debug)]
struct Large {
    /// Its number in the journey.
    packet: Option<u32>,
    /// Its frames that have come.
    frames: usize,
    /// Which frame of the stretch began it, from 1.
    from: usize,
    begin: Segment,
    /// The flags of the last frame that came.
    flags: u8,
}

impl Large {
    /// Whether the next frame, sent as `packet`, is of another one.
    fn is_over(&self, packet: Option<u32>) -> bool {
        match (self.packet, packet) {
            (Some(this), Some(next)) => this != next,
            _ => self.flags & (PSH | FIN) != 0,
        }
    }

    /// The rules of the frame before, once it is known whether the packet goes on.
    fn pushed(&self, over: bool) -> Broken {
        let pushed = self.flags & PSH != 0;
        if !over && pushed {
            return Err(
                "follows one with PSH, but both were cut from one packet: PSH stands at its end".to_owned()
            );
        }
        if over && !pushed && self.frames > 1 && self.packet.is_some() {
            return Err(format!(
                "begins another packet, but the one before it, cut into {} segments, ended without PSH",
                self.frames
            ));
        }
        Ok(())
    }
}

/// What all segments have in common with the first.
#[derive(Clone, Debug)]
struct First {
    id: u16,
    addresses: (Ipv4Addr, Ipv4Addr),
    ttl: u8,
    tos: u8,
    ip_flags: u8,
}

/// A broken rule, before it knows its frame.
type Broken = Result<(), String>;

impl Segments {
    /// A new one, for the stream that these bases are of.
    #[must_use]
    pub fn new(step: &model::Segments, bases: Bases) -> Self {
        Self {
            step: step.clone(),
            bases,
            first: None,
            come: 0,
            frames: 0,
            coming: None,
            large: None,
            may_lack: 0,
            excused: None,
        }
    }

    fn is_mine(&self, segment: &Segment) -> bool {
        let (src, dst) = self.bases.ports;
        src.is_none_or(|port| port == segment.ports.0) && dst.is_none_or(|port| port == segment.ports.1)
    }

    /// Whether this is the last: nothing of the stretch is left behind it.
    fn is_last(&self, segment: &Segment) -> bool {
        self.come + segment.length >= self.step.length
    }

    fn fits(&mut self, d: &Decoded<'_>, ip: &Ipv4View<'_>, segment: &Segment) -> Broken {
        if let Some(problem) = d.problems.first() {
            return Err(format!("is malformed: {problem}"));
        }
        let tag = d.number(Layer::Vlan, "id");
        if tag != self.step.vlan.map(u64::from) {
            let of = |id: Option<u64>| id.map_or("no VLAN".to_owned(), |id| format!("VLAN {id}"));
            return Err(format!("is of {}, not of {}", of(tag), of(self.step.vlan.map(u64::from))));
        }
        let seq = segment.seq.wrapping_sub(self.bases.seq.unwrap_or(0));
        let wanted = self.step.first.wrapping_add(self.come);
        if seq != wanted {
            return Err(format!("has the sequence number {seq}, the next in order is {wanted}"));
        }
        let size = self.step.mss.min(self.step.length - self.come);
        if segment.length != size {
            return Err(format!("carries {} bytes, not {size}", segment.length));
        }
        if let Some(large) = &self.large {
            large.pushed(self.begins())?;
        }
        self.flags(segment)?;
        let ack = segment.ack.wrapping_sub(self.bases.ack);
        if let Some(wanted) = self.step.ack.filter(|wanted| *wanted != ack) {
            return Err(format!("acknowledges {ack}, not {wanted}"));
        }
        if let Some(first) = &self.first {
            self.as_the_first(first, ip)?;
        }
        if let Some(large) = self.large.as_ref().filter(|_| !self.begins()) {
            same_packet(large, segment)?;
        }
        let at = self.come as usize;
        let part = self.step.payload.as_ref().and_then(|p| p.0.get(at..at + size as usize));
        match part.and_then(|part| PayloadDiff::of(part, d.payload)) {
            Some(diff) => {
                let byte = at + diff.first;
                Err(format!(
                    "differs from byte {byte} of the payload on: {} instead of {}",
                    diff.got, diff.expected
                ))
            }
            None => Ok(()),
        }
    }

    /// Whether the frame that comes is the first of a large packet.
    fn begins(&self) -> bool {
        self.large.as_ref().is_none_or(|large| large.is_over(self.coming))
    }

    /// Notes which large packet a frame was of.
    fn note(&mut self, segment: &Segment) {
        let (begins, packet, flags, from) = (self.begins(), self.coming, segment.flags, self.frames);
        match &mut self.large {
            Some(large) if !begins => (large.frames, large.flags) = (large.frames + 1, flags),
            large => *large = Some(Large { packet, frames: 1, from, begin: segment.clone(), flags }),
        }
    }

    fn flags(&mut self, segment: &Segment) -> Broken {
        let last = self.is_last(segment);
        let mut free = if self.step.push_on_last { 0 } else { PSH };
        if self.begins() {
            free |= CWR;
        }
        let mut wanted = ACK;
        if last && self.step.fin {
            wanted |= FIN;
        }
        if last && self.step.push_on_last {
            wanted |= PSH;
        }
        if segment.flags & !free == wanted & !free {
            return Ok(());
        }
        let missing = wanted & !free & !segment.flags;
        if missing & !self.may_lack == 0 && (segment.flags | missing) & !free == wanted & !free {
            self.excused = Some((letters(wanted), letters(wanted & !missing)));
            return Ok(());
        }
        Err(format!("has the flags {}, expected {}", letters(segment.flags), letters(wanted)))
    }

    fn as_the_first(&self, first: &First, ip: &Ipv4View<'_>) -> Broken {
        let step = u16::try_from(self.frames).unwrap_or(u16::MAX);
        let id = first.id.wrapping_add(step);
        let pairs = [
            ("ipv4.id", id.to_string(), ip.id.to_string()),
            ("ipv4.src", first.addresses.0.to_string(), ip.src.to_string()),
            ("ipv4.dst", first.addresses.1.to_string(), ip.dst.to_string()),
            ("ipv4.ttl", first.ttl.to_string(), ip.ttl.to_string()),
            ("ipv4.tos", first.tos.to_string(), ip.tos.to_string()),
            ("ipv4.flags", first.ip_flags.to_string(), ip.flags.to_string()),
        ];
        agree(pairs, "the first segment")
    }
}

/// What the segments of one large packet have in common.
fn same_packet(large: &Large, segment: &Segment) -> Broken {
    let begin = &large.begin;
    let pairs = [
        ("tcp.ack", begin.ack.to_string(), segment.ack.to_string()),
        ("tcp.window", begin.window.to_string(), segment.window.to_string()),
        ("tcp.options", show(&begin.options), show(&segment.options)),
    ];
    let from =
        if large.from == 1 { "the first segment".to_owned() } else { format!("segment {}", large.from) };
    agree(pairs, &from)
}

/// Whether each field has the value that is right after an earlier segment.
fn agree<const N: usize>(pairs: [(&str, String, String); N], earlier: &str) -> Broken {
    match pairs.into_iter().find(|(_, wanted, got)| wanted != got) {
        Some((field, wanted, got)) => Err(format!("has {field} {got}; after {earlier} {wanted} is right")),
        None => Ok(()),
    }
}

impl Relation for Segments {
    fn came_from(&mut self, packet: Option<u32>) {
        self.coming = packet;
    }

    fn excuse(&mut self, letters: &str) {
        self.may_lack = LETTERS
            .iter()
            .filter(|(letter, _)| letters.contains(*letter))
            .fold(0, |all, (_, flag)| all | flag);
    }

    fn excused(&self) -> Option<(String, String)> {
        self.excused.clone()
    }

    fn push(&mut self, d: &Decoded<'_>) -> Progress {
        let (Some(ip), Some(segment)) = (d.ipv4, Segment::of(d)) else { return Progress::NotMine };
        if !self.is_mine(&segment) {
            return Progress::NotMine;
        }
        let nth = self.frames + 1;
        if let Err(what) = self.fits(d, &ip, &segment) {
            return Why::failed(nth, format!("segment {nth} {what}"));
        }
        self.frames = nth;
        self.come += segment.length;
        if self.first.is_none() {
            let (id, ttl, tos, ip_flags) = (ip.id, ip.ttl, ip.tos, ip.flags);
            self.first = Some(First { id, addresses: (ip.src, ip.dst), ttl, tos, ip_flags });
        }
        self.note(&segment);
        if self.come < self.step.length {
            return Progress::NeedMore;
        }
        Progress::Complete
    }

    fn awaited(&self) -> String {
        let last = self.step.first.wrapping_add(self.step.length);
        let next = self.step.first.wrapping_add(self.come);
        format!("{} segments came, up to {next}; still missing: {next}:{last}", self.frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::model::Payload;
    use crate::frame::fixtures::spec;
    use crate::frame::{build, decode};
    use rstest::rstest;

    /// Sequence number, IP id, flags, window and payload of three segments.
    type Three = [(u32, u16, u8, u16, Vec<u8>); 3];

    /// 25 bytes in segments of 10, from the absolute number 1001.
    fn step() -> model::Segments {
        let payload = Some(Payload((0..25).collect()));
        model::Segments {
            first: 1,
            length: 25,
            mss: 10,
            payload,
            push_on_last: false,
            fin: false,
            ack: Some(1),
            vlan: None,
            within: None,
        }
    }

    fn frame(seq: u32, id: u16, flags: u8, window: u16, payload: &[u8]) -> Vec<u8> {
        let text = format!(
            "ipv4: {{id: {id}, flags: DF}}; tcp: {{src_port: 8080, dst_port: 9, seq: {seq}, ack: 501, flags: {flags}, window: {window}}}"
        );
        build(&spec(&text, Some(payload)), None).unwrap()
    }

    fn judge(step: &model::Segments, frames: &[Vec<u8>]) -> Progress {
        let bases = Bases { ports: (Some(8080), Some(9)), seq: Some(1000), ack: 500 };
        let mut segments = Segments::new(step, bases);
        let mut last = Progress::NeedMore;
        for frame in frames {
            last = segments.push(&decode(frame));
            if last != Progress::NeedMore {
                break;
            }
        }
        last
    }

    fn three() -> Three {
        [
            (1001, 7, 0x10, 5, (0..10).collect()),
            (1011, 8, 0x10, 5, (10..20).collect()),
            (1021, 9, 0x18, 5, (20..25).collect()),
        ]
    }

    fn frames(all: &Three) -> Vec<Vec<u8>> {
        all.iter()
            .map(|(seq, id, flags, window, payload)| frame(*seq, *id, *flags, *window, payload))
            .collect()
    }

    #[rstest]
    #[case::push_on_the_last(0x10, 1021, None)]
    #[case::push_on_the_last_that_comes_too_early(
        0x10,
        1020,
        Some("segment 3 has the sequence number 20, the next in order is 21")
    )]
    #[case::one_flag_more(0x12, 1021, Some("segment 3 has the flags S., expected P."))]
    fn a_flag_that_may_be_missing_excuses_nothing_else(
        #[case] flags: u8,
        #[case] seq: u32,
        #[case] told: Option<&str>,
    ) {
        let mut all = three();
        (all[2].0, all[2].2) = (seq, flags);
        let bases = Bases { ports: (Some(8080), Some(9)), seq: Some(1000), ack: 500 };
        let mut segments = Segments::new(&model::Segments { push_on_last: true, ..step() }, bases);
        segments.excuse("PF");
        let last = frames(&all).iter().map(|frame| segments.push(&decode(frame))).last();
        match told {
            None => {
                assert_eq!(last, Some(Progress::Complete));
                assert_eq!(segments.excused(), Some(("P.".to_owned(), ".".to_owned())));
            }
            Some(told) => {
                let Some(Progress::Failed(why)) = last else { panic!("it holds") };
                assert_eq!(why.what, told);
            }
        }
    }

    #[test]
    fn a_stretch_that_is_cut_right_is_complete() {
        assert_eq!(judge(&step(), &frames(&three())), Progress::Complete);
    }

    #[rstest]
    #[case::the_sequence_of_the_third(|all: &mut Three| all[2].0 += 1, "segment 3 has the sequence number 22, the next in order is 21")]
    #[case::an_id_that_stands_still(|all: &mut Three| all[1].1 = 7, "segment 2 has ipv4.id 7; after the first segment 8 is right")]
    #[case::fin_in_the_middle(|all: &mut Three| all[1].2 = 0x11, "segment 2 has the flags F., expected .")]
    #[case::cwr_in_the_middle(|all: &mut Three| all[1].2 = 0x90, "segment 2 has the flags W., expected .")]
    #[case::another_window(|all: &mut Three| all[1].3 = 6, "segment 2 has tcp.window 6; after the first segment 5 is right")]
    #[case::a_byte_too_few(|all: &mut Three| { all[0].4.pop(); }, "segment 1 carries 9 bytes, not 10")]
    #[case::another_byte(|all: &mut Three| all[2].4[1] = 0, "segment 3 differs from byte 21 of the payload on: hex 00161718 instead of hex 15161718")]
    fn what_a_cut_may_not_change_is_told(#[case] spoil: fn(&mut Three), #[case] told: &str) {
        let mut all = three();
        spoil(&mut all);
        let Progress::Failed(why) = judge(&step(), &frames(&all)) else { panic!("it holds") };
        assert_eq!(why.what, told);
    }

    #[rstest]
    #[case::on_the_last(0x10, 0x18, true)]
    #[case::on_a_middle_one(0x18, 0x18, false)]
    #[case::on_none(0x10, 0x10, false)]
    fn push_may_be_asked_for_on_the_last(#[case] second: u8, #[case] third: u8, #[case] holds: bool) {
        let mut all = three();
        (all[1].2, all[2].2) = (second, third);
        let step = model::Segments { push_on_last: true, ..step() };
        assert_eq!(judge(&step, &frames(&all)) == Progress::Complete, holds);
    }

    #[rstest]
    #[case::one_packet([1, 1, 1], [0x10, 0x10, 0x18], None)]
    #[case::one_packet_without_push([1, 1, 1], [0x10, 0x10, 0x10], None)]
    #[case::two_packets([1, 1, 2], [0x10, 0x18, 0x18], None)]
    #[case::packets_of_one_segment([1, 2, 3], [0x10, 0x10, 0x10], None)]
    #[case::push_within([1, 1, 1], [0x10, 0x18, 0x18],
        Some("segment 3 follows one with PSH, but both were cut from one packet: PSH stands at its end"))]
    #[case::no_push_at_an_end([1, 1, 2], [0x10, 0x10, 0x18],
        Some("segment 3 begins another packet, but the one before it, cut into 2 segments, ended without PSH"))]
    #[case::cwr_where_one_begins([1, 1, 2], [0x90, 0x18, 0x90], None)]
    #[case::cwr_within([1, 1, 2], [0x10, 0x98, 0x10], Some("segment 2 has the flags PW., expected ."))]
    fn the_journey_says_where_push_stands(
        #[case] packets: [u32; 3],
        #[case] flags: [u8; 3],
        #[case] told: Option<&str>,
    ) {
        let mut all = three();
        (all[0].2, all[1].2, all[2].2) = (flags[0], flags[1], flags[2]);
        let bases = Bases { ports: (Some(8080), Some(9)), seq: Some(1000), ack: 500 };
        let mut segments = Segments::new(&step(), bases);
        let mut failed = None;
        for (frame, packet) in frames(&all).iter().zip(packets) {
            segments.came_from(Some(packet));
            if let Progress::Failed(why) = segments.push(&decode(frame)) {
                failed = Some(why.what);
                break;
            }
        }
        assert_eq!(failed.as_deref(), told);
    }

    #[rstest]
    #[case::of_the_same_packet([1, 1, 1], false)]
    #[case::of_the_next_one([1, 1, 2], true)]
    fn a_window_holds_for_a_whole_packet(#[case] packets: [u32; 3], #[case] holds: bool) {
        let mut all = three();
        (all[1].2, all[2].3) = (if holds { 0x18 } else { 0x10 }, 6);
        let bases = Bases { ports: (Some(8080), Some(9)), seq: Some(1000), ack: 500 };
        let mut segments = Segments::new(&step(), bases);
        let mut last = Progress::NeedMore;
        for (frame, packet) in frames(&all).iter().zip(packets) {
            segments.came_from(Some(packet));
            last = segments.push(&decode(frame));
        }
        assert_eq!(last == Progress::Complete, holds);
    }

    #[test]
    fn a_fin_may_be_asked_for_on_the_last() {
        let mut all = three();
        let step = model::Segments { fin: true, ..step() };
        assert_ne!(judge(&step, &frames(&all)), Progress::Complete);
        all[2].2 = 0x19;
        assert_eq!(judge(&step, &frames(&all)), Progress::Complete);
    }
}
