//! The timers of connections, in ticks: one queue for all, armed lazily, so that an ACK that moves a timer away
//! costs nothing. When they fire is when Linux's timer wheel would (granularity grows with the distance; 6.12).

use super::retransmit::TCP_TIMEOUT_MIN_US;
use super::sock::{Pending, TcpSock};
use crate::mib::Counter;
use crate::stack::{Stack, TICK_NS};
use crate::time::Instant;
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// The timers of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// `icsk_retransmit_timer`.
    Write = 0,
    /// `icsk_delack_timer`.
    Delack = 1,
    /// `sk_timer`: keepalive, FIN-WAIT-2 of an orphan.
    Keepalive = 2,
    /// `compressed_ack_timer`.
    CompressedAck = 3,
}

/// When they fire.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timers {
    at: [Option<Instant>; 4],
    /// The earliest entry of this socket in the queue that is still valid.
    queued: Option<Instant>,
}

impl Timers {
    fn earliest(&self) -> Option<Instant> {
        self.at.iter().flatten().min().copied()
    }

    #[inline]
    pub(crate) fn at(&self, timer: Timer) -> Option<Instant> {
        self.at[timer as usize]
    }

    #[inline]
    pub(crate) fn stop(&mut self, timer: Timer) {
        self.at[timer as usize] = None;
    }

    fn take_due(&mut self, timer: Timer, now: Instant) -> bool {
        let due = self.at(timer).is_some_and(|at| at <= now);
        if due {
            self.stop(timer);
        }
        due
    }
}

/// Whose timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerOf {
    Sock(u32),
    Request(u32),
    TimeWait(u32),
}

/// All timers that run; some entries may be outdated. Those that were set since one last fired lie in no order: most are
/// outdated by the time that one of them is due, and only the others are put in order then.
#[derive(Debug, Default)]
pub(crate) struct TimerQueue {
    /// The earliest of all.
    first: Option<Instant>,
    fresh: Vec<(Instant, TimerOf)>,
    /// Earliest first.
    sorted: BinaryHeap<Reverse<(Instant, TimerOf)>>,
}

impl TimerQueue {
    #[inline(always)]
    pub(crate) fn push(&mut self, at: Instant, of: TimerOf) {
        if self.first.is_none_or(|first| at < first) {
            self.first = Some(at);
        }
        self.fresh.push((at, of));
    }

    /// Entries, outdated ones included.
    pub(crate) fn len(&self) -> usize {
        self.fresh.len() + self.sorted.len()
    }

    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.first
    }

    /// Takes the earliest entry if it is due. What was pushed in between must have been put in order.
    fn pop_due(&mut self, now: Instant) -> Option<(Instant, TimerOf)> {
        let Reverse((at, _)) = self.sorted.peek()?;
        if *at > now {
            return None;
        }
        self.sorted.pop().map(|Reverse(entry)| entry)
    }
}

/// The tick at which Linux's timer wheel fires a timer: each level of the wheel has eight times the granularity of the one
/// before, and rounds up to the next of its buckets.
pub(crate) fn wheel_expiry(clk: u64, expires: u64) -> u64 {
    const LEVELS: u32 = 8;
    let delta = expires.saturating_sub(clk);
    if delta < 63 {
        return expires.max(clk) + 1;
    }
    let level = (1..=LEVELS).find(|level| delta < 63 << (3 * (level - 1))).unwrap_or(LEVELS) - 1;
    ((expires.max(clk) >> (3 * level)) + 1) << (3 * level)
}

impl super::Tcp {
    /// Puts the timers that were set since this was last done in order, those apart that are outdated.
    fn sort_timers(&mut self) {
        let mut fresh = core::mem::take(&mut self.timers.fresh);
        for (at, of) in fresh.drain(..) {
            let holds = match of {
                TimerOf::Sock(slot) => self.sock(slot).is_some_and(|tp| tp.timers.queued == Some(at)),
                TimerOf::Request(id) => self.requests.get(id).is_some_and(|request| request.expires == at),
                TimerOf::TimeWait(id) => self.timewaits.get(id).is_some_and(|tw| tw.expires == at),
            };
            if holds {
                self.timers.sorted.push(Reverse((at, of)));
            }
        }
        self.timers.fresh = fresh;
        self.timers.first = self.timers.sorted.peek().map(|Reverse((at, _))| *at);
    }
}

impl Stack {
    /// When a timer of `ticks` that is started now fires.
    #[inline]
    pub(crate) fn tcp_expiry(&self, ticks: u64) -> Instant {
        Instant(wheel_expiry(self.jiffies, self.jiffies + ticks).saturating_mul(TICK_NS))
    }

    /// `sk_reset_timer`: the timer fires in `ticks`, and not at the time it was set to before.
    #[inline]
    pub(crate) fn tcp_arm(&mut self, tp: &mut TcpSock, timer: Timer, ticks: u64) {
        self.tcp_arm_at(tp, timer, self.tcp_expiry(ticks));
    }

    pub(crate) fn tcp_arm_at(&mut self, tp: &mut TcpSock, timer: Timer, at: Instant) {
        tp.timers.at[timer as usize] = Some(at);
        if tp.timers.queued.is_none_or(|queued| at < queued) {
            tp.timers.queued = Some(at);
            self.tcp.timers.push(at, TimerOf::Sock(tp.slot));
        }
    }

