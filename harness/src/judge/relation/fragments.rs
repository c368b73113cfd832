//! `fragments: {…}`: the frames of one datagram, from one that fits to as many as it takes (RFC 791 section 3.2).

use super::{Progress, Relation, Why};
use crate::case::model;
use crate::frame::FieldSpec;
use crate::frame::decode::{Decoded, IP_DF, IP_MF, Ipv4View, udp_checksum_wrong};
use crate::frame::{FrameSpec, Layer};
use crate::judge::pattern::{PayloadDiff, compare};
use std::net::Ipv4Addr;

/// Bytes of a UDP or ICMP header.
const TRANSPORT: usize = 8;

/// A datagram on its way to being complete.
#[derive(Clone, Debug)]
pub struct Fragments {
    mtu: usize,
    pattern: FrameSpec,
    payload: model::Payload,
    same: Option<Same>,
    bytes: Vec<u8>,
    frames: usize,
}

/// What all fragments of a datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Same {
    id: u16,
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: u8,
    ttl: u8,
    tos: u8,
}

impl Same {
    fn of(ip: &Ipv4View<'_>) -> Self {
        Self { id: ip.id, src: ip.src, dst: ip.dst, protocol: ip.protocol, ttl: ip.ttl, tos: ip.tos }
    }

    /// The first thing that differs, in words.
    fn difference(&self, other: &Self) -> Option<String> {
        let pairs = [
            ("id", self.id.to_string(), other.id.to_string()),
            ("src", self.src.to_string(), other.src.to_string()),
            ("dst", self.dst.to_string(), other.dst.to_string()),
            ("protocol", self.protocol.to_string(), other.protocol.to_string()),
            ("ttl", self.ttl.to_string(), other.ttl.to_string()),
            ("tos", self.tos.to_string(), other.tos.to_string()),
        ];
        pairs
            .into_iter()
            .find(|(_, a, b)| a != b)
            .map(|(key, first, this)| format!("ipv4.{key} is {this}, the first fragment has {first}"))
    }
}

/// A broken rule, before it knows its frame.
type Broken = Result<(), String>;

impl Fragments {
    /// A new one.
    #[must_use]
    pub fn new(step: &model::Fragments) -> Self {
        Self {
            mtu: step.mtu as usize,
            pattern: FrameSpec { payload: None, ..step.pattern.clone() },
            payload: step.payload.clone(),
            same: None,
            bytes: Vec::new(),
            frames: 0,
        }
    }

    /// Bytes that one fragment can carry behind a header: what the MTU leaves, rounded down to 8 (RFC 791 section 3.2).
    fn room(&self, header: usize) -> usize {
        self.mtu.saturating_sub(header) & !7
    }

    /// Bytes of the whole datagram, its transport header included.
    fn total(&self) -> usize {
        TRANSPORT + self.payload.0.len()
    }

    fn compare(&self, d: &Decoded<'_>) -> Result<(), Box<Why>> {
        let first = self.frames == 1;
        let mut pattern = self.pattern.clone();
        if !first {
            // Later fragments have no transport header; what tells the first fragment apart is not theirs.
            pattern.layers.retain(|l| matches!(l, Layer::Eth | Layer::Vlan | Layer::Ipv4));
        }
        let own = |f: &FieldSpec| matches!(f.field.key, "length" | "flags" | "frag_offset" | "checksum");
        let wanted = |f: &FieldSpec| {
            first
                || matches!(f.field.layer, Layer::Eth | Layer::Vlan)
                || (f.field.layer == Layer::Ipv4 && !own(f))
        };
        compare(&pattern, d, wanted).map_err(|mismatch| {
            let what = match mismatch.problems.first() {
                Some(problem) => format!("fragment {} is malformed: {problem}", self.frames),
                None => format!("fragment {} is not the one expected", self.frames),
            };
            Box::new(Why { frame: self.frames, what, mismatch: Some(mismatch) })
        })
    }

