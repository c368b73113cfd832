//! The queue of what came out of order (`tcp_data_queue_ofo`, `tcp_ofo_queue`, Linux 6.12). What is there is kept in order of
//! its numbers and does not overlap; its memory counts against the receive buffer.

use super::input::Incoming;
use super::seq::{after, before};
use super::sock::TcpSock;
use crate::drop_reason::DropReason;
use crate::mib::{Counter, Mib};
use crate::skb::{MAX_SKB_FRAGS, Skb};
use crate::stack::Stack;

/// Packets that one connection may hold out of order, whatever their size.
const OFO_PACKETS_MAX: usize = 4096;

/// A packet with payload, out of order or waiting for the application.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) skb: Skb,
    pub(crate) seq: u32,
    /// The number behind the last byte, FIN included.
    pub(crate) end_seq: u32,
    pub(crate) fin: bool,
    /// The number of the first byte of the packet's data: less than `seq` when the front was known already.
    pub(crate) data_seq: u32,
    pub(crate) truesize: u32,
    /// How many packets before it, one behind another, Linux would have it in one with.
    pub(crate) joined: u8,
}

impl Received {
    /// `tcp_try_coalesce`: whether Linux would put this packet behind the payload of the one before it, in one skb. Here each
    /// stays by itself; the count is Linux's.
    pub(crate) fn try_coalesce(&mut self, tail: Option<&Self>, mib: &mut Mib) {
        if let Some(tail) = tail
            && tail.end_seq == self.data_seq
            && usize::from(tail.joined) < MAX_SKB_FRAGS
        {
            self.joined = tail.joined + 1;
            mib.inc(Counter::TcpExtRcvCoalesce);
        }
    }

    /// The number behind the last byte of payload.
    pub(crate) fn payload_end(&self) -> u32 {
        self.end_seq.wrapping_sub(u32::from(self.fin))
    }
}

impl Stack {
    /// `tcp_data_queue_ofo`.
    pub(crate) fn tcp_data_queue_ofo(&mut self, tp: &mut TcpSock, mut new: Received, seg: &Incoming) {
        self.trace.function(seg.packet, "tcp_data_queue_ofo");
        self.tcp_ecn_check_ce(tp, &new.skb);
        if !self.tcp_rmem_room(tp, new.truesize) || tp.out_of_order.len() >= OFO_PACKETS_MAX {
            self.mib.inc(Counter::TcpExtOfoDrop);
            return self.tcp_discard(new.skb, DropReason::TcpOfoDrop);
        }
        tp.rcv_ooopack = tp.rcv_ooopack.wrapping_add(1);
        tp.ack.sched = true;
        tp.pred_flags = None;
        self.mib.inc(Counter::TcpExtOfoQueue);
        let dsack = self.sysctl.tcp.dsack;
        let base = tp.rcv_nxt;
        let offset = |seq: u32| seq.wrapping_sub(base);
        let mut at = tp.out_of_order.partition_point(|other| offset(other.seq) <= offset(new.seq));
        if let Some(before_it) = at.checked_sub(1).map(|at| &tp.out_of_order[at])
            && before(new.seq, before_it.end_seq)
        {
            if !after(new.end_seq, before_it.end_seq) {
                tp.dsack_set(new.seq, new.end_seq, dsack, &mut self.mib);
                self.mib.inc(Counter::TcpExtOfoMerge);
                return self.tcp_discard(new.skb, DropReason::TcpOfoMerge);
            }
            if new.seq == before_it.seq {
                // All of the old one is in the new one.
                tp.dsack_set(before_it.seq, before_it.end_seq, dsack, &mut self.mib);
                at -= 1;
            } else {
                let end = before_it.end_seq;
                tp.dsack_set(new.seq, end, dsack, &mut self.mib);
                new.seq = end;
            }
        }
        while let Some((next_seq, next_end)) = tp.out_of_order.get(at).map(|next| (next.seq, next.end_seq))
            && after(new.end_seq, next_seq)
        {
            if before(new.end_seq, next_end) {
                // Only the part before it is new.
                tp.dsack_set(next_seq, new.end_seq, dsack, &mut self.mib);
                new.end_seq = next_seq;
                new.fin = false;
                break;
            }
            tp.dsack_set(next_seq, next_end, dsack, &mut self.mib);
            let old = tp.out_of_order.remove(at);
            tp.rmem_alloc = tp.rmem_alloc.saturating_sub(old.truesize);
            self.mib.inc(Counter::TcpExtOfoMerge);
            self.tcp_discard(old.skb, DropReason::TcpOfoMerge);
        }
        new.try_coalesce(at.checked_sub(1).map(|at| &tp.out_of_order[at]), &mut self.mib);
        let (seq, end_seq, truesize) = (new.seq, new.end_seq, new.truesize);
        tp.rmem_alloc += truesize;
        if seg.payload_len > 0 {
            tp.grow_window(seg.payload_len, truesize);
        }
        tp.out_of_order.insert(at, new);
        if tp.rx_opt.sack_ok {
            tp.sack_new_ofo(seq, end_seq);
        }
    }

