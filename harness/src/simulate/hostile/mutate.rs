//! How a segment that would have been right becomes wrong.

use super::segment::Segment;
use crate::simulate::dice::Dice;

/// A number near one that means something, or any.
fn near(dice: &mut Dice, right: u32) -> u32 {
    match dice.below(6) {
        0 => right.wrapping_add(dice.below(3) as u32).wrapping_sub(1),
        1 => right.wrapping_add(dice.below(3000) as u32),
        2 => right.wrapping_sub(dice.below(3000) as u32),
        3 => right.wrapping_add(dice.below(200_000) as u32),
        4 => right.wrapping_add(0x8000_0000).wrapping_add(dice.below(3) as u32).wrapping_sub(1),
        _ => dice.bits() as u32,
    }
}

/// Options: known ones with any content and any length, and noise.
fn options(dice: &mut Dice, around: u32) -> Vec<u8> {
    let mut all = Vec::new();
    for _ in 0..dice.between(1, 4) {
        match dice.below(8) {
            0 => all.extend([2, 4, dice.bits() as u8, dice.bits() as u8]),
            1 => all.extend([3, 3, dice.bits() as u8]),
            2 => all.extend([4, 2]),
            3 => {
                all.extend([8, 10]);
                all.extend(dice.bits().to_be_bytes());
            }
            4 | 5 => {
                let blocks = dice.between(1, 4);
                all.extend([5, 2 + 8 * blocks as u8]);
                for _ in 0..2 * blocks {
                    all.extend(near(dice, around).to_be_bytes());
                }
            }
            6 => all.extend([dice.bits() as u8, dice.below(12) as u8]),
            _ => all.extend((0..dice.below(9)).map(|_| dice.bits() as u8)),
        }
    }
    all.truncate(40);
    all
}

/// Makes a few things wrong.
pub fn mutate(dice: &mut Dice, segment: &mut Segment) {
    for _ in 0..dice.between(1, 3) {
        match dice.below(14) {
            0 => segment.flags = dice.bits() as u8,
            1 => segment.flags ^= 1 << dice.below(8),
            2 | 3 => segment.seq = near(dice, segment.seq),
            4 | 5 => segment.ack = near(dice, segment.ack),
            6 => segment.window = dice.of(&[0, 0, 1, 100, 0xffff]),
            7 => segment.window = dice.bits() as u16,
            8 | 9 => segment.options = options(dice, segment.ack),
            10 => segment.payload.resize(dice.below(1401) as usize, 0x55),
            11 => segment.urgent = dice.bits() as u16,
            12 => match dice.below(3) {
                0 => segment.doff = Some(dice.below(16) as u8),
                1 => segment.total = Some(dice.below(1600) as u16),
                _ => segment.bad_sum = true,
            },
            _ => segment.sport ^= 1,
        }
    }
}
