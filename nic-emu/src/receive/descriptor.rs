//! Receive descriptors, 16 bytes, as read and as written back (section 7.1.4, 7.1.5).

/// Bytes of a descriptor.
pub(super) const BYTES: u64 = 16;

pub(super) const DD: u32 = 1;
pub(super) const EOP: u32 = 1 << 1;
pub(super) const VP: u32 = 1 << 3;
pub(super) const UDPCS: u32 = 1 << 4;
pub(super) const L4CS: u32 = 1 << 5;
pub(super) const IPCS: u32 = 1 << 6;
pub(super) const PIF: u32 = 1 << 7;
pub(super) const STRIPCRC: u32 = 1 << 12;
pub(super) const L4E: u32 = 1 << 29;
pub(super) const IPE: u32 = 1 << 30;
pub(super) const RXE: u32 = 1 << 31;

/// A descriptor with an empty buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Free {
    pub(super) index: u16,
    pub(super) buffer: u64,
}

impl Free {
    pub(super) fn new(index: u16, bytes: &[u8]) -> Self {
        let mut address = [0; 8];
        address.copy_from_slice(&bytes[..8]);
        Self { index, buffer: u64::from_le_bytes(address) }
    }
}

/// What will be written back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) index: u16,
    pub(super) words: [u32; 4],
    /// It ends a frame.
    pub(super) ends: bool,
}

impl Written {
    pub(super) fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(self.words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// What is known of a frame as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Verdict {
    /// Packet type and RSS type.
    pub(super) kind: u32,
    /// RSS hash, or IP identification.
    pub(super) hash: u32,
    /// Status and errors, besides DD and EOP.
    pub(super) status: u32,
    pub(super) vlan: u16,
}

impl Verdict {
    /// The words of one of the frame's descriptors. Status, errors and tag are in the last.
    pub(super) fn words(&self, is_legacy: bool, length: usize, ends: bool) -> [u32; 4] {
        let status = if ends { DD | EOP | self.status } else { DD };
        let vlan = if ends { u32::from(self.vlan) << 16 } else { 0 };
        if is_legacy {
            let errors = (status >> 29 & 7) << 13;
            return [0, 0, length as u32, status & 0xFF | errors | vlan];
        }
        [self.kind, self.hash, status, length as u32 | vlan]
    }
}
