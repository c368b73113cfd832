//! Several CPUs: those that QEMU has besides the first are started, wait, and do what they are told while the first waits for them.

use super::cpu::{self, Signal};
use super::exception;
use super::mailbox::Progress;
use super::pages::PAGE;
use super::processor::{self, CPUS_MAX, Processor};
use core::hint::spin_loop;
use core::ptr::{addr_of, copy_nonoverlapping};
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use x86_64::instructions::port::Port;

/// Where a CPU begins: a page below 1 MiB that is nobody's once QEMU's loader is done.
const BEGIN: usize = 0x8000;
/// The interrupt that says that work lies there.
const WORK: u8 = 0x31;

/// How long a CPU may take until it waits for work, and to tell where it is, in nanoseconds of QEMU's time.
const STARTS: u64 = 1_000_000_000;
const TELLS: u64 = 1_000_000_000;
/// How often it is looked whether work is done before somebody asks for the time.
const LOOKS: u32 = 256;
/// What a CPU needs between INIT and SIPI, and between two of these (Intel SDM, volume 3, 9.4.4.1).
const AFTER_INIT: u64 = 10_000_000;
const AFTER_STARTUP: u64 = 200_000;

// The ports of fw_cfg (QEMU's docs/specs/fw_cfg), and its number for FW_CFG_NB_CPUS, how many CPUs there are.
const FW_CFG_SELECTOR: u16 = 0x510;
const FW_CFG_DATA: u16 = 0x511;
const FW_CFG_CPUS: u16 = 0x05;

/// For the CPU that starts: read by `trampoline.s`.
// SAFETY: no other statics have these names.
#[unsafe(no_mangle)]
static processor_stack: AtomicU64 = AtomicU64::new(0);
// SAFETY: as above.
#[unsafe(no_mangle)]
static processor_number: AtomicU64 = AtomicU64::new(0);
/// How long work may take, in seconds of real time: QEMU's time passes fast where nothing happens, and slowly where much does.
static PATIENCE: AtomicU16 = AtomicU16::new(5);
/// It waits for work.
static IS_THERE: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    static trampoline: u8;
    static trampoline_end: u8;
}

/// How many CPUs QEMU has.
fn cpus() -> u16 {
    // SAFETY: reads a number that QEMU keeps for its guests, low byte first.
    unsafe {
        Port::new(FW_CFG_SELECTOR).write(FW_CFG_CPUS);
        let mut data = Port::<u8>::new(FW_CFG_DATA);
        u16::from_le_bytes([data.read(), data.read()])
    }
}

/// Starts the CPUs besides the first; how many there are with it.
///
/// # Panics
/// If one does not start, or there are more than the stack can have.
pub fn start() -> u8 {
    let cpus = cpus().max(1);
    assert!(
        usize::from(cpus) <= CPUS_MAX,
        "{cpus} CPUs, and the stack can have {CPUS_MAX}: start QEMU with fewer"
    );
    let cpus = cpus as u8;
    if cpus > 1 {
        let bytes = addr_of!(trampoline_end) as usize - addr_of!(trampoline) as usize;
        assert!(bytes <= PAGE, "a CPU begins in one page");
        // SAFETY: RAM below 1 MiB, of which the loader's tables have been read, and nothing of ours is there.
        unsafe { copy_nonoverlapping(addr_of!(trampoline), BEGIN as *mut u8, bytes) }
    }
    // Their memory comes first: a CPU that runs does not hear of pages that were taken away.
    for number in 1..cpus {
        Processor::make(number);
    }
    (1..cpus).filter_map(processor::of).for_each(start_one);
    cpus
}

