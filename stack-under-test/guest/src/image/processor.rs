//! What belongs to one CPU: its descriptor tables, its stacks, and its counts of interrupts, which GS leads to.

use super::cpu;
use super::mailbox::Mailbox;
use super::pages::{self, PAGE};
use alloc::alloc::{Layout, alloc};
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ops::Range;
use core::ptr::{addr_of, addr_of_mut, read_volatile};
use core::sync::atomic::{AtomicPtr, Ordering};
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::registers::model_specific::GsBase;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::idt::{Entry, HandlerFunc, InterruptDescriptorTable};
use x86_64::structures::tss::TaskStateSegment;

/// So many CPUs there can be: as many as the stack can have.
pub const CPUS_MAX: usize = 64;

const STACK_BYTES: usize = 256 * 1024;
const GATE_STACK_BYTES: usize = 16 * 1024;
/// Each gate has a stack of its own: code of the standard library keeps data below the stack pointer (the red zone).
const INTERRUPT: u16 = 0;
const EXCEPTION: u16 = 1;
const DOUBLE_FAULT: u16 = 2;
const NMI: u16 = 3;
const GATES: usize = 4;

#[repr(C, align(16))]
struct GateStacks([[u8; GATE_STACK_BYTES]; GATES]);

static mut FIRST_GATE_STACKS: GateStacks = GateStacks([[0; GATE_STACK_BYTES]; GATES]);
static mut FIRST: Processor = Processor::new(0, 0, 0..0);
static mut IDT: InterruptDescriptorTable = InterruptDescriptorTable::new();

/// By their numbers. Those that have not started are null.
static PROCESSORS: [AtomicPtr<Processor>; CPUS_MAX] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; CPUS_MAX];

unsafe extern "C" {
    static exception_stubs: u8;
    static interrupt_stubs: u8;
    static __stack_guard: u8;
    static __stack_top: u8;
}

/// One CPU.
#[repr(C)]
pub struct Processor {
    /// How often each vector came, counted by `interrupts.s`, which finds it at the begin.
    seen: UnsafeCell<[u64; 256]>,
    /// 0 for the one that QEMU starts.
    pub number: u8,
    /// That of its local APIC.
    pub apic_id: u8,
    /// Its stack, above a page that was taken away.
    pub stack: Range<usize>,
    /// What it is to do for the first.
    pub mailbox: Mailbox,
    task: TaskStateSegment,
    segments: GlobalDescriptorTable,
    code: SegmentSelector,
    task_selector: SegmentSelector,
}

// SAFETY: nobody writes to it once it stands in `PROCESSORS`, but for the mailbox, which is made for that, and the counts, which are
// words that one instruction of one CPU adds to.
unsafe impl Sync for Processor {}

impl Processor {
    const fn new(number: u8, apic_id: u8, stack: Range<usize>) -> Self {
        Self {
            seen: UnsafeCell::new([0; 256]),
            number,
            apic_id,
            stack,
            mailbox: Mailbox::new(),
            task: TaskStateSegment::new(),
            segments: GlobalDescriptorTable::new(),
            code: SegmentSelector::NULL,
            task_selector: SegmentSelector::NULL,
        }
    }

