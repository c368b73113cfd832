//! Pages that must not be touched: who follows a null pointer, or recurses without end, is told.

use alloc::alloc::{Layout, alloc};
use core::ptr::{addr_of, addr_of_mut, write_volatile};
use x86_64::instructions::tlb;

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// What an entry of the page directories maps, and into how many pages it can be split.
const LARGE_PAGE: usize = 2 << 20;
const ENTRIES: usize = 512;
/// Of an entry: it is there, and may be written.
const PRESENT: u64 = 0x3;
/// Of an entry of a page directory: it maps a large page.
const IS_LARGE: u64 = 0x80;

unsafe extern "C" {
    static mut page_directories: [u64; 2048];
    static __stack_guard: u8;
}

/// Takes away page 0 and the page below the first CPU's stack.
pub fn guard() {
    take_away(0);
    take_away(addr_of!(__stack_guard) as usize);
}

/// Takes away the page at an address below 4 GiB, for this CPU, and for those that start later.
///
/// # Panics
/// If there is no memory for the table that a large page is split into.
pub fn take_away(address: usize) {
    // SAFETY: `boot.s` maps each address where it is, in four directories one behind the other, and nobody else changes them: the other
    // CPUs have not started. What lies in the page is nobody's.
    unsafe {
        let directory = addr_of_mut!(page_directories).cast::<u64>();
        let entry = directory.add(address / LARGE_PAGE);
        if entry.read() & IS_LARGE != 0 {
            write_volatile(entry, split(entry.read()) as u64 | PRESENT);
        }
        let table = (entry.read() as usize & !(PAGE - 1)) as *mut u64;
        write_volatile(table.add(address / PAGE % ENTRIES), 0);
    }
    tlb::flush_all();
}

/// A table that maps the same as an entry for a large page.
fn split(large: u64) -> usize {
    let layout = Layout::new::<Table>();
    // SAFETY: the layout has a size greater than zero; the table is aligned to its own size, as entries need it, and never freed.
    unsafe {
        let table = alloc(layout).cast::<Table>();
        assert!(!table.is_null(), "QEMU needs -m with more memory for the tables of pages");
        let flags = large & !IS_LARGE;
        table.write(Table(core::array::from_fn(|page| flags + (page * PAGE) as u64)));
        table as usize
    }
}

#[repr(C, align(4096))]
struct Table([u64; ENTRIES]);
