//! What a driver is given, and what it answers: the seam between the qdisc layer and a driver (`net_device_ops`).

use super::bql::{Dql, LIMIT_MIN};
use crate::bus::Bus;
use crate::skb::{Skb, SkbPool};
use crate::time::Instant;
use crate::trace::Trace;
use alloc::vec::Vec;

/// What a driver works with while it is called.
pub struct DriverCtx<'a> {
    /// The time at which the stack is being driven.
    pub now: Instant,
    /// Registers and lent memory.
    pub bus: &'a mut dyn Bus,
    /// Packets and their memory.
    pub skbs: &'a mut SkbPool,
    /// The transmit queues above the driver: stop, wake, byte limits.
    pub queues: &'a mut [NetdevQueue],
    /// The journal.
    pub trace: &'a mut Trace,
    /// Where received packets go; the stack takes them from there when the poll is over.
    pub rx: &'a mut Vec<Skb>,
}

/// What a driver says to a packet: `netdev_tx_t`.
#[derive(Debug)]
pub enum NetdevTx {
    /// Taken.
    Ok,
    /// No room: the packet is given back, and the queue is stopped.
    Busy(Skb),
}

/// One transmit queue, as the layers above the driver see it: `struct netdev_queue`.
#[derive(Debug)]
pub struct NetdevQueue {
    drv_xoff: bool,
    stack_xoff: bool,
    schedule: bool,
    bql: Dql,
}

impl Default for NetdevQueue {
    fn default() -> Self {
        Self { drv_xoff: false, stack_xoff: false, schedule: false, bql: Dql::with_limit_min(LIMIT_MIN) }
    }
}

impl NetdevQueue {
    /// `byte_queue_limits/limit_min`: what the byte limit begins with and does not shrink below.
    pub fn set_limit_min(&mut self, bytes: u64) {
        self.bql = Dql::with_limit_min(bytes);
    }

    /// A write to `byte_queue_limits/limit_min`: in effect from the next completion on.
    pub fn change_limit_min(&mut self, bytes: u64) {
        self.bql.set_limit_min(bytes);
    }

    /// `netif_xmit_frozen_or_stopped`: nothing may be handed to the driver.
    #[inline(always)]
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.drv_xoff | self.stack_xoff
    }

    /// Stopped by the driver: its ring is full, or it is down.
    #[must_use]
    pub fn is_stopped_by_driver(&self) -> bool {
        self.drv_xoff
    }

    /// `netif_tx_stop_queue`.
    #[inline]
    pub fn stop(&mut self) {
        self.drv_xoff = true;
    }

    /// `netif_tx_start_queue`: not stopped any more, and nobody is told.
    pub fn start(&mut self) {
        self.drv_xoff = false;
    }

    /// `netif_tx_wake_queue`: not stopped any more, and the qdisc is rescheduled in the NET_TX softirq. Whether it was
    /// stopped.
    pub fn wake(&mut self) -> bool {
        let was = core::mem::take(&mut self.drv_xoff);
        self.schedule |= was;
        was
    }

    /// Whether a wake-up asks for the qdisc to be rescheduled; asked once.
    #[inline]
    pub fn take_schedule(&mut self) -> bool {
        core::mem::take(&mut self.schedule)
    }

    /// `netdev_tx_sent_queue`: the driver took `bytes`. Stops the queue when its byte limit is reached.
    #[inline(always)]
    pub fn sent(&mut self, bytes: u32) {
        self.bql.queued(bytes);
        if self.bql.available() < 0 {
            self.stack_xoff = true;
        }
    }

    /// [`Self::sent`] of packets in a row: `bytes` in all, of which the last one has `last_bytes`.
    #[inline(always)]
    pub fn sent_row(&mut self, bytes: u64, last_bytes: u32) {
        self.bql.queued_row(bytes, last_bytes);
        if self.bql.available() < 0 {
            self.stack_xoff = true;
        }
    }

    /// `netdev_tx_completed_queue`: the device is done with `bytes`. Reschedules the qdisc when the limit allows again.
    #[inline]
    pub fn completed(&mut self, now: Instant, bytes: u32) {
        if bytes == 0 {
            return;
        }
        self.bql.completed(now, bytes);
        if self.bql.available() >= 0 && self.stack_xoff {
            self.stack_xoff = false;
            self.schedule = true;
        }
    }

    /// How many bytes more the byte limit allows; negative when it is passed.
    #[inline]
    #[must_use]
    pub fn bql_available(&self) -> i64 {
        self.bql.available()
    }

    /// `netdev_tx_reset_queue`: the ring was emptied without completions.
    pub fn reset(&mut self) {
        self.bql = Dql::with_limit_min(self.bql.limit_min());
        self.stack_xoff = false;
    }
}

/// The counters of a device: `struct rtnl_link_stats64`, without those that no driver here has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the names are Linux's; `igb-facts` 2.8 and if_link.h are their documentation"
)]
pub struct NetdevStats {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
    pub multicast: u64,
    pub collisions: u64,
    pub rx_length_errors: u64,
    pub rx_over_errors: u64,
    pub rx_crc_errors: u64,
    pub rx_frame_errors: u64,
    pub rx_fifo_errors: u64,
    pub rx_missed_errors: u64,
    pub tx_aborted_errors: u64,
    pub tx_carrier_errors: u64,
    pub tx_fifo_errors: u64,
    pub tx_heartbeat_errors: u64,
    pub tx_window_errors: u64,
}
