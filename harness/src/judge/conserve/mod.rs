//! `conserve: …`: what counters say adds up, exactly, to the frames that were on the wire.
//!
//! Each law is an [`Equation`]: on its left a counter, or several summed up; on its right the frames of one kind, each with
//! what it must have moved that counter by. There are no ranges. Which counter counts what is said where its law stands:
//! [`device`] for netdev and `ethtool -S`, [`stack`] for `/proc/net/snmp` and qdiscs.

pub mod device;
pub mod stack;
pub mod traffic;

pub use traffic::Traffic;

use crate::case::model::Group;
use std::collections::BTreeMap;
use traffic::Frame;

/// The most that a header, a trailer or padding makes of a frame: a larger difference is not by so much for each frame.
const HEADERS: i64 = 54;

/// How counters moved since the first step, by name.
pub type Moved = BTreeMap<String, i64>;

/// A counter, and the frames that it must have counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equation {
    /// The counter, with its source: `ethtool tx_bytes`.
    pub counter: String,
    /// What it says.
    pub is: i64,
    /// What is counted, in words: `bytes of the frames sent, with their FCS`.
    pub counts: &'static str,
    /// The frames by class.
    pub terms: Vec<Term>,
}

/// Frames of one class, and what they add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The class: `64 bytes to one`.
    pub class: String,
    /// How many.
    pub frames: i64,
    /// What they must have moved the counter by, together.
    pub amount: i64,
}

impl Equation {
    /// A counter against frames, each of which moves it by `amount`.
    pub fn new<'f>(
        counter: impl Into<String>,
        is: i64,
        counts: &'static str,
        frames: impl IntoIterator<Item = &'f Frame>,
        amount: impl Fn(&Frame) -> i64,
    ) -> Self {
        let mut classes = BTreeMap::<_, (i64, i64)>::new();
        for frame in frames {
            let class = classes.entry(frame.class()).or_default();
            class.0 += 1;
            class.1 += amount(frame);
        }
        let term =
            |(class, (frames, amount)): (traffic::Class, _)| Term { class: class.name(), frames, amount };
        Self { counter: counter.into(), is, counts, terms: classes.into_iter().map(term).collect() }
    }

    /// A counter of what must not have happened.
    #[must_use]
    pub fn nothing(counter: String, is: i64, counts: &'static str) -> Self {
        Self { counter, is, counts, terms: Vec::new() }
    }

    /// The counter as `differs:` names it: `ethtool.tx_bytes`, `qdisc.root/bytes`, and of a sum `ethtool.tx_queue_*_bytes`.
    #[must_use]
    pub fn field(&self) -> String {
        self.counter
            .strip_prefix("the sum of ")
            .unwrap_or(&self.counter)
            .replacen(' ', ".", 1)
            .replace(' ', "/")
    }

    /// What the frames make it.
    #[must_use]
    pub fn right(&self) -> i64 {
        self.terms.iter().map(|term| term.amount).sum()
    }

    /// Whether both sides are the same.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.is == self.right()
    }

    /// The difference in one line.
    #[must_use]
    pub fn message(&self) -> String {
        let (is, right) = (self.is, self.right());
        let what = if is < right { "too few" } else { "too many" };
        format!("{} is {is}, the wire says {right}: {} {what}", self.counter, (is - right).abs())
    }

    /// The two sides with the frames by class, and which of them would explain the difference.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let frames: i64 = self.terms.iter().map(|term| term.frames).sum();
        let mut lines = vec![format!("{} = {}, and counts {}:", self.counter, self.is, self.counts)];
        lines.extend(
            self.terms
                .iter()
                .map(|term| format!("  {:>10}  {} of {}", term.amount, frames_of(term.frames), term.class)),
        );
        lines.push(format!("  {:>10}  {} in all", self.right(), frames_of(frames)));
        lines.extend(self.guess(frames));
        lines
    }

    /// What the difference amounts to, where it is as much for each frame, or just one class.
    fn guess(&self, frames: i64) -> Option<String> {
        let difference = self.is - self.right();
        let (size, verb) = (difference.abs(), if difference < 0 { "missing" } else { "too much" });
        if frames > 1 && size % frames == 0 && size / frames <= HEADERS {
            let each = size / frames;
            let fcs = if each == 4 { ", as much as an FCS" } else { "" };
            return Some(format!("{size} is {verb}: {each} for each frame{fcs}"));
        }
        let term = self.terms.iter().find(|term| term.amount == size)?;
        let (frames, class) = (frames_of(term.frames), &term.class);
        Some(format!(
            "{size} is {verb}: as much as the {frames} of {class} {}",
            if term.frames == 1 { "is" } else { "are" }
        ))
    }
}

fn frames_of(count: i64) -> String {
    if count == 1 { "1 frame".to_owned() } else { format!("{count} frames") }
}

/// The equations of a group. Without counters for it there are none: the rig does not have them.
#[must_use]
pub fn equations(group: Group, moved: &Moved, traffic: &Traffic) -> Vec<Equation> {
    if moved.is_empty() {
        return Vec::new();
    }
    match group {
        Group::Netdev => device::netdev(moved, traffic),
        Group::Ethtool => device::ethtool(moved, traffic),
        Group::Queues => device::queues(moved, traffic),
        Group::Sizes => device::sizes(moved, traffic),
        Group::Tcp => stack::tcp(moved, traffic),
        Group::Snmp => stack::snmp(moved, traffic),
        Group::Qdisc => stack::qdisc(moved, traffic),
    }
}

#[cfg(test)]
mod tests;
