//! Sending again: `__tcp_retransmit_skb`, the retransmission timer with its back-off and limits, and the tail
//! loss probe (RFC 6298, RFC 8985; Linux 6.12).

use super::output::PushOne;
use super::rtt::{TCP_RTO_MAX, TCP_RTO_MIN, TCP_TIMEOUT_INIT};
use super::segment::{EVER_RETRANS, LOST, SACKED_ACKED, SACKED_RETRANS};
use super::seq::{after, before};
use super::sock::{CaState, NAGLE_OFF, Pending, TcpSock};
use super::state::TcpState;
use super::{HZ, jiffies_to_usecs, usecs_to_jiffies};
use crate::errno::Errno;
use crate::mib::Counter;
use crate::socket::epoll::Wake;
use crate::stack::Stack;
use crate::wire::ipv4::IPPROTO_TCP;
use crate::wire::tcp::{CWR, ECE, FIN, PSH, SYN};

/// `TCP_TIMEOUT_MIN_US`.
pub(crate) const TCP_TIMEOUT_MIN_US: u64 = 2000;
/// `TCP_RESOURCE_PROBE_INTERVAL`: half a second.
pub(crate) const TCP_RESOURCE_PROBE_INTERVAL: u64 = HZ / 2;

impl Stack {
    /// `tcp_rearm_rto`.
    pub(crate) fn tcp_rearm_rto(&mut self, tp: &mut TcpSock) {
        self.trace.function(0, "tcp_rearm_rto");
        if tp.packets_out == 0 {
            Self::tcp_clear_xmit_timer(tp);
            return;
        }
        let mut rto = tp.rto;
        if matches!(tp.pending, Pending::ReoTimeout | Pending::LossProbe) {
            rto = usecs_to_jiffies(self.tcp_rto_delta_us(tp).max(1) as u64);
        }
        self.tcp_reset_xmit_timer(tp, Pending::Retrans, rto);
    }

    /// `tcp_rto_delta_us`: the time that is left to the first packet.
    fn tcp_rto_delta_us(&self, tp: &TcpSock) -> i64 {
        let sent = tp.rtx.front().map_or(0, |head| head.mstamp);
        (sent + jiffies_to_usecs(tp.rto)) as i64 - self.tcp_mstamp() as i64
    }

    /// `tcp_schedule_loss_probe`: whether the timer is set for a probe.
    #[inline]
    pub(crate) fn tcp_schedule_loss_probe(&mut self, tp: &mut TcpSock, advancing_rto: bool) -> bool {
        self.trace.function(0, "tcp_schedule_loss_probe");
        tp.packets_out != 0 && self.tcp_arm_loss_probe(tp, advancing_rto)
    }

    fn tcp_arm_loss_probe(&mut self, tp: &mut TcpSock, advancing_rto: bool) -> bool {
        let enabled = matches!(self.sysctl.tcp.early_retrans, 3 | 4);
        if !enabled || !tp.rx_opt.sack_ok || !matches!(tp.ca_state, CaState::Open | CaState::Cwr) {
            return false;
        }
        let mut timeout_us = if tp.srtt_us > 0 {
            let more =
                if tp.packets_out == 1 { self.sysctl.tcp.rto_min_us.into() } else { TCP_TIMEOUT_MIN_US };
            u64::from(tp.srtt_us >> 2) + more
        } else {
            jiffies_to_usecs(TCP_TIMEOUT_INIT)
        };
        let rto_us = if advancing_rto { jiffies_to_usecs(tp.rto) as i64 } else { self.tcp_rto_delta_us(tp) };
        if rto_us > 0 {
            timeout_us = timeout_us.min(rto_us as u64);
        }
        self.tcp_reset_xmit_timer(tp, Pending::LossProbe, usecs_to_jiffies(timeout_us));
        true
    }

    /// `tcp_send_loss_probe`: new data if there is some, else the last segment again.
    pub(crate) fn tcp_send_loss_probe(&mut self, tp: &mut TcpSock) {
        self.trace.function(0, "tcp_send_loss_probe");
        if tp.tlp_high_seq == 0 && self.tcp_loss_probe_sent(tp) {
            tp.tlp_high_seq = tp.snd_nxt;
            self.mib.inc(Counter::TcpExtLossProbes);
            // The timer counts from the probe on.
            tp.pending = Pending::None;
        }
        self.tcp_rearm_rto(tp);
    }

