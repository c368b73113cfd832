//! The queue of what came out of order (`tcp_data_queue_ofo`, `tcp_ofo_queue`, Linux 6.12). What is there is kept in order of
//! its numbers and does not overlap; its memory counts against the receive buffer.

use super::coalesce::Received;
use super::input::Incoming;
use super::seq::{after, before};
use super::sock::TcpSock;
use crate::drop_reason::DropReason;
use crate::mib::Counter;
use crate::socket::epoll::Wake;
use crate::stack::Stack;

/// Packets that one connection may hold out of order, whatever their size.
const OFO_PACKETS_MAX: usize = 4096;

impl Stack {
    /// `tcp_data_queue_ofo`.
    pub(crate) fn tcp_data_queue_ofo(&mut self, tp: &mut TcpSock, mut new: Received, seg: &Incoming) {
        self.trace.function(seg.packet, "tcp_data_queue_ofo");
        self.tcp_ecn_check_ce(tp, seg.ecn);
        if !self.tcp_try_rmem_schedule(tp, new.seq, new.truesize) || tp.out_of_order.len() >= OFO_PACKETS_MAX
        {
            self.mib.inc(Counter::TcpExtOfoDrop);
            self.tcp_wake(tp, Wake::DataReady);
            return self.tcp_discard(new.skb, DropReason::ProtoMem);
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
        let (seq, end_seq) = (new.seq, new.end_seq);
        self.tcp_insert_ofo(tp, at, new, seg.payload_len);
        if tp.rx_opt.sack_ok {
            tp.sack_new_ofo(seq, end_seq);
        }
    }

    /// Puts a packet behind the payload of the one before it, or into the queue.
    fn tcp_insert_ofo(&mut self, tp: &mut TcpSock, at: usize, new: Received, payload_len: u32) {
        // Without SACK the window stays, so that the peer sees duplicates.
        let grows = tp.rx_opt.sack_ok && payload_len > 0;
        let (truesize, most) = (new.truesize, self.sysctl.tcp.rmem[2]);
        let new = match at.checked_sub(1).map(|at| &mut tp.out_of_order[at]) {
            Some(before_it) => match self.tcp_try_coalesce(before_it, new) {
                Ok(delta) => {
                    tp.rmem_alloc += delta;
                    if grows {
                        tp.grow_window(payload_len, truesize, most);
                    }
                    return;
                }
                Err(new) => new,
            },
            None => new,
        };
        if grows {
            tp.grow_window(payload_len, truesize, most);
        }
        tp.rmem_alloc += truesize;
        tp.out_of_order.insert(at, new);
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
            tp.bytes_received += u64::from(first.end_seq.wrapping_sub(first.seq));
            tp.rcv_nxt = first.end_seq;
            fin |= first.fin;
            // It is charged as what it becomes a part of.
            tp.rmem_alloc = tp.rmem_alloc.saturating_sub(first.truesize);
            self.tcp_queue_rcv(tp, first);
            if fin {
                break;
            }
        }
        fin
    }

    /// Drops all that came out of order.
    #[inline]
    pub(crate) fn tcp_purge_ofo(&mut self, tp: &mut TcpSock) {
        if !tp.out_of_order.is_empty() {
            self.tcp_drop_ofo(tp);
        }
        tp.num_sacks = 0;
    }

    #[inline(never)]
    fn tcp_drop_ofo(&mut self, tp: &mut TcpSock) {
        for part in core::mem::take(&mut tp.out_of_order) {
            tp.rmem_alloc = tp.rmem_alloc.saturating_sub(part.truesize);
            self.tcp_discard(part.skb, DropReason::QueuePurge);
        }
    }
}
