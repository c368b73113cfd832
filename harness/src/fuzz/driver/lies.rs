//! What a register says instead of the truth.

use crate::fuzz::record::Record;

/// A lie about one register, or about all.
#[derive(Clone, Copy, Debug)]
pub struct Lie {
    /// About which; all without.
    register: Option<u32>,
    way: u8,
    bits: u32,
    /// It is told so often.
    left: u32,
}

impl Lie {
    /// The lie of a record, about a register. `a` is how, `x` the bits, `y` how often.
    #[must_use]
    pub fn new(record: Record, register: Option<u32>) -> Self {
        let left = if record.y & 0x8000 == 0 { record.y & 0xFF } else { u32::MAX };
        Self { register, way: record.a, bits: record.x, left }
    }

    /// What is told of a register that reads `truth`.
    pub fn told(&mut self, register: u32, truth: u32) -> u32 {
        if self.left == 0 || self.register.is_some_and(|about| about != register) {
            return truth;
        }
        self.left -= 1;
        match self.way % 6 {
            0 => self.bits,
            1 => truth ^ self.bits,
            2 => truth | self.bits,
            3 => truth & !self.bits,
            4 => u32::MAX,
            // Something else each time.
            _ => truth ^ self.bits.rotate_left(self.left % 32).wrapping_mul(self.left | 1),
        }
    }
}
