//! Whether a segment is acceptable: RFC 9293, section 3.10.7.4, in Linux's order, with PAWS (RFC 7323) and the challenge ACKs
//! of RFC 5961 (`tcp_validate_incoming`, 6.12).

use super::HZ;
use super::input::Incoming;
use super::seq::{after, before};
use super::sock::TcpSock;
use super::state::TcpState;
use crate::drop_reason::DropReason;
use crate::mib::Counter;
use crate::skb::Skb;
use crate::socket::epoll::Wake;
use crate::stack::Stack;
use crate::wire::tcp::{ACK, RST, SYN};

/// `TCP_PAWS_24DAYS`, in seconds: then a timestamp means nothing any more.
const PAWS_24DAYS: u64 = 60 * 60 * 24 * 24;
/// `TCP_PAWS_WINDOW`: how far back a timestamp may lie.
const PAWS_WINDOW: i32 = 1;

impl TcpSock {
    /// `tcp_paws_check` without the case of a connection that was silent for 24 days; `strict` for the reordering of a
    /// pure ACK.
    pub(crate) fn paws_rejects(&self, now_seconds: u64, rst: bool) -> bool {
        let rx = &self.rx_opt;
        if !rx.saw_tstamp || rx.ts_recent_stamp == 0 {
            return false;
        }
        if (rx.ts_recent.wrapping_sub(rx.rcv_tsval) as i32) <= PAWS_WINDOW {
            return false;
        }
        if now_seconds.saturating_sub(rx.ts_recent_stamp) >= PAWS_24DAYS || rx.ts_recent == 0 {
            return false;
        }
        // RFC 7323: a reset is not subject to it, once the timestamp is a minute old.
        !(rst && now_seconds.saturating_sub(rx.ts_recent_stamp) >= 60)
    }

    /// `tcp_disordered_ack`: a pure ACK that says nothing new, and was only overtaken.
    fn is_disordered_ack(&self, seg: &Incoming) -> bool {
        let rx = &self.rx_opt;
        seg.header.flags & ACK != 0
            && seg.seq() == self.rcv_nxt
            && seg.end_seq == seg.seq()
            && seg.ack == self.snd_una
            && u32::from(seg.header.window) << rx.snd_wscale == self.snd_wnd
            && i64::from(rx.ts_recent.wrapping_sub(rx.rcv_tsval) as i32)
                <= i64::try_from(self.rto * 1024 / HZ).unwrap_or(i64::MAX)
    }

    /// `tcp_sequence`: whether a segment touches the window.
    pub(crate) fn in_window(&self, seq: u32, end_seq: u32) -> Result<(), DropReason> {
        if before(end_seq, self.rcv_wup) {
            return Err(DropReason::TcpOldSequence);
        }
        if after(seq, self.rcv_nxt.wrapping_add(self.receive_window())) {
            return Err(DropReason::TcpInvalidSequence);
        }
        Ok(())
    }

    /// `tcp_reset_check`: a reset behind a FIN that was taken already.
    fn is_reset_behind_fin(&self, seg: &Incoming) -> bool {
        let before_rcv_nxt = seg.seq() == self.rcv_nxt.wrapping_sub(1);
        before_rcv_nxt && matches!(self.state, TcpState::CloseWait | TcpState::LastAck | TcpState::Closing)
    }
}

impl Stack {
    /// Seconds of the clock.
    pub(crate) fn seconds(&self) -> u64 {
        self.now.0 / 1_000_000_000 + 1
    }

    /// `tcp_replace_ts_recent`: the timestamp that is echoed is that of the segment at the left edge (RFC 7323, section 4.3).
    pub(crate) fn tcp_replace_ts_recent(&mut self, tp: &mut TcpSock, seg: &Incoming) {
        if !tp.rx_opt.saw_tstamp || after(seg.seq(), tp.rcv_wup) {
            return;
        }
        // A pure ACK behind a later one must not take the clock back.
        if (tp.rx_opt.rcv_tsval.wrapping_sub(tp.rx_opt.ts_recent) as i32) >= 0
            || tp.rx_opt.ts_recent_stamp == 0
        {
            self.tcp_store_ts_recent(tp);
        }
    }

