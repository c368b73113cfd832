//! What a segment carries: data in order, behind or before what is expected, and the FIN (`tcp_data_queue`, `tcp_fin`, 6.12).

use super::coalesce::Received;
use super::input::Incoming;
use super::seq::{after, before};
use super::sock::TcpSock;
use super::state::{TcpEvent, TcpState};
use super::timer::Timer;
use crate::drop_reason::DropReason;
use crate::mib::Counter;
use crate::skb::Skb;
use crate::socket::epoll::Wake;
use crate::stack::Stack;
use crate::wire::tcp::PSH;

impl Stack {
    /// `tcp_data_queue`: takes the packet, whatever it carries. One that was predicted is not asked whether there is room.
    #[inline(always)]
    pub(crate) fn tcp_data_queue(&mut self, tp: &mut TcpSock, skb: Skb, seg: &Incoming, predicted: bool) {
        if seg.seq() == seg.end_seq {
            return self.skbs.consume(&mut self.trace, skb);
        }
        self.trace.function(seg.packet, "tcp_data_queue");
        Self::tcp_ecn_accept_cwr(tp, seg.header.flags, seg.payload_len > 0);
        // A SYN gets here in a simultaneous open only, and lies before the window then.
        let data_seq = seg.seq();
        let mut new = self.tcp_received(skb, data_seq, seg.end_seq, seg.fin());
        if data_seq == tp.rcv_nxt {
            if tp.receive_window() == 0 {
                self.mib.inc(Counter::TcpExtZeroWindowDrop);
                Self::tcp_out_of_window(tp);
                return self.tcp_discard(new.skb, DropReason::TcpZeroWindow);
            }
            return self.tcp_queue_in_order(tp, new, seg, predicted);
        }
        if !after(seg.end_seq, tp.rcv_nxt) {
            // All of it came before.
            self.mib.inc(Counter::TcpExtDelayedAckLost);
            let dsack = self.sysctl.tcp.dsack;
            tp.dsack_set(data_seq, seg.end_seq, dsack, &mut self.mib);
            Self::tcp_out_of_window(tp);
            return self.tcp_discard(new.skb, DropReason::TcpOldData);
        }
        if !before(data_seq, tp.rcv_nxt.wrapping_add(tp.receive_window())) {
            Self::tcp_out_of_window(tp);
            return self.tcp_discard(new.skb, DropReason::TcpOverwindow);
        }
        if before(data_seq, tp.rcv_nxt) {
            // The front came before; the rest is new.
            let dsack = self.sysctl.tcp.dsack;
            tp.dsack_set(data_seq, tp.rcv_nxt, dsack, &mut self.mib);
            if tp.receive_window() == 0 {
                self.mib.inc(Counter::TcpExtZeroWindowDrop);
                Self::tcp_out_of_window(tp);
                return self.tcp_discard(new.skb, DropReason::TcpZeroWindow);
            }
            new.seq = tp.rcv_nxt;
            return self.tcp_queue_in_order(tp, new, seg, false);
        }
        self.tcp_data_queue_ofo(tp, new, seg);
    }

    /// What could not be taken is answered at once.
    fn tcp_out_of_window(tp: &mut TcpSock) {
        Self::tcp_enter_quickack_mode(tp, super::input::TCP_MAX_QUICKACKS);
        tp.ack.sched = true;
    }

    /// `queue_and_out`: what was expected next.
    #[inline(always)]
    fn tcp_queue_in_order(&mut self, tp: &mut TcpSock, new: Received, seg: &Incoming, predicted: bool) {
        if !predicted && !self.tcp_try_rmem_schedule(tp, new.seq, new.truesize) {
            (tp.ack.nomem, tp.ack.now, tp.ack.sched) = (true, true, true);
            self.tcp_data_ready(tp);
            // What is needed next is taken all the same when nothing else lies there.
            if !tp.receive_queue.is_empty() {
                self.mib.inc(Counter::TcpExtRcvqDrop);
                return self.tcp_discard(new.skb, DropReason::ProtoMem);
            }
        }
        let mut fin = new.fin;
        let truesize = new.truesize;
        tp.rcv_nxt = new.end_seq;
        // `tcp_rcv_nxt_update`: a FIN counts as one.
        tp.bytes_received += u64::from(new.end_seq.wrapping_sub(new.seq));
        self.tcp_queue_rcv(tp, new);
        if seg.payload_len > 0 {
            self.tcp_event_data_recv(tp, seg, truesize);
        }
        if fin {
            self.tcp_fin(tp);
        }
        if !tp.out_of_order.is_empty() {
            fin = self.tcp_ofo_queue(tp);
            if fin {
                self.tcp_fin(tp);
            }
            // RFC 5681, section 4.2: a hole that was filled is acknowledged at once.
            if tp.out_of_order.is_empty() {
                tp.ack.now = true;
            }
        }
        if tp.num_sacks > 0 {
            tp.sack_remove();
        }
        tp.fast_path_check();
        if !tp.dead {
            self.tcp_data_ready(tp);
        }
    }

