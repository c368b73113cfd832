//! A machine for the tests: memory with lent ranges, rings of one queue pair, and a driver's bare bring-up. The numbers are
//! written out from the datasheet, not taken from the crate.

#![expect(dead_code, reason = "each test file uses a part of it")]

use nic_emu::{Config, DmaFault, HostMemory, Nic, Output};

pub const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const TX_RING: u64 = 0x1000;
pub const RX_RING: u64 = 0x2000;
pub const BUFFERS: u64 = 0x1_0000;
pub const RING: u32 = 32;

/// 1 MiB at bus address 0, of which only lent ranges can be touched.
pub struct Ram {
    pub bytes: Vec<u8>,
    pub lent: Vec<(u64, u64)>,
}

impl Ram {
    pub fn new() -> Self {
        Self { bytes: vec![0; 1 << 20], lent: vec![(0x1000, 1 << 20)] }
    }

    fn range(&self, addr: u64, length: usize) -> Result<std::ops::Range<usize>, DmaFault> {
        let end = addr.checked_add(length as u64).ok_or(DmaFault)?;
        let lent = self.lent.iter().any(|&(from, to)| from <= addr && end <= to);
        if lent { Ok(addr as usize..end as usize) } else { Err(DmaFault) }
    }

    pub fn put(&mut self, addr: u64, bytes: &[u8]) {
        self.bytes[addr as usize..addr as usize + bytes.len()].copy_from_slice(bytes);
    }

    pub fn word(&self, addr: u64) -> u32 {
        u32::from_le_bytes(self.bytes[addr as usize..addr as usize + 4].try_into().unwrap())
    }

    pub fn descriptor(&mut self, addr: u64, words: [u32; 4]) {
        for (place, word) in words.iter().enumerate() {
            self.put(addr + 4 * place as u64, &word.to_le_bytes());
        }
    }
}

impl HostMemory for Ram {
    fn read(&mut self, addr: u64, into: &mut [u8]) -> Result<(), DmaFault> {
        let range = self.range(addr, into.len())?;
        into.copy_from_slice(&self.bytes[range]);
        Ok(())
    }

    fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), DmaFault> {
        let range = self.range(addr, bytes.len())?;
        self.bytes[range].copy_from_slice(bytes);
        Ok(())
    }
}

pub struct Machine {
    pub nic: Nic,
    pub ram: Ram,
    pub out: Output,
    pub tail: u32,
}

impl Machine {
    /// As the driver finds it.
    pub fn cold() -> Self {
        Self::with(Config::new(MAC, 0))
    }

    pub fn with(config: Config) -> Self {
        Self { nic: Nic::new(config), ram: Ram::new(), out: Output::default(), tail: 0 }
    }

    /// After section 4's bring-up with one queue pair, MSI-X, and link.
    pub fn up() -> Self {
        Self::up_with(Config::new(MAC, 0))
    }

    pub fn up_with(config: Config) -> Self {
        let mut machine = Self::with(config);
        machine.reset();
        machine.bring_up();
        machine.run();
        assert_ne!(machine.nic.read32(0x8) & 2, 0, "link");
        machine.nic.read32(0xC0);
        machine.nic.write32(0x1524, 3);
        machine.out = Output::default();
        machine
    }

    pub fn write(&mut self, offset: u32, value: u32) {
        self.nic.write32(offset, value);
    }

    pub fn read(&mut self, offset: u32) -> u32 {
        self.nic.read32(offset)
    }

    pub fn set(&mut self, offset: u32, bits: u32) {
        let value = self.nic.read32(offset);
        self.nic.write32(offset, value | bits);
    }

    /// Linux's reset_hw, with its waits.
    pub fn reset(&mut self) {
        self.write(0x1530, 0);
        self.write(0x1528, !0);
        self.write(0x152C, 0);
        self.write(0xE0, 0);
        self.write(0xD8, !0);
        self.set(0x0, 1 << 2);
        assert_eq!(self.read(0x8) & 1 << 19, 0, "master disable");
        self.write(0xD8, !0);
        self.write(0x100, 0);
        self.write(0x400, 8);
        self.wait(10_000_000);
        self.set(0x0, 1 << 26);
        while self.read(0x10) & 1 << 9 == 0 {
            self.wait(1_000_000);
        }
        self.write(0xD8, !0);
        self.read(0xC0);
    }

