//! Round trips and the retransmission timeout (RFC 6298 with Linux's bounds; `tcp_rtt_estimator`, 6.12).

use super::seq::after;
use super::sock::TcpSock;
use super::{HZ, usecs_to_jiffies};
use crate::stack::Stack;

/// `TCP_RTO_MAX`: two minutes, in ticks.
pub(crate) const TCP_RTO_MAX: u64 = 120 * HZ;
/// `TCP_RTO_MIN`: 200 ms, in ticks.
pub(crate) const TCP_RTO_MIN: u64 = HZ / 5;
/// `TCP_TIMEOUT_INIT`: a second (RFC 6298, section 2.1).
pub(crate) const TCP_TIMEOUT_INIT: u64 = HZ;
/// `TCP_TIMEOUT_FALLBACK`: three seconds, when a SYN had to be sent again (RFC 6298, section 5.7).
pub(crate) const TCP_TIMEOUT_FALLBACK: u64 = 3 * HZ;
/// How long a least round trip holds: `tcp_min_rtt_wlen`, in microseconds.
const MIN_RTT_WINDOW_US: u64 = 300_000_000;

impl TcpSock {
    /// `tcp_rtt_estimator`: one sample, in microseconds. `srtt_us` is kept in eighths, `mdev_us` in quarters.
    pub(crate) fn rtt_estimator(&mut self, sample_us: u32, rto_min_us: u32) {
        let mut m = i64::from(sample_us);
        let mut srtt = i64::from(self.srtt_us);
        if srtt == 0 {
            srtt = m << 3;
            self.mdev_us = (m << 1) as u32;
            self.rttvar_us = self.mdev_us.max(rto_min_us);
            self.mdev_max_us = self.rttvar_us;
            self.rtt_seq = self.snd_nxt;
        } else {
            m -= srtt >> 3;
            srtt += m;
            let mdev = i64::from(self.mdev_us);
            if m < 0 {
                // A shorter trip makes the deviation grow more slowly.
                m = -m - (mdev >> 2);
                if m > 0 {
                    m >>= 3;
                }
            } else {
                m -= mdev >> 2;
            }
            self.mdev_us = (mdev + m).max(0) as u32;
            if self.mdev_us > self.mdev_max_us {
                self.mdev_max_us = self.mdev_us;
                self.rttvar_us = self.rttvar_us.max(self.mdev_max_us);
            }
            if after(self.snd_una, self.rtt_seq) {
                if self.mdev_max_us < self.rttvar_us {
                    self.rttvar_us -= (self.rttvar_us - self.mdev_max_us) >> 2;
                }
                self.rtt_seq = self.snd_nxt;
                self.mdev_max_us = rto_min_us;
            }
        }
        self.srtt_us = srtt.clamp(1, i64::from(u32::MAX)) as u32;
    }

    /// `tcp_set_rto`.
    pub(crate) fn set_rto(&mut self) {
        let us = u64::from(self.srtt_us >> 3) + u64::from(self.rttvar_us);
        self.rto = usecs_to_jiffies(us).min(TCP_RTO_MAX);
    }

    /// `tcp_min_rtt`: in microseconds; the largest number when none is known.
    #[inline]
    pub(crate) fn least_rtt(&self) -> u32 {
        self.min_rtt
    }

    /// `tcp_update_rtt_min`.
    fn update_rtt_min(&mut self, rtt_us: u32, now_us: u64) {
        if rtt_us <= self.min_rtt || now_us.saturating_sub(self.min_rtt_stamp) > MIN_RTT_WINDOW_US {
            self.min_rtt = rtt_us.max(1);
            self.min_rtt_stamp = now_us;
        }
    }

    /// `tcp_update_pacing_rate`: in bytes per second.
    pub(crate) fn update_pacing_rate(&mut self) {
        let percent = if self.snd_cwnd < self.snd_ssthresh / 2 { 200 } else { 120 };
        let mut rate = u64::from(self.mss_cache) * ((1_000_000 / 100) << 3) * percent;
        rate *= u64::from(self.snd_cwnd.max(self.packets_out));
        if self.srtt_us > 0 {
            rate /= u64::from(self.srtt_us);
        }
        self.pacing_rate = rate;
    }
}

impl Stack {
    /// `tcp_ack_update_rtt`: the samples of an ACK, in microseconds; `None` where there is none. Whether one was used.
    pub(crate) fn tcp_ack_update_rtt(
        &mut self,
        tp: &mut TcpSock,
        acked: bool,
        (seq_rtt, sack_rtt, ca_rtt): (Option<u32>, Option<u32>, Option<u32>),
    ) -> bool {
        let (mut seq_rtt, mut ca_rtt) = (seq_rtt.or(sack_rtt), ca_rtt);
        if seq_rtt.is_none() && tp.rx_opt.saw_tstamp && tp.rx_opt.rcv_tsecr != 0 && acked {
            let delta = self.tcp_time_stamp().wrapping_sub(tp.rx_opt.rcv_tsecr);
            if delta < 0x7fff_ffff / 1000 {
                let us = delta.max(1) * 1000;
                (seq_rtt, ca_rtt) = (Some(us), Some(us));
            }
        }
        let Some(sample) = seq_rtt else { return false };
        self.tcp_take_rtt(tp, sample, ca_rtt.unwrap_or(sample));
        true
    }

    /// The second half of [`Self::tcp_ack_update_rtt`]: a sample, and the one that congestion control is told.
    #[inline]
    pub(crate) fn tcp_take_rtt(&mut self, tp: &mut TcpSock, sample: u32, ca_rtt: u32) {
        tp.update_rtt_min(ca_rtt, self.tcp_mstamp());
        tp.rtt_estimator(sample, self.sysctl.tcp.rto_min_us);
        tp.set_rto();
        tp.backoff = 0;
    }
}

#[cfg(test)]
mod tests {
    use crate::tcp::tests::support::idle_sock;

    // RFC 6298, section 2.2: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 × RTTVAR, but at least the floor of 200 ms for the second.
    #[test]
    fn the_first_sample_sets_everything() {
        let mut tp = idle_sock();
        tp.rtt_estimator(100_000, 200_000);
        tp.set_rto();
        assert_eq!((tp.srtt_us >> 3, tp.mdev_us >> 2), (100_000, 50_000));
        assert_eq!(tp.rto, 75, "100 ms and 4 × 50 ms, in ticks of 4 ms");
        let mut tp = idle_sock();
        tp.rtt_estimator(1_000, 200_000);
        tp.set_rto();
        assert_eq!(tp.rto, 51, "1 ms and the floor, rounded up");
    }

    #[test]
    fn samples_that_do_not_vary_bring_the_timeout_down_to_the_floor() {
        let mut tp = idle_sock();
        for _ in 0..200 {
            tp.snd_una = tp.snd_una.wrapping_add(1000);
            tp.snd_nxt = tp.snd_una;
            tp.rtt_estimator(400_000, 200_000);
            tp.snd_una = tp.snd_una.wrapping_add(1);
        }
        tp.set_rto();
        assert!((150..=152).contains(&tp.rto), "400 ms and the floor of 200 ms, not {} ticks", tp.rto);
    }
}
