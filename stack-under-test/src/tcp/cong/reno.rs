//! Reno (RFC 5681): half of the window after a loss, one segment more a round trip.

/// The threshold after a loss, in segments: never less than two.
pub(super) fn ssthresh(cwnd: u32) -> u32 {
    (cwnd >> 1).max(2)
}

#[cfg(test)]
mod tests {
    use crate::tcp::cong::{AckSample, CongestionControl};
    use crate::tcp::tests::support::idle_sock;
    use rstest::rstest;

    // RFC 5681, section 3.1: slow start below the threshold, then one segment a window.
    #[rstest]
    #[case::slow_start(10, 100, 4, 14)]
    #[case::up_to_the_threshold_and_no_further(10, 12, 4, 12)]
    #[case::one_a_window(10, 10, 10, 11)]
    #[case::less_than_a_window_is_remembered(10, 10, 9, 10)]
    fn the_window_grows(#[case] cwnd: u32, #[case] ssthresh: u32, #[case] acked: u32, #[case] grown: u32) {
        let mut tp = idle_sock();
        (tp.snd_cwnd, tp.snd_ssthresh, tp.is_cwnd_limited) = (cwnd, ssthresh, true);
        CongestionControl::cong_avoid(&mut tp, AckSample { acked, jiffies: 0, mstamp: 0 });
        assert_eq!(tp.snd_cwnd, grown);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut tp = idle_sock();
        (tp.snd_cwnd, tp.snd_ssthresh, tp.is_cwnd_limited) = (10, 10, false);
        CongestionControl::cong_avoid(&mut tp, AckSample { acked: 10, jiffies: 0, mstamp: 0 });
        assert_eq!(tp.snd_cwnd, 10);
    }
}
