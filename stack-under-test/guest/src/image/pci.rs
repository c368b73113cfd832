//! The devices on the first PCI bus: found, given addresses (qboot gives none), and allowed to reach memory.

use core::ptr::{read_volatile, write_volatile};
use pci_types::capability::{MsixCapability, PciCapability};
use pci_types::{
    Bar, CommandRegister, ConfigRegionAccess, EndpointHeader, HeaderType, PciAddress, PciHeader,
};
use x86_64::instructions::port::Port;

/// Configuration space through the ports 0xcf8 and 0xcfc.
#[derive(Clone, Copy)]
pub struct Ports;

impl Ports {
    fn select(address: PciAddress, offset: u16) {
        let device = u32::from(address.bus()) << 16
            | u32::from(address.device()) << 11
            | u32::from(address.function()) << 8;
        // SAFETY: the address port of the host bridge.
        unsafe { Port::new(0xcf8).write(0x8000_0000 | device | u32::from(offset & 0xfc)) }
    }
}

impl ConfigRegionAccess for Ports {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        Self::select(address, offset);
        // SAFETY: the data port, behind the address that was just selected; there is one CPU.
        unsafe { Port::new(0xcfc).read() }
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        Self::select(address, offset);
        // SAFETY: as in `read`; the caller knows what the register does.
        unsafe { Port::new(0xcfc).write(value) }
    }
}

/// Registers of a device in memory.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    base: usize,
    bytes: usize,
}

impl Window {
    /// The part of it from `offset` on.
    ///
    /// # Panics
    /// If that lies beyond it.
    pub fn from(self, offset: usize) -> Self {
        assert!(offset < self.bytes, "beyond the device's registers");
        Self { base: self.base + offset, bytes: self.bytes - offset }
    }

    fn at<T>(self, offset: usize) -> usize {
        assert!(
            offset.is_multiple_of(size_of::<T>()) && offset + size_of::<T>() <= self.bytes,
            "no such register"
        );
        self.base + offset
    }

    /// Reads a register of the size of `T`.
    pub fn read<T>(self, offset: usize) -> T {
        // SAFETY: within a BAR, aligned (both checked), and mapped as a device.
        unsafe { read_volatile(self.at::<T>(offset) as *const T) }
    }

    /// Writes one.
    pub fn write<T>(self, offset: usize, value: T) {
        // SAFETY: as in `read`.
        unsafe { write_volatile(self.at::<T>(offset) as *mut T, value) }
    }
}

/// A device with its registers mapped.
pub struct Device {
    header: EndpointHeader,
    windows: [Option<Window>; 6],
}

/// Where BARs are put: what `boot.s` maps for devices, below the LAPIC and the ports of the chipset.
const WINDOWS_FROM: usize = 0xe000_0000;
const WINDOWS_TO: usize = 0xf000_0000;

/// Hands out addresses for BARs.
pub struct Addresses(usize);

impl Addresses {
    /// All of the window.
    pub const fn new() -> Self {
        Self(WINDOWS_FROM)
    }

    fn take(&mut self, bytes: usize) -> usize {
        let at = self.0.next_multiple_of(bytes.max(4096));
        self.0 = at + bytes;
        assert!(self.0 <= WINDOWS_TO, "the devices want more addresses than there are");
        at
    }
}

/// The first device with these ids, with its memory BARs at addresses of their own, and as bus master.
pub fn find(vendor: u16, device: u16, addresses: &mut Addresses) -> Option<Device> {
    let is_wanted = |address: &PciAddress| PciHeader::new(*address).id(Ports) == (vendor, device);
    let address = (0..32).map(|slot| PciAddress::new(0, 0, slot, 0)).find(is_wanted)?;
    let header = PciHeader::new(address);
    if header.header_type(Ports) != HeaderType::Endpoint {
        return None;
    }
    let mut header = EndpointHeader::from_header(header, Ports)?;
    let mut windows = [None; 6];
    let mut slot = 0;
    while slot < 6 {
        let (bytes, wide) = match header.bar(slot, Ports) {
            Some(Bar::Memory32 { size, .. }) => (size as usize, false),
            Some(Bar::Memory64 { size, .. }) => (size as usize, true),
            Some(Bar::Io { .. }) | None => (0, false),
        };
        if bytes > 0 {
            let base = addresses.take(bytes);
            // SAFETY: an address that is a multiple of the size, in a range that is nobody else's.
            unsafe { header.write_bar(slot, Ports, base) }.ok()?;
            windows[usize::from(slot)] = Some(Window { base, bytes });
        }
        slot += 1 + u8::from(wide);
    }
    let on = CommandRegister::MEMORY_ENABLE
        | CommandRegister::BUS_MASTER_ENABLE
        | CommandRegister::INTERRUPT_DISABLE;
    header.update_command(Ports, |command| command | on);
    Some(Device { header, windows })
}

impl Device {
    /// The registers behind a BAR.
    pub fn window(&self, slot: u8) -> Option<Window> {
        self.windows.get(usize::from(slot)).copied().flatten()
    }

    /// The vendor's own capabilities: where each begins in configuration space.
    pub fn vendor_capabilities(&self) -> impl Iterator<Item = u16> {
        self.header.capabilities(Ports).filter_map(|capability| match capability {
            PciCapability::Vendor(at) => Some(at.offset),
            _ => None,
        })
    }

    /// A word of configuration space.
    pub fn config(&self, offset: u16) -> u32 {
        // SAFETY: reads of configuration space have no effect on these devices.
        unsafe { Ports.read(self.header.header().address(), offset) }
    }

    /// Has each MSI-X vector raise the interrupt `first` plus its number on the first CPU, and gives them.
    pub fn raise(&self, first: u8) -> Option<Vectors> {
        let mut msix: MsixCapability =
            self.header.capabilities(Ports).find_map(|capability| match capability {
                PciCapability::MsiX(msix) => Some(msix),
                _ => None,
            })?;
        let table = self.window(msix.table_bar())?.from(msix.table_offset() as usize);
        let vectors = Vectors { table, count: msix.table_size() };
        for vector in 0..vectors.count {
            let entry = usize::from(vector) * 16;
            vectors.aim(vector, 0);
            table.write(entry + 4, 0_u32);
            table.write(entry + 8, u32::from(first) + u32::from(vector));
            table.write(entry + 12, 0_u32);
        }
        msix.set_enabled(true, Ports);
        Some(vectors)
    }
}

/// The MSI-X vectors of a device.
#[derive(Clone, Copy, Debug)]
pub struct Vectors {
    table: Window,
    /// How many there are.
    pub count: u16,
}

impl Vectors {
    /// Has a vector interrupt the CPU whose local APIC has this number (Intel SDM, volume 3, 11.11.1).
    pub fn aim(&self, vector: u16, apic_id: u8) {
        self.table.write(usize::from(vector) * 16, 0xfee0_0000_u32 | u32::from(apic_id) << 12);
    }
}
