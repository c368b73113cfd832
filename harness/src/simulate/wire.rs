//! The wire: what it does to frames, by seed.

use super::dice::Dice;
use super::plan::WirePlan;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Where the IP header begins in a frame.
const IP_AT: usize = 14;

/// When it arrives, a number that keeps the order, at whom, and the frame.
type Flying = (u64, u64, usize, Vec<u8>);

/// The wire between two hosts.
#[derive(Debug)]
pub struct Wire {
    plan: WirePlan,
    dice: Dice,
    flying: BinaryHeap<Reverse<Flying>>,
    sent: u64,
    /// Of each host: how many of its questions for the other's address got lost, or the answer to it, since it last heard of it.
    unheard: [u32; 2],
    /// The most of them.
    unheard_at_most: u32,
}

impl Wire {
    /// A wire on which nothing flies.
    #[must_use]
    pub fn new(plan: &WirePlan, seed: u64) -> Self {
        let (dice, flying) = (Dice::new(seed, 2), BinaryHeap::new());
        Self { plan: plan.clone(), dice, flying, sent: 0, unheard: [0; 2], unheard_at_most: 0 }
    }

    /// How often in a row, at most, a host asked by ARP without hearing of the other, because the question or the answer was lost.
    #[must_use]
    pub fn unheard_at_most(&self) -> u32 {
        self.unheard_at_most
    }

    /// Notes what became of a frame of ARP that the host `from` sent.
    fn note_arp(&mut self, from: usize, frame: &[u8], lost: bool) {
        let is_request = match (frame.get(12..14), frame.get(20..22)) {
            (Some([8, 6]), Some(operation)) => operation == [0, 1],
            _ => return,
        };
        if lost {
            let asker = if is_request { from } else { 1 - from };
            self.unheard[asker] += 1;
            self.unheard_at_most = self.unheard_at_most.max(self.unheard[asker]);
        } else {
            self.unheard[1 - from] = 0;
        }
    }

    /// When the next frame arrives.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.flying.peek().map(|Reverse((at, ..))| *at)
    }

    /// A frame that arrives at or before `now`, and at whom.
    pub fn arrival(&mut self, now: u64) -> Option<(usize, Vec<u8>)> {
        self.next_due().filter(|at| *at <= now)?;
        self.flying.pop().map(|Reverse((_, _, to, frame))| (to, frame))
    }

    /// A frame leaves the host `from` at `at`. Gives what became of it, for people.
    pub fn send(&mut self, at: u64, from: usize, mut frame: Vec<u8>) -> &'static str {
        if self.plan.cut_at.is_some_and(|cut| at >= cut) {
            return "cut";
        }
        let lost = self.dice.chance(self.plan.loss);
        self.note_arp(from, &frame, lost);
        if lost {
            return "lost";
        }
        let plan = &self.plan;
        let mut fate = "";
        if self.dice.chance(plan.corrupt) && corrupt(&mut frame, &mut self.dice) {
            fate = "corrupted";
        }
        let copies = if self.dice.chance(plan.duplicate) { 2 } else { 1 };
        if copies == 2 && fate.is_empty() {
            fate = "duplicated";
        }
        for _ in 0..copies {
            let mut arrives = at + plan.delay + self.dice.below(plan.jitter + 1);
            if self.dice.chance(plan.reorder) {
                arrives += self.dice.below(4 * plan.delay.max(10_000));
                fate = if fate.is_empty() { "late" } else { fate };
            }
            self.sent += 1;
            self.flying.push(Reverse((arrives, self.sent, 1 - from, frame.clone())));
        }
        fate
    }
}

/// Turns a burst of at most 15 bits of an IPv4 packet over: what the checksums of IP and TCP always find. (What the frame
/// check sequence found never arrives. ARP has no other protection, so it is spared.)
fn corrupt(frame: &mut [u8], dice: &mut Dice) -> bool {
    if frame.len() <= IP_AT + 2 || frame[12..14] != [8, 0] {
        return false;
    }
    let bits = (frame.len() - IP_AT) as u64 * 8;
    let burst = dice.between(1, 15);
    let first = dice.below(bits - burst);
    for bit in first..first + burst {
        let ends = bit == first || bit + 1 == first + burst;
        if ends || dice.chance(500) {
            frame[IP_AT + bit as usize / 8] ^= 0x80 >> (bit % 8);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const REQUEST: u8 = 1;
    const REPLY: u8 = 2;

    /// Each: who sends, what, and whether it is lost.
    #[rstest]
    #[case::three_questions(&[(0, REQUEST, true), (0, REQUEST, true), (0, REQUEST, true)], 3)]
    #[case::two_questions_and_an_answer(&[(0, REQUEST, true), (0, REQUEST, true), (1, REPLY, true)], 3)]
    #[case::an_answer_in_between(&[(0, REQUEST, true), (0, REQUEST, true), (1, REPLY, false), (0, REQUEST, true)], 2)]
    #[case::the_others_question_in_between(&[(0, REQUEST, true), (1, REQUEST, false), (0, REQUEST, true)], 1)]
    #[case::questions_of_either(&[(0, REQUEST, true), (1, REQUEST, true), (0, REQUEST, true)], 2)]
    fn a_host_is_unheard_of_while_question_or_answer_is_lost(
        #[case] frames: &[(usize, u8, bool)],
        #[case] at_most: u32,
    ) {
        let mut wire = Wire::new(&WirePlan::default(), 0);
        for &(from, operation, lost) in frames {
            let mut frame = vec![0; 42];
            (frame[12], frame[13], frame[21]) = (8, 6, operation);
            wire.note_arp(from, &frame, lost);
        }
        assert_eq!(wire.unheard_at_most(), at_most);
    }
}
