//! The Ethernet header: destination, source, ethertype (IEEE 802.3, RFC 894).

use super::be16;
use crate::drop_reason::DropReason;
use crate::skb::PacketType;
use core::net::Ipv4Addr;

/// The address of a station.
pub type Mac = [u8; 6];

/// Bytes of the header.
pub const HEADER_BYTES: usize = 14;
/// Everybody.
pub const BROADCAST: Mac = [0xff; 6];
/// Ethertype of IPv4.
pub const ETH_P_IP: u16 = 0x0800;
/// Ethertype of ARP.
pub const ETH_P_ARP: u16 = 0x0806;

/// An Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// To whom.
    pub dst: Mac,
    /// From whom.
    pub src: Mac,
    /// What follows; below 1536 it is a length.
    pub ethertype: u16,
}

impl Ethernet {
    /// Reads the header at the start of a frame.
    ///
    /// # Errors
    /// [`DropReason::DevHdr`] if the frame is shorter.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<Self, DropReason> {
        let Some(header) = frame.first_chunk::<HEADER_BYTES>() else { return Err(DropReason::DevHdr) };
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, ..] = *header;
        Ok(Self { dst: [d0, d1, d2, d3, d4, d5], src: [s0, s1, s2, s3, s4, s5], ethertype: be16(header, 12) })
    }

    /// Writes the header to the start of `out`.
    ///
    /// # Panics
    /// If `out` is shorter than [`HEADER_BYTES`].
    #[inline]
    pub fn write(&self, out: &mut [u8]) {
        let out: &mut [u8; HEADER_BYTES] = out.first_chunk_mut().expect("room for an Ethernet header");
        out[..6].copy_from_slice(&self.dst);
        out[6..12].copy_from_slice(&self.src);
        out[12..].copy_from_slice(&self.ethertype.to_be_bytes());
    }

    /// For whom the frame is, seen from the station `own`: `eth_type_trans`.
    #[inline]
    #[must_use]
    pub fn packet_type(&self, own: &Mac) -> PacketType {
        match &self.dst {
            dst if dst == own => PacketType::Host,
            dst if *dst == BROADCAST => PacketType::Broadcast,
            dst if is_multicast(dst) => PacketType::Multicast,
            _ => PacketType::OtherHost,
        }
    }
}

/// Whether an address is that of a group (broadcast included).
#[inline]
#[must_use]
pub const fn is_multicast(mac: &Mac) -> bool {
    mac[0] & 1 == 1
}

/// Whether an address can be a station's own: not a group's and not zero.
#[must_use]
pub fn is_valid_station(mac: &Mac) -> bool {
    !is_multicast(mac) && *mac != [0; 6]
}

/// The address of an IPv4 group: 01:00:5e and the low 23 bits (RFC 1112, section 6.4).
#[inline]
#[must_use]
pub const fn multicast_mac(group: Ipv4Addr) -> Mac {
    let [_, b, c, d] = group.octets();
    [0x01, 0x00, 0x5e, b & 0x7f, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const OWN: Mac = [2, 0, 0, 0, 0, 1];

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let header = Ethernet { dst: BROADCAST, src: OWN, ethertype: ETH_P_ARP };
        let mut bytes = [0; 14];
        header.write(&mut bytes);
        assert_eq!(bytes, [255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6]);
        assert_eq!(Ethernet::parse(&bytes), Ok(header));
        assert_eq!(Ethernet::parse(&bytes[..13]), Err(DropReason::DevHdr));
    }

    #[rstest]
    #[case::own(OWN, PacketType::Host)]
    #[case::everybody(BROADCAST, PacketType::Broadcast)]
    #[case::a_group([1, 0, 0x5e, 0, 0, 1], PacketType::Multicast)]
    #[case::another_station([2, 0, 0, 0, 0, 9], PacketType::OtherHost)]
    fn a_frame_is_for(#[case] dst: Mac, #[case] expected: PacketType) {
        assert_eq!(Ethernet { dst, src: OWN, ethertype: ETH_P_IP }.packet_type(&OWN), expected);
    }

    #[test]
    fn a_group_has_23_bits_of_its_address() {
        assert_eq!(multicast_mac(Ipv4Addr::new(239, 129, 2, 3)), [1, 0, 0x5e, 1, 2, 3]);
    }
}
