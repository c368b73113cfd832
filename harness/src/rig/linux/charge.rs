//! What the kernel charges a socket for a frame: on a TAP as much as an igb's driver would have it, so that receive windows are the
//! same numbers there.
//!
//! An igb takes each frame into a buffer of 2,048 bytes, and a socket is charged with 2,304 for it. A TAP takes one of the frame's
//! own size. So padding is put behind a TCP segment with payload, which IP cuts off again, until the buffer is as large; the two
//! counters that see the padding are read without it.

use crate::case::model::Source;
use crate::rig::{Reading, Readings};

/// Bytes of a frame for which a TAP's buffer costs 2,304: 64 before it, rounded up to 1,728, 320 for the shared info, 256 for the
/// description (`tun_build_skb`, read on 6.18).
const PADDED_BYTES: usize = 1601;
/// The shortest frame; the harness pads to it as any station does.
const SHORTEST_BYTES: usize = 60;
const ETH_BYTES: usize = 14;
const PROTOCOL_TCP: u8 = 6;

/// The padding of a trial.
#[derive(Debug, Default)]
pub struct Charge {
    /// Bytes of it, so far.
    padding: i64,
}

impl Charge {
    /// The frame with padding behind it; `None` for one that stays as it is.
    pub fn padded(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        if !carries_tcp_payload(frame) {
            return None;
        }
        let missing = PADDED_BYTES.checked_sub(frame.len())?;
        self.padding += i64::try_from(missing).ok()?;
        let mut padded = frame.to_vec();
        padded.resize(PADDED_BYTES, 0);
        Some(padded)
    }

    /// Takes the padding out of what was counted.
    pub fn uncount(&self, source: &Source, readings: &mut Readings) {
        let key = match source {
            Source::Netdev => "rx_bytes",
            Source::Snmp => "IpExt.InOctets",
            _ => return,
        };
        if let Some(Reading::Number(octets)) = readings.get_mut(key) {
            *octets = octets.saturating_sub(self.padding);
        }
    }
}

/// Whether a frame is a whole TCP segment over IPv4 with payload, and as long as it says.
fn carries_tcp_payload(frame: &[u8]) -> bool {
    let Some(ip) = frame.get(ETH_BYTES..) else { return false };
    if frame[12..ETH_BYTES] != [8, 0] || ip.len() < 20 || ip[0] >> 4 != 4 || ip[9] != PROTOCOL_TCP {
        return false;
    }
    let fragment = u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff != 0;
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let headers = usize::from(ip[0] & 0xf) * 4;
    let Some(offset) = ip.get(headers + 12) else { return false };
    let payload = total > headers + usize::from(offset >> 4) * 4;
    let as_it_says =
        frame.len() == (ETH_BYTES + total).max(SHORTEST_BYTES) || frame.len() == ETH_BYTES + total;
    !fragment && payload && as_it_says
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// A TCP segment with this much payload, and what lies behind the IP packet.
    fn segment(payload: usize, behind: usize) -> Vec<u8> {
        let total = 40 + payload;
        let mut frame = vec![0; ETH_BYTES + total + behind];
        frame[12] = 8;
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&u16::try_from(total).unwrap_or(0).to_be_bytes());
        frame[23] = PROTOCOL_TCP;
        frame[46] = 0x50;
        frame
    }

    #[rstest]
    #[case::a_full_segment(segment(1460, 0), true)]
    #[case::a_byte_in_the_shortest_frame(segment(1, 5), true)]
    #[case::an_acknowledgement(segment(0, 6), false)]
    #[case::one_with_padding_of_its_own(segment(100, 10), false)]
    #[case::a_jumbo_frame(segment(4000, 0), false)]
    #[case::a_runt(vec![0; 13], false)]
    fn segments_with_payload_are_padded(#[case] frame: Vec<u8>, #[case] padded: bool) {
        let told = Charge::default().padded(&frame);
        assert_eq!(told.is_some(), padded);
        if let Some(told) = told {
            assert_eq!((told.len(), &told[..frame.len()]), (PADDED_BYTES, &frame[..]));
        }
    }

    #[test]
    fn padding_is_not_counted() {
        let mut charge = Charge::default();
        let length = segment(1460, 0).len();
        charge.padded(&segment(1460, 0));
        let mut readings = Readings::from([("rx_bytes".to_owned(), Reading::Number(1601))]);
        charge.uncount(&Source::Netdev, &mut readings);
        assert_eq!(readings["rx_bytes"], Reading::Number(i64::try_from(length).unwrap_or(0)));
    }
}
