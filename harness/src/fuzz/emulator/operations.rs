//! What a record does to the NIC: a wild driver's accesses, and what comes over the cable.

use super::memory::{BASE, BYTES};
use super::{FRAME_BYTES_MAX, Scene};
use crate::fuzz::frames::frame;
use crate::fuzz::record::Record;
use nic_emu::BAR_BYTES;
use std::sync::OnceLock;

/// Kinds of operations.
pub const KINDS: u8 = 24;

/// Where rings and buffers lie.
const TX_RINGS: u64 = BASE;
const RX_RINGS: u64 = BASE + 0x1_0000;
const BUFFERS: u64 = BASE + 0x2_0000;
const RING_STRIDE: u64 = 0x1000;
/// Registers, by the datasheet (section 8).
const CTRL: u32 = 0;
const CTRL_EXT: u32 = 0x18;
const MDIC: u32 = 0x20;
const EERD: u32 = 0x14;
const RCTL: u32 = 0x100;
const TCTL: u32 = 0x400;
const GPIE: u32 = 0x1514;
const EIMS: u32 = 0x1524;
const EIAC: u32 = 0x152C;
const EIAM: u32 = 0x1530;
const IMS: u32 = 0xD0;
const IVAR: u32 = 0x1700;
const RX: u32 = 0xC000;
const TX: u32 = 0xE000;
const ENABLE: u32 = 1 << 25;

/// Every register that the NIC has.
fn registers() -> &'static [u32] {
    static ALL: OnceLock<Vec<u32>> = OnceLock::new();
    ALL.get_or_init(|| (0..BAR_BYTES).step_by(4).filter(|at| nic_emu::register_name(*at).is_some()).collect())
}

/// Registers of which a write sets something going: CTRL, EERD, MDIC, ICS, EICS, EITR(0), RCTL, TCTL, and of queue 0 RDT,
/// RXDCTL, TDT, TXDCTL.
const STORMED: [u32; 12] =
    [CTRL, EERD, MDIC, 0xC8, 0x1520, 0x1680, RCTL, TCTL, RX + 0x18, RX + 0x28, TX + 0x18, TX + 0x28];

/// The registers of a queue, in the order of the datasheet.
const OF_QUEUE: [u32; 10] = [0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x28, 0x38, 0x3C];

/// A place in BAR 3: mostly in the table or the pending bits, or anywhere.
fn msix(record: Record) -> u32 {
    match record.a % 4 {
        0 => record.x,
        1 => 0x2000,
        2 => u32::from(record.b % 32) * 16 + 12,
        _ => u32::from(record.b % 128) * 4,
    }
}

