//! The IPv4 header (RFC 791).

use super::checksum::{checksum, header_checksum, update};
use super::{be16, ip};
use crate::drop_reason::DropReason;
use core::net::Ipv4Addr;

/// Bytes of a header without options.
pub const HEADER_BYTES: usize = 20;
/// Bytes of the longest header.
pub const MAX_HEADER_BYTES: usize = 60;
/// Protocol number of ICMP.
pub const IPPROTO_ICMP: u8 = 1;
/// Protocol number of TCP.
pub const IPPROTO_TCP: u8 = 6;
/// Protocol number of UDP.
pub const IPPROTO_UDP: u8 = 17;

const DF: u16 = 0x4000;
const MF: u16 = 0x2000;
const RESERVED: u16 = 0x8000;
const OFFSET: u16 = 0x1fff;

/// An IPv4 header. Its checksum is verified when read and computed when written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Bytes of the header, options included: 20 to 60, a multiple of 4.
    pub header_len: u8,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Bytes of the packet, header included.
    pub total_len: u16,
    /// Identification.
    pub id: u16,
    /// Don't fragment.
    pub df: bool,
    /// More fragments follow.
    pub mf: bool,
    /// Where the payload belongs in the datagram, in bytes: a multiple of 8, at most 65528.
    pub fragment_offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// What the payload is.
    pub protocol: u8,
    /// From whom.
    pub src: Ipv4Addr,
    /// To whom.
    pub dst: Ipv4Addr,
}

impl Ipv4 {
    /// A header without options of a packet that is not a fragment, TTL 64.
    #[must_use]
    pub fn new(protocol: u8, src: Ipv4Addr, dst: Ipv4Addr, payload_len: u16) -> Self {
        Self {
            header_len: HEADER_BYTES as u8,
            tos: 0,
            total_len: payload_len.saturating_add(HEADER_BYTES as u16),
            id: 0,
            df: false,
            mf: false,
            fragment_offset: 0,
            ttl: 64,
            protocol,
            src,
            dst,
        }
    }