fn start_one(processor: &Processor) {
    IS_THERE.store(false, Ordering::Relaxed);
    processor_stack.store(processor.stack.end as u64, Ordering::Relaxed);
    processor_number.store(u64::from(processor.number), Ordering::Release);
    cpu::signal(processor.apic_id, Signal::Init);
    waits(AFTER_INIT, || false);
    for _ in 0..2 {
        cpu::signal(processor.apic_id, Signal::Startup((BEGIN / PAGE) as u8));
        if waits(AFTER_STARTUP, || IS_THERE.load(Ordering::Acquire)) {
            return;
        }
    }
    let started = waits(STARTS, || IS_THERE.load(Ordering::Acquire));
    assert!(started, "CPU {} does not start", processor.number);
}

/// Waits until something holds; whether it does within so many nanoseconds. Others have the time meanwhile.
fn waits(nanoseconds: u64, mut holds: impl FnMut() -> bool) -> bool {
    let begin = cpu::tsc();
    loop {
        if holds() {
            return true;
        }
        if cpu::nanoseconds_since(begin) >= nanoseconds {
            return false;
        }
        // PAUSE: where CPUs take turns, the next has its own.
        spin_loop();
    }
}

/// Called by `trampoline.s` on a CPU that started, on its own stack.
// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
extern "C" fn start_processor(number: u64) -> ! {
    let Some(own) = processor::of(number as u8) else { cpu::leave(cpu::DIED) };
    // SAFETY: it is this one that was started, once.
    unsafe { own.load() }
    assert!(cpu::apic_id() == own.apic_id, "CPU {number} has the local APIC {}", cpu::apic_id());
    IS_THERE.store(true, Ordering::Release);
    loop {
        cpu::wait_unless(|| own.mailbox.progress() == Progress::Posted);
        own.mailbox.serve(cpu::apic_id());
    }
}

/// Has a CPU do some work, and waits until it is done.
///
/// # Panics
/// If there is no such CPU, if it does not take the work or does not end it, or if another one did it.
pub fn on(number: u8, work: &mut dyn FnMut()) {
    let Some(processor) = processor::of(number) else {
        panic!(
            "the stack is to work as CPU {number}, and this machine has {}: start QEMU with -smp {}",
            processor::count(),
            u16::from(number) + 1
        );
    };
    let here = cpu::apic_id();
    if number == 0 {
        assert!(here == processor.apic_id, "CPU 0 works on the local APIC {here}");
        return work();
    }
    let (before, _) = processor.mailbox.done();
    let mut work = work;
    // SAFETY: it is waited for, or nothing goes on.
    unsafe { processor.mailbox.post(&mut work) }
    cpu::signal(processor.apic_id, Signal::Interrupt(WORK));
    await_done(processor);
    let (after, by) = processor.mailbox.done();
    assert!(
        after == before + 1 && by == processor.apic_id,
        "the work of CPU {number} was done by the local APIC {by}"
    );
}

/// Whoever waits for an answer of this guest does so for this many seconds: a CPU has half of that.
pub fn be_patient(seconds: u16) {
    PATIENCE.store((seconds / 2).max(1), Ordering::Relaxed);
}

/// Waits until a CPU has done its work.
fn await_done(processor: &Processor) {
    let (mut begin, mut passed) = (None, 0);
    loop {
        for _ in 0..LOOKS {
            if processor.mailbox.progress() == Progress::Done {
                return;
            }
            // PAUSE: where CPUs take turns, the next has its own.
            spin_loop();
        }
        let now = cpu::second();
        // The first second has begun before.
        passed += u16::from(begin.replace(now).is_some_and(|before| before != now));
        if passed > PATIENCE.load(Ordering::Relaxed) {
            give_up(processor);
        }
    }
}

/// A CPU that does not end its work tells itself where it is; of one that cannot, the number is told.
fn give_up(processor: &Processor) -> ! {
    let number = processor.number;
    exception::ask(number);
    let progress = processor.mailbox.progress();
    cpu::signal(processor.apic_id, Signal::Nmi);
    waits(TELLS, || false);
    match progress {
        Progress::Posted => panic!("CPU {number} does not answer, and does not hear an NMI"),
        _ => panic!("CPU {number} does not end its work, and does not hear an NMI"),
    }
}
