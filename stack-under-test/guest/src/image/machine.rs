//! The stack on this machine: its memory, its interrupts, its time.

use super::bus::{self, FIRST_INTERRUPT, GuestBus};
use super::cpu;
use super::pci::Addresses;
use alloc::alloc::{Layout, alloc_zeroed};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ptr::NonNull;
use stack_under_test::dma::{DmaMemory, PAGE_BYTES};
use stack_under_test::stack::{Config, Stack};
use stack_under_test::time::Instant;

/// The stack, and what it has of the machine.
pub struct Machine {
    /// The stack.
    pub stack: Stack,
    /// How often each vector of the NIC came and was told to the stack.
    told: Vec<u64>,
}

impl Machine {
    /// A stack that has done nothing yet. `None`: there is no NIC.
    ///
    /// # Panics
    /// If the memory is not enough for the stack's buffers.
    pub fn new(config: &Config, addresses: &mut Addresses) -> Option<Self> {
        let (bus, vectors) = bus::find(addresses)?;
        Some(Self { stack: stack(config, bus), told: vec![0; usize::from(vectors)] })
    }

    /// Tells the stack of the interrupts that came, at `now`. Whether there were any.
    pub fn deliver(&mut self, now: Instant) -> bool {
        let mut any = false;
        for (vector, told) in self.told.iter_mut().enumerate() {
            let seen = cpu::seen(FIRST_INTERRUPT + vector as u8);
            if *told != seen {
                // A message that came twice before anybody looked is one: so is it with a CPU that has interrupts masked.
                *told = seen;
                any = true;
                self.stack.interrupt(now, vector as u16);
            }
        }
        any
    }
}

fn stack(config: &Config, bus: GuestBus) -> Stack {
    let bytes = config.pool.bytes();
    let layout = Layout::from_size_align(bytes, PAGE_BYTES).expect("a pool's size fits the address space");
    // SAFETY: the layout has a size greater than zero: a pool has room for rings.
    let base = NonNull::new(unsafe { alloc_zeroed(layout) })
        .expect("QEMU needs -m with more memory for the stack's buffers");
    // SAFETY: fresh from the allocator, aligned to a page, never freed; only the region refers to it, and the device.
    let memory = unsafe { DmaMemory::from_raw(base, bytes, base.as_ptr() as u64) };
    Stack::new(config, memory, Box::new(bus))
}
