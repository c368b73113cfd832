//! The end of a guest that went wrong: what it was, the registers and the stack, on the serial line, where the harness reads them.

use super::cpu;
use super::pages::PAGE;
use super::processor::{self, Processor};
use super::serial::say;
use core::arch::asm;
use core::fmt;
use core::ops::Range;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU16, Ordering};

/// Of the stack, how much is told: enough for some twenty calls.
const STACK_BYTES: usize = 4096;

/// The local APIC of the CPU whose end is told, and 1; 0: none is.
static TELLS: AtomicU16 = AtomicU16::new(0);
/// The number of the CPU that was asked where it is, and 1; 0: none was.
static ASKED: AtomicU16 = AtomicU16::new(0);

/// A CPU does not end what it is told to do, and will be sent an NMI: it says then why.
pub fn ask(number: u8) {
    ASKED.store(u16::from(number) + 1, Ordering::Release);
}

/// The first CPU that goes wrong tells what it was, and all that come after it are silent.
fn tell() -> Option<&'static Processor> {
    let apic_id = u16::from(cpu::apic_id()) + 1;
    let teller = TELLS.compare_exchange(0, apic_id, Ordering::AcqRel, Ordering::Acquire);
    if teller.is_err_and(|teller| teller != apic_id) {
        cpu::stop()
    }
    processor::current()
}

/// On which CPU, where there are several: ` (on CPU 2)`.
struct On(Option<&'static Processor>);

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.filter(|_| processor::count() > 1) {
            Some(processor) => write!(f, " (on CPU {})", processor.number),
            None => Ok(()),
        }
    }
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
    let processor = tell();
    let Registers { vector, error, .. } = registers;
    let guard = processor.map(guard_of).unwrap_or_default();
    let number = processor.map(|processor| u16::from(processor.number));
    let what = if *vector == 14 && guard.contains(&(fault_address as usize)) {
        ", below the end of the stack: it has overflown"
    } else if *vector == 2 && number.is_some_and(|number| ASKED.load(Ordering::Acquire) == number + 1) {
        ", sent because it did not end what it was told to do"
    } else {
        ""
    };
    say!("wireproof-guest exception {vector} error {error:#x} cr2 {fault_address:#x}{}{what}", On(processor));
    let Registers { rip, rsp, rflags, .. } = registers;
    say!("register rip {rip:#x}\nregister rsp {rsp:#x}\nregister rflags {rflags:#x}");
    for (name, value) in NAMES.iter().zip(registers.general) {
        say!("register {name} {value:#x}");
    }
    tell_stack(*rsp, processor);
    cpu::leave(cpu::DIED)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let processor = tell();
    say!("wireproof-guest panic {info}{}", On(processor));
    let (rip, rsp, rbp): (u64, u64, u64);
    // SAFETY: reads registers.
    unsafe {
        asm!("lea {}, [rip]", "mov {}, rsp", "mov {}, rbp", out(reg) rip, out(reg) rsp, out(reg) rbp, options(nomem, nostack));
    }
    say!("register rip {rip:#x}\nregister rsp {rsp:#x}\nregister rbp {rbp:#x}");
    tell_stack(rsp, processor);
    cpu::leave(cpu::DIED)
}

/// The page below a CPU's stack.
fn guard_of(processor: &Processor) -> Range<usize> {
    processor.stack.start.saturating_sub(PAGE)..processor.stack.start
}

/// The words of a CPU's stack from `rsp` up, as far as there are any.
fn tell_stack(rsp: u64, processor: Option<&Processor>) {
    let stack = processor.map(|processor| processor.stack.clone()).unwrap_or_default();
    let rsp = rsp as usize;
    // A stack that has overflown points below itself.
    if !(stack.start.saturating_sub(2 * PAGE)..stack.end).contains(&rsp) {
        say!("stack elsewhere");
        say!("end");
        return;
    }
    // What lies in the guard page, or below it, cannot be read.
    let mut at = (rsp & !7).max(stack.start);
    let end = stack.end.min(at + STACK_BYTES);
    while at < end {
        // SAFETY: within the stack of this CPU.
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
