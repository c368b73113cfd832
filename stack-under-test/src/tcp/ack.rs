//! What an acknowledgement does to the sender: `tcp_ack` (RFC 9293, section 3.10.7.4; Linux 6.12).

use super::cong::{AckSample, CongestionControl};
use super::input::Incoming;
use super::recovery::Rexmit;
use super::sack::SackState;
use super::segment::{LOST, RETRANS, SACKED_ACKED, SACKED_RETRANS, TxSegment};
use super::seq::{after, before};
use super::sock::{CaState, NAGLE_OFF, Pending, TcpSock};
use super::state::TcpState;
use crate::mib::Counter;
use crate::socket::epoll::Wake;
use crate::stack::Stack;
use crate::wire::tcp::{ECE, SYN};

/// The segment carries data.
pub(crate) const FLAG_DATA: u32 = 0x01;
/// It changes the window.
pub(crate) const FLAG_WIN_UPDATE: u32 = 0x02;
/// It acknowledges new data.
pub(crate) const FLAG_DATA_ACKED: u32 = 0x04;
/// It acknowledges something that was sent again.
pub(crate) const FLAG_RETRANS_DATA_ACKED: u32 = 0x08;
/// It acknowledges our SYN.
pub(crate) const FLAG_SYN_ACKED: u32 = 0x10;
/// It acknowledges selectively.
pub(crate) const FLAG_DATA_SACKED: u32 = 0x20;
/// It tells of congestion.
pub(crate) const FLAG_ECE: u32 = 0x40;
/// The segment was not predicted.
pub(crate) const FLAG_SLOWPATH: u32 = 0x100;
/// One that is too old is not answered.
pub(crate) const FLAG_NO_CHALLENGE_ACK: u32 = 0x8000;
/// A retransmission was lost.
pub(crate) const FLAG_LOST_RETRANS: u32 = 0x80;
/// It acknowledges what was sent only once.
pub(crate) const FLAG_ORIG_SACK_ACKED: u32 = 0x200;
/// `snd_una` moves.
pub(crate) const FLAG_SND_UNA_ADVANCED: u32 = 0x400;
/// It tells of a duplicate.
pub(crate) const FLAG_DSACKING_ACK: u32 = 0x800;
/// The timer is to be set anew.
pub(crate) const FLAG_SET_XMIT_TIMER: u32 = 0x1000;
/// What had been acknowledged selectively was not kept.
pub(crate) const FLAG_SACK_RENEGING: u32 = 0x2000;
/// It acknowledges something.
pub(crate) const FLAG_ACKED: u32 = FLAG_DATA_ACKED | FLAG_SYN_ACKED;
/// It cannot be a duplicate.
pub(crate) const FLAG_NOT_DUP: u32 = FLAG_DATA | FLAG_WIN_UPDATE | FLAG_ACKED;
const FLAG_CA_ALERT: u32 = FLAG_DATA_SACKED | FLAG_ECE | FLAG_DSACKING_ACK;
const FLAG_FORWARD_PROGRESS: u32 = FLAG_ACKED | FLAG_DATA_SACKED;

/// What [`Stack::tcp_ack`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acked {
    /// It holds.
    Valid,
    /// It is old, and means nothing any more.
    Old,
    /// It is so old that it may be an attack; a challenge was sent where one is due (RFC 5961).
    TooOld,
    /// It acknowledges what was never sent.
    Unsent,
}

