//! The CPU: its descriptor tables, its local APIC, pages that must not be touched, and how to leave QEMU.

use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};
use core::sync::atomic::{AtomicU64, Ordering};
use x86_64::VirtAddr;
use x86_64::instructions::port::Port;
use x86_64::instructions::segmentation::{CS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::instructions::tlb;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::idt::{Entry, HandlerFunc, InterruptDescriptorTable};
use x86_64::structures::tss::TaskStateSegment;

/// After a panic or an exception: QEMU's exit status is then 35.
pub const DIED: u32 = 0x11;

const STACK_BYTES: usize = 16 * 1024;
/// Each gate has a stack of its own: code of the standard library keeps data below the stack pointer (the red zone).
const INTERRUPT: u16 = 0;
const EXCEPTION: u16 = 1;
const DOUBLE_FAULT: u16 = 2;
const NMI: u16 = 3;

#[repr(C, align(16))]
struct Stacks([[u8; STACK_BYTES]; 4]);

static mut STACKS: Stacks = Stacks([[0; STACK_BYTES]; 4]);
static mut TSS: TaskStateSegment = TaskStateSegment::new();
static mut GDT: GlobalDescriptorTable = GlobalDescriptorTable::new();
static mut IDT: InterruptDescriptorTable = InterruptDescriptorTable::new();

/// How often each vector came, counted by `interrupts.s`.
// SAFETY: no other static has this name.
#[unsafe(no_mangle)]
static mut interrupts_seen: [u64; 256] = [0; 256];

unsafe extern "C" {
    static exception_stubs: u8;
    static interrupt_stubs: u8;
    static mut page_tables: [u64; 1024];
    static __stack_guard: u8;
}

const LAPIC: usize = 0xfee0_0000;
const SPURIOUS_VECTOR: usize = 0xf0;
const TASK_PRIORITY: usize = 0x80;
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

/// Loads the tables, and switches the local APIC on. Interrupts stay off until somebody waits for one.
pub fn initialise() {
    // SAFETY: there is one CPU and no interrupt yet, so nobody else reaches these statics; they live for ever, as the CPU needs them.
    unsafe {
        let tss = &mut *addr_of_mut!(TSS);
        for (index, stack) in (*addr_of!(STACKS)).0.iter().enumerate() {
            tss.interrupt_stack_table[index] = VirtAddr::from_ptr(stack.as_ptr_range().end);
        }
        let gdt = &mut *addr_of_mut!(GDT);
        let code = gdt.append(Descriptor::kernel_code_segment());
        gdt.append(Descriptor::kernel_data_segment());
        let task = gdt.append(Descriptor::tss_segment(tss));
        gdt.load();
        CS::set_reg(code);
        load_tss(task);

        let idt = &mut *addr_of_mut!(IDT);
        // All gates have one shape: the crate's types of the first 32 differ in the functions that they would take.
        let gates = core::ptr::from_mut(idt).cast::<Entry<HandlerFunc>>();
        for vector in 0..256_usize {
            let (stub, stack) = match vector {
                2 => (addr_of!(exception_stubs).add(vector * 16), NMI),
                8 => (addr_of!(exception_stubs).add(vector * 16), DOUBLE_FAULT),
                0..32 => (addr_of!(exception_stubs).add(vector * 16), EXCEPTION),
                _ => (addr_of!(interrupt_stubs).add((vector - 32) * 32), INTERRUPT),
            };
            (*gates.add(vector)).set_handler_addr(VirtAddr::from_ptr(stub)).set_stack_index(stack);
        }
        idt.load();
        write_volatile((LAPIC + TASK_PRIORITY) as *mut u32, 0);
        write_volatile((LAPIC + SPURIOUS_VECTOR) as *mut u32, 0x1ff);
    }
}

/// Takes away page 0 and the page below the stack: who follows a null pointer, or recurses without end, is told.
pub fn guard() {
    // SAFETY: both lie in the first 4 MiB, which `page_tables` map in pages, and nothing of ours lies in them.
    unsafe {
        let guard = addr_of!(__stack_guard) as usize;
        let tables = addr_of_mut!(page_tables).cast::<u64>();
        for page in [0, guard / 4096] {
            write_volatile(tables.add(page), 0);
            tlb::flush(VirtAddr::new(page as u64 * 4096));
        }
    }
}

/// How often a vector came so far.
pub fn seen(vector: u8) -> u64 {
    // SAFETY: a word that the stub adds to in one instruction.
    unsafe { read_volatile(addr_of!(interrupts_seen).cast::<u64>().add(usize::from(vector))) }
}

/// Ends QEMU.
pub fn leave(code: u32) -> ! {
    // SAFETY: the port of `isa-debug-exit`; without it nothing happens.
    unsafe { Port::new(0xf4).write(code) }
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
    // SAFETY: registers of the local APIC, which are mapped. The timer is masked, so that no interrupt comes of it.
    unsafe {
        write_volatile((LAPIC + TIMER) as *mut u32, MASKED);
        write_volatile((LAPIC + TIMER_DIVIDE) as *mut u32, BY_ONE);
        write_volatile((LAPIC + TIMER_INITIAL) as *mut u32, u32::MAX);
    }
    // SAFETY: as above.
    let left = || u64::from(unsafe { read_volatile((LAPIC + TIMER_CURRENT) as *const u32) });
    let (first, begin) = (left(), tsc());
    for _ in 0..LOOKS_MAX {
        let passed = first.saturating_sub(left());
        if passed >= MEASURED {
            TICKS.store(((tsc() - begin) * 1000 / passed).max(1), Ordering::Relaxed);
            break;
        }
    }
    // SAFETY: as above; zero stops it.
    unsafe { write_volatile((LAPIC + TIMER_INITIAL) as *mut u32, 0) }
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

/// Forgets the table of gates, and takes an exception: so QEMU sees a triple fault.
pub fn triple_fault() -> ! {
    // SAFETY: the table lives as long as the CPU looks at it, which is not long.
    unsafe {
        static EMPTY: InterruptDescriptorTable = InterruptDescriptorTable::new();
        EMPTY.load();
        core::arch::asm!("ud2", options(noreturn))
    }
}
