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
    arp_lost: u32,
}

impl Wire {
    /// A wire on which nothing flies.
    #[must_use]
    pub fn new(plan: &WirePlan, seed: u64) -> Self {
        Self { plan: plan.clone(), dice: Dice::new(seed, 2), flying: BinaryHeap::new(), sent: 0, arp_lost: 0 }
    }

    /// How many frames of ARP were lost so far.
    #[must_use]
    pub fn arp_lost(&self) -> u32 {
        self.arp_lost
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
        let plan = &self.plan;
        if plan.cut_at.is_some_and(|cut| at >= cut) {
            return "cut";
        }
        if self.dice.chance(plan.loss) {
            self.arp_lost += u32::from(frame.get(12..14) == Some(&[8, 6]));
            return "lost";
        }
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
