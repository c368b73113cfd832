//! The commands of `wireproof`.
