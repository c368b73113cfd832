//! What an input made happen, as a set of numbers: an input that shows a new one is worth changing further.

use std::collections::HashSet;
use std::fmt::{self, Write};

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features(HashSet<u64>);

/// FNV-1a, the same on every machine.
struct Hash(u64);

impl Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

impl Features {
    /// Notes something by what it prints as.
    pub fn note(&mut self, what: fmt::Arguments<'_>) {
        let mut hash = Hash(0xcbf2_9ce4_8422_2325);
        // Writing to a hash never fails.
        let _ = hash.write_fmt(what);
        self.0.insert(hash.0);
    }

    /// Notes a number, in its order of magnitude.
    pub fn note_amount(&mut self, name: &str, amount: u64) {
        if amount > 0 {
            self.note(format_args!("{name} 2^{}", amount.ilog2()));
        }
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Adds those of another; how many were new.
    pub fn merge(&mut self, other: &Self) -> usize {
        let before = self.0.len();
        self.0.extend(&other.0);
        self.0.len() - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_counted_once() {
        let (mut all, mut some) = (Features::default(), Features::default());
        some.note(format_args!("{}", 1));
        some.note_amount("frames", 5);
        some.note_amount("frames", 7);
        some.note_amount("frames", 0);
        assert_eq!((some.count(), all.merge(&some), all.merge(&some)), (2, 2, 0));
    }
}
