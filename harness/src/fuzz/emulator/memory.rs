//! Memory that the device reaches as far as it is lent; what it is refused is counted.

use nic_emu::{DmaFault, HostMemory};

/// Where it begins, as the device sees it.
pub const BASE: u64 = 0x1_0000;
/// Its size in bytes.
pub const BYTES: usize = 1 << 18;
/// Lent and taken back in pieces of this size.
const PIECE: usize = 4096;

/// The memory of a wild driver.
pub struct Ram {
    bytes: Vec<u8>,
    /// For each piece: may the device read it, may it write it.
    lent: [(bool, bool); BYTES / PIECE],
    /// Accesses that were granted.
    pub granted: u64,
    /// Accesses that were refused.
    pub refused: u64,
}

impl Ram {
    /// All of it zero, and lent for both.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: vec![0; BYTES], lent: [(true, true); BYTES / PIECE], granted: 0, refused: 0 }
    }

    /// Says who may do what with the piece that holds `addr`.
    pub fn lend(&mut self, addr: u64, read: bool, write: bool) {
        self.lent[(addr as usize % BYTES) / PIECE] = (read, write);
    }

    /// The driver writes; what lies outside is not there.
    pub fn put(&mut self, addr: u64, bytes: &[u8]) {
        for (at, byte) in (addr..).zip(bytes) {
            if let Some(there) = at.checked_sub(BASE).and_then(|at| self.bytes.get_mut(at as usize)) {
                *there = *byte;
            }
        }
    }

    fn reach(&mut self, addr: u64, len: usize, writes: bool) -> Result<std::ops::Range<usize>, DmaFault> {
        let from = addr.checked_sub(BASE).and_then(|from| usize::try_from(from).ok());
        let range = from.filter(|from| *from <= BYTES && len <= BYTES - from).map(|from| from..from + len);
        let may = |range: &std::ops::Range<usize>| {
            let mut pieces = (range.start / PIECE)..range.end.div_ceil(PIECE);
            pieces.all(|piece| if writes { self.lent[piece].1 } else { self.lent[piece].0 })
        };
        match range.filter(may) {
            Some(range) => {
                self.granted += 1;
                Ok(range)
            }
            None => {
                self.refused += 1;
                Err(DmaFault)
            }
        }
    }
}

impl Default for Ram {
    fn default() -> Self {
        Self::new()
    }
}

impl HostMemory for Ram {
    fn read(&mut self, addr: u64, into: &mut [u8]) -> Result<(), DmaFault> {
        let range = self.reach(addr, into.len(), false)?;
        into.copy_from_slice(&self.bytes[range]);
        Ok(())
    }

    fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), DmaFault> {
        let range = self.reach(addr, bytes.len(), true)?;
        self.bytes[range].copy_from_slice(bytes);
        Ok(())
    }
}
