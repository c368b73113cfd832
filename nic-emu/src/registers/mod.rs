//! The register file: which offsets exist, what they hold, and how they behave when touched.

mod access;
pub(crate) mod bit;
pub(crate) mod offset;
mod table;

use alloc::vec::Vec;

pub use access::Access;
use table::{ROWS, Row};

/// Size of BAR 0, the register space, in bytes (section 9.4.11).
pub const BAR_BYTES: u32 = 0x2_0000;

const SLOT_COUNT: usize = {
    let (mut count, mut row) = (0, 0);
    while row < ROWS.len() {
        count += ROWS[row].count as usize;
        row += 1;
    }
    count
};

/// For each double word of the BAR: 1 + the slot that holds it, or 0.
static SLOT_OF: [u16; BAR_BYTES as usize / 4] = {
    let mut map = [0; BAR_BYTES as usize / 4];
    let (mut slot, mut row) = (0, 0);
    while row < ROWS.len() {
        let mut index = 0;
        while index < ROWS[row].count {
            let word = (ROWS[row].offset + ROWS[row].stride * index) as usize / 4;
            assert!(map[word] == 0, "two registers at one offset");
            slot += 1;
            map[word] = slot;
            index += 1;
        }
        row += 1;
    }
    map
};

static ROW_OF: [u8; SLOT_COUNT] = {
    let mut map = [0; SLOT_COUNT];
    let (mut slot, mut row) = (0, 0);
    while row < ROWS.len() {
        let mut index = 0;
        while index < ROWS[row].count {
            map[slot] = row as u8;
            slot += 1;
            index += 1;
        }
        row += 1;
    }
    map
};

/// The offset under which a register is kept: queues 0 to 3 have a second, older set of offsets (section 8.1.3), and so has
/// `CTRL`.
pub(crate) const fn canonical(offset: u32) -> u32 {
    let within = offset & 0xFF;
    match offset {
        0x0004 => offset::CTRL,
        0x2800..0x2C00 if within < 0x40 => 0xC000 + ((offset - 0x2800) >> 8) * 0x40 + within,
        0x3800..0x3C00 if within < 0x40 => 0xE000 + ((offset - 0x3800) >> 8) * 0x40 + within,
        _ => offset,
    }
}

fn slot_of(offset: u32) -> Option<usize> {
    let slot = *SLOT_OF.get(canonical(offset) as usize / 4)?;
    (slot != 0).then(|| usize::from(slot) - 1)
}

fn row_of(offset: u32) -> Option<&'static Row> {
    slot_of(offset).map(|slot| &ROWS[usize::from(ROW_OF[slot])])
}

/// The datasheet's name of the register at this offset of BAR 0, if there is one.
#[must_use]
pub fn register_name(offset: u32) -> Option<&'static str> {
    row_of(offset).map(|row| row.name)
}

/// Where the register of this name is in BAR 0: `STATUS`, or of an array `RDH(1)`; without a number, the first.
#[must_use]
pub fn register_offset(name: &str) -> Option<u32> {
    let (name, index) = match name.strip_suffix(')').and_then(|name| name.split_once('(')) {
        Some((name, index)) => (name, index.parse().ok()?),
        None => (name, 0),
    };
    registers().filter(|register| register.name == name).nth(index).map(|register| register.offset)
}

/// How the register at this offset of BAR 0 behaves when touched, if there is one.
#[must_use]
pub fn register_access(offset: u32) -> Option<Access> {
    row_of(offset).map(|row| row.access)
}

/// A register of the 82576, as the datasheet lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// The datasheet's name; registers of an array have one in common.
    pub name: &'static str,
    /// Where it is in BAR 0, in bytes.
    pub offset: u32,
    /// Its value after power-on, before the NVM is read.
    pub reset: u32,
    /// The bits that a write changes; 0 where a block of the NIC answers instead.
    pub writable: u32,
    /// How it behaves when touched.
    pub access: Access,
}

/// Every register that the NIC answers for, each of an array, without second offsets.
pub fn registers() -> impl Iterator<Item = Register> {
    let reset = RegisterFile::new();
    ROWS.iter().flat_map(|row| (0..row.count).map(move |index| (row, row.offset + row.stride * index))).map(
        move |(row, offset)| Register {
            name: row.name,
            offset,
            reset: reset.get(offset),
            writable: row.writable,
            access: row.access,
        },
    )
}

/// The value of each register.
#[derive(Clone, Debug)]
pub(crate) struct RegisterFile {
    values: Vec<u32>,
}

impl RegisterFile {
    pub(crate) fn new() -> Self {
        let mut values = Vec::with_capacity(SLOT_COUNT);
        for row in ROWS {
            values.extend(core::iter::repeat_n(row.reset, row.count as usize));
        }
        let mut file = Self { values };
        file.set(offset::RXDCTL, 0x0201_0000);
        file.set(offset::TXDCTL, 0x0200_0000);
        file
    }

    /// The value as kept, without what a read does. 0 where there is no register.
    pub(crate) fn get(&self, offset: u32) -> u32 {
        slot_of(offset).map_or(0, |slot| self.values[slot])
    }

    /// Stores a value as the hardware would, without what a write does.
    pub(crate) fn set(&mut self, offset: u32, value: u32) {
        if let Some(slot) = slot_of(offset) {
            self.values[slot] = value;
        }
    }

    pub(crate) fn set_bits(&mut self, offset: u32, bits: u32) {
        self.set(offset, self.get(offset) | bits);
    }

    pub(crate) fn clear_bits(&mut self, offset: u32, bits: u32) {
        self.set(offset, self.get(offset) & !bits);
    }

    /// Whether all the bits are set.
    pub(crate) fn has(&self, offset: u32, bits: u32) -> bool {
        self.get(offset) & bits == bits
    }

    /// The part of a driver's read that is alike for all registers of an access kind.
    pub(crate) fn read(&mut self, offset: u32) -> Option<u32> {
        let value = self.get(offset);
        match row_of(offset)?.access {
            Access::ReadToClear => self.set(offset, 0),
            Access::ReadToClearPair => {
                self.set(offset, 0);
                self.set(offset - 4, 0);
            }
            Access::WriteOnly => return Some(0),
            _ => {}
        }
        Some(value)
    }

    /// The part of a driver's write that is alike for all registers of an access kind. Gives the bits that were set though
    /// they are reserved.
    pub(crate) fn write(&mut self, offset: u32, value: u32) -> Option<u32> {
        let row = row_of(offset)?;
        let old = self.get(offset);
        match row.access {
            Access::ReadWrite => self.set(offset, (old & !row.writable) | (value & row.writable)),
            Access::WriteOneToClear => self.set(offset, old & !(value & row.writable)),
            _ => return Some(0),
        }
        Some(value & !row.writable & !old & row.reserved)
    }
}
