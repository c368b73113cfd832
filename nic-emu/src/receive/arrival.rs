//! A frame is in from the cable: is it whole, for us, of legal size, and is there room (section 7.1.1, 7.1.3)?

use alloc::vec::Vec;

use super::filter::Match;
use super::{Accepted, Arriving, parse};
use crate::agenda::Event;
use crate::host::DropReason;
use crate::nic::{Io, Nic};
use crate::pause::Control;
use crate::registers::bit::{icr, rctl};
use crate::registers::offset;
use crate::statistics::{FCS, counter};

/// The shortest legal frame, FCS included.
const FRAME_MIN: usize = 64;
/// The longest without a tag and without `RCTL.LPE`, FCS included.
const FRAME_MAX: usize = 1518;
/// Frames that may be on their way at once.
const ARRIVING_MAX: usize = 4096;

impl Nic {
    pub(crate) fn receive_whole(&mut self, done: u64, bytes: Vec<u8>) {
        self.arrive(done, Arriving { bytes, has_bad_crc: false });
    }

    pub(crate) fn receive_damaged(&mut self, done: u64, bytes: Vec<u8>) {
        self.arrive(done, Arriving { bytes, has_bad_crc: true });
    }

    fn arrive(&mut self, done: u64, frame: Arriving) {
        if self.receive.arriving.len() >= ARRIVING_MAX {
            self.count_seen(&frame.bytes);
            self.count(counter::MPC, 1);
            self.raise_cause(icr::RXO);
            return self.drop_frame(DropReason::FifoFull, frame.bytes);
        }
        self.receive.arriving.push_back(frame);
        self.agenda.plan(done, Event::FrameArrived);
    }

    pub(crate) fn frame_arrived(&mut self, _io: &mut Io<'_>) {
        let Some(frame) = self.receive.arriving.pop_front() else { return };
        if !self.link.is_up && !self.is_phy_loopback() && !self.registers.has(offset::RCTL, rctl::LBM_MAC) {
            return self.drop_frame(DropReason::LinkDown, frame.bytes);
        }
        if !self.registers.has(offset::RCTL, rctl::EN) || self.in_reset {
            return self.drop_frame(DropReason::ReceiverDisabled, frame.bytes);
        }
        self.count_seen(&frame.bytes);
        let is_whole = !frame.has_bad_crc && frame.bytes.len() + FCS >= FRAME_MIN;
        let control = if is_whole { self.take_control(&frame.bytes) } else { Control::None };
        if control == Control::Consumed {
            return;
        }
        let passed = (control == Control::Passed).then_some(Match::Inexact);
        let Some(matched) = self.filter(&frame.bytes).or(passed) else {
            return self.drop_frame(DropReason::Filtered, frame.bytes);
        };
        if let Some((reason, register)) = self.fault_of(&frame) {
            self.count(register, 1);
            let keep_bad = reason == DropReason::BadCrc && self.registers.has(offset::RCTL, rctl::SBP);
            if !keep_bad {
                return self.drop_frame(reason, frame.bytes);
            }
        }
        let room = self.registers.get(offset::RXPBS) as usize * 1024;
        if self.receive.fifo_bytes + frame.bytes.len() > room {
            self.count(counter::MPC, 1);
            self.raise_cause(icr::RXO);
            return self.drop_frame(DropReason::FifoFull, frame.bytes);
        }
        if !frame.has_bad_crc && control != Control::Pause {
            self.count_received(&frame.bytes);
        }
        let parsed = parse::parse(&frame.bytes, self.vlan_tag(&frame.bytes).is_some());
        let (queue, rss) = self.choose_queue(&frame.bytes, &parsed);
        self.receive.fifo_bytes += frame.bytes.len();
        self.receive.fifo.push_back(Accepted {
            bytes: frame.bytes,
            queue,
            rss,
            is_inexact: matched == Match::Inexact,
            has_bad_crc: frame.has_bad_crc,
            is_starved: false,
        });
        self.check_watermarks();
        self.receive_pump();
    }

    /// What is wrong with the frame's size or FCS, and the counter for it.
    fn fault_of(&self, frame: &Arriving) -> Option<(DropReason, u32)> {
        let length = frame.bytes.len() + FCS;
        let limit = if self.registers.has(offset::RCTL, rctl::LPE) {
            self.registers.get(offset::RLPML) as usize
        } else if self.vlan_tag(&frame.bytes).is_some() {
            FRAME_MAX + 4
        } else {
            FRAME_MAX
        };
        match (length < FRAME_MIN, length > limit, frame.has_bad_crc) {
            (true, _, false) => Some((DropReason::Undersize, counter::RUC)),
            (true, _, true) => Some((DropReason::Undersize, counter::RFC)),
            (_, true, false) => Some((DropReason::Oversize, counter::ROC)),
            (_, true, true) => Some((DropReason::Oversize, counter::RJC)),
            (_, _, true) => Some((DropReason::BadCrc, counter::CRCERRS)),
            _ => None,
        }
    }
}
