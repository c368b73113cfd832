//! The heap: all of the memory above the image that QEMU says is there.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{addr_of, read_unaligned};
use core::sync::atomic::{AtomicU64, Ordering};
use spinning_top::RawSpinlock;
use talc::TalcLock;
use talc::source::Manual;

static HEAP: TalcLock<RawSpinlock, Manual> = TalcLock::new(Manual);

#[global_allocator]
static COUNTED: Counted = Counted;

/// Bytes that were asked for and not given back.
static IN_USE: AtomicU64 = AtomicU64::new(0);

/// The heap, and how much of it is in use.
struct Counted;

// SAFETY: all of it is the heap's; the count has no part in it.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as the caller has it.
        unsafe { HEAP.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as the caller has it.
        unsafe { HEAP.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        IN_USE.fetch_add(bytes as u64, Ordering::Relaxed);
        IN_USE.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as the caller has it.
        unsafe { HEAP.realloc(at, layout, bytes) }
    }
}

/// How much of the heap is in use, in bytes.
pub fn in_use() -> u64 {
    IN_USE.load(Ordering::Relaxed)
}

unsafe extern "C" {
    static __image_end: u8;
}

/// Xen's `hvm_start_info`, version 1, as QEMU's `-kernel` fills it in (xen/include/public/arch-x86/hvm/start_info.h).
#[repr(C)]
#[derive(Clone, Copy)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_entries: u32,
}

/// `hvm_memmap_table_entry`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Range {
    start: u64,
    bytes: u64,
    kind: u32,
    reserved: u32,
}

/// Of a range: it is RAM.
const RAM: u32 = 1;
const MAGIC: u32 = 0x336e_c578;
/// What is mapped, and no device.
const MAPPED_END: u64 = 0xb000_0000;

/// Gives the allocator what lies between the image and the end of the memory; how many bytes that is.
///
/// # Panics
/// If QEMU did not say what memory there is.
pub fn initialise(start_info: u64) -> u64 {
    // SAFETY: PVH has the address in EBX, and all of the first 4 GiB is mapped.
    let info = unsafe { read_unaligned(start_info as *const StartInfo) };
    assert!(info.magic == MAGIC && info.version >= 1, "the loader speaks no PVH with a map of the memory");
    let mut claimed = 0;
    for entry in 0..u64::from(info.memory_map_entries) {
        let at = info.memory_map + entry * size_of::<Range>() as u64;
        // SAFETY: as above.
        let range = unsafe { read_unaligned(at as *const Range) };
        let start = range.start.max(addr_of!(__image_end) as u64);
        let end = range.start.saturating_add(range.bytes).min(MAPPED_END);
        if range.kind == RAM && start < end {
            let bytes = end - start;
            // SAFETY: RAM that is mapped, behind the image, and nobody else's: QEMU loads no module for us.
            if unsafe { HEAP.lock().claim(start as *mut u8, bytes as usize) }.is_some() {
                claimed += bytes;
            }
        }
    }
    assert!(claimed > 0, "no memory above the image");
    claimed
}