    /// `tcp_ofo_queue`: what follows what just came is in order now. Whether a FIN was among it.
    pub(crate) fn tcp_ofo_queue(&mut self, tp: &mut TcpSock) -> bool {
        let mut fin = false;
        let dsack = self.sysctl.tcp.dsack;
        while let Some(first) = tp.out_of_order.first()
            && !after(first.seq, tp.rcv_nxt)
        {
            if before(first.seq, tp.rcv_nxt) {
                let end = super::seq::min(first.end_seq, tp.rcv_nxt);
                tp.dsack_set(first.seq, end, dsack, &mut self.mib);
            }
            let mut first = tp.out_of_order.remove(0);
            if !after(first.end_seq, tp.rcv_nxt) {
                tp.rmem_alloc = tp.rmem_alloc.saturating_sub(first.truesize);
                self.tcp_discard(first.skb, DropReason::TcpOfoDrop);
                continue;
            }
            first.seq = tp.rcv_nxt;
            if first.joined == 0 {
                first.try_coalesce(tp.receive_queue.back(), &mut self.mib);
            }
            tp.bytes_received += u64::from(first.end_seq.wrapping_sub(first.seq));
            tp.rcv_nxt = first.end_seq;
            fin |= first.fin;
            if first.payload_end() == first.seq {
                tp.rmem_alloc = tp.rmem_alloc.saturating_sub(first.truesize);
                self.skbs.consume(&mut self.trace, first.skb);
            } else {
                tp.receive_queue.push_back(first);
            }
            if fin {
                break;
            }
        }
        fin
    }

    /// `tcp_try_rmem_schedule`: whether the buffer takes more; one that is over its limit is pruned first.
    pub(crate) fn tcp_rmem_room(&mut self, tp: &mut TcpSock, truesize: u32) -> bool {
        if tp.rmem_alloc <= tp.options.rcvbuf {
            return true;
        }
        self.mib.inc(Counter::TcpExtPruneCalled);
        // `tcp_prune_ofo_queue`: the furthest goes first; it will come again.
        while tp.rmem_alloc + truesize > tp.options.rcvbuf
            && let Some(last) = tp.out_of_order.pop()
        {
            tp.rmem_alloc = tp.rmem_alloc.saturating_sub(last.truesize);
            self.mib.inc(Counter::TcpExtOfoPruned);
            self.tcp_discard(last.skb, DropReason::TcpOfoQueuePrune);
            // The peer must not rely on what was told.
            tp.num_sacks = 0;
        }
        if tp.rmem_alloc <= tp.options.rcvbuf {
            return true;
        }
        self.mib.inc(Counter::TcpExtRcvPruned);
        false
    }

    /// Drops all that came out of order.
    pub(crate) fn tcp_purge_ofo(&mut self, tp: &mut TcpSock) {
        for part in core::mem::take(&mut tp.out_of_order) {
            tp.rmem_alloc = tp.rmem_alloc.saturating_sub(part.truesize);
            self.tcp_discard(part.skb, DropReason::QueuePurge);
        }
        tp.num_sacks = 0;
    }
}
