//! Queueing disciplines: what lies between `dev_queue_xmit` and the driver, and in which order it leaves.
//!
//! A device has a tree of them, in one arena; each transmit queue refers to the one that it takes packets from. Whoever
//! owns the device calls `enqueue`, `dequeue` and `requeue`, and does `__qdisc_run` around them. The behaviour is Linux
//! 6.12's; counters and errors were compared with 6.18 and iproute2 6.1.

mod apply;
mod flow;
mod pfifo_fast;
pub mod stats;
mod tbf;

pub use stats::QdiscStats;

use crate::control::tc::{PRIORITIES, QdiscParams, TC_H_ROOT};
use crate::drop_reason::DropReason;
use crate::skb::{Skb, SkbPool, SkbQueue};
use crate::time::{Instant, earliest};
use crate::trace::Trace;
use alloc::vec::Vec;
use pfifo_fast::PfifoFast;
use tbf::Tbf;

/// What qdiscs work with while they are called.
pub struct QdiscCtx<'a> {
    /// The time at which the stack is being driven.
    pub now: Instant,
    /// Packets and their memory.
    pub skbs: &'a mut SkbPool,
    /// The journal.
    pub trace: &'a mut Trace,
}

/// What the qdiscs of a device need to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QdiscDevice {
    /// Transmit queues that it is made with (`num_tx_queues`), at least as many as are in use.
    pub num_tx_queues: usize,
    /// Transmit queues in use, at least one (`real_num_tx_queues`).
    pub tx_queues: usize,
    /// `tx_queue_len` in packets; with 0 there is no queue by default.
    pub tx_queue_len: u32,
    /// The MTU in bytes.
    pub mtu: u32,
}

/// What a qdisc did with a packet.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a dropped packet is an error for its sender, and one to segment must be cut"]
pub enum Enqueue {
    /// `NET_XMIT_SUCCESS`: it lies in the queue.
    Queued,
    /// `NET_XMIT_DROP`: it was freed; a sender that asked for errors is told ENOBUFS.
    Dropped,
    /// `NET_XMIT_CN`: it was freed, and the sender is not told.
    Congested,
    /// It is longer than a token bucket lets pass, but its segments are not: cut it, and enqueue each segment
    /// (`tbf_segment`).
    Segment(Skb),
}

/// A qdisc, as `tc qdisc show` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QdiscListing {
    /// The kind: `pfifo_fast`, `tbf`, ….
    pub kind: &'static str,
    /// The handle: the major number in the upper 16 bits; 0 for one that nobody asked for.
    pub handle: u32,
    /// [`TC_H_ROOT`], or the class that it hangs at.
    pub parent: u32,
    /// Its parameters.
    pub params: Option<QdiscParams>,
    /// Its counters.
    pub stats: QdiscStats,
}

type QdiscId = usize;

/// First in first out.
#[derive(Debug)]
struct Fifo {
    queue: SkbQueue,
    limit: u32,
    in_bytes: bool,
}

#[derive(Debug)]
struct Prio {
    priomap: [u8; PRIORITIES],
    children: Vec<QdiscId>,
}

#[derive(Debug)]
enum Discipline {
    /// `noop`: drops everything; what a class has when its qdisc was deleted.
    Noop,
    Noqueue,
    PfifoFast(PfifoFast),
    Fifo(Fifo),
    Prio(Prio),
    Tbf(Tbf),
    Mq(Vec<QdiscId>),
}

#[derive(Debug)]
struct Qdisc {
    handle: u32,
    parent: u32,
    discipline: Discipline,
    stats: QdiscStats,
    /// Packets that the driver had no room for, or that were looked at: they go first.
    gso_skb: SkbQueue,
}

/// All qdiscs of a device.
#[derive(Debug)]
pub struct Qdiscs {
    device: QdiscDevice,
    arena: Vec<Option<Qdisc>>,
    root: QdiscId,
    /// By transmit queue, also of those that are not in use.
    queues: Vec<QdiscId>,
    /// Several queues are in use or have been: from then on the default is `mq`.
    had_several: bool,
    last_handle: u32,
}

impl Qdiscs {
    /// The default: `pfifo_fast`, below `mq` when there are several transmit queues; `noqueue` without a queue length. A device with
    /// one queue in use has no `mq` until it gets a second one: it is like one that is made with a single queue.
    #[must_use]
    pub fn new(device: QdiscDevice) -> Self {
        let mut qdiscs = Self {
            device,
            arena: Vec::new(),
            root: 0,
            queues: Vec::new(),
            had_several: device.tx_queues > 1,
            last_handle: 0x8000_0000,
        };
        qdiscs.attach_default();
        qdiscs
    }

