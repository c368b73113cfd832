//! When data goes: `tcp_write_xmit` with the congestion window, the peer's window, Nagle's algorithm with Minshall's test,
//! and the cutting and deferring of large packets (Linux 6.12).

use super::segment::TxSegment;
use super::seq::after;
use super::sock::{CaState, NAGLE_CORK, NAGLE_OFF, NAGLE_PUSH, Pending, TCP_MSS_DEFAULT, TcpSock};
use super::state::TcpState;
use super::transmit::{GSO_MAX_SEGS, GSO_MAX_SIZE};
use crate::mib::Counter;
use crate::stack::Stack;
use crate::wire::ipv4::HEADER_BYTES as IP_BYTES;
use crate::wire::tcp::{FIN, HEADER_BYTES};
use alloc::collections::VecDeque;

/// `tcp_tso_win_divisor`: a large packet waits for a third of the window.
const TSO_WIN_DIVISOR: u32 = 3;
/// `tcp_tso_rtt_log`: at 2^9 µs of round trip the bonus for large packets halves.
const TSO_RTT_LOG: u32 = 9;
/// `sk_pacing_shift`: a large packet carries a millisecond's worth.
const PACING_SHIFT: u32 = 10;
/// `tcp_min_snd_mss`.
const MIN_SND_MSS: u32 = 48;

/// How `tcp_write_xmit` is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushOne {
    /// All that may go.
    No,
    /// One packet.
    One,
    /// One packet, also when the congestion window is full: a tail loss probe.
    LossProbe,
}

/// What [`Stack::tcp_write_xmit`] goes by.
struct Sending {
    mss: u32,
    nonagle: u8,
    push_one: PushOne,
}

impl TcpSock {
    /// `tcp_bound_to_half_wnd`: no packet larger than half of the largest window that the peer ever had.
    pub(crate) fn bound_to_half_wnd(&self, size: u32) -> u32 {
        let cutoff = if self.max_window > TCP_MSS_DEFAULT { self.max_window >> 1 } else { self.max_window };
        if cutoff != 0 && size > cutoff {
            cutoff.max(68_u32.saturating_sub(self.tcp_header_len))
        } else {
            size
        }
    }

    /// `tcp_mtu_to_mss`.
    pub(crate) fn mtu_to_mss(&self, mtu: u32) -> u32 {
        let mss = mtu.saturating_sub((IP_BYTES + HEADER_BYTES) as u32).min(self.rx_opt.mss_clamp);
        mss.max(MIN_SND_MSS).saturating_sub(self.tcp_header_len - HEADER_BYTES as u32)
    }

    /// `tcp_sync_mss`.
    pub(crate) fn sync_mss(&mut self, pmtu: u32) -> u32 {
        let mss = self.bound_to_half_wnd(self.mtu_to_mss(pmtu));
        self.pmtu_cookie = pmtu;
        self.mss_cache = mss.max(1);
        self.mss_cache
    }

    /// `forced_push`: more than half of the window was written without a push.
    pub(crate) fn forced_push(&self) -> bool {
        after(self.write_seq, self.pushed_seq.wrapping_add(self.max_window >> 1))
    }

    /// `tcp_nagle_check`: whether a small packet has to wait.
    fn nagle_check(&self, partial: bool, nonagle: u8) -> bool {
        let minshall = after(self.snd_sml, self.snd_una) && !after(self.snd_sml, self.snd_nxt);
        partial && (nonagle & NAGLE_CORK != 0 || (nonagle == 0 && self.packets_out > 0 && minshall))
    }

    /// `tcp_nagle_test`: whether the packet may go.
    fn nagle_test(&self, segment: &TxSegment, mss: u32, nonagle: u8) -> bool {
        nonagle & NAGLE_PUSH != 0
            || self.urg_mode()
            || segment.flags & FIN != 0
            || !self.nagle_check(segment.len < mss, nonagle)
    }

