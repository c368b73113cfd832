//! What the port of an emulated NIC saw beside the frames themselves: the queue of each, what was lost and why, and the
//! device's counters that no tool shows.

use super::Readings;
use crate::case::model::{Nanos, Source};
use nic_emu::DropReason;
use std::collections::BTreeMap;

/// The sizes that a device counts frames by, in bytes with the frame check sequence.
pub const CLASSES: [&str; 6] = ["64", "65_127", "128_255", "256_511", "512_1023", "1024_max"];

/// A port since the first step.
#[derive(Clone, Debug, Default)]
pub struct Port {
    /// The transmit queue that each frame of the system under test came from, in the order of the wire.
    pub queues: Vec<u16>,
    /// The receive queue by which each frame reached memory, in the order in which they did, and the frame without FCS.
    pub received: Vec<(u16, Vec<u8>)>,
    /// Frames of both directions that did not go where they were meant to go.
    pub lost: Vec<Lost>,
    /// Frames by size as the device counts them, whether the driver has read that or not: `rx_64`, `tx_1024_max`, …
    pub sizes: Readings,
}

/// A reset of the device by its driver.
#[derive(Clone, Debug)]
pub struct Reset {
    /// When.
    pub at: Nanos,
    /// How many frames the port had lost.
    pub lost: usize,
    /// The counters of driver and qdisc as they stood.
    pub readings: BTreeMap<Source, Readings>,
}

/// A frame that was lost in the NIC or at its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Why.
    pub reason: DropReason,
    /// What there was of it, without the frame check sequence.
    pub bytes: Vec<u8>,
}