    /// Whether a packet for this transmit queue goes to the driver without a qdisc.
    #[inline]
    #[must_use]
    pub fn is_noqueue(&self, queue: usize) -> bool {
        matches!(self.of_queue(queue).discipline, Discipline::Noqueue)
    }

    /// `TCQ_F_CAN_BYPASS`, nothing lies in the queue, and the packet is not large: it may go straight to the driver, and is
    /// counted.
    #[inline(always)]
    #[must_use]
    pub fn bypass(&mut self, skbs: &SkbPool, queue: usize, skb: &Skb) -> bool {
        let device = self.device;
        let qdisc = self.of_queue_mut(queue);
        let meta = &skbs[skb];
        let bypasses = qdisc.can_bypass(device) && meta.gso_size == 0;
        if bypasses {
            qdisc.stats.sent(meta.len, 1);
        }
        bypasses
    }

    /// [`Self::bypass`] for a packet that may be large: it counts as its segments.
    #[must_use]
    pub fn bypass_large(&mut self, skbs: &SkbPool, queue: usize, skb: &Skb) -> bool {
        let device = self.device;
        let qdisc = self.of_queue_mut(queue);
        let bypasses = qdisc.can_bypass(device);
        if bypasses {
            let packet = stats::PacketInfo::of(skbs, skb);
            qdisc.stats.sent(packet.len, packet.segs);
        }
        bypasses
    }

    /// Whether [`Self::bypass`] would let a packet pass.
    #[must_use]
    pub fn can_bypass(&self, queue: usize) -> bool {
        self.of_queue(queue).can_bypass(self.device)
    }

    /// Packets that lie in the qdisc of a transmit queue, those put back included.
    #[inline(always)]
    #[must_use]
    pub fn qlen(&self, queue: usize) -> u32 {
        self.of_queue(queue).stats.qlen
    }

    /// Whether none does.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self, queue: usize) -> bool {
        self.qlen(queue) == 0
    }

    /// Whether the qdisc of this transmit queue serves it alone (`TCQ_F_ONETXQUEUE`): then its packets may be handed to
    /// the driver in a row as long as the queue's byte limit allows.
    #[must_use]
    pub fn serves_one_queue(&self, queue: usize) -> bool {
        self.device.tx_queues == 1 || self.queues[queue] != self.root
    }

    /// The transmit queue of the packet that was put back into the root qdisc and goes next.
    #[must_use]
    pub(crate) fn requeued(&self, skbs: &SkbPool) -> Option<u16> {
        let slot = self.get(self.root).gso_skb.first_slot()?;
        Some(skbs[&SkbPool::handle(slot)].queue_mapping)
    }

    /// When the next token bucket has what it waits for: drive the stack then, and call [`Self::expired`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.arena.iter().flatten().fold(None, |first, qdisc| match &qdisc.discipline {
            Discipline::Tbf(tbf) => earliest(first, tbf.watchdog),
            _ => first,
        })
    }

    /// Whether a watchdog below this transmit queue is due, so that the queue must be run again (`qdisc_watchdog` →
    /// `__netif_schedule`). It is not due a second time.
    pub fn expired(&mut self, now: Instant, queue: usize) -> bool {
        self.expired_below(now, self.queues[queue])
    }

    fn expired_below(&mut self, now: Instant, id: QdiscId) -> bool {
        let mut due = false;
        if let Discipline::Tbf(tbf) = &mut self.get_mut(id).discipline {
            due = tbf.watchdog.is_some_and(|at| at <= now);
            if due {
                tbf.watchdog = None;
            }
        }
        for child in self.get(id).children() {
            due |= self.expired_below(now, child);
        }
        due
    }

    /// The counters of the root qdisc; of `mq` the sum of its children.
    #[must_use]
    pub fn stats(&self) -> QdiscStats {
        self.stats_of(self.root)
    }

    fn stats_of(&self, id: QdiscId) -> QdiscStats {
        let qdisc = self.get(id);
        let mut stats = qdisc.stats;
        if let Discipline::Mq(children) = &qdisc.discipline {
            children.iter().for_each(|&child| stats.add(&self.stats_of(child)));
        }
        stats
    }

    /// Every qdisc that `tc qdisc show` lists: the root first, a parent before its children. Default children of `prio`
    /// and `tbf` are not among them, nor those that `mq` has for queues that are not in use.
    #[must_use]
    pub fn list(&self) -> Vec<QdiscListing> {
        let mut list = Vec::new();
        self.list_below(self.root, false, &mut list);
        list
    }

    fn list_below(&self, id: QdiscId, hide_default: bool, list: &mut Vec<QdiscListing>) {
        let qdisc = self.get(id);
        if !(hide_default && qdisc.handle == 0) {
            list.push(QdiscListing {
                kind: qdisc.kind(),
                handle: qdisc.handle,
                parent: qdisc.parent,
                params: qdisc.params(),
                stats: self.stats_of(id),
            });
        }
        let is_mq = matches!(qdisc.discipline, Discipline::Mq(_));
        for (queue, child) in qdisc.children().into_iter().enumerate() {
            self.list_below(child, !is_mq || queue >= self.device.tx_queues, list);
        }
    }

    #[inline(always)]
    fn get(&self, id: QdiscId) -> &Qdisc {
        self.arena[id].as_ref().expect("a qdisc that is referred to exists")
    }

    #[inline(always)]
    fn get_mut(&mut self, id: QdiscId) -> &mut Qdisc {
        self.arena[id].as_mut().expect("a qdisc that is referred to exists")
    }

    #[inline(always)]
    fn of_queue(&self, queue: usize) -> &Qdisc {
        self.get(self.queues[queue])
    }

    #[inline(always)]
    fn of_queue_mut(&mut self, queue: usize) -> &mut Qdisc {
        self.get_mut(self.queues[queue])
    }
}

