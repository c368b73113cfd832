//! The way of a packet through the tree: in at the top, out at the top.

use super::stats::PacketInfo;
use super::{Discipline, DropReason, Enqueue, QdiscCtx, QdiscId, Qdiscs};
use crate::control::tc::PRIORITIES;
use crate::skb::Skb;
use crate::trace::{PacketId, Step};

impl Qdiscs {
    /// Puts a packet (with its Ethernet header) into the qdisc of a transmit queue.
    #[inline]
    pub fn enqueue(&mut self, cx: &mut QdiscCtx<'_>, queue: usize, skb: Skb) -> Enqueue {
        let packet = cx.skbs[&skb].packet;
        let done = self.enqueue_at(cx, self.queues[queue], skb);
        if done == Enqueue::Queued {
            cx.trace.step(packet, Step::Queued("qdisc"));
        }
        done
    }

    /// Takes the next packet that may leave by a transmit queue: one that was put back, else the discipline's choice.
    /// `None` when there is none, or when a token bucket holds it back; then [`Self::next_deadline`] is set.
    #[inline]
    pub fn dequeue(&mut self, cx: &mut QdiscCtx<'_>, queue: usize) -> Option<Skb> {
        let skb = self.dequeue_peeked(cx, self.queues[queue])?;
        cx.trace.step(cx.skbs[&skb].packet, Step::Dequeued("qdisc"));
        Some(skb)
    }

    /// `dev_requeue_skb`: the driver had no room. The packet lies in front of all others; several stay in their order.
    pub fn requeue(&mut self, cx: &mut QdiscCtx<'_>, queue: usize, skb: Skb) {
        let len = PacketInfo::of(cx.skbs, &skb).len;
        let qdisc = self.of_queue_mut(queue);
        qdisc.stats.requeues += 1;
        qdisc.stats.inserted(len);
        cx.trace.step(cx.skbs[&skb].packet, Step::Queued("qdisc"));
        qdisc.gso_skb.push_back(cx.skbs, skb);
    }

    /// The length of the packet that [`Self::dequeue`] would give, in bytes with its Ethernet header. A token bucket that
    /// is looked into takes the tokens at once, as Linux does.
    pub fn peek(&mut self, cx: &mut QdiscCtx<'_>, queue: usize) -> Option<u32> {
        self.peek_at(cx, self.queues[queue]).map(|(packet, _)| packet.len)
    }

    fn drop_at(&mut self, cx: &mut QdiscCtx<'_>, id: QdiscId, skb: Skb) -> Enqueue {
        self.get_mut(id).stats.drops += 1;
        cx.skbs.drop(cx.trace, skb, DropReason::QdiscDrop);
        Enqueue::Dropped
    }

    fn enqueue_at(&mut self, cx: &mut QdiscCtx<'_>, id: QdiscId, skb: Skb) -> Enqueue {
        let info = PacketInfo::of(cx.skbs, &skb);
        let packet = cx.skbs[&skb].packet;
        let qdisc = self.arena[id].as_mut().expect("a qdisc that is referred to exists");
        match &mut qdisc.discipline {
            Discipline::PfifoFast(bands) => {
                cx.trace.function(packet, "pfifo_fast_enqueue");
                match bands.enqueue(cx, skb) {
                    Ok(()) => qdisc.stats.inserted(info.len),
                    Err(skb) => return self.drop_at(cx, id, skb),
                }
                Enqueue::Queued
            }
            Discipline::Fifo(fifo) => {
                cx.trace.function(packet, if fifo.in_bytes { "bfifo_enqueue" } else { "pfifo_enqueue" });
                let fits = match fifo.in_bytes {
                    true => qdisc.stats.backlog + u64::from(info.len) <= u64::from(fifo.limit),
                    false => qdisc.stats.qlen < fifo.limit,
                };
                if !fits {
                    return self.drop_at(cx, id, skb);
                }
                fifo.queue.push_back(cx.skbs, skb);
                qdisc.stats.inserted(info.len);
                Enqueue::Queued
            }
            Discipline::Noop => {
                cx.trace.function(packet, "noop_enqueue");
                cx.skbs.drop(cx.trace, skb, DropReason::QdiscDrop);
                Enqueue::Congested
            }
            // Nobody queues here; the caller asks `is_noqueue`, and `mq` is no queue's own qdisc.
            Discipline::Noqueue | Discipline::Mq(_) => self.drop_at(cx, id, skb),
            Discipline::Prio(_) | Discipline::Tbf(_) => self.enqueue_class(cx, id, skb, &info),
        }
    }

    /// `prio_enqueue` and `tbf_enqueue`: choose the child, and count what it does.
    fn enqueue_class(&mut self, cx: &mut QdiscCtx<'_>, id: QdiscId, skb: Skb, info: &PacketInfo) -> Enqueue {
        let (packet, priority) = (cx.skbs[&skb].packet, cx.skbs[&skb].priority);
        let qdisc = self.get(id);
        let child = match &qdisc.discipline {
            Discipline::Prio(prio) => {
                cx.trace.function(packet, "prio_enqueue");
                prio.children[prio.band(qdisc.handle, priority)]
            }
            Discipline::Tbf(tbf) => {
                cx.trace.function(packet, "tbf_enqueue");
                if info.len > tbf.max_size {
                    if cx.skbs[&skb].gso_size > 0 && info.seg_len <= tbf.max_size {
                        cx.trace.function(packet, "tbf_segment");
                        return Enqueue::Segment(skb);
                    }
                    return self.drop_at(cx, id, skb);
                }
                tbf.child
            }
            _ => return self.drop_at(cx, id, skb),
        };
        let done = self.enqueue_at(cx, child, skb);
        let stats = &mut self.get_mut(id).stats;
        match done {
            Enqueue::Queued => stats.inserted(info.len),
            Enqueue::Dropped | Enqueue::Congested => stats.drops += 1,
            Enqueue::Segment(_) => {}
        }
        done
    }

