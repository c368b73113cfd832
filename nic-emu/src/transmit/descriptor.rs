//! The advanced transmit descriptor, 16 bytes, and what may be wrong with it (section 7.2.2).

use crate::registers::bit::{dcmd, olinfo};

/// Bytes of a descriptor.
pub(super) const BYTES: u64 = 16;

/// A descriptor as fetched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    /// Its place in the ring.
    pub(super) index: u16,
    pub(super) words: [u32; 4],
}

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Context,
    Data,
    Legacy,
    Unknown,
}

impl Descriptor {
    pub(super) fn new(index: u16, bytes: &[u8]) -> Self {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        }
        Self { index, words }
    }

    pub(super) const fn kind(&self) -> Kind {
        match (self.words[2] & dcmd::DEXT, self.words[2] >> 20 & 0xF) {
            (0, _) => Kind::Legacy,
            (_, 2) => Kind::Context,
            (_, 3) => Kind::Data,
            _ => Kind::Unknown,
        }
    }

    pub(super) const fn has(&self, command: u32) -> bool {
        self.words[2] & command != 0
    }

    pub(super) const fn has_option(&self, option: u32) -> bool {
        self.words[3] & option != 0
    }

    /// DTALEN.
    pub(super) const fn length(&self) -> usize {
        (self.words[2] & 0xFFFF) as usize
    }

    pub(super) fn address(&self) -> u64 {
        u64::from(self.words[1]) << 32 | u64::from(self.words[0])
    }

    pub(super) const fn payload_length(&self) -> usize {
        (self.words[3] >> 14) as usize
    }

    pub(super) const fn context_index(&self) -> u32 {
        self.words[3] >> 4 & 7
    }

    /// Whether any field of the packet comes from a context.
    pub(super) const fn needs_context(&self) -> bool {
        self.has(dcmd::TSE | dcmd::VLE) || self.has_option(olinfo::IXSM | olinfo::TXSM)
    }

    /// Reserved bits that are set, of words 2 and 3 of a data descriptor.
    pub(super) const fn reserved(&self) -> (u32, u32) {
        (self.words[2] & dcmd::RESERVED, self.words[3] & 0x0000_188F)
    }
}
