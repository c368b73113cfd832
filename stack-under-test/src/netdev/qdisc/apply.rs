//! tc's commands on the tree, with the kernel's errors; what a change of the device does to it.

use super::pfifo_fast::PfifoFast;
use super::tbf::Tbf;
use super::{
    Discipline, DropReason, Fifo, Prio, Qdisc, QdiscCtx, QdiscDevice, QdiscId, Qdiscs, SkbQueue, TC_H_ROOT,
};
use crate::control::Refusal;
use crate::control::tc::{QdiscCommand, QdiscParams, QdiscVerb};
use crate::errno::Errno;
use alloc::vec::Vec;

/// How deep the tree may be: the kernel follows at most this many levels when it looks for loops.
const MAX_DEPTH: usize = 8;

fn refused<T>(errno: Errno, message: &str) -> Result<T, Refusal> {
    Err(Refusal::new(errno, message))
}

const MISMATCH: &str = "Invalid qdisc name: must match existing qdisc.";

impl Qdiscs {
    /// Does a `tc qdisc` command.
    ///
    /// # Errors
    /// As the kernel has them: ENOENT for a parent or a qdisc that is not there, EEXIST for `add` where one is, EINVAL for
    /// parameters that contradict each other, EOPNOTSUPP for what this kind cannot do.
    pub fn apply(&mut self, cx: &mut QdiscCtx<'_>, command: &QdiscCommand) -> Result<(), Refusal> {
        match &command.params {
            Some(params) if command.verb != QdiscVerb::Del => self.modify(cx, command, params),
            params => self.delete(cx, command, params.as_ref()),
        }
    }

    /// `tc_get_qdisc` for RTM_DELQDISC.
    fn delete(
        &mut self,
        cx: &mut QdiscCtx<'_>,
        command: &QdiscCommand,
        params: Option<&QdiscParams>,
    ) -> Result<(), Refusal> {
        let id = if command.parent == TC_H_ROOT {
            self.root
        } else {
            let Some(parent) = self.lookup(command.parent) else {
                return refused(Errno::ENOENT, "Failed to find qdisc with specified classid.");
            };
            self.leaf(parent, command.parent)?
        };
        let qdisc = self.get(id);
        if command.handle != 0 && command.handle != qdisc.handle {
            return refused(Errno::EINVAL, "Invalid handle.");
        }
        if params.is_some_and(|params| params.kind() != qdisc.kind()) {
            return refused(Errno::EINVAL, MISMATCH);
        }
        if qdisc.handle == 0 {
            return refused(Errno::ENOENT, "Cannot delete qdisc with handle of zero.");
        }
        if command.parent == TC_H_ROOT {
            self.destroy(cx, id);
            self.attach_default();
            return Ok(());
        }
        // What a class has when nobody gives it a qdisc: `prio` makes a pfifo, the others drop everything.
        let in_prio = self
            .lookup(command.parent)
            .is_some_and(|p| matches!(self.get(p).discipline, Discipline::Prio(_)));
        let discipline = if in_prio { self.default_fifo() } else { Discipline::Noop };
        let heir = self.insert(Qdisc::new(0, command.parent, discipline));
        self.graft(cx, id, heir);
        Ok(())
    }

    /// `tc_modify_qdisc`.
    fn modify(
        &mut self,
        cx: &mut QdiscCtx<'_>,
        command: &QdiscCommand,
        params: &QdiscParams,
    ) -> Result<(), Refusal> {
        let at = if command.parent == TC_H_ROOT {
            self.root
        } else {
            let Some(parent) = self.lookup(command.parent) else {
                return refused(Errno::ENOENT, "Failed to find specified qdisc.");
            };
            self.leaf(parent, command.parent)?
        };
        // A default qdisc, with handle 0, counts as none.
        let there = Some(self.get(at)).filter(|qdisc| qdisc.handle != 0);
        let same_kind = there.is_some_and(|qdisc| qdisc.kind() == params.kind());
        let by_handle = command.handle != 0;
        match there {
            Some(qdisc) if !by_handle || qdisc.handle == command.handle => {
                if !by_handle && !same_kind {
                    // "A hole in the API": with another kind every verb makes a new one.
                } else if command.verb == QdiscVerb::Add {
                    return refused(Errno::EEXIST, "Exclusivity flag on, cannot modify.");
                } else if !same_kind {
                    return refused(Errno::EINVAL, MISMATCH);
                } else {
                    return self.change(cx, at, params);
                }
            }
            Some(_) if command.verb != QdiscVerb::Replace => {
                return refused(Errno::EEXIST, "NLM_F_REPLACE needed to override.");
            }
            _ if by_handle && self.lookup(command.handle).is_some() => {
                return refused(Errno::EINVAL, "Cannot move an existing qdisc to a different parent.");
            }
            None if command.verb == QdiscVerb::Change => {
                return refused(Errno::ENOENT, "Qdisc not found. To create specify NLM_F_CREATE flag.");
            }
            _ => {}
        }
        self.create(cx, command, params, at)
    }

