//! What is done about loss: the states of `tcp_fastretrans_alert`, proportional rate reduction (RFC 6937), and entering
//! loss after the timer (Linux 6.12). What is lost is found in [`super::rack`].

use super::ack::{
    FLAG_DATA_SACKED, FLAG_DSACKING_ACK, FLAG_ECE, FLAG_LOST_RETRANS, FLAG_NOT_DUP, FLAG_ORIG_SACK_ACKED,
    FLAG_SACK_RENEGING, FLAG_SET_XMIT_TIMER, FLAG_SND_UNA_ADVANCED,
};
use super::segment::{LOST, SACKED_ACKED, SACKED_RETRANS};
use super::seq::{after, before};
use super::sock::{CaState, Pending, TCP_INFINITE_SSTHRESH, TcpSock};
use super::usecs_to_jiffies;
use crate::mib::{Counter, Mib};
use crate::stack::Stack;

/// What an ACK lets be sent again: `REXMIT_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rexmit {
    #[default]
    None,
    Lost,
    New,
}

impl TcpSock {
    /// `tcp_mark_skb_lost`.
    pub(crate) fn mark_lost(&mut self, at: usize, mib: &mut Mib) {
        let (sacked, pcount) = (self.rtx[at].sacked, self.rtx[at].pcount.max(1));
        if sacked & SACKED_ACKED != 0 {
            return;
        }
        if sacked & LOST != 0 {
            if sacked & SACKED_RETRANS != 0 {
                // The retransmission is lost, too.
                mib.add(Counter::TcpExtLostRetransmit, pcount as usize);
                self.rtx[at].sacked &= !SACKED_RETRANS;
                self.retrans_out = self.retrans_out.saturating_sub(pcount);
                self.lost += pcount;
            }
        } else {
            self.lost_out += pcount;
            self.lost += pcount;
            self.rtx[at].sacked |= LOST;
            if sacked & SACKED_RETRANS != 0 {
                self.rtx[at].sacked &= !SACKED_RETRANS;
                self.retrans_out = self.retrans_out.saturating_sub(pcount);
            }
        }
    }

    /// `tcp_init_undo`.
    fn init_undo(&mut self) {
        self.undo_marker = self.snd_una;
        self.undo_retrans = if self.retrans_out == 0 { -1 } else { i64::from(self.retrans_out) };
    }

    /// `tcp_init_cwnd_reduction`.
    fn init_cwnd_reduction(&mut self) {
        self.high_seq = self.snd_nxt;
        self.tlp_high_seq = 0;
        self.snd_cwnd_cnt = 0;
        self.prior_cwnd = self.snd_cwnd;
        self.prr_delivered = 0;
        self.prr_out = 0;
        self.snd_ssthresh = self.cong.ssthresh(self.snd_cwnd);
        self.ecn_queue_cwr |= self.ecn_ok;
    }

    /// `tcp_cwnd_reduction`: proportional rate reduction (RFC 6937).
    pub(crate) fn cwnd_reduction(&mut self, newly_acked_sacked: u32, newly_lost: u32, flag: u32) {
        if newly_acked_sacked == 0 || self.prior_cwnd == 0 {
            return;
        }
        self.prr_delivered += newly_acked_sacked;
        let in_flight = self.packets_in_flight();
        let delta = i64::from(self.snd_ssthresh) - i64::from(in_flight);
        let mut sndcnt = if delta < 0 {
            let dividend =
                u64::from(self.snd_ssthresh) * u64::from(self.prr_delivered) + u64::from(self.prior_cwnd) - 1;
            (dividend / u64::from(self.prior_cwnd)) as i64 - i64::from(self.prr_out)
        } else {
            let mut count =
                (i64::from(self.prr_delivered) - i64::from(self.prr_out)).max(i64::from(newly_acked_sacked));
            if flag & FLAG_SND_UNA_ADVANCED != 0 && newly_lost == 0 {
                count += 1;
            }
            count.min(delta)
        };
        // The first retransmission goes in any case.
        sndcnt = sndcnt.max(i64::from(self.prr_out == 0));
        self.snd_cwnd = (i64::from(in_flight) + sndcnt).max(1) as u32;
    }

    /// `tcp_end_cwnd_reduction`.
    fn end_cwnd_reduction(&mut self, jiffies: u64) {
        if self.snd_ssthresh < TCP_INFINITE_SSTHRESH
            && (self.ca_state == CaState::Cwr || self.undo_marker != 0)
        {
            self.snd_cwnd = self.snd_ssthresh;
            self.snd_cwnd_stamp = jiffies;
        }
    }

