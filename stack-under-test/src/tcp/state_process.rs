//! Segments in the states other than ESTABLISHED and LISTEN: `tcp_rcv_synsent_state_process` and `tcp_rcv_state_process`
//! (RFC 9293, section 3.10.7; Linux 6.12). Which state follows is in [`super::state`].

use super::ack::{Acked, FLAG_NO_CHALLENGE_ACK, FLAG_SLOWPATH};
use super::input::Incoming;
use super::seq::{after, before};
use super::sock::{Pending, TCP_INIT_CWND, TcpSock};
use super::state::{TcpEvent, TcpState, next};
use super::timer::Timer;
use super::transmit::TSTAMP_BYTES;
use crate::drop_reason::DropReason;
use crate::mib::Counter;
use crate::skb::Skb;
use crate::socket::epoll::Wake;
use crate::stack::Stack;
use crate::wire::tcp::{ACK, CWR, ECE, HEADER_BYTES, RST, SYN};

impl Stack {
    /// `tcp_set_state`.
    #[inline(always)]
    fn tcp_set_state(&mut self, tp: &mut TcpSock, state: TcpState) {
        let old = core::mem::replace(&mut tp.state, state);
        const COUNTED: u32 = 1 << TcpState::Established as u32 | 1 << TcpState::CloseWait as u32;
        let counted = |state: TcpState| COUNTED >> state as u32 & 1;
        if counted(state) != counted(old) {
            match counted(state) {
                0 => self.mib.dec(Counter::TcpCurrEstab),
                _ => self.mib.inc(Counter::TcpCurrEstab),
            }
        }
        if state == TcpState::Close {
            self.tcp_set_closed(tp, counted(old) != 0);
        }
    }

    /// `tcp_set_state(TCP_CLOSE)`.
    #[inline(never)]
    fn tcp_set_closed(&mut self, tp: &mut TcpSock, was_established: bool) {
        if was_established {
            self.mib.inc(Counter::TcpEstabResets);
        }
        self.tcp_unhash(tp);
        if !tp.port_locked {
            self.tcp_put_port(tp);
        }
    }

    /// Goes where the table says: nothing else changes the state of a socket (a child begins in SYN_RECV).
    #[inline(always)]
    pub(crate) fn tcp_event(&mut self, tp: &mut TcpSock, event: TcpEvent) {
        if let Some(to) = next(tp.state, event) {
            self.tcp_set_state(tp, to);
        }
    }

    /// `tcp_done`: the connection is over.
    #[inline(always)]
    pub(crate) fn tcp_done(&mut self, tp: &mut TcpSock) {
        if matches!(tp.state, TcpState::SynSent | TcpState::SynRecv) {
            self.mib.inc(Counter::TcpAttemptFails);
        }
        self.tcp_event(tp, TcpEvent::Abort);
        Self::tcp_clear_xmit_timer(tp);
        tp.timers.stop(Timer::Delack);
        tp.timers.stop(Timer::Keepalive);
        tp.timers.stop(Timer::CompressedAck);
        (tp.shutdown_read, tp.shutdown_write) = (true, true);
        if tp.dead {
            tp.destroy = true;
        } else {
            self.tcp_wake(tp, Wake::StateChange);
        }
    }

    /// `tcp_init_transfer`: the connection is established.
    #[inline(always)]
    pub(crate) fn tcp_init_transfer(&mut self, tp: &mut TcpSock) {
        if tp.srtt_us == 0 {
            let us = super::jiffies_to_usecs(super::rtt::TCP_TIMEOUT_FALLBACK) as u32;
            (tp.rttvar_us, tp.mdev_us, tp.mdev_max_us) = (us, us, us);
            tp.rto = super::rtt::TCP_TIMEOUT_FALLBACK;
        }
        // A SYN that was lost may have met congestion (RFC 5681, section 3.1).
        tp.snd_cwnd = if tp.total_retrans > 1 && tp.undo_marker != 0 { 1 } else { TCP_INIT_CWND };
        tp.snd_cwnd_stamp = self.jiffies;
        tp.init_buffer_space(self.tcp_mstamp(), self.jiffies, self.sysctl.tcp.wmem[2]);
    }

