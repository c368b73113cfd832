//! CUBIC (RFC 9438) as Linux 6.12 has it: β 717/1024, C 0.4, with its friendliness to Reno and HyStart.

use crate::tcp::seq::after;

const BETA: u32 = 717;
const BETA_SCALE: u32 = 1024;
/// Time is counted in 1024ths of a second.
const BICTCP_HZ: u32 = 10;
/// `bic_scale`: 41/1024 is C / 10 in these units.
const BIC_SCALE: u64 = 41;
const CUBE_FACTOR: u64 = (1 << (10 + 3 * BICTCP_HZ)) / (BIC_SCALE * 10);
const BETA_FRIENDLY: u32 = 8 * (BETA_SCALE + BETA) / 3 / (BETA_SCALE - BETA);
const HYSTART_LOW_WINDOW: u32 = 16;
const HYSTART_ACK_DELTA_US: u64 = 2000;
const HYSTART_MIN_SAMPLES: u32 = 8;
const HYSTART_DELAY_MIN_US: u32 = 4000;
const HYSTART_DELAY_MAX_US: u32 = 16_000;

/// `struct bictcp`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cubic {
    cnt: u32,
    last_max_cwnd: u32,
    last_cwnd: u32,
    last_time: u64,
    bic_origin_point: u32,
    bic_k: u32,
    /// In microseconds.
    delay_min: u32,
    /// In ticks; 0: none.
    epoch_start: u64,
    ack_cnt: u32,
    tcp_cwnd: u32,
    sample_cnt: u32,
    found: bool,
    round_start: u64,
    end_seq: u32,
    last_ack: u64,
    curr_rtt: u32,
}

/// The connection when a round trip was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) cwnd: u32,
    pub(crate) slow_start: bool,
    pub(crate) snd_una: u32,
    pub(crate) snd_nxt: u32,
    pub(crate) now_us: u64,
}

/// The integer cube root.
fn cubic_root(a: u64) -> u32 {
    let (mut low, mut high) = (0_u64, 1 << 22);
    while low + 1 < high {
        let mid = u64::midpoint(low, high);
        if mid * mid * mid <= a { low = mid } else { high = mid }
    }
    low as u32
}

impl Cubic {
    /// `bictcp_reset`.
    pub(super) fn reset(&mut self) {
        let round = (self.round_start, self.end_seq, self.last_ack, self.curr_rtt, self.sample_cnt);
        *self = Self::default();
        (self.round_start, self.end_seq, self.last_ack, self.curr_rtt, self.sample_cnt) = round;
    }

    /// `cubictcp_recalc_ssthresh`.
    pub(super) fn recalc_ssthresh(&mut self, cwnd: u32) -> u32 {
        self.epoch_start = 0;
        // Fast convergence: a flow that did not reach its last maximum gives way.
        self.last_max_cwnd = if cwnd < self.last_max_cwnd {
            (u64::from(cwnd) * u64::from(BETA_SCALE + BETA) / u64::from(2 * BETA_SCALE)) as u32
        } else {
            cwnd
        };
        ((u64::from(cwnd) * u64::from(BETA) / u64::from(BETA_SCALE)) as u32).max(2)
    }

    /// `cubictcp_cwnd_event`: the pause does not count.
    pub(super) fn tx_start(&mut self, lsndtime: u64, jiffies: u64) {
        let idle = jiffies.saturating_sub(lsndtime);
        if self.epoch_start != 0 && idle > 0 {
            self.epoch_start = (self.epoch_start + idle).min(jiffies);
        }
    }

    /// `bictcp_update`: after how many acknowledged segments the window grows by one.
    pub(super) fn update(&mut self, cwnd: u32, acked: u32, _now_us: u64, jiffies: u64) -> u32 {
        self.ack_cnt = self.ack_cnt.saturating_add(acked);
        let hz = crate::tcp::HZ;
        if self.last_cwnd == cwnd && jiffies.saturating_sub(self.last_time) <= hz / 32 {
            return self.cnt.max(2);
        }
        if self.epoch_start == 0 || jiffies != self.last_time {
            self.last_cwnd = cwnd;
            self.last_time = jiffies;
            self.cubic_update(cwnd, acked, jiffies);
        }
        self.friendliness(cwnd);
        self.cnt = self.cnt.max(2);
        self.cnt
    }