    /// `tcp_add_reno_sack`: without SACK, a duplicate ACK says that one more segment arrived.
    fn add_reno_sack(&mut self, num_dupack: u32, ece: bool) {
        if num_dupack == 0 {
            return;
        }
        let prior = self.sacked_out;
        self.sacked_out += num_dupack;
        self.limit_reno_sacked();
        let delivered = self.sacked_out.saturating_sub(prior);
        self.delivered = self.delivered.wrapping_add(delivered);
        if ece {
            self.delivered_ce = self.delivered_ce.wrapping_add(delivered);
        }
    }

    /// `tcp_limit_reno_sacked`, `tcp_check_reno_reordering`.
    fn limit_reno_sacked(&mut self) {
        let holes = self.lost_out.max(1).min(self.packets_out);
        if self.sacked_out + holes > self.packets_out {
            self.sacked_out = self.packets_out - holes;
            self.reordering = self.packets_out.clamp(self.reordering, 300);
            self.reord_seen += 1;
        }
    }

    /// `tcp_remove_reno_sacks`: an ACK covers what duplicate ACKs counted.
    pub(crate) fn remove_reno_sacks(&mut self, acked: u32) {
        if acked > 0 {
            let new = acked.saturating_sub(self.sacked_out).max(1);
            self.delivered = self.delivered.wrapping_add(new);
            self.sacked_out = self.sacked_out.saturating_sub(acked - 1);
        }
        self.limit_reno_sacked();
    }
}

impl Stack {
    /// `tcp_set_ca_state`.
    pub(crate) fn tcp_set_ca_state(tp: &mut TcpSock, state: CaState) {
        tp.cong.set_state(state);
        tp.ca_state = state;
    }

    /// `tcp_enter_cwr`: the window is to be reduced, though nothing is lost.
    pub(crate) fn tcp_enter_cwr(&mut self, tp: &mut TcpSock) {
        tp.prior_ssthresh = 0;
        if tp.ca_state < CaState::Cwr {
            self.trace.function(0, "tcp_enter_cwr");
            tp.undo_marker = 0;
            tp.init_cwnd_reduction();
            Self::tcp_set_ca_state(tp, CaState::Cwr);
        }
    }

    /// `tcp_enter_recovery`: fast retransmit.
    pub(super) fn tcp_enter_recovery(&mut self, tp: &mut TcpSock, ece: bool) {
        self.trace.function(0, "tcp_enter_recovery");
        let counter =
            if tp.rx_opt.sack_ok { Counter::TcpExtSackRecovery } else { Counter::TcpExtRenoRecovery };
        self.mib.inc(counter);
        tp.prior_ssthresh = 0;
        tp.init_undo();
        if !tp.in_cwnd_reduction() {
            if !ece {
                tp.prior_ssthresh = tp.current_ssthresh();
            }
            tp.init_cwnd_reduction();
        }
        Self::tcp_set_ca_state(tp, CaState::Recovery);
    }

    /// `tcp_enter_loss`: after the timer, all is taken for lost.
    pub(crate) fn tcp_enter_loss(&mut self, tp: &mut TcpSock) {
        self.trace.function(0, "tcp_enter_loss");
        let new_recovery = tp.ca_state < CaState::Recovery;
        self.tcp_timeout_mark_lost(tp);
        if tp.ca_state <= CaState::Disorder
            || !after(tp.high_seq, tp.snd_una)
            || (tp.ca_state == CaState::Loss && tp.retransmits == 0)
        {
            tp.prior_ssthresh = tp.current_ssthresh();
            tp.prior_cwnd = tp.snd_cwnd;
            tp.snd_ssthresh = tp.cong.ssthresh(tp.snd_cwnd);
            tp.init_undo();
        }
        tp.snd_cwnd = tp.packets_in_flight() + 1;
        tp.snd_cwnd_cnt = 0;
        tp.snd_cwnd_stamp = self.jiffies;
        if tp.ca_state <= CaState::Disorder && tp.sacked_out >= self.sysctl.tcp.reordering {
            tp.reordering = tp.reordering.min(self.sysctl.tcp.reordering);
        }
        Self::tcp_set_ca_state(tp, CaState::Loss);
        tp.high_seq = tp.snd_nxt;
        tp.tlp_high_seq = 0;
        tp.ecn_queue_cwr |= tp.ecn_ok;
        tp.frto = self.sysctl.tcp.frto && (new_recovery || tp.retransmits > 0);
    }

    fn tcp_timeout_mark_lost(&mut self, tp: &mut TcpSock) {
        let reneged = tp.rtx.front().is_some_and(|head| head.sacked & SACKED_ACKED != 0);
        if reneged {
            self.mib.inc(Counter::TcpExtSackReneging);
            tp.is_sack_reneg = true;
            tp.sacked_out = 0;
        } else if !tp.rx_opt.sack_ok {
            tp.sacked_out = 0;
        }
        let now_us = self.tcp_mstamp();
        let reo_wnd = i64::from(tp.rack_reo_wnd());
        for at in 0..tp.rtx.len() {
            if reneged {
                tp.rtx[at].sacked &= !SACKED_ACKED;
            } else if tp.rx_opt.sack_ok && at != 0 {
                let age = now_us.saturating_sub(tp.rtx[at].mstamp) as i64;
                // What was sent just now is not lost yet.
                if i64::from(tp.rack.rtt_us) + reo_wnd - age > 0 {
                    continue;
                }
            }
            tp.mark_lost(at, &mut self.mib);
        }
    }

