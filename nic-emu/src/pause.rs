//! Flow control with pause frames, both ways (section 3.7.5; IEEE 802.3 annex 31B): `CTRL.RFCE` and `TFCE`, the watermarks of
//! the receive packet buffer, and `STATUS.TXOFF`.

use alloc::vec::Vec;

use crate::agenda::Event;
use crate::nic::Nic;
use crate::registers::bit::{ctrl, fcrtl, rctl, tctl};
use crate::registers::offset;
use crate::statistics::counter;

/// A pause quantum in bytes on the cable: 512 bits.
const QUANTUM: u64 = 64;
/// The MAC control opcode of a pause frame.
const OPCODE_PAUSE: [u8; 2] = [0, 1];

/// What the MAC does with a received frame because it is MAC control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// It is none: the filters decide, and it counts as received.
    None,
    /// Obeyed and not passed on.
    Consumed,
    /// A pause frame that the filters may pass; it does not count as a good packet.
    Pause,
    /// Of another opcode, and `RCTL.PMCF` passes it whatever its address.
    Passed,
}

impl Nic {
    /// Whether transmission is stopped by the other end (`STATUS.TXOFF`).
    pub(crate) const fn is_paused(&self) -> bool {
        self.now < self.transmit.port.paused_until
    }

    /// Looks at a good frame of legal size: obeys it if it is a pause frame.
    pub(crate) fn take_control(&mut self, frame: &[u8]) -> Control {
        let kind = (self.registers.get(offset::FCT) as u16).to_be_bytes();
        if frame.get(12..14) != Some(&kind[..]) {
            return Control::None;
        }
        let own = |low: u32, high: u32| {
            let [a, b, c, d] = self.registers.get(low).to_le_bytes();
            let [e, f, _, _] = self.registers.get(high).to_le_bytes();
            frame.get(..6) == Some(&[a, b, c, d, e, f][..])
        };
        let to_all = own(offset::FCAL, offset::FCAH);
        let addressed = to_all || own(offset::RAL, offset::RAL + 4);
        let obeyed =
            addressed && self.registers.has(offset::CTRL, ctrl::RFCE) && self.link.mode.is_full_duplex;
        if frame.get(14..16) != Some(&OPCODE_PAUSE[..]) {
            if obeyed {
                self.count(counter::FCRUC, 1);
            }
            return if self.registers.has(offset::RCTL, rctl::PMCF) {
                Control::Passed
            } else {
                Control::None
            };
        }
        if obeyed && let Some(&[high, low]) = frame.get(16..18) {
            self.pause(u16::from_be_bytes([high, low]));
        }
        let keeps = if to_all {
            !self.registers.has(offset::RCTL, rctl::PMCF)
        } else {
            self.registers.has(offset::RCTL, rctl::DPF)
        };
        match (obeyed, keeps) {
            (true, true) => Control::Consumed,
            (true, false) => Control::Pause,
            (false, _) => Control::None,
        }
    }

    /// The other end wants silence for so many quanta; 0 ends it.
    fn pause(&mut self, quanta: u16) {
        self.count(if quanta == 0 { counter::XONRXC } else { counter::XOFFRXC }, 1);
        let until = self.now + self.quanta_ns(quanta);
        self.transmit.port.paused_until = until;
        if quanta == 0 {
            self.start_frame();
        } else {
            self.agenda.plan(until, Event::PauseOver);
        }
    }

    const fn quanta_ns(&self, quanta: u16) -> u64 {
        self.wire_ns(quanta as usize * QUANTUM as usize)
    }

    /// The receive packet buffer has another fill: above the high watermark the other end is asked to stop, below the low one
    /// to go on.
    pub(crate) fn check_watermarks(&mut self) {
        let high = self.registers.get(offset::FCRTH) as usize & 0xFFF0;
        let low = self.registers.get(offset::FCRTL) as usize & 0xFFF0;
        let fill = self.receive.fill();
        if !self.receive.has_stopped_peer && high > 0 && fill >= high && self.sends_pause() {
            self.receive.has_stopped_peer = true;
            self.send_xoff();
            self.plan_refresh();
        } else if self.receive.has_stopped_peer && fill < low {
            self.receive.has_stopped_peer = false;
            if self.registers.has(offset::FCRTL, fcrtl::XONE) && self.sends_pause() {
                self.send_pause(0);
            }
        }
    }

    /// `FCRTV`: while the buffer stays full, the request is repeated in time.
    pub(crate) fn refresh_pause(&mut self) {
        if self.receive.has_stopped_peer && self.sends_pause() {
            self.send_xoff();
            self.plan_refresh();
        }
    }

    fn plan_refresh(&mut self) {
        let every = self.registers.get(offset::FCRTV) as u16;
        if every != 0 {
            self.agenda.plan(self.now + self.quanta_ns(every), Event::PauseRefresh);
        }
    }

    /// `TCTL.SWXOFF`: software asks for one XOFF; the bit clears itself.
    pub(crate) fn write_tctl(&mut self, value: u32) {
        if value & tctl::SWXOFF != 0 {
            self.registers.clear_bits(offset::TCTL, tctl::SWXOFF);
            if self.sends_pause() {
                self.send_xoff();
            }
        }
        self.transmit_pump();
    }

    fn sends_pause(&self) -> bool {
        self.registers.has(offset::CTRL, ctrl::TFCE) && self.link.mode.is_full_duplex && self.link.is_up
    }

    fn send_xoff(&mut self) {
        self.send_pause(self.registers.get(offset::FCTTV) as u16);
    }

    /// A pause frame goes out before the next frame; a younger one takes the place of one that waits.
    fn send_pause(&mut self, quanta: u16) {
        self.transmit.port.control = Some(quanta);
        self.start_frame();
    }

    /// The frame that says so, without FCS.
    pub(crate) fn pause_frame(&self, quanta: u16) -> Vec<u8> {
        let mut frame = Vec::with_capacity(60);
        for (low, high) in [(offset::FCAL, offset::FCAH), (offset::RAL, offset::RAL + 4)] {
            frame.extend(self.registers.get(low).to_le_bytes());
            frame.extend(&self.registers.get(high).to_le_bytes()[..2]);
        }
        frame.extend((self.registers.get(offset::FCT) as u16).to_be_bytes());
        frame.extend(OPCODE_PAUSE);
        frame.extend(quanta.to_be_bytes());
        frame.resize(60, 0);
        frame
    }
}
