//! Transfers over TCP, whose peer ran in real time when they were recorded: what holds whatever its timing.
//!
//! A peer that acknowledges every segment after a while stands in for the recorded one.

use super::difference::{Difference, Listed};
use super::replay::Run;
use harness::case::model::{Payload, SocketKind, Syscall};
use harness::frame::decode::Decoded;
use harness::frame::{Layer, Value, decode};
use harness::rig::Rig as _;
use std::collections::{BTreeMap, VecDeque};

/// Bytes of one write of the recorded sender.
const WRITE: usize = 65_536;
/// The peer's initial sequence number.
const ISN: u32 = 0x7000_0000;

/// A transfer: what is set up before, how many bytes, and how long the peer takes to answer, in nanoseconds.
pub struct Transfer {
    pub commands: &'static [&'static str],
    pub bytes: usize,
    pub delay: u64,
}

/// What holds of it, by name.
pub type Facts = BTreeMap<String, String>;

/// The facts of a recorded set.
pub fn recorded(text: &str, set: &str) -> Facts {
    let facts = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let parts: Vec<_> = line.split(" | ").collect();
        let [set, name, value] = parts.as_slice() else { panic!("three parts: {line}") };
        ((*set).to_owned(), ((*name).to_owned(), (*value).to_owned()))
    });
    facts.filter(|(of, _)| of == set).map(|(_, fact)| fact).collect()
}

/// Where two are not the same.
pub fn differences(linux: &Facts, ours: &Facts) -> Vec<Difference> {
    let value =
        |facts: &Facts, name: &String| facts.get(name).cloned().unwrap_or_else(|| "nothing".to_owned());
    let names = linux.keys().chain(ours.keys().filter(|name| !linux.contains_key(*name)));
    let all = names.map(|name| Difference {
        what: format!("fact {name}"),
        linux: value(linux, name),
        ours: value(ours, name),
    });
    all.filter(|difference| difference.linux != difference.ours).collect()
}

/// Which of them no entry allows, and which entries do not occur.
pub fn held(set: &str, found: &[Difference], listed: &[Listed]) -> Vec<String> {
    let listed: Vec<_> = listed.iter().filter(|entry| entry.is_about(set)).collect();
    let unlisted =
        found.iter().filter(|d| !listed.iter().any(|entry| entry.allows(d))).map(ToString::to_string);
    let absent = listed.iter().filter(|entry| !found.iter().any(|d| entry.allows(d)));
    unlisted.chain(absent.map(|entry| format!("  listed, and not so: {}", entry.what))).collect()
}

/// Runs a transfer, and says what holds of it.
pub fn run(transfer: &Transfer) -> Facts {
    let mut run = Run::new(transfer.commands);
    let mut peer = Peer::new(transfer.delay);
    let socket = || "c".to_owned();
    run.call(&Syscall::Socket { name: socket(), kind: SocketKind::Tcp, nonblocking: false });
    run.call(&Syscall::Bind { socket: socket(), to: "192.0.2.1:42000".parse().expect("an address") });
    run.call(&Syscall::Connect { socket: socket(), to: "192.0.2.2:5002".parse().expect("an address") });
    peer.answer_until(&mut run, Run::is_idle);
    let stream: Vec<u8> = (0..transfer.bytes).map(|i| (i * 7 + (i >> 8)) as u8).collect();
    for write in stream.chunks(WRITE) {
        run.call(&Syscall::Send { socket: socket(), payload: Payload(write.into()), flags: Vec::new() });
        peer.answer_until(&mut run, Run::is_idle);
    }
    run.call(&Syscall::Close { socket: socket() });
    let has_ended = |run: &Run| run.frames.last().is_some_and(|(at, _)| run.rig.now() > at + 500_000_000);
    peer.answer_until(&mut run, has_ended);
    facts(&mut run, &peer, &stream)
}

