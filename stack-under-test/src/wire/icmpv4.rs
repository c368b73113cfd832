//! ICMP for IPv4 (RFC 792; the next-hop MTU is of RFC 1191).

use super::be16;
use super::checksum::checksum;
use crate::drop_reason::DropReason;

/// Bytes of the header of all messages here.
pub const HEADER_BYTES: usize = 8;

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmpv4 {
    /// Type 0.
    EchoReply {
        /// Identifier.
        id: u16,
        /// Sequence number.
        seq: u16,
    },
    /// Type 8.
    EchoRequest {
        /// Identifier.
        id: u16,
        /// Sequence number.
        seq: u16,
    },
    /// Type 3. The packet that it is about is quoted behind the header.
    DestinationUnreachable {
        /// Why: the constants `ICMP_*_UNREACH`, `ICMP_FRAG_NEEDED`.
        code: u8,
        /// With `ICMP_FRAG_NEEDED`: the MTU of the next hop in bytes, or 0 from a router that does not know.
        mtu: u16,
    },
    /// Type 11. Code 0: TTL; code 1: reassembly. The packet is quoted.
    TimeExceeded {
        /// Which time.
        code: u8,
    },
    /// Any other, to be looked at by nobody.
    Other {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
}

/// Code of destination unreachable: no route to the network.
pub const ICMP_NET_UNREACH: u8 = 0;
/// Code of destination unreachable: the host does not answer.
pub const ICMP_HOST_UNREACH: u8 = 1;
/// Code of destination unreachable: nobody takes the protocol.
pub const ICMP_PROT_UNREACH: u8 = 2;
/// Code of destination unreachable: nobody listens on the port.
pub const ICMP_PORT_UNREACH: u8 = 3;
/// Code of destination unreachable: too large, and DF is set.
pub const ICMP_FRAG_NEEDED: u8 = 4;
/// Code of destination unreachable: forbidden by an administrator.
pub const ICMP_PKT_FILTERED: u8 = 13;

impl Icmpv4 {
    /// Reads and verifies a message: all of its bytes, header and what follows.
    ///
    /// # Errors
    /// [`DropReason::PktTooSmall`] if there are fewer than 8 bytes, [`DropReason::IcmpCsum`] if the checksum is wrong.
    pub fn parse(message: &[u8]) -> Result<Self, DropReason> {
        let Some(p) = message.first_chunk::<HEADER_BYTES>() else { return Err(DropReason::PktTooSmall) };
        if checksum(message) != 0 {
            return Err(DropReason::IcmpCsum);
        }
        Ok(match (p[0], p[1]) {
            (0, 0) => Self::EchoReply { id: be16(p, 4), seq: be16(p, 6) },
            (8, 0) => Self::EchoRequest { id: be16(p, 4), seq: be16(p, 6) },
            (3, code) => Self::DestinationUnreachable { code, mtu: be16(p, 6) },
            (11, code) => Self::TimeExceeded { code },
            (kind, code) => Self::Other { kind, code },
        })
    }

    /// Type and code.
    #[must_use]
    pub fn kind_and_code(&self) -> (u8, u8) {
        match *self {
            Self::EchoReply { .. } => (0, 0),
            Self::EchoRequest { .. } => (8, 0),
            Self::DestinationUnreachable { code, .. } => (3, code),
            Self::TimeExceeded { code } => (11, code),
            Self::Other { kind, code } => (kind, code),
        }
    }

    /// Writes the header to the start of `message` with the checksum over all of it: what follows the header must be there.
    ///
    /// # Panics
    /// If `message` is shorter than [`HEADER_BYTES`].
    pub fn write(&self, message: &mut [u8]) {
        let out: &mut [u8; HEADER_BYTES] = message.first_chunk_mut().expect("room for an ICMP header");
        let (kind, code) = self.kind_and_code();
        let (high, low) = match *self {
            Self::EchoReply { id, seq } | Self::EchoRequest { id, seq } => (id, seq),
            Self::DestinationUnreachable { mtu, .. } => (0, mtu),
            Self::TimeExceeded { .. } | Self::Other { .. } => (0, 0),
        };
        out[..4].copy_from_slice(&[kind, code, 0, 0]);
        out[4..6].copy_from_slice(&high.to_be_bytes());
        out[6..].copy_from_slice(&low.to_be_bytes());
        let sum = checksum(message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::echo_request(Icmpv4::EchoRequest { id: 0x1234, seq: 1 }, [8, 0, 0x12, 0x34, 0, 1])]
    #[case::echo_reply(Icmpv4::EchoReply { id: 1, seq: 0xffff }, [0, 0, 0, 1, 0xff, 0xff])]
    #[case::fragmentation_needed(Icmpv4::DestinationUnreachable { code: ICMP_FRAG_NEEDED, mtu: 576 }, [3, 4, 0, 0, 2, 64])]
    #[case::time_exceeded(Icmpv4::TimeExceeded { code: 1 }, [11, 1, 0, 0, 0, 0])]
    fn a_message_is_read_as_it_was_written(#[case] message: Icmpv4, #[case] bytes: [u8; 6]) {
        let mut out = [0x55; 37];
        message.write(&mut out);
        assert_eq!((&out[..2], &out[4..8]), (&bytes[..2], &bytes[2..]));
        assert_eq!(Icmpv4::parse(&out), Ok(message));
        out[36] ^= 1;
        assert_eq!(Icmpv4::parse(&out), Err(DropReason::IcmpCsum));
    }

    #[test]
    fn a_known_echo_request() {
        let mut out = [0; 8];
        Icmpv4::EchoRequest { id: 1, seq: 1 }.write(&mut out);
        // 0x0800 + 0x0001 + 0x0001 = 0x0802, inverted 0xf7fd.
        assert_eq!(out, [8, 0, 0xf7, 0xfd, 0, 1, 0, 1]);
    }

    #[test]
    fn a_cut_message_is_too_small() {
        for n in 0..8 {
            assert_eq!(Icmpv4::parse(&[0; 8][..n]), Err(DropReason::PktTooSmall));
        }
    }
}
