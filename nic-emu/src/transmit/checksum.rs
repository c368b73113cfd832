//! Checksum insertion: the field as found is the seed (section 7.2.5; RFC 1071; RFC 9260 appendix A for CRC32c).

use super::context::{Context, Layer4};

/// The one's complement sum of 16-bit words, folded; an odd last byte counts as the high half.
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    let pairs = bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)));
    let mut total: u64 = pairs.sum();
    while total > 0xFFFF {
        total = (total & 0xFFFF) + (total >> 16);
    }
    total as u16
}

pub(crate) fn add(left: u16, right: u16) -> u16 {
    let (total, carry) = left.overflowing_add(right);
    total + u16::from(carry)
}

/// `IXSM`: the sum over the header, field included as found, inverted into the field.
pub(super) fn insert_ipv4(packet: &mut [u8], context: &Context) -> Option<()> {
    let header = packet.get_mut(context.mac_length..context.l4_start())?;
    let value = !sum(header);
    header.get_mut(10..12)?.copy_from_slice(&value.to_be_bytes());
    Some(())
}

/// `TXSM`: the sum from the layer 4 header to the end, field included as found, and `extra` added, inverted into the field.
pub(super) fn insert_layer4(packet: &mut [u8], context: &Context, extra: u16) -> Option<()> {
    let data = packet.get_mut(context.l4_start()..)?;
    match context.layer4 {
        Layer4::Tcp => {
            let value = !add(sum(data), extra);
            data.get_mut(16..18)?.copy_from_slice(&value.to_be_bytes());
        }
        Layer4::Udp => {
            let value = !add(sum(data), extra);
            // RFC 768: a checksum of 0 is sent as all ones.
            let value = if value == 0 { 0xFFFF } else { value };
            data.get_mut(6..8)?.copy_from_slice(&value.to_be_bytes());
        }
        Layer4::Sctp => {
            let value = crc32c(data);
            data.get_mut(8..12)?.copy_from_slice(&value.to_le_bytes());
        }
        Layer4::Reserved => return None,
    }
    Some(())
}

/// CRC32c, reflected, as SCTP puts it on the wire least significant byte first.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc(bytes, 0x82F6_3B78)
}

/// A reflected CRC of 32 bits, begun with all ones and inverted at the end.
pub(crate) fn crc(bytes: &[u8], polynomial: u32) -> u32 {
    let mut value = u32::MAX;
    for &byte in bytes {
        value ^= u32::from(byte);
        for _ in 0..8 {
            value = (value >> 1) ^ if value & 1 == 1 { polynomial } else { 0 };
        }
    }
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crcs_give_the_published_check_values() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc(b"123456789", 0xEDB8_8320), 0xCBF4_3926);
    }

    #[test]
    fn sum_is_the_example_of_rfc_1071() {
        assert_eq!(sum(&[0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]), 0xDDF2);
    }
}
