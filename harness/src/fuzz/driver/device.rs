//! A device that lies: an emulated NIC, of which what the driver reads and finds in memory is spoilt. It watches what the
//! driver lends and announces, as a machine with an IOMMU would.

use super::lies::Lie;
use crate::rig::emu::{Access, Lent};
use nic_emu::{DmaFault, HostMemory, Nic, Output};
use stack_under_test::bus::{Bus, Direction};
use stack_under_test::dma::{DmaMemory, DmaPeer};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

/// Register accesses in one call of the stack: what makes more never comes back.
const ACCESSES_MAX: u32 = 200_000;
/// Broken rules that are kept.
const VIOLATIONS_MAX: usize = 8;
/// Registers of one direction's queues, 0x40 apart: 82576 datasheet, sections 8.10 and 8.12.
pub const RX: u32 = 0xC000;
/// The same for transmit.
pub const TX: u32 = 0xE000;
const QUEUES: u32 = 16;
const BASE_HIGH: u32 = 0x04;
const LENGTH: u32 = 0x08;
const SRRCTL: u32 = 0x0C;
/// The head register of a queue.
pub const HEAD: u32 = 0x10;
const TAIL: u32 = 0x18;
const CONTROL: u32 = 0x28;
const ENABLE: u32 = 1 << 25;
const RCTL: u32 = 0x100;
const TCTL: u32 = 0x400;
/// `RCTL.EN` and `TCTL.EN`.
const MAC_ENABLE: u32 = 2;
/// Bytes of a descriptor.
pub const DESCRIPTOR: u64 = 16;

/// What the driver and the device share.
pub struct Device {
    /// The NIC behind the lies.
    pub nic: Nic,
    /// It was pulled out: all ones.
    pub gone: bool,
    /// It does nothing on its own, for now.
    pub frozen: bool,
    /// What is told instead of the truth.
    pub lies: Vec<Lie>,
    /// Registers that the driver has read, and written.
    pub touched: BTreeSet<(bool, u32)>,
    /// What the driver wrote, by register.
    wrote: BTreeMap<u32, u32>,
    lent: Lent,
    /// What the device may write, by address and length.
    pub writable: BTreeSet<(u64, u32)>,
    /// Descriptors that the device wrote to after the driver.
    pub scribbled: HashSet<u64>,
    rings: DmaPeer,
    accesses: u32,
    violations: Vec<String>,
}

impl Device {
    /// A device that tells the truth so far. Descriptor rings lie in `rings`.
    #[must_use]
    pub fn new(nic: Nic, rings: DmaPeer) -> Self {
        Self {
            nic,
            gone: false,
            frozen: false,
            lies: Vec::new(),
            touched: BTreeSet::new(),
            wrote: BTreeMap::new(),
            lent: Lent::default(),
            writable: BTreeSet::new(),
            scribbled: HashSet::new(),
            rings,
            accesses: 0,
            violations: Vec::new(),
        }
    }

    /// The stack is called now.
    pub fn begins(&mut self) {
        self.accesses = 0;
    }

    /// The first rule that was broken.
    #[must_use]
    pub fn violation(&self) -> Option<&String> {
        self.violations.first()
    }

    /// Whether nothing is lent.
    #[must_use]
    pub fn has_nothing(&self) -> bool {
        self.lent.is_empty()
    }

    /// Whether the device may write there.
    #[must_use]
    pub fn may_write(&self, addr: u64, len: usize) -> bool {
        self.lent.allows(addr, len, Access::Write)
    }

    /// Where a queue's ring lies and how many descriptors it has, as the driver told.
    #[must_use]
    pub fn ring(&self, base: u32) -> (u64, u32) {
        let at = u64::from(self.told(base + BASE_HIGH)) << 32 | u64::from(self.told(base));
        (at, self.told(base + LENGTH) / DESCRIPTOR as u32)
    }

    /// The NIC does what is due.
    pub fn step(&mut self, now: u64, memory: &mut DmaMemory, out: &mut Output) {
        if !self.gone && !self.frozen {
            self.nic.step(now, &mut Reach { memory, lent: &self.lent }, out);
        }
    }

    fn told(&self, register: u32) -> u32 {
        self.wrote.get(&register).copied().unwrap_or(0)
    }

    fn violated(&mut self, what: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(what);
        }
    }

    fn counts(&mut self, register: u32, writes: bool) {
        self.accesses += 1;
        assert!(self.accesses < ACCESSES_MAX, "the driver touches registers without end");
        self.touched.insert((writes, register));
    }

    /// The driver announces descriptors: what they name has to be lent.
    fn announced(&mut self, register: u32, tail: u32) {
        let Some((base, sends)) = queue_of_tail(register) else { return };
        let (ring, count) = self.ring(base);
        let mut index = self.told(register);
        // The register test of `ethtool -t` writes patterns to tails, while the MAC is off.
        let mac = self.told(if sends { TCTL } else { RCTL });
        if self.told(base + CONTROL) & ENABLE == 0 || mac & MAC_ENABLE == 0 {
            return;
        }
        if tail >= count {
            return self.violated(format!("tail {register:#x} = {tail} of a ring of {count}"));
        }
        while index != tail && index < count {
            let at = ring.wrapping_add(u64::from(index) * DESCRIPTOR);
            index = (index + 1) % count;
            let mut bytes = [0; DESCRIPTOR as usize];
            if !self.rings.read(at, &mut bytes) || !self.lent.allows(at, bytes.len(), Access::Read) {
                return self.violated(format!("tail {register:#x}: the descriptor at {at:#x} is not lent"));
            }
            if !self.scribbled.remove(&at) {
                self.names(base, sends, at, bytes);
            }
        }
    }

    /// A descriptor that the driver wrote: what it names has to be lent.
    fn names(&mut self, base: u32, sends: bool, at: u64, bytes: [u8; 16]) {
        let wide =
            |from: usize| bytes[from..from + 8].iter().rev().fold(0, |all, b| all << 8 | u64::from(*b));
        let (addr, command) = (wide(0), wide(8));
        let (len, access) = if sends {
            if command >> 20 & 0xF != 3 {
                return;
            }
            (command & 0xFFFF, Access::Read)
        } else {
            let kib = u64::from(self.told(base + SRRCTL) & 0x7F);
            (if kib == 0 { 2048 } else { kib * 1024 }, Access::Write)
        };
        if !self.lent.allows(addr, len as usize, access) {
            self.violated(format!(
                "the descriptor at {at:#x} of queue {base:#x} names {len} bytes at {addr:#x} that are not lent"
            ));
        }
    }
}