    /// `tcp_snd_wnd_test`: whether at least one segment of the packet fits into the peer's window.
    pub(crate) fn snd_wnd_test(&self, segment: &TxSegment, mss: u32) -> bool {
        let end = if segment.len > mss { segment.seq.wrapping_add(mss) } else { segment.end_seq };
        !after(end, self.wnd_end())
    }

    /// `tcp_cwnd_test`: segments that may go; at least two large packets fit into a window.
    fn cwnd_test(&self) -> u32 {
        let in_flight = self.packets_in_flight();
        if in_flight >= self.snd_cwnd {
            return 0;
        }
        let half = (self.snd_cwnd >> 1).max(1);
        half.min(self.snd_cwnd - in_flight)
    }

    /// `tcp_tso_segs`: segments that a large packet has at most, by the pace of the connection.
    pub(crate) fn tso_segs(&self, mss: u32, min_tso_segs: u32) -> u32 {
        let mut bytes = self.pacing_rate >> PACING_SHIFT;
        let shift = self.least_rtt() >> TSO_RTT_LOG;
        if shift < 32 {
            bytes += u64::from(GSO_MAX_SIZE >> shift);
        }
        let bytes = bytes.min(u64::from(GSO_MAX_SIZE)) as u32;
        (bytes / mss.max(1)).max(min_tso_segs).min(GSO_MAX_SEGS)
    }

    /// `tcp_mss_split_point`: bytes of the packet that go now.
    fn mss_split_point(&self, segment: &TxSegment, last: bool, mss: u32, max_segs: u32, nonagle: u8) -> u32 {
        let window = self.wnd_end().wrapping_sub(segment.seq);
        let max_len = mss.saturating_mul(max_segs);
        if max_len <= window && !last {
            return max_len;
        }
        let needed = segment.len.min(window);
        if max_len <= needed {
            return max_len;
        }
        let partial = needed % mss;
        if self.nagle_check(partial != 0, nonagle) { needed - partial } else { needed }
    }

    /// `tcp_minshall_update`.
    fn minshall_update(&mut self, mss: u32, len: u32, pcount: u32, end_seq: u32) {
        if len < pcount.saturating_mul(mss) {
            self.snd_sml = end_seq;
        }
    }
}

impl Stack {
    /// `tcp_current_mss`: payload of a segment that is sent now; follows the path's MTU and the options' size.
    #[inline(always)]
    pub(crate) fn tcp_current_mss(&mut self, tp: &mut TcpSock) -> u32 {
        let mut mss = tp.mss_cache;
        if let Ok(route) = self.tcp_route(tp)
            && route.mtu != tp.pmtu_cookie
        {
            mss = tp.sync_mss(route.mtu);
        }
        let header = tp.header_len_now();
        (mss + tp.tcp_header_len).saturating_sub(header).max(1)
    }

    /// `tcp_send_mss`: payload of a segment, and of a large packet.
    #[inline(always)]
    pub(crate) fn tcp_send_mss(&mut self, tp: &mut TcpSock) -> (u32, u32) {
        let mss = self.tcp_current_mss(tp);
        let goal = tp.bound_to_half_wnd(GSO_MAX_SIZE);
        (mss, (goal / mss).clamp(1, GSO_MAX_SEGS) * mss)
    }

    /// `__tcp_push_pending_frames`.
    pub(crate) fn tcp_push_pending_frames(&mut self, tp: &mut TcpSock, mss: u32, nonagle: u8) {
        if tp.state == TcpState::Close {
            return;
        }
        self.trace.function(0, "__tcp_push_pending_frames");
        if self.tcp_write_xmit(tp, mss, nonagle, PushOne::No) {
            self.tcp_check_probe_timer(tp);
        }
    }

    /// `tcp_push_pending_frames`: with the socket's own Nagle.
    #[inline(always)]
    pub(crate) fn tcp_push_pending(&mut self, tp: &mut TcpSock) {
        if !tp.wq.is_empty() {
            let (mss, nonagle) = (self.tcp_current_mss(tp), tp.nonagle);
            self.tcp_push_pending_frames(tp, mss, nonagle);
        }
    }