    fn tcp_loss_probe_sent(&mut self, tp: &mut TcpSock) -> bool {
        tp.tlp_retrans = false;
        let mss = self.tcp_current_mss(tp);
        if tp.wq.front().is_some_and(|head| tp.snd_wnd_test(head, mss)) {
            let before = tp.packets_out;
            self.tcp_write_xmit(tp, mss, NAGLE_OFF, PushOne::LossProbe);
            return tp.packets_out > before;
        }
        let Some(last) = tp.rtx.len().checked_sub(1) else { return false };
        let mut at = last;
        let (pcount, len) = (tp.rtx[at].pcount, tp.rtx[at].len);
        if pcount > 1 && len > (pcount - 1) * mss {
            self.tcp_fragment_rtx(tp, at, (pcount - 1) * mss, mss);
            at += 1;
        }
        if !self.tcp_retransmit_raw(tp, at, 1) {
            return false;
        }
        tp.tlp_retrans = true;
        true
    }

    /// `tcp_fragment` of a packet in the retransmission queue, with the counts of segments.
    pub(crate) fn tcp_fragment_rtx(&mut self, tp: &mut TcpSock, at: usize, len: u32, mss: u32) {
        let old = tp.rtx[at].pcount;
        let rest = tp.rtx[at].split(&mut self.skbs, len, mss);
        let new = tp.rtx[at].pcount + rest.pcount;
        let sacked = rest.sacked;
        tp.rtx.insert(at + 1, rest);
        tp.wmem_queued += super::segment::SEGMENT_TRUESIZE;
        tp.adjust_pcount(sacked, i64::from(new) - i64::from(old));
    }

    /// `__tcp_retransmit_skb`: sends a packet of the queue again, at most `segs` segments of it. Whether it left.
    fn tcp_retransmit_raw(&mut self, tp: &mut TcpSock, at: usize, segs: u32) -> bool {
        if self.tcp_still_in_host_queue(tp, at) {
            self.mib.inc(Counter::TcpExtSpuriousRtxHostQueues);
            return false;
        }
        if before(tp.rtx[at].seq, tp.snd_una) {
            let acked = tp.snd_una.wrapping_sub(tp.rtx[at].seq);
            let mss = tp.mss_cache;
            let old = tp.rtx[at].pcount;
            tp.rtx[at].trim_head(&mut self.skbs, acked, mss);
            let (new, sacked) = (tp.rtx[at].pcount, tp.rtx[at].sacked);
            tp.wmem_queued = tp.wmem_queued.saturating_sub(acked);
            tp.adjust_pcount(sacked, i64::from(new) - i64::from(old));
        }
        let mss = self.tcp_current_mss(tp);
        let mut room = tp.wnd_end().wrapping_sub(tp.rtx[at].seq) as i32;
        if room <= 0 {
            // The peer took its window back: only the first packet goes, as a probe.
            if tp.rtx[at].seq != tp.snd_una {
                return false;
            }
            room = mss as i32;
        }
        let room = room as u32;
        let mut len = mss.saturating_mul(segs);
        if len > room {
            len = if room >= mss { room - room % mss } else { room };
        }
        if tp.rtx[at].len > len {
            self.tcp_fragment_rtx(tp, at, len, mss);
        } else {
            let old = tp.rtx[at].pcount;
            let (new, sacked) = (tp.rtx[at].set_segments(mss), tp.rtx[at].sacked);
            tp.adjust_pcount(sacked, i64::from(new) - i64::from(old));
            if tp.rtx[at].len < mss.min(room) {
                self.tcp_retrans_try_collapse(tp, at, mss.min(room), mss);
            }
        }
        if tp.rtx[at].flags & (SYN | ECE | CWR) == SYN | ECE | CWR {
            // RFC 3168, section 6.1.1.1: a SYN that is sent again asks for ECN no more.
            tp.rtx[at].flags &= !(ECE | CWR);
        }
        let segment = tp.rtx[at].clone();
        let segs = segment.pcount.max(1);
        self.mib.add(Counter::TcpRetransSegs, segs as usize);
        if segment.flags & SYN != 0 {
            self.mib.inc(Counter::TcpExtSynRetrans);
        }
        tp.total_retrans = tp.total_retrans.wrapping_add(segs);
        tp.bytes_retrans += u64::from(segment.len);
        self.trace.function(segment.packet, "__tcp_retransmit_skb");
        let sent = self.tcp_transmit_skb(tp, &segment, mss).is_ok();
        tp.rtx[at].sacked |= EVER_RETRANS;
        if sent {
            tp.rtx[at].mstamp = self.tcp_mstamp();
        } else {
            self.mib.inc(Counter::TcpExtRetransFail);
        }
        sent
    }

