//! The machine around the NIC: the bus that the driver uses, and the memory that the device reaches.

use super::announced::Announced;
use super::ledger::ReadCounters;
use super::lent::{Access, Lent};
use nic_emu::{DmaFault, HostMemory, Nic, Output};
use stack_under_test::bus::{Bus, Direction};
use stack_under_test::dma::{DmaMemory, DmaPeer};
use std::cell::RefCell;
use std::rc::Rc;

/// How many broken rules are kept of a trial; one is enough to fail it.
const VIOLATIONS_MAX: usize = 32;
/// The device control register, and its bit that resets the device (82576 datasheet, section 8.2.1).
const CTRL: u32 = 0;
const CTRL_RST: u32 = 1 << 26;
/// The tails of the sixteen transmit rings, TDT[n] (section 8.12.16).
const TDT0: u32 = 0xE018;
const TDT_STRIDE: u32 = 0x40;
const TDT_COUNT: u32 = 16;

fn is_tdt(offset: u32) -> bool {
    let ring = offset.wrapping_sub(TDT0);
    ring.is_multiple_of(TDT_STRIDE) && ring / TDT_STRIDE < TDT_COUNT
}

/// What the driver and the device share.
pub struct Machine {
    /// The device.
    pub nic: Nic,
    lent: Lent,
    announced: Announced,
    violations: Vec<String>,
    /// Whether the driver reset the device since this was last cleared.
    pub was_reset: bool,
    /// How often the driver wrote the tail of a transmit ring.
    pub doorbells: u64,
    /// Counters that the driver cleared by reading them.
    pub counted: ReadCounters,
}

impl Machine {
    /// A machine with this NIC in it, and nothing lent. Descriptor rings lie in `rings`.
    #[must_use]
    pub fn new(nic: Nic, rings: DmaPeer) -> Self {
        let (lent, announced) = (Lent::default(), Announced::new(rings));
        Self {
            nic,
            lent,
            announced,
            violations: Vec::new(),
            was_reset: false,
            doorbells: 0,
            counted: ReadCounters::default(),
        }
    }

    /// Lets the device do what is due at or before `now`, in nanoseconds.
    pub fn step(&mut self, now: u64, memory: &mut DmaMemory, out: &mut Output) {
        let Self { nic, lent, announced, violations, .. } = self;
        let mut reach = Reach { memory, lent, announced, violations, now };
        nic.step(now, &mut reach, out);
    }

    /// The rules that were broken so far: reaches beyond lent memory, and what the NIC saw the driver do.
    pub fn take_violations(&mut self) -> Vec<String> {
        self.keep_observations();
        std::mem::take(&mut self.violations)
    }

    /// Puts what the NIC saw so far with the rules that were broken.
    pub fn keep_observations(&mut self) {
        let seen = self.nic.take_observations();
        let told = seen.iter().map(|o| format!("at {} ns the NIC saw {:?}: {}", o.at, o.kind, o.text));
        self.violations.extend(told);
    }

    fn violated(&mut self, what: String) {
        note(&mut self.violations, what);
    }
}

fn note(violations: &mut Vec<String>, what: String) {
    if violations.len() < VIOLATIONS_MAX {
        violations.push(what);
    }
}

/// The driver's side.
pub struct EmuBus(pub Rc<RefCell<Machine>>);

impl Bus for EmuBus {
    fn read32(&mut self, offset: u32) -> u32 {
        let machine = &mut *self.0.borrow_mut();
        let value = machine.nic.read32(offset);
        machine.counted.was_read(offset, value);
        value
    }

    fn write32(&mut self, offset: u32, value: u32) {
        let machine = &mut *self.0.borrow_mut();
        machine.announced.before_write(&machine.nic, offset, value);
        machine.doorbells += u64::from(is_tdt(offset));
        machine.was_reset |= offset == CTRL && value & CTRL_RST != 0;
        machine.nic.write32(offset, value);
    }

    fn dma_map(&mut self, addr: u64, len: u32, direction: Direction) {
        self.0.borrow_mut().lent.lend(addr, len, direction);
    }

    fn dma_unmap(&mut self, addr: u64, len: u32) {
        let mut machine = self.0.borrow_mut();
        machine.announced.forget(addr, len);
        if !machine.lent.take_back(addr, len) {
            let now = machine.nic.now();
            machine.violated(format!(
                "at {now} ns the driver took back {len} bytes at {addr:#x} that were not lent"
            ));
        }
    }
}

/// The device's side: the stack's memory, as far as it is lent.
struct Reach<'m> {
    memory: &'m mut DmaMemory,
    lent: &'m Lent,
    announced: &'m mut Announced,
    violations: &'m mut Vec<String>,
    now: u64,
}

impl Reach<'_> {
    /// Where the bytes stand in the region, if the device may reach them.
    fn offset(&mut self, addr: u64, len: usize, access: Access) -> Result<usize, DmaFault> {
        let offset = self.memory.offset_of(addr, len).filter(|_| self.lent.allows(addr, len, access));
        offset.ok_or_else(|| {
            let what = match access {
                Access::Read => "reads",
                Access::Write => "writes",
            };
            let what = format!(
                "at {} ns the device {what} {len} bytes at {addr:#x} that are not lent for that",
                self.now
            );
            note(self.violations, what);
            DmaFault
        })
    }
}

impl HostMemory for Reach<'_> {
    fn read(&mut self, addr: u64, into: &mut [u8]) -> Result<(), DmaFault> {
        let offset = self.offset(addr, into.len(), Access::Read)?;
        self.memory.copy_out(offset, into);
        let Self { announced, violations, now, .. } = self;
        announced.fetched(addr, into, &mut |what| {
            note(violations, format!("at {now} ns the device found that {what}"))
        });
        Ok(())
    }

    fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), DmaFault> {
        let offset = self.offset(addr, bytes.len(), Access::Write)?;
        self.memory.copy_in(offset, bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