    /// `tcp_identify_packet_loss`.
    fn tcp_identify_packet_loss(&mut self, tp: &mut TcpSock, flag: &mut u32) {
        if tp.rtx.is_empty() {
            return;
        }
        if tp.rx_opt.sack_ok {
            let prior = tp.retrans_out;
            if self.tcp_rack_mark_lost(tp) {
                *flag &= !FLAG_SET_XMIT_TIMER;
            }
            if prior > tp.retrans_out {
                *flag |= FLAG_LOST_RETRANS;
            }
            return;
        }
        // `tcp_newreno_mark_lost`: the first packet, after three duplicate ACKs or a partial one.
        let advanced = *flag & FLAG_SND_UNA_ADVANCED != 0;
        if (tp.ca_state < CaState::Recovery && tp.sacked_out >= tp.reordering)
            || (tp.ca_state == CaState::Recovery && advanced)
        {
            if tp.rtx[0].sacked & LOST != 0 {
                return;
            }
            let mss = tp.mss_cache;
            if tp.rtx[0].pcount > 1 && tp.rtx[0].len > mss {
                self.tcp_fragment_rtx(tp, 0, mss, mss);
            }
            tp.mark_lost(0, &mut self.mib);
        }
    }

    /// `tcp_check_sack_reneging`: the peer dropped what it had acknowledged selectively; it gets a little time.
    fn tcp_check_sack_reneging(&mut self, tp: &mut TcpSock, flag: &mut u32) -> bool {
        if *flag & FLAG_SACK_RENEGING == 0 || *flag & FLAG_SND_UNA_ADVANCED == 0 {
            return false;
        }
        let delay = usecs_to_jiffies(u64::from(tp.srtt_us >> 4).max(10_000));
        self.tcp_reset_xmit_timer(tp, Pending::Retrans, delay);
        *flag &= !FLAG_SET_XMIT_TIMER;
        true
    }

    /// `tcp_try_to_open`.
    fn tcp_try_to_open(&mut self, tp: &mut TcpSock, flag: u32) {
        if !Self::tcp_any_retrans_done(tp) {
            tp.retrans_stamp = 0;
        }
        if flag & FLAG_ECE != 0 {
            self.tcp_enter_cwr(tp);
        }
        if tp.ca_state != CaState::Cwr {
            self.tcp_try_keep_open(tp);
        }
    }

    /// `tcp_try_keep_open`.
    pub(crate) fn tcp_try_keep_open(&mut self, tp: &mut TcpSock) {
        let state = if tp.left_out() > 0 || Self::tcp_any_retrans_done(tp) {
            CaState::Disorder
        } else {
            CaState::Open
        };
        if tp.ca_state != state {
            Self::tcp_set_ca_state(tp, state);
            tp.high_seq = tp.snd_nxt;
        }
    }

    /// `tcp_any_retrans_done`.
    pub(crate) fn tcp_any_retrans_done(tp: &TcpSock) -> bool {
        tp.retrans_out > 0
            || tp.rtx.front().is_some_and(|head| head.sacked & super::segment::EVER_RETRANS != 0)
    }

