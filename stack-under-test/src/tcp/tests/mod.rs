//! TCP as a whole: two stacks and a wire between them.

mod hostile;
mod peer;
mod segments;
mod simulation;
pub(crate) mod support;
mod wire;
