//! wireproof
fn main() {}