    /// `skb_still_in_host_queue`: whether a packet of the queue waits for its neighbour's address still. (What waits in a
    /// qdisc is not looked at.)
    fn tcp_still_in_host_queue(&self, tp: &TcpSock, at: usize) -> bool {
        let (Some((_, route)), Some(segment)) = (tp.cached_route, tp.rtx.get(at)) else { return false };
        let mut begins = [0; 8];
        begins[..2].copy_from_slice(&tp.sport.to_be_bytes());
        begins[2..4].copy_from_slice(&tp.dport.to_be_bytes());
        begins[4..].copy_from_slice(&segment.seq.to_be_bytes());
        self.neigh_table(route.oif).holds(route.nexthop(), &self.skbs, |skb| {
            let header = |at: u16, len| self.skbs.mem.bytes(skb.head_at + usize::from(at), len);
            header(skb.network_header + 9, 1) == [IPPROTO_TCP] && header(skb.transport_header, 8) == begins
        })
    }

    /// `tcp_retrans_try_collapse`: small packets that follow go with the one that is sent again.
    fn tcp_retrans_try_collapse(&mut self, tp: &mut TcpSock, at: usize, space: u32, mss: u32) {
        if tp.rtx[at].flags & SYN != 0 {
            return;
        }
        while at + 1 < tp.rtx.len() {
            let (this, next) = (&tp.rtx[at], &tp.rtx[at + 1]);
            let whole = this.len + next.len <= space && !after(next.end_seq, tp.wnd_end());
            let alike = this.sacked & SACKED_ACKED == 0 && next.sacked & (SACKED_ACKED | SACKED_RETRANS) == 0;
            if !whole || !alike || this.eor || this.flags & FIN != 0 || next.len == 0 {
                return;
            }
            let Some(mut next) = tp.rtx.remove(at + 1) else { return };
            let (want, end_seq, flags, eor) = (next.len, next.end_seq, next.flags, next.eor);
            let moved = tp.rtx[at].pull_from(&mut self.skbs, &mut next, want, mss);
            if moved < want {
                tp.rtx.insert(at + 1, next);
                return;
            }
            let (pcount, sacked) = (next.pcount.max(1), next.sacked);
            next.free(&mut self.skbs);
            tp.wmem_queued = tp.wmem_queued.saturating_sub(super::segment::SEGMENT_TRUESIZE);
            tp.adjust_pcount(sacked, -i64::from(pcount));
            let this = &mut tp.rtx[at];
            this.end_seq = end_seq;
            this.flags |= flags & (FIN | PSH);
            this.eor = eor;
            this.sacked |= sacked & EVER_RETRANS;
            this.set_segments(mss);
        }
    }

    /// `tcp_retransmit_skb`.
    pub(crate) fn tcp_retransmit_skb(&mut self, tp: &mut TcpSock, at: usize, segs: u32) -> bool {
        self.trace.function(0, "tcp_retransmit_skb");
        let sent = self.tcp_retransmit_raw(tp, at, segs);
        if sent {
            tp.rtx[at].sacked |= SACKED_RETRANS;
            let pcount = tp.rtx[at].pcount.max(1);
            tp.retrans_out += pcount;
        }
        // The first that was tried counts, whether or not it left.
        if let Some(segment) = tp.rtx.get(at) {
            if tp.retrans_stamp == 0 {
                tp.retrans_stamp = ((segment.mstamp / 1000) as u32).max(1);
            }
            tp.undo_retrans = tp.undo_retrans.max(0) + i64::from(segment.pcount.max(1));
        }
        sent
    }

