//! Memory that the device can reach: one region, addressed by offset here and by bus address there.
//!
//! The only file of the stack with `unsafe` in it. The region is shared with a device, so nothing keeps a reference into it
//! across a call that could let the device run; descriptors are read and written with volatile accesses.
#![expect(
    unsafe_code,
    reason = "memory shared with a device is reached through a raw pointer, and only in this file"
)]

use alloc::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};

/// The alignment of an owned region, and of the bus address of every region: a page.
pub const PAGE_BYTES: usize = 4096;

/// A region of memory that the device can reach.
#[derive(Debug)]
pub struct DmaMemory {
    base: NonNull<u8>,
    len: usize,
    bus_base: u64,
    /// What the allocator gave, if the region is our own: `base` is the first page boundary in it.
    owned: Option<NonNull<u8>>,
}

// SAFETY: the region is reached only through this value, which is not shared between threads (no `Sync`); the device that
// reaches it as well is not a thread of this program, or is stepped by whoever holds the value.
unsafe impl Send for DmaMemory {}

impl DmaMemory {
    /// A zeroed region of `len` bytes on the heap, which the device finds at `bus_base`.
    ///
    /// # Panics
    /// If `len` is zero, or `bus_base` is not a multiple of [`PAGE_BYTES`].
    #[must_use]
    pub fn zeroed(len: usize, bus_base: u64) -> Self {
        assert!(len > 0 && bus_base.is_multiple_of(PAGE_BYTES as u64));
        let layout = Self::layout(len);
        // SAFETY: the layout has a size greater than zero (asserted above).
        let Some(owned) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: the allocation has a page more than `len`, so the next page boundary and `len` bytes lie within it.
        let base = unsafe { owned.add(owned.align_offset(PAGE_BYTES)) };
        Self { base, len, bus_base, owned: Some(owned) }
    }

    /// A region that somebody else owns: mapped from a file, a hugepage, or a guest's physical memory.
    ///
    /// # Safety
    /// `base` must be valid for reads and writes of `len` bytes for as long as the value lives, aligned to
    /// [`PAGE_BYTES`], and reached by nobody else in this program.
    #[must_use]
    pub unsafe fn from_raw(base: NonNull<u8>, len: usize, bus_base: u64) -> Self {
        Self { base, len, bus_base, owned: None }
    }

    /// A page more than `len`, with the allocator's own alignment: asked for zeroed memory aligned to a page, it would
    /// write to all of it; asked like this, it maps pages that are zero until they are touched.
    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len + PAGE_BYTES, 16).expect("a region's size fits the address space")
    }

    /// The size of the region in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a region is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The bus address of the byte at `offset`.
    #[inline]
    #[must_use]
    pub fn bus_addr(&self, offset: usize) -> u64 {
        self.bus_base + offset as u64
    }

    /// The offset of `len` bytes at the bus address `addr`, if all of them lie within the region.
    #[must_use]
    pub fn offset_of(&self, addr: u64, len: usize) -> Option<usize> {
        let offset = usize::try_from(addr.checked_sub(self.bus_base)?).ok()?;
        (offset.checked_add(len)? <= self.len).then_some(offset)
    }

    #[inline(always)]
    fn check(&self, offset: usize, len: usize) {
        assert!(offset <= self.len && len <= self.len - offset, "outside the DMA region");
    }

    /// The bytes at `offset`.
    ///
    /// # Panics
    /// If they do not lie within the region.
    #[inline(always)]
    #[must_use]
    pub fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        self.check(offset, len);
        // SAFETY: within the region (checked); initialised (zeroed at first); not written while borrowed, since writing
        // takes `&mut self` and the device is not run while the stack is.
        unsafe { core::slice::from_raw_parts(self.base.as_ptr().add(offset), len) }
    }

    /// The bytes at `offset`, to be written.
    ///
    /// # Panics
    /// If they do not lie within the region.
    #[inline(always)]
    #[must_use]
    pub fn bytes_mut(&mut self, offset: usize, len: usize) -> &mut [u8] {
        self.check(offset, len);
        // SAFETY: as in `bytes`, and exclusive through `&mut self`.
        unsafe { core::slice::from_raw_parts_mut(self.base.as_ptr().add(offset), len) }
    }

    /// Reads the little-endian 32-bit word at `offset`, which the device may have written.
    ///
    /// # Panics
    /// If it does not lie within the region or is not aligned to its size.
    #[inline]
    #[must_use]
    pub fn read_le32(&self, offset: usize) -> u32 {
        self.check(offset, 4);
        assert!(offset.is_multiple_of(4));
        // SAFETY: within the region and aligned (both checked; the base is aligned to a page).
        u32::from_le(unsafe { self.base.as_ptr().add(offset).cast::<u32>().read_volatile() })
    }

    /// Writes the little-endian 32-bit word at `offset`, which the device may read.
    ///
    /// # Panics
    /// If it does not lie within the region or is not aligned to its size.
    #[inline]
    pub fn write_le32(&mut self, offset: usize, value: u32) {
        self.check(offset, 4);
        assert!(offset.is_multiple_of(4));
        // SAFETY: as in `read_le32`.
        unsafe { self.base.as_ptr().add(offset).cast::<u32>().write_volatile(value.to_le()) }
    }

    /// Writes the little-endian 64-bit word at `offset`, which the device may read.
    ///
    /// # Panics
    /// If it does not lie within the region or is not aligned to its size.
    #[inline]
    pub fn write_le64(&mut self, offset: usize, value: u64) {
        self.check(offset, 8);
        assert!(offset.is_multiple_of(8));
        // SAFETY: as in `read_le32`.
        unsafe { self.base.as_ptr().add(offset).cast::<u64>().write_volatile(value.to_le()) }
    }

    /// Writes two little-endian 64-bit words at `offset`, the first one first: a descriptor.
    ///
    /// # Panics
    /// If they do not lie within the region or are not aligned to 8 bytes.
    #[inline(always)]
    pub fn write_le64_pair(&mut self, offset: usize, words: [u64; 2]) {
        self.check(offset, 16);
        assert!(offset.is_multiple_of(8));
        // SAFETY: as in `read_le32`, for both words.
        unsafe {
            let at = self.base.as_ptr().add(offset).cast::<u64>();
            at.write_volatile(words[0].to_le());
            at.add(1).write_volatile(words[1].to_le());
        }
    }

    /// All that the device wrote before the word that was just read is visible to the reads that follow (`dma_rmb`).
    #[inline]
    pub fn read_barrier(&self) {
        fence(Ordering::Acquire);
    }

    /// All that was written before is visible to the device before what is written next (`dma_wmb`).
    #[inline]
    pub fn write_barrier(&self) {
        fence(Ordering::Release);
    }
}

impl Drop for DmaMemory {
    fn drop(&mut self) {
        if let Some(owned) = self.owned {
            // SAFETY: `zeroed` made it with this layout, and it is freed once.
            unsafe { dealloc(owned.as_ptr(), Self::layout(self.len)) }
        }
    }
}
