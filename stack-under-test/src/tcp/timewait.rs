//! TIME-WAIT, and FIN-WAIT-2 of a socket that nobody owns, as small records (`tcp_time_wait`, `tcp_timewait_state_process`,
//! RFC 1337, RFC 6191; Linux 6.12).

use super::HZ;
use super::bind::Holder;
use super::hash::{Owner, Place, Tuple};
use super::input::Incoming;
use super::ports::Held;
use super::reset::BareAck;
use super::seq::{after, before};
use super::sock::TcpSock;
use super::state::TcpState;
use super::timer::TimerOf;
use crate::drop_reason::DropReason;
use crate::mib::Counter;
use crate::skb::Skb;
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::tcp::{ACK, RST, SYN};

/// `TCP_TIMEWAIT_LEN`: a minute, in ticks.
pub(crate) const TCP_TIMEWAIT_LEN: u64 = 60 * HZ;

/// `struct tcp_timewait_sock`.
#[derive(Clone, Debug)]
pub(crate) struct TimeWaitSock {
    pub(crate) tuple: Tuple,
    /// Where it lies in the table of connections.
    place: Place,
    /// Its place among the holders of its port.
    bound: Held,
    substate: TcpState,
    rcv_nxt: u32,
    snd_nxt: u32,
    rcv_wnd: u32,
    rcv_wscale: u8,
    tstamp_ok: bool,
    ts_recent: u32,
    /// `tw_ts_offset`.
    tsoffset: u32,
    ts_recent_stamp: u64,
    pub(super) expires: Instant,
    last_oow_ack_time: u64,
    pub(crate) reuse: bool,
    pub(crate) reuseport: bool,
    pub(crate) bound_dev: u32,
}

/// What becomes of a segment in TIME-WAIT.
enum Verdict {
    Success,
    Ack,
    Reset,
    /// A new connection may begin, with this first sequence number.
    Syn(u32),
    Kill,
}

impl Stack {
    /// `tcp_fin_time`: how long an orphan waits in FIN-WAIT-2, in ticks.
    pub(crate) fn tcp_fin_time(&self, tp: &TcpSock) -> u64 {
        let set = tp.tunables.linger2;
        let time = if set > 0 { set as u64 * HZ } else { u64::from(self.sysctl.tcp.fin_timeout) * HZ };
        time.max((tp.rto << 2) - (tp.rto >> 1))
    }

    /// `tcp_time_wait`: the socket gives its connection to a record that lives for `timeout` ticks (at least 3.5 RTOs).
    pub(crate) fn tcp_time_wait(&mut self, tp: &mut TcpSock, state: TcpState, timeout: u64) {
        self.trace.function(0, "tcp_time_wait");
        let tuple = tp.tuple();
        if self.tcp.timewaits.len() < self.sysctl.tcp.max_tw_buckets as usize {
            let shortest = (tp.rto << 2) - (tp.rto >> 1);
            let ticks = if state == TcpState::TimeWait { TCP_TIMEWAIT_LEN } else { timeout.max(shortest) };
            let expires = self.tcp_expiry(ticks);
            let brief = ticks <= 4 * HZ;
            self.mib.inc(if brief { Counter::TcpExtTwKilled } else { Counter::TcpExtTw });
            let id = self.tcp.timewaits.next_id();
            let (sock, holder) = (Holder::Sock(tp.slot), Holder::TimeWait(id));
            // A port that was asked for stays with the socket as well.
            let bound = if !tp.port_locked && self.tcp.bound.hand_over(tp.bound, sock, holder) {
                core::mem::take(&mut tp.bound)
            } else {
                self.tcp.bound.insert(tuple.lport, holder)
            };
            let (from, to) = (Owner::Sock(tp.slot), Owner::TimeWait(id));
            let place = match tp.hashed.take() {
                Some(place) => self.tcp_hand_over(place, &tuple, from, to),
                None => self.tcp.table.insert(self.tcp.table.hash(&tuple), &tuple, to),
            };
            self.tcp.timewaits.insert(TimeWaitSock {
                tuple,
                place,
                bound,
                substate: state,
                rcv_nxt: tp.rcv_nxt,
                snd_nxt: tp.snd_nxt,
                rcv_wnd: tp.receive_window(),
                rcv_wscale: tp.rx_opt.rcv_wscale,
                tstamp_ok: tp.rx_opt.tstamp_ok,
                ts_recent: tp.rx_opt.ts_recent,
                tsoffset: tp.tsoffset,
                ts_recent_stamp: tp.rx_opt.ts_recent_stamp,
                expires,
                last_oow_ack_time: tp.last_oow_ack_time,
                reuse: tp.options.reuseaddr,
                reuseport: tp.options.reuseport,
                bound_dev: tp.options.bound_dev,
            });
            self.tcp.timers.push(expires, TimerOf::TimeWait(id));
        } else {
            self.mib.inc(Counter::TcpExtTimeWaitOverflow);
        }
        self.tcp_done(tp);
    }