    /// `qdisc_dequeue_peeked`: what was put back or looked at goes first.
    fn dequeue_peeked(&mut self, cx: &mut QdiscCtx<'_>, id: QdiscId) -> Option<Skb> {
        let qdisc = self.get_mut(id);
        let Some(skb) = qdisc.gso_skb.pop_front(cx.skbs) else {
            return self.dequeue_at(cx, id);
        };
        qdisc.stats.removed(PacketInfo::of(cx.skbs, &skb).len);
        Some(skb)
    }

    fn dequeue_at(&mut self, cx: &mut QdiscCtx<'_>, id: QdiscId) -> Option<Skb> {
        let qdisc = self.arena[id].as_mut().expect("a qdisc that is referred to exists");
        let skb = match &mut qdisc.discipline {
            Discipline::PfifoFast(bands) => {
                let skb = bands.dequeue(cx)?;
                cx.trace.function(cx.skbs[&skb].packet, "pfifo_fast_dequeue");
                skb
            }
            Discipline::Fifo(fifo) => {
                let skb = fifo.queue.pop_front(cx.skbs)?;
                cx.trace.function(cx.skbs[&skb].packet, "qdisc_dequeue_head");
                skb
            }
            Discipline::Noop | Discipline::Noqueue | Discipline::Mq(_) => return None,
            Discipline::Prio(_) => self.dequeue_prio(cx, id)?,
            Discipline::Tbf(_) => self.dequeue_tbf(cx, id)?,
        };
        let info = PacketInfo::of(cx.skbs, &skb);
        let stats = &mut self.get_mut(id).stats;
        stats.removed(info.len);
        stats.sent(info.len, info.segs);
        Some(skb)
    }

    fn dequeue_prio(&mut self, cx: &mut QdiscCtx<'_>, id: QdiscId) -> Option<Skb> {
        let mut band = 0;
        loop {
            let Discipline::Prio(prio) = &self.get(id).discipline else { return None };
            let child = *prio.children.get(band)?;
            band += 1;
            if let Some((_, packet)) = self.peek_at(cx, child) {
                cx.trace.function(packet, "prio_dequeue");
                return self.dequeue_peeked(cx, child);
            }
        }
    }

    fn dequeue_tbf(&mut self, cx: &mut QdiscCtx<'_>, id: QdiscId) -> Option<Skb> {
        let Discipline::Tbf(tbf) = &self.get(id).discipline else { return None };
        let child = tbf.child;
        let (info, packet) = self.peek_at(cx, child)?;
        let qdisc = self.get_mut(id);
        let Discipline::Tbf(tbf) = &mut qdisc.discipline else { return None };
        if !tbf.take_tokens(cx.now, info.len) {
            qdisc.stats.overlimits += 1;
            return None;
        }
        cx.trace.function(packet, "tbf_dequeue");
        self.dequeue_peeked(cx, child)
    }

    /// The next packet, which stays. A token bucket gives it out of itself, to lie in front (`qdisc_peek_dequeued`).
    fn peek_at(&mut self, cx: &mut QdiscCtx<'_>, id: QdiscId) -> Option<(PacketInfo, PacketId)> {
        if self.get(id).gso_skb.is_empty() {
            match &self.get(id).discipline {
                Discipline::Prio(prio) => {
                    let mut bands = prio.children.clone().into_iter();
                    return bands.find_map(|child| self.peek_at(cx, child));
                }
                Discipline::Tbf(_) => {
                    let skb = self.dequeue_at(cx, id)?;
                    let len = PacketInfo::of(cx.skbs, &skb).len;
                    let qdisc = self.get_mut(id);
                    qdisc.stats.inserted(len);
                    qdisc.gso_skb.push_back(cx.skbs, skb);
                }
                _ => {}
            }
        }
        let qdisc = self.get(id);
        let queue = match &qdisc.discipline {
            _ if !qdisc.gso_skb.is_empty() => &qdisc.gso_skb,
            Discipline::PfifoFast(bands) => bands.head()?,
            Discipline::Fifo(fifo) => &fifo.queue,
            _ => return None,
        };
        let slot = queue.first_slot()?;
        let skb = crate::skb::SkbPool::handle(slot);
        Some((PacketInfo::of(cx.skbs, &skb), cx.skbs[&skb].packet))
    }
}

impl super::Prio {
    /// `prio_classify` without filters: a class of this qdisc as the priority chooses its band, else the map does.
    fn band(&self, handle: u32, priority: u32) -> usize {
        let by_map = |priority: u32| usize::from(self.priomap[priority as usize % PRIORITIES]);
        if priority & 0xffff_0000 == handle && handle != 0 {
            let band = (priority & 0xffff).wrapping_sub(1) as usize;
            return if band < self.children.len() { band } else { by_map(0) };
        }
        by_map(if priority & 0xffff_0000 != 0 { 0 } else { priority })
    }
}
