//! Relations: many frames judged by one step. Each file is one; each takes the frames as they come.

pub mod fragments;
pub mod order;
pub mod segments;

pub use fragments::Fragments;
pub use order::Order;
pub use segments::Segments;

use super::pattern::Mismatch;
use crate::frame::decode::Decoded;
use std::fmt;

/// What a frame did to a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It belongs to it; more must come.
    NeedMore,
    /// It belongs to it, and was the last one.
    Complete,
    /// It breaks a rule.
    Failed(Box<Why>),
    /// The relation says nothing about such a frame.
    NotMine,
}

/// The rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Which frame of the relation broke it, from 1.
    pub frame: usize,
    /// The rule and the numbers, in a sentence.
    pub what: String,
    /// The frame beside the pattern, where that is what differs.
    pub mismatch: Option<Mismatch>,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)
    }
}

impl Why {
    fn failed(frame: usize, what: String) -> Progress {
        Progress::Failed(Box::new(Self { frame, what, mismatch: None }))
    }
}

/// A judge of many frames.
pub trait Relation {
    /// Told before each [`Relation::push`]: the packet that the frame was sent as, by its number in the journey; `None`
    /// where the rig keeps no journey. Frames of the same number were one packet until they were cut.
    fn came_from(&mut self, _packet: Option<u32>) {}

    /// Told before the first: letters of flags that may be missing, a deviation that is listed.
    fn excuse(&mut self, _letters: &str) {}

    /// Flags that were expected and flags that came, where letters were missing that may be.
    fn excused(&self) -> Option<(String, String)> {
        None
    }

    /// How many frames have not come, where that is known.
    fn missing(&self) -> usize {
        0
    }

    /// Takes the next frame of the wire. After `Complete` or `Failed` there is nothing more to push.
    fn push(&mut self, frame: &Decoded<'_>) -> Progress;

    /// What has come and what is still missing, for a failure when time is up.
    fn awaited(&self) -> String;
}
