//! One frame against one pattern: whether it matches, and field by field why not.

use crate::frame::decode::{Decoded, Problem};
use crate::frame::{FieldSpec, FrameSpec, Layer};
use std::fmt::Write as _;

/// How a frame differs from a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Each header and field that the pattern names, in the order of the file, also where it is the same.
    pub lines: Vec<Line>,
    /// How the payload differs, where the pattern gives one and it does.
    pub payload: Option<PayloadDiff>,
    /// What is malformed: such a frame never matches.
    pub problems: Vec<Problem>,
}

/// One field beside what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `udp.dst_port`, or `udp` for a header that is not there.
    pub field: String,
    /// As a case would write it.
    pub expected: String,
    /// As a case would write it.
    pub got: String,
    /// Whether the two are the same.
    pub same: bool,
}

/// How a payload differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadDiff {
    /// Bytes expected.
    pub expected_length: usize,
    /// Bytes that came.
    pub got_length: usize,
    /// The index of the first byte that differs, or at which one of the two ends.
    pub first: usize,
    /// The expected bytes from there on, as text.
    pub expected: String,
    /// The bytes that came from there on, as text.
    pub got: String,
}

impl PayloadDiff {
    /// Compares two payloads; `None` if they are the same.
    #[must_use]
    pub fn of(expected: &[u8], got: &[u8]) -> Option<Self> {
        if expected == got {
            return None;
        }
        let first = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
        Some(Self {
            expected_length: expected.len(),
            got_length: got.len(),
            first,
            expected: excerpt(&expected[first..]),
            got: excerpt(&got[first..]),
        })
    }
}

/// The first 16 bytes as a person would read them: in quotes where they are text, else in hexadecimal.
#[must_use]
pub fn excerpt(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(16)];
    let more = if bytes.len() > head.len() { "…" } else { "" };
    if head.is_empty() {
        return "nothing".to_owned();
    }
    if head.iter().all(|b| (0x20..0x7f).contains(b)) {
        return format!("\"{}\"{more}", String::from_utf8_lossy(head));
    }
    let mut text = "hex ".to_owned();
    for byte in head {
        let _ = write!(text, "{byte:02x}");
    }
    text + more
}

impl Mismatch {
    /// How far the frame is from the pattern: 100 for each header that is missing, 10 for each field that differs, more
    /// for what an address or port says than for the rest; 5 for the payload, 1 for each problem.
    #[must_use]
    pub fn distance(&self) -> usize {
        let lines: usize = self.lines.iter().filter(|l| !l.same).map(Line::weight).sum();
        lines + usize::from(self.payload.is_some()) * 5 + self.problems.len()
    }
}

impl Line {
    fn weight(&self) -> usize {
        match self.field.split_once('.').map(|(_, key)| key) {
            None => 100,
            Some("src_port" | "dst_port" | "op" | "type" | "protocol") => 20,
            Some(_) => 10,
        }
    }
}

/// Compares a frame with a pattern. What the pattern does not mention may have any value, but a malformed frame never
/// matches, and one with the tag of a VLAN matches only a pattern that speaks of it; a set of flags must be exactly the one given. The reserved IPv4 bit is malformed unless the pattern has it.
///
/// # Errors
/// Where and how they differ.
pub fn matches(spec: &FrameSpec, d: &Decoded<'_>) -> Result<(), Mismatch> {
    compare(spec, d, |_| true)
}

/// As [`matches()`], with only those fields (and their headers) that `wanted` takes.
pub(crate) fn compare(
    spec: &FrameSpec,
    d: &Decoded<'_>,
    wanted: impl Fn(&FieldSpec) -> bool,
) -> Result<(), Mismatch> {
    let mut lines: Vec<_> = spec
        .layers
        .iter()
        .filter(|layer| !d.has(**layer))
        .map(|layer| Line {
            field: layer.name().to_owned(),
            expected: "present".to_owned(),
            got: d
                .layers
                .last()
                .map_or_else(|| "no header".to_owned(), |l| format!("ends with {}", l.name())),
            same: false,
        })
        .collect();
    if d.has(Layer::Vlan) && !spec.has(Layer::Vlan) && spec.value(Layer::Eth, "type").is_none() {
        let got =
            d.number(Layer::Vlan, "id").map_or_else(|| "present".to_owned(), |id| format!("of VLAN {id}"));
        let (field, expected) = (Layer::Vlan.name().to_owned(), "no tag".to_owned());
        lines.push(Line { field, expected, got, same: false });
    }
    for field in spec.fields.iter().filter(|f| wanted(f)) {
        let got = d.get(field.field);
        lines.push(Line {
            field: field.field.name(),
            expected: field.field.show(&field.value),
            got: got.map_or_else(|| "-".to_owned(), |v| field.field.show(v)),
            same: got == Some(&field.value),
        });
    }
    lines.extend(spec.tcp.iter().flat_map(|tcp| super::segment::lines(tcp, d)));
    let payload = spec.payload.as_ref().and_then(|p| PayloadDiff::of(&p.0, d.payload));
    let problems: Vec<_> = d.problems.iter().filter(|p| !waived(spec, p)).cloned().collect();
    if lines.iter().all(|l| l.same) && payload.is_none() && problems.is_empty() {
        return Ok(());
    }
    Err(Mismatch { lines, payload, problems })
}

/// The reserved bit is no surprise to a pattern that gives the flags; lengths and checksums are always verified.
fn waived(spec: &FrameSpec, problem: &Problem) -> bool {
    problem
        .field
        .is_some_and(|f| f.layer == Layer::Ipv4 && f.key == "flags" && spec.value(f.layer, f.key).is_some())
}

/// The frame that is nearest to a pattern: its index and how it differs. Of equals, the last.
#[must_use]
pub fn nearest(spec: &FrameSpec, frames: &[Decoded<'_>]) -> Option<(usize, Mismatch)> {
    frames
        .iter()
        .enumerate()
        .filter_map(|(i, d)| matches(spec, d).err().map(|m| (i, m)))
        .min_by_key(|(i, m)| (m.distance(), std::cmp::Reverse(*i)))
}

#[cfg(test)]
mod tests;
