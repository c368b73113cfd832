//! The receive window: what is offered, and how the buffer grows (`tcp_select_window`, `tcp_rcv_space_adjust`, 6.12).

use super::seq::before;
use super::sock::{TCP_INIT_CWND, TcpSock};
use crate::mib::Counter;
use crate::stack::Stack;

/// The scaling ratio is in 256ths: `TCP_RMEM_TO_WIN_SCALE`.
const RMEM_TO_WIN_SCALE: u32 = 8;

/// What a connection begins with: `tcp_select_initial_window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InitialWindow {
    pub(crate) rcv_wnd: u32,
    pub(crate) window_clamp: u32,
    pub(crate) rcv_wscale: u8,
}

/// `tcp_win_from_space`: how much payload fits into `space` bytes of buffer.
pub(crate) fn win_from_space(ratio: u8, space: u32) -> u32 {
    ((u64::from(space) * u64::from(ratio)) >> RMEM_TO_WIN_SCALE) as u32
}

/// The next multiple of 2^`shift`.
#[inline(always)]
fn round_up(window: u32, shift: u8) -> u32 {
    let rest = (1 << shift) - 1;
    (window + rest) & !rest
}

/// `tcp_space_from_win`.
pub(crate) fn space_from_win(ratio: u8, win: u32) -> u32 {
    u32::try_from((u64::from(win) << RMEM_TO_WIN_SCALE) / u64::from(ratio.max(1))).unwrap_or(u32::MAX)
}

/// The first window, its limit and its shift, for a buffer of `space` bytes and segments of `mss`.
pub(crate) fn select_initial_window(
    space: u32,
    mss: u32,
    window_clamp: u32,
    wscale_ok: bool,
    (rmem_max, core_rmem_max): (u32, u32),
) -> InitialWindow {
    let clamp = if window_clamp == 0 { 0xffff << 14 } else { window_clamp };
    let space = space.min(clamp);
    let rounded = if space > mss { space - space % mss.max(1) } else { space };
    let rcv_wnd = rounded.min(0xffff);
    let rcv_wscale = if wscale_ok {
        let largest = rounded.max(rmem_max).max(core_rmem_max).min(clamp).max(1);
        largest.ilog2().saturating_sub(15).min(14) as u8
    } else {
        0
    };
    InitialWindow { rcv_wnd, window_clamp: clamp.min(0xffff << rcv_wscale), rcv_wscale }
}

impl TcpSock {
    /// `tcp_full_space`.
    pub(crate) fn full_space(&self) -> u32 {
        win_from_space(self.scaling_ratio, self.options.rcvbuf)
    }

    /// `tcp_space`.
    #[inline]
    fn space(&self) -> u32 {
        win_from_space(self.scaling_ratio, self.options.rcvbuf.saturating_sub(self.rmem_alloc))
    }

    /// `tcp_receive_window`: what of the offered window is left.
    #[inline]
    pub(crate) fn receive_window(&self) -> u32 {
        let win = self.rcv_wup.wrapping_add(self.rcv_wnd).wrapping_sub(self.rcv_nxt);
        if (win as i32) < 0 { 0 } else { win }
    }

    /// `__tcp_select_window`: the window that should be offered now, avoiding silly windows (RFC 9293, section 3.8.6.2.2).
    #[inline(always)]
    pub(crate) fn want_window(&mut self) -> u32 {
        let buffer = self.full_space();
        let full_space = self.window_clamp.min(buffer);
        let mss = self.ack.rcv_mss.min(full_space);
        if mss == 0 {
            return 0;
        }
        let shift = self.rx_opt.rcv_wscale & 15;
        let mut free_space = self.space();
        if free_space < full_space >> 1 {
            self.ack.quick = 0;
            free_space &= !((1 << shift) - 1);
            if free_space < buffer >> 4 || free_space < mss {
                return 0;
            }
        }
        free_space = free_space.min(self.rcv_ssthresh);
        if shift > 0 {
            return round_up(free_space, shift);
        }
        let window = self.rcv_wnd;
        if window <= free_space.saturating_sub(mss) || window > free_space {
            free_space - free_space % mss
        } else if mss == full_space && free_space > window + (full_space >> 1) {
            free_space
        } else {
            window
        }
    }