impl Stack {
    /// `tcp_ack`. `how`: `FLAG_SLOWPATH` unless the segment was predicted, `FLAG_NO_CHALLENGE_ACK` where one that is too
    /// old is not answered.
    pub(crate) fn tcp_ack(&mut self, tp: &mut TcpSock, seg: &Incoming, how: u32) -> Acked {
        let (prior_una, ack) = (tp.snd_una, seg.ack);
        let prior_delivered = tp.delivered;
        if before(ack, prior_una) {
            return self.tcp_old_ack(tp, seg, how);
        }
        if after(ack, tp.snd_nxt) {
            return Acked::Unsent;
        }
        self.trace.function(seg.packet, "tcp_ack");
        let mut flag = how;
        if after(ack, prior_una) {
            flag |= FLAG_SND_UNA_ADVANCED;
            tp.retransmits = 0;
        }
        let prior_fack = if tp.rx_opt.sack_ok { tp.highest_sack() } else { tp.snd_una };
        let (prior_packets, prior_lost) = (tp.packets_out, tp.lost);
        self.tcp_replace_ts_recent(tp, seg);
        let sack = self.tcp_ack_read(tp, seg, prior_una, &mut flag);
        tp.err_soft = None;
        tp.probes_out = 0;
        tp.rcv_tstamp = self.jiffies;
        if prior_packets == 0 {
            if flag & FLAG_DSACKING_ACK != 0 {
                self.tcp_fastretrans_alert(tp, prior_una, 0, &mut flag);
                self.tcp_newly_delivered(tp, prior_delivered, flag);
            }
            self.tcp_ack_probe(tp);
            if tp.tlp_high_seq != 0 {
                self.tcp_process_tlp_ack(tp, ack, flag);
            }
            return Acked::Valid;
        }
        self.tcp_clean_rtx_queue(tp, prior_fack, &sack, &mut flag);
        tp.rack_update_reo_wnd(prior_delivered);
        if tp.tlp_high_seq != 0 {
            self.tcp_process_tlp_ack(tp, ack, flag);
        }
        let mut rexmit = Rexmit::None;
        if flag & FLAG_NOT_DUP == 0 || flag & FLAG_CA_ALERT != 0 || tp.ca_state != CaState::Open {
            let dup = flag & (FLAG_SND_UNA_ADVANCED | FLAG_NOT_DUP | FLAG_DSACKING_ACK) == 0;
            rexmit = self.tcp_fastretrans_alert(tp, prior_una, u32::from(dup), &mut flag);
        }
        if flag & FLAG_SET_XMIT_TIMER != 0 && !self.tcp_schedule_loss_probe(tp, true) {
            self.tcp_rearm_rto(tp);
        }
        if flag & FLAG_FORWARD_PROGRESS != 0 || flag & FLAG_NOT_DUP == 0 {
            self.tcp_confirm_neighbour(tp);
        }
        let delivered = self.tcp_newly_delivered(tp, prior_delivered, flag);
        let lost = tp.lost.wrapping_sub(prior_lost);
        self.tcp_cong_control(tp, delivered, lost, flag);
        self.tcp_xmit_recovery(tp, rexmit);
        Acked::Valid
    }

    /// What the segment itself says: data, window, selective acknowledgements, congestion.
    fn tcp_ack_read(
        &mut self,
        tp: &mut TcpSock,
        seg: &Incoming,
        prior_una: u32,
        flag: &mut u32,
    ) -> SackState {
        let window_flag = self.tcp_ack_update_window(tp, seg);
        if *flag & (FLAG_SLOWPATH | FLAG_SND_UNA_ADVANCED) == FLAG_SND_UNA_ADVANCED {
            // Predicted: the window is as it was, and there is nothing but progress.
            self.mib.inc(Counter::TcpExtHpAcks);
            *flag |= FLAG_WIN_UPDATE;
            return SackState::default();
        }
        if seg.end_seq == seg.seq() {
            self.mib.inc(Counter::TcpExtPureAcks);
        } else {
            *flag |= FLAG_DATA;
        }
        *flag |= window_flag;
        let mut sack = SackState::default();
        if seg.options.num_sacks > 0 && tp.rx_opt.sack_ok {
            sack = self.tcp_sacktag_write_queue(tp, seg.ack, prior_una, seg.options.sacks());
            *flag |= sack.flag;
        }
        if tp.ecn_ok && seg.header.flags & (ECE | SYN) == ECE {
            *flag |= FLAG_ECE;
        }
        sack
    }

    /// `tcp_newly_delivered`: counts what an ACK has shown to be delivered.
    fn tcp_newly_delivered(&mut self, tp: &mut TcpSock, prior_delivered: u32, flag: u32) -> u32 {
        let delivered = tp.delivered.wrapping_sub(prior_delivered);
        self.mib.add(Counter::TcpExtDelivered, delivered as usize);
        if flag & FLAG_ECE != 0 {
            tp.delivered_ce = tp.delivered_ce.wrapping_add(delivered);
            self.mib.add(Counter::TcpExtDeliveredCe, delivered as usize);
        }
        delivered
    }

    fn tcp_old_ack(&mut self, tp: &mut TcpSock, seg: &Incoming, how: u32) -> Acked {
        // RFC 5961, section 5.2: nothing older than the largest window.
        let max_window = u64::from(tp.max_window).min(tp.bytes_acked) as u32;
        if before(seg.ack, tp.snd_una.wrapping_sub(max_window)) {
            if how & FLAG_NO_CHALLENGE_ACK == 0 {
                self.tcp_send_challenge_ack(tp);
            }
            return Acked::TooOld;
        }
        if seg.options.num_sacks > 0 && tp.rx_opt.sack_ok {
            let (una, prior_delivered) = (tp.snd_una, tp.delivered);
            let sack = self.tcp_sacktag_write_queue(tp, seg.ack, una, seg.options.sacks());
            let mut flag = sack.flag;
            let rexmit = self.tcp_fastretrans_alert(tp, una, 0, &mut flag);
            self.tcp_newly_delivered(tp, prior_delivered, flag);
            self.tcp_xmit_recovery(tp, rexmit);
        }
        Acked::Old
    }

