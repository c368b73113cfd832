//! The machine as the driver sees it: the igb's registers, and memory that the device reaches where it lies.

use super::pci::{self, Addresses, Device, Window};
use stack_under_test::bus::{Bus, Direction};

const VENDOR: u16 = 0x8086;
/// The 82576, as QEMU's `-device igb` has it.
const DEVICE: u16 = 0x10c9;
/// The interrupt of MSI-X vector 0; the others follow.
pub const FIRST_INTERRUPT: u8 = 0x40;

/// Registers by memory accesses. Nothing translates the device's addresses: what is lent lies where the CPU finds it.
pub struct GuestBus {
    registers: Window,
}

/// The NIC of this machine with its interrupts switched on, and how many vectors it has.
pub fn find(addresses: &mut Addresses) -> Option<(GuestBus, u16)> {
    let device: Device = pci::find(VENDOR, DEVICE, addresses)?;
    let vectors = device.raise(FIRST_INTERRUPT)?;
    Some((GuestBus { registers: device.window(0)? }, vectors))
}

impl Bus for GuestBus {
    fn read32(&mut self, offset: u32) -> u32 {
        self.registers.read(offset as usize)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.registers.write(offset as usize, value);
    }

    fn dma_map(&mut self, _addr: u64, _len: u32, _direction: Direction) {}

    fn dma_unmap(&mut self, _addr: u64, _len: u32) {}
}
