//! Frames that come in from the wire, mostly for us: what they carry is chosen by a record.

use super::record::Record;
use crate::case::model::topology;
use crate::simulate::dice::Dice;
use crate::simulate::hostile::segment::{Segment, ipv4};

/// The longest frame in bytes, without FCS: more than any limit of the 82576 (`RLPML` is 14 bits).
const LONGEST: usize = 17_000;

/// The frame of a record: `a` is what it is, `b` its length, `x` seeds its bytes, `y` says what is spoilt.
#[must_use]
pub fn frame(record: Record) -> Vec<u8> {
    let mut dice = Dice::new(record.x.into(), 5);
    let length = usize::from(record.b) % LONGEST;
    let body = |dice: &mut Dice, most: usize| -> Vec<u8> {
        (0..length.min(most)).map(|_| dice.bits() as u8).collect()
    };
    let mut frame = match record.a % 8 {
        0 => body(&mut dice, LONGEST),
        1 => {
            let mut frame = [topology::SUT_MAC, topology::PEER_MAC].concat();
            frame.extend_from_slice(&dice.of(&[[8, 0], [0x86, 0xDD], [0x81, 0], [8, 6], [0x88, 8]]));
            frame.extend(body(&mut dice, LONGEST));
            frame
        }
        2 | 3 => {
            let payload = body(&mut dice, 9000);
            udp(&mut dice, &payload)
        }
        4 | 5 => Segment {
            sport: 40_000 + (record.x % 4) as u16,
            dport: dice.of(&[80, 7]),
            seq: dice.of(&[1, 2, 1000]),
            ack: dice.bits() as u32,
            flags: dice.of(&[2, 16, 18, 24, 17, 4, 0xFF]),
            window: dice.bits() as u16,
            payload: body(&mut dice, 1460),
            bad_sum: dice.chance(50),
            ..Segment::default()
        }
        .frame(topology::PEER_IP),
        6 => {
            let mut frame = [[0xFF; 6], topology::PEER_MAC].concat();
            frame.extend_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, dice.of(&[1, 2, 3])]);
            frame.extend_from_slice(&topology::PEER_MAC);
            frame.extend_from_slice(&topology::PEER_IP.octets());
            frame.extend_from_slice(&topology::SUT_MAC);
            frame.extend_from_slice(&topology::SUT_IP.octets());
            frame
        }
        _ => {
            let payload = body(&mut dice, 1400);
            let mut frame = udp(&mut dice, &payload);
            frame.splice(12..12, [0x81, 0, (record.x >> 8) as u8, record.x as u8]);
            frame
        }
    };
    if record.y & 3 != 3 {
        frame.resize(frame.len().max(60), 0);
    }
    if record.y & 4 != 0
        && let Some(byte) = frame.get_mut((record.y >> 16) as usize)
    {
        *byte ^= (record.y >> 8) as u8;
    }
    frame
}

fn udp(dice: &mut Dice, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(8 + payload.len());
    let lengths = [8 + payload.len() as u16, dice.bits() as u16];
    for word in [7, dice.of(&[4000, 7, 9]), dice.of(&lengths), 0] {
        datagram.extend_from_slice(&u16::to_be_bytes(word));
    }
    datagram.extend_from_slice(payload);
    ipv4(topology::PEER_IP, 17, None, &datagram)
}
