//! Congestion control: what is common, and the choice (`tcp_congestion_ops`, Linux 6.12).

pub mod cubic;
pub mod reno;

use super::sock::{CaState, TcpSock};
use cubic::Cubic;

/// The algorithm of a connection, with its state.
#[derive(Clone, Debug)]
pub(crate) enum CongestionControl {
    /// RFC 5681.
    Reno,
    /// RFC 9438.
    Cubic(Cubic),
}

/// What an ACK tells the algorithm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckSample {
    pub(crate) acked: u32,
    /// Now, in ticks.
    pub(crate) jiffies: u64,
    /// Now, in microseconds.
    pub(crate) mstamp: u64,
}

impl CongestionControl {
    /// By the name that TCP_CONGESTION and the sysctl use.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "reno" => Some(Self::Reno),
            "cubic" => Some(Self::Cubic(Cubic::default())),
            _ => None,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Reno => "reno",
            Self::Cubic(_) => "cubic",
        }
    }

    /// Linux's name of what an ACK makes the window grow by.
    pub(crate) fn cong_avoid_name(&self) -> &'static str {
        match self {
            Self::Reno => "tcp_reno_cong_avoid",
            Self::Cubic(_) => "cubictcp_cong_avoid",
        }
    }

    /// The threshold after a loss, in segments. CUBIC remembers where it was.
    pub(crate) fn ssthresh(&mut self, cwnd: u32) -> u32 {
        match self {
            Self::Reno => reno::ssthresh(cwnd),
            Self::Cubic(cubic) => cubic.recalc_ssthresh(cwnd),
        }
    }

    pub(crate) fn set_state(&mut self, state: CaState) {
        if let Self::Cubic(cubic) = self
            && state == CaState::Loss
        {
            cubic.reset();
        }
    }

    /// `CA_EVENT_TX_START`: sending begins again after a pause.
    pub(crate) fn tx_start(&mut self, lsndtime: u64, jiffies: u64) {
        if let Self::Cubic(cubic) = self {
            cubic.tx_start(lsndtime, jiffies);
        }
    }

    /// A round trip was measured, in microseconds.
    pub(crate) fn pkts_acked(tp: &mut TcpSock, rtt_us: u32, now_us: u64) {
        let (cwnd, slow_start, snd_una, snd_nxt) = (tp.snd_cwnd, tp.in_slow_start(), tp.snd_una, tp.snd_nxt);
        let ssthresh = match &mut tp.cong {
            Self::Reno => None,
            Self::Cubic(cubic) => {
                cubic.acked(rtt_us, cubic::Moment { cwnd, slow_start, snd_una, snd_nxt, now_us })
            }
        };
        if let Some(ssthresh) = ssthresh {
            tp.snd_ssthresh = ssthresh;
        }
    }

    /// `cong_avoid`: the window grows.
    pub(crate) fn cong_avoid(tp: &mut TcpSock, sample: AckSample) {
        if !tp.limited_by_cwnd() {
            return;
        }
        let mut acked = sample.acked;
        if tp.in_slow_start() {
            acked = tp.slow_start(acked);
            if acked == 0 {
                return;
            }
        }
        let cwnd = tp.snd_cwnd;
        let count = match &mut tp.cong {
            Self::Reno => cwnd,
            Self::Cubic(cubic) => cubic.update(cwnd, acked, sample.mstamp, sample.jiffies),
        };
        tp.cong_avoid_ai(count, acked);
    }
}

impl TcpSock {
    /// `tcp_slow_start`; gives what is left of `acked` beyond the threshold.
    fn slow_start(&mut self, acked: u32) -> u32 {
        let cwnd = (self.snd_cwnd + acked).min(self.snd_ssthresh);
        let left = acked - (cwnd - self.snd_cwnd);
        self.snd_cwnd = cwnd;
        left
    }

    /// `tcp_cong_avoid_ai`: one segment more for each `w` that are acknowledged.
    fn cong_avoid_ai(&mut self, w: u32, acked: u32) {
        if self.snd_cwnd_cnt >= w {
            self.snd_cwnd_cnt = 0;
            self.snd_cwnd += 1;
        }
        self.snd_cwnd_cnt += acked;
        if let Some(delta) = self.snd_cwnd_cnt.checked_div(w)
            && delta > 0
        {
            self.snd_cwnd_cnt -= delta * w;
            self.snd_cwnd = self.snd_cwnd.saturating_add(delta);
        }
    }
}