impl Scene {
    /// Does what a record says. Kind 0 plans a fault, and was read before.
    pub(super) fn does(&mut self, record: Record) -> Result<(), String> {
        let Record { a, b, x, y, .. } = record;
        let register = registers()[usize::from(b) % registers().len()];
        let queue = u32::from(a % 16);
        match record.kind % KINDS {
            1 => self.write(register, x),
            2 => self.read(register),
            3 => self.write(x % (2 * BAR_BYTES), y),
            4 => self.read(x % (2 * BAR_BYTES)),
            5 => self.link_and_interrupts(record),
            6 => self.transmit_queue(record),
            7 => self.receive_queue(record),
            8 => self.data_descriptor(record),
            9 => self.context_descriptor(record),
            10 => self.write(TX + 0x40 * queue + 0x18, b.into()),
            11 => self.write(RX + 0x40 * queue + 0x18, b.into()),
            12 => self.frames(record, 1),
            13 => self.frames(record, 1 << (a / 8 % 8)),
            14 => self.pass(record.time(34))?,
            15 => self.nic.set_link(a & 1 == 0),
            16 => self.ram.lend(x.into(), y & 1 != 0, y & 2 != 0),
            17 => self.ram.put(BASE + (u64::from(b) * 8) % BYTES as u64, &record.wide().to_le_bytes()),
            18 => self.storm(
                if a & 0x80 == 0 { STORMED[usize::from(b) % STORMED.len()] } else { register },
                record,
            )?,
            19 => self.write(if a & 1 == 0 { MDIC } else { EERD }, x & 0x1C00_FFFF | u32::from(b) << 16),
            20 => {
                let base = if a & 0x80 == 0 { TX } else { RX };
                self.write(base + 0x40 * queue + OF_QUEUE[usize::from(b) % OF_QUEUE.len()], x);
            }
            21 => self.many_descriptors(record),
            22 => self.nic.write_msix(msix(record), y),
            23 => {
                let value = self.nic.read_msix(msix(record));
                self.features.note(format_args!("msix {} {}", msix(record) / 4 % 4, value != 0));
            }
            _ => {}
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, value: u32) {
        self.features.note(format_args!("write {offset:x}"));
        self.nic.write32(offset, value);
    }

    fn read(&mut self, offset: u32) {
        let value = self.nic.read32(offset);
        self.features.note(format_args!("read {offset:x} {}", value != 0));
    }

    fn set(&mut self, offset: u32, bits: u32) {
        let value = self.nic.read32(offset);
        self.nic.write32(offset, value | bits);
    }

    /// A bring-up as a driver does it, but for what the record spoils.
    fn link_and_interrupts(&mut self, record: Record) {
        self.set(CTRL, 1 << 6 | (record.x & 1) << 30);
        self.set(CTRL_EXT, 1 << 28);
        if record.a & 1 == 0 {
            self.write(GPIE, 0xC000_0011);
        }
        for register in 0..8 {
            self.write(IVAR + 4 * register, 0x8181_8181 ^ (record.y & 0x1F1F_1F1F));
        }
        self.write(IVAR + 0x40, 0x8080);
        self.write(EIAC, record.x);
        self.write(EIAM, record.x);
        self.write(EIMS, u32::MAX);
        self.write(IMS, u32::MAX);
        self.write(TCTL, 0x0103_F0FA ^ (u32::from(record.b) << 4));
        self.write(RCTL, 0x0400_803E ^ (u32::from(record.a & 0xF8) << 3));
    }

    fn transmit_queue(&mut self, record: Record) {
        let queue = u32::from(record.a % 16);
        let base = TX + 0x40 * queue;
        self.write(base + 0x08, (u32::from(record.b % 32) + 1) * 128);
        self.write(base, (TX_RINGS + RING_STRIDE * u64::from(queue)) as u32);
        self.write(base + 0x04, 0);
        if record.x & 1 != 0 {
            self.write(base + 0x38, (BUFFERS as u32 + (record.y & 0xFFFC)) | 1);
        }
        self.write(base + 0x28, ENABLE | (record.x & 0x1F1F_1F00));
    }

    fn receive_queue(&mut self, record: Record) {
        let queue = u32::from(record.a % 16);
        let base = RX + 0x40 * queue;
        let ring = RX_RINGS + RING_STRIDE * u64::from(queue);
        let count = (u32::from(record.b % 32) + 1) * 8;
        self.write(base + 0x08, count * 16);
        self.write(base, ring as u32);
        self.write(base + 0x04, 0);
        self.write(base + 0x0C, if record.y & 1 == 0 { 0x0200_0402 } else { record.y });
        for index in 0..u64::from(count) {
            let buffer = BUFFERS + (index * 2048) % 0x2_0000;
            self.ram.put(ring + 16 * index, &[buffer.to_le_bytes(), [0; 8]].concat());
        }
        self.write(base + 0x28, ENABLE | (record.x & 0x1F1F_1F00));
        self.write(base + 0x18, count - 1);
    }

    /// A data descriptor, mostly right.
    fn data_descriptor(&mut self, record: Record) {
        let Record { a, b, x, y, .. } = record;
        let at = TX_RINGS + RING_STRIDE * u64::from(a % 16) + 16 * u64::from(b % 256);
        let length = x & 0x3FFF;
        let command = 0x2330_0000 | (x & 0xDF00_0000) ^ (y & 0xF) << 20;
        let payload = if y & 0x10 == 0 { length } else { y >> 8 };
        let words = [BUFFERS as u32 + (y & 0x1_FFFF), 0, command | length, payload << 14 | (y & 0x3FF0)];
        self.ram.put(at, &words.map(u32::to_le_bytes).concat());
    }

    /// A context descriptor for headers of usual lengths, or of any.
    fn context_descriptor(&mut self, record: Record) {
        let Record { a, b, x, y, .. } = record;
        let at = TX_RINGS + RING_STRIDE * u64::from(a % 16) + 16 * u64::from(b % 256);
        let lengths = if a & 0x10 == 0 { 14 << 9 | 20 } else { x };
        let l4 = if a & 0x20 == 0 { 20 << 8 } else { x & 0xFF00 };
        let words = [lengths | x & 0xFFFF_0000, 0, 0x2020_0000 | y & 0x1E00, l4 | (y >> 16) << 16 | x & 0x70];
        self.ram.put(at, &words.map(u32::to_le_bytes).concat());
    }

    /// A ring full of the same packet, and the doorbell.
    fn many_descriptors(&mut self, record: Record) {
        for index in 0..=record.b % 256 {
            self.data_descriptor(Record { b: index, ..record });
        }
        let queue = u32::from(record.a % 16);
        self.write(TX + 0x40 * queue + 0x18, u32::from(record.b % 256));
    }

    fn frames(&mut self, record: Record, count: u32) {
        let bytes = frame(record);
        for nth in 0..count {
            self.frame_bytes += bytes.len();
            if self.frame_bytes > FRAME_BYTES_MAX {
                return;
            }
            let at = self.nic.now() + if record.y & 8 == 0 { 0 } else { u64::from(record.x & 0xFFFF) };
            if record.y & 0x10 != 0 && nth % 2 == 0 {
                self.nic.receive_with_bad_crc(at, &bytes);
            } else {
                self.nic.receive(at, &bytes);
            }
        }
    }

    /// The same write again and again, while no time passes.
    fn storm(&mut self, register: u32, record: Record) -> Result<(), String> {
        let writes = (1_u32 << (record.a % 18)).min(self.storms);
        self.storms -= writes;
        for nth in 0..writes {
            self.nic.write32(register, if nth % 2 == 0 { record.x } else { record.y });
        }
        if record.a % 18 > 12 { self.check_size() } else { Ok(()) }
    }
}
