//! What a run says: people, machines, and CI.

pub mod failure;
pub mod ladder;