    /// `tcp_init_buffer_space`.
    #[inline(always)]
    pub(crate) fn init_buffer_space(&mut self, mstamp: u64, jiffies: u64, wmem_max: u32) {
        if !self.tunables.sndbuf_locked {
            self.sndbuf_expand(wmem_max);
        }
        self.rcv_est.space_time = mstamp;
        self.rcv_est.space_seq = self.copied_seq;
        let maxwin = self.full_space();
        // tcp_app_win is 31: nothing is kept back for the application but one segment.
        if self.window_clamp >= maxwin {
            self.window_clamp = maxwin;
        }
        if self.window_clamp > 2 * self.advmss && self.window_clamp + self.advmss > maxwin {
            self.window_clamp = (2 * self.advmss).max(maxwin.saturating_sub(self.advmss));
        }
        self.rcv_ssthresh = self.rcv_ssthresh.min(self.window_clamp);
        self.snd_cwnd_stamp = jiffies;
        self.rcv_est.space = self.rcv_ssthresh.min(self.rcv_wnd).min(TCP_INIT_CWND * self.advmss);
    }

    /// `tcp_sndbuf_expand`: room for twice the congestion window.
    pub(crate) fn sndbuf_expand(&mut self, wmem_max: u32) {
        let per_mss = self.rx_opt.mss_clamp.max(self.mss_cache) + 320 + 320;
        let per_mss = per_mss.next_power_of_two() + 256;
        let nr_segs = TCP_INIT_CWND.max(self.snd_cwnd).max(self.reordering + 1);
        let sndmem = u64::from(per_mss) * u64::from(nr_segs) * 2;
        if u64::from(self.options.sndbuf) < sndmem {
            self.options.sndbuf = (sndmem.min(u64::from(wmem_max)) as u32).max(self.options.sndbuf);
        }
    }

    /// `tcp_initialize_rcv_mss`.
    pub(crate) fn initialize_rcv_mss(&mut self) {
        let hint = self.advmss.min(self.mss_cache).min(self.rcv_wnd / 2).min(super::sock::TCP_MSS_DEFAULT);
        self.ack.rcv_mss = hint.max(88);
    }

    /// `tcp_grow_window`: more is offered as the peer sends packets that use their memory well.
    pub(crate) fn grow_window(&mut self, len: u32, skb_truesize: u32, rmem_max: u32) {
        let room = i64::from(self.window_clamp.min(self.space())) - i64::from(self.rcv_ssthresh);
        if room <= 0 {
            return;
        }
        let incr = if win_from_space(self.scaling_ratio, skb_truesize) <= len {
            2 * self.advmss
        } else {
            self.grow_step(len, skb_truesize, rmem_max)
        };
        if incr > 0 {
            let incr = incr.max(2 * len);
            self.rcv_ssthresh += u32::try_from(room).unwrap_or(u32::MAX).min(incr);
            self.ack.quick |= 1;
        }
    }

    /// `__tcp_grow_window`.
    fn grow_step(&self, len: u32, skb_truesize: u32, rmem_max: u32) -> u32 {
        let mut truesize = win_from_space(self.scaling_ratio, skb_truesize) >> 1;
        let mut window = win_from_space(self.scaling_ratio, rmem_max) >> 1;
        while self.rcv_ssthresh <= window {
            if truesize <= len {
                return 2 * self.ack.rcv_mss;
            }
            truesize >>= 1;
            window >>= 1;
        }
        0
    }

    /// A segment was larger than any before: its memory tells how much payload the buffer takes.
    pub(crate) fn update_scaling_ratio(&mut self, len: u32, skb_truesize: u32) {
        let old = self.scaling_ratio;
        let ratio = (u64::from(len) << RMEM_TO_WIN_SCALE) / u64::from(skb_truesize.max(1));
        self.scaling_ratio = ratio.clamp(1, 255) as u8;
        if self.scaling_ratio != old {
            self.set_window_clamp(self.full_space());
            self.rcv_est.space = self.rcv_est.space.min(self.window_clamp);
        }
    }

