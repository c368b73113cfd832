//! The NVM: its words, `EERD`, and what is loaded from it after reset (section 3.3, 4.3).

use alloc::format;

use crate::agenda::Event;
use crate::nic::Nic;
use crate::observation::Rule;
use crate::registers::bit::status;
use crate::registers::offset;

/// What `EECD.SIZE_EX` says.
const WORDS: usize = 256;
/// Words that the checksum covers.
const CHECKED: usize = 0x40;
/// The words 0x00 to 0x3F of a valid image add up to this.
const CHECKSUM: u16 = 0xBABA;
const EERD_START: u32 = 1;
const EERD_DONE: u32 = 1 << 1;
const EECD_REQ: u32 = 1 << 6;
const EECD_GNT: u32 = 1 << 7;
const EECD_AUTO_RD: u32 = 1 << 9;
const EEMNGCTL_CFG_DONE_PORT0: u32 = 1 << 18;
const RAH_AV: u32 = 1 << 31;

/// The words of the NVM; those beyond it read 0xFFFF.
#[derive(Clone, Debug)]
pub(crate) struct Nvm {
    words: [u16; WORDS],
}

impl Nvm {
    pub(crate) fn new(mac: [u8; 6]) -> Self {
        let mut words = [0xFFFF; WORDS];
        words[..CHECKED].fill(0);
        for (word, pair) in words.iter_mut().zip(mac.chunks_exact(2)) {
            *word = u16::from_le_bytes([pair[0], pair[1]]);
        }
        words[0x0B] = 0x10C9;
        words[0x0C] = 0x8086;
        words[0x0D] = 0x10C9;
        words[0x0F] = 0x70C3;
        words[0x37] = 0xFFFF;
        let sum = words[..CHECKED].iter().fold(0_u16, |sum, word| sum.wrapping_add(*word));
        words[0x3F] = CHECKSUM.wrapping_sub(sum);
        Self { words }
    }
}

impl Nic {
    pub(crate) fn write_eerd(&mut self, value: u32) {
        let running =
            self.registers.has(offset::EERD, EERD_START) && self.registers.get(offset::EERD) & EERD_DONE == 0;
        if running {
            let text = format!("EERD written with {value:#x} while a read runs (section 3.3.6)");
            return self.observe(Rule::NvmAccess, text);
        }
        self.registers.set(offset::EERD, value & 0xFFFD);
        if value & EERD_START == 0 {
            return;
        }
        if self.config.serial_ns == 0 {
            self.nvm_read_done();
        } else {
            self.agenda.plan(self.now + self.config.serial_ns, Event::NvmRead);
        }
    }

    pub(crate) fn nvm_read_done(&mut self) {
        let request = self.registers.get(offset::EERD) & 0xFFFC;
        let word = request as usize >> 2;
        if word >= WORDS {
            self.observe(
                Rule::NvmAccess,
                format!("EERD of word {word:#x}; there are {WORDS:#x} (section 3.3.6)"),
            );
        }
        let data = self.nvm.words.get(word).copied().unwrap_or(0xFFFF);
        self.registers.set(offset::EERD, request | EERD_DONE | u32::from(data) << 16);
    }

    /// `EEWR` (82576): a word is written, and valid when the next reset loads it.
    pub(crate) fn write_eewr(&mut self, value: u32) {
        let running =
            self.registers.has(offset::EEWR, EERD_START) && self.registers.get(offset::EEWR) & EERD_DONE == 0;
        if running {
            let text = format!("EEWR written with {value:#x} while a write runs (section 3.3.6)");
            return self.observe(Rule::NvmAccess, text);
        }
        self.registers.set(offset::EEWR, value & !EERD_DONE);
        if value & EERD_START == 0 {
            return;
        }
        if self.config.serial_ns == 0 {
            self.nvm_write_done();
        } else {
            self.agenda.plan(self.now + self.config.serial_ns, Event::NvmWrite);
        }
    }

    pub(crate) fn nvm_write_done(&mut self) {
        let request = self.registers.get(offset::EEWR);
        let word = (request & 0xFFFC) as usize >> 2;
        if let Some(place) = self.nvm.words.get_mut(word) {
            *place = (request >> 16) as u16;
        } else {
            self.observe(
                Rule::NvmAccess,
                format!("EEWR of word {word:#x}; there are {WORDS:#x} (section 3.3.6)"),
            );
        }
        self.registers.set(offset::EEWR, request & !EERD_START | EERD_DONE);
    }

    /// Who asks for the serial interface gets it: nobody else does. Its lines are not modelled.
    pub(crate) fn write_eecd(&mut self, value: u32) {
        if value & EECD_REQ != 0 {
            self.registers.set_bits(offset::EECD, EECD_GNT);
        } else {
            self.registers.clear_bits(offset::EECD, EECD_GNT);
        }
    }

    /// The hardware has read its part of the NVM.
    pub(crate) fn load_nvm(&mut self) {
        let [low, middle, high] = [self.nvm.words[0], self.nvm.words[1], self.nvm.words[2]].map(u32::from);
        self.registers.set(offset::RAL, low | middle << 16);
        self.registers.set(offset::RAL + 4, high | RAH_AV);
        self.registers.set_bits(offset::EECD, EECD_AUTO_RD);
        self.registers.set_bits(offset::STATUS, status::LAN_INIT_DONE);
    }

    /// The PHY has been set up by the hardware.
    pub(crate) fn config_done(&mut self) {
        self.registers.set_bits(offset::EEMNGCTL, EEMNGCTL_CFG_DONE_PORT0);
    }
}
