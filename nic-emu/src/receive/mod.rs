//! Receive, from the port to host memory (section 7.1): filters, packet buffer, queue choice, DMA, write-back.

mod arrival;
mod deliver;
mod descriptor;
mod doorbell;
mod filter;
mod parse;
mod rss;
mod write_back;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use deliver::Job;
use descriptor::{Free, Written};

/// Receive queues of the 82576.
pub(crate) const QUEUES: usize = 16;

/// Descriptors that are written back together.
#[derive(Clone, Debug)]
struct Batch {
    written: Vec<Written>,
    /// Memory sees nothing of it.
    is_lost: bool,
}

/// What the chip holds of one queue besides its registers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// First descriptor that hardware has not written back.
    head: u16,
    next_fetch: u16,
    fetching: bool,
    /// A fetch failed: nothing is fetched until the queue is enabled anew.
    is_stalled: bool,
    cache: VecDeque<Free>,
    /// Filled, and waiting for WTHRESH.
    finished: Vec<Written>,
    writing: VecDeque<Batch>,
    /// When the youngest of them is due: they do not overtake each other.
    written_at: u64,
    /// When those that wait are written back though WTHRESH has not been reached.
    flush_at: Option<u64>,
}

/// A frame that is on its way in on the cable.
#[derive(Clone, Debug)]
struct Arriving {
    bytes: Vec<u8>,
    has_bad_crc: bool,
}

/// A frame in the receive packet buffer.
#[derive(Clone, Debug)]
struct Accepted {
    bytes: Vec<u8>,
    queue: usize,
    rss: Option<rss::Hash>,
    /// It passed by other than an exact address.
    is_inexact: bool,
    has_bad_crc: bool,
    /// It has been counted as waiting for a descriptor.
    is_starved: bool,
}

/// All of the receive side.
#[derive(Clone, Debug)]
pub(crate) struct Receive {
    queues: [Queue; QUEUES],
    arriving: VecDeque<Arriving>,
    pub(crate) wire_free_at: u64,
    fifo: VecDeque<Accepted>,
    fifo_bytes: usize,
    /// The other end was asked to stop, and not yet to go on.
    pub(crate) has_stopped_peer: bool,
    in_flight: VecDeque<Job>,
    bus_free_at: u64,
}

impl Receive {
    pub(crate) fn new() -> Self {
        Self {
            queues: core::array::from_fn(|_| Queue::default()),
            arriving: VecDeque::new(),
            wire_free_at: 0,
            fifo: VecDeque::new(),
            fifo_bytes: 0,
            has_stopped_peer: false,
            in_flight: VecDeque::new(),
            bus_free_at: 0,
        }
    }

    /// After a reset: the packet buffer is empty; what is on the cable still comes.
    pub(crate) fn restarted(old: &Self) -> Self {
        let mut new = Self::new();
        new.arriving = old.arriving.clone();
        new.wire_free_at = old.wire_free_at;
        new
    }

    /// Bytes in the packet buffer.
    pub(crate) const fn fill(&self) -> usize {
        self.fifo_bytes
    }

    /// Empties the packet buffer.
    pub(crate) fn take_all(&mut self) -> Vec<Vec<u8>> {
        self.fifo.drain(..).map(|frame| frame.bytes).collect()
    }

    /// Takes what is on its way in on the cable.
    pub(crate) fn take_arriving(&mut self) -> Vec<Vec<u8>> {
        self.arriving.drain(..).map(|frame| frame.bytes).collect()
    }

    pub(crate) fn is_dma_busy(&self) -> bool {
        !self.in_flight.is_empty()
            || self.queues.iter().any(|queue| queue.fetching || !queue.writing.is_empty())
    }

    pub(crate) fn head(&self, queue: usize) -> u32 {
        self.queues[queue].head.into()
    }
}
