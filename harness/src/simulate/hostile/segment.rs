//! Frames of a peer that keeps no rule, byte by byte: nothing here keeps a length or a flag from being wrong.

use crate::case::model::topology;
use std::net::Ipv4Addr;

/// FIN.
pub const FIN: u8 = 1;
/// SYN.
pub const SYN: u8 = 2;
/// RST.
pub const RST: u8 = 4;
/// PSH.
pub const PSH: u8 = 8;
/// ACK.
pub const ACK: u8 = 16;

/// A segment, with everything that can be wrong about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The peer's port.
    pub sport: u16,
    /// The port of the system under test.
    pub dport: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// All eight flags.
    pub flags: u8,
    /// Window, as it stands in the header.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options; padded to 4 bytes, cut at 40.
    pub options: Vec<u8>,
    /// Payload.
    pub payload: Vec<u8>,
    /// The data offset in words, instead of the right one.
    pub doff: Option<u8>,
    /// The total length of the IP header, instead of the right one.
    pub total: Option<u16>,
    /// Whether the checksum is spoilt.
    pub bad_sum: bool,
}

/// RFC 1071, over several pieces of even length but for the last.
fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for piece in pieces {
        for pair in piece.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An IPv4 packet in a frame to the system under test.
#[must_use]
pub fn ipv4(from: Ipv4Addr, protocol: u8, total: Option<u16>, body: &[u8]) -> Vec<u8> {
    let total = total.unwrap_or((20 + body.len()) as u16);
    let mut frame = Vec::with_capacity(34 + body.len());
    frame.extend_from_slice(&topology::SUT_MAC);
    frame.extend_from_slice(&topology::PEER_MAC);
    frame.extend_from_slice(&[8, 0, 0x45, 0]);
    frame.extend_from_slice(&total.to_be_bytes());
    frame.extend_from_slice(&[0, 7, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend_from_slice(&from.octets());
    frame.extend_from_slice(&topology::SUT_IP.octets());
    let sum = checksum(&[&frame[14..34]]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

impl Segment {
    /// The frame that carries it.
    #[must_use]
    pub fn frame(&self, from: Ipv4Addr) -> Vec<u8> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4).min(40), 0);
        let doff = self.doff.unwrap_or((5 + options.len() / 4) as u8);
        let mut tcp = Vec::with_capacity(60 + self.payload.len());
        tcp.extend_from_slice(&self.sport.to_be_bytes());
        tcp.extend_from_slice(&self.dport.to_be_bytes());
        tcp.extend_from_slice(&self.seq.to_be_bytes());
        tcp.extend_from_slice(&self.ack.to_be_bytes());
        tcp.extend_from_slice(&[doff << 4, self.flags]);
        tcp.extend_from_slice(&self.window.to_be_bytes());
        tcp.extend_from_slice(&[0, 0]);
        tcp.extend_from_slice(&self.urgent.to_be_bytes());
        tcp.extend_from_slice(&options);
        tcp.extend_from_slice(&self.payload);
        let mut pseudo = [0; 12];
        pseudo[..4].copy_from_slice(&from.octets());
        pseudo[4..8].copy_from_slice(&topology::SUT_IP.octets());
        pseudo[9] = 6;
        pseudo[10..].copy_from_slice(&(tcp.len() as u16).to_be_bytes());
        let sum = checksum(&[&pseudo, &tcp]) ^ u16::from(self.bad_sum);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        ipv4(from, 6, self.total, &tcp)
    }
}

/// An ICMP error that quotes a segment which the system under test may have sent.
#[must_use]
pub fn icmp_error(from: Ipv4Addr, (kind, code): (u8, u8), info: u32, quoted: &[u8]) -> Vec<u8> {
    let mut icmp = vec![kind, code, 0, 0];
    icmp.extend_from_slice(&info.to_be_bytes());
    icmp.extend_from_slice(quoted);
    let sum = checksum(&[&icmp]);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    ipv4(from, 1, None, &icmp)
}

/// What an ICMP error quotes of a segment from the system under test: the IP header and 8 bytes.
#[must_use]
pub fn quote(to: Ipv4Addr, sport: u16, dport: u16, seq: u32) -> Vec<u8> {
    let mut quoted = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
    quoted.extend_from_slice(&topology::SUT_IP.octets());
    quoted.extend_from_slice(&to.octets());
    let sum = checksum(&[&quoted]);
    quoted[10..12].copy_from_slice(&sum.to_be_bytes());
    quoted.extend_from_slice(&sport.to_be_bytes());
    quoted.extend_from_slice(&dport.to_be_bytes());
    quoted.extend_from_slice(&seq.to_be_bytes());
    quoted
}

/// The answer to an ARP request for the peer. `None`: the frame is not one.
#[must_use]
pub fn arp_reply(frame: &[u8]) -> Option<Vec<u8>> {
    let asks = frame.len() >= 42 && frame[12..14] == [8, 6] && frame[21] == 1;
    if !asks || frame[38..42] != topology::PEER_IP.octets() {
        return None;
    }
    let mut reply = Vec::with_capacity(42);
    reply.extend_from_slice(&frame[6..12]);
    reply.extend_from_slice(&topology::PEER_MAC);
    reply.extend_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
    reply.extend_from_slice(&topology::PEER_MAC);
    reply.extend_from_slice(&topology::PEER_IP.octets());
    reply.extend_from_slice(&frame[22..32]);
    Some(reply)
}

/// What the peer reads of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The port of the system under test.
    pub sport: u16,
    /// The peer's.
    pub dport: u16,
    /// Sequence number.
    pub seq: u32,
    /// The next sequence number.
    pub end: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags.
    pub flags: u8,
    /// Bytes of payload.
    pub payload: usize,
    /// The timestamp, if there is one.
    pub tsval: Option<u32>,
}

/// Reads a segment to the peer. `None`: the frame is not one.
#[must_use]
pub fn seen(frame: &[u8]) -> Option<Seen> {
    if frame.len() < 54
        || frame[12..14] != [8, 0]
        || frame[23] != 6
        || frame[30..34] != topology::PEER_IP.octets()
    {
        return None;
    }
    let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    let tcp = frame.get(14 + usize::from(frame[14] & 15) * 4..14 + total)?;
    let word = |at: usize| Some(u32::from_be_bytes(tcp.get(at..at + 4)?.try_into().ok()?));
    let half = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
    let header = usize::from(tcp.get(12)? >> 4) * 4;
    let (flags, seq) = (*tcp.get(13)?, word(4)?);
    let payload = tcp.len().checked_sub(header)?;
    let control = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
    Some(Seen {
        sport: half(0)?,
        dport: half(2)?,
        seq,
        end: seq.wrapping_add(payload as u32).wrapping_add(control),
        ack: word(8)?,
        flags,
        payload,
        tsval: tsval(tcp.get(20..header)?),
    })
}

fn tsval(mut options: &[u8]) -> Option<u32> {
    loop {
        match options {
            [0, ..] | [] => return None,
            [1, rest @ ..] => options = rest,
            [8, 10, a, b, c, d, ..] => return Some(u32::from_be_bytes([*a, *b, *c, *d])),
            [_, len, ..] => options = options.get(usize::from(*len).max(2)..)?,
            [_] => return None,
        }
    }
}
