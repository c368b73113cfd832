//! Judging frames: decoding, patterns, relations, and the comparison that a failure shows.

pub mod pattern;
pub mod relation;
pub mod segment;
pub mod snapshot;

pub use pattern::{Mismatch, matches, nearest};
pub use relation::{Progress, Relation, Why};