    /// `tcp_data_ready`: who waits for data is told, once there is as much as SO_RCVLOWAT asks for.
    #[inline(always)]
    pub(crate) fn tcp_data_ready(&mut self, tp: &mut TcpSock) {
        if tp.is_readable(false) || tp.done {
            self.tcp_wake(tp, Wake::DataReady);
        }
    }

    /// `tcp_event_data_recv`: adapts the delay of acknowledgements to how data comes.
    #[inline(always)]
    fn tcp_event_data_recv(&mut self, tp: &mut TcpSock, seg: &Incoming, truesize: u32) {
        tp.ack.sched = true;
        self.tcp_measure_rcv_mss(tp, seg, truesize);
        self.tcp_rcv_rtt_measure(tp);
        let now = self.jiffies;
        let min = super::input::TCP_ATO_MIN;
        if tp.ack.ato == 0 {
            tp.incr_quickack(super::input::TCP_MAX_QUICKACKS);
            tp.ack.ato = min;
        } else {
            let m = now.saturating_sub(tp.ack.lrcvtime);
            if m <= min / 2 {
                tp.ack.ato = (tp.ack.ato >> 1) + min / 2;
            } else if m < tp.ack.ato {
                tp.ack.ato = ((tp.ack.ato >> 1) + m).min(tp.rto);
            } else if m > tp.rto {
                tp.incr_quickack(super::input::TCP_MAX_QUICKACKS);
            }
        }
        tp.ack.lrcvtime = now;
        self.tcp_ecn_check_ce(tp, seg.ecn);
        if seg.payload_len >= 128 {
            tp.grow_window(seg.payload_len, truesize, self.sysctl.tcp.rmem[2]);
        }
    }

    /// `tcp_measure_rcv_mss`: how large the peer's segments are.
    #[inline(always)]
    fn tcp_measure_rcv_mss(&mut self, tp: &mut TcpSock, seg: &Incoming, truesize: u32) {
        let lss = core::mem::take(&mut tp.ack.last_seg_size);
        let mut len = if seg.gso_size > 0 { seg.gso_size } else { seg.payload_len };
        if len >= tp.ack.rcv_mss {
            if len != tp.ack.rcv_mss {
                tp.update_scaling_ratio(seg.payload_len, truesize);
            }
            tp.ack.rcv_mss = len.min(tp.advmss);
            if seg.header.flags & PSH != 0 {
                tp.ack.pushed = true;
            }
            return;
        }
        len += u32::from(seg.header.header_len);
        let remnant = seg.header.flags & (PSH | crate::wire::tcp::FIN | crate::wire::tcp::SYN) != 0;
        if len >= super::sock::TCP_MSS_DEFAULT + 20 || (len >= 88 + 20 && !remnant) {
            len = len.saturating_sub(tp.tcp_header_len);
            tp.ack.last_seg_size = len;
            if len == lss {
                tp.ack.rcv_mss = len;
                return;
            }
        }
        if tp.ack.pushed {
            tp.ack.pushed2 = true;
        }
        tp.ack.pushed = true;
    }

    /// `tcp_fin`: the peer is done.
    #[inline(always)]
    pub(crate) fn tcp_fin(&mut self, tp: &mut TcpSock) {
        self.trace.function(0, "tcp_fin");
        tp.ack.sched = true;
        tp.shutdown_read = true;
        tp.done = true;
        let from = tp.state;
        self.tcp_event(tp, TcpEvent::RcvFin);
        match from {
            // The application may still answer; until then acknowledgements wait.
            TcpState::SynRecv | TcpState::Established => tp.ack.pingpong = 1,
            TcpState::FinWait1 => self.tcp_send_ack(tp),
            TcpState::FinWait2 => {
                self.tcp_send_ack(tp);
                self.tcp_purge_ofo(tp);
                return self.tcp_time_wait(tp, TcpState::TimeWait, 0);
            }
            _ => {}
        }
        self.tcp_purge_ofo(tp);
        tp.timers.stop(Timer::CompressedAck);
        if !tp.dead {
            self.tcp_wake(tp, Wake::StateChange);
        }
    }
}
