//! `CTRL` and the software reset: what it stops, what survives it, how long it takes (section 4.3, 8.2.1).

use crate::agenda::Event;
use crate::fault::{Fault, Happening};
use crate::host::DropReason;
use crate::interrupt::{Interrupts, VECTORS};
use crate::nic::Nic;
use crate::receive::Receive;
use crate::registers::bit::ctrl;
use crate::registers::{RegisterFile, offset};
use crate::transmit::Transmit;

/// From the station address being loaded to the PHY being configured.
const CONFIG_AFTER_NVM_NS: u64 = 1_000_000;

impl Nic {
    pub(crate) fn write_ctrl(&mut self, old: u32, value: u32) {
        if value & ctrl::RST != 0 {
            return self.reset();
        }
        if value & !old & ctrl::PHY_RST != 0 {
            self.reset_phy();
        }
        self.update_link();
        self.receive_pump();
        self.transmit_pump();
    }

    /// Everything but packet buffer sizes, moderation and PHY goes to its reset value; what is in flight is lost.
    fn reset(&mut self) {
        let mut fresh = RegisterFile::new();
        for survivor in [offset::RXPBS, offset::TXPBS, offset::STATUS] {
            fresh.set(survivor, self.registers.get(survivor));
        }
        for vector in 0..VECTORS as u32 {
            fresh.set(offset::EITR + 4 * vector, self.registers.get(offset::EITR + 4 * vector));
        }
        fresh.set_bits(offset::CTRL, ctrl::RST);
        self.registers = fresh;
        self.agenda.drop_all_but_survivors();
        for bytes in self.transmit.port.take_all() {
            self.drop_frame(DropReason::Reset, bytes);
        }
        for bytes in self.receive.take_all() {
            self.drop_frame(DropReason::Reset, bytes);
        }
        self.transmit = Transmit::new();
        self.receive = Receive::restarted(&self.receive);
        self.interrupts = Interrupts::new();
        self.in_reset = true;
        self.link.is_up = false;
        let longer = match self.faults.strike(Happening::Reset) {
            Some(Fault::SlowReset { by_ns, .. }) => by_ns,
            _ => 0,
        };
        let takes = self.config.reset_ns.saturating_add(longer);
        if takes == 0 {
            self.reset_done();
        } else {
            self.agenda.plan(self.now.saturating_add(takes), Event::ResetDone);
        }
    }

    pub(crate) fn reset_done(&mut self) {
        self.in_reset = false;
        self.registers.clear_bits(offset::CTRL, ctrl::RST);
        if self.config.nvm_load_ns == 0 {
            self.load_nvm();
            self.config_done();
        } else {
            let loaded = self.now + self.config.nvm_load_ns;
            self.agenda.plan(loaded, Event::NvmLoaded);
            self.agenda.plan(loaded + CONFIG_AFTER_NVM_NS, Event::ConfigDone);
        }
    }
}
