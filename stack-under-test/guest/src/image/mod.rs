//! From the first instruction in 64-bit mode to the loop that serves the harness.

mod bus;
mod console;
mod cpu;
mod exception;
mod heap;
mod machine;
mod pci;
mod queue;
mod serial;

use core::arch::global_asm;
use serial::say;
use stack_under_test::stack::Config;
use stack_under_test::time::Instant;

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
        panic!(
            "there is no virtio console: start QEMU with -device virtio-serial-pci,disable-legacy=on -device virtconsole"
        );
    };
    console.send(b"hello\n");
    let Some(mut machine) = machine::Machine::new(&Config::default(), &mut addresses) else {
        panic!("there is no igb: start QEMU with -device igb");
    };
    cpu::open();
    let origin = cpu::tsc();
    let now = || Instant(cpu::tsc() - origin);
    machine.stack.start(now());
    let mut up = false;
    let mut sent = false;
    let bound = 5_000_000_000;
    while now().0 < bound {
        machine.deliver(now());
        let at = now();
        if machine.stack.next_deadline().is_some_and(|due| due <= at) {
            machine.stack.run_timers(at);
        }
        if !up && machine.stack.is_started() && machine.stack.is_settled() {
            up = true;
            say!("probed at {}", now().0);
            for words in [
                &["ip", "link", "set", "dev", "eth0", "up"][..],
                &["ip", "addr", "add", "192.0.2.1/24", "dev", "eth0"],
            ] {
                let command = stack_under_test::control::parse(words).map_err(|e| e.message).unwrap();
                machine.stack.control(now(), &command).map_err(|e| e.message).unwrap();
            }
        }
        if up && !sent && machine.stack.carrier() {
            sent = true;
            say!("carrier at {}", now().0);
            let fd = machine.stack.socket_udp().unwrap();
            let to = core::net::SocketAddrV4::new([192, 0, 2, 2].into(), 7);
            let n = machine.stack.sendto(now(), 0, fd, b"hello", Some(to), Default::default());
            say!("sent {n:?} at {}", now().0);
        }
    }
    for vector in 0..10 {
        say!("vector {vector}: {}", cpu::seen(0x40 + vector));
    }
    cpu::leave(cpu::DONE)
}