    /// `tcp_rcv_synsent_state_process`.
    pub(crate) fn tcp_rcv_synsent(&mut self, tp: &mut TcpSock, skb: Skb, seg: &Incoming) {
        self.trace.function(seg.packet, "tcp_rcv_synsent_state_process");
        tp.rx_opt.saw_tstamp = false;
        if let Some((val, ecr)) = seg.options.tstamp {
            tp.rx_opt.saw_tstamp = true;
            tp.rx_opt.rcv_tsval = val;
            tp.rx_opt.rcv_tsecr = if ecr == 0 { 0 } else { ecr.wrapping_sub(tp.tsoffset) };
        }
        if !seg.has(ACK) {
            if seg.has(RST) {
                return self.tcp_discard(skb, DropReason::TcpReset);
            }
            if seg.has(SYN) {
                self.tcp_simultaneous_open(tp, seg);
            }
            return self.tcp_discard(skb, DropReason::TcpFlags);
        }
        let ack_fits = after(seg.ack, tp.snd_una) && !after(seg.ack, tp.snd_nxt);
        let echo_fits = !tp.rx_opt.saw_tstamp
            || tp.rx_opt.rcv_tsecr == 0
            || (!before(tp.rx_opt.rcv_tsecr, tp.retrans_stamp)
                && !after(tp.rx_opt.rcv_tsecr, self.tcp_time_stamp()));
        if !ack_fits || !echo_fits {
            if !ack_fits && tp.retransmits == 0 {
                // A ghost of an older connection: ask again soon.
                self.tcp_reset_xmit_timer(tp, Pending::Retrans, 2);
            } else if !echo_fits {
                self.mib.inc(Counter::TcpExtPawsActive);
            }
            self.tcp_send_reset(seg);
            return self.tcp_discard(skb, DropReason::TcpInvalidAckSequence);
        }
        if seg.has(RST) {
            self.tcp_reset(tp, seg);
            return self.tcp_discard(skb, DropReason::TcpReset);
        }
        if !seg.has(SYN) {
            return self.tcp_discard(skb, DropReason::TcpFlags);
        }
        self.tcp_synsent_finish(tp, seg);
        self.skbs.consume(&mut self.trace, skb);
    }

    /// What the options of a peer's SYN settle, on a socket that sent one itself.
    fn tcp_take_syn_options(&mut self, tp: &mut TcpSock, seg: &Incoming) {
        let options = &seg.options;
        let sysctl = &self.sysctl.tcp;
        let user = u32::from(tp.rx_opt.user_mss);
        let mss = u32::from(options.mss.unwrap_or(536));
        tp.rx_opt.mss_clamp = if user != 0 && user < mss { user } else { mss };
        tp.rx_opt.sack_ok = options.sack_ok && sysctl.sack;
        tp.rx_opt.wscale_ok = options.wscale.is_some() && sysctl.window_scaling;
        if tp.rx_opt.wscale_ok {
            tp.rx_opt.snd_wscale = options.wscale.unwrap_or(0);
        } else {
            (tp.rx_opt.snd_wscale, tp.rx_opt.rcv_wscale) = (0, 0);
            tp.window_clamp = tp.window_clamp.min(0xffff);
        }
        tp.rx_opt.saw_tstamp &= sysctl.timestamps;
        tp.rx_opt.tstamp_ok = tp.rx_opt.saw_tstamp;
        tp.tcp_header_len = HEADER_BYTES as u32;
        if tp.rx_opt.tstamp_ok {
            tp.tcp_header_len += TSTAMP_BYTES;
            tp.advmss = tp.advmss.saturating_sub(TSTAMP_BYTES);
            self.tcp_store_ts_recent(tp);
        }
    }

