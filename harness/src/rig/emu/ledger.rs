//! What the emulated NIC's port saw, kept for the equations of `conserve`; and the device's counters by size, which a driver
//! clears by reading them and shows to nobody.

use crate::case::model::{Nanos, Source};
use crate::rig::port::{CLASSES, Lost, Port, Reset};
use crate::rig::{Reading, Readings};
use nic_emu::{Dropped, Nic, Received};
use std::collections::BTreeMap;

/// The first of the six counters of each direction (82576 datasheet, section 8.18: PRC64 and PTC64).
const SIZES: [(&str, u32); 2] = [("rx", 0x405C), ("tx", 0x40D8)];
/// Counters that are cleared by reading: what was read of them so far.
#[derive(Debug, Default)]
pub struct ReadCounters(BTreeMap<u32, u64>);

impl ReadCounters {
    /// A register was read.
    pub fn was_read(&mut self, register: u32, value: u32) {
        let counts = SIZES.iter().any(|(_, first)| (*first..first + 24).contains(&register));
        if counts && value != u32::MAX {
            *self.0.entry(register).or_default() += u64::from(value);
        }
    }

    /// All frames by size: what was read, and what is in the registers.
    #[must_use]
    pub fn sizes(&self, nic: &Nic) -> Readings {
        let mut readings = Readings::new();
        for (direction, first) in SIZES {
            for (class, register) in CLASSES.iter().zip((first..).step_by(4)) {
                let read = self.0.get(&register).copied().unwrap_or(0);
                let all = read + u64::from(nic.peek32(register));
                let all = i64::try_from(all).unwrap_or(i64::MAX);
                readings.insert(format!("{direction}_{class}"), Reading::Number(all));
            }
        }
        readings
    }
}

/// What has happened at the port since the first step.
#[derive(Debug, Default)]
pub struct Ledger {
    queues: Vec<u16>,
    received: Vec<(u16, Vec<u8>)>,
    lost: Vec<Lost>,
    resets: Vec<Reset>,
}

impl Ledger {
    /// The next frame of the system under test left by this queue.
    pub fn sent(&mut self, queue: u16) {
        self.queues.push(queue);
    }

    /// Frames reached memory.
    pub fn received(&mut self, frames: impl Iterator<Item = Received>) {
        self.received.extend(frames.map(|frame| (frame.queue, frame.bytes)));
    }

    /// Frames were lost.
    pub fn lost(&mut self, dropped: impl Iterator<Item = Dropped>) {
        self.lost.extend(dropped.map(|frame| Lost { reason: frame.reason, bytes: frame.bytes }));
    }

    /// The driver resets the device, with its counters as they are.
    pub fn reset(&mut self, at: Nanos, readings: BTreeMap<Source, Readings>) {
        self.resets.push(Reset { at, lost: self.lost.len(), readings });
    }

    /// The resets so far.
    #[must_use]
    pub fn resets(&self) -> &[Reset] {
        &self.resets
    }

    /// All of it, with the counters by size.
    #[must_use]
    pub fn port(&self, sizes: Readings) -> Port {
        Port { queues: self.queues.clone(), received: self.received.clone(), lost: self.lost.clone(), sizes }
    }
}
