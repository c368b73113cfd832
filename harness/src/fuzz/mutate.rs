//! Inputs out of nothing, and inputs out of others.

use super::record::{BYTES, Record};
use crate::simulate::dice::Dice;

/// The longest input, in records.
pub const RECORDS_MAX: usize = 400;

/// Words at which things change.
const EDGES: [u32; 14] = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFFF,
    0x1000,
    0xFFFF,
    0x1_0000,
    0xF_FFFF,
    0x200_0000,
    0x7FFF_FFFF,
    0x8000_0000,
    u32::MAX,
];

fn word(dice: &mut Dice) -> u32 {
    match dice.below(4) {
        0 => dice.of(&EDGES),
        1 => dice.below(256) as u32,
        2 => 1 << dice.below(32),
        _ => dice.bits() as u32,
    }
}

fn record(dice: &mut Dice, kinds: u8) -> Record {
    let small = dice.chance(500);
    Record {
        kind: dice.below(kinds.into()) as u8,
        a: if small { dice.below(4) as u8 } else { dice.bits() as u8 },
        b: if small { dice.below(128) as u16 } else { word(dice) as u16 },
        x: word(dice),
        y: word(dice),
    }
}

/// An input out of nothing, for a target with so many kinds of operations.
#[must_use]
pub fn fresh(dice: &mut Dice, kinds: u8) -> Vec<u8> {
    let most = dice.of(&[8, 30, 120]);
    let count = dice.between(2, most);
    (0..count).flat_map(|_| record(dice, kinds).write()).collect()
}

/// Another input, changed in a few places; `with` is one to borrow from.
#[must_use]
pub fn changed(dice: &mut Dice, kinds: u8, input: &[u8], with: &[u8]) -> Vec<u8> {
    let mut records = super::record::read_all(input);
    for _ in 0..dice.of(&[1, 1, 2, 4, 8]) {
        change(dice, kinds, &mut records, with);
    }
    records.truncate(RECORDS_MAX);
    records.iter().flat_map(|record| record.write()).collect()
}

fn change(dice: &mut Dice, kinds: u8, records: &mut Vec<Record>, with: &[u8]) {
    let at = dice.below(records.len() as u64 + 1) as usize;
    match dice.below(10) {
        0..3 => records.insert(at, record(dice, kinds)),
        3 => {
            let end = (at + dice.between(1, 8) as usize).min(records.len());
            records.drain(at..end);
        }
        4 => {
            let end = (at + dice.between(1, 8) as usize).min(records.len());
            let again = records[at..end].to_vec();
            for _ in 0..dice.of(&[1, 2, 6]) {
                records.splice(at..at, again.iter().copied());
            }
        }
        5 => {
            let others = super::record::read_all(with);
            let from = dice.below(others.len() as u64) as usize;
            let end = (from + dice.between(1, 20) as usize).min(others.len());
            records.splice(at..at, others[from.min(end)..end].iter().copied());
        }
        _ => {
            if let Some(record) = records.get_mut(at) {
                change_one(dice, record);
            }
        }
    }
}

fn change_one(dice: &mut Dice, record: &mut Record) {
    match dice.below(6) {
        0 => record.a = dice.bits() as u8,
        1 => record.b = word(dice) as u16,
        2 => record.x = word(dice),
        3 => record.y = word(dice),
        4 => record.x = record.x.wrapping_add(dice.of(&[1, u32::MAX])),
        _ => {
            let mut bytes = record.write();
            bytes[dice.below(BYTES as u64) as usize] ^= 1 << dice.below(8);
            *record = Record::read(&bytes);
        }
    }
}

/// A smaller input that still fails: records, then values, are left out for as long as `fails` says so, at most `tries` times.
pub fn smaller(input: &[u8], mut tries: u32, fails: &mut dyn FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut best = super::record::read_all(input);
    let bytes =
        |records: &[Record]| -> Vec<u8> { records.iter().flat_map(|record| record.write()).collect() };
    let mut chunk = best.len().div_ceil(2).max(1);
    while tries > 0 {
        let (mut at, mut better) = (0, false);
        while at < best.len() && tries > 0 {
            let mut shorter = best.clone();
            shorter.drain(at..(at + chunk).min(best.len()));
            tries -= 1;
            if fails(&bytes(&shorter)) {
                (best, better) = (shorter, true);
            } else {
                at += chunk;
            }
        }
        if chunk == 1 && !better {
            break;
        }
        chunk = (chunk / 2).max(1);
    }
    for at in 0..best.len() {
        for field in 0..4 {
            let mut simpler = best.clone();
            match field {
                0 => simpler[at].a = 0,
                1 => simpler[at].b = 0,
                2 => simpler[at].x = 0,
                _ => simpler[at].y = 0,
            }
            if tries > 0 && simpler != best {
                tries -= 1;
                if fails(&bytes(&simpler)) {
                    best = simpler;
                }
            }
        }
    }
    bytes(&best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_input_and_the_same_change_each_time() {
        let make = || {
            let mut dice = Dice::new(7, 4);
            let input = fresh(&mut dice, 20);
            let other = changed(&mut dice, 20, &input, &input);
            (input, other)
        };
        let (input, other) = make();
        assert_eq!(make(), (input.clone(), other.clone()));
        assert_ne!(input, other);
        assert!(input.len().is_multiple_of(BYTES) && other.len() <= RECORDS_MAX * BYTES);
    }

    #[test]
    fn what_is_not_needed_to_fail_is_left_out() {
        let records = [3, 9, 4, 5, 9, 6].map(|kind| Record { kind, a: 1, x: 7, ..Record::default() });
        let input: Vec<u8> = records.iter().flat_map(|record| record.write()).collect();
        let mut fails = |bytes: &[u8]| {
            let records = super::super::record::read_all(bytes);
            records.iter().filter(|record| record.kind == 9).count() == 2 && records[0].x == 7
        };
        let small = super::super::record::read_all(&smaller(&input, 1000, &mut fails));
        assert_eq!(small.iter().map(|r| (r.kind, r.a, r.x)).collect::<Vec<_>>(), [(9, 0, 7), (9, 0, 0)]);
    }
}