    fn tcp_synsent_finish(&mut self, tp: &mut TcpSock, seg: &Incoming) {
        tp.ecn_ok &= seg.header.flags & (ECE | CWR) == ECE;
        tp.snd_wl1 = seg.seq();
        tp.rx_opt.snd_wscale = 0;
        let sack_ok = core::mem::replace(&mut tp.rx_opt.sack_ok, false);
        self.tcp_ack(tp, seg, FLAG_SLOWPATH | FLAG_NO_CHALLENGE_ACK);
        tp.rx_opt.sack_ok = sack_ok;
        tp.rcv_nxt = seg.seq().wrapping_add(1);
        tp.rcv_wup = tp.rcv_nxt;
        tp.irs = seg.seq();
        tp.snd_wnd = seg.header.window.into();
        self.tcp_take_syn_options(tp, seg);
        let pmtu = tp.pmtu_cookie;
        tp.max_window = tp.snd_wnd;
        tp.sync_mss(pmtu);
        tp.initialize_rcv_mss();
        tp.copied_seq = tp.rcv_nxt;
        // `tcp_finish_connect`.
        self.trace.function(seg.packet, "tcp_finish_connect");
        self.tcp_event(tp, TcpEvent::RcvSynAck);
        tp.pred_flags = None;
        if tp.rx_opt.snd_wscale == 0 {
            tp.fast_path_on();
        }
        tp.ack.lrcvtime = self.jiffies;
        self.tcp_init_transfer(tp);
        tp.lsndtime = self.jiffies;
        if tp.tunables.keepalive {
            let when = self.keepalive_time_when(tp);
            self.tcp_arm(tp, Timer::Keepalive, when);
        }
        self.tcp_wake(tp, Wake::StateChange);
        if !tp.wq.is_empty() || tp.tunables.defer_accept > 0 || tp.in_pingpong_mode() {
            // Data will follow soon, and carries the ACK.
            tp.ack.sched = true;
            Self::tcp_enter_quickack_mode(tp, super::input::TCP_MAX_QUICKACKS);
            tp.ack.timer = true;
            self.tcp_arm(tp, Timer::Delack, super::input::TCP_DELACK_MAX);
            self.tcp_push_pending(tp);
            return;
        }
        self.tcp_send_ack(tp);
    }

    /// Both sides sent a SYN (RFC 9293, figure 7).
    fn tcp_simultaneous_open(&mut self, tp: &mut TcpSock, seg: &Incoming) {
        self.tcp_event(tp, TcpEvent::RcvSyn);
        tp.rcv_nxt = seg.seq().wrapping_add(1);
        tp.copied_seq = tp.rcv_nxt;
        tp.rcv_wup = tp.rcv_nxt;
        tp.irs = seg.seq();
        tp.snd_wnd = seg.header.window.into();
        tp.snd_wl1 = seg.seq();
        tp.max_window = tp.snd_wnd;
        tp.ecn_ok &= seg.header.flags & (ECE | CWR) == ECE | CWR;
        self.tcp_take_syn_options(tp, seg);
        let pmtu = tp.pmtu_cookie;
        tp.sync_mss(pmtu);
        tp.initialize_rcv_mss();
        // `tcp_send_synack`: the SYN of ours goes again, with an ACK.
        if let Some(head) = tp.rtx.front_mut() {
            head.flags |= ACK;
            head.flags &= !(ECE | CWR);
            if tp.ecn_ok {
                head.flags |= ECE;
            }
            let segment = head.clone();
            let mss = tp.mss_cache;
            let _ = self.tcp_transmit_skb(tp, &segment, mss);
        }
    }

    /// SYN_RECV: the ACK of the handshake.
    #[inline(always)]
    fn tcp_synrecv_ack(&mut self, tp: &mut TcpSock, seg: &Incoming) {
        tp.delivered = tp.delivered.wrapping_add(1);
        if tp.rx_opt.tstamp_ok && tp.parent.is_some() {
            tp.advmss = tp.advmss.saturating_sub(TSTAMP_BYTES);
        }
        self.tcp_init_transfer(tp);
        tp.copied_seq = tp.rcv_nxt;
        self.tcp_event(tp, TcpEvent::RcvAckOfSyn);
        tp.snd_una = seg.ack;
        tp.snd_wnd = u32::from(seg.header.window) << tp.rx_opt.snd_wscale;
        tp.snd_wl1 = seg.seq();
        tp.max_window = tp.max_window.max(tp.snd_wnd);
        tp.update_pacing_rate();
        tp.lsndtime = self.jiffies;
        tp.initialize_rcv_mss();
        tp.fast_path_on();
        if tp.tunables.keepalive {
            let when = self.keepalive_time_when(tp);
            self.tcp_arm(tp, Timer::Keepalive, when);
        }
        self.tcp_wake(tp, Wake::StateChange);
        if tp.shutdown_write {
            self.tcp_event(tp, TcpEvent::Close);
            self.tcp_send_fin(tp);
        }
    }

