//! TCP segments in packetdrill's notation: `40000 > 8080 P. 1:11(10) ack 1 win 512 <nop,nop,TS val 7 ecr 9>`.
//!
//! Sequence numbers are relative to the first of the side that they belong to. [`Bases`] has these first numbers, which only a
//! trial knows: a pattern or recipe is [`TcpSpec`] with them.

pub mod notation;
pub mod options;
pub mod streams;

pub use options::TcpOption;
pub use streams::Streams;

use super::decode::Decoded;
use super::field::{Layer, Value, find};
use crate::case::model::Location;
use std::fmt;

/// FIN, as in the field `tcp.flags`.
pub const FIN: u8 = 1;
/// SYN.
pub const SYN: u8 = 2;
/// RST.
pub const RST: u8 = 4;
/// PSH.
pub const PSH: u8 = 8;
/// ACK.
pub const ACK: u8 = 16;
/// URG.
pub const URG: u8 = 32;

/// The letters of the flags with their bits, in the order in which they are written.
pub const LETTERS: [(char, u8); 8] =
    [('S', SYN), ('F', FIN), ('R', RST), ('P', PSH), ('U', URG), ('E', 64), ('W', 128), ('.', ACK)];

/// A segment as a case gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpSpec {
    /// Where it stands.
    pub at: Location,
    /// Source and destination port; `None`: those of the last flow. A port is `None` where it is `*`: any.
    pub ports: Option<(Option<u16>, Option<u16>)>,
    /// All flags, exactly.
    pub flags: u8,
    /// The sequence number, relative to the first of the sender.
    pub seq: u32,
    /// Bytes of payload; SYN and FIN do not count.
    pub length: u32,
    /// The acknowledgement number, relative to the first of the receiver; there with ACK alone.
    pub ack: Option<u32>,
    /// The window field as it stands in the header.
    pub window: Option<u16>,
    /// The urgent pointer; there with URG alone.
    pub urgent: Option<u16>,
    /// The options; `None` says nothing of them.
    pub options: Option<Vec<TcpOption>>,
    /// What the numbers count from, once a trial knows.
    pub bases: Bases,
}

impl fmt::Display for TcpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = |port: Option<u16>| port.map_or_else(|| "*".to_owned(), |port| port.to_string());
        if let Some((src, dst)) = self.ports {
            write!(f, "{} > {} ", port(src), port(dst))?;
        }
        write!(f, "{} {}", letters(self.flags), range(self.seq, self.length))?;
        let numbers =
            [("ack", self.ack), ("win", self.window.map(u32::from)), ("urg", self.urgent.map(u32::from))];
        for (name, number) in numbers.into_iter().filter_map(|(name, number)| Some((name, number?))) {
            write!(f, " {name} {number}")?;
        }
        self.options.iter().try_for_each(|list| write!(f, " {}", options::show(list)))
    }
}

/// What the numbers of a segment count from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bases {
    /// The ports of the flow, source and destination, where they are known.
    pub ports: (Option<u16>, Option<u16>),
    /// The first sequence number of the sender; `None`: this segment says it.
    pub seq: Option<u32>,
    /// The first sequence number of the receiver.
    pub ack: u32,
}

/// The fields of a segment that was on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Source and destination port.
    pub ports: (u16, u16),
    /// The flags.
    pub flags: u8,
    /// The sequence number as it is in the header.
    pub seq: u32,
    /// The acknowledgement number as it is in the header.
    pub ack: u32,
    /// Bytes of payload.
    pub length: u32,
    /// The window field.
    pub window: u16,
    /// The urgent pointer.
    pub urgent: u16,
    /// The options, numbers as they are on the wire.
    pub options: Vec<TcpOption>,
}

impl Segment {
    /// The segment that a frame carries; `None` if it carries none, or not a whole header.
    #[must_use]
    pub fn of(d: &Decoded<'_>) -> Option<Self> {
        let number = |key| d.number(Layer::Tcp, key);
        let half = |key| number(key).and_then(|n| u16::try_from(n).ok());
        let word = |key| number(key).and_then(|n| u32::try_from(n).ok());
        let options = match find(Layer::Tcp, "options").and_then(|field| d.get(field)) {
            Some(Value::Bytes(bytes)) => options::decode(bytes),
            _ => Vec::new(),
        };
        Some(Self {
            ports: (half("src_port")?, half("dst_port")?),
            flags: number("flags").and_then(|n| u8::try_from(n & 0xff).ok())?,
            seq: word("seq")?,
            ack: word("ack")?,
            length: u32::try_from(d.payload.len()).ok()?,
            window: half("window")?,
            urgent: half("urgent")?,
            options,
        })
    }

    /// Whether all of these flags are set.
    #[must_use]
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}

/// The flags as letters: `S.`; `-` for none.
#[must_use]
pub fn letters(flags: u8) -> String {
    let set: String = LETTERS.iter().filter(|(_, bit)| flags & bit != 0).map(|(letter, _)| *letter).collect();
    if set.is_empty() { "-".to_owned() } else { set }
}

/// `1:11(10)`.
#[must_use]
pub fn range(seq: u32, length: u32) -> String {
    format!("{seq}:{}({length})", seq.wrapping_add(length))
}

/// A segment in packetdrill's notation without its ports, relative to what these bases say.
#[must_use]
pub fn show(segment: &Segment, bases: &Bases) -> String {
    let seq = segment.seq.wrapping_sub(bases.seq.unwrap_or(segment.seq));
    let mut text = format!("{} {}", letters(segment.flags), range(seq, segment.length));
    if segment.has(ACK) {
        text += &format!(" ack {}", segment.ack.wrapping_sub(bases.ack));
    }
    text += &format!(" win {}", segment.window);
    if segment.has(URG) {
        text += &format!(" urg {}", segment.urgent);
    }
    if !segment.options.is_empty() {
        text += &format!(" {}", options::show(&options::relative(&segment.options, bases.ack)));
    }
    text
}
