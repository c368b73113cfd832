//! What is counted: the system's allocator, with a count of how often it was asked; and a function that callgrind counts in.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

static COUNTS: AtomicBool = AtomicBool::new(false);

/// Whether something is part of what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    Yes,
    No,
}

static BEGUN: AtomicBool = AtomicBool::new(false);

/// From now on, what is [`measured`] is counted.
pub fn begin() {
    BEGUN.store(true, Ordering::Relaxed);
}

/// Does something, and, once it has begun, counts its allocations and, with callgrind's `--toggle-collect=measured_call`, its instructions.
pub fn measured(counts: Counted, call: &mut dyn FnMut()) {
    match counts {
        Counted::Yes if BEGUN.load(Ordering::Relaxed) => {
            COUNTS.store(true, Ordering::Relaxed);
            measured_call(call);
            COUNTS.store(false, Ordering::Relaxed);
        }
        _ => call(),
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
fn measured_call(call: &mut dyn FnMut()) {
    call();
}

/// How often memory was asked for so far, in what is counted.
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

fn count() {
    if COUNTS.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: each call goes to the system's allocator as it stands.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