    /// `qdisc_create` and `qdisc_graft`.
    fn create(
        &mut self,
        cx: &mut QdiscCtx<'_>,
        command: &QdiscCommand,
        params: &QdiscParams,
        at: QdiscId,
    ) -> Result<(), Refusal> {
        self.validate(params, command.parent)?;
        if self.depth(at) > MAX_DEPTH {
            return refused(Errno::ELOOP, "Qdisc parent/child loop detected");
        }
        let handle = if command.handle == 0 { self.next_handle() } else { command.handle };
        let id = self.insert(Qdisc::new(handle, command.parent, Discipline::Noop));
        let discipline = self.discipline(cx, handle, params);
        self.get_mut(id).discipline = discipline;
        self.graft(cx, at, id);
        Ok(())
    }

    fn validate(&self, params: &QdiscParams, parent: u32) -> Result<(), Refusal> {
        match params {
            QdiscParams::Prio { bands, priomap } => {
                let in_range =
                    (2..=16).contains(bands) && priomap.iter().all(|&band| u32::from(band) < *bands);
                if in_range { Ok(()) } else { refused(Errno::EINVAL, "Invalid argument") }
            }
            QdiscParams::Tbf(tbf) => match tbf.peak {
                Some((peak, _)) if peak <= tbf.rate => refused(Errno::EINVAL, "Invalid argument"),
                Some((_, 0)) => refused(Errno::EINVAL, "Invalid argument"),
                _ => Ok(()),
            },
            QdiscParams::Mq if parent != TC_H_ROOT => refused(Errno::EOPNOTSUPP, "Operation not supported"),
            QdiscParams::PfifoFast if self.device.tx_queue_len == 0 => {
                refused(Errno::EINVAL, "Invalid argument")
            }
            _ => Ok(()),
        }
    }

    fn discipline(&mut self, cx: &QdiscCtx<'_>, handle: u32, params: &QdiscParams) -> Discipline {
        let device = self.device;
        let fifo = |limit, in_bytes| Discipline::Fifo(Fifo { queue: SkbQueue::default(), limit, in_bytes });
        match params {
            QdiscParams::PfifoFast => Discipline::PfifoFast(PfifoFast::new(device.tx_queue_len)),
            QdiscParams::Pfifo { limit } => fifo(limit.unwrap_or(device.tx_queue_len), false),
            QdiscParams::Bfifo { limit } => {
                fifo(limit.unwrap_or(device.tx_queue_len.saturating_mul(device.full_frame())), true)
            }
            QdiscParams::Prio { bands, priomap } => {
                let children = (1..=*bands).map(|minor| self.default_child(handle | minor)).collect();
                Discipline::Prio(Prio { priomap: *priomap, children })
            }
            QdiscParams::Tbf(tbf) => {
                let inner = if tbf.limit > 0 { fifo(tbf.limit, true) } else { Discipline::Noop };
                let child = self.insert(Qdisc::new(0, handle | 1, inner));
                Discipline::Tbf(Tbf::new(cx.now, *tbf, child))
            }
            QdiscParams::Mq => Discipline::Mq(self.queue_children(handle)),
            QdiscParams::Noqueue => Discipline::Noqueue,
        }
    }

    fn default_fifo(&self) -> Discipline {
        Discipline::Fifo(Fifo {
            queue: SkbQueue::default(),
            limit: self.device.tx_queue_len,
            in_bytes: false,
        })
    }

    fn default_child(&mut self, parent: u32) -> QdiscId {
        let fifo = self.default_fifo();
        self.insert(Qdisc::new(0, parent, fifo))
    }

    fn queue_children(&mut self, handle: u32) -> Vec<QdiscId> {
        let queues = self.device.num_tx_queues as u32;
        (1..=queues)
            .map(|minor| {
                let bands = Discipline::PfifoFast(PfifoFast::new(self.device.tx_queue_len));
                self.insert(Qdisc::new(0, handle | minor, bands))
            })
            .collect()
    }