    /// Linux's open: filters, TX, RX, interrupts, in its order.
    pub fn bring_up(&mut self) {
        for entry in 1..24_u32 {
            let base = if entry < 16 { 0x5400 + 8 * entry } else { 0x54E0 + 8 * (entry - 16) };
            self.write(base, 0);
            self.write(base + 4, 0);
        }
        for index in 0..128 {
            self.write(0x5200 + 4 * index, 0);
            self.write(0xA000 + 4 * index, 0);
            self.write(0x5600 + 4 * index, 0);
        }
        self.set(0x0, 1 << 6);
        self.write(0x20, 0x0420_1200 | 1 << 21);
        self.wait(100_000);
        self.set(0x18, 1 << 28);
        self.write(0x5004, 1536);
        self.write(0xE028, 0);
        self.write(0x400, 0x0103_F0FA);
        self.set(0x5000, 1 << 13 | 1 << 11);
        self.write(0x5818, 0x0033_0002);
        self.write(0x100, 0x0400_8022);
        self.write(0xC028, 0);
        self.wait(10_000_000);
        self.write(0xE008, RING * 16);
        self.write(0xE000, TX_RING as u32);
        self.write(0xE004, 0);
        self.write(0xE010, 0);
        self.write(0xE018, 0);
        self.write(0xE028, 0x0201_0108);
        self.write(0xC000, RX_RING as u32);
        self.write(0xC004, 0);
        self.write(0xC008, RING * 16);
        self.write(0xC010, 0);
        self.write(0xC018, 0);
        self.write(0xC00C, 0x0200_0402);
        self.write(0xC028, 0x0201_0808);
        for index in 0..RING {
            let buffer = BUFFERS as u32 + index * 2048;
            self.ram.descriptor(RX_RING + 16 * u64::from(index), [buffer, 0, 0, 0]);
        }
        self.write(0xC018, RING - 1);
        self.write(0x1514, 0xC000_0011);
        self.write(0x1740, 0x8000);
        self.write(0x1700, 0x8181);
        self.read(0xB66C);
        self.read(0xC0);
        self.set(0x152C, 3);
        self.set(0x1530, 3);
        self.write(0x1524, 3);
        self.write(0xD0, 0x5000_0004);
    }

    /// Lets time pass.
    pub fn wait(&mut self, ns: u64) {
        let at = self.nic.now() + ns;
        self.nic.step(at, &mut self.ram, &mut self.out);
    }

    /// Does all that is planned.
    pub fn run(&mut self) {
        while let Some(at) = self.nic.next_event() {
            self.nic.step(at, &mut self.ram, &mut self.out);
        }
    }

    /// Puts descriptors at the tail, without ringing.
    pub fn queue(&mut self, words: [u32; 4]) -> u64 {
        let at = TX_RING + 16 * u64::from(self.tail);
        self.ram.descriptor(at, words);
        self.tail = (self.tail + 1) % RING;
        at
    }

    pub fn ring(&mut self) {
        let tail = self.tail;
        self.write(0xE018, tail);
    }

    /// One frame in one descriptor, with EOP, IFCS and RS; gives the descriptor's address.
    pub fn send(&mut self, frame: &[u8]) -> u64 {
        let buffer = 0x8_0000 + 2048 * u64::from(self.tail);
        self.ram.put(buffer, frame);
        let at = self.queue(data(buffer, frame.len(), 0x0B00_0000, 0, frame.len()));
        self.ring();
        at
    }

    /// The kinds of what was seen.
    pub fn rules(&mut self) -> Vec<nic_emu::Rule> {
        self.nic.take_observations().into_iter().map(|seen| seen.kind).collect()
    }
}

/// A data descriptor: DEXT and DTYP besides `command`.
pub fn data(buffer: u64, length: usize, command: u32, options: u32, payload: usize) -> [u32; 4] {
    [buffer as u32, 0, 0x2030_0000 | command | length as u32, (payload as u32) << 14 | options << 8]
}

/// A frame to the station that carries this many bytes in all.
pub fn frame(length: usize) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xB5];
    bytes.extend((bytes.len()..length).map(|place| place as u8));
    bytes
}