    /// Reads and checks the header of a packet, as `ip_rcv_core` (Linux 6.12) does. Bytes behind `total_len` are padding
    /// of the link.
    ///
    /// # Errors
    /// [`DropReason::IpInHdr`] if it contradicts itself or is cut, [`DropReason::IpCsum`] if its checksum is wrong,
    /// [`DropReason::PktTooSmall`] if there are fewer bytes than `total_len`.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<Self, DropReason> {
        Self::parse_with_len(packet, packet.len())
    }

    /// [`Ipv4::parse`] of a packet of `len` bytes of which only the first are at hand: the header must be among them.
    ///
    /// # Errors
    /// As [`Ipv4::parse`].
    #[inline]
    pub fn parse_with_len(packet: &[u8], len: usize) -> Result<Self, DropReason> {
        let this = Self::parse_quoted(packet)?;
        let Some(header) = packet.get(..usize::from(this.header_len)) else {
            return Err(DropReason::IpInHdr);
        };
        if header_checksum(header) != 0 {
            return Err(DropReason::IpCsum);
        }
        if len < usize::from(this.total_len) {
            return Err(DropReason::PktTooSmall);
        }
        if this.total_len < u16::from(this.header_len) {
            return Err(DropReason::IpInHdr);
        }
        Ok(this)
    }

    /// Reads a header without verifying lengths and checksum: one that an ICMP error quotes, whose packet is cut.
    ///
    /// # Errors
    /// [`DropReason::IpInHdr`] if there are fewer than 20 bytes, or it is not IPv4.
    #[inline]
    pub fn parse_quoted(packet: &[u8]) -> Result<Self, DropReason> {
        let Some(p) = packet.first_chunk::<HEADER_BYTES>() else { return Err(DropReason::IpInHdr) };
        let header_len = (p[0] & 0x0f) * 4;
        if p[0] >> 4 != 4 || usize::from(header_len) < HEADER_BYTES {
            return Err(DropReason::IpInHdr);
        }
        let frag = be16(p, 6);
        Ok(Self {
            header_len,
            tos: p[1],
            total_len: be16(p, 2),
            id: be16(p, 4),
            df: frag & DF != 0,
            mf: frag & MF != 0,
            fragment_offset: (frag & OFFSET) << 3,
            ttl: p[8],
            protocol: p[9],
            src: ip(p, 12),
            dst: ip(p, 16),
        })
    }

    /// Whether the packet is a piece of a datagram.
    #[inline]
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.mf || self.fragment_offset != 0
    }

    /// Bytes of the payload.
    #[inline]
    #[must_use]
    pub fn payload_len(&self) -> usize {
        usize::from(self.total_len.saturating_sub(u16::from(self.header_len)))
    }

    /// Writes the header with its checksum to the start of `out`. Options, if `header_len` leaves room for them, must be in
    /// `out` already.
    ///
    /// # Panics
    /// If `out` is shorter than `header_len`, or `header_len` is less than 20.
    #[inline]
    pub fn write(&self, out: &mut [u8]) {
        let out = &mut out[..usize::from(self.header_len)];
        let frag = (u16::from(self.df) * DF) | (u16::from(self.mf) * MF) | (self.fragment_offset >> 3);
        out[0] = 0x40 | (self.header_len / 4);
        out[1] = self.tos;
        out[2..4].copy_from_slice(&self.total_len.to_be_bytes());
        out[4..6].copy_from_slice(&self.id.to_be_bytes());
        out[6..8].copy_from_slice(&frag.to_be_bytes());
        out[8] = self.ttl;
        out[9] = self.protocol;
        out[10..12].fill(0);
        out[12..16].copy_from_slice(&self.src.octets());
        out[16..20].copy_from_slice(&self.dst.octets());
        let sum = checksum(out);
        out[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Whether the bit beside DF and MF is set, which RFC 791 wants to be zero; `false` if fewer than 20 bytes are there.
#[must_use]
pub fn reserved_bit(header: &[u8]) -> bool {
    header.len() >= HEADER_BYTES && be16(header, 6) & RESERVED != 0
}

/// Lowers the TTL in a header by one and updates its checksum: `ip_decrease_ttl`. Does nothing if it is zero, or fewer
/// than 20 bytes are there.
pub fn decrease_ttl(header: &mut [u8]) {
    if header.len() < HEADER_BYTES || header[8] == 0 {
        return;
    }
    let old = be16(header, 8);
    header[8] -= 1;
    let sum = update(be16(header, 10), old, be16(header, 8));
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// The example header of the Wikipedia article on the IPv4 header checksum; 95 bytes of payload would follow.
    const KNOWN: [u8; 20] =
        [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 192, 168, 0, 1, 192, 168, 0, 199];

    #[test]
    fn a_known_header_is_read_and_written() {
        let header = Ipv4::parse_with_len(&KNOWN, 115).expect("a good header");
        assert_eq!((header.total_len, header.df, header.ttl, header.payload_len()), (115, true, 64, 95));
        assert_eq!(
            (header.src, header.dst),
            (Ipv4Addr::new(192, 168, 0, 1), Ipv4Addr::new(192, 168, 0, 199))
        );
        let mut out = [0xaa; 20];
        header.write(&mut out);
        assert_eq!(out, KNOWN);
    }

    #[test]
    fn a_fragment_is_read_as_it_was_written() {
        let mut header = Ipv4::new(17, Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2), 8);
        (header.mf, header.fragment_offset, header.id) = (true, 65528, 0xbeef);
        let mut out = [0; 28];
        header.write(&mut out);
        assert_eq!(out[6..8], [0x3f, 0xff]);
        assert_eq!(Ipv4::parse(&out), Ok(header));
        assert!(header.is_fragment());
    }

    fn changed(at: usize, value: u8) -> [u8; 20] {
        let mut bytes = KNOWN;
        bytes[at] = value;
        bytes[10..12].fill(0);
        let sum = checksum(&bytes);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    #[rstest]
    #[case::version_6(changed(0, 0x65), 115, DropReason::IpInHdr)]
    #[case::a_header_of_16_bytes(changed(0, 0x44), 115, DropReason::IpInHdr)]
    #[case::options_that_are_not_there(changed(0, 0x46), 115, DropReason::IpInHdr)]
    #[case::total_length_within_the_header(changed(3, 19), 115, DropReason::IpInHdr)]
    #[case::more_than_there_is(KNOWN, 114, DropReason::PktTooSmall)]
    #[case::a_wrong_checksum({ let mut k = KNOWN; k[8] = 63; k }, 115, DropReason::IpCsum)]
    fn a_bad_header_is_dropped(#[case] bytes: [u8; 20], #[case] len: usize, #[case] reason: DropReason) {
        assert_eq!(Ipv4::parse_with_len(&bytes, len), Err(reason));
    }

    #[test]
    fn every_shorter_header_is_dropped() {
        for n in 0..20 {
            assert_eq!(Ipv4::parse(&KNOWN[..n]), Err(DropReason::IpInHdr), "{n} bytes");
        }
    }

    #[test]
    fn options_count_in_the_checksum() {
        let mut out = [0; 24];
        out[20..].copy_from_slice(&[0x94, 4, 0, 0]);
        let mut header = Ipv4::new(2, Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(224, 0, 0, 22), 0);
        (header.header_len, header.total_len) = (24, 24);
        header.write(&mut out);
        assert_eq!(out[0], 0x46);
        assert_eq!(Ipv4::parse(&out), Ok(header));
    }

    #[test]
    fn a_lower_ttl_keeps_the_checksum_right() {
        let mut bytes = KNOWN;
        decrease_ttl(&mut bytes);
        assert_eq!(Ipv4::parse_with_len(&bytes, 115).map(|h| h.ttl), Ok(63));
    }
}
