//! A receive buffer that is over its limit: it grows where it may, queues are copied together, and what came out of order goes
//! (`tcp_try_rmem_schedule`, `tcp_prune_queue`, `tcp_collapse`, Linux 6.12).

use super::coalesce::Received;
use super::seq::{after, before};
use super::sock::TcpSock;
use super::window::win_from_space;
use crate::drop_reason::DropReason;
use crate::mib::Counter;
use crate::skb::pool::{SHARED_INFO_BYTES, truesize};
use crate::skb::{PAGE_BYTES, Skb};
use crate::stack::Stack;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// `SKB_MAX_ORDER(0, 0)`: the bytes that fit into a page beside the shared info.
const COLLAPSED_MAX: u32 = PAGE_BYTES as u32 - SHARED_INFO_BYTES;

impl Stack {
    /// `tcp_try_rmem_schedule`: whether the buffer takes a packet that begins at `seq`.
    #[inline(always)]
    pub(crate) fn tcp_try_rmem_schedule(&mut self, tp: &mut TcpSock, seq: u32, truesize: u32) -> bool {
        let room = tp.rmem_alloc <= tp.options.rcvbuf || self.tcp_prune_queue(tp, seq);
        if room {
            tp.rmem_schedule(truesize);
        }
        room
    }

    /// `tcp_prune_queue`. `false`: there is no room, whatever was done.
    fn tcp_prune_queue(&mut self, tp: &mut TcpSock, seq: u32) -> bool {
        self.trace.function(0, "tcp_prune_queue");
        self.mib.inc(Counter::TcpExtPruneCalled);
        self.tcp_clamp_window(tp);
        if tp.rmem_alloc <= tp.options.rcvbuf {
            return true;
        }
        self.tcp_collapse_ofo_queue(tp);
        if !tp.receive_queue.is_empty() {
            let (start, end) = (tp.copied_seq, tp.rcv_nxt);
            let queue = core::mem::take(&mut tp.receive_queue).into();
            tp.receive_queue = self.tcp_collapse(tp, queue, start, end).into();
        }
        if tp.rmem_alloc <= tp.options.rcvbuf {
            return true;
        }
        self.tcp_prune_ofo_queue(tp, seq);
        if tp.rmem_alloc <= tp.options.rcvbuf {
            return true;
        }
        self.mib.inc(Counter::TcpExtRcvPruned);
        tp.pred_flags = None;
        false
    }

    /// `tcp_clamp_window`: a buffer that nobody set grows to what is in it, while half of all memory is free; otherwise less is
    /// offered.
    fn tcp_clamp_window(&mut self, tp: &mut TcpSock) {
        tp.ack.quick = 0;
        let most = self.sysctl.tcp.rmem[2];
        if tp.options.rcvbuf < most && !tp.tunables.rcvbuf_locked && self.skbs.is_half_free() {
            tp.options.rcvbuf = tp.rmem_alloc.min(most);
        }
        if tp.rmem_alloc > tp.options.rcvbuf {
            tp.rcv_ssthresh = tp.window_clamp.min(2 * tp.advmss);
        }
    }

    /// `tcp_prune_ofo_queue`: the furthest go first, an eighth of the buffer at a time, but none before `seq`.
    fn tcp_prune_ofo_queue(&mut self, tp: &mut TcpSock, seq: u32) {
        self.trace.function(0, "tcp_prune_ofo_queue");
        let step = i64::from(tp.options.rcvbuf >> 3);
        let (mut goal, mut pruned) = (step, false);
        while let Some(last) = tp.out_of_order.pop_if(|last| !after(seq, last.seq)) {
            pruned = true;
            goal -= i64::from(last.truesize);
            tp.rmem_alloc = tp.rmem_alloc.saturating_sub(last.truesize);
            self.tcp_discard(last.skb, DropReason::TcpOfoQueuePrune);
            if goal <= 0 {
                if tp.rmem_alloc <= tp.options.rcvbuf {
                    break;
                }
                goal = step;
            }
        }
        if pruned {
            self.mib.inc(Counter::TcpExtOfoPruned);
            // The peer must not rely on what it was told.
            tp.num_sacks = 0;
            tp.duplicate_sack = None;
        }
    }

