//! From the first instruction in 64-bit mode to the loop that serves the harness.

mod console;
mod cpu;
mod exception;
mod heap;
mod pci;
mod queue;
mod serial;

use core::arch::global_asm;
use serial::say;

global_asm!(include_str!("../boot.s"), options(att_syntax));
global_asm!(include_str!("../memory_functions.s"), options(att_syntax));
global_asm!(include_str!("../interrupts.s"), options(att_syntax));

/// Called by `boot.s` on a stack of its own, with all of the first 4 GiB mapped where it is.
///
/// `start_info` is the address of Xen's `hvm_start_info`, which QEMU fills in.
// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
extern "C" fn start(start_info: u64) -> ! {
    serial::initialise();
    cpu::initialise();
    let memory = heap::initialise(start_info);
    cpu::guard();
    say!("wireproof guest: {} KiB of heap", memory / 1024);
    let mut addresses = pci::Addresses::new();
    let Some(mut console) = console::Console::find(&mut addresses) else {
        panic!("there is no virtio console: start QEMU with -device virtio-serial-pci,disable-legacy=on -device virtconsole");
    };
    console.send(b"hello\n");
    loop {
        let line = core::mem::take(console.received());
        if !line.is_empty() { console.send(&line); if line.contains(&b'q') { break } }
    }
    cpu::leave(cpu::DONE)
}
