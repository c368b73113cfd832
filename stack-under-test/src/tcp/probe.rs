//! Probes of a window that the peer closed (RFC 9293, section 3.8.6.1; `tcp_probe_timer`, `tcp_send_probe0`, Linux 6.12).

use super::retransmit::TCP_RESOURCE_PROBE_INTERVAL;
use super::rtt::{TCP_RTO_MAX, TCP_RTO_MIN};
use super::seq::before;
use super::sock::{Pending, TcpSock};
use super::state::TcpState;
use crate::mib::Counter;
use crate::stack::Stack;
use crate::wire::tcp::{ACK, PSH};

impl Stack {
    /// `tcp_probe_timer`: the window is still closed.
    pub(crate) fn tcp_probe_timer(&mut self, tp: &mut TcpSock) {
        if tp.packets_out > 0 || tp.wq.is_empty() {
            tp.probes_out = 0;
            tp.probes_tstamp = 0;
            return;
        }
        self.trace.function(0, "tcp_probe_timer");
        let user_timeout = u64::from(tp.tunables.user_timeout) * 1_000_000;
        if tp.probes_tstamp == 0 {
            tp.probes_tstamp = self.now.0.max(1);
        } else if user_timeout != 0 && self.now.0 - tp.probes_tstamp >= user_timeout {
            return self.tcp_write_err(tp);
        }
        let mut most = self.sysctl.tcp.retries2;
        if tp.dead {
            let alive = probe0_when(tp) < TCP_RTO_MAX;
            most =
                if self.sysctl.tcp.orphan_retries == 0 && alive { 8 } else { self.sysctl.tcp.orphan_retries };
        }
        if tp.probes_out >= most {
            return self.tcp_write_err(tp);
        }
        self.tcp_send_probe0(tp);
    }

    /// `tcp_send_probe0`.
    pub(crate) fn tcp_send_probe0(&mut self, tp: &mut TcpSock) {
        self.trace.function(0, "tcp_send_probe0");
        let sent = self.tcp_write_wakeup(tp);
        if tp.packets_out > 0 || tp.wq.is_empty() {
            tp.probes_out = 0;
            tp.backoff = 0;
            tp.probes_tstamp = 0;
            return;
        }
        tp.probes_out = tp.probes_out.saturating_add(1);
        let when = if sent {
            if tp.backoff < self.sysctl.tcp.retries2 {
                tp.backoff += 1;
            }
            probe0_when(tp)
        } else {
            TCP_RESOURCE_PROBE_INTERVAL
        };
        let when = self.tcp_clamp_probe0_to_user_timeout(tp, when);
        self.tcp_reset_xmit_timer(tp, Pending::Probe0, when);
    }

    /// `tcp_write_wakeup`: data if some fits, else a segment that the peer must answer.
    pub(crate) fn tcp_write_wakeup(&mut self, tp: &mut TcpSock) -> bool {
        if tp.state == TcpState::Close {
            return false;
        }
        let open = tp.wq.front().is_some_and(|head| before(head.seq, tp.wnd_end()));
        if !open {
            self.mib.inc(Counter::TcpExtWinProbe);
            self.tcp_send_plain(tp, tp.snd_una.wrapping_sub(1), ACK);
            return true;
        }
        let mss = self.tcp_current_mss(tp);
        let head = &tp.wq[0];
        let end = head.end_seq;
        if before(tp.pushed_seq, end) {
            tp.pushed_seq = end;
        }
        let room = tp.wnd_end().wrapping_sub(tp.wq[0].seq).min(mss);
        if room < tp.wq[0].end_seq.wrapping_sub(tp.wq[0].seq) && tp.wq[0].len > room {
            tp.wq[0].flags |= PSH;
            let rest = tp.wq[0].split(&mut self.skbs, room, mss);
            tp.wq.insert(1, rest);
            self.tcp_wmem_add(tp, super::segment::SEGMENT_TRUESIZE);
        }
        tp.wq[0].flags |= PSH;
        tp.wq[0].set_segments(mss);
        let segment = tp.wq[0].clone();
        if self.tcp_transmit_skb(tp, &segment, mss).is_err() {
            return false;
        }
        if let Some(mut sent) = tp.wq.pop_front() {
            sent.mstamp = self.tcp_mstamp();
            tp.snd_nxt = sent.end_seq;
            tp.packets_out += sent.pcount;
            self.mib.add(Counter::TcpExtOrigDataSent, sent.pcount as usize);
            tp.rtx.push_back(sent);
            self.tcp_rearm_rto(tp);
        }
        true
    }
}

/// `tcp_probe0_when`: the timeout, doubled with each probe.
pub(crate) fn probe0_when(tp: &TcpSock) -> u64 {
    let shift = u32::from(tp.backoff).min(9);
    (tp.rto.max(TCP_RTO_MIN) << shift).min(TCP_RTO_MAX)
}
