//! What a step says of many frames at once: an order, the fragments of a datagram, the segments of a stream.

use super::model::Payload;
use crate::frame::FrameSpec;
use std::time::Duration;

/// `order: {of: FIELD, is: […]}`.
#[derive(Clone, Debug)]
pub struct Order {
    /// The field, as `udp.dst_port`.
    pub of: &'static crate::frame::Field,
    /// Its values in the order of the wire.
    pub is: Vec<crate::frame::Value>,
    /// Whether numbers count from that of the first frame, in the width of the field.
    pub relative: bool,
    /// By when after the previous step; default 1 s.
    pub within: Option<Duration>,
}

/// `fragments: {…}`: as many frames as the datagram takes at this MTU.
#[derive(Clone, Debug)]
pub struct Fragments {
    /// `mtu:` - no IP packet is larger.
    pub mtu: u32,
    /// What the first fragment's headers must look like (`eth`, `ipv4`, `udp`); `eth` and `ipv4` hold for all.
    pub pattern: FrameSpec,
    /// The payload of the datagram put together again (without the UDP header).
    pub payload: Payload,
    /// By when after the previous step; default 1 s.
    pub within: Option<Duration>,
}

/// `segments: {…}`: as many frames as a stretch of the stream takes at this MSS.
#[derive(Clone, Debug)]
pub struct Segments {
    /// The first sequence number, relative.
    pub first: u32,
    /// Bytes of the stretch.
    pub length: u32,
    /// Bytes of every segment but the last.
    pub mss: u32,
    /// What they carry.
    pub payload: Option<Payload>,
    /// `push: last` - PSH stands on the last segment, and on no other.
    pub push_on_last: bool,
    /// The last segment has FIN.
    pub fin: bool,
    /// The acknowledgement number, relative; `None`: whatever the first segment has.
    pub ack: Option<u32>,
    /// The VLAN that they have the tag of; `None`: they have none.
    pub vlan: Option<u16>,
    /// By when after the previous step; default 1 s.
    pub within: Option<Duration>,
}
