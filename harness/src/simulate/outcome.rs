//! What came of a seed.

use super::plan::Plan;
use std::fmt;

/// All that was to hold held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// When the last connection ended for its applications, in virtual nanoseconds.
    pub over: u64,
    /// When nothing was left of any.
    pub gone: u64,
    /// Connections.
    pub connections: usize,
    /// Bytes that arrived.
    pub bytes: u64,
    /// Ends of connections that were told an error, as the plan asked for.
    pub errors: usize,
}

/// Something that was to hold did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What, in a sentence.
    pub what: String,
    /// What was done, and with which options it is done again.
    plan: Box<Plan>,
    /// The last frames on the wire.
    frames: Vec<String>,
}

impl Failure {
    /// Of a plan.
    #[must_use]
    pub fn new(plan: &Plan, what: String, frames: Vec<String>) -> Self {
        Self { what, plan: Box::new(plan.clone()), frames }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.plan.seed, self.what)?;
        writeln!(f, "{}", self.plan)?;
        for frame in &self.frames {
            writeln!(f, "  {frame}")?;
        }
        write!(f, "again: {}", self.plan.again())
    }
}