    /// `tcp_set_window_clamp`: the largest window that is offered, half of the least buffer at least.
    pub(crate) fn set_window_clamp(&mut self, clamp: u32) {
        let clamp = clamp.max(super::sock::SOCK_MIN_RCVBUF / 2);
        if clamp < self.window_clamp {
            self.rcv_ssthresh = self.rcv_ssthresh.min(clamp);
        } else if clamp > self.window_clamp {
            self.rcv_ssthresh = self.rcv_ssthresh.max(self.rcv_wnd.min(clamp));
        }
        self.window_clamp = clamp;
    }

    /// `tcp_epollin_ready`: as much is there as SO_RCVLOWAT asks for (and the `urgent` byte, which is no part of it), or no more
    /// will come until it is read.
    pub(crate) fn is_readable(&self, urgent: bool) -> bool {
        let there = self.rcv_nxt.wrapping_sub(self.copied_seq) as i32;
        let full = self.options.rcvbuf - (self.options.rcvbuf >> 3);
        there > 0
            && (there as u32 >= self.tunables.rcvlowat.max(1) + u32::from(urgent)
                || self.rmem_alloc > full
                || self.receive_window() <= self.ack.rcv_mss)
    }
}

impl Stack {
    /// `tcp_select_window`: what goes into the header; never takes back what was offered.
    #[inline(always)]
    pub(crate) fn tcp_select_window(&mut self, tp: &mut TcpSock) -> u16 {
        if tp.ack.nomem {
            tp.pred_flags = None;
            (tp.rcv_wnd, tp.rcv_wup) = (0, tp.rcv_nxt);
            return 0;
        }
        let (old, current) = (tp.rcv_wnd, tp.receive_window());
        let shift = tp.rx_opt.rcv_wscale & 15;
        let mut new = tp.want_window();
        if new < current {
            if new == 0 {
                self.mib.inc(Counter::TcpExtWantZeroWindowAdv);
            }
            new = round_up(current, shift);
        }
        tp.rcv_wnd = new;
        tp.rcv_wup = tp.rcv_nxt;
        let field = (new >> shift).min(0xffff) as u16;
        if field == 0 {
            tp.pred_flags = None;
        }
        if field == 0 && old != 0 {
            self.mib.inc(Counter::TcpExtToZeroWindowAdv);
        } else if field != 0 && old == 0 {
            self.mib.inc(Counter::TcpExtFromZeroWindowAdv);
        }
        field
    }

    /// `tcp_rcv_space_adjust`: the buffer grows with what the application reads in a round trip.
    pub(crate) fn tcp_rcv_space_adjust(&mut self, tp: &mut TcpSock) {
        let now = self.tcp_mstamp();
        let time = now.saturating_sub(tp.rcv_est.space_time);
        if tp.rcv_est.rtt_us == 0 || time < u64::from(tp.rcv_est.rtt_us >> 3) {
            return;
        }
        self.trace.function(0, "tcp_rcv_space_adjust");
        let copied = tp.copied_seq.wrapping_sub(tp.rcv_est.space_seq);
        if copied > tp.rcv_est.space {
            if self.sysctl.tcp.moderate_rcvbuf && !tp.tunables.rcvbuf_locked {
                let mut rcvwin = (u64::from(copied) << 1) + 16 * u64::from(tp.advmss);
                let space = tp.rcv_est.space.max(1);
                rcvwin += (rcvwin * u64::from(copied - tp.rcv_est.space) / u64::from(space)) << 1;
                let rcvwin = u32::try_from(rcvwin).unwrap_or(u32::MAX);
                let rcvbuf = space_from_win(tp.scaling_ratio, rcvwin).min(self.sysctl.tcp.rmem[2]);
                if rcvbuf > tp.options.rcvbuf {
                    tp.options.rcvbuf = rcvbuf;
                    tp.window_clamp = win_from_space(tp.scaling_ratio, rcvbuf);
                }
            }
            tp.rcv_est.space = copied;
        }
        tp.rcv_est.space_seq = tp.copied_seq;
        tp.rcv_est.space_time = now;
    }