    fn tcp_confirm_neighbour(&mut self, tp: &TcpSock) {
        if let Some((_, route)) = tp.cached_route {
            self.neigh_confirm(route.oif, route.nexthop());
        }
    }

    /// `tcp_ack_update_window`: the peer's window, if the segment is newer than the last that told it.
    #[inline(always)]
    fn tcp_ack_update_window(&mut self, tp: &mut TcpSock, seg: &Incoming) -> u32 {
        let mut window = u32::from(seg.header.window);
        if seg.header.flags & SYN == 0 {
            window <<= tp.rx_opt.snd_wscale;
        }
        let may = after(seg.ack, tp.snd_una)
            || after(seg.header.seq, tp.snd_wl1)
            || (seg.header.seq == tp.snd_wl1 && (window > tp.snd_wnd || window == 0));
        let mut flag = 0;
        if may {
            flag |= FLAG_WIN_UPDATE;
            tp.snd_wl1 = seg.header.seq;
            if tp.snd_wnd != window {
                tp.snd_wnd = window;
                tp.pred_flags = None;
                tp.fast_path_check();
                if !tp.wq.is_empty() {
                    self.tcp_slow_start_after_idle_check(tp);
                }
                if window > tp.max_window {
                    tp.max_window = window;
                    let pmtu = tp.pmtu_cookie;
                    tp.sync_mss(pmtu);
                }
            }
        }
        let delta = seg.ack.wrapping_sub(tp.snd_una);
        tp.bytes_acked += u64::from(delta);
        tp.snd_una = seg.ack;
        if let Some(up) = tp.snd_up
            && !after(up, seg.ack)
        {
            tp.snd_up = None;
        }
        flag
    }

    /// `tcp_clean_rtx_queue`: frees what is acknowledged, and measures the round trip.
    #[inline(always)]
    fn tcp_clean_rtx_queue(&mut self, tp: &mut TcpSock, prior_fack: u32, sack: &SackState, flag: &mut u32) {
        let (one, una) = (tp.rtx.len() == 1 && sack.first_sackt == 0, tp.snd_una);
        let whole = |only: &&TxSegment| only.sacked == 0 && only.mstamp != 0 && !after(only.end_seq, una);
        let Some(only) = tp.rtx.front().filter(|only| one && whole(only)) else {
            return self.tcp_clean_rtx_queue_any(tp, prior_fack, sack, flag);
        };
        // All that was under way is one packet that was sent once.
        let (end_seq, seq, mstamp, syn) = (only.end_seq, only.seq, only.mstamp, only.flags & SYN != 0);
        let (pcount, now_us) = (only.pcount.max(1), self.now.0 / 1000);
        tp.wmem_queued = tp.wmem_queued.saturating_sub(only.truesize());
        only.put_frags(&mut self.skbs);
        tp.rtx.pop_front();
        if !after(end_seq, tp.high_seq) {
            *flag |= FLAG_ORIG_SACK_ACKED;
        }
        if tp.rx_opt.sack_ok {
            tp.delivered = tp.delivered.wrapping_add(pcount);
            tp.rack_advance(0, end_seq, mstamp, now_us);
        }
        tp.packets_out = tp.packets_out.saturating_sub(pcount);
        if syn {
            tp.retrans_stamp = 0;
        }
        *flag |= if syn { FLAG_SYN_ACKED } else { FLAG_DATA_ACKED };
        let rtt = now_us.wrapping_sub(mstamp) as u32;
        self.tcp_take_rtt(tp, rtt, rtt);
        CongestionControl::pkts_acked(tp, rtt, now_us);
        self.tcp_acked_something(tp, flag, pcount, (super::seq::min(prior_fack, seq), prior_fack));
    }