/// What is told of a run, in the words of `fixtures/linux-reference/tcp.txt`.
fn facts(run: &mut Run, peer: &Peer, stream: &[u8]) -> Facts {
    let frames = std::mem::take(&mut run.frames);
    let decoded: Vec<_> = frames.iter().map(|(_, bytes)| decode(bytes)).collect();
    assert!(decoded.iter().all(|d| d.problems.is_empty()), "a malformed frame");
    let sent = Sent::of(&decoded, stream);
    let moved = run.moved();
    let counter = |name: &str| moved.get(name).copied().unwrap_or(0);
    let (number, bytes) = (decoded.len() as i64, decoded.iter().map(unpadded).sum::<i64>());
    let came = peer.sent as i64;
    let facts = [
        ("bytes of the stream", sent.end as i64),
        ("longest segment", sent.longest as i64),
        ("bytes sent again", sent.again),
        ("steps of the identification other than one", sent.steps),
        ("short segments not at the end of a write", sent.short),
        ("ends of writes without PSH", sent.unpushed),
        (
            "segments less OutSegs and RetransSegs",
            number - counter("snmp.Tcp.OutSegs") - counter("snmp.Tcp.RetransSegs"),
        ),
        ("frames less netdev tx_packets", number - counter("netdev.tx_packets")),
        ("bytes less netdev tx_bytes", bytes - counter("netdev.tx_bytes")),
        ("frames less qdisc packets", number - counter("qdisc.root/packets")),
        ("bytes less qdisc bytes", bytes - counter("qdisc.root/bytes")),
        ("frames less ethtool tx_packets", number - counter("ethtool.tx_packets")),
        ("bytes with FCS less ethtool tx_bytes", bytes + 4 * number - counter("ethtool.tx_bytes")),
        ("frames received less netdev rx_packets", came - counter("netdev.rx_packets")),
        ("packets received less their marks", came - counter("snmp.IpExt.InNoECTPkts")),
        ("received frames less ethtool rx_packets", came - counter("ethtool.rx_packets")),
    ];
    let mut facts: Facts = facts.map(|(name, value)| (name.to_owned(), value.to_string())).into();
    facts.insert("options of the SYN".to_owned(), sent.options);
    facts
}

fn unpadded(d: &Decoded<'_>) -> i64 {
    d.ipv4.map_or(0, |ip| 14 + (ip.header.len() + ip.data.len()) as i64)
}

/// What the segments of a sender have in common.
#[derive(Debug, Default)]
struct Sent {
    end: usize,
    longest: usize,
    again: i64,
    steps: i64,
    short: i64,
    unpushed: i64,
    options: String,
}

impl Sent {
    fn of(decoded: &[Decoded<'_>], stream: &[u8]) -> Self {
        let mut sent = Self::default();
        let (mut first, mut id) = (None, None);
        let mut ends = BTreeMap::new();
        for d in decoded {
            let number = |key| d.number(Layer::Tcp, key).unwrap_or(0) as u32;
            let Some(ip) = d.ipv4 else { continue };
            sent.steps += i64::from(id.is_some_and(|id: u16| id.wrapping_add(1) != ip.id));
            id = Some(ip.id);
            let isn = *first.get_or_insert_with(|| {
                sent.options = options(d);
                number("seq")
            });
            if d.payload.is_empty() {
                continue;
            }
            let begin = number("seq").wrapping_sub(isn).wrapping_sub(1) as usize;
            let end = begin + d.payload.len();
            assert_eq!(stream.get(begin..end), Some(d.payload), "the stream, from byte {begin} on");
            sent.again += i64::from(begin < sent.end);
            sent.end = sent.end.max(end);
            sent.longest = sent.longest.max(d.payload.len());
            ends.insert(end, (d.payload.len(), number("flags") & 8 != 0));
        }
        let is_end = |end: usize| end.is_multiple_of(WRITE) || end == sent.end;
        let count = |wanted: &dyn Fn(usize, usize, bool) -> bool| {
            ends.iter().filter(|(end, (length, push))| wanted(**end, *length, *push)).count() as i64
        };
        sent.short = count(&|end, length, _| length < sent.longest && !is_end(end));
        sent.unpushed = count(&|end, _, push| is_end(end) && !push);
        sent
    }
}

fn options(d: &Decoded<'_>) -> String {
    let found = d.fields.iter().find(|(field, _)| field.layer == Layer::Tcp && field.key == "options");
    found.map_or_else(String::new, |(_, value)| match value {
        Value::Bytes(bytes) => super::line::shown(bytes),
        _ => String::new(),
    })
}

/// A peer that takes a connection and acknowledges every segment, with timestamps, some time after it.
struct Peer {
    delay: u64,
    /// The next byte that it expects.
    next: u32,
    /// When each answer is due.
    due: VecDeque<(u64, Vec<u8>)>,
    /// Frames of the system under test that it has seen.
    seen: usize,
    /// Frames that it has sent.
    sent: usize,
}

impl Peer {
    fn new(delay: u64) -> Self {
        Self { delay, next: 0, due: VecDeque::new(), seen: 0, sent: 0 }
    }