    /// `tcp_xmit_retransmit_queue`: sends again what is taken for lost, as the window allows.
    pub(crate) fn tcp_xmit_retransmit_queue(&mut self, tp: &mut TcpSock) {
        if tp.packets_out == 0 {
            return;
        }
        self.trace.function(0, "tcp_xmit_retransmit_queue");
        let mss = tp.mss_cache;
        let max_segs = tp.tso_segs(mss, self.sysctl.tcp.min_tso_segs);
        let (mut rearm, mut at) = (false, 0);
        while at < tp.rtx.len() {
            let room = tp.snd_cwnd.saturating_sub(tp.packets_in_flight());
            if room == 0 || tp.retrans_out >= tp.lost_out {
                break;
            }
            let sacked = tp.rtx[at].sacked;
            if sacked & LOST == 0 || sacked & (SACKED_ACKED | SACKED_RETRANS) != 0 {
                at += 1;
                continue;
            }
            let in_loss = tp.ca_state == CaState::Loss;
            if !self.tcp_retransmit_skb(tp, at, room.min(max_segs)) {
                break;
            }
            let segs = tp.rtx[at].pcount.max(1);
            let counter = if in_loss { Counter::TcpExtSlowStartRetrans } else { Counter::TcpExtFastRetrans };
            self.mib.add(counter, segs as usize);
            if tp.in_cwnd_reduction() {
                tp.prr_out += segs;
            }
            rearm |= at == 0 && tp.pending != Pending::ReoTimeout;
            at += 1;
        }
        if rearm {
            let rto = tp.rto;
            self.tcp_reset_xmit_timer(tp, Pending::Retrans, rto);
        }
    }

    /// `tcp_retransmit_timer`.
    pub(crate) fn tcp_retransmit_timer(&mut self, tp: &mut TcpSock) {
        if tp.packets_out == 0 || tp.rtx.is_empty() {
            return;
        }
        self.trace.function(0, "tcp_retransmit_timer");
        let opening = matches!(tp.state, TcpState::SynSent | TcpState::SynRecv);
        if tp.snd_wnd == 0 && !tp.dead && !opening {
            let silent = self.jiffies.saturating_sub(tp.rcv_tstamp);
            if silent > TCP_RTO_MAX {
                return self.tcp_write_err(tp);
            }
            self.tcp_enter_loss(tp);
            self.tcp_retransmit_skb(tp, 0, 1);
            return self.tcp_back_off(tp);
        }
        self.mib.inc(Counter::TcpExtTimeouts);
        if self.tcp_write_timeout(tp) {
            return;
        }
        if tp.retransmits == 0 {
            self.tcp_count_timeout(tp);
        }
        self.tcp_enter_loss(tp);
        tp.retransmits = tp.retransmits.saturating_add(1);
        tp.total_rto = tp.total_rto.saturating_add(1);
        if !self.tcp_retransmit_skb(tp, 0, 1) && !self.tcp_still_in_host_queue(tp, 0) {
            let when = tp.rto.min(TCP_RESOURCE_PROBE_INTERVAL);
            return self.tcp_reset_xmit_timer(tp, Pending::Retrans, when);
        }
        self.tcp_back_off(tp);
    }

    fn tcp_count_timeout(&mut self, tp: &TcpSock) {
        match tp.ca_state {
            CaState::Recovery if tp.rx_opt.sack_ok => self.mib.inc(Counter::TcpExtSackRecoveryFail),
            CaState::Recovery => self.mib.inc(Counter::TcpExtRenoRecoveryFail),
            CaState::Loss => self.mib.inc(Counter::TcpExtLossFailures),
            CaState::Disorder if tp.rx_opt.sack_ok => self.mib.inc(Counter::TcpExtSackFailures),
            CaState::Disorder => self.mib.inc(Counter::TcpExtRenoFailures),
            _ => {}
        }
    }

    /// The end of [`Self::tcp_retransmit_timer`]: the next time-out is twice as far, but for the first SYNs.
    fn tcp_back_off(&mut self, tp: &mut TcpSock) {
        if tp.state != TcpState::SynSent || tp.total_rto > self.sysctl.tcp.syn_linear_timeouts.into() {
            tp.backoff = tp.backoff.saturating_add(1);
            tp.rto = (tp.rto << 1).min(TCP_RTO_MAX);
        }
        let rto = self.tcp_clamp_rto_to_user_timeout(tp);
        self.tcp_reset_xmit_timer(tp, Pending::Retrans, rto);
    }

    fn tcp_clamp_rto_to_user_timeout(&self, tp: &TcpSock) -> u64 {
        if tp.tunables.user_timeout == 0 {
            return tp.rto;
        }
        let elapsed = self.tcp_time_stamp().wrapping_sub(tp.retrans_stamp);
        let left = tp.tunables.user_timeout.saturating_sub(elapsed);
        if left == 0 { 1 } else { tp.rto.min(usecs_to_jiffies(u64::from(left) * 1000)) }
    }

