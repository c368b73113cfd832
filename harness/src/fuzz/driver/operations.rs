//! What a record does: the device's lies, and what comes from above.

use super::Scene;
use super::device::{DESCRIPTOR, HEAD, RX, TX};
use super::lies::Lie;
use crate::fuzz::frames::frame;
use crate::fuzz::record::Record;

/// Kinds of operations.
pub const KINDS: u8 = 19;

/// Registers that a driver believes: CTRL, STATUS, EECD, MDIC, ICR, EICR, RAL0, RAH0, SWSM, SW_FW_SYNC, RXPBS, TSICR,
/// EEMNGCTL, EERD, TDH(0), RDH(0), RXDCTL(0), TXDCTL(0), RCTL, TCTL (82576 datasheet, section 8).
const BELIEVED: [u32; 20] = [
    0x0, 0x8, 0x10, 0x20, 0xC0, 0x1580, 0x5400, 0x5404, 0x5B50, 0x5B5C, 0x2404, 0xB66C, 0x1010, 0x14, 0xE010,
    0xC010, 0xC028, 0xE028, 0x100, 0x400,
];
/// Lies at once.
const LIES_MAX: usize = 16;

impl Scene {
    /// Does what a record says.
    pub(super) fn does(&mut self, record: Record) -> Result<(), String> {
        let Record { a, b, x, y, .. } = record;
        match record.kind % KINDS {
            0 | 1 => self.pass(record.time(33))?,
            2 => self.interrupts(if a & 0x80 == 0 { u16::from(a % 10) } else { b }),
            3 | 4 => self.lies(record),
            5 => self.device.borrow_mut().lies.clear(),
            6 => self.forges_received(record),
            7 => self.forges_sent(record),
            8 => self.scribbles(record),
            9 => {
                let frame = frame(record);
                self.device.borrow_mut().nic.receive(self.now, &frame);
            }
            10 => self.administers(record),
            11 => self.sends(record),
            12 => self.calls(record),
            13 => self.reads(),
            14 => self.device.borrow_mut().nic.set_link(a & 1 == 0),
            15 => self.device.borrow_mut().frozen = a & 1 == 0,
            16 => self.device.borrow_mut().nic.write32(if a & 1 == 0 { x % 0x2_0000 } else { about(b) }, y),
            17 if b % 4 == 0 => self.device.borrow_mut().gone = true,
            17 => self.interrupts(0),
            // The machine masks a vector, or lets it through again.
            _ => self.device.borrow_mut().nic.write_msix(u32::from(a % 26) * 16 + 12, y),
        }
        Ok(())
    }

    fn interrupts(&mut self, vector: u16) {
        let now = self.called();
        self.stack.interrupt(now, vector);
    }

    fn lies(&mut self, record: Record) {
        let lies = &mut self.device.borrow_mut().lies;
        if lies.len() >= LIES_MAX {
            lies.remove(0);
        }
        let register = (record.b != 0).then(|| about(record.b));
        lies.push(Lie::new(record, register));
    }

    /// The device writes to memory that is lent to it.
    fn writes(&mut self, addr: u64, bytes: &[u8]) {
        let mut device = self.device.borrow_mut();
        let memory = self.stack.memory();
        let Some(offset) = memory.offset_of(addr, bytes.len()) else { return };
        if device.may_write(addr, bytes.len()) {
            memory.copy_in(offset, bytes);
            device.scribbled.insert(addr & !(DESCRIPTOR - 1));
            device.scribbled.insert((addr + bytes.len() as u64 - 1) & !(DESCRIPTOR - 1));
        }
    }

    /// Eight bytes, anywhere in what is lent.
    fn scribbles(&mut self, record: Record) {
        let place = {
            let device = self.device.borrow();
            let count = device.writable.len().max(1);
            device.writable.iter().nth(usize::from(record.b) % count).copied()
        };
        if let Some((addr, len)) = place {
            let at = u64::from(record.a) * 8 % u64::from(len.max(1));
            self.writes(addr + at, &record.wide().to_le_bytes());
        }
    }

    /// Where the descriptors are that a record means, at most 32 of them.
    fn descriptors(&self, first: u32, record: Record) -> Vec<u64> {
        let device = self.device.borrow();
        let base = first + 0x40 * u32::from(record.a >> 6);
        let (ring, count) = device.ring(base);
        if count == 0 {
            return Vec::new();
        }
        let from = if record.a & 1 == 0 { device.nic.peek32(base + HEAD) } else { u32::from(record.b >> 5) };
        let run = u32::from(record.b % 32) + 1;
        (from..from + run).map(|index| ring.wrapping_add(u64::from(index % count) * DESCRIPTOR)).collect()
    }

    /// Receive descriptors are written back, of frames that did or did not come: `x` status, `y` length.
    fn forges_received(&mut self, record: Record) {
        let Record { a, x, y, .. } = record;
        for at in self.descriptors(RX, record) {
            if a & 2 != 0 {
                self.fills_buffer(at, record);
            }
            let (status, length) = if a & 4 == 0 { (x | 3, 60 + y % 1500) } else { (x, y) };
            let word = u64::from(length) << 32 | u64::from(status);
            if a & 8 != 0 {
                self.writes(at, &record.wide().to_le_bytes());
            }
            self.writes(at + 8, &word.to_le_bytes());
        }
    }

    /// A frame into the buffer that a descriptor names.
    fn fills_buffer(&mut self, at: u64, record: Record) {
        let memory = self.stack.memory();
        let Some(offset) = memory.offset_of(at, 8) else { return };
        let mut addr = [0; 8];
        memory.copy_out(offset, &mut addr);
        let frame = frame(Record { a: record.a >> 3, b: record.b % 1400, ..record });
        self.writes(u64::from_le_bytes(addr), &frame[..frame.len().min(2048)]);
    }

    /// Transmit descriptors are written back: done, or anything.
    fn forges_sent(&mut self, record: Record) {
        for at in self.descriptors(TX, record) {
            let word = if record.a & 2 == 0 { 1 } else { record.x };
            self.writes(at + 12, &word.to_le_bytes());
        }
    }
}

fn about(b: u16) -> u32 {
    BELIEVED[usize::from(b) % BELIEVED.len()]
}