    /// [`Self::tcp_clean_rtx_queue`] of any queue.
    #[inline(never)]
    fn tcp_clean_rtx_queue_any(
        &mut self,
        tp: &mut TcpSock,
        prior_fack: u32,
        sack: &SackState,
        flag: &mut u32,
    ) {
        let now_us = self.tcp_mstamp();
        let (mut first_ackt, mut last_ackt, mut pkts_acked) = (0, 0, 0);
        let mut reord = prior_fack;
        while let Some(segment) = tp.rtx.front() {
            let (sacked, pcount, end_seq, seq) =
                (segment.sacked, segment.pcount.max(1), segment.end_seq, segment.seq);
            let mut acked_pcount = pcount;
            let fully = !after(end_seq, tp.snd_una);
            if !fully {
                acked_pcount = self.tcp_tso_acked(tp);
                if acked_pcount == 0 {
                    break;
                }
            }
            let segment = &tp.rtx[0];
            let (mstamp, flags) = (segment.mstamp, segment.flags);
            if sacked & RETRANS != 0 {
                if sacked & SACKED_RETRANS != 0 {
                    tp.retrans_out = tp.retrans_out.saturating_sub(acked_pcount);
                }
                *flag |= FLAG_RETRANS_DATA_ACKED;
            } else if sacked & SACKED_ACKED == 0 {
                last_ackt = mstamp;
                if first_ackt == 0 {
                    first_ackt = mstamp;
                }
                reord = super::seq::min(reord, seq);
                if !after(end_seq, tp.high_seq) {
                    *flag |= FLAG_ORIG_SACK_ACKED;
                }
            }
            if sacked & SACKED_ACKED != 0 {
                tp.sacked_out = tp.sacked_out.saturating_sub(acked_pcount);
            } else if tp.rx_opt.sack_ok {
                tp.delivered = tp.delivered.wrapping_add(acked_pcount);
                tp.rack_advance(sacked, end_seq, mstamp, now_us);
            }
            if sacked & LOST != 0 {
                tp.lost_out = tp.lost_out.saturating_sub(acked_pcount);
            }
            tp.packets_out = tp.packets_out.saturating_sub(acked_pcount);
            pkts_acked += acked_pcount;
            *flag |= if flags & SYN == 0 { FLAG_DATA_ACKED } else { FLAG_SYN_ACKED };
            if flags & SYN != 0 {
                tp.retrans_stamp = 0;
            }
            if !fully {
                break;
            }
            if let Some(segment) = tp.rtx.front() {
                tp.wmem_queued = tp.wmem_queued.saturating_sub(segment.truesize());
                segment.put_frags(&mut self.skbs);
            }
            tp.rtx.pop_front();
        }
        if tp.rtx.front().is_some_and(|head| head.sacked & SACKED_ACKED != 0) {
            *flag |= FLAG_SACK_RENEGING;
        }
        self.tcp_measure_acked(tp, sack, flag, (first_ackt, last_ackt));
        if *flag & FLAG_ACKED != 0 {
            self.tcp_acked_something(tp, flag, pkts_acked, (reord, prior_fack));
        }
    }

    /// The end of [`Self::tcp_clean_rtx_queue`]: the round trips that the first and last of what was acknowledged took.
    fn tcp_measure_acked(
        &mut self,
        tp: &mut TcpSock,
        sack: &SackState,
        flag: &u32,
        (first_ackt, last_ackt): (u64, u64),
    ) {
        let now_us = self.tcp_mstamp();
        let acked = *flag & FLAG_ACKED != 0;
        if first_ackt != 0 && *flag & FLAG_RETRANS_DATA_ACKED == 0 && sack.first_sackt == 0 {
            // As nearly always: what was sent once was acknowledged.
            let (first, last) =
                (now_us.wrapping_sub(first_ackt) as u32, now_us.wrapping_sub(last_ackt) as u32);
            self.tcp_take_rtt(tp, first, last);
            return CongestionControl::pkts_acked(tp, last, now_us);
        }
        let since = |then: u64| (then != 0).then(|| now_us.saturating_sub(then) as u32);
        let clean = *flag & FLAG_RETRANS_DATA_ACKED == 0;
        let seq_rtt = if clean { since(first_ackt) } else { None };
        let mut ca_rtt = if clean { since(last_ackt) } else { None };
        let sack_rtt = since(sack.first_sackt);
        if sack.first_sackt != 0 {
            ca_rtt = since(sack.last_sackt);
        }
        self.tcp_ack_update_rtt(tp, acked, (seq_rtt, sack_rtt, ca_rtt));
        if let Some(rtt) = ca_rtt.or(seq_rtt) {
            CongestionControl::pkts_acked(tp, rtt, now_us);
        }
    }

