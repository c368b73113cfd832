//! RACK: what was sent long before something that arrived is lost (RFC 8985; `tcp_recovery.c`, Linux 6.12).

use super::segment::{LOST, RETRANS, SACKED_ACKED, SACKED_RETRANS};
use super::seq::{after, before};
use super::sock::{CaState, Pending, TcpSock};
use super::usecs_to_jiffies;
use crate::mib::Mib;
use crate::stack::Stack;

impl TcpSock {
    /// `tcp_rack_reo_wnd`: in microseconds.
    pub(super) fn rack_reo_wnd(&self) -> u32 {
        if self.reord_seen == 0 && (self.ca_state >= CaState::Recovery || self.sacked_out >= self.reordering)
        {
            return 0;
        }
        let steps = u64::from(self.rack.reo_wnd_steps.max(1));
        (u64::from(self.least_rtt() >> 2) * steps).min(u64::from(self.srtt_us >> 3)) as u32
    }

    /// `tcp_rack_detect_loss`: marks what was sent so long before something that arrived that it must be lost. Gives the
    /// microseconds until more could be marked, or 0.
    fn rack_detect_loss(&mut self, now_us: u64, mib: &mut Mib) -> u64 {
        let reo_wnd = self.rack_reo_wnd();
        let (rack, mut timeout) = (self.rack, 0);
        for at in 0..self.rtx.len() {
            let segment = &self.rtx[at];
            if segment.sacked & LOST != 0 && segment.sacked & SACKED_RETRANS == 0 {
                continue;
            }
            if !sent_after(rack.mstamp, segment.mstamp, rack.end_seq, segment.end_seq) {
                if self.retrans_out == 0 {
                    break;
                }
                continue;
            }
            if segment.sacked & SACKED_ACKED != 0 {
                continue;
            }
            let age = now_us.saturating_sub(segment.mstamp) as i64;
            let left = i64::from(rack.rtt_us) + i64::from(reo_wnd) - age;
            if left <= 0 {
                self.mark_lost(at, mib);
            } else {
                timeout = timeout.max(left as u64);
            }
        }
        timeout
    }

    /// `tcp_rack_advance`: something that was sent at `xmit_time` arrived.
    pub(crate) fn rack_advance(&mut self, sacked: u8, end_seq: u32, xmit_time: u64, now_us: u64) {
        let rtt_us = now_us.saturating_sub(xmit_time) as u32;
        if rtt_us < self.least_rtt() && sacked & RETRANS != 0 {
            // What arrived may as well be the original.
            return;
        }
        self.rack.advanced = true;
        self.rack.rtt_us = rtt_us;
        if sent_after(xmit_time, self.rack.mstamp, end_seq, self.rack.end_seq) {
            self.rack.mstamp = xmit_time;
            self.rack.end_seq = end_seq;
        }
    }

    /// `tcp_rack_update_reo_wnd`: duplicates that the peer tells of widen the window for reordering.
    pub(crate) fn rack_update_reo_wnd(&mut self, prior_delivered: u32) {
        if before(prior_delivered, self.rack.last_delivered) {
            self.rack.dsack_seen = false;
        }
        if self.rack.dsack_seen {
            self.rack.reo_wnd_steps = self.rack.reo_wnd_steps.saturating_add(1);
            self.rack.dsack_seen = false;
            self.rack.last_delivered = self.delivered;
            self.rack.reo_wnd_persist = 16;
        } else if self.rack.reo_wnd_persist == 0 {
            self.rack.reo_wnd_steps = 1;
        }
    }
}

/// `tcp_skb_sent_after`.
fn sent_after(t1: u64, t2: u64, seq1: u32, seq2: u32) -> bool {
    t1 > t2 || (t1 == t2 && after(seq1, seq2))
}

impl Stack {
    /// `tcp_rack_mark_lost`.
    pub(super) fn tcp_rack_mark_lost(&mut self, tp: &mut TcpSock) -> bool {
        self.trace.function(0, "tcp_rack_mark_lost");
        if !core::mem::take(&mut tp.rack.advanced) {
            return false;
        }
        let timeout = tp.rack_detect_loss(self.tcp_mstamp(), &mut self.mib);
        if timeout == 0 {
            return false;
        }
        let ticks = usecs_to_jiffies(timeout + super::retransmit::TCP_TIMEOUT_MIN_US).min(tp.rto);
        self.tcp_reset_xmit_timer(tp, Pending::ReoTimeout, ticks);
        true
    }

    /// `tcp_rack_reo_timeout`.
    pub(crate) fn tcp_rack_reo_timeout(&mut self, tp: &mut TcpSock) {
        let (prior, lost) = (tp.packets_in_flight(), tp.lost);
        tp.rack_detect_loss(self.tcp_mstamp(), &mut self.mib);
        if prior != tp.packets_in_flight() {
            if tp.ca_state != CaState::Recovery {
                self.tcp_enter_recovery(tp, false);
                let lost = tp.lost.wrapping_sub(lost);
                tp.cwnd_reduction(1, lost, 0);
            }
            self.tcp_xmit_retransmit_queue(tp);
        }
        if tp.pending != Pending::Retrans {
            self.tcp_rearm_rto(tp);
        }
    }
}
