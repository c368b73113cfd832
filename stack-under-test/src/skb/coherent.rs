//! Memory for descriptor rings: taken and given back in whole pages, from the end of the DMA region.

use super::SkbPool;
use alloc::vec::Vec;

/// Memory for descriptors that both sides read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coherent {
    /// Where it begins in the DMA region.
    pub offset: usize,
    /// Its size in bytes.
    pub len: usize,
}

impl SkbPool {
    /// Takes `len` bytes for a descriptor ring, aligned to a page, zeroed.
    pub fn alloc_coherent(&mut self, len: usize) -> Option<Coherent> {
        let len = len.next_multiple_of(crate::dma::PAGE_BYTES);
        let at = self.coherent_free.iter().position(|free| free.len >= len)?;
        let free = &mut self.coherent_free[at];
        let taken = Coherent { offset: free.offset, len };
        free.offset += len;
        free.len -= len;
        if free.len == 0 {
            self.coherent_free.remove(at);
        }
        self.mem.zero(taken.offset, taken.len);
        Some(taken)
    }

    /// Gives a ring's memory back.
    pub fn free_coherent(&mut self, region: Coherent) {
        let at = self.coherent_free.partition_point(|free| free.offset < region.offset);
        self.coherent_free.insert(at, region);
        let merge = |list: &mut Vec<Coherent>, i: usize| {
            if i + 1 < list.len() && list[i].offset + list[i].len == list[i + 1].offset {
                list[i].len += list[i + 1].len;
                list.remove(i + 1);
            }
        };
        merge(&mut self.coherent_free, at);
        if at > 0 {
            merge(&mut self.coherent_free, at - 1);
        }
    }
}