/// The registers of the queue whose tail this is, and whether it sends.
fn queue_of_tail(register: u32) -> Option<(u32, bool)> {
    [(TX, true), (RX, false)].into_iter().find_map(|(first, sends)| {
        let distance = register.checked_sub(first + TAIL)?;
        (distance.is_multiple_of(0x40) && distance / 0x40 < QUEUES).then_some((register - TAIL, sends))
    })
}

/// The driver's side.
pub struct LyingBus(pub Rc<RefCell<Device>>);

impl Bus for LyingBus {
    fn read32(&mut self, offset: u32) -> u32 {
        let device = &mut *self.0.borrow_mut();
        device.counts(offset, false);
        if device.gone {
            return u32::MAX;
        }
        let mut value = device.nic.read32(offset);
        for lie in &mut device.lies {
            value = lie.told(offset, value);
        }
        value
    }

    fn write32(&mut self, offset: u32, value: u32) {
        let device = &mut *self.0.borrow_mut();
        device.counts(offset, true);
        device.announced(offset, value);
        device.wrote.insert(offset, value);
        if !device.gone {
            device.nic.write32(offset, value);
        }
    }

    fn dma_map(&mut self, addr: u64, len: u32, direction: Direction) {
        let device = &mut *self.0.borrow_mut();
        device.lent.lend(addr, len, direction);
        if direction != Direction::ToDevice {
            device.writable.insert((addr, len));
        }
    }

    fn dma_unmap(&mut self, addr: u64, len: u32) {
        let device = &mut *self.0.borrow_mut();
        device.writable.remove(&(addr, len));
        if !device.lent.take_back(addr, len) {
            device.violated(format!("the driver took back {len} bytes at {addr:#x} that were not lent"));
        }
    }
}

/// The NIC's way to the stack's memory: what is not lent is refused.
struct Reach<'m> {
    memory: &'m mut DmaMemory,
    lent: &'m Lent,
}

impl Reach<'_> {
    fn offset(&self, addr: u64, len: usize, access: Access) -> Result<usize, DmaFault> {
        self.memory.offset_of(addr, len).filter(|_| self.lent.allows(addr, len, access)).ok_or(DmaFault)
    }
}

impl HostMemory for Reach<'_> {
    fn read(&mut self, addr: u64, into: &mut [u8]) -> Result<(), DmaFault> {
        self.memory.copy_out(self.offset(addr, into.len(), Access::Read)?, into);
        Ok(())
    }

    fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), DmaFault> {
        let offset = self.offset(addr, bytes.len(), Access::Write)?;
        self.memory.copy_in(offset, bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::model::topology;
    use rstest::rstest;

    const RING: u64 = 0x1000;
    const BUFFER: u64 = 0x10;

    /// A driver that lent a ring of 64 descriptors and a buffer, and announces `tail` after it wrote one descriptor.
    fn announce(tail: u32, buffer: u64, len: u32) -> Option<String> {
        let mut memory = DmaMemory::zeroed(0x2000, 0);
        let rings = memory.set_apart(RING as usize).expect("a region of our own");
        let nic = Nic::new(nic_emu::Config::new(topology::SUT_MAC, 0));
        let device = Rc::new(RefCell::new(Device::new(nic, rings)));
        let mut bus = LyingBus(Rc::clone(&device));
        bus.dma_map(RING, 1024, Direction::Bidirectional);
        bus.dma_map(BUFFER, 100, Direction::ToDevice);
        bus.write32(TCTL, MAC_ENABLE);
        for (register, value) in [(0x00, RING as u32), (LENGTH, 1024), (TAIL, 0), (CONTROL, ENABLE)] {
            bus.write32(TX + register, value);
        }
        memory.write_le64_pair(RING as usize, [buffer, u64::from(0x2330_0000 | len)]);
        bus.write32(TX + TAIL, tail);
        device.borrow().violation().cloned()
    }

    #[rstest]
    #[case::what_is_lent(1, BUFFER, 100, None)]
    #[case::more_than_is_lent(1, BUFFER, 101, Some("names 101 bytes"))]
    #[case::what_is_not_lent(1, 0x200, 1, Some("names 1 bytes"))]
    #[case::a_tail_beyond_the_ring(64, BUFFER, 100, Some("of a ring of 64"))]
    fn what_a_driver_announces_is_lent(
        #[case] tail: u32,
        #[case] buffer: u64,
        #[case] len: u32,
        #[case] said: Option<&str>,
    ) {
        let violation = announce(tail, buffer, len);
        match said {
            None => assert_eq!(violation, None),
            Some(said) => {
                assert!(violation.as_ref().is_some_and(|what| what.contains(said)), "{violation:?}")
            }
        }
    }
}
