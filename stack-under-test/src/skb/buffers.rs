//! Counted buffers in the DMA region: linear ones for headers and received frames, pages for the rest, and where they lie.

use super::{BufId, HEAD_BYTES, PAGE_BYTES, SkbPool};

impl SkbPool {
    /// Takes a linear buffer, with one reference.
    #[inline(always)]
    pub fn alloc_head(&mut self) -> Option<BufId> {
        if self.free_heads.is_empty() {
            self.take_apart()?;
        }
        let buf = self.free_heads.pop()?;
        self.refs[buf as usize] = 1;
        Some(BufId(buf))
    }

    /// Takes a page buffer, with one reference.
    #[inline]
    pub fn alloc_page(&mut self) -> Option<BufId> {
        let buf = self.free_pages.pop()?;
        self.refs[buf as usize] = 1;
        Some(BufId(buf))
    }

    /// One more reference to a buffer.
    #[inline]
    pub fn get_buf(&mut self, buf: BufId) {
        self.refs[buf.0 as usize] += 1;
    }

    /// One reference less; the last one gives it back.
    #[inline(always)]
    pub fn put_buf(&mut self, buf: BufId) {
        let refs = &mut self.refs[buf.0 as usize];
        *refs -= 1;
        if *refs == 0 {
            if buf.0 < self.heads { self.free_heads.push(buf.0) } else { self.free_pages.push(buf.0) }
        }
    }

    /// [`Self::buf_offset`] of a linear buffer.
    #[inline(always)]
    #[must_use]
    pub fn head_offset(&self, buf: BufId) -> usize {
        debug_assert!(buf.0 < self.heads);
        self.heads_at + buf.0 as usize * HEAD_BYTES
    }

    /// Where a buffer begins in the DMA region.
    #[inline(always)]
    #[must_use]
    pub fn buf_offset(&self, buf: BufId) -> usize {
        if buf.0 < self.heads {
            self.heads_at + buf.0 as usize * HEAD_BYTES
        } else {
            self.pages_at + (buf.0 - self.heads) as usize * PAGE_BYTES
        }
    }

    /// Page buffers that are free.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn free_pages(&self) -> usize {
        self.free_pages.len()
    }

    /// Linear buffers that are free.
    #[must_use]
    pub fn free_heads(&self) -> usize {
        self.free_heads.len() + self.whole.len()
    }

    /// Whether at least half of the linear buffers are free: `sk_memory_allocated` is below the first number of `tcp_mem`.
    pub(crate) fn is_half_free(&self) -> bool {
        self.free_heads() >= self.heads as usize / 2
    }
}
