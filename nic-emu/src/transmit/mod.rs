//! Transmit, from the tail doorbell to the packet buffer (section 7.2): fetch descriptors, read packet data, apply offloads,
//! write back. The way from the packet buffer to the cable is in `port.rs`.

mod assemble;
mod checksum;
mod context;
mod descriptor;
mod doorbell;
mod fetch;
mod segment;
mod write_back;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::port::Port;
pub(crate) use checksum::{add, crc, crc32c, sum};
pub(crate) use fetch::wants_descriptors;

use assemble::Assembly;
use context::Context;
use descriptor::Descriptor;
use fetch::Chunk;

/// Transmit queues of the 82576.
pub(crate) const QUEUES: usize = 16;

/// What the chip holds of one queue besides its registers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// First descriptor that hardware has not finished.
    head: u16,
    /// First descriptor not yet fetched.
    next_fetch: u16,
    fetching: bool,
    /// Fetched and not yet begun.
    cache: VecDeque<Descriptor>,
    /// Bytes of the front descriptor already asked for.
    issued: usize,
    /// Inside a packet: its first descriptor has been begun and its last has not.
    inside_packet: bool,
    /// The present packet's missing end has been noted.
    unfinished_noted: bool,
    contexts: [Option<Context>; 2],
    /// Finished descriptors with RS whose write-back is not yet under way.
    finished: Vec<u16>,
    /// Write-backs under way, oldest first.
    writing: VecDeque<Vec<u16>>,
    /// When the youngest of them is due: they do not overtake each other.
    written_at: u64,
    /// When those that wait are written back though WTHRESH has not been reached.
    flush_at: Option<u64>,
    /// A fetch of descriptors failed: nothing is fetched until the queue is enabled anew.
    is_stalled: bool,
}

/// All of the transmit side.
#[derive(Clone, Debug)]
pub(crate) struct Transmit {
    queues: [Queue; QUEUES],
    /// The queue whose packet is being fetched, or that was served last.
    served: usize,
    /// Data requests on the bus, oldest first.
    in_flight: VecDeque<Chunk>,
    in_flight_bytes: usize,
    /// When the last of them is done.
    bus_free_at: u64,
    /// The packet whose data is arriving.
    assembly: Option<Assembly>,
    pub(crate) port: Port,
}

impl Transmit {
    pub(crate) fn new() -> Self {
        Self {
            queues: core::array::from_fn(|_| Queue::default()),
            served: 0,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            bus_free_at: 0,
            assembly: None,
            port: Port::default(),
        }
    }

    pub(crate) fn is_dma_busy(&self) -> bool {
        !self.in_flight.is_empty()
            || self.queues.iter().any(|queue| queue.fetching || !queue.writing.is_empty())
    }

    pub(crate) fn head(&self, queue: usize) -> u32 {
        self.queues[queue].head.into()
    }
}

impl Transmit {
    /// Bytes of the packet buffer in use, or promised to data on the bus.
    pub(crate) fn buffered(&self) -> usize {
        let arriving = self.assembly.as_ref().map_or(0, |packet| packet.bytes.len());
        self.port.buffered() + arriving + self.in_flight_bytes
    }
}