    /// `qdisc_change`: new parameters; what lies in it stays, as far as there is a place for it.
    fn change(&mut self, cx: &mut QdiscCtx<'_>, id: QdiscId, params: &QdiscParams) -> Result<(), Refusal> {
        self.validate(params, self.get(id).parent)?;
        match params {
            QdiscParams::Pfifo { limit: Some(new) } | QdiscParams::Bfifo { limit: Some(new) } => {
                if let Discipline::Fifo(fifo) = &mut self.get_mut(id).discipline {
                    fifo.limit = *new;
                }
            }
            QdiscParams::Prio { bands, priomap } => self.change_prio(cx, id, *bands as usize, priomap),
            QdiscParams::Tbf(new) => {
                let Discipline::Tbf(tbf) = &mut self.get_mut(id).discipline else { return Ok(()) };
                tbf.change(*new);
                let child = tbf.child;
                let parent = self.get(id).handle | 1;
                match &mut self.get_mut(child).discipline {
                    Discipline::Fifo(fifo) => fifo.limit = new.limit,
                    Discipline::Noop if new.limit > 0 => {
                        let queue = SkbQueue::default();
                        let fifo = Discipline::Fifo(Fifo { queue, limit: new.limit, in_bytes: true });
                        let heir = self.insert(Qdisc::new(0, parent, fifo));
                        self.graft(cx, child, heir);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `prio_tune`.
    fn change_prio(&mut self, cx: &mut QdiscCtx<'_>, id: QdiscId, bands: usize, map: &[u8; 16]) {
        let handle = self.get(id).handle;
        let mut children = self.get(id).children();
        while children.len() < bands {
            children.push(self.default_child(handle | (children.len() as u32 + 1)));
        }
        let surplus = children.split_off(bands);
        for &child in &surplus {
            self.reduce_backlog(child);
        }
        surplus.into_iter().for_each(|child| self.destroy(cx, child));
        self.get_mut(id).discipline = Discipline::Prio(Prio { priomap: *map, children });
    }

    /// Puts `new` where `old` hangs; `old` is emptied, which counts as drops above it, and is gone.
    fn graft(&mut self, cx: &mut QdiscCtx<'_>, old: QdiscId, new: QdiscId) {
        if old == self.root {
            self.root = new;
        } else {
            self.reduce_backlog(old);
            for qdisc in self.arena.iter_mut().flatten() {
                match &mut qdisc.discipline {
                    Discipline::Tbf(tbf) if tbf.child == old => tbf.child = new,
                    Discipline::Prio(Prio { children, .. }) | Discipline::Mq(children) => {
                        children.iter_mut().filter(|child| **child == old).for_each(|child| *child = new);
                    }
                    _ => {}
                }
            }
        }
        self.destroy(cx, old);
        self.assign_queues();
    }

    /// `qdisc_tree_reduce_backlog`: what lies in `id` is lost to all above it.
    fn reduce_backlog(&mut self, id: QdiscId) {
        let lost = self.get(id).stats;
        let mut at = self.parent_of(id);
        while let Some(above) = at {
            let stats = &mut self.get_mut(above).stats;
            stats.qlen = stats.qlen.saturating_sub(lost.qlen);
            stats.backlog = stats.backlog.saturating_sub(lost.backlog);
            if !matches!(self.get(above).discipline, Discipline::Mq(_)) {
                self.get_mut(above).stats.drops += u64::from(lost.qlen);
            }
            at = self.parent_of(above);
        }
    }

    fn destroy(&mut self, cx: &mut QdiscCtx<'_>, id: QdiscId) {
        self.reset_at(cx, id);
        if let Some(qdisc) = self.arena[id].take() {
            qdisc.children().into_iter().for_each(|child| self.destroy(cx, child));
        }
    }

    fn reset_at(&mut self, cx: &mut QdiscCtx<'_>, id: QdiscId) {
        let now = cx.now;
        let qdisc = self.get_mut(id);
        cx.skbs.purge(cx.trace, &mut qdisc.gso_skb, DropReason::QueuePurge);
        match &mut qdisc.discipline {
            Discipline::PfifoFast(bands) => bands.purge(cx),
            Discipline::Fifo(fifo) => cx.skbs.purge(cx.trace, &mut fifo.queue, DropReason::QueuePurge),
            Discipline::Tbf(tbf) => tbf.reset(now),
            _ => {}
        }
        qdisc.stats.qlen = 0;
        qdisc.stats.backlog = 0;
    }

    /// `dev_deactivate`: the device goes down, and everything that waits is dropped. Counters stay.
    pub fn reset(&mut self, cx: &mut QdiscCtx<'_>) {
        for id in 0..self.arena.len() {
            if self.arena[id].is_some() {
                self.reset_at(cx, id);
            }
        }
    }

    /// The device has another number of transmit queues in use (`netif_set_real_num_tx_queues`): what lies in a default qdisc is lost,
    /// as the driver makes its queues anew, and what lies in that of a queue that goes (`qdisc_reset_all_tx_gt`). Each qdisc stays,
    /// and so do its counters; the default of a device that had one queue is below `mq` from now on.
    pub fn set_tx_queues(&mut self, cx: &mut QdiscCtx<'_>, tx_queues: usize) {
        self.device.tx_queues = tx_queues.clamp(1, self.device.num_tx_queues);
        let is_default = self.get(self.root).handle == 0;
        if is_default {
            self.reset(cx);
        }
        if self.device.tx_queues > 1 && !self.had_several {
            self.had_several = true;
            if is_default && self.device.tx_queue_len != 0 {
                self.put_below_mq();
            }
        }
        if matches!(self.get(self.root).discipline, Discipline::Mq(_)) {
            for queue in self.device.tx_queues..self.queues.len() {
                self.reset_at(cx, self.queues[queue]);
            }
        }
    }

    /// The default `pfifo_fast` becomes that of the first queue.
    fn put_below_mq(&mut self) {
        let first = self.root;
        let mut children = self.queue_children(0);
        self.arena[children[0]] = None;
        children[0] = first;
        self.get_mut(first).parent = 1;
        self.root = self.insert(Qdisc::new(0, TC_H_ROOT, Discipline::Mq(children)));
        self.assign_queues();
    }

    /// `dev_qdisc_change_tx_queue_len`: the `pfifo_fast` of each transmit queue becomes as long; others keep their limits.
    pub fn set_tx_queue_len(&mut self, cx: &mut QdiscCtx<'_>, tx_queue_len: u32) {
        self.device.tx_queue_len = tx_queue_len;
        for queue in 0..self.queues.len() {
            let qdisc = self.of_queue_mut(queue);
            if let Discipline::PfifoFast(bands) = &mut qdisc.discipline {
                let (packets, bytes) = bands.resize(cx, tx_queue_len);
                qdisc.stats.qlen -= packets;
                qdisc.stats.backlog = qdisc.stats.backlog.saturating_sub(bytes);
            }
        }
    }

    /// The device has another MTU: later defaults of `bfifo` follow it.
    pub fn set_mtu(&mut self, mtu: u32) {
        self.device.mtu = mtu;
    }

    pub(super) fn attach_default(&mut self) {
        self.arena.clear();
        let QdiscDevice { tx_queue_len, .. } = self.device;
        let discipline = match self.had_several {
            _ if tx_queue_len == 0 => Discipline::Noqueue,
            false => Discipline::PfifoFast(PfifoFast::new(tx_queue_len)),
            true => Discipline::Mq(self.queue_children(0)),
        };
        self.root = self.insert(Qdisc::new(0, TC_H_ROOT, discipline));
        self.assign_queues();
    }

    fn assign_queues(&mut self) {
        let count = self.device.num_tx_queues;
        self.queues = match &self.get(self.root).discipline {
            Discipline::Mq(children) => children.clone(),
            _ => alloc::vec![self.root; count],
        };
    }

    fn insert(&mut self, qdisc: Qdisc) -> QdiscId {
        let free = self.arena.iter().position(Option::is_none);
        let id = free.unwrap_or(self.arena.len());
        if free.is_some() {
            self.arena[id] = Some(qdisc);
        } else {
            self.arena.push(Some(qdisc));
        }
        id
    }

    fn next_handle(&mut self) -> u32 {
        loop {
            self.last_handle =
                if self.last_handle >= 0xfffe_0000 { 0x8001_0000 } else { self.last_handle + 0x1_0000 };
            if self.lookup(self.last_handle).is_none() {
                return self.last_handle;
            }
        }
    }

    /// The qdisc with the major number of `handle`.
    fn lookup(&self, handle: u32) -> Option<QdiscId> {
        let major = handle & 0xffff_0000;
        let is = |slot: &Option<Qdisc>| slot.as_ref().is_some_and(|q| major != 0 && q.handle == major);
        self.arena.iter().position(is)
    }

    /// `qdisc_leaf`: what hangs at a class.
    fn leaf(&self, parent: QdiscId, class: u32) -> Result<QdiscId, Refusal> {
        let minor = (class & 0xffff) as usize;
        let child = match &self.get(parent).discipline {
            // Any class of a token bucket is its one class.
            Discipline::Tbf(tbf) => Some(tbf.child),
            Discipline::Prio(Prio { children, .. }) | Discipline::Mq(children) => {
                minor.checked_sub(1).and_then(|at| children.get(at).copied())
            }
            _ => return refused(Errno::EOPNOTSUPP, "Parent qdisc is not classful."),
        };
        child.map_or_else(|| refused(Errno::ENOENT, "Specified class not found."), Ok)
    }

    fn parent_of(&self, id: QdiscId) -> Option<QdiscId> {
        (0..self.arena.len()).find(|&at| self.arena[at].as_ref().is_some_and(|q| q.children().contains(&id)))
    }

    fn depth(&self, id: QdiscId) -> usize {
        core::iter::successors(Some(id), |&at| self.parent_of(at)).count()
    }
}
