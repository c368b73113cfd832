//! wireproof
