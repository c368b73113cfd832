//! The CPU that runs: its local APIC, its time, how it waits, and how to leave QEMU.

use core::ptr::{read_volatile, write_volatile};
use core::sync::atomic::{AtomicU64, Ordering};
use x86_64::instructions::port::Port;
use x86_64::structures::idt::InterruptDescriptorTable;

/// After a panic or an exception: QEMU's exit status is then 35.
pub const DIED: u32 = 0x11;

const LAPIC: usize = 0xfee0_0000;
// Registers of the local APIC (Intel SDM, volume 3, 12.4.1).
const ID: usize = 0x20;
const TASK_PRIORITY: usize = 0x80;
const SPURIOUS_VECTOR: usize = 0xf0;
const COMMAND_LOW: usize = 0x300;
const COMMAND_HIGH: usize = 0x310;
// The timer of the local APIC (Intel SDM, volume 3, 11.5.4).
const TIMER: usize = 0x320;
const TIMER_INITIAL: usize = 0x380;
const TIMER_CURRENT: usize = 0x390;
const TIMER_DIVIDE: usize = 0x3e0;
/// The local vector of LINT1, and its delivery mode for NMIs.
const LINT1: usize = 0x360;
const DELIVER_NMI: u32 = 0b100 << 8;
const MASKED: u32 = 1 << 16;
const BY_ONE: u32 = 0b1011;

fn read(register: usize) -> u32 {
    // SAFETY: a register of the local APIC, which is mapped; each CPU finds its own there.
    unsafe { read_volatile((LAPIC + register) as *const u32) }
}

fn write(register: usize, value: u32) {
    // SAFETY: as in `read`; none of those that are named above reaches memory.
    unsafe { write_volatile((LAPIC + register) as *mut u32, value) }
}

/// Switches the local APIC of this CPU on. Interrupts stay off until somebody waits for one.
pub fn listen() {
    write(TASK_PRIORITY, 0);
    write(SPURIOUS_VECTOR, 0x1ff);
}

/// The number of the local APIC of the CPU that runs this: no two CPUs have the same.
pub fn apic_id() -> u8 {
    (read(ID) >> 24) as u8
}

/// What one CPU sends another.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// An interrupt of this vector.
    Interrupt(u8),
    /// An interrupt that cannot be masked.
    Nmi,
    /// It is reset, and waits.
    Init,
    /// It begins in real mode in this page.
    Startup(u8),
}

/// Sends a signal to the CPU whose local APIC has this number.
pub fn signal(apic_id: u8, signal: Signal) {
    const ASSERT: u32 = 1 << 14;
    let command = match signal {
        Signal::Interrupt(vector) => u32::from(vector),
        Signal::Nmi => 0b100 << 8,
        Signal::Init => 0b101 << 8,
        Signal::Startup(page) => 0b110 << 8 | u32::from(page),
    };
    write(COMMAND_HIGH, u32::from(apic_id) << 24);
    write(COMMAND_LOW, ASSERT | command);
}

/// Ends QEMU.
pub fn leave(code: u32) -> ! {
    // SAFETY: the port of `isa-debug-exit`; without it nothing happens.
    unsafe { Port::new(0xf4).write(code) }
    stop()
}

/// Does nothing any more.
pub fn stop() -> ! {
    loop {
        x86_64::instructions::interrupts::disable();
        x86_64::instructions::hlt();
    }
}

/// Waits for an interrupt that was not there before `is_there` was asked: between the question and the wait none is lost.
pub fn wait_unless(is_there: impl FnOnce() -> bool) {
    x86_64::instructions::interrupts::disable();
    if is_there() {
        x86_64::instructions::interrupts::enable();
    } else {
        x86_64::instructions::interrupts::enable_and_hlt();
    }
}

/// Lets interrupts in, and NMIs by LINT1: so somebody outside can ask where a CPU is that does not answer.
pub fn open() {
    // SAFETY: a register of the local APIC, which is mapped.
    unsafe { write_volatile((LAPIC + LINT1) as *mut u32, DELIVER_NMI) }
    x86_64::instructions::interrupts::enable();
}

/// Lets no NMI in any more.
pub fn take_no_nmi() {
    // SAFETY: as above.
    unsafe { write_volatile((LAPIC + LINT1) as *mut u32, MASKED) }
}

/// Ticks of the time stamp counter in a microsecond.
static TICKS: AtomicU64 = AtomicU64::new(1000);

/// Measures how fast the time stamp counter runs, against the local APIC's timer, which counts nanoseconds in QEMU and in KVM. Under
/// `-icount` both count QEMU's time; under KVM the counter runs as fast as that of the machine.
pub fn calibrate() {
    /// For so many nanoseconds.
    const MEASURED: u64 = 1_000_000;
    /// A timer that stands still is not watched for longer.
    const LOOKS_MAX: u32 = 10_000_000;
    // The timer is masked, so that no interrupt comes of it.
    write(TIMER, MASKED);
    write(TIMER_DIVIDE, BY_ONE);
    write(TIMER_INITIAL, u32::MAX);
    let left = || u64::from(read(TIMER_CURRENT));
    let (first, begin) = (left(), tsc());
    for _ in 0..LOOKS_MAX {
        let passed = first.saturating_sub(left());
        if passed >= MEASURED {
            TICKS.store(((tsc() - begin) * 1000 / passed).max(1), Ordering::Relaxed);
            break;
        }
    }
    // Zero stops it.
    write(TIMER_INITIAL, 0);
}

/// Nanoseconds since the time stamp counter was `begin`: of QEMU's time, or under KVM of the machine's.
pub fn nanoseconds_since(begin: u64) -> u64 {
    tsc().wrapping_sub(begin).saturating_mul(1000) / TICKS.load(Ordering::Relaxed)
}

/// The time stamp counter.
pub fn tsc() -> u64 {
    // SAFETY: every CPU of this architecture has it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The second within a minute, of real time however fast QEMU's passes: the machine's clock runs with the host's.
pub fn second() -> u8 {
    const SECONDS: u8 = 0;
    // SAFETY: the ports of the CMOS clock; a register is selected and read, which changes nothing.
    unsafe {
        Port::new(0x70).write(SECONDS);
        Port::new(0x71).read()
    }
}

/// Forgets the table of gates, and takes an exception: so QEMU sees a triple fault.
pub fn triple_fault() -> ! {
    // SAFETY: the table lives as long as the CPU looks at it, which is not long.
    unsafe {
        static EMPTY: InterruptDescriptorTable = InterruptDescriptorTable::new();
        EMPTY.load();
        core::arch::asm!("ud2", options(noreturn))
    }
}