    /// A CPU with memory for its stacks that has not started. It is never freed.
    ///
    /// # Panics
    /// If there is not enough memory.
    pub fn make(number: u8) -> &'static Self {
        let bytes = PAGE + STACK_BYTES + GATES * GATE_STACK_BYTES;
        let layout = Layout::from_size_align(bytes, PAGE).expect("it fits the address space");
        // SAFETY: the layout has a size greater than zero.
        let guard = unsafe { alloc(layout) } as usize;
        assert!(guard != 0, "QEMU needs -m with more memory for the stacks of CPU {number}");
        pages::take_away(guard);
        let stack = guard + PAGE..guard + PAGE + STACK_BYTES;
        let gate_stacks = stack.end;
        // QEMU numbers the local APICs of one socket from 0 on; each CPU holds its own against this when it starts.
        let processor = Box::leak(Box::new(Self::new(number, number, stack)));
        processor.complete(gate_stacks)
    }

    /// Fills in the tables of a CPU whose gates have their stacks at this address, and puts it among the others.
    fn complete(&'static mut self, gate_stacks: usize) -> &'static Self {
        for gate in 0..GATES {
            let top = gate_stacks + (gate + 1) * GATE_STACK_BYTES;
            self.task.interrupt_stack_table[gate] = VirtAddr::new(top as u64);
        }
        self.code = self.segments.append(Descriptor::kernel_code_segment());
        self.segments.append(Descriptor::kernel_data_segment());
        // SAFETY: it lives for ever, and is not written to any more.
        let task = unsafe { &*addr_of!(self.task) };
        self.task_selector = self.segments.append(Descriptor::tss_segment(task));
        let number = usize::from(self.number);
        let this: &'static Self = self;
        PROCESSORS[number].store(addr_of!(*this).cast_mut(), Ordering::Release);
        this
    }

    /// Has the CPU that runs this be this one.
    ///
    /// # Safety
    /// It is no other one, and has not been this one before.
    pub unsafe fn load(&'static self) {
        // SAFETY: the tables live for ever, as the CPU needs them, and the gates are there before any CPU loads them.
        unsafe {
            GsBase::write(VirtAddr::from_ptr(self));
            self.segments.load();
            CS::set_reg(self.code);
            load_tss(self.task_selector);
            (*addr_of!(IDT)).load();
        }
        cpu::listen();
    }

    /// How often a vector came to this CPU so far.
    pub fn seen(&self, vector: u8) -> u64 {
        // SAFETY: a word that the stub adds to in one instruction.
        unsafe { read_volatile(self.seen.get().cast::<u64>().add(usize::from(vector))) }
    }
}

/// Has the first CPU know itself, and the gates lead where they should.
pub fn initialise() {
    // SAFETY: there is one CPU and no interrupt yet, so nobody else reaches these statics; they live for ever.
    unsafe {
        let idt = addr_of_mut!(IDT);
        // All gates have one shape: the crate's types of the first 32 differ in the functions that they would take.
        let gates = idt.cast::<Entry<HandlerFunc>>();
        for vector in 0..256_usize {
            let (stub, stack) = match vector {
                2 => (addr_of!(exception_stubs).add(vector * 16), NMI),
                8 => (addr_of!(exception_stubs).add(vector * 16), DOUBLE_FAULT),
                0..32 => (addr_of!(exception_stubs).add(vector * 16), EXCEPTION),
                _ => (addr_of!(interrupt_stubs).add((vector - 32) * 32), INTERRUPT),
            };
            (*gates.add(vector)).set_handler_addr(VirtAddr::from_ptr(stub)).set_stack_index(stack);
        }
        let first = &mut *addr_of_mut!(FIRST);
        first.apic_id = cpu::apic_id();
        first.stack = addr_of!(__stack_guard) as usize + PAGE..addr_of!(__stack_top) as usize;
        first.complete(addr_of!(FIRST_GATE_STACKS) as usize).load();
    }
}

/// The CPU of this number. `None`: this machine has none, or it has not been made yet.
pub fn of(number: u8) -> Option<&'static Processor> {
    let processor = PROCESSORS.get(usize::from(number))?.load(Ordering::Acquire);
    // SAFETY: what stands there is never freed, and nobody has it to write to.
    (!processor.is_null()).then(|| unsafe { &*processor })
}

/// The CPU that runs this. `None`: it does not know itself yet.
pub fn current() -> Option<&'static Processor> {
    let apic_id = cpu::apic_id();
    (0..CPUS_MAX as u8).map_while(of).find(|processor| processor.apic_id == apic_id)
}

/// How many CPUs there are.
pub fn count() -> u8 {
    (0..CPUS_MAX as u8).map_while(of).count() as u8
}