    /// `tcp_check_probe_timer`: data waits, and nothing is under way that would bring an ACK.
    pub(crate) fn tcp_check_probe_timer(&mut self, tp: &mut TcpSock) {
        if tp.packets_out == 0 && tp.pending == Pending::None && !tp.wq.is_empty() {
            let when = tp.rto.max(super::rtt::TCP_RTO_MIN);
            self.tcp_reset_xmit_timer(tp, Pending::Probe0, when);
        }
    }

    /// `tcp_write_xmit`: sends what may be sent. Whether data waits while nothing is under way.
    pub(crate) fn tcp_write_xmit(
        &mut self,
        tp: &mut TcpSock,
        mss: u32,
        nonagle: u8,
        push_one: PushOne,
    ) -> bool {
        self.trace.function(0, "tcp_write_xmit");
        // A timer that a loss probe takes over need not be set before.
        let rearm = tp.packets_out == 0 || tp.pending == Pending::LossProbe;
        let how = Sending { mss, nonagle, push_one };
        let small = tp.wq.len() == 1 && tp.wq.front().is_some_and(|only| only.len <= mss);
        let (sent, mut is_cwnd_limited) = match small {
            true => (self.tcp_xmit_small(tp, &how), false),
            false => self.tcp_xmit_queue(tp, &how),
        };
        is_cwnd_limited |= tp.packets_in_flight() >= tp.snd_cwnd;
        if sent > 0 || is_cwnd_limited {
            self.tcp_cwnd_validate(tp, is_cwnd_limited);
        }
        if sent > 0 {
            if tp.in_cwnd_reduction() {
                tp.prr_out += sent;
            }
            let probes = push_one != PushOne::LossProbe && self.tcp_schedule_loss_probe(tp, false);
            if rearm && !probes {
                self.tcp_rearm_rto(tp);
            }
            return false;
        }
        tp.packets_out == 0 && !tp.wq.is_empty()
    }

    /// Sends the only packet of the queue, which is not larger than a segment; gives 0 when it may not go.
    #[inline(always)]
    fn tcp_xmit_small(&mut self, tp: &mut TcpSock, how: &Sending) -> u32 {
        if tp.cwnd_test() == 0 && how.push_one != PushOne::LossProbe {
            return 0;
        }
        let mut wq = core::mem::take(&mut tp.wq);
        let segments = wq.front_mut().and_then(|head| {
            head.pcount = 1;
            let goes = tp.snd_wnd_test(head, how.mss) && tp.nagle_test(head, how.mss, how.nonagle);
            if goes { self.tcp_transmit_head(tp, head, how.mss) } else { None }
        });
        if segments.is_some() {
            self.tcp_head_went(tp, &mut wq);
        }
        tp.wq = wq;
        segments.unwrap_or(0)
    }

    /// Sends what may go of the queue; gives its segments, and whether the congestion window is what made a packet wait.
    #[inline(never)]
    fn tcp_xmit_queue(&mut self, tp: &mut TcpSock, how: &Sending) -> (u32, bool) {
        let (mut sent, mut is_cwnd_limited) = (0, false);
        let max_segs = tp.tso_segs(how.mss, self.sysctl.tcp.min_tso_segs);
        while !tp.wq.is_empty() {
            let quota = match tp.cwnd_test() {
                0 if how.push_one == PushOne::LossProbe => 1,
                0 => break,
                quota => quota.min(max_segs),
            };
            if tp.wq.len() > 1 {
                self.tcp_grow_head(tp, quota, how.mss);
            }
            // Nobody else looks into the queue while its first packet is looked at, and goes.
            let mut wq = core::mem::take(&mut tp.wq);
            let segments = self.tcp_xmit_head(tp, &mut wq, how, (max_segs, quota), &mut is_cwnd_limited);
            tp.wq = wq;
            let Some(segments) = segments else { break };
            sent += segments;
            if how.push_one != PushOne::No {
                break;
            }
        }
        (sent, is_cwnd_limited)
    }

