//! `dev_queue_xmit`: a packet to the qdisc or past it, and from there to the driver (Linux 6.12, `net/core/dev.c`,
//! `net/sched/sch_generic.c`).

use super::features::Features;
use super::qdisc::{Enqueue, QdiscCtx, Qdiscs};
use super::softirq::Softirq;
use super::{DriverCtx, NetdevTx};
use crate::drop_reason::DropReason;
use crate::skb::pool::NONE;
use crate::skb::{Skb, SkbQueue};
use crate::stack::Stack;

/// `dev_tx_weight`: packets that one run of a qdisc may send before others get their turn.
pub const DEV_TX_WEIGHT: i32 = 64;

/// What the device layer says to a packet: NET_XMIT_….
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetXmit {
    /// On its way.
    Success,
    /// Dropped.
    Drop,
    /// Taken, but another was dropped, or nobody will send it.
    Cn,
    /// The device is down.
    NetDown,
}

impl Stack {
    /// Hands a packet, link header included, to the device.
    #[inline(always)]
    pub(crate) fn dev_queue_xmit<const TRACED: bool>(&mut self, skb: Skb) -> NetXmit {
        self.trace_skb::<TRACED>(&skb, "dev_queue_xmit");
        let plain = self.dev.plain || (self.dev.sums_missing && self.lacks_checksum_only(&skb));
        if plain && self.dev.qdisc.bypass(&self.skbs, 0, &skb) {
            // Nothing lay in the qdisc, and nothing can have come: there is nothing to run it for.
            if !self.dev.plain && !self.skbs.checksum_linear(&skb) {
                self.skb_checksum_help(&skb);
            }
            self.sch_direct_xmit::<TRACED>(skb, 0, false);
            return NetXmit::Success;
        }
        if self.dev.plain { self.enqueue_and_run(skb, 0) } else { self.xmit_not_plain(skb) }
    }

    /// Whether a packet lacks nothing but its checksum for a device that adds up none.
    #[inline(always)]
    fn lacks_checksum_only(&self, skb: &Skb) -> bool {
        let meta = &self.skbs[skb];
        meta.frag_list == NONE && (meta.nr_frags == 0 || self.dev.has(Features::SG))
    }

    /// The device is down, does not all that a packet may need, or has several queues.
    #[inline(never)]
    fn xmit_not_plain(&mut self, skb: Skb) -> NetXmit {
        if !self.dev.active {
            return self.xmit_inactive(skb);
        }
        let queue = self.netdev_core_pick_tx(&skb);
        self.enqueue_and_run(skb, queue)
    }

    fn xmit_inactive(&mut self, skb: Skb) -> NetXmit {
        if !self.dev.up {
            self.skbs.drop(&mut self.trace, skb, DropReason::DevReady);
            return NetXmit::NetDown;
        }
        // Without carrier the device has the qdisc `noop`, which drops, counts it for the device, and says "congestion".
        self.dev.tx_dropped += 1;
        self.skbs.drop(&mut self.trace, skb, DropReason::QdiscDrop);
        NetXmit::Cn
    }

    #[inline(never)]
    fn enqueue_and_run(&mut self, skb: Skb, queue: usize) -> NetXmit {
        if self.dev.qdisc.is_noqueue(queue) {
            return self.xmit_without_queue(skb, queue);
        }
        if self.dev.qdisc.bypass_large(&self.skbs, queue, &skb) {
            self.trace_skb::<true>(&skb, "sch_direct_xmit");
            let mut list = self.validate_xmit_skb(skb);
            self.dev_hard_start_xmit(&mut list, queue, false);
            return NetXmit::Success;
        }
        let (qdisc, mut cx) = self.qdisc();
        let queued = qdisc.enqueue(&mut cx, queue, skb);
        let result = match queued {
            Enqueue::Queued => NetXmit::Success,
            Enqueue::Congested => NetXmit::Cn,
            Enqueue::Dropped => NetXmit::Drop,
            Enqueue::Segment(skb) => self.tbf_segment(skb, queue),
        };
        self.qdisc_run(queue);
        result
    }

