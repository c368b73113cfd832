//! What one CPU is to do for another, which waits meanwhile: so the stack is handed over, and never shared.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering};

/// Nothing is to be done, or all is done.
const EMPTY: u8 = 0;
/// Work lies there.
const POSTED: u8 = 1;
/// It was taken, and is being done.
const TAKEN: u8 = 2;

/// How far work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nobody has taken it.
    Posted,
    /// It is being done.
    Taken,
    /// It is done.
    Done,
}

/// Room for one piece of work, between a CPU that posts it and waits, and one that does it.
pub struct Mailbox {
    state: AtomicU8,
    /// Where the work lies, which is as long as the one that posted it waits: a `&mut dyn FnMut()`.
    work: AtomicPtr<()>,
    /// How often work was done, by which local APIC last.
    done: AtomicU64,
    done_by: AtomicU8,
}

impl Mailbox {
    /// One without work.
    pub const fn new() -> Self {
        Self {
            state: AtomicU8::new(EMPTY),
            work: AtomicPtr::new(null_mut()),
            done: AtomicU64::new(0),
            done_by: AtomicU8::new(0),
        }
    }

    /// Lays work there, which is someone else's until [`Self::progress`] says that it is done.
    ///
    /// # Safety
    /// Who posts it keeps it, and touches neither it nor what it reaches, until it is done.
    pub unsafe fn post(&self, work: &mut &mut dyn FnMut()) {
        self.work.store(core::ptr::from_mut(work).cast(), Ordering::Relaxed);
        // What was written before is seen by who takes it.
        self.state.store(POSTED, Ordering::Release);
    }

    /// How far the work has come. What it has written is seen where it is done.
    pub fn progress(&self) -> Progress {
        match self.state.load(Ordering::Acquire) {
            POSTED => Progress::Posted,
            TAKEN => Progress::Taken,
            _ => Progress::Done,
        }
    }

    /// Does what lies there, if anything does, and notes by which local APIC it was done.
    pub fn serve(&self, apic_id: u8) {
        if self.state.load(Ordering::Acquire) != POSTED {
            return;
        }
        self.state.store(TAKEN, Ordering::Relaxed);
        let work = self.work.swap(null_mut(), Ordering::Relaxed).cast::<&mut dyn FnMut()>();
        // SAFETY: who posted it keeps it and does not touch it, until it is done.
        unsafe { (*work)() }
        self.done_by.store(apic_id, Ordering::Relaxed);
        self.done.fetch_add(1, Ordering::Relaxed);
        self.state.store(EMPTY, Ordering::Release);
    }

    /// How often work was done, and by which local APIC last.
    pub fn done(&self) -> (u64, u8) {
        (self.done.load(Ordering::Relaxed), self.done_by.load(Ordering::Relaxed))
    }
}
