//! From the first instruction in 64-bit mode to the loop that serves the harness.

mod bus;
mod console;
mod cpu;
mod exception;
mod heap;
mod machine;
mod mailbox;
mod pages;
mod pci;
mod processor;
mod queue;
mod serial;
mod smp;
mod wrong;

use alloc::vec::Vec;
use core::arch::global_asm;
use guest::packet;
use guest::protocol::{PROTOCOL, Request, Wrong};
use guest::server::Server;
use serial::say;

global_asm!(include_str!("../boot.s"), options(att_syntax));
global_asm!(include_str!("../trampoline.s"), options(att_syntax));
global_asm!(include_str!("../memory_functions.s"), options(att_syntax));
global_asm!(include_str!("../interrupts.s"), options(att_syntax));

/// A note (System V ABI) beside that of PVH: which protocol this image speaks, so that the harness boots no other.
#[repr(C)]
struct Note {
    name_bytes: u32,
    description_bytes: u32,
    kind: u32,
    name: [u8; 12],
    description: [u8; 16],
}

// SAFETY: the linker script keeps the section among the notes, and nobody writes there.
#[unsafe(link_section = ".note.wireproof")]
#[used]
static NOTE: Note = Note {
    name_bytes: 10,
    description_bytes: 16,
    kind: 1,
    name: *b"wireproof\0\0\0",
    description: match PROTOCOL.as_bytes().first_chunk() {
        Some(digits) => *digits,
        None => panic!("the protocol has 16 digits"),
    },
};

/// Called by `boot.s` on a stack of its own, with all of the first 4 GiB mapped where it is.
///
/// `start_info` is the address of Xen's `hvm_start_info`, which QEMU fills in.
// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
extern "C" fn start(start_info: u64) -> ! {
    serial::initialise();
    processor::initialise();
    let memory = heap::initialise(start_info);
    pages::guard();
    cpu::calibrate();
    let cpus = smp::start();
    say!("wireproof guest: {} KiB of heap, {cpus} CPUs", memory / 1024);
    let mut addresses = pci::Addresses::new();
    let Some(console) = console::Console::find(&mut addresses) else {
        panic!(
            "there is no virtio console: start QEMU with -device virtio-serial-pci,disable-legacy=on -device virtconsole"
        );
    };
    let Some(machine) = machine::Machine::new(&mut addresses) else {
        panic!("there is no igb: start QEMU with -device igb");
    };
    cpu::open();
    serve(console, Server::new(machine))
}

/// Does what the harness asks for, one request after the other. QEMU ends it.
fn serve(mut console: console::Console, mut server: Server<machine::Machine>) -> ! {
    loop {
        let message = match packet::take(console.received()) {
            Ok(Some(message)) => message,
            Ok(None) => {
                cpu::wait_unless(|| console.has_received());
                continue;
            }
            Err(bad) => panic!("{bad}"),
        };
        let Some(request) = Request::decode(&message) else {
            panic!("a request that this guest does not know: build harness and guest from one tree");
        };
        if let Request::GoWrong(Wrong::Astray, cpu) = request {
            server.platform().lead_astray(cpu);
        } else if let Request::GoWrong(wrong, cpu) = request {
            smp::on(cpu, &mut || wrong::go(wrong, &mut console));
        }
        // What is in use of the heap is compared from stack to stack: nothing of a conversation is kept.
        drop(message);
        console.forget();
        let mut reply = Vec::new();
        packet::write(&server.answer(request).encode(), &mut reply);
        console.send_message(&reply);
    }
}