    /// The time of a record is over.
    pub(crate) fn tw_timer_handler(&mut self, id: u32, at: Instant) {
        if self.tcp.timewaits.get(id).is_some_and(|tw| tw.expires == at) {
            self.tcp_kill_timewait(id);
        }
    }

    fn tcp_kill_timewait(&mut self, id: u32) -> Option<TimeWaitSock> {
        let tw = self.tcp.timewaits.remove(id)?;
        self.tcp.table.remove(tw.place, Owner::TimeWait(id));
        self.tcp.bound.remove(tw.bound, Holder::TimeWait(id));
        Some(tw)
    }

    #[inline(always)]
    fn tcp_reschedule_timewait(&mut self, id: u32) {
        let expires = self.tcp_expiry(TCP_TIMEWAIT_LEN);
        if let Some(tw) = self.tcp.timewaits.get_mut(id) {
            tw.expires = expires;
            self.tcp.timers.push(expires, TimerOf::TimeWait(id));
        }
    }

    /// `tcp_twsk_unique`: whether a new connection may take the place of one in TIME-WAIT.
    pub(crate) fn tcp_twsk_unique(&self, id: u32) -> bool {
        let Some(tw) = self.tcp.timewaits.get(id) else { return true };
        let loopback = tw.tuple.laddr.is_loopback() || tw.tuple.raddr.is_loopback();
        let reuse = match self.sysctl.tcp.tw_reuse {
            0 => false,
            1 => true,
            _ => loopback,
        };
        reuse && tw.tstamp_ok && tw.ts_recent_stamp != 0 && self.seconds() > tw.ts_recent_stamp
    }

    /// A socket takes the place of a record: its numbers begin behind the old ones (RFC 6191).
    pub(crate) fn tcp_reuse_timewait(&mut self, tp: &mut TcpSock, id: u32) {
        let Some(tw) = self.tcp_kill_timewait(id) else { return };
        tp.write_seq = tw.snd_nxt.wrapping_add(65_535 + 2).max(1);
        tp.rx_opt.ts_recent = tw.ts_recent;
        tp.rx_opt.ts_recent_stamp = tw.ts_recent_stamp;
        self.mib.inc(Counter::TcpExtTwRecycled);
    }

    /// A segment for a record.
    #[inline(always)]
    pub(crate) fn tcp_timewait_rcv(&mut self, id: u32, skb: Skb, seg: &Incoming) {
        self.trace.function(seg.packet, "tcp_timewait_state_process");
        match self.tcp_timewait_state_process(id, seg) {
            Verdict::Success => {}
            Verdict::Ack => self.tcp_timewait_ack(id),
            Verdict::Reset => {
                self.tcp_send_reset(seg);
                self.tcp_kill_timewait(id);
            }
            Verdict::Kill => {
                self.tcp_kill_timewait(id);
            }
            Verdict::Syn(isn) => {
                let iif = self.skbs[&skb].iif.0;
                if let Some(slot) = self.tcp_lookup_listener(seg.daddr, seg.header.dport, iif) {
                    self.tcp_kill_timewait(id);
                    self.with_tcp(slot, |stack, tp| stack.tcp_conn_request(tp, &skb, seg, Some(isn)));
                } else {
                    self.tcp_timewait_ack(id);
                }
            }
        }
        self.tcp_discard(skb, DropReason::TcpTimewait);
    }

    fn tcp_timewait_limited(&mut self, id: u32, seg: &Incoming) -> Verdict {
        let Some(mut last) = self.tcp.timewaits.get(id).map(|tw| tw.last_oow_ack_time) else {
            return Verdict::Success;
        };
        let has_data = seg.payload_len > 0 && !seg.has(SYN);
        let limited = self.tcp_oow_rate_limited(has_data, &mut last, Counter::TcpExtAckSkippedTimeWait);
        if let Some(tw) = self.tcp.timewaits.get_mut(id) {
            tw.last_oow_ack_time = last;
        }
        if limited { Verdict::Success } else { Verdict::Ack }
    }

