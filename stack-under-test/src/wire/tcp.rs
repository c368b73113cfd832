//! The TCP header (RFC 9293, section 3.1).

use super::{be16, be32};
use crate::drop_reason::DropReason;

/// Bytes of a header without options.
pub const HEADER_BYTES: usize = 20;
/// Bytes of the longest header.
pub const MAX_HEADER_BYTES: usize = 60;
/// Where the checksum lies in it.
pub const CHECKSUM_OFFSET: usize = 16;

/// The sender is done.
pub const FIN: u8 = 0x01;
/// A connection begins.
pub const SYN: u8 = 0x02;
/// A connection is given up.
pub const RST: u8 = 0x04;
/// Data is to be handed to the application.
pub const PSH: u8 = 0x08;
/// The acknowledgement number holds.
pub const ACK: u8 = 0x10;
/// The urgent pointer holds.
pub const URG: u8 = 0x20;
/// Congestion was experienced (RFC 3168).
pub const ECE: u8 = 0x40;
/// The congestion window was reduced (RFC 3168).
pub const CWR: u8 = 0x80;

/// A TCP header without its options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// From which port.
    pub sport: u16,
    /// To which port.
    pub dport: u16,
    /// The number of the first byte.
    pub seq: u32,
    /// The number of the byte that is expected next.
    pub ack: u32,
    /// Bytes of the header with its options: 20 to 60, a multiple of 4.
    pub header_len: u8,
    /// [`FIN`] to [`CWR`].
    pub flags: u8,
    /// The window as it stands, not scaled.
    pub window: u16,
    /// The urgent pointer.
    pub urgent: u16,
}

impl Tcp {
    /// Reads the header of a segment; its options must be at hand too. The checksum is not verified.
    ///
    /// # Errors
    /// [`DropReason::PktTooSmall`] if bytes are missing, or the header says that it is shorter than 20.
    #[inline(always)]
    pub fn parse(segment: &[u8]) -> Result<Self, DropReason> {
        let Some(p) = segment.first_chunk::<HEADER_BYTES>() else { return Err(DropReason::PktTooSmall) };
        let header = Self::of(p);
        if usize::from(header.header_len) < HEADER_BYTES || usize::from(header.header_len) > segment.len() {
            return Err(DropReason::PktTooSmall);
        }
        Ok(header)
    }

    /// Reads a header; the length that it gives of itself is not looked at.
    #[inline(always)]
    pub(crate) fn of(p: &[u8; HEADER_BYTES]) -> Self {
        Self {
            sport: be16(p, 0),
            dport: be16(p, 2),
            seq: be32(p, 4),
            ack: be32(p, 8),
            header_len: (p[12] >> 4) * 4,
            flags: p[13],
            window: be16(p, 14),
            urgent: be16(p, 18),
        }
    }

    /// Whether all of `flags` are set.
    #[inline]
    #[must_use]
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// Writes the header to the start of `out`, with a checksum of 0.
    ///
    /// # Panics
    /// If `out` is shorter than [`HEADER_BYTES`].
    #[inline]
    pub fn write(&self, out: &mut [u8]) {
        self.write_with_checksum(out, 0);
    }

    /// [`Self::write`] with this in the place of the checksum: what a device is to go on from.
    ///
    /// # Panics
    /// As [`Self::write`].
    #[inline(always)]
    pub fn write_with_checksum(&self, out: &mut [u8], checksum: u16) {
        let out: &mut [u8; HEADER_BYTES] = out.first_chunk_mut().expect("room for a TCP header");
        out[..2].copy_from_slice(&self.sport.to_be_bytes());
        out[2..4].copy_from_slice(&self.dport.to_be_bytes());
        out[4..8].copy_from_slice(&self.seq.to_be_bytes());
        out[8..12].copy_from_slice(&self.ack.to_be_bytes());
        out[12] = (self.header_len / 4) << 4;
        out[13] = self.flags;
        out[14..16].copy_from_slice(&self.window.to_be_bytes());
        out[16..18].copy_from_slice(&checksum.to_be_bytes());
        out[18..].copy_from_slice(&self.urgent.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    // RFC 9293, figure 1, filled in by hand.
    const HEADER: [u8; 20] =
        [0x1f, 0x90, 0x9c, 0x40, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0x02, 0x00, 0, 0, 0, 3];

    #[test]
    fn a_header_is_read_and_written_as_the_rfc_draws_it() {
        let tcp = Tcp {
            sport: 8080,
            dport: 40000,
            seq: 1,
            ack: 2,
            header_len: 20,
            flags: PSH | ACK,
            window: 512,
            urgent: 3,
        };
        assert_eq!(Tcp::parse(&HEADER), Ok(tcp));
        let mut out = [0xff; 20];
        tcp.write(&mut out);
        assert_eq!(out, HEADER);
    }

    #[rstest]
    #[case::cut(&HEADER[..19])]
    #[case::shorter_than_a_header(&[&HEADER[..12], &[0x40, 0, 0, 0, 0, 0, 0, 0]].concat())]
    #[case::options_that_are_not_there(&[&HEADER[..12], &[0x60, 0, 0, 0, 0, 0, 0, 0]].concat())]
    fn a_header_that_is_not_whole_is_refused(#[case] bytes: &[u8]) {
        assert_eq!(Tcp::parse(bytes), Err(DropReason::PktTooSmall));
    }
}