    fn fits(&self, ip: &Ipv4View<'_>) -> Broken {
        let (nth, length) = (self.frames, ip.header.len() + ip.data.len());
        if length > self.mtu {
            return Err(format!("fragment {nth} has {length} bytes of IP, the MTU is {}", self.mtu));
        }
        if ip.offset != self.bytes.len() {
            let what = if ip.offset > self.bytes.len() { "a gap" } else { "an overlap or a repetition" };
            return Err(format!(
                "fragment {nth} has offset {}, the next in order is {}: {what}",
                ip.offset,
                self.bytes.len()
            ));
        }
        if ip.is_fragment() && ip.flags & IP_DF != 0 {
            return Err(format!("fragment {nth} has DF set"));
        }
        let end = ip.offset + ip.data.len();
        if end > self.total() {
            let total = self.total();
            return Err(format!(
                "fragment {nth} ends at {end}, the datagram has {total} bytes with its UDP header"
            ));
        }
        let (more, full) = (ip.flags & IP_MF != 0, self.room(ip.header.len()));
        if more && ip.data.len() != full {
            return Err(format!(
                "fragment {nth} is not the last and carries {} bytes, an MTU of {} has room for {full}",
                ip.data.len(),
                self.mtu
            ));
        }
        if !more && end != self.total() {
            let total = self.total();
            return Err(format!(
                "fragment {nth} has no MF and ends at {end}, the datagram has {total} bytes"
            ));
        }
        if more && end == self.total() {
            return Err(format!("fragment {nth} has MF, but the datagram ends with it, at {end}"));
        }
        Ok(())
    }

    /// The datagram put together again: its own length, its checksum, its payload.
    fn whole(&self, first: &Ipv4View<'_>) -> Broken {
        let word = |at: usize| self.bytes.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
        match first.protocol {
            17 => {
                if usize::from(word(4)) != self.bytes.len() {
                    return Err(format!("udp.length is {}, the datagram has {}", word(4), self.bytes.len()));
                }
                if let Some(right) = udp_checksum_wrong(word(6), &self.bytes, first) {
                    return Err(format!(
                        "udp.checksum over the whole datagram is {:#06x}, right is {right:#06x}",
                        word(6)
                    ));
                }
            }
            1 => {
                let right = pnet::packet::util::checksum(&self.bytes, 1);
                if word(2) != right {
                    return Err(format!("icmp.checksum is {:#06x}, right is {right:#06x}", word(2)));
                }
            }
            other => {
                return Err(format!("ipv4.protocol is {other}; a relation of fragments knows UDP and ICMP"));
            }
        }
        let got = self.bytes.get(TRANSPORT..).unwrap_or_default();
        PayloadDiff::of(&self.payload.0, got).map_or(Ok(()), |diff| {
            Err(format!(
                "the payload differs from byte {} of {} on: expected {}, got {}",
                diff.first, diff.expected_length, diff.expected, diff.got
            ))
        })
    }
}

impl Relation for Fragments {
    fn push(&mut self, d: &Decoded<'_>) -> Progress {
        self.frames += 1;
        let nth = self.frames;
        if let Err(why) = self.compare(d) {
            return Progress::Failed(why);
        }
        let Some(ip) = d.ipv4 else {
            return Why::failed(
                nth,
                format!("fragment {nth} was expected, the frame carries no IPv4 packet"),
            );
        };
        let this = Same::of(&ip);
        if let Some(difference) = self.same.get_or_insert(this).difference(&this) {
            return Why::failed(nth, format!("fragment {nth}: {difference}"));
        }
        if let Err(what) = self.fits(&ip) {
            return Why::failed(nth, what);
        }
        self.bytes.extend_from_slice(ip.data);
        if ip.flags & IP_MF != 0 {
            return Progress::NeedMore;
        }
        match self.whole(&ip) {
            Ok(()) => Progress::Complete,
            Err(what) => Why::failed(nth, what),
        }
    }

    fn awaited(&self) -> String {
        let room = self.room(20).max(8);
        let whole = self.total() + 20 <= self.mtu;
        let frames = if whole { 1 } else { self.total().div_ceil(room) };
        format!(
            "{} of {frames} frames came; the next is at offset {} of {}",
            self.frames,
            self.bytes.len(),
            self.total()
        )
    }
}

#[cfg(test)]
mod tests;
