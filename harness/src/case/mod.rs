//! YAML text to checked trials: reading, diagnosing, expanding. It knows nothing of rigs or stacks.

pub mod model;