    #[inline(always)]
    fn tcp_timewait_state_process(&mut self, id: u32, seg: &Incoming) -> Verdict {
        let seconds = self.seconds();
        let Some(tw) = self.tcp.timewaits.get_mut(id) else { return Verdict::Success };
        let tsval = seg.options.tstamp.filter(|_| tw.tstamp_ok).map(|(val, _)| val);
        let paws = tsval.is_some_and(|val| {
            tw.ts_recent_stamp != 0
                && (tw.ts_recent.wrapping_sub(val) as i32) > 1
                && !(seg.has(RST) && seconds.saturating_sub(tw.ts_recent_stamp) >= 60)
        });
        if tw.substate == TcpState::FinWait2 {
            return self.tcp_fin_wait2_process(id, seg, paws, tsval);
        }
        if !paws && seg.seq() == tw.rcv_nxt && (seg.seq() == seg.end_seq || seg.has(RST)) {
            if seg.has(RST) {
                // TIME-WAIT assassination (RFC 1337).
                if !self.sysctl.tcp.rfc1337 {
                    return Verdict::Kill;
                }
            } else {
                if let Some(val) = tsval {
                    (tw.ts_recent, tw.ts_recent_stamp) = (val, seconds);
                }
                self.tcp_reschedule_timewait(id);
            }
            return Verdict::Success;
        }
        let newer = after(seg.seq(), tw.rcv_nxt)
            || tsval.is_some_and(|val| (tw.ts_recent.wrapping_sub(val) as i32) < 0);
        if seg.has(SYN) && !seg.has(RST | ACK) && !paws && newer {
            return Verdict::Syn(tw.snd_nxt.wrapping_add(65_535 + 2).max(1));
        }
        if paws {
            self.mib.inc(Counter::TcpExtPawsEstab);
        }
        if seg.has(RST) {
            return Verdict::Success;
        }
        if paws || seg.has(ACK) {
            self.tcp_reschedule_timewait(id);
        }
        self.tcp_timewait_limited(id, seg)
    }

    #[inline(always)]
    fn tcp_fin_wait2_process(&mut self, id: u32, seg: &Incoming, paws: bool, tsval: Option<u32>) -> Verdict {
        let seconds = self.seconds();
        let Some(tw) = self.tcp.timewaits.get_mut(id) else { return Verdict::Success };
        let end = tw.rcv_nxt.wrapping_add(tw.rcv_wnd);
        let in_window = seg.seq() == tw.rcv_nxt
            || (after(seg.end_seq, tw.rcv_nxt) && before(seg.seq(), end))
            || (seg.seq() == end && seg.seq() == seg.end_seq);
        if paws || !in_window {
            return self.tcp_timewait_limited(id, seg);
        }
        if seg.has(RST) {
            return Verdict::Kill;
        }
        if seg.has(SYN) && !before(seg.seq(), tw.rcv_nxt) {
            return Verdict::Reset;
        }
        if !seg.has(ACK) || !after(seg.end_seq, tw.rcv_nxt) || seg.end_seq == seg.seq() {
            return Verdict::Success;
        }
        if !seg.fin() || seg.end_seq != tw.rcv_nxt.wrapping_add(1) {
            return Verdict::Reset;
        }
        tw.substate = TcpState::TimeWait;
        tw.rcv_nxt = seg.end_seq;
        if let Some(val) = tsval {
            (tw.ts_recent, tw.ts_recent_stamp) = (val, seconds);
        }
        self.tcp_reschedule_timewait(id);
        Verdict::Ack
    }

    /// `tcp_v4_timewait_ack`.
    #[inline(always)]
    fn tcp_timewait_ack(&mut self, id: u32) {
        let Some(tw) = self.tcp.timewaits.get(id) else { return };
        let ack = BareAck {
            tuple: tw.tuple,
            seq: tw.snd_nxt,
            ack: tw.rcv_nxt,
            window: (tw.rcv_wnd >> tw.rcv_wscale).min(0xffff) as u16,
            ts_recent: tw.tstamp_ok.then_some(tw.ts_recent),
            tsoffset: tw.tsoffset,
        };
        self.tcp_send_bare_ack(&ack);
    }
}
