//! The driver's and the emulator's register tables, transcribed independently, against a third transcription:
//! `fixtures/igb-registers.txt`.

use nic_emu::{Access, Config, Nic, Register, registers};
use std::collections::{BTreeMap, BTreeSet};

const FIXTURE: &str = include_str!("../../fixtures/igb-registers.txt");
const DRIVER: &str = include_str!("../../stack-under-test/src/drivers/igb/regs.rs");
const DRIVER_COUNTERS: &str = include_str!("../../stack-under-test/src/drivers/igb/stats.rs");

/// What the emulator keeps beyond the list: registers of later chips and of virtual functions, which drivers of the family
/// touch.
const BEYOND: &[&str] = &[
    "DMACR", "DMCTLX", "DMCTXTH", "MBVFICR", "MBVFIMR", "MDICNFG", "PHPM", "TSAUXC", "TSIM", "VFRE", "VFTE",
];

/// A line of the fixture.
#[derive(Debug)]
struct Row {
    name: &'static str,
    offset: u32,
    count: u32,
    stride: u32,
    access: &'static str,
    reset: Option<u32>,
    mask: Option<u32>,
}

impl Row {
    fn offsets(&self) -> impl Iterator<Item = u32> {
        let (offset, stride) = (self.offset, self.stride);
        (0..self.count).map(move |index| offset + stride * index)
    }
}

#[derive(Default)]
struct Table {
    rows: Vec<Row>,
    /// By `REGISTER_FIELD`.
    fields: BTreeMap<String, u32>,
}

fn hex(text: &str) -> u32 {
    u32::from_str_radix(text, 16).unwrap_or_else(|_| panic!("`{text}` is not hexadecimal"))
}

fn given(text: &str) -> Option<u32> {
    (text != "-").then(|| hex(text))
}

/// The mask of `7` or `9:8`.
fn field(bits: &str) -> u32 {
    let (high, low) = bits.split_once(':').unwrap_or((bits, bits));
    let [high, low] = [high, low].map(|bit| bit.parse::<u32>().expect("a bit"));
    (u32::MAX >> (31 - high)) & (u32::MAX << low)
}

fn table() -> Table {
    let mut table = Table::default();
    for line in FIXTURE.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with(' ') {
            let register = table.rows.last().expect("a register before its fields").name;
            for pair in words.chunks_exact(2) {
                table.fields.insert(format!("{register}_{}", pair[0]), field(pair[1]));
            }
            continue;
        }
        let &[name, offset, count, stride, access, reset, mask] = &words[..] else {
            panic!("not seven columns: {line}")
        };
        table.rows.push(Row {
            name,
            offset: hex(offset),
            count: count.parse().expect("a count"),
            stride: given(stride).unwrap_or(0),
            access,
            reset: given(reset),
            mask: given(mask),
        });
    }
    table
}

fn access_of(word: &str, actual: Access) -> bool {
    match word {
        // What a block answers for is proved by touching it.
        "RW" | "RO" if actual == Access::Block => true,
        "RW" => actual == Access::ReadWrite,
        "RO" => actual == Access::ReadOnly,
        "RC" => actual == Access::ReadToClear,
        "RCL" => actual == Access::ReadToClearLow,
        "RCH" => actual == Access::ReadToClearPair,
        "W1C" => actual == Access::WriteOneToClear,
        "W1S" => actual == Access::WriteOneToSet,
        "W1M" => actual == Access::WriteOneToMask,
        "WO" => actual == Access::WriteOnly,
        "CMD" | "SEM" => actual == Access::Block,
        _ => panic!("no access kind {word}"),
    }
}

