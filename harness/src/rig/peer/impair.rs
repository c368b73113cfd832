//! A wire that loses, reorders and duplicates frames, by a seed: the same seed does the same to the same frames, counted from the first.

use crate::case::model::{Impairment, Nanos};
use std::collections::VecDeque;

/// How many frames overtake one that is held back.
const OVERTAKEN_BY: u32 = 3;
/// How long a frame is held back at most, when none follows.
const HELD: Nanos = 1_000_000;

/// One direction of the wire.
#[derive(Clone, Debug)]
pub struct Impaired {
    how: Impairment,
    random: u64,
    /// Frames that are held back: until when, and how many still overtake it.
    held: VecDeque<(Nanos, u32, Vec<u8>)>,
    /// What it has done.
    pub done: Done,
}

/// What a wire has done to frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Frames that came to it.
    pub frames: u64,
    /// Of these it lost so many.
    pub lost: u64,
    /// Held back so many.
    pub reordered: u64,
    /// Gave so many twice.
    pub duplicated: u64,
}

impl Impaired {
    /// A direction, by its number.
    #[must_use]
    pub fn new(how: Impairment, direction: u64) -> Self {
        let random = how.seed.wrapping_mul(2).wrapping_add(direction);
        Self { how, random, held: VecDeque::new(), done: Done::default() }
    }

    /// A number of splitmix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether what happens to so many in a million happens now.
    fn happens(&mut self, per_million: u32) -> bool {
        self.next() % 1_000_000 < u64::from(per_million)
    }

    /// A frame comes to the wire at a time; gives what leaves it, in order.
    pub fn pass(&mut self, now: Nanos, frame: Vec<u8>, out: &mut Vec<Vec<u8>>) {
        self.done.frames += 1;
        // All three are drawn for each frame, so that one does not move the others.
        let (lost, reordered, twice) =
            (self.happens(self.how.loss), self.happens(self.how.reorder), self.happens(self.how.duplicate));
        if lost {
            self.done.lost += 1;
        } else if reordered {
            self.done.reordered += 1;
            self.held.push_back((now.saturating_add(HELD), OVERTAKEN_BY, frame));
            return;
        } else {
            if twice {
                self.done.duplicated += 1;
                out.push(frame.clone());
            }
            out.push(frame);
        }
        for (_, overtaken_by, _) in &mut self.held {
            *overtaken_by = overtaken_by.saturating_sub(1);
        }
        self.release(now, out);
    }

    /// Frames that were held back for long enough.
    pub fn release(&mut self, now: Nanos, out: &mut Vec<Vec<u8>>) {
        while self.held.front().is_some_and(|(until, left, _)| *until <= now || *left == 0) {
            out.extend(self.held.pop_front().map(|(.., frame)| frame));
        }
    }

    /// When a frame is released, if none comes before.
    #[must_use]
    pub fn next_release(&self) -> Option<Nanos> {
        self.held.front().map(|(until, ..)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn through(how: Impairment, count: u32) -> (Vec<u32>, Done) {
        let mut wire = Impaired::new(how, 0);
        let mut out = Vec::new();
        for number in 0..count {
            wire.pass(u64::from(number), number.to_be_bytes().to_vec(), &mut out);
        }
        wire.release(Nanos::MAX, &mut out);
        let numbers = out.iter().map(|frame| u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]));
        (numbers.collect(), wire.done)
    }

    #[test]
    fn a_good_wire_changes_nothing() {
        let (numbers, done) = through(Impairment::default(), 100);
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
        assert_eq!(done, Done { frames: 100, ..Done::default() });
    }

    #[rstest]
    #[case::loss(Impairment { loss: 10_000, ..Impairment::default() }, |d: Done| d.lost)]
    #[case::reordering(Impairment { reorder: 10_000, ..Impairment::default() }, |d: Done| d.reordered)]
    #[case::duplication(Impairment { duplicate: 10_000, ..Impairment::default() }, |d: Done| d.duplicated)]
    fn one_in_a_hundred_is_about_that(#[case] how: Impairment, #[case] of: fn(Done) -> u64) {
        let (numbers, done) = through(Impairment { seed: 1, ..how }, 100_000);
        assert!((800..1200).contains(&of(done)), "{done:?}");
        assert_eq!(numbers.len() as u64, done.frames - done.lost + done.duplicated);
    }

    #[test]
    fn one_that_is_held_back_is_overtaken_by_three() {
        let how = Impairment { reorder: 10_000, seed: 1, ..Impairment::default() };
        let (numbers, _) = through(how, 1000);
        let late = numbers.windows(2).position(|pair| pair[1] < pair[0]).expect("one is held back");
        assert_eq!(numbers[late + 1] + 3, numbers[late], "{:?}", &numbers[late - 4..late + 3]);
    }

    #[test]
    fn the_same_seed_does_the_same() {
        let how = |seed| Impairment { loss: 50_000, reorder: 50_000, duplicate: 50_000, seed };
        assert_eq!(through(how(7), 1000), through(how(7), 1000));
        assert_ne!(through(how(7), 1000), through(how(8), 1000));
    }
}