    /// `tbf_segment`: a packet is too long for a token bucket that its segments can pass: each is queued by itself. The
    /// sender is told of a drop when all were dropped.
    #[cold]
    fn tbf_segment(&mut self, skb: Skb, queue: usize) -> NetXmit {
        let features = self.netif_skb_features(&self.skbs[&skb]).without(Features::GSO_MASK);
        let mut segments = match self.skb_gso_segment(skb, features) {
            Ok(segments) => segments,
            Err(skb) => {
                self.skbs.drop(&mut self.trace, skb, DropReason::QdiscDrop);
                return NetXmit::Drop;
            }
        };
        let mut result = NetXmit::Drop;
        while let Some(segment) = segments.pop_front(&mut self.skbs) {
            let (qdisc, mut cx) = self.qdisc();
            match qdisc.enqueue(&mut cx, queue, segment) {
                Enqueue::Queued => result = NetXmit::Success,
                Enqueue::Congested | Enqueue::Dropped => {}
                Enqueue::Segment(skb) => self.skbs.drop(&mut self.trace, skb, DropReason::QdiscDrop),
            }
        }
        result
    }

    /// The qdisc `noqueue`: what the driver has no room for is lost.
    fn xmit_without_queue(&mut self, skb: Skb, queue: usize) -> NetXmit {
        let mut list = self.validate_xmit_skb(skb);
        if list.is_empty() {
            return NetXmit::Drop;
        }
        if !self.dev.queues[queue].is_stopped() && self.xmit_list(&mut list, queue, false) {
            return NetXmit::Success;
        }
        self.dev.tx_dropped += 1;
        self.skbs.purge(&mut self.trace, &mut list, DropReason::QdiscDrop);
        NetXmit::NetDown
    }

    /// The qdiscs with what they work with.
    #[inline]
    pub(crate) fn qdisc(&mut self) -> (&mut Qdiscs, QdiscCtx<'_>) {
        let cx = QdiscCtx { now: self.now, skbs: &mut self.skbs, trace: &mut self.trace };
        (&mut self.dev.qdisc, cx)
    }

    #[inline]
    fn qdisc_dequeue(&mut self, queue: usize) -> Option<Skb> {
        let (qdisc, mut cx) = self.qdisc();
        qdisc.dequeue(&mut cx, queue)
    }

    /// `__qdisc_run`: sends until the qdisc has nothing to give, the driver is busy, or the quota is used up; then the
    /// NET_TX softirq goes on.
    pub(crate) fn qdisc_run(&mut self, queue: usize) {
        self.trace.function(0, "__qdisc_run");
        let mut quota = DEV_TX_WEIGHT;
        while let Some(sent) = self.qdisc_restart(queue) {
            quota -= sent;
            if quota <= 0 {
                self.netif_schedule(queue);
                return;
            }
        }
    }

    /// `qdisc_restart`: takes packets out of the qdisc, as many as the byte limit allows in one go, and sends them. How
    /// many; `None` when there is nothing more to do now.
    fn qdisc_restart(&mut self, queue: usize) -> Option<i32> {
        if !self.dev.qdisc.serves_one_queue(queue) {
            return self.qdisc_restart_shared();
        }
        if self.dev.queues[queue].is_stopped() {
            return None;
        }
        let mut allowed = self.dev.queues[queue].bql_available();
        let mut skb = self.qdisc_dequeue(queue)?;
        let mut sent = 0;
        loop {
            allowed -= self.skbs[&skb].len() as i64;
            // The driver is told that more follows, so that it rings the bell once for all.
            let next = if allowed > 0 { self.qdisc_dequeue(queue) } else { None };
            sent += 1;
            let plain = self.dev.plain && self.skbs[&skb].gso_size == 0;
            let went = if plain {
                self.sch_direct_xmit::<true>(skb, queue, next.is_some())
            } else {
                self.validate_and_xmit(skb, queue, next.is_some())
            };
            match next {
                Some(next) if went => skb = next,
                Some(next) => {
                    self.requeue(next, queue);
                    return None;
                }
                None => return went.then_some(sent),
            }
        }
    }

    /// [`Self::qdisc_restart`] of a qdisc above several queues: one packet, by the queue that was picked for it. What was put
    /// back waits at the head until its own queue goes on.
    #[cold]
    fn qdisc_restart_shared(&mut self) -> Option<i32> {
        let waits = self.dev.qdisc.requeued(&self.skbs).map(|mapping| self.tx_queue_of(mapping));
        if waits.is_some_and(|queue| self.dev.queues[queue].is_stopped()) {
            return None;
        }
        let skb = self.qdisc_dequeue(0)?;
        let queue = self.tx_queue_of(self.skbs[&skb].queue_mapping);
        self.validate_and_xmit(skb, queue, false).then_some(1)
    }

    /// `skb_get_tx_queue`; of a packet that was queued when there were more queues, one that is there.
    fn tx_queue_of(&self, mapping: u16) -> usize {
        usize::from(mapping) % self.dev.real_num_tx_queues.max(1)
    }