    /// What follows from progress: the timer, and what it says of reordering.
    #[inline(always)]
    fn tcp_acked_something(
        &mut self,
        tp: &mut TcpSock,
        flag: &mut u32,
        pkts_acked: u32,
        (reord, prior_fack): (u32, u32),
    ) {
        *flag |= FLAG_SET_XMIT_TIMER;
        if !tp.rx_opt.sack_ok {
            tp.remove_reno_sacks(pkts_acked);
            if *flag & FLAG_RETRANS_DATA_ACKED != 0 {
                *flag &= !FLAG_ORIG_SACK_ACKED;
            }
        } else if before(reord, prior_fack) {
            tp.check_sack_reordering(reord, &mut self.mib);
        }
        tp.rack.reo_wnd_persist =
            tp.rack.reo_wnd_persist.saturating_sub(u8::from(tp.ca_state == CaState::Recovery));
        self.tcp_check_space(tp);
    }

    /// `tcp_tso_acked`: part of the first, large packet was acknowledged; gives in how many segments.
    fn tcp_tso_acked(&mut self, tp: &mut TcpSock) -> u32 {
        let head = &tp.rtx[0];
        let acked = tp.snd_una.wrapping_sub(head.seq);
        let before = head.pcount.max(1);
        if head.pcount <= 1 || !after(tp.snd_una, head.seq) {
            return 0;
        }
        let mss = tp.mss_cache;
        tp.rtx[0].trim_head(&mut self.skbs, acked, mss);
        tp.wmem_queued = tp.wmem_queued.saturating_sub(acked);
        let left = tp.rtx[0].pcount.max(1);
        before.saturating_sub(left)
    }

    /// `tcp_ack_probe`: a window that had been closed may be open again.
    fn tcp_ack_probe(&mut self, tp: &mut TcpSock) {
        let Some(head) = tp.wq.front() else { return };
        if !after(head.end_seq, tp.wnd_end()) {
            tp.backoff = 0;
            tp.probes_tstamp = 0;
            if tp.pending == Pending::Probe0 {
                Self::tcp_clear_xmit_timer(tp);
            }
        } else {
            let when = super::probe::probe0_when(tp);
            self.tcp_reset_xmit_timer(tp, Pending::Probe0, when);
        }
    }

    /// `tcp_cong_control`.
    fn tcp_cong_control(&mut self, tp: &mut TcpSock, acked_sacked: u32, lost: u32, flag: u32) {
        if tp.in_cwnd_reduction() {
            tp.cwnd_reduction(acked_sacked, lost, flag);
        } else {
            let may = if tp.reordering > self.sysctl.tcp.reordering {
                flag & FLAG_FORWARD_PROGRESS != 0
            } else {
                flag & FLAG_DATA_ACKED != 0
            };
            if may {
                let sample =
                    AckSample { acked: acked_sacked, jiffies: self.jiffies, mstamp: self.tcp_mstamp() };
                self.trace.function(0, tp.cong.cong_avoid_name());
                CongestionControl::cong_avoid(tp, sample);
                tp.snd_cwnd_stamp = self.jiffies;
            }
        }
        tp.update_pacing_rate();
    }

    /// `tcp_xmit_recovery`.
    #[inline(always)]
    fn tcp_xmit_recovery(&mut self, tp: &mut TcpSock, rexmit: Rexmit) {
        if rexmit == Rexmit::None || tp.state == TcpState::SynSent {
            return;
        }
        if rexmit == Rexmit::New {
            let mss = self.tcp_current_mss(tp);
            self.tcp_push_pending_frames(tp, mss, NAGLE_OFF);
            if after(tp.snd_nxt, tp.high_seq) {
                return;
            }
            tp.frto = false;
        }
        self.tcp_xmit_retransmit_queue(tp);
    }

    /// `tcp_check_space`, `tcp_new_space`: the buffer grows with the window, and who waits for room is told.
    #[inline]
    pub(crate) fn tcp_check_space(&mut self, tp: &mut TcpSock) {
        self.trace.function(0, "tcp_check_space");
        if tp.nospace {
            self.tcp_new_space(tp);
        }
    }

    #[inline(never)]
    fn tcp_new_space(&mut self, tp: &mut TcpSock) {
        if !tp.tunables.sndbuf_locked && tp.packets_in_flight() < tp.snd_cwnd {
            tp.sndbuf_expand(self.sysctl.tcp.wmem[2]);
            tp.snd_cwnd_stamp = self.jiffies;
        }
        self.tcp_write_space(tp);
    }

    /// `sk_stream_write_space`: who waits for room is told when there is enough.
    pub(crate) fn tcp_write_space(&mut self, tp: &mut TcpSock) {
        if tp.nospace && tp.is_writeable(self.sysctl.tcp.notsent_lowat) {
            tp.nospace = false;
            self.tcp_wake(tp, Wake::WriteSpace);
        }
    }
}
