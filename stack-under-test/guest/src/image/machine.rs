//! This machine as the server sees it: a stack on its NIC, interrupts, and the time in which the NIC comes to rest.

use super::bus::{self, FIRST_INTERRUPT, GuestBus};
use super::pci::{Addresses, Vectors};
use super::processor::{self, Processor};
use super::{cpu, heap, smp};
use alloc::alloc::{Layout, alloc};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ptr::NonNull;
use guest::agent::Cpus;
use guest::protocol::{CpuReading, Identity};
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
    vectors: Vectors,
    /// To which CPU each vector goes.
    affinity: Vec<u8>,
    /// What of each CPU was told.
    cpus: Vec<Told>,
    /// The memory of the stack's buffers; one stack has it after the other.
    memory: NonNull<u8>,
    bytes: usize,
}

/// What of a CPU was told.
struct Told {
    processor: &'static Processor,
    /// How often each vector of the NIC came to it and was told to the stack; and when that stack began.
    interrupts: Vec<u64>,
    began: Vec<u64>,
    /// How often it has worked for the stack.
    works: u64,
}

impl Told {
    fn seen(&self, vector: usize) -> u64 {
        self.processor.seen(FIRST_INTERRUPT + vector as u8)
    }
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
        let count = usize::from(vectors.count);
        let told =
            |processor| Told { processor, interrupts: vec![0; count], began: vec![0; count], works: 0 };
        let cpus = (0..processor::count()).filter_map(processor::of).map(told).collect();
        Some(Self { bus, vectors, affinity: vec![0; count], cpus, memory, bytes })
    }

    /// Whether a vector came to its CPU, and was not told.
    fn has_interrupt(&self) -> bool {
        self.affinity.iter().enumerate().any(|(vector, cpu)| {
            let cpu = self.cpus.get(usize::from(*cpu));
            cpu.is_some_and(|cpu| cpu.seen(vector) != cpu.interrupts[vector])
        })
    }

    /// Holds against their affinity where vectors came.
    ///
    /// # Panics
    /// If one came to another CPU.
    fn judge(&self) {
        for (number, cpu) in self.cpus.iter().enumerate() {
            for (vector, affinity) in self.affinity.iter().enumerate() {
                assert!(
                    usize::from(*affinity) == number || cpu.seen(vector) == cpu.interrupts[vector],
                    "vector {vector} of the NIC interrupted CPU {number}, and its affinity is CPU {affinity}"
                );
            }
        }
    }

    /// Has the vectors go where this stack has their affinity. What the device had to say to the one before concerns nobody.
    fn aim(&mut self, stack: &Stack) {
        for (vector, affinity) in self.affinity.iter_mut().enumerate() {
            *affinity = stack.cpu_of_vector(vector as u16);
            // One whose CPU this machine has not is not in use, or it is found out.
            let cpu = self.cpus.get(usize::from(*affinity)).unwrap_or(&self.cpus[0]);
            self.vectors.aim(vector as u16, cpu.processor.apic_id);
        }
        for cpu in &mut self.cpus {
            cpu.works = 0;
            for vector in 0..self.affinity.len() {
                cpu.interrupts[vector] = cpu.seen(vector);
                cpu.began[vector] = cpu.interrupts[vector];
            }
        }
    }

    /// Has all vectors go to one CPU.
    pub fn lead_astray(&self, cpu: u8) {
        let to = processor::of(cpu).map_or(0, |processor| processor.apic_id);
        (0..self.vectors.count).for_each(|vector| self.vectors.aim(vector, to));
    }
}

impl Cpus for Machine {
    fn on(&mut self, cpu: u8, work: &mut dyn FnMut()) {
        smp::on(cpu, work);
        self.cpus[usize::from(cpu)].works += 1;
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
        let stack = Stack::new(&config, memory, Box::new(self.bus.clone()));
        self.aim(&stack);
        smp::be_patient(identity.patience);
        stack
    }

    fn interrupt(&mut self, from: u16) -> Option<u16> {
        if from == 0 {
            self.judge();
        }
        (from..self.vectors.count).find(|vector| {
            let vector = usize::from(*vector);
            let Some(cpu) = self.cpus.get_mut(usize::from(self.affinity[vector])) else { return false };
            let seen = cpu.seen(vector);
            // A message that came twice before anybody looked is one: so is it with a CPU that has interrupts masked.
            core::mem::replace(&mut cpu.interrupts[vector], seen) != seen
        })
    }

    fn cpus(&self) -> Vec<CpuReading> {
        let reading = |cpu: &Told| CpuReading {
            apic_id: cpu.processor.apic_id,
            works: cpu.works,
            interrupts: (0..).zip(&cpu.began).map(|(vector, began)| cpu.seen(vector) - began).collect(),
        };
        self.cpus.iter().map(reading).collect()
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
        self.judge();
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