    /// Sends what may go of the first packet of the queue, which the caller has taken out of the socket; gives its segments.
    /// `None`, and it stays the first, when nothing went.
    #[inline(always)]
    fn tcp_xmit_head(
        &mut self,
        tp: &mut TcpSock,
        wq: &mut VecDeque<TxSegment>,
        how: &Sending,
        (max_segs, quota): (u32, u32),
        is_cwnd_limited: &mut bool,
    ) -> Option<u32> {
        let mss = how.mss;
        let last = wq.len() == 1;
        let mut head = wq.front_mut()?;
        let tso_segs = head.set_segments(mss);
        if !tp.snd_wnd_test(head, mss) {
            return None;
        }
        let mut limit = mss;
        if tso_segs == 1 {
            if !tp.nagle_test(head, mss, if last { how.nonagle } else { NAGLE_PUSH }) {
                return None;
            }
        } else {
            if how.push_one == PushOne::No
                && self.tcp_tso_should_defer(tp, head, last, max_segs, is_cwnd_limited)
            {
                return None;
            }
            if !tp.urg_mode() {
                limit = tp.mss_split_point(head, last, mss, quota, how.nonagle);
            }
            if limit == 0 {
                return None;
            }
            if head.len > limit {
                let rest = head.split(&mut self.skbs, limit, mss);
                wq.insert(1, rest);
                self.tcp_wmem_add(tp, super::segment::SEGMENT_TRUESIZE);
                head = wq.front_mut()?;
            }
        }
        let segments = self.tcp_transmit_head(tp, head, mss)?;
        self.tcp_head_went(tp, wq);
        Some(segments)
    }

    /// Sends the first packet of a queue; gives its segments.
    #[inline(always)]
    fn tcp_transmit_head(&mut self, tp: &mut TcpSock, head: &mut TxSegment, mss: u32) -> Option<u32> {
        self.tcp_transmit_skb(tp, head, mss).ok()?;
        head.mstamp = self.tcp_mstamp();
        Some(self.tcp_event_new_data_sent(tp, (head.end_seq, head.len, head.pcount.max(1)), mss))
    }

    /// The first packet of the queue is one of those under way now.
    #[inline(always)]
    fn tcp_head_went(&self, tp: &mut TcpSock, wq: &mut VecDeque<TxSegment>) {
        if wq.len() == 1 && tp.rtx.is_empty() {
            // The queues change places, and the packet stays where it is.
            core::mem::swap(wq, &mut tp.rtx);
        } else if let Some(segment) = wq.pop_front() {
            tp.rtx.push_back(segment);
        }
    }

    /// `tcp_grow_skb`: fills the first packet up from the next, as far as it may go at once.
    fn tcp_grow_head(&mut self, tp: &mut TcpSock, quota: u32, mss: u32) {
        let [first, ..] = tp.wq.make_contiguous() else { return };
        let missing = quota.saturating_mul(mss).saturating_sub(first.len);
        if missing == 0 || first.eor || tp.wq.len() < 2 {
            return;
        }
        let Some(mut first) = tp.wq.pop_front() else { return };
        if let Some(next) = tp.wq.front_mut() {
            let moved = first.pull_from(&mut self.skbs, next, missing, mss);
            if moved > 0 && next.len == 0 {
                first.flags |= next.flags;
                first.end_seq = next.end_seq;
                first.eor = next.eor;
                if let Some(empty) = tp.wq.pop_front() {
                    tp.wmem_queued = tp.wmem_queued.saturating_sub(super::segment::SEGMENT_TRUESIZE);
                    empty.free(&mut self.skbs);
                }
            }
        }
        tp.wq.push_front(first);
    }

