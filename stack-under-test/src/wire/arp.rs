//! ARP for IPv4 over Ethernet (RFC 826): 28 bytes behind the Ethernet header.

use super::ethernet::{BROADCAST, ETH_P_ARP, ETH_P_IP, Ethernet, HEADER_BYTES, Mac};
use super::{be16, ip};
use crate::drop_reason::DropReason;
use core::net::Ipv4Addr;

/// Bytes of a packet.
pub const PACKET_BYTES: usize = 28;
/// Bytes of a frame that holds one, not padded.
pub const FRAME_BYTES: usize = HEADER_BYTES + PACKET_BYTES;

/// `ar_op`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target's address?
    Request = 1,
    /// The sender has it.
    Reply = 2,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Question or answer.
    pub op: Operation,
    /// Hardware address of the sender.
    pub sha: Mac,
    /// Protocol address of the sender; 0.0.0.0 in a probe (RFC 5227).
    pub spa: Ipv4Addr,
    /// Hardware address of the target.
    pub tha: Mac,
    /// Protocol address of the target.
    pub tpa: Ipv4Addr,
}

impl Arp {
    /// Reads a packet; bytes behind it (padding) are ignored. Hardware types 1 (Ethernet) and 6 (IEEE 802) are taken, as
    /// Linux 6.12 does on an Ethernet device (measured on 6.18).
    ///
    /// # Errors
    /// [`DropReason::ArpMalformed`] if it is shorter, not for Ethernet and IPv4, or neither request nor reply.
    pub fn parse(bytes: &[u8]) -> Result<Self, DropReason> {
        let Some(p) = bytes.first_chunk::<PACKET_BYTES>() else { return Err(DropReason::ArpMalformed) };
        let known = matches!(be16(p, 0), 1 | 6) && be16(p, 2) == ETH_P_IP && p[4] == 6 && p[5] == 4;
        let op = match be16(p, 6) {
            1 if known => Operation::Request,
            2 if known => Operation::Reply,
            _ => return Err(DropReason::ArpMalformed),
        };
        let mac = |at: usize| [p[at], p[at + 1], p[at + 2], p[at + 3], p[at + 4], p[at + 5]];
        Ok(Self { op, sha: mac(8), spa: ip(p, 14), tha: mac(18), tpa: ip(p, 24) })
    }

    /// Writes the packet to the start of `out`: `arp_create` without the Ethernet header.
    ///
    /// # Panics
    /// If `out` is shorter than [`PACKET_BYTES`].
    pub fn write(&self, out: &mut [u8]) {
        let out: &mut [u8; PACKET_BYTES] = out.first_chunk_mut().expect("room for an ARP packet");
        out[..6].copy_from_slice(&[0, 1, 8, 0, 6, 4]);
        out[6..8].copy_from_slice(&(self.op as u16).to_be_bytes());
        out[8..14].copy_from_slice(&self.sha);
        out[14..18].copy_from_slice(&self.spa.octets());
        out[18..24].copy_from_slice(&self.tha);
        out[24..].copy_from_slice(&self.tpa.octets());
    }

    /// A request as Linux sends it: the target's hardware address is zero in a broadcast, and the one that is asked in a
    /// unicast probe as well.
    #[must_use]
    pub fn request(sha: Mac, spa: Ipv4Addr, tpa: Ipv4Addr) -> Self {
        Self { op: Operation::Request, sha, spa, tha: [0; 6], tpa }
    }

    /// The answer of `sha`, who has `spa`, to `tha` and `tpa`.
    #[must_use]
    pub fn reply(sha: Mac, spa: Ipv4Addr, tha: Mac, tpa: Ipv4Addr) -> Self {
        Self { op: Operation::Reply, sha, spa, tha, tpa }
    }

    /// The whole frame, 42 bytes: to `dst`, or to everybody.
    #[must_use]
    pub fn frame(&self, dst: Option<Mac>) -> [u8; FRAME_BYTES] {
        let mut frame = [0; FRAME_BYTES];
        Ethernet { dst: dst.unwrap_or(BROADCAST), src: self.sha, ethertype: ETH_P_ARP }.write(&mut frame);
        self.write(&mut frame[HEADER_BYTES..]);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const OWN: Mac = [2, 0, 0, 0, 0, 1];
    const PEER: Mac = [2, 0, 0, 0, 0, 2];
    const OWN_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const PEER_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    /// Recorded from Linux 6.18: the answer to a request of 192.0.2.2.
    const REPLY: [u8; 42] = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 2,
        0, 0, 0, 0, 2, 192, 0, 2, 2,
    ];

    #[test]
    fn a_reply_is_the_one_that_linux_sends() {
        assert_eq!(Arp::reply(OWN, OWN_IP, PEER, PEER_IP).frame(Some(PEER)), REPLY);
    }

    #[test]
    fn a_packet_is_read_as_it_was_written_and_padding_is_ignored() {
        let request = Arp::request(OWN, OWN_IP, PEER_IP);
        let mut frame = [0xee; 60];
        frame[..42].copy_from_slice(&request.frame(None));
        assert_eq!(frame[..6], BROADCAST);
        assert_eq!(Arp::parse(&frame[14..]), Ok(request));
    }

    #[rstest]
    #[case::hardware_type(1, 7)]
    #[case::protocol_type(2, 9)]
    #[case::hardware_length(4, 5)]
    #[case::protocol_length(5, 16)]
    #[case::operation_nak(7, 3)]
    #[case::operation_zero(7, 0)]
    fn a_wrong_field_is_malformed(#[case] at: usize, #[case] value: u8) {
        let mut bytes = [0; 28];
        bytes.copy_from_slice(&REPLY[14..]);
        bytes[at] = value;
        assert_eq!(Arp::parse(&bytes), Err(DropReason::ArpMalformed));
    }

    #[test]
    fn every_shorter_packet_is_malformed() {
        for n in 0..28 {
            assert_eq!(Arp::parse(&REPLY[14..14 + n]), Err(DropReason::ArpMalformed), "{n} bytes");
        }
    }

    #[test]
    fn hardware_type_ieee_802_is_taken() {
        let mut bytes = REPLY;
        bytes[15] = 6;
        assert!(Arp::parse(&bytes[14..]).is_ok());
    }
}