#[test]
fn the_emulator_has_the_registers_of_the_list_and_no_others() {
    let table = table();
    let mut emulated: BTreeMap<u32, Register> =
        registers().map(|register| (register.offset, register)).collect();
    let mut wrong = Vec::new();
    for row in &table.rows {
        for offset in row.offsets() {
            match emulated.remove(&offset) {
                None => wrong.push(format!("{} at {offset:#x} is missing", row.name)),
                Some(register) => {
                    let same = register.name == row.name
                        && access_of(row.access, register.access)
                        && row.reset.is_none_or(|reset| reset == register.reset);
                    if !same {
                        wrong.push(format!("{row:x?} is {register:x?}"));
                    }
                }
            }
        }
    }
    let rest: BTreeSet<&str> = emulated.values().map(|register| register.name).collect();
    assert_eq!(rest, BEYOND.iter().copied().collect());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A NIC whose queues are enabled, as the self-test of `ethtool` wants them, and which has MSI-X.
fn ready() -> Nic {
    let mut nic = Nic::new(Config::new([2, 0, 0, 0, 0, 1], 0));
    nic.write32(0x1514, 1 << 4);
    for queue in 0..16 {
        nic.write32(0xC028 + 0x40 * queue, 1 << 25);
        nic.write32(0xE028 + 0x40 * queue, 1 << 25);
    }
    nic
}

/// What a register that was written shows, or for one that sets or clears: where its effect shows.
fn shown(nic: &mut Nic, row: &Row, offset: u32) -> u32 {
    match row.name {
        "ICS" => nic.read32(0xC0),
        "EICS" => nic.read32(0x1580),
        _ => nic.read32(offset),
    }
}

#[test]
fn the_emulators_registers_hold_what_their_masks_say() {
    let table = table();
    for row in table.rows.iter().filter(|row| row.mask.is_some()) {
        let mask = row.mask.unwrap_or(0);
        for offset in row.offsets() {
            for pattern in [0x5A5A_5A5A, 0xA5A5_A5A5, 0, u32::MAX] {
                let mut nic = ready();
                let value = pattern & mask;
                match row.access {
                    "RW" | "W1S" => nic.write32(offset, value),
                    "W1C" => {
                        // ICS and EICS set all; what is not written 1 stays.
                        let source = if row.name == "ICR" { 0xC8 } else { 0x1520 };
                        nic.write32(source, mask);
                        nic.write32(offset, mask & !value);
                    }
                    "W1M" => {
                        nic.write32(offset - if row.name == "IMC" { 8 } else { 4 }, mask);
                        nic.write32(offset, mask & !value);
                    }
                    other => panic!("{}: {other} has no mask", row.name),
                }
                let seen = shown(&mut nic, row, offset) & mask;
                assert_eq!(seen, value, "{} at {offset:#x} shows {seen:#x} for {value:#x}", row.name);
            }
        }
    }
}

#[test]
fn what_is_read_only_cannot_be_written() {
    for row in table().rows.iter().filter(|row| matches!(row.access, "RO" | "RC" | "RCL" | "RCH" | "WO")) {
        for offset in row.offsets() {
            let mut nic = ready();
            let before = nic.peek32(offset);
            nic.write32(offset, !before | 1 << 10);
            assert_eq!(nic.peek32(offset), before, "{} at {offset:#x}", row.name);
        }
    }
}

/// `0x1234`, `1 << 5`, `3 << 22`, and such joined with `|`.
fn value(expression: &str) -> Option<u32> {
    expression.split('|').map(str::trim).try_fold(0, |sum, term| {
        let number = |text: &str| {
            let text = text.trim().replace('_', "");
            match text.strip_prefix("0x") {
                Some(digits) => u32::from_str_radix(digits, 16).ok(),
                None => text.parse().ok(),
            }
        };
        let (left, right) = term.split_once("<<").unwrap_or((term, "0"));
        Some(sum | number(left)? << number(right)?)
    })
}

/// The constants of a source file, by name.
fn constants(source: &'static str) -> BTreeMap<&'static str, u32> {
    let lines = source.lines().filter_map(|line| line.trim().strip_prefix("pub(super) const "));
    lines
        .filter_map(|line| {
            let (name, expression) = line.split_once(": u32 = ")?;
            Some((name, value(expression.strip_suffix(';')?)?))
        })
        .collect()
}

/// Names that the driver has for something else than the list: the registers of queue 0, and its own choices.
const DRIVERS_NAMES: &[(&str, &str)] =
    &[("RAL0", "RAL"), ("RAH0", "RAH"), ("INT", "ICR"), ("DCTL", "RXDCTL"), ("SWFW", "SW_FW_SYNC")];
/// Of these the driver has offsets within a queue's registers.
const OF_A_QUEUE: &[(&str, &str)] = &[
    ("Q_BAL", "RDBAL"),
    ("Q_BAH", "RDBAH"),
    ("Q_LEN", "RDLEN"),
    ("Q_SRRCTL", "SRRCTL"),
    ("Q_HEAD", "RDH"),
    ("Q_TAIL", "RDT"),
    ("Q_DCTL", "RXDCTL"),
    ("Q_RQDPC", "RQDPC"),
];

#[test]
fn the_drivers_registers_are_those_of_the_list() {
    let table = table();
    let offset_of = |name: &str| table.rows.iter().find(|row| row.name == name).map(|row| row.offset);
    let renamed = |name: &'static str| {
        DRIVERS_NAMES.iter().find(|(own, _)| *own == name).map_or(name, |(_, listed)| listed)
    };
    let (mut registers, mut fields, mut unknown) = (0, 0, Vec::new());
    for (name, value) in constants(DRIVER) {
        let (register, bits) = table
            .rows
            .iter()
            .map(|row| row.name)
            .chain(DRIVERS_NAMES.iter().map(|(own, _)| *own))
            .filter_map(|register| Some((register, name.strip_prefix(register)?.strip_prefix('_')?)))
            .max_by_key(|(register, _)| register.len())
            .unwrap_or((name, ""));
        if let Some((_, listed)) = OF_A_QUEUE.iter().find(|(own, _)| *own == name) {
            assert_eq!(Some(value), offset_of(listed).map(|offset| offset - 0xC000), "{name}");
            registers += 1;
        } else if let Some(offset) = offset_of(renamed(name)) {
            assert_eq!(value, offset, "{name}");
            registers += 1;
        } else if let Some(mask) = table.fields.get(&format!("{}_{bits}", renamed(register))) {
            assert_eq!(value, *mask, "{name} is {value:#x}, the list has {mask:#x}");
            fields += 1;
        } else if bits.is_empty() {
            unknown.push(name);
        }
    }
    assert_eq!(unknown, [""; 0], "registers that the list does not have");
    assert!(registers >= 40 && fields >= 35, "only {registers} registers and {fields} fields are compared");
}

#[test]
fn the_drivers_arrays_begin_and_step_as_the_list_says() {
    let table = table();
    for (array, base, stride) in [
        ("EITR", "0x1680", "4"),
        ("IVAR", "0x1700", "4"),
        ("VMOLR", "0x5AD0", "4"),
        ("RDBAL", "0xC000", "0x40"),
        ("TDBAL", "0xE000", "0x40"),
        ("RAL", "0x54E0", "8"),
    ] {
        let start = format!("{base} + {stride} * ");
        assert!(DRIVER.contains(&start), "the driver has no array {array} at `{start}`");
        let [base, stride] = [base, stride].map(|text| value(text).expect("a number"));
        let listed =
            table.rows.iter().any(|row| row.name == array && row.offset == base && row.stride == stride);
        assert!(listed, "{array} at {base:#x}, every {stride:#x}");
    }
}

#[test]
fn the_drivers_counters_are_those_of_the_list() {
    let table = table();
    let named: Vec<(&str, u32)> = DRIVER_COUNTERS
        .split_once("counters! {\n")
        .and_then(|(_, rest)| rest.split_once("\n}"))
        .map(|(body, _)| body)
        .expect("the driver's counters")
        .split(',')
        .filter_map(|entry| entry.split_once(" = "))
        .map(|(name, offset)| (name.trim(), value(offset).expect("an offset")))
        .collect();
    assert!(named.len() >= 35, "only {} counters", named.len());
    for (name, offset) in named {
        // Of 64 bits the low half counts.
        let row = table.rows.iter().find(|row| row.name.strip_suffix('L').unwrap_or(row.name) == name);
        let row = row.or_else(|| table.rows.iter().find(|row| row.name == name));
        assert_eq!(row.map(|row| row.offset), Some(offset), "{name}");
        assert!(row.is_some_and(|row| row.access.starts_with("RC")), "{name}: {row:?}");
    }
}
