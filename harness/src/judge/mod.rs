//! Judging frames: decoding, patterns, relations, counters against frames, and the comparison that a failure shows.

pub mod conserve;
pub mod pattern;
pub mod relation;
pub mod segment;
pub mod snapshot;

pub use pattern::{Mismatch, matches, nearest};
pub use relation::{Progress, Relation, Why};
