//! Keepalive, and orphans in FIN-WAIT-2 that share its timer (`tcp_keepalive_timer`, RFC 9293, section 3.8.4; Linux 6.12).

use super::HZ;
use super::sock::TcpSock;
use super::state::TcpState;
use super::timer::Timer;
use crate::mib::Counter;
use crate::stack::Stack;
use crate::wire::tcp::ACK;

impl Stack {
    /// `keepalive_time_when`: how long a connection is idle before it is probed, in ticks.
    pub(crate) fn keepalive_time_when(&self, tp: &TcpSock) -> u64 {
        let set = tp.tunables.keepalive_time;
        u64::from(if set == 0 { self.sysctl.tcp.keepalive_time } else { set }) * HZ
    }

    fn keepalive_intvl_when(&self, tp: &TcpSock) -> u64 {
        let set = tp.tunables.keepalive_intvl;
        u64::from(if set == 0 { self.sysctl.tcp.keepalive_intvl } else { set }) * HZ
    }

    fn keepalive_probes(&self, tp: &TcpSock) -> u8 {
        let set = tp.tunables.keepalive_probes;
        if set == 0 { self.sysctl.tcp.keepalive_probes } else { set }
    }

    /// `keepalive_time_elapsed`: ticks since anything came.
    fn keepalive_elapsed(&self, tp: &TcpSock) -> u64 {
        self.jiffies.saturating_sub(tp.ack.lrcvtime.max(tp.rcv_tstamp))
    }

    /// `tcp_set_keepalive`: SO_KEEPALIVE is switched.
    pub(crate) fn tcp_set_keepalive(&mut self, tp: &mut TcpSock, on: bool) {
        let was = core::mem::replace(&mut tp.tunables.keepalive, on);
        if matches!(tp.state, TcpState::Close | TcpState::Listen) {
            return;
        }
        if on && !was {
            let when = self.keepalive_time_when(tp);
            self.tcp_arm(tp, Timer::Keepalive, when);
        } else if !on {
            tp.timers.stop(Timer::Keepalive);
        }
    }

    /// TCP_KEEPIDLE on a connection that is watched already.
    pub(crate) fn tcp_keepidle_changed(&mut self, tp: &mut TcpSock) {
        if tp.tunables.keepalive && !matches!(tp.state, TcpState::Close | TcpState::Listen) {
            let elapsed = self.keepalive_elapsed(tp);
            let left = self.keepalive_time_when(tp).saturating_sub(elapsed);
            self.tcp_arm(tp, Timer::Keepalive, left);
        }
    }

    /// `tcp_keepalive_timer`.
    pub(crate) fn tcp_keepalive_timer(&mut self, tp: &mut TcpSock) {
        if tp.state == TcpState::Listen {
            return;
        }
        if tp.state == TcpState::FinWait2 && tp.dead {
            if tp.tunables.linger2 >= 0 {
                let left = self.tcp_fin_time(tp).saturating_sub(super::timewait::TCP_TIMEWAIT_LEN);
                if left > 0 {
                    return self.tcp_time_wait(tp, TcpState::FinWait2, left);
                }
            }
            self.tcp_send_active_reset(tp);
            return self.tcp_done(tp);
        }
        if !tp.tunables.keepalive || matches!(tp.state, TcpState::Close | TcpState::SynSent) {
            return;
        }
        let mut elapsed = self.keepalive_time_when(tp);
        if tp.packets_out == 0 && tp.wq.is_empty() {
            let idle = self.keepalive_elapsed(tp);
            if idle >= elapsed {
                let user = u64::from(tp.tunables.user_timeout) * HZ / 1000;
                let over = if user != 0 {
                    idle >= user && tp.probes_out > 0
                } else {
                    tp.probes_out >= self.keepalive_probes(tp)
                };
                if over {
                    self.tcp_send_active_reset(tp);
                    return self.tcp_write_err(tp);
                }
                self.trace.function(0, "tcp_keepalive_timer");
                self.mib.inc(Counter::TcpExtKeepAlive);
                let seq = tp.snd_una.wrapping_sub(1);
                self.tcp_send_plain(tp, seq, ACK);
                tp.probes_out = tp.probes_out.saturating_add(1);
                elapsed = self.keepalive_intvl_when(tp);
            } else {
                elapsed -= idle;
            }
        }
        self.tcp_arm(tp, Timer::Keepalive, elapsed);
    }
}
