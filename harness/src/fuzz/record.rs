//! What an input consists of: records of 12 bytes, each an operation with its arguments. Any bytes are an input.

/// Bytes of a record.
pub const BYTES: usize = 12;

/// An operation. What the fields mean is up to its kind; each takes any value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Which operation, modulo how many there are.
    pub kind: u8,
    /// A small argument: a queue, a choice.
    pub a: u8,
    /// A middle one: an index, a length.
    pub b: u16,
    /// A word.
    pub x: u32,
    /// Another word.
    pub y: u32,
}

impl Record {
    /// A record of at most [`BYTES`] bytes; missing ones are 0.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let at = |place: usize| bytes.get(place).copied().unwrap_or(0);
        let word =
            |place: usize| u32::from_le_bytes([at(place), at(place + 1), at(place + 2), at(place + 3)]);
        Self { kind: at(0), a: at(1), b: u16::from_le_bytes([at(2), at(3)]), x: word(4), y: word(8) }
    }

    /// Its bytes.
    #[must_use]
    pub fn write(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..2].copy_from_slice(&[self.kind, self.a]);
        bytes[2..4].copy_from_slice(&self.b.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.x.to_le_bytes());
        bytes[8..].copy_from_slice(&self.y.to_le_bytes());
        bytes
    }

    /// Both words as one; `x` is the lower half.
    #[must_use]
    pub fn wide(self) -> u64 {
        u64::from(self.y) << 32 | u64::from(self.x)
    }

    /// A time in nanoseconds that grows by powers of two with `a`, up to `2^limit`.
    #[must_use]
    pub fn time(self, limit: u8) -> u64 {
        let bits = self.a % (limit + 1);
        (1 << bits) + u64::from(self.x) % (1 << bits)
    }
}

/// All of an input.
#[must_use]
pub fn read_all(input: &[u8]) -> Vec<Record> {
    input.chunks(BYTES).map(Record::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_a_cut_one_ends_in_zeros() {
        let record = Record { kind: 1, a: 2, b: 0x0403, x: 0x0807_0605, y: 0x0C0B_0A09 };
        assert_eq!(record.write(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(Record::read(&record.write()), record);
        assert_eq!(Record::read(&[1, 2, 3]), Record { kind: 1, a: 2, b: 3, x: 0, y: 0 });
    }
}
