//! The NVM: its words, `EERD`, and what is loaded from it after reset (section 3.3, 4.3).

use alloc::format;

use crate::agenda::Event;
use crate::nic::Nic;
use crate::observation::Rule;
use crate::registers::bit::status;
use crate::registers::offset;

const WORDS: usize = 64;
/// The words 0x00 to 0x3F of a valid image add up to this.
const CHECKSUM: u16 = 0xBABA;
const EERD_START: u32 = 1;
const EERD_DONE: u32 = 1 << 1;
const EECD_AUTO_RD: u32 = 1 << 9;
const EEMNGCTL_CFG_DONE_PORT0: u32 = 1 << 18;
const RAH_AV: u32 = 1 << 31;

/// The words of the NVM that mean something to a driver; those beyond read 0xFFFF.
#[derive(Clone, Debug)]
pub(crate) struct Nvm {
    words: [u16; WORDS],
}

impl Nvm {
    pub(crate) fn new(mac: [u8; 6]) -> Self {
        let mut words = [0; WORDS];
        for (word, pair) in words.iter_mut().zip(mac.chunks_exact(2)) {
            *word = u16::from_le_bytes([pair[0], pair[1]]);
        }
        words[0x0B] = 0x10C9;
        words[0x0C] = 0x8086;
        words[0x0D] = 0x10C9;
        words[0x0F] = 0x70C3;
        words[0x37] = 0xFFFF;
        let sum = words.iter().fold(0_u16, |sum, word| sum.wrapping_add(*word));
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
        let data = self.nvm.words.get(request as usize >> 2).copied().unwrap_or(0xFFFF);
        self.registers.set(offset::EERD, request | EERD_DONE | u32::from(data) << 16);
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