    /// `tcp_store_ts_recent`.
    pub(crate) fn tcp_store_ts_recent(&mut self, tp: &mut TcpSock) {
        tp.rx_opt.ts_recent = tp.rx_opt.rcv_tsval;
        tp.rx_opt.ts_recent_stamp = self.seconds();
    }

    /// `tcp_oow_rate_limited`: whether an answer to a segment out of the window has to wait. Data is never limited.
    pub(crate) fn tcp_oow_rate_limited(&mut self, has_data: bool, last: &mut u64, counter: Counter) -> bool {
        if has_data {
            return false;
        }
        let limit = self.sysctl.tcp.invalid_ratelimit_ms * HZ / 1000;
        if *last != 0 && self.jiffies.saturating_sub(*last) < limit {
            self.mib.inc(counter);
            return true;
        }
        *last = self.jiffies.max(1);
        false
    }

    /// `tcp_send_challenge_ack`: the peer, if it is one, corrects itself (RFC 5961, section 7 limits the rate).
    pub(crate) fn tcp_send_challenge_ack(&mut self, tp: &mut TcpSock) {
        let mut last = tp.last_oow_ack_time;
        let limited = self.tcp_oow_rate_limited(false, &mut last, Counter::TcpExtAckSkippedChallenge);
        tp.last_oow_ack_time = last;
        if limited {
            return;
        }
        self.trace.function(0, "tcp_send_challenge_ack");
        self.mib.inc(Counter::TcpExtChallengeAck);
        self.tcp_send_ack(tp);
    }

    /// `tcp_send_dupack`: an answer to a segment that lies out of the window.
    fn tcp_send_dupack(&mut self, tp: &mut TcpSock, seg: &Incoming) {
        self.trace.function(0, "tcp_send_dupack");
        if seg.end_seq != seg.seq() && before(seg.seq(), tp.rcv_nxt) {
            self.mib.inc(Counter::TcpExtDelayedAckLost);
            Self::tcp_enter_quickack_mode(tp, super::input::TCP_MAX_QUICKACKS);
            if tp.rx_opt.sack_ok {
                let end = if after(seg.end_seq, tp.rcv_nxt) { tp.rcv_nxt } else { seg.end_seq };
                let enabled = self.sysctl.tcp.dsack;
                tp.dsack_set(seg.seq(), end, enabled, &mut self.mib);
            }
        }
        self.tcp_send_ack(tp);
    }

    /// An ACK in answer to what lies out of the window, no more often than the limit.
    fn tcp_answer_out_of_window(&mut self, tp: &mut TcpSock, seg: &Incoming, counter: Counter) {
        let mut last = tp.last_oow_ack_time;
        // A SYN or a segment without data may be one end of an endless exchange.
        let has_data = seg.payload_len > 0 && !seg.has(SYN);
        let limited = self.tcp_oow_rate_limited(has_data, &mut last, counter);
        tp.last_oow_ack_time = last;
        if !limited {
            self.tcp_send_dupack(tp, seg);
        }
    }

    /// `tcp_validate_incoming`. Gives the packet back when it is acceptable.
    #[inline]
    pub(crate) fn tcp_validate_incoming(
        &mut self,
        tp: &mut TcpSock,
        skb: Skb,
        seg: &Incoming,
    ) -> Option<Skb> {
        self.tcp_take_options(tp, seg);
        let newer = tp.rx_opt.rcv_tsval.wrapping_sub(tp.rx_opt.ts_recent) as i32 >= 0;
        // What was expected next is within the window, also when that is closed.
        if seg.seq() == tp.rcv_nxt && !seg.has(SYN | RST) && (newer || !tp.rx_opt.saw_tstamp) {
            return Some(skb);
        }
        self.tcp_validate_other(tp, skb, seg)
    }

