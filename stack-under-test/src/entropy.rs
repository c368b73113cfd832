//! Randomness from a seed: the same seed gives the same ports, identifications and timers.

/// SplitMix64: small, fast, and good enough for what no attacker of a test bench guesses.
#[derive(Clone, Debug)]
pub struct Entropy(u64);

impl Entropy {
    /// A sequence that depends on `seed` alone.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 when `n` is 0.
    #[inline]
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(n) * (self.next_u64() >> 32)) >> 32) as u32
    }
}
