//! The UDP header (RFC 768).

use super::be16;
use super::checksum::{Checksum, pseudo_header};
use super::ipv4::IPPROTO_UDP;
use crate::drop_reason::DropReason;
use core::net::Ipv4Addr;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 8;
/// Where the checksum lies in it.
pub const CHECKSUM_OFFSET: usize = 6;

/// A UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// From which port.
    pub src_port: u16,
    /// To which port.
    pub dst_port: u16,
    /// Bytes of header and payload: at least 8.
    pub len: u16,
    /// The checksum as it stands; zero: none.
    pub checksum: u16,
}

impl Udp {
    /// Reads the header of a datagram of `len` bytes (the payload of the IP packet), of which the first are at hand. The
    /// checksum is not verified, see [`verify`].
    ///
    /// # Errors
    /// [`DropReason::PktTooSmall`] if there are fewer than 8 bytes, or the length in it is less than 8 or more than `len`.
    #[inline]
    pub fn parse(datagram: &[u8], len: usize) -> Result<Self, DropReason> {
        let Some(p) = datagram.first_chunk::<HEADER_BYTES>() else { return Err(DropReason::PktTooSmall) };
        let this = Self { src_port: be16(p, 0), dst_port: be16(p, 2), len: be16(p, 4), checksum: be16(p, 6) };
        if usize::from(this.len) < HEADER_BYTES || usize::from(this.len) > len {
            return Err(DropReason::PktTooSmall);
        }
        Ok(this)
    }

    /// Writes the header to the start of `out`.
    ///
    /// # Panics
    /// If `out` is shorter than [`HEADER_BYTES`].
    #[inline]
    pub fn write(&self, out: &mut [u8]) {
        let out: &mut [u8; HEADER_BYTES] = out.first_chunk_mut().expect("room for a UDP header");
        out[..2].copy_from_slice(&self.src_port.to_be_bytes());
        out[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        out[4..6].copy_from_slice(&self.len.to_be_bytes());
        out[6..].copy_from_slice(&self.checksum.to_be_bytes());
    }
}

/// Whether the checksum of a datagram (header and payload, as many bytes as its length says) is right, or is none.
#[must_use]
pub fn verify(src: Ipv4Addr, dst: Ipv4Addr, datagram: &[u8]) -> bool {
    let Ok(len) = u16::try_from(datagram.len()) else { return false };
    if datagram.len() < HEADER_BYTES {
        return false;
    }
    let mut sum = Checksum::starting_with(pseudo_header(src, dst, IPPROTO_UDP, len));
    sum.add(datagram);
    be16(datagram, CHECKSUM_OFFSET) == 0 || sum.finish() == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SRC: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const DST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
    /// "one" from port 40000 to port 7; the checksum was added up by hand: 0xc000 + 0x0201 + 0xc000 + 0x0202 + 0x0011 +
    /// 0x000b + 0x9c40 + 0x0007 + 0x000b + 0x6f6e + 0x6500 = 0x2f4df, folded 0xf4e1, inverted 0x0b1e.
    const ONE: [u8; 11] = [0x9c, 0x40, 0, 7, 0, 11, 0x0b, 0x1e, b'o', b'n', b'e'];

    #[test]
    fn a_known_datagram_is_read_written_and_verified() {
        let header = Udp { src_port: 40000, dst_port: 7, len: 11, checksum: 0x0b1e };
        assert_eq!(Udp::parse(&ONE, 11), Ok(header));
        let mut out = [0; 8];
        header.write(&mut out);
        assert_eq!(out, ONE[..8]);
        assert!(verify(SRC, DST, &ONE));
    }

    #[rstest]
    #[case::a_changed_byte(8, b'O')]
    #[case::a_changed_port(3, 8)]
    fn a_wrong_checksum_shows(#[case] at: usize, #[case] value: u8) {
        let mut bytes = ONE;
        bytes[at] = value;
        assert!(!verify(SRC, DST, &bytes));
    }

    #[test]
    fn no_checksum_is_good() {
        let mut bytes = ONE;
        bytes[6..8].fill(0);
        assert!(verify(SRC, DST, &bytes));
    }

    #[rstest]
    #[case::cut_header(7, 11)]
    #[case::longer_than_the_packet(8, 10)]
    fn too_small(#[case] at_hand: usize, #[case] len: usize) {
        assert_eq!(Udp::parse(&ONE[..at_hand], len), Err(DropReason::PktTooSmall));
    }

    #[test]
    fn a_length_below_the_header_is_too_small() {
        let mut bytes = ONE;
        bytes[5] = 7;
        assert_eq!(Udp::parse(&bytes, 11), Err(DropReason::PktTooSmall));
    }
}