    /// `tcp_reset_xmit_timer`: the retransmission timer, for `pending`.
    pub(crate) fn tcp_reset_xmit_timer(&mut self, tp: &mut TcpSock, pending: Pending, ticks: u64) {
        tp.pending = pending;
        self.tcp_arm(tp, Timer::Write, ticks.clamp(1, super::rtt::TCP_RTO_MAX));
    }

    /// `inet_csk_clear_xmit_timer`.
    pub(crate) fn tcp_clear_xmit_timer(tp: &mut TcpSock) {
        tp.pending = Pending::None;
        tp.timers.stop(Timer::Write);
    }

    /// Does what is due.
    pub(crate) fn tcp_run_timers(&mut self) {
        let now = self.now;
        loop {
            self.tcp.sort_timers();
            let Some((at, of)) = self.tcp.timers.pop_due(now) else { break };
            match of {
                TimerOf::Sock(slot) => {
                    self.with_tcp(slot, |stack, tp| stack.tcp_sock_timers(tp, at));
                }
                TimerOf::Request(id) => self.reqsk_timer_handler(id, at),
                TimerOf::TimeWait(id) => self.tw_timer_handler(id, at),
            }
        }
    }

    fn tcp_sock_timers(&mut self, tp: &mut TcpSock, at: Instant) {
        if tp.timers.queued != Some(at) {
            return;
        }
        tp.timers.queued = None;
        let now = self.now;
        if tp.timers.take_due(Timer::CompressedAck, now) {
            self.tcp_compressed_ack_kick(tp);
        }
        if tp.timers.take_due(Timer::Delack, now) {
            self.tcp_delack_timer_handler(tp);
        }
        if tp.timers.take_due(Timer::Write, now) {
            self.tcp_write_timer_handler(tp);
        }
        if tp.timers.take_due(Timer::Keepalive, now) {
            self.tcp_keepalive_timer(tp);
        }
        if tp.destroy {
            return;
        }
        if let Some(next) = tp.timers.earliest()
            && tp.timers.queued.is_none_or(|queued| next < queued)
        {
            tp.timers.queued = Some(next);
            self.tcp.timers.push(next, TimerOf::Sock(tp.slot));
        }
    }

    /// `tcp_write_timer_handler`.
    fn tcp_write_timer_handler(&mut self, tp: &mut TcpSock) {
        if matches!(tp.state, super::TcpState::Close | super::TcpState::Listen) {
            return;
        }
        match core::mem::take(&mut tp.pending) {
            Pending::None => {}
            Pending::ReoTimeout => self.tcp_rack_reo_timeout(tp),
            Pending::LossProbe => self.tcp_send_loss_probe(tp),
            Pending::Retrans => self.tcp_retransmit_timer(tp),
            Pending::Probe0 => self.tcp_probe_timer(tp),
        }
    }

    /// `tcp_clamp_probe0_to_user_timeout`: the timer does not wait beyond the user timeout.
    pub(super) fn tcp_clamp_probe0_to_user_timeout(&self, tp: &TcpSock, when: u64) -> u64 {
        let timeout_us = u64::from(tp.tunables.user_timeout) * 1000;
        if timeout_us == 0 || tp.probes_tstamp == 0 {
            return when;
        }
        let elapsed_us = self.now.0.saturating_sub(tp.probes_tstamp) / 1000;
        let left = super::usecs_to_jiffies(timeout_us.saturating_sub(elapsed_us).max(TCP_TIMEOUT_MIN_US));
        when.min(left)
    }

    /// `tcp_delack_timer_handler`: the time to wait for company is over.
    fn tcp_delack_timer_handler(&mut self, tp: &mut TcpSock) {
        if matches!(tp.state, super::TcpState::Close | super::TcpState::Listen) || !tp.ack.timer {
            return;
        }
        tp.ack.timer = false;
        if !tp.ack.sched {
            return;
        }
        self.trace.function(0, "tcp_delack_timer_handler");
        if tp.in_pingpong_mode() {
            // Missed: the application is not answering at once any more.
            tp.ack.pingpong = 0;
            tp.ack.ato = super::input::TCP_ATO_MIN;
        } else {
            tp.ack.ato = (tp.ack.ato << 1).min(tp.rto);
        }
        self.tcp_send_ack(tp);
        self.mib.inc(Counter::TcpExtDelayedAcks);
    }
}

#[cfg(test)]
mod tests {
    use super::wheel_expiry;
    use rstest::rstest;

    // Levels begin at 63, 504 and 4032 ticks, with granularities of 8, 64 and 512. With HZ 250 a timer of 200 ms is 50 ticks,
    // and one of 408 ms is 102 ticks, which Linux was seen to fire after 416 to 436 ms.
    #[rstest]
    #[case::the_first_level_adds_one(1000, 1050, 1051)]
    #[case::its_last(1000, 1062, 1063)]
    #[case::the_second_goes_to_the_next_eighth(1000, 1102, 1104)]
    #[case::also_from_an_eighth(1000, 1104, 1112)]
    #[case::the_third_to_the_next_64th(1000, 1600, 1600 + 64)]
    #[case::the_fourth(0, 5000, 5120)]
    #[case::a_time_that_is_past(1000, 900, 1001)]
    fn a_timer_fires_where_the_wheel_has_a_bucket(
        #[case] clk: u64,
        #[case] expires: u64,
        #[case] fires: u64,
    ) {
        assert_eq!(wheel_expiry(clk, expires), fires);
    }
}
