//! Taking back a reduction that was not needed: the "lost" packet was only late (`tcp_try_undo_*`, Linux 6.12).

use super::segment::LOST;
use super::seq::before;
use super::sock::{CaState, TcpSock};
use crate::mib::Counter;
use crate::stack::Stack;

impl TcpSock {
    /// `tcp_packet_delayed`: the echo is older than the first retransmission, so the original arrived.
    fn packet_delayed(&self) -> bool {
        self.retrans_stamp != 0
            && self.rx_opt.saw_tstamp
            && self.rx_opt.rcv_tsecr != 0
            && before(self.rx_opt.rcv_tsecr, self.retrans_stamp)
    }

    /// `tcp_may_undo`.
    fn may_undo(&self) -> bool {
        self.undo_marker != 0 && (self.undo_retrans == 0 || self.packet_delayed())
    }

    /// `tcp_undo_cwnd_reduction`.
    fn undo_cwnd_reduction(&mut self, unmark_loss: bool, jiffies: u64) {
        if unmark_loss {
            for segment in &mut self.rtx {
                segment.sacked &= !LOST;
            }
            self.lost_out = 0;
        }
        if self.prior_ssthresh != 0 {
            self.snd_cwnd = self.snd_cwnd.max(self.prior_cwnd);
            if self.prior_ssthresh > self.snd_ssthresh {
                self.snd_ssthresh = self.prior_ssthresh;
                self.ecn_queue_cwr = false;
            }
        }
        self.snd_cwnd_stamp = jiffies;
        self.undo_marker = 0;
        self.rack.advanced = true;
    }
}

impl Stack {
    /// `tcp_try_undo_recovery`. Whether the state stays for now, as a Reno ACK may still be a duplicate.
    pub(crate) fn tcp_try_undo_recovery(&mut self, tp: &mut TcpSock) -> bool {
        self.trace.function(0, "tcp_try_undo_recovery");
        if tp.may_undo() {
            let counter =
                if tp.ca_state == CaState::Loss { Counter::TcpExtLossUndo } else { Counter::TcpExtFullUndo };
            tp.undo_cwnd_reduction(false, self.jiffies);
            self.mib.inc(counter);
        }
        if !tp.rx_opt.sack_ok && tp.snd_una == tp.high_seq {
            // RFC 6582: hold on until something behind is acknowledged, against a second fast retransmit.
            if !Self::tcp_any_retrans_done(tp) {
                tp.retrans_stamp = 0;
            }
            return true;
        }
        Self::tcp_set_ca_state(tp, CaState::Open);
        tp.is_sack_reneg = false;
        false
    }

    /// `tcp_try_undo_dsack`: each retransmission was told to be a duplicate.
    pub(crate) fn tcp_try_undo_dsack(&mut self, tp: &mut TcpSock) -> bool {
        if tp.undo_marker == 0 || tp.undo_retrans != 0 {
            return false;
        }
        tp.undo_cwnd_reduction(false, self.jiffies);
        self.mib.inc(Counter::TcpExtDsackUndo);
        true
    }

    /// `tcp_try_undo_loss`.
    pub(crate) fn tcp_try_undo_loss(&mut self, tp: &mut TcpSock, frto_undo: bool) -> bool {
        self.trace.function(0, "tcp_try_undo_loss");
        if !frto_undo && !tp.may_undo() {
            return false;
        }
        tp.undo_cwnd_reduction(true, self.jiffies);
        self.mib.inc(Counter::TcpExtLossUndo);
        if frto_undo {
            self.mib.inc(Counter::TcpExtSpuriousRtos);
        }
        tp.retransmits = 0;
        if !tp.rx_opt.sack_ok && tp.snd_una == tp.high_seq {
            return true;
        }
        if frto_undo || tp.rx_opt.sack_ok {
            Self::tcp_set_ca_state(tp, CaState::Open);
            tp.is_sack_reneg = false;
        }
        true
    }

    /// `tcp_try_undo_partial`: an ACK in recovery shows that the original arrived. Whether to wait for more.
    pub(crate) fn tcp_try_undo_partial(&mut self, tp: &mut TcpSock, prior_snd_una: u32) -> bool {
        if tp.undo_marker == 0 || !tp.packet_delayed() {
            return false;
        }
        tp.check_sack_reordering(prior_snd_una, &mut self.mib);
        if tp.retrans_out > 0 {
            return true;
        }
        if !Self::tcp_any_retrans_done(tp) {
            tp.retrans_stamp = 0;
        }
        tp.undo_cwnd_reduction(true, self.jiffies);
        self.mib.inc(Counter::TcpExtPartialUndo);
        self.tcp_try_keep_open(tp);
        false
    }
}
