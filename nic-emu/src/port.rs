//! The port: the transmit packet buffer, and frames onto the cable at its rate (section 7.2.1, 3.5).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::agenda::Event;
use crate::fault::{Fault, Happening};
use crate::host::{DropReason, SentFrame};
use crate::nic::{Io, Nic};
use crate::registers::bit::{rctl, tctl};
use crate::registers::offset;
use crate::statistics::FCS;

/// Preamble and start delimiter, in bytes.
const PREAMBLE: usize = 8;
/// The gap between frames, in bytes.
const GAP: usize = 12;
/// The shortest frame without FCS.
const FRAME_MIN: usize = 60;

/// A frame in the transmit packet buffer.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) queue: u16,
    pub(crate) last_descriptor: u16,
}

/// What is on the cable.
#[derive(Clone, Debug)]
enum Sending {
    Data(Frame),
    /// A pause frame with this time.
    Pause(u16),
}

/// The packet buffer and the frame that is on the cable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Port {
    waiting: VecDeque<Frame>,
    waiting_bytes: usize,
    sending: Option<(u64, Sending)>,
    free_at: u64,
    /// The pause time of a pause frame that waits for the cable.
    pub(crate) control: Option<u16>,
    /// Until when the other end wants silence.
    pub(crate) paused_until: u64,
}

impl Nic {
    /// How long so many bytes take on the cable.
    pub(crate) const fn wire_ns(&self, bytes: usize) -> u64 {
        // A cable of another rate than 1 Gbit/s is slower or faster at every speed.
        let speed = self.link.mode.speed.bits_per_second();
        let rate = (self.config.wire_bits_per_second as u128 * speed as u128 / 1_000_000_000) as u64;
        bytes as u64 * 8 * 1_000_000_000 / if rate == 0 { 1 } else { rate }
    }

    /// Whether the transmit packet buffer, of `TXPBS` KiB, can take so many bytes more.
    pub(crate) fn has_buffer_room(&self, bytes: usize) -> bool {
        let size = (self.registers.get(offset::TXPBS) as usize).max(16) * 1024;
        self.transmit.buffered() + bytes <= size
    }

    pub(crate) fn enqueue_frame(&mut self, mut frame: Frame) {
        if frame.bytes.len() < FRAME_MIN && self.registers.has(offset::TCTL, tctl::PSP) {
            frame.bytes.resize(FRAME_MIN, 0);
        }
        self.transmit.port.waiting_bytes += frame.bytes.len();
        self.transmit.port.waiting.push_back(frame);
        self.start_frame();
    }

    /// Begins the next frame when the cable is free, there is a link, and the other end has not asked for silence; a pause
    /// frame goes first, and also then.
    pub(crate) fn start_frame(&mut self) {
        let enabled = self.registers.has(offset::TCTL, tctl::EN) && !self.in_reset;
        if self.transmit.port.sending.is_some() || !(self.link.is_up || self.is_loopback()) || !enabled {
            return;
        }
        let port = &mut self.transmit.port;
        let (next, length) = if let Some(quanta) = port.control.take() {
            (Sending::Pause(quanta), FRAME_MIN)
        } else if self.now < port.paused_until {
            return;
        } else if let Some(frame) = port.waiting.pop_front() {
            let length = frame.bytes.len();
            (Sending::Data(frame), length)
        } else {
            return;
        };
        let started = self.transmit.port.free_at.max(self.now);
        let end = started + self.wire_ns(PREAMBLE + length + FCS);
        self.transmit.port.free_at = started + self.wire_ns(PREAMBLE + length + FCS + GAP);
        self.transmit.port.sending = Some((started, next));
        self.agenda.plan(end, Event::WireFree);
    }

    fn is_loopback(&self) -> bool {
        self.is_phy_loopback() || self.registers.has(offset::RCTL, rctl::LBM_MAC)
    }

    /// The last bit of a frame is out.
    pub(crate) fn frame_left(&mut self, io: &mut Io<'_>) {
        let Some((started, sent)) = self.transmit.port.sending.take() else { return };
        let Frame { bytes, queue, last_descriptor } = match sent {
            Sending::Data(frame) => frame,
            Sending::Pause(quanta) => return self.pause_left(quanta, started, io),
        };
        self.transmit.port.waiting_bytes -= bytes.len();
        if self.is_loopback() {
            self.count_sent(&bytes);
            self.receive_whole(self.now + 1, bytes);
        } else if self.link.is_up {
            self.count_sent(&bytes);
            if self.faults.strike(Happening::FrameOut).is_some() {
                self.drop_frame(DropReason::Cable, bytes);
            } else {
                io.out.frames.push(SentFrame { at: self.now, started, bytes, queue, last_descriptor });
            }
        } else {
            self.drop_frame(DropReason::LinkDown, bytes);
        }
        self.transmit_pump();
    }

    fn pause_left(&mut self, quanta: u16, started: u64, io: &mut Io<'_>) {
        let bytes = self.pause_frame(quanta);
        if self.link.is_up && !self.is_loopback() {
            self.count_sent_pause(&bytes, quanta == 0);
            let queue = SentFrame::OF_THE_MAC;
            io.out.frames.push(SentFrame { at: self.now, started, bytes, queue, last_descriptor: 0 });
        }
        self.transmit_pump();
    }

    /// A frame, destination address to last byte before the FCS, comes in from the cable. `at`, in nanoseconds, is when its
    /// preamble begins; it waits for the frame before it, and is received when its last bit is in. A frame of less than 60
    /// bytes is not padded: it is an undersize frame, and lost.
    pub fn receive(&mut self, at: u64, frame: &[u8]) {
        if self.is_removed() {
            return self.drop_frame(DropReason::Removed, frame.to_vec());
        }
        let done = self.serialise_arrival(at, frame.len());
        match self.faults.strike(Happening::FrameIn) {
            None => self.receive_whole(done, frame.to_vec()),
            Some(Fault::LostReceivedFrame { .. }) => self.drop_frame(DropReason::Cable, frame.to_vec()),
            Some(_) => self.receive_damaged(done, frame.to_vec()),
        }
    }

    /// The same for a frame whose FCS is wrong.
    pub fn receive_with_bad_crc(&mut self, at: u64, frame: &[u8]) {
        if self.is_removed() {
            return self.drop_frame(DropReason::Removed, frame.to_vec());
        }
        let done = self.serialise_arrival(at, frame.len());
        self.receive_damaged(done, frame.to_vec());
    }

    fn serialise_arrival(&mut self, at: u64, length: usize) -> u64 {
        let started = at.max(self.now).max(self.receive.wire_free_at);
        let done = started + self.wire_ns(PREAMBLE + length + FCS);
        self.receive.wire_free_at = done + self.wire_ns(GAP);
        done
    }
}

impl Port {
    pub(crate) const fn buffered(&self) -> usize {
        self.waiting_bytes
    }

    /// Empties it, the frame on the cable first.
    pub(crate) fn take_all(&mut self) -> Vec<Vec<u8>> {
        let sending = match self.sending.take() {
            Some((_, Sending::Data(frame))) => Some(frame),
            _ => None,
        };
        sending.into_iter().chain(self.waiting.drain(..)).map(|frame| frame.bytes).collect()
    }
}
