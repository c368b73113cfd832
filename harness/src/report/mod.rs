//! What a run says: people, machines, and CI.

pub mod again;
pub mod failure;
pub mod human;
pub mod json;
pub mod junit;
pub mod ladder;
pub mod missing;
pub mod output;
pub mod progress;
pub mod tally;

pub use tally::Tally;
