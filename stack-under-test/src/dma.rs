//! Memory that the device can reach: one region, addressed by offset here and by bus address there.
//!
//! The only file of the stack with `unsafe` in it. The region is shared with a device, so nothing keeps a reference into it
//! across a call that could let the device run; descriptors are read and written with volatile accesses.
//!
//! A part of the region at its end can be set apart ([`DmaMemory::set_apart`]): it is read and written by copies only, no
//! reference into it exists, and so somebody else in the same thread may look into it at any time through a [`DmaPeer`], and a
//! driver has its [`Descriptors`] there.
#![expect(
    unsafe_code,
    reason = "memory shared with a device is reached through a raw pointer, and only in this file"
)]

use alloc::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use alloc::rc::Rc;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};

/// The alignment of an owned region, and of the bus address of every region: a page.
pub const PAGE_BYTES: usize = 4096;

/// A region of memory that the device can reach. It stays in the thread that made it.
#[derive(Debug)]
pub struct DmaMemory {
    base: NonNull<u8>,
    len: usize,
    /// References are given out up to here; the rest of the region is set apart.
    slices: usize,
    bus_base: u64,
    /// What the allocator gave, if the region is our own: `base` is the first page boundary in it.
    owned: Option<Rc<Owned>>,
}

/// An allocation of [`DmaMemory::zeroed`], freed with the last who refers to it.
#[derive(Debug)]
struct Owned {
    start: NonNull<u8>,
    layout: Layout,
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: `zeroed` made it with this layout, and it is freed once: this value is not copied.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

/// A look into the part of a region that is set apart, as the device could take it at that moment.
#[derive(Debug)]
pub struct DmaPeer {
    /// Where the part begins.
    start: NonNull<u8>,
    len: usize,
    bus_start: u64,
    /// Keeps the bytes alive: the region itself may be gone.
    _owned: Rc<Owned>,
}

impl DmaPeer {
    /// Copies out the bytes at the bus address `addr`. `false`, and nothing copied, when not all lie within the part.
    #[must_use]
    pub fn read(&self, addr: u64, into: &mut [u8]) -> bool {
        let offset = addr.checked_sub(self.bus_start).and_then(|offset| usize::try_from(offset).ok());
        let Some(offset) = offset.filter(|&at| at <= self.len && into.len() <= self.len - at) else {
            return false;
        };
        // SAFETY: within the part (checked), which the allocation outlives (`_owned`); nobody has a reference into it, as
        // `DmaMemory` gives none beyond `slices`, so that `into` lies elsewhere too; and nobody writes at the same time, as
        // neither value leaves its thread (`NonNull` and `Rc` are not `Send`).
        unsafe { self.start.as_ptr().add(offset).copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) }
        true
    }
}

/// The size of a descriptor in bytes.
pub const DESCRIPTOR_BYTES: usize = 16;

/// Descriptors that are shared with a device: each two little-endian words of 64 bits, read and written one by one.
#[derive(Debug)]
pub struct Descriptors {
    /// The first word of the first one.
    first: NonNull<u64>,
    count: u16,
    /// Keeps the bytes alive when the region is our own: the region itself may be gone.
    _owned: Option<Rc<Owned>>,
}

impl Descriptors {
    #[inline(always)]
    fn at(&self, i: u16) -> Descriptor<'_> {
        assert!(i < self.count, "beyond the last descriptor");
        // SAFETY: within the descriptors (checked), which lie within the region (`DmaMemory::descriptors`).
        let at = unsafe { self.first.add(usize::from(i) * 2) };
        Descriptor { at, _descriptors: PhantomData }
    }

    /// Writes descriptor `i`, the first word first.
    ///
    /// # Panics
    /// If there is none of this number.
    #[inline(always)]
    pub fn write(&mut self, i: u16, words: [u64; 2]) {
        self.at(i).write(words);
    }

    /// The second word of descriptor `i`, which the device may have written.
    ///
    /// # Panics
    /// If there is none of this number.
    #[inline(always)]
    #[must_use]
    pub fn second(&self, i: u16) -> u64 {
        self.at(i).second()
    }

    /// Descriptors in a row from `first` on, each with one of `beside`.
    ///
    /// # Panics
    /// If there are fewer of them.
    #[inline(always)]
    pub fn row<'a, T>(&'a mut self, first: u16, beside: &'a mut [T]) -> Row<'a, T> {
        let room = self.count.checked_sub(first).expect("beyond the last descriptor");
        assert!(beside.len() <= usize::from(room), "beyond the last descriptor");
        // SAFETY: it lies within the descriptors or behind the last of them (checked).
        let at = unsafe { self.first.add(usize::from(first) * 2) };
        Row { at, beside: beside.iter_mut() }
    }
}

/// Descriptors in a row, one after the other, each with what its owner keeps beside it.
#[derive(Debug)]
pub struct Row<'a, T> {
    /// The first word of the next one, if there is one more in `beside`.
    at: NonNull<u64>,
    beside: core::slice::IterMut<'a, T>,
}