    /// `tcp_rcv_rtt_measure`: a round trip is the time in which one window comes in.
    pub(crate) fn tcp_rcv_rtt_measure(&mut self, tp: &mut TcpSock) {
        let now = self.tcp_mstamp();
        if tp.rcv_est.rtt_time != 0 {
            if before(tp.rcv_nxt, tp.rcv_est.rtt_seq) {
                return;
            }
            let delta = now.saturating_sub(tp.rcv_est.rtt_time).max(1);
            tp.rcv_rtt_update(delta as u32, true);
        }
        tp.rcv_est.rtt_seq = tp.rcv_nxt.wrapping_add(tp.rcv_wnd);
        tp.rcv_est.rtt_time = now;
    }
}

impl TcpSock {
    /// `tcp_rcv_rtt_update`: in eighths of microseconds. Less than before holds at once (6.12.35); more is smoothed, or nothing
    /// when the sample is the time of a whole window.
    pub(crate) fn rcv_rtt_update(&mut self, sample: u32, win_dep: bool) {
        let m = u64::from(sample) << 3;
        let old = u64::from(self.rcv_est.rtt_us);
        let new = if old == 0 || m < old {
            m
        } else if win_dep {
            old
        } else {
            old - (old >> 3) + u64::from(sample)
        };
        self.rcv_est.rtt_us = u32::try_from(new).unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::sock::DEFAULT_SCALING_RATIO;
    use rstest::rstest;

    // Half of 131,072 in whole segments: 64,240 = 44 × 1460 (a SYN of Linux), 65,160 = 45 × 1448 (its SYN-ACK with timestamps).
    #[rstest]
    #[case::a_syn(1460, true, 64_240, 7)]
    #[case::a_syn_ack_with_timestamps(1448, true, 65_160, 7)]
    #[case::without_scaling(1460, false, 64_240, 0)]
    fn the_first_window_is_that_of_linux(
        #[case] mss: u32,
        #[case] wscale_ok: bool,
        #[case] rcv_wnd: u32,
        #[case] rcv_wscale: u8,
    ) {
        let space = win_from_space(DEFAULT_SCALING_RATIO, 131_072);
        let window = select_initial_window(space, mss, 0, wscale_ok, (6_291_456, 4_194_304));
        assert_eq!((window.rcv_wnd, window.rcv_wscale), (rcv_wnd, rcv_wscale));
    }

    // Full segments of 1460 in buffers of 2,304 bytes leave 162 of 256 for payload: 82,944 of the 131,072. A clamp that grows lets
    // the window that was offered hold.
    #[test]
    fn the_first_full_segment_says_what_the_buffer_takes() {
        let mut tp = crate::tcp::tests::support::idle_sock();
        (tp.options.rcvbuf, tp.rcv_wnd, tp.advmss) = (131_072, 64_240, 1460);
        (tp.window_clamp, tp.rcv_ssthresh) = (64_076, 64_076);
        tp.update_scaling_ratio(1460, 2304);
        assert_eq!((tp.scaling_ratio, tp.window_clamp, tp.rcv_ssthresh), (162, 82_944, 64_240));
        tp.grow_window(1460, 2304, 6_291_456);
        assert_eq!(tp.rcv_ssthresh, 67_160);
    }

    #[rstest]
    #[case::the_first(0, 100, false, 800)]
    #[case::a_shorter_one_holds_at_once(800, 50, false, 400)]
    #[case::a_longer_one_is_smoothed(800, 200, false, 900)]
    #[case::a_longer_one_of_a_window_is_not_believed(800, 200, true, 800)]
    fn the_round_trip_of_a_receiver(
        #[case] old: u32,
        #[case] sample: u32,
        #[case] win_dep: bool,
        #[case] told: u32,
    ) {
        let mut tp = crate::tcp::tests::support::idle_sock();
        tp.rcv_est.rtt_us = old;
        tp.rcv_rtt_update(sample, win_dep);
        assert_eq!(tp.rcv_est.rtt_us, told);
    }
}
