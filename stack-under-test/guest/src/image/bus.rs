//! The machine as the driver sees it: the igb's registers, and memory that the device reaches where it lies.

use super::pci::{self, Addresses, Device, Vectors, Window};
use alloc::rc::Rc;
use core::cell::Cell;
use stack_under_test::bus::{Bus, Direction};

const VENDOR: u16 = 0x8086;
/// The 82576, as QEMU's `-device igb` has it.
const DEVICE: u16 = 0x10c9;
/// The interrupt of MSI-X vector 0; the others follow.
pub const FIRST_INTERRUPT: u8 = 0x40;

/// Registers by memory accesses. Nothing translates the device's addresses: what is lent lies where the CPU finds it.
#[derive(Clone)]
pub struct GuestBus {
    registers: Window,
    /// Whether a register was written since the NIC was last at rest.
    pub told: Rc<Cell<bool>>,
    /// How often the tail of a transmit ring was written.
    pub doorbells: Rc<Cell<u64>>,
}

/// The NIC of this machine with its interrupts switched on, and its vectors.
pub fn find(addresses: &mut Addresses) -> Option<(GuestBus, Vectors)> {
    let device: Device = pci::find(VENDOR, DEVICE, addresses)?;
    let vectors = device.raise(FIRST_INTERRUPT)?;
    Some((GuestBus { registers: device.window(0)?, told: Rc::default(), doorbells: Rc::default() }, vectors))
}

/// Whether a register is TDT of one of the 16 queues (82576 datasheet, section 8.12.14).
fn is_doorbell(offset: u32) -> bool {
    (0xe000..0xe400).contains(&offset) && offset & 0x3f == 0x18
}

impl Bus for GuestBus {
    fn read32(&mut self, offset: u32) -> u32 {
        self.registers.read(offset as usize)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.told.set(true);
        if is_doorbell(offset) {
            self.doorbells.set(self.doorbells.get() + 1);
        }
        self.registers.write(offset as usize, value);
    }

    fn dma_map(&mut self, _addr: u64, _len: u32, _direction: Direction) {}

    fn dma_unmap(&mut self, _addr: u64, _len: u32) {}
}