    /// `sch_direct_xmit`: gives one packet to the driver, or back to the qdisc when the driver is busy. Whether the driver
    /// took it.
    #[inline(always)]
    fn sch_direct_xmit<const TRACED: bool>(&mut self, skb: Skb, queue: usize, more: bool) -> bool {
        if TRACED && self.trace.is_on() {
            let packet = self.skbs[&skb].packet;
            self.trace.function(packet, "sch_direct_xmit");
            self.trace.function(packet, "validate_xmit_skb");
        }
        if self.dev.queues[queue].is_stopped() {
            self.requeue(skb, queue);
            return false;
        }
        self.trace_skb::<TRACED>(&skb, "dev_hard_start_xmit");
        let (igb, mut ctx) = self.driver();
        match igb.xmit_frame_as::<TRACED>(&mut ctx, skb, queue as u16, more) {
            NetdevTx::Ok => true,
            NetdevTx::Busy(skb) => {
                self.requeue(skb, queue);
                false
            }
        }
    }

    /// [`Self::sch_direct_xmit`] of a packet that the device may not take as it is.
    #[cold]
    fn validate_and_xmit(&mut self, skb: Skb, queue: usize, more: bool) -> bool {
        self.trace_skb::<true>(&skb, "sch_direct_xmit");
        let mut list = self.validate_xmit_skb(skb);
        self.dev_hard_start_xmit(&mut list, queue, more)
    }

    /// Gives packets to the driver, or what it has no room for back to the qdisc. Whether all went.
    fn dev_hard_start_xmit(&mut self, list: &mut SkbQueue, queue: usize, more: bool) -> bool {
        if !self.dev.queues[queue].is_stopped() && self.xmit_list(list, queue, more) {
            return true;
        }
        while let Some(skb) = list.pop_front(&mut self.skbs) {
            self.requeue(skb, queue);
        }
        false
    }

    /// `dev_hard_start_xmit`: gives packets to the driver in a row, until it stops the queue; the byte limit does not hold
    /// up segments of one packet. Whether all went; what did not is left in `list`.
    fn xmit_list(&mut self, list: &mut SkbQueue, queue: usize, more: bool) -> bool {
        let (igb, mut ctx) = self.driver();
        let sent = igb.xmit_frames(&mut ctx, queue as u16, more, &mut |skbs, trace| {
            let skb = list.pop_front(skbs)?;
            if trace.is_on() {
                trace.function(skbs[&skb].packet, "dev_hard_start_xmit");
            }
            Some(skb)
        });
        if let NetdevTx::Busy(skb) = sent {
            list.push_front(&mut self.skbs, skb);
        }
        list.is_empty()
    }

    /// `dev_requeue_skb`: back to where it will be taken from first; the qdisc is rescheduled.
    #[cold]
    fn requeue(&mut self, skb: Skb, queue: usize) {
        let (qdisc, mut cx) = self.qdisc();
        qdisc.requeue(&mut cx, queue, skb);
        if !self.dev.queues[queue].is_stopped() {
            self.netif_schedule(queue);
        }
    }

    /// `__netif_schedule`: the qdisc of this transmit queue goes on in the NET_TX softirq of this CPU.
    #[inline]
    pub(crate) fn netif_schedule(&mut self, queue: usize) {
        self.dev.scheduled |= 1 << if self.dev.qdisc.serves_one_queue(queue) { queue } else { 0 };
        self.raise_softirq(Softirq::NetTx);
    }

    /// `net_tx_action`.
    #[inline(never)]
    pub(crate) fn net_tx_action(&mut self) {
        self.trace.function(0, "net_tx_action");
        let mut scheduled = core::mem::take(&mut self.dev.scheduled);
        while scheduled != 0 && self.dev.active {
            let queue = scheduled.trailing_zeros() as usize;
            scheduled &= scheduled - 1;
            if queue < self.dev.real_num_tx_queues {
                self.qdisc_run(queue);
            }
        }
    }

    /// The driver woke queues: their qdiscs go on.
    #[inline(always)]
    pub(crate) fn serve_wakeups(&mut self) {
        for at in 0..self.dev.real_num_tx_queues {
            if self.dev.queues[at].take_schedule() {
                self.netif_schedule(at);
            }
        }
    }

    /// The driver with what it works with.
    #[inline]
    pub(crate) fn driver(&mut self) -> (&mut crate::drivers::igb::Igb, DriverCtx<'_>) {
        let ctx = DriverCtx {
            now: self.now,
            bus: &mut *self.bus,
            skbs: &mut self.skbs,
            queues: &mut self.dev.queues,
            trace: &mut self.trace,
            rx: &mut self.dev.rx,
        };
        (&mut self.dev.igb, ctx)
    }
}
