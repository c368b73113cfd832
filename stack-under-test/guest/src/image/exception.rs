//! The end of a guest that went wrong: what it was, the registers and the stack, on the serial line, where the harness reads them.

use super::cpu;
use super::serial::say;
use core::arch::asm;
use core::panic::PanicInfo;
use core::ptr::addr_of;

/// Of the stack, how much is told: enough for some twenty calls.
const STACK_BYTES: usize = 4096;

const PAGE_BYTES: u64 = 4096;

unsafe extern "C" {
    static __stack_top: u8;
    static __image_start: u8;
    static __stack_guard: u8;
}

/// What `interrupts.s` pushes, from the last to the first.
#[repr(C)]
struct Registers {
    general: [u64; 15],
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

const NAMES: [&str; 15] =
    ["r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rbp", "rdi", "rsi", "rdx", "rcx", "rbx", "rax"];

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
extern "C" fn exception(registers: &Registers) -> ! {
    let fault_address: u64;
    // SAFETY: reads CR2.
    unsafe { asm!("mov {}, cr2", out(reg) fault_address, options(nomem, nostack)) };
    let guard = addr_of!(__stack_guard) as u64;
    let overflow = registers.vector == 14 && (guard..guard + PAGE_BYTES).contains(&fault_address);
    say!(
        "wireproof-guest exception {} error {:#x} cr2 {fault_address:#x}{}",
        registers.vector,
        registers.error,
        if overflow { ", below the end of the stack: it has overflown" } else { "" }
    );
    let Registers { rip, rsp, rflags, .. } = registers;
    say!("register rip {rip:#x}\nregister rsp {rsp:#x}\nregister rflags {rflags:#x}");
    for (name, value) in NAMES.iter().zip(registers.general) {
        say!("register {name} {value:#x}");
    }
    tell_stack(*rsp);
    cpu::leave(cpu::DIED)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say!("wireproof-guest panic {info}");
    let (rip, rsp, rbp): (u64, u64, u64);
    // SAFETY: reads registers.
    unsafe {
        asm!("lea {}, [rip]", "mov {}, rsp", "mov {}, rbp", out(reg) rip, out(reg) rsp, out(reg) rbp, options(nomem, nostack));
    }
    say!("register rip {rip:#x}\nregister rsp {rsp:#x}\nregister rbp {rbp:#x}");
    tell_stack(rsp);
    cpu::leave(cpu::DIED)
}

/// The words of the stack from `rsp` up, as far as there are any.
fn tell_stack(rsp: u64) {
    let top = addr_of!(__stack_top) as u64;
    let bottom = addr_of!(__image_start) as u64;
    if !(bottom..top).contains(&rsp) {
        say!("stack elsewhere");
        say!("end");
        return;
    }
    // What lies in the guard page, or below it, cannot be read.
    let mut at = (rsp & !7).max(addr_of!(__stack_guard) as u64 + PAGE_BYTES);
    let end = top.min(at + STACK_BYTES as u64);
    while at < end {
        // SAFETY: within the image, whose memory is mapped, and above the guard page.
        say!("stack {at:#x} {:#x}", unsafe { *(at as *const u64) });
        at += 8;
    }
    say!("end");
}

// What the prebuilt `core` names, though nothing unwinds here.
// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    cpu::leave(cpu::DIED)
}