    /// `tcp_event_new_data_sent`: what was the first packet is under way now. Gives its segments.
    #[inline(always)]
    fn tcp_event_new_data_sent(
        &mut self,
        tp: &mut TcpSock,
        (end_seq, len, pcount): (u32, u32, u32),
        mss: u32,
    ) -> u32 {
        tp.snd_nxt = end_seq;
        tp.packets_out += pcount;
        self.mib.add(Counter::TcpExtOrigDataSent, pcount as usize);
        tp.minshall_update(mss, len, pcount, end_seq);
        if tp.nospace {
            self.tcp_check_space(tp);
        }
        pcount
    }

    /// `tcp_tso_should_defer`: whether a packet that is not full had better wait for the next ACK.
    fn tcp_tso_should_defer(
        &self,
        tp: &TcpSock,
        segment: &TxSegment,
        last: bool,
        max_segs: u32,
        is_cwnd_limited: &mut bool,
    ) -> bool {
        if tp.ca_state >= CaState::Recovery || self.now.0.saturating_sub(tp.wstamp_ns) > 1_000_000 {
            return false;
        }
        let send_win = tp.wnd_end().wrapping_sub(segment.seq);
        let cong_win = tp.snd_cwnd.saturating_sub(tp.packets_in_flight()).saturating_mul(tp.mss_cache);
        let limit = send_win.min(cong_win);
        let chunk = tp.snd_wnd.min(tp.snd_cwnd.saturating_mul(tp.mss_cache)) / TSO_WIN_DIVISOR;
        if limit >= max_segs.saturating_mul(tp.mss_cache) || (!last && limit >= segment.len) || limit >= chunk
        {
            return false;
        }
        let Some(head) = tp.rtx.front() else { return false };
        // An ACK that is expected later than half a round trip from now comes too late.
        let age = self.tcp_mstamp().saturating_sub(head.mstamp);
        if age < u64::from(tp.srtt_us >> 4) {
            return false;
        }
        if cong_win < send_win {
            if cong_win <= segment.len {
                *is_cwnd_limited = true;
                return true;
            }
        } else if send_win <= segment.len {
            return true;
        }
        segment.flags & FIN == 0 && !segment.eor
    }

    /// `tcp_send_fin`: a FIN behind what is still to be sent.
    #[inline(always)]
    pub(crate) fn tcp_send_fin(&mut self, tp: &mut TcpSock) {
        self.trace.function(0, "tcp_send_fin");
        if let Some(tail) = tp.wq.back_mut() {
            tail.flags |= FIN;
            tail.end_seq = tail.end_seq.wrapping_add(1);
        } else {
            let packet = self.trace.made(&[], 0);
            tp.wq.push_back(TxSegment::new(tp.write_seq, crate::wire::tcp::ACK | FIN, packet));
            self.tcp_wmem_add(tp, super::segment::SEGMENT_TRUESIZE);
        }
        tp.write_seq = tp.write_seq.wrapping_add(1);
        let mss = self.tcp_current_mss(tp);
        self.tcp_push_pending_frames(tp, mss, NAGLE_OFF);
    }

    /// More memory lies in the queues of a socket.
    #[inline]
    pub(crate) fn tcp_wmem_add(&mut self, tp: &mut TcpSock, truesize: u32) {
        let _ = self;
        tp.wmem_queued += truesize;
    }

    /// `tcp_push_one` and `tcp_check_probe_timer`'s counterpart for a small queue: one packet.
    pub(crate) fn tcp_push_one(&mut self, tp: &mut TcpSock, mss: u32) {
        self.tcp_write_xmit(tp, mss, NAGLE_PUSH, PushOne::One);
    }

    /// A counter for what could not be sent for want of memory.
    pub(crate) fn tcp_count_memory_failure(&mut self) {
        self.tcp.memory_failures += 1;
        self.mib.inc(Counter::TcpExtMemoryPressures);
    }
}
