//! Calls the stack and the emulator without std: that this links is the proof that neither needs it.
//!
//! Nothing runs it. A use of std anywhere below would bring std's panic handler, and two panic handlers do not link;
//! `ci/no-std` also looks at what the library contains and at what it asks of others.
#![no_std]

extern crate alloc;

use alloc::boxed::Box;
use core::alloc::{GlobalAlloc, Layout};
use core::net::{Ipv4Addr, SocketAddrV4};
use core::panic::PanicInfo;
use nic_emu::{DmaFault, HostMemory, Nic, Output};
use stack_under_test::bus::{Bus, Direction};
use stack_under_test::dma::DmaMemory;
use stack_under_test::stack::{Config, Stack};
use stack_under_test::time::Instant;
use stack_under_test::udp::output::SendFlags;

/// An allocator that has no memory.
struct Nothing;

// SAFETY: a null pointer says that there is no memory, and nothing that it gave has to be freed.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static NOTHING: Nothing = Nothing;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// A device that was pulled out of its slot.
struct Gone;

impl Bus for Gone {
    fn read32(&mut self, _: u32) -> u32 {
        u32::MAX
    }

    fn write32(&mut self, _: u32, _: u32) {}
    fn dma_map(&mut self, _: u64, _: u32, _: Direction) {}
    fn dma_unmap(&mut self, _: u64, _: u32) {}
}

impl HostMemory for Gone {
    fn read(&mut self, _: u64, _: &mut [u8]) -> Result<(), DmaFault> {
        Err(DmaFault)
    }

    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), DmaFault> {
        Err(DmaFault)
    }
}

/// Starts a stack, sends a datagram, takes an interrupt and lets the timers run; 0 if the datagram was taken.
#[unsafe(no_mangle)]
pub extern "C" fn no_std_proof_stack(now: u64) -> i32 {
    let config = Config::default();
    let memory = DmaMemory::zeroed(config.pool.bytes(), 0x1000_0000);
    let mut stack = Stack::new(&config, memory, Box::new(Gone));
    let now = Instant(now);
    stack.start(now);
    let Ok(fd) = stack.socket_udp() else { return -1 };
    let to = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), 7);
    let sent = stack.sendto(now, 0, fd, b"hello", Some(to), SendFlags::default());
    stack.interrupt(now, 1);
    stack.run_timers(now);
    sent.map_or(-1, |_| 0)
}

/// Puts a NIC into a machine without memory, and lets it run until nothing is due; the number of frames that it sent.
#[unsafe(no_mangle)]
pub extern "C" fn no_std_proof_nic(tail: u32) -> usize {
    let mut nic = Nic::new(nic_emu::Config::new([2, 0, 0, 0, 0, 1], 0));
    let mut out = Output::default();
    nic.write32(0xe018, tail);
    while let Some(at) = nic.next_event() {
        nic.step(at, &mut Gone, &mut out);
    }
    out.frames.len()
}