    fn cubic_update(&mut self, cwnd: u32, acked: u32, jiffies: u64) {
        let hz = crate::tcp::HZ;
        if self.epoch_start == 0 {
            self.epoch_start = jiffies.max(1);
            self.ack_cnt = acked;
            self.tcp_cwnd = cwnd;
            if self.last_max_cwnd <= cwnd {
                self.bic_k = 0;
                self.bic_origin_point = cwnd;
            } else {
                self.bic_k = cubic_root(CUBE_FACTOR * u64::from(self.last_max_cwnd - cwnd));
                self.bic_origin_point = self.last_max_cwnd;
            }
        }
        let elapsed = jiffies.saturating_sub(self.epoch_start) + u64::from(self.delay_min) * hz / 1_000_000;
        let t = (elapsed << BICTCP_HZ) / hz;
        let offs = t.abs_diff(u64::from(self.bic_k)).min(1 << 20);
        let cubed = u128::from(BIC_SCALE * 10 * offs * offs) * u128::from(offs);
        let delta = (cubed >> (10 + 3 * BICTCP_HZ)) as u32;
        let target = if t < u64::from(self.bic_k) {
            self.bic_origin_point.saturating_sub(delta)
        } else {
            self.bic_origin_point.saturating_add(delta)
        };
        self.cnt = if target > cwnd { cwnd / (target - cwnd) } else { 100 * cwnd };
        if self.last_max_cwnd == 0 {
            self.cnt = self.cnt.min(20);
        }
    }

    /// Where Reno would be by now is the least.
    fn friendliness(&mut self, cwnd: u32) {
        let delta = ((u64::from(cwnd) * u64::from(BETA_FRIENDLY)) >> 3).max(1) as u32;
        while self.ack_cnt > delta {
            self.ack_cnt -= delta;
            self.tcp_cwnd += 1;
        }
        if self.tcp_cwnd > cwnd {
            self.cnt = self.cnt.min(cwnd / (self.tcp_cwnd - cwnd));
        }
    }

    /// `cubictcp_acked`, with HyStart: the threshold, when slow start should end here.
    pub(super) fn acked(&mut self, rtt_us: u32, at: Moment) -> Option<u32> {
        let delay = rtt_us.max(1);
        if self.delay_min == 0 || self.delay_min > delay {
            self.delay_min = delay;
        }
        if self.found || !at.slow_start || at.cwnd < HYSTART_LOW_WINDOW {
            return None;
        }
        if after(at.snd_una, self.end_seq) {
            self.round_start = at.now_us;
            self.last_ack = at.now_us;
            self.end_seq = at.snd_nxt;
            self.curr_rtt = u32::MAX;
            self.sample_cnt = 0;
        }
        // ACKs that come in one train as long as half of a round trip.
        if at.now_us.saturating_sub(self.last_ack) <= HYSTART_ACK_DELTA_US {
            self.last_ack = at.now_us;
            if at.now_us.saturating_sub(self.round_start) > u64::from(self.delay_min / 2) {
                self.found = true;
                return Some(at.cwnd);
            }
        }
        // Round trips that grow.
        self.curr_rtt = self.curr_rtt.min(delay);
        if self.sample_cnt < HYSTART_MIN_SAMPLES {
            self.sample_cnt += 1;
        } else {
            let threshold = (self.delay_min >> 3).clamp(HYSTART_DELAY_MIN_US, HYSTART_DELAY_MAX_US);
            if self.curr_rtt > self.delay_min.saturating_add(threshold) {
                self.found = true;
                return Some(at.cwnd);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, 0)]
    #[case(1, 1)]
    #[case(26, 2)]
    #[case(27, 3)]
    #[case(1_000_000_000, 1000)]
    #[case(999_999_999, 999)]
    fn the_cube_root_is_rounded_down(#[case] of: u64, #[case] root: u32) {
        assert_eq!(cubic_root(of), root);
    }

    // RFC 9438, section 4.2: K = cubic root of (W_max - cwnd) / C; with W_max 100, cwnd 70 and C 0.4 it is 4.217 s, when the
    // window is at W_max again.
    #[test]
    fn the_old_maximum_is_reached_after_the_time_of_the_rfc() {
        let mut cubic = Cubic::default();
        assert_eq!(cubic.recalc_ssthresh(100), 70);
        cubic.update(70, 1, 0, 1000);
        let k = f64::from(cubic.bic_k) / 1024.0;
        assert!((k - 4.217).abs() < 0.03, "K is {k} s");
    }
}