    /// `tcp_fastretrans_alert`: an ACK that is not plain progress.
    pub(crate) fn tcp_fastretrans_alert(
        &mut self,
        tp: &mut TcpSock,
        prior_snd_una: u32,
        num_dupack: u32,
        flag: &mut u32,
    ) -> Rexmit {
        self.trace.function(0, "tcp_fastretrans_alert");
        let ece = *flag & FLAG_ECE != 0;
        if tp.packets_out == 0 {
            tp.sacked_out = 0;
        }
        if ece {
            tp.prior_ssthresh = 0;
        }
        if self.tcp_check_sack_reneging(tp, flag) {
            return Rexmit::None;
        }
        if tp.ca_state == CaState::Open {
            tp.retrans_stamp = 0;
        } else if !before(tp.snd_una, tp.high_seq) && self.tcp_end_of_recovery(tp) {
            return Rexmit::None;
        }
        let sack = tp.rx_opt.sack_ok;
        match tp.ca_state {
            CaState::Recovery => {
                if *flag & FLAG_SND_UNA_ADVANCED == 0 {
                    if !sack {
                        tp.add_reno_sack(num_dupack, ece);
                    }
                } else if self.tcp_try_undo_partial(tp, prior_snd_una) {
                    return Rexmit::None;
                }
                if self.tcp_try_undo_dsack(tp) {
                    self.tcp_try_to_open(tp, *flag);
                }
                self.tcp_identify_packet_loss(tp, flag);
                if tp.ca_state != CaState::Recovery {
                    if tp.lost_out == 0 {
                        return Rexmit::None;
                    }
                    self.tcp_enter_recovery(tp, ece);
                }
                return Rexmit::Lost;
            }
            CaState::Loss => {
                let rexmit = self.tcp_process_loss(tp, *flag, num_dupack);
                self.tcp_identify_packet_loss(tp, flag);
                if tp.ca_state != CaState::Open && *flag & FLAG_LOST_RETRANS == 0 {
                    return rexmit;
                }
            }
            _ => {}
        }
        if !sack {
            if *flag & FLAG_SND_UNA_ADVANCED != 0 {
                tp.sacked_out = 0;
            }
            tp.add_reno_sack(num_dupack, ece);
        }
        if tp.ca_state <= CaState::Disorder {
            self.tcp_try_undo_dsack(tp);
        }
        self.tcp_identify_packet_loss(tp, flag);
        if tp.lost_out == 0 {
            self.tcp_try_to_open(tp, *flag);
            return Rexmit::None;
        }
        self.tcp_enter_recovery(tp, ece);
        Rexmit::Lost
    }

    /// All that was under way when trouble began is acknowledged. Whether nothing more is to be done.
    fn tcp_end_of_recovery(&mut self, tp: &mut TcpSock) -> bool {
        match tp.ca_state {
            CaState::Cwr if tp.snd_una != tp.high_seq => {
                tp.end_cwnd_reduction(self.jiffies);
                Self::tcp_set_ca_state(tp, CaState::Open);
            }
            CaState::Recovery => {
                if !tp.rx_opt.sack_ok {
                    tp.sacked_out = 0;
                }
                if self.tcp_try_undo_recovery(tp) {
                    return true;
                }
                tp.end_cwnd_reduction(self.jiffies);
            }
            _ => {}
        }
        false
    }

    /// `tcp_process_loss`, with F-RTO (RFC 5682).
    fn tcp_process_loss(&mut self, tp: &mut TcpSock, flag: u32, num_dupack: u32) -> Rexmit {
        let recovered = !before(tp.snd_una, tp.high_seq);
        let advanced = flag & FLAG_SND_UNA_ADVANCED != 0;
        if advanced && self.tcp_try_undo_loss(tp, false) {
            return Rexmit::None;
        }
        if tp.frto {
            if flag & FLAG_ORIG_SACK_ACKED != 0 && self.tcp_try_undo_loss(tp, true) {
                return Rexmit::None;
            }
            if after(tp.snd_nxt, tp.high_seq) {
                if flag & FLAG_DATA_SACKED != 0 || num_dupack > 0 {
                    tp.frto = false;
                }
            } else if advanced && !recovered {
                tp.high_seq = tp.snd_nxt;
                if !tp.wq.is_empty() && after(tp.wnd_end(), tp.snd_nxt) {
                    return Rexmit::New;
                }
                tp.frto = false;
            }
        }
        if recovered {
            self.tcp_try_undo_recovery(tp);
            return Rexmit::None;
        }
        if !tp.rx_opt.sack_ok {
            if after(tp.snd_nxt, tp.high_seq) && num_dupack > 0 {
                tp.add_reno_sack(num_dupack, flag & FLAG_ECE != 0);
            } else if advanced {
                tp.sacked_out = 0;
            }
        }
        Rexmit::Lost
    }

    /// `tcp_process_tlp_ack`: what an ACK says of a tail loss probe.
    pub(crate) fn tcp_process_tlp_ack(&mut self, tp: &mut TcpSock, ack: u32, flag: u32) {
        if before(ack, tp.tlp_high_seq) {
            return;
        }
        if !tp.tlp_retrans {
            // New data was the probe.
            tp.tlp_high_seq = 0;
        } else if flag & FLAG_DSACKING_ACK != 0 {
            // Both arrived: nothing was lost.
            tp.tlp_high_seq = 0;
        } else if after(ack, tp.tlp_high_seq) {
            // The probe repaired a loss, which counts as one.
            tp.init_cwnd_reduction();
            Self::tcp_set_ca_state(tp, CaState::Cwr);
            tp.end_cwnd_reduction(self.jiffies);
            self.tcp_try_keep_open(tp);
            self.mib.inc(Counter::TcpExtLossProbeRecovery);
        } else if flag & (FLAG_SND_UNA_ADVANCED | FLAG_NOT_DUP | FLAG_DATA_SACKED) == 0 {
            tp.tlp_high_seq = 0;
        }
    }
}