    /// [`Self::tcp_validate_incoming`] of a segment that was not expected next, or is special.
    #[inline(never)]
    fn tcp_validate_other(&mut self, tp: &mut TcpSock, skb: Skb, seg: &Incoming) -> Option<Skb> {
        let rst = seg.has(RST);
        if tp.paws_rejects(self.seconds(), rst) && !tp.is_disordered_ack(seg) {
            if !rst {
                if seg.has(SYN) {
                    self.tcp_syn_challenge(tp, seg);
                    self.tcp_discard(skb, DropReason::TcpInvalidSyn);
                    return None;
                }
                self.mib.inc(Counter::TcpExtPawsEstab);
                self.tcp_answer_out_of_window(tp, seg, Counter::TcpExtAckSkippedPaws);
            }
            self.tcp_discard(skb, DropReason::TcpRfc7323Paws);
            return None;
        }
        if let Err(reason) = tp.in_window(seg.seq(), seg.end_seq) {
            if rst {
                if tp.is_reset_behind_fin(seg) {
                    self.tcp_reset(tp, seg);
                }
            } else if seg.has(SYN) {
                self.tcp_syn_challenge(tp, seg);
            } else {
                self.tcp_answer_out_of_window(tp, seg, Counter::TcpExtAckSkippedSeq);
            }
            self.tcp_discard(skb, reason);
            return None;
        }
        if rst {
            self.tcp_rcv_reset(tp, seg);
            self.tcp_discard(skb, DropReason::TcpReset);
            return None;
        }
        if seg.has(SYN) {
            if tp.state == TcpState::SynRecv
                && seg.has(ACK)
                && seg.seq().wrapping_add(1) == seg.end_seq
                && seg.end_seq == tp.rcv_nxt
                && seg.ack == tp.snd_nxt
            {
                // The SYN-ACK of a simultaneous open.
                return Some(skb);
            }
            self.tcp_syn_challenge(tp, seg);
            self.tcp_discard(skb, DropReason::TcpInvalidSyn);
            return None;
        }
        Some(skb)
    }

    /// RFC 5961, section 4: a SYN on a connection is answered by a challenge.
    fn tcp_syn_challenge(&mut self, tp: &mut TcpSock, _seg: &Incoming) {
        self.mib.inc(Counter::TcpInErrs);
        self.mib.inc(Counter::TcpExtSynChallenge);
        self.tcp_send_challenge_ack(tp);
    }

    /// RFC 5961, section 3: a reset counts when it is exactly at the left edge, or at the end of what was acknowledged
    /// selectively; else the peer is asked.
    fn tcp_rcv_reset(&mut self, tp: &mut TcpSock, seg: &Incoming) {
        let mut exact = seg.seq() == tp.rcv_nxt || tp.is_reset_behind_fin(seg);
        if !exact && tp.rx_opt.sack_ok && tp.num_sacks > 0 {
            let blocks = &tp.selective_acks[..usize::from(tp.num_sacks)];
            let highest = blocks.iter().fold(blocks[0].end, |end, block| super::seq::max(end, block.end));
            exact = seg.seq() == highest;
        }
        if exact {
            self.tcp_reset(tp, seg);
        } else {
            self.tcp_send_challenge_ack(tp);
        }
    }

    /// `tcp_reset`: the peer gave the connection up.
    pub(crate) fn tcp_reset(&mut self, tp: &mut TcpSock, seg: &Incoming) {
        self.trace.function(seg.packet, "tcp_reset");
        use crate::errno::Errno;
        match tp.state {
            TcpState::SynSent => tp.err = Some(Errno::ECONNREFUSED),
            TcpState::CloseWait => tp.err = Some(Errno::EPIPE),
            TcpState::Close => return,
            _ => tp.err = Some(Errno::ECONNRESET),
        }
        self.tcp_purge_write_queue(tp);
        self.tcp_done(tp);
        self.tcp_wake(tp, Wake::ErrorReport);
    }
}
