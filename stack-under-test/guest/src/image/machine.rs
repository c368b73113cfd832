//! This machine as the server sees it: a stack on its NIC, interrupts, and the time in which the NIC comes to rest.

use super::bus::{self, FIRST_INTERRUPT, GuestBus};
use super::pci::Addresses;
use super::{cpu, heap, processor};
use alloc::alloc::{Layout, alloc};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ptr::NonNull;
use guest::protocol::Identity;
use guest::server::Platform;
use stack_under_test::dma::{DmaMemory, PAGE_BYTES};
use stack_under_test::stack::{Config, Stack};

/// How long the NIC is watched for an interrupt before it is taken to be at rest, in nanoseconds of QEMU's time (under KVM, of the
/// machine's): longer than a driver may have it hold one back (10 ms).
const REST: u64 = 12_000_000;
/// The same when it looks for its link, which takes QEMU's igb 500 ms.
const LOOKS_FOR_LINK: u64 = 600_000_000;

/// How far the CPU counts before it looks again.
const COUNTS: u32 = 256;

/// The machine below the stack.
pub struct Machine {
    bus: GuestBus,
    /// How often each vector of the NIC came and was told to the stack.
    told: Vec<u64>,
    /// The memory of the stack's buffers; one stack has it after the other.
    memory: NonNull<u8>,
    bytes: usize,
}

impl Machine {
    /// The machine. `None`: there is no NIC.
    ///
    /// # Panics
    /// If the memory is not enough for the stack's buffers.
    pub fn new(addresses: &mut Addresses) -> Option<Self> {
        let (bus, vectors) = bus::find(addresses)?;
        let bytes = Config::default().pool.bytes();
        let layout =
            Layout::from_size_align(bytes, PAGE_BYTES).expect("a pool's size fits the address space");
        // SAFETY: the layout has a size greater than zero: a pool has room for rings.
        let memory = NonNull::new(unsafe { alloc(layout) })
            .expect("QEMU needs -m with more memory for the stack's buffers");
        Some(Self { bus, told: vec![0; usize::from(vectors)], memory, bytes })
    }

    fn has_interrupt(&self) -> bool {
        (FIRST_INTERRUPT..).zip(&self.told).any(|(vector, told)| processor::of(0).unwrap().seen(vector) != *told)
    }
}

impl Platform for Machine {
    fn stack(&mut self, identity: &Identity) -> Stack {
        let config = Config { seed: identity.seed, cpus: identity.cpus, ..Config::default() };
        // SAFETY: from the allocator, with this size, aligned to a page, never freed. Only the region refers to it, and the device: the
        // stack that had it before is gone, and a driver's first act is to reset its device.
        let memory = unsafe {
            self.memory.as_ptr().write_bytes(0, self.bytes);
            DmaMemory::from_raw(self.memory, self.bytes, self.memory.as_ptr() as u64)
        };
        Stack::new(&config, memory, Box::new(self.bus.clone()))
    }

    fn interrupts(&mut self, take: &mut dyn FnMut(u16)) {
        for (vector, told) in self.told.iter_mut().enumerate() {
            let seen = processor::of(0).unwrap().seen(FIRST_INTERRUPT + vector as u8);
            if *told != seen {
                // A message that came twice before anybody looked is one: so is it with a CPU that has interrupts masked.
                *told = seen;
                take(vector as u16);
            }
        }
    }

    fn stir(&mut self) {
        self.bus.told.set(true);
    }

    fn rest(&mut self, looks_for_link: bool) -> bool {
        if !self.bus.told.get() {
            return self.has_interrupt();
        }
        let begin = cpu::tsc();
        let rest = if looks_for_link { LOOKS_FOR_LINK } else { REST };
        while !self.has_interrupt() && cpu::nanoseconds_since(begin) < rest {
            // A CPU that halts has QEMU's threads wait for each other; one that counts does not.
            for count in 0..COUNTS {
                core::hint::black_box(count);
            }
        }
        let interrupted = self.has_interrupt();
        self.bus.told.set(interrupted);
        interrupted
    }

    fn doorbells(&self) -> u64 {
        self.bus.doorbells.get()
    }

    fn heap(&self) -> u64 {
        heap::in_use()
    }
}