    /// `tcp_rcv_state_process`.
    #[inline(always)]
    pub(crate) fn tcp_rcv_state_process(&mut self, tp: &mut TcpSock, skb: Skb, seg: &Incoming) {
        self.trace.function(seg.packet, "tcp_rcv_state_process");
        let Some(skb) = self.tcp_validate_incoming(tp, skb, seg) else { return };
        if !seg.has(ACK) {
            return self.tcp_discard(skb, DropReason::TcpFlags);
        }
        let acked = self.tcp_ack(tp, seg, FLAG_SLOWPATH | FLAG_NO_CHALLENGE_ACK);
        if acked != Acked::Valid {
            if tp.state == TcpState::SynRecv {
                self.tcp_send_reset(seg);
                return self.tcp_discard(skb, DropReason::TcpOldAck);
            }
            if acked != Acked::Old {
                self.tcp_send_challenge_ack(tp);
                return self.tcp_discard(skb, DropReason::TcpOldAck);
            }
        }
        match tp.state {
            TcpState::SynRecv => self.tcp_synrecv_ack(tp, seg),
            TcpState::FinWait1 if tp.snd_una == tp.write_seq => {
                let Some(skb) = self.tcp_finwait1_acked(tp, skb, seg) else { return };
                return self.tcp_segment_text(tp, skb, seg);
            }
            TcpState::Closing if tp.snd_una == tp.write_seq => {
                self.tcp_time_wait(tp, TcpState::TimeWait, 0);
                return self.skbs.consume(&mut self.trace, skb);
            }
            TcpState::LastAck if tp.snd_una == tp.write_seq => {
                self.tcp_done(tp);
                return self.skbs.consume(&mut self.trace, skb);
            }
            _ => {}
        }
        self.tcp_segment_text(tp, skb, seg);
    }

    /// FIN_WAIT1, and our FIN is acknowledged. `None` when the packet ended here.
    #[inline(always)]
    fn tcp_finwait1_acked(&mut self, tp: &mut TcpSock, skb: Skb, seg: &Incoming) -> Option<Skb> {
        self.tcp_event(tp, TcpEvent::RcvAckOfFin);
        tp.shutdown_write = true;
        if !tp.dead {
            self.tcp_wake(tp, Wake::StateChange);
            return Some(skb);
        }
        let new_data =
            seg.payload_len > 0 && after(seg.end_seq.wrapping_sub(u32::from(seg.fin())), tp.rcv_nxt);
        if tp.tunables.linger2 < 0 || new_data {
            self.mib.inc(Counter::TcpExtAbortOnData);
            self.tcp_send_reset(seg);
            self.tcp_done(tp);
            self.tcp_discard(skb, DropReason::TcpAbortOnData);
            return None;
        }
        let timeout = self.tcp_fin_time(tp);
        if timeout > super::timewait::TCP_TIMEWAIT_LEN {
            self.tcp_arm(tp, Timer::Keepalive, timeout - super::timewait::TCP_TIMEWAIT_LEN);
        } else if seg.fin() {
            self.tcp_arm(tp, Timer::Keepalive, timeout);
        } else {
            self.tcp_time_wait(tp, TcpState::FinWait2, timeout);
            self.skbs.consume(&mut self.trace, skb);
            return None;
        }
        Some(skb)
    }

    /// "Seventh, process the segment text", and what follows it.
    #[inline(always)]
    fn tcp_segment_text(&mut self, tp: &mut TcpSock, skb: Skb, seg: &Incoming) {
        self.tcp_urg(tp, &skb, seg);
        let closing = matches!(tp.state, TcpState::CloseWait | TcpState::Closing | TcpState::LastAck);
        let waiting = matches!(tp.state, TcpState::FinWait1 | TcpState::FinWait2);
        if closing && !before(seg.seq(), tp.rcv_nxt) {
            self.skbs.consume(&mut self.trace, skb);
        } else {
            let end = seg.end_seq.wrapping_sub(u32::from(seg.fin()));
            if (closing || waiting) && tp.shutdown_read && seg.end_seq != seg.seq() && after(end, tp.rcv_nxt)
            {
                // RFC 1122, section 4.2.2.13: nobody will read it, and the peer must know.
                self.mib.inc(Counter::TcpExtAbortOnData);
                self.tcp_send_reset(seg);
                self.tcp_reset(tp, seg);
                return self.tcp_discard(skb, DropReason::TcpAbortOnData);
            }
            self.tcp_data_queue(tp, skb, seg, false);
        }
        if tp.state != TcpState::Close {
            self.tcp_data_snd_check(tp);
            self.tcp_ack_snd_check(tp);
        }
    }
}
