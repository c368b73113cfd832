//! Whether the congestion window was used, and what a pause or an application that sends little takes from it
//! (`tcp_cwnd_validate`, `tcp_slow_start_after_idle_check`; Linux 6.12).

use super::seq::before;
use super::sock::{CaState, TcpSock};
use crate::stack::Stack;

impl TcpSock {
    /// `tcp_is_cwnd_limited`.
    pub(crate) fn limited_by_cwnd(&self) -> bool {
        self.is_cwnd_limited || (self.in_slow_start() && self.snd_cwnd < 2 * self.max_packets_out)
    }

    /// `tcp_current_ssthresh`.
    pub(crate) fn current_ssthresh(&self) -> u32 {
        if self.in_cwnd_reduction() {
            self.snd_ssthresh
        } else {
            self.snd_ssthresh.max((self.snd_cwnd >> 1) + (self.snd_cwnd >> 2))
        }
    }
}

impl Stack {
    /// `tcp_cwnd_validate` (RFC 7661, as Linux has it): notes whether the window was what held sending back.
    #[inline(always)]
    pub(crate) fn tcp_cwnd_validate(&mut self, tp: &mut TcpSock, is_cwnd_limited: bool) {
        if !before(tp.snd_una, tp.cwnd_usage_seq)
            || is_cwnd_limited
            || (!tp.is_cwnd_limited && tp.packets_out > tp.max_packets_out)
        {
            tp.is_cwnd_limited = is_cwnd_limited;
            tp.max_packets_out = tp.packets_out;
            tp.cwnd_usage_seq = tp.snd_nxt;
        }
        if tp.limited_by_cwnd() {
            tp.snd_cwnd_used = 0;
            tp.snd_cwnd_stamp = self.jiffies;
            return;
        }
        tp.snd_cwnd_used = tp.snd_cwnd_used.max(tp.packets_out);
        if self.sysctl.tcp.slow_start_after_idle && self.jiffies.saturating_sub(tp.snd_cwnd_stamp) >= tp.rto {
            self.tcp_cwnd_application_limited(tp);
        }
    }

    fn tcp_cwnd_application_limited(&mut self, tp: &mut TcpSock) {
        if tp.ca_state == CaState::Open && !tp.nospace {
            let used = tp.snd_cwnd_used.max(super::sock::TCP_INIT_CWND);
            if used < tp.snd_cwnd {
                tp.snd_ssthresh = tp.current_ssthresh();
                tp.snd_cwnd = (tp.snd_cwnd + used) >> 1;
            }
            tp.snd_cwnd_used = 0;
        }
        tp.snd_cwnd_stamp = self.jiffies;
    }

    /// `tcp_slow_start_after_idle_check`: a pause longer than the timeout takes the window back (RFC 5681, section 4.1).
    pub(crate) fn tcp_slow_start_after_idle_check(&mut self, tp: &mut TcpSock) {
        if !self.sysctl.tcp.slow_start_after_idle || tp.packets_out > 0 {
            return;
        }
        let idle = self.jiffies.saturating_sub(tp.lsndtime);
        if idle <= tp.rto {
            return;
        }
        let restart = super::sock::TCP_INIT_CWND.min(tp.snd_cwnd);
        tp.snd_ssthresh = tp.current_ssthresh();
        let (mut cwnd, mut left) = (tp.snd_cwnd, idle);
        while left > tp.rto && cwnd > restart {
            left -= tp.rto.max(1);
            cwnd >>= 1;
        }
        tp.snd_cwnd = cwnd.max(restart);
        tp.snd_cwnd_stamp = self.jiffies;
        tp.snd_cwnd_used = 0;
    }
}