impl<'a, T> Iterator for Row<'a, T> {
    type Item = (Descriptor<'a>, &'a mut T);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let beside = self.beside.next()?;
        let at = self.at;
        // SAFETY: there was one more in `beside`, so there is a descriptor here (`Descriptors::row`), and this is its end.
        self.at = unsafe { at.add(2) };
        Some((Descriptor { at, _descriptors: PhantomData }, beside))
    }
}

/// One descriptor.
#[derive(Debug)]
pub struct Descriptor<'a> {
    at: NonNull<u64>,
    _descriptors: PhantomData<&'a mut Descriptors>,
}

impl Descriptor<'_> {
    /// Writes it, the first word first.
    #[inline(always)]
    pub fn write(&mut self, words: [u64; 2]) {
        // SAFETY: both words are within the region and aligned; the region is alive, as the descriptors are (their `_owned`, or
        // the promise of `DmaMemory::from_raw`); nobody has a reference there, as it lies in the part that is set apart.
        unsafe {
            self.at.write_volatile(words[0].to_le());
            self.at.add(1).write_volatile(words[1].to_le());
        }
    }

    /// Its second word, which the device may have written.
    #[inline(always)]
    #[must_use]
    pub fn second(&self) -> u64 {
        // SAFETY: as in `write`.
        u64::from_le(unsafe { self.at.add(1).read_volatile() })
    }
}

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
        let Some(start) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: the allocation has a page more than `len`, so the next page boundary and `len` bytes lie within it.
        let base = unsafe { start.add(start.align_offset(PAGE_BYTES)) };
        Self { base, len, slices: len, bus_base, owned: Some(Rc::new(Owned { start, layout })) }
    }

    /// A region that somebody else owns: mapped from a file, a hugepage, or a guest's physical memory.
    ///
    /// # Safety
    /// `base` must be valid for reads and writes of `len` bytes for as long as the value and all [`Descriptors`] of it
    /// live, aligned to [`PAGE_BYTES`], and reached by nobody else in this program.
    #[must_use]
    pub unsafe fn from_raw(base: NonNull<u8>, len: usize, bus_base: u64) -> Self {
        Self { base, len, slices: len, bus_base, owned: None }
    }

    /// Sets the region apart from `offset` on: [`Self::bytes`] and [`Self::bytes_mut`] panic there from now on, the
    /// accesses to words and the copies stay. Gives a second handle on that part; what was set apart before stays so.
    /// `None` when the region is somebody else's ([`Self::from_raw`]): nothing would keep it alive for the handle.
    ///
    /// # Panics
    /// If `offset` lies beyond the region.
    #[must_use]
    pub fn set_apart(&mut self, offset: usize) -> Option<DmaPeer> {
        self.keep_apart(offset);
        let owned = Rc::clone(self.owned.as_ref()?);
        // SAFETY: within the region, or at its end (checked).
        let start = unsafe { self.base.add(offset) };
        Some(DmaPeer { start, len: self.len - offset, bus_start: self.bus_addr(offset), _owned: owned })
    }

    /// [`Self::set_apart`] without a second handle.
    ///
    /// # Panics
    /// If `offset` lies beyond the region.
    pub fn keep_apart(&mut self, offset: usize) {
        self.check(offset, 0);
        self.slices = self.slices.min(offset);
    }

    /// A handle on `count` descriptors at `offset`, which no other handle is to reach. `None` when they do not all lie within
    /// the part that is set apart, or are not aligned to their size.
    #[must_use]
    pub fn descriptors(&mut self, offset: usize, count: u16) -> Option<Descriptors> {
        let bytes = usize::from(count) * DESCRIPTOR_BYTES;
        if offset < self.slices
            || self.len.checked_sub(offset)? < bytes
            || !offset.is_multiple_of(DESCRIPTOR_BYTES)
        {
            return None;
        }
        // SAFETY: within the region (checked).
        let first = unsafe { self.base.add(offset) }.cast();
        Some(Descriptors { first, count, _owned: self.owned.clone() })
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

    #[inline(always)]
    fn check_slice(&self, offset: usize, len: usize) {
        assert!(offset <= self.slices && len <= self.slices - offset, "outside the DMA region, or set apart");
    }

    /// The bytes at `offset`.
    ///
    /// # Panics
    /// If they do not lie within the region, or are set apart.
    #[inline(always)]
    #[must_use]
    pub fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        self.check_slice(offset, len);
        // SAFETY: within the region (checked); initialised (zeroed at first); not written while borrowed, since writing
        // takes `&mut self` and the device is not run while the stack is.
        unsafe { core::slice::from_raw_parts(self.base.as_ptr().add(offset), len) }
    }

    /// The bytes at `offset`, to be written.
    ///
    /// # Panics
    /// If they do not lie within the region, or are set apart.
    #[inline(always)]
    #[must_use]
    pub fn bytes_mut(&mut self, offset: usize, len: usize) -> &mut [u8] {
        self.check_slice(offset, len);
        // SAFETY: as in `bytes`, and exclusive through `&mut self`.
        unsafe { core::slice::from_raw_parts_mut(self.base.as_ptr().add(offset), len) }
    }

    /// Copies the bytes at `offset` out.
    ///
    /// # Panics
    /// If they do not lie within the region.
    pub fn copy_out(&self, offset: usize, into: &mut [u8]) {
        self.check(offset, into.len());
        // SAFETY: within the region (checked); `into` is not, as a reference into the region borrows `self` mutably.
        unsafe { self.base.as_ptr().add(offset).copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) }
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Panics
    /// If they do not lie within the region.
    pub fn copy_in(&mut self, offset: usize, bytes: &[u8]) {
        self.check(offset, bytes.len());
        // SAFETY: within the region (checked); `bytes` are not, as a reference into the region borrows `self`.
        unsafe { self.base.as_ptr().add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    /// Writes zero to `len` bytes at `offset`.
    ///
    /// # Panics
    /// If they do not lie within the region.
    pub fn zero(&mut self, offset: usize, len: usize) {
        self.check(offset, len);
        // SAFETY: within the region (checked), and nobody has a reference into it, through `&mut self`.
        unsafe { self.base.as_ptr().add(offset).write_bytes(0, len) }
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

    /// Reads the little-endian 64-bit word at `offset`, which the device may write.
    ///
    /// # Panics
    /// If it does not lie within the region or is not aligned to its size.
    #[inline(always)]
    #[must_use]
    pub fn read_le64(&self, offset: usize) -> u64 {
        self.check(offset, 8);
        assert!(offset.is_multiple_of(8));
        // SAFETY: as in `read_le32`.
        u64::from_le(unsafe { self.base.as_ptr().add(offset).cast::<u64>().read_volatile() })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_set_apart_is_seen_by_both_handles_even_when_the_region_is_gone() {
        let mut memory = DmaMemory::zeroed(2 * PAGE_BYTES, 0x1_0000);
        let peer = memory.set_apart(PAGE_BYTES).expect("a region of our own");
        memory.descriptors(PAGE_BYTES, 2).expect("two descriptors").write(1, [1, 2]);
        memory.copy_in(2 * PAGE_BYTES - 2, &[3, 4]);
        drop(memory);
        let mut seen = [0; 16];
        assert!(peer.read(0x1_0000 + 4096 + 16, &mut seen));
        assert_eq!(seen, [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        assert!(peer.read(0x1_0000 + 8192 - 2, &mut seen[..2]));
        assert_eq!(seen[..2], [3, 4]);
        assert!(!peer.read(0x1_0000 + 8192 - 2, &mut seen[..3]), "beyond the end");
        assert!(!peer.read(0x1_0000 + 4095, &mut seen[..1]), "before the part");
        assert!(!peer.read(0, &mut seen[..1]), "before the region");
    }

    #[test]
    #[should_panic(expected = "set apart")]
    fn no_reference_is_given_into_what_is_set_apart() {
        let mut memory = DmaMemory::zeroed(2 * PAGE_BYTES, 0);
        let _peer = memory.set_apart(PAGE_BYTES);
        let _ = memory.set_apart(2 * PAGE_BYTES);
        let _ = memory.bytes(PAGE_BYTES - 1, 2);
    }

    #[test]
    fn descriptors_lie_where_no_reference_reaches() {
        let mut memory = DmaMemory::zeroed(2 * PAGE_BYTES, 0);
        memory.keep_apart(PAGE_BYTES);
        assert!(memory.descriptors(PAGE_BYTES - 16, 1).is_none(), "before the part");
        assert!(memory.descriptors(PAGE_BYTES + 8, 1).is_none(), "not aligned");
        assert!(memory.descriptors(2 * PAGE_BYTES - 16, 2).is_none(), "beyond the end");
        assert!(memory.descriptors(3 * PAGE_BYTES, 0).is_none(), "beyond the region");
        let descriptors = memory.descriptors(2 * PAGE_BYTES - 32, 2).expect("the last two");
        memory.write_le64(2 * PAGE_BYTES - 8, 7);
        drop(memory);
        assert_eq!((descriptors.second(0), descriptors.second(1)), (0, 7));
    }

    #[test]
    #[should_panic(expected = "beyond the last descriptor")]
    fn there_is_no_descriptor_beyond_the_last() {
        let mut memory = DmaMemory::zeroed(2 * PAGE_BYTES, 0);
        memory.keep_apart(PAGE_BYTES);
        memory.descriptors(PAGE_BYTES, 2).expect("two descriptors").write(2, [0; 2]);
    }

    #[test]
    fn copies_and_zeroes_reach_what_is_set_apart() {
        let mut memory = DmaMemory::zeroed(2 * PAGE_BYTES, 0);
        let _peer = memory.set_apart(PAGE_BYTES);
        memory.copy_in(PAGE_BYTES - 1, &[1, 2, 3]);
        memory.zero(PAGE_BYTES, 1);
        let mut bytes = [9; 3];
        memory.copy_out(PAGE_BYTES - 1, &mut bytes);
        assert_eq!(bytes, [1, 0, 3]);
    }
}
