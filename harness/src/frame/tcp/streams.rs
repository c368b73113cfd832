//! The first sequence numbers of the streams of a capture, to show the rest relative to them.

use super::{ACK, Bases, SYN, Segment};
use crate::frame::decode::Decoded;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Who sends to whom.
type Way = (Ipv4Addr, u16, Ipv4Addr, u16);

/// What is known of the streams so far: the frames of a capture go through it in their order.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    first: BTreeMap<Way, u32>,
}

impl Streams {
    /// What the numbers of a segment count from: its SYN, or where that was not seen the first segment of its way.
    pub fn bases(&mut self, d: &Decoded<'_>) -> Bases {
        let (Some(ip), Some(segment)) = (d.ipv4, Segment::of(d)) else { return Bases::default() };
        let (src, dst) = segment.ports;
        let (way, back) = ((ip.src, src, ip.dst, dst), (ip.dst, dst, ip.src, src));
        let again = |first: &mut BTreeMap<Way, u32>| {
            first.insert(way, segment.seq).is_some_and(|old| old != segment.seq)
        };
        if segment.has(SYN) && again(&mut self.first) && !segment.has(ACK) {
            // A connection anew.
            self.first.remove(&back);
        }
        let ports = (Some(src), Some(dst));
        Bases {
            ports,
            seq: Some(self.first.get(&way).copied().unwrap_or(0)),
            ack: self.first.get(&back).copied().unwrap_or(0),
        }
    }
}