impl QdiscDevice {
    /// `psched_mtu`: the longest frame, without its checksum.
    fn full_frame(self) -> u32 {
        self.mtu.saturating_add(14)
    }
}

impl Qdisc {
    fn new(handle: u32, parent: u32, discipline: Discipline) -> Self {
        Self { handle, parent, discipline, stats: QdiscStats::default(), gso_skb: SkbQueue::default() }
    }

    #[inline(always)]
    fn can_bypass(&self, device: QdiscDevice) -> bool {
        let allows = matches!(self.discipline, Discipline::PfifoFast(_)) || self.fifo_can_bypass(device);
        allows && self.stats.qlen == 0
    }

    #[inline(never)]
    fn fifo_can_bypass(&self, device: QdiscDevice) -> bool {
        match &self.discipline {
            Discipline::Fifo(fifo) if fifo.in_bytes => fifo.limit >= device.full_frame(),
            Discipline::Fifo(fifo) => fifo.limit >= 1,
            _ => false,
        }
    }

    fn kind(&self) -> &'static str {
        match &self.discipline {
            Discipline::Noop => "noop",
            Discipline::Noqueue => "noqueue",
            Discipline::PfifoFast(_) => "pfifo_fast",
            Discipline::Fifo(fifo) if fifo.in_bytes => "bfifo",
            Discipline::Fifo(_) => "pfifo",
            Discipline::Prio(_) => "prio",
            Discipline::Tbf(_) => "tbf",
            Discipline::Mq(_) => "mq",
        }
    }

    fn params(&self) -> Option<QdiscParams> {
        Some(match &self.discipline {
            Discipline::Noop => return None,
            Discipline::Noqueue => QdiscParams::Noqueue,
            Discipline::PfifoFast(_) => QdiscParams::PfifoFast,
            Discipline::Fifo(fifo) if fifo.in_bytes => QdiscParams::Bfifo { limit: Some(fifo.limit) },
            Discipline::Fifo(fifo) => QdiscParams::Pfifo { limit: Some(fifo.limit) },
            Discipline::Prio(prio) => {
                QdiscParams::Prio { bands: prio.children.len() as u32, priomap: prio.priomap }
            }
            Discipline::Tbf(tbf) => QdiscParams::Tbf(tbf.params),
            Discipline::Mq(_) => QdiscParams::Mq,
        })
    }

    fn children(&self) -> Vec<QdiscId> {
        match &self.discipline {
            Discipline::Prio(prio) => prio.children.clone(),
            Discipline::Mq(children) => children.clone(),
            Discipline::Tbf(tbf) => alloc::vec![tbf.child],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