    /// `retransmits_timed_out`: whether the connection was silent as long as `boundary` retransmissions take, or `timeout`
    /// milliseconds if that is not 0.
    fn retransmits_timed_out(&self, tp: &TcpSock, boundary: u32, timeout: u32) -> bool {
        if tp.retransmits == 0 {
            return false;
        }
        let start = if tp.retrans_stamp != 0 {
            tp.retrans_stamp
        } else {
            tp.rtx.front().map_or(0, |head| (head.mstamp / 1000) as u32)
        };
        let opening = matches!(tp.state, TcpState::SynSent | TcpState::SynRecv);
        let rto_base = if opening { TCP_TIMEOUT_INIT } else { TCP_RTO_MIN };
        let timeout = if timeout != 0 { timeout } else { model_timeout_ms(boundary, rto_base) };
        self.tcp_time_stamp().wrapping_sub(start) as i32 >= timeout as i32
    }

    /// `tcp_write_timeout`: gives the connection up when it is time. Whether it did.
    fn tcp_write_timeout(&mut self, tp: &mut TcpSock) -> bool {
        let sysctl = &self.sysctl.tcp;
        let expired = if matches!(tp.state, TcpState::SynSent | TcpState::SynRecv) {
            let set = tp.tunables.syn_retries;
            let until = if set == 0 { sysctl.syn_retries } else { set };
            let mut most = until;
            if tp.state == TcpState::SynSent {
                most = most.saturating_add(sysctl.syn_linear_timeouts);
            }
            tp.retransmits >= most || self.retransmits_timed_out(tp, until.into(), tp.tunables.user_timeout)
        } else {
            let mut until = u32::from(sysctl.retries2);
            if tp.dead {
                let alive = tp.rto < TCP_RTO_MAX;
                until = if sysctl.orphan_retries == 0 && alive { 8 } else { sysctl.orphan_retries.into() };
            }
            self.retransmits_timed_out(tp, until, tp.tunables.user_timeout)
        };
        if expired {
            self.tcp_write_err(tp);
        } else {
            // `sk_rethink_txhash`: Linux takes another flow label and queue for what follows; this stack has one way only.
            self.mib.inc(Counter::TcpExtTimeoutRehash);
        }
        expired
    }

    /// `tcp_write_err`: the peer does not answer any more.
    pub(crate) fn tcp_write_err(&mut self, tp: &mut TcpSock) {
        tp.err = Some(tp.err_soft.unwrap_or(Errno::ETIMEDOUT));
        self.mib.inc(Counter::TcpExtAbortOnTimeout);
        self.tcp_wake(tp, Wake::ErrorReport);
        self.tcp_done(tp);
    }
}

impl TcpSock {
    /// `tcp_adjust_pcount`: a packet was cut, or has become others.
    pub(crate) fn adjust_pcount(&mut self, sacked: u8, by: i64) {
        let add = |count: &mut u32| *count = (i64::from(*count) + by).max(0) as u32;
        add(&mut self.packets_out);
        if sacked & SACKED_ACKED != 0 {
            add(&mut self.sacked_out);
        }
        if sacked & SACKED_RETRANS != 0 {
            add(&mut self.retrans_out);
        }
        if sacked & LOST != 0 {
            add(&mut self.lost_out);
        }
        if !self.rx_opt.sack_ok && self.sacked_out > 0 {
            self.sacked_out = self.sacked_out.min(self.packets_out);
        }
    }
}

/// `tcp_model_timeout`: how long `boundary` retransmissions take that begin with `rto_base`, in milliseconds.
fn model_timeout_ms(boundary: u32, rto_base: u64) -> u32 {
    let linear = (TCP_RTO_MAX / rto_base).ilog2();
    let ticks = if boundary <= linear {
        ((2 << boundary) - 1) * rto_base
    } else {
        ((2 << linear) - 1) * rto_base + u64::from(boundary - linear) * TCP_RTO_MAX
    };
    (jiffies_to_usecs(ticks) / 1000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    // ip-sysctl.rst: tcp_retries2 of 15 is a hypothetical timeout of 924.6 s.
    #[test]
    fn fifteen_retransmissions_take_as_long_as_linux_documents() {
        assert_eq!(model_timeout_ms(15, TCP_RTO_MIN), 924_600);
    }
}
