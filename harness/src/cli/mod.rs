//! The commands of `wireproof`.

pub mod check;
pub mod list;
