//! What the receive side can tell of a frame: packet type and checksums (section 7.1.5, 7.1.11).

use super::descriptor::{IPCS, IPE, L4CS, L4E, UDPCS};
use crate::transmit::{add, crc32c, sum};

/// `RXCSUM` bits.
const IPOFLD: u32 = 1 << 8;
const TUOFLD: u32 = 1 << 9;
const CRCOFLD: u32 = 1 << 11;

const TYPE_IPV4: u32 = 1 << 4;
const TYPE_IPV4_OPTIONS: u32 = 1 << 5;
const TYPE_IPV6: u32 = 1 << 6;
const TYPE_TCP: u32 = 1 << 8;
const TYPE_UDP: u32 = 1 << 9;
const TYPE_SCTP: u32 = 1 << 10;

/// The transport that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Layer4 {
    #[default]
    None,
    Tcp,
    Udp,
    Sctp,
}

/// Where the headers of a frame are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parsed {
    pub(super) is_ipv4: bool,
    pub(super) is_ipv6: bool,
    pub(super) layer4: Layer4,
    pub(super) l4_start: usize,
    ip_start: usize,
    /// Where the IP packet ends, before padding.
    ip_end: usize,
}

/// Looks at a frame that may carry one VLAN tag.
pub(super) fn parse(frame: &[u8], has_tag: bool) -> Parsed {
    let ip_start = if has_tag { 18 } else { 14 };
    match frame.get(ip_start - 2..ip_start) {
        Some([0x08, 0x00]) => parse_ipv4(frame, ip_start),
        Some([0x86, 0xDD]) => parse_ipv6(frame, ip_start),
        _ => None,
    }
    .unwrap_or_default()
}

fn parse_ipv4(frame: &[u8], ip_start: usize) -> Option<Parsed> {
    let header = frame.get(ip_start..ip_start + 20)?;
    let header_length = usize::from(header[0] & 0xF) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let ip_end = ip_start + total;
    if header[0] >> 4 != 4 || header_length < 20 || total < header_length || ip_end > frame.len() {
        return None;
    }
    let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3FFF != 0;
    let layer4 = if is_fragment { Layer4::None } else { layer4_of(header[9]) };
    let l4_start = ip_start + header_length;
    Some(Parsed { is_ipv4: true, is_ipv6: false, layer4, l4_start, ip_start, ip_end })
}

fn parse_ipv6(frame: &[u8], ip_start: usize) -> Option<Parsed> {
    let header = frame.get(ip_start..ip_start + 40)?;
    let l4_start = ip_start + 40;
    let ip_end = l4_start + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let valid = header[0] >> 4 == 6 && ip_end <= frame.len();
    let layer4 = layer4_of(header[6]);
    valid.then_some(Parsed { is_ipv4: false, is_ipv6: true, layer4, l4_start, ip_start, ip_end })
}

const fn layer4_of(protocol: u8) -> Layer4 {
    match protocol {
        6 => Layer4::Tcp,
        17 => Layer4::Udp,
        132 => Layer4::Sctp,
        _ => Layer4::None,
    }
}

impl Parsed {
    /// Source and destination address.
    pub(super) fn addresses<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        match (self.is_ipv4, self.is_ipv6) {
            (true, _) => frame.get(self.ip_start + 12..self.ip_start + 20),
            (_, true) => frame.get(self.ip_start + 8..self.ip_start + 40),
            _ => None,
        }
    }

    /// Packet type bits of descriptor word 0.
    pub(super) const fn packet_type(&self) -> u32 {
        let ip = match (self.is_ipv4, self.is_ipv6) {
            (true, _) if self.l4_start - self.ip_start > 20 => TYPE_IPV4 | TYPE_IPV4_OPTIONS,
            (true, _) => TYPE_IPV4,
            (_, true) => TYPE_IPV6,
            _ => 0,
        };
        ip | match self.layer4 {
            Layer4::None => 0,
            Layer4::Tcp => TYPE_TCP,
            Layer4::Udp => TYPE_UDP,
            Layer4::Sctp => TYPE_SCTP,
        }
    }

    /// The IPv4 identification.
    pub(super) fn identification(&self, frame: &[u8]) -> u32 {
        match frame.get(self.ip_start + 4..self.ip_start + 6) {
            Some(&[high, low]) if self.is_ipv4 => u16::from_be_bytes([high, low]).into(),
            _ => 0,
        }
    }

    /// Status and error bits for the checksums that `RXCSUM` asks to verify.
    pub(super) fn verify(&self, frame: &[u8], rxcsum: u32) -> u32 {
        let mut status = 0;
        if self.is_ipv4 && rxcsum & IPOFLD != 0 {
            let is_good = frame.get(self.ip_start..self.l4_start).is_some_and(|header| sum(header) == 0xFFFF);
            status |= if is_good { IPCS } else { IPCS | IPE };
        }
        status | self.verify_layer4(frame, rxcsum)
    }

    fn verify_layer4(&self, frame: &[u8], rxcsum: u32) -> u32 {
        let Some(data) = frame.get(self.l4_start..self.ip_end) else { return 0 };
        let protocol = match self.layer4 {
            Layer4::Tcp if data.len() >= 20 => 6,
            Layer4::Udp if data.len() >= 8 => 17,
            Layer4::Sctp if data.len() >= 12 && rxcsum & CRCOFLD != 0 => {
                let mut copy = data.to_vec();
                copy[8..12].fill(0);
                let is_good = crc32c(&copy).to_le_bytes() == data[8..12];
                return if is_good { L4CS } else { L4CS | L4E };
            }
            _ => return 0,
        };
        // RFC 768: a UDP checksum of 0 was not computed.
        if rxcsum & TUOFLD == 0 || (self.layer4 == Layer4::Udp && data[6..8] == [0, 0]) {
            return 0;
        }
        let pseudo = add(sum(self.addresses(frame).unwrap_or_default()), add(protocol, data.len() as u16));
        let is_good = add(sum(data), pseudo) == 0xFFFF;
        let checked = if self.layer4 == Layer4::Udp { L4CS | UDPCS } else { L4CS };
        if is_good { checked } else { checked | L4E }
    }
}