    /// `tcp_collapse_ofo_queue`: each run of packets without a gap is copied together, unless it is one small packet.
    fn tcp_collapse_ofo_queue(&mut self, tp: &mut TcpSock) {
        let mut rest = core::mem::take(&mut tp.out_of_order).into_iter().peekable();
        let (mut queue, mut tiny) = (Vec::new(), 0);
        while let Some(first) = rest.next() {
            let (start, mut end) = (first.seq, first.end_seq);
            let mut run = alloc::vec![first];
            while let Some(next) = rest.next_if(|next| next.seq == end) {
                end = next.end_seq;
                run.push(next);
            }
            if run.len() > 1 || end.wrapping_sub(start) >= COLLAPSED_MAX {
                queue.extend(self.tcp_collapse(tp, run, start, end));
                continue;
            }
            tiny += run[0].truesize;
            queue.append(&mut run);
            if tiny > tp.options.rcvbuf >> 3 {
                break;
            }
        }
        queue.extend(rest);
        tp.out_of_order = queue;
    }

    /// `tcp_collapse`: copies the payload from `start` to `end` into fewer packets, from the first on that wastes memory. A
    /// packet with a FIN stays as it is.
    fn tcp_collapse(
        &mut self,
        tp: &mut TcpSock,
        mut queue: Vec<Received>,
        start: u32,
        end: u32,
    ) -> Vec<Received> {
        let at = queue.iter().position(|part| {
            let len = self.skbs[&part.skb].len() as u32;
            !part.fin && (win_from_space(tp.scaling_ratio, part.truesize) > len || before(part.seq, start))
        });
        let Some(at) = at else { return queue };
        self.trace.function(0, "tcp_collapse");
        let mut rest: VecDeque<Received> = queue.split_off(at).into();
        let mut start = rest.front().map_or(end, |first| super::seq::max(first.seq, start));
        while before(start, end) {
            let most = COLLAPSED_MAX.min(end.wrapping_sub(start));
            let bytes = self.tcp_gather(&rest, start, most as usize);
            let Some(skb) = self.tcp_skb_of(&bytes) else { break };
            let next = start.wrapping_add(bytes.len() as u32);
            let mut new = self.tcp_received(skb, start, next, false);
            new.truesize = truesize(most);
            tp.rmem_alloc += new.truesize;
            queue.push(new);
            start = next;
            while let Some(old) = rest.pop_front_if(|old| !after(old.end_seq, start)) {
                tp.rmem_alloc = tp.rmem_alloc.saturating_sub(old.truesize);
                self.mib.inc(Counter::TcpExtRcvCollapsed);
                self.skbs.consume(&mut self.trace, old.skb);
            }
        }
        queue.extend(rest);
        queue
    }

    /// Up to `most` bytes from `start` on, of packets without a gap and before one with a FIN.
    fn tcp_gather(&self, queue: &VecDeque<Received>, start: u32, most: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(most);
        for part in queue.iter().take_while(|part| !part.fin) {
            let (had, at) = (bytes.len(), start.wrapping_add(bytes.len() as u32));
            let left = part.payload_end().wrapping_sub(at) as usize;
            bytes.resize(had + left.min(most - had), 0);
            self.skbs.copy_out(&part.skb, at.wrapping_sub(part.data_seq) as usize, &mut bytes[had..]);
        }
        bytes
    }

    /// A packet of these bytes. `None` when there are none, or memory is out.
    fn tcp_skb_of(&mut self, bytes: &[u8]) -> Option<Skb> {
        if bytes.is_empty() {
            return None;
        }
        let skb = self.skbs.alloc()?;
        let (linear, rest) = bytes.split_at(bytes.len().min(self.skbs.tailroom(&skb)));
        self.skbs.copy_in(&skb, linear);
        if !rest.is_empty() && !self.skbs.copy_in_page(&skb, rest) {
            self.skbs.consume(&mut self.trace, skb);
            return None;
        }
        Some(skb)
    }
}

#[cfg(test)]
mod tests;