    /// Lets time pass and answers until something holds, for ten minutes of virtual time at most.
    fn answer_until(&mut self, run: &mut Run, holds: impl Fn(&Run) -> bool) {
        let bound = run.rig.now() + 600_000_000_000;
        while !holds(run) {
            assert!(run.rig.now() < bound, "it does not come to an end");
            while let Some((_, bytes)) = self.due.pop_front_if(|(at, _)| *at <= run.rig.now()) {
                run.inject(&bytes);
                self.sent += 1;
            }
            let next = self.due.front().map_or(run.rig.now() + 100_000_000, |(at, _)| *at);
            run.advance(next);
            for (at, bytes) in &run.frames[self.seen..] {
                if let Some(answer) = self.answer(&decode(bytes)) {
                    self.due.push_back((at + self.delay, answer));
                }
            }
            self.seen = run.frames.len();
        }
    }

    fn answer(&mut self, d: &Decoded<'_>) -> Option<Vec<u8>> {
        let number = |key| d.number(Layer::Tcp, key).unwrap_or(0) as u32;
        let (flags, seq) = (number("flags"), number("seq"));
        let stamp = d.ipv4.and_then(|ip| stamp_of(&ip.data[20..ip.data.len() - d.payload.len()]));
        let ecr = stamp.unwrap_or(0).to_be_bytes();
        let stamps = [&[1, 1, 8, 10, 0, 0, 0, 1][..], &ecr].concat();
        let is_syn = flags & 2 != 0;
        let end = seq.wrapping_add(d.payload.len() as u32 + u32::from(is_syn) + (flags & 1));
        if is_syn {
            self.next = end;
            let offered = [&[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1][..], &ecr, &[1, 3, 3, 10]].concat();
            return Some(segment((ISN, end), 0x12, &offered));
        }
        if seq == self.next {
            self.next = end;
        }
        match flags & 1 {
            1 => Some(segment((ISN.wrapping_add(1), self.next), 0x11, &stamps)),
            _ if d.payload.is_empty() => None,
            _ => Some(segment((ISN.wrapping_add(1), self.next), 0x10, &stamps)),
        }
    }
}

/// The value of the timestamps option.
fn stamp_of(mut options: &[u8]) -> Option<u32> {
    loop {
        match options {
            [1, rest @ ..] => options = rest,
            [8, 10, a, b, c, d, ..] => return Some(u32::from_be_bytes([*a, *b, *c, *d])),
            [_, length, ..] if *length >= 2 => options = options.get(usize::from(*length)..)?,
            _ => return None,
        }
    }
}

/// A segment of the peer without data: sequence and acknowledgement number, flags, options.
fn segment((seq, ack): (u32, u32), flags: u8, options: &[u8]) -> Vec<u8> {
    let mut tcp = [5002_u16.to_be_bytes(), 42_000_u16.to_be_bytes()].concat();
    tcp.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
    tcp.extend([(((20 + options.len()) / 4) << 4) as u8, flags, 0xfe, 0x88, 0, 0, 0, 0]);
    tcp.extend(options);
    let addresses = [192, 0, 2, 2, 192, 0, 2, 1];
    let pseudo = [&addresses[..], &[0, 6], &(tcp.len() as u16).to_be_bytes(), &tcp].concat();
    tcp[16..18].copy_from_slice(&checksum(&pseudo));
    let length = (20 + tcp.len()) as u16;
    let mut ip = [&[0x45, 0][..], &length.to_be_bytes(), &[0, 0, 0x40, 0, 64, 6, 0, 0], &addresses].concat();
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &ip, &tcp].concat()
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (!((folded & 0xffff) + (folded >> 16)) as u16).to_be_bytes()
}
