//! Requests: connections that a peer asked for and that are not established yet (`tcp_conn_request`, `tcp_check_req`, 6.12).

use super::hash::{Owner, Place, Tuple};
use super::input::Incoming;
use super::options::OutOptions;
use super::seq::{after, before};
use super::sock::TcpSock;
use super::state::TcpState;
use super::timer::TimerOf;
use super::window::select_initial_window;
use crate::drop_reason::DropReason;
use crate::ip::Flow;
use crate::mib::Counter;
use crate::route::{OifId, RouteResult};
use crate::skb::{Dst, PacketType, Skb};
use crate::socket::PmtuDisc;
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::ipv4::{HEADER_BYTES as IP_BYTES, IPPROTO_TCP};
use crate::wire::tcp::{ACK, CWR, ECE, HEADER_BYTES, RST, SYN, Tcp};

/// `struct tcp_request_sock`.
#[derive(Clone, Debug)]
pub(crate) struct RequestSock {
    pub(crate) listener: u32,
    pub(crate) tuple: Tuple,
    /// Where it lies in the table of connections.
    pub(crate) place: Place,
    /// The way back, and the generation of routes at which it was that.
    pub(crate) route: (u64, RouteResult),
    pub(crate) rcv_isn: u32,
    pub(crate) snt_isn: u32,
    pub(crate) mss: u32,
    pub(crate) snd_wscale: u8,
    pub(crate) rcv_wscale: u8,
    pub(crate) wscale_ok: bool,
    pub(crate) sack_ok: bool,
    pub(crate) tstamp_ok: bool,
    pub(crate) ecn_ok: bool,
    pub(crate) ts_recent: u32,
    /// `ts_off`: what is added to the clock of timestamps.
    pub(crate) tsoffset: u32,
    pub(crate) rcv_wnd: u32,
    pub(crate) window_clamp: u32,
    /// Timeouts so far.
    pub(crate) num_timeout: u8,
    /// SYN-ACKs that were sent again.
    pub(crate) num_retrans: u8,
    /// The last ACK came, but the connection is not made yet (TCP_DEFER_ACCEPT, a full accept queue).
    pub(crate) acked: bool,
    pub(crate) expires: Instant,
    /// When the SYN-ACK went out, in microseconds.
    pub(crate) snt_synack: u64,
    pub(crate) last_oow_ack_time: u64,
    /// `sk_rx_queue_mapping`: the receive queue that the SYN came by; loopback has none.
    pub(crate) rx_queue: Option<u16>,
}

impl Stack {
    /// The listener's part of `tcp_rcv_state_process`.
    pub(crate) fn tcp_rcv_listen(&mut self, tp: &mut TcpSock, skb: Skb, seg: &Incoming) {
        if seg.has(ACK) {
            self.tcp_send_reset(seg);
            return self.tcp_discard(skb, DropReason::TcpFlags);
        }
        if seg.has(RST) {
            return self.tcp_discard(skb, DropReason::TcpReset);
        }
        if seg.has(SYN) && !seg.fin() {
            let reason = self.tcp_conn_request(tp, &skb, seg, None);
            return match reason {
                None => self.skbs.consume(&mut self.trace, skb),
                Some(reason) => self.tcp_discard(skb, reason),
            };
        }
        self.tcp_discard(skb, DropReason::TcpFlags);
    }

    /// `tcp_conn_request`: a SYN for a listener. Gives why it was dropped, if it was.
    #[inline(always)]
    pub(crate) fn tcp_conn_request(
        &mut self,
        tp: &mut TcpSock,
        skb: &Skb,
        seg: &Incoming,
        isn: Option<u32>,
    ) -> Option<DropReason> {
        self.trace.function(seg.packet, "tcp_conn_request");
        let multicast = seg.saddr.is_multicast() || seg.saddr.is_broadcast();
        if self.skbs[skb].pkt_type != PacketType::Host || multicast {
            return Some(DropReason::NotSpecified);
        }
        if tp.syn_queue_len >= tp.max_ack_backlog.max(1) {
            // SYN cookies would answer here.
            self.mib.inc(Counter::TcpExtReqQFullDrop);
            self.mib.inc(Counter::TcpExtListenDrops);
            return Some(DropReason::TcpListenOverflow);
        }
        if tp.accept_queue.len() as u32 > tp.max_ack_backlog {
            self.mib.inc(Counter::TcpExtListenOverflows);
            self.mib.inc(Counter::TcpExtListenDrops);
            return Some(DropReason::TcpListenOverflow);
        }
        let Some(route) = self.tcp_request_route(tp, &seg.tuple()) else {
            self.mib.inc(Counter::TcpExtListenDrops);
            return Some(DropReason::IpOutNoRoutes);
        };
        let id = self.tcp.requests.next_id();
        let tuple = seg.tuple();
        let hash = self.tcp.table.hash(&tuple);
        let place = self.tcp.table.insert_new(hash, &tuple, Owner::Request(id));
        let mut request = self.tcp_openreq_init(tp, seg, isn, &route, place);
        // `sk_rx_queue_set`.
        let meta = &self.skbs[skb];
        request.rx_queue = (meta.iif != OifId::LO).then_some(meta.queue_mapping);
        self.tcp.timers.push(request.expires, TimerOf::Request(id));
        tp.syn_queue_len += 1;
        self.tcp_send_synack(tp, &request, &route);
        self.tcp.requests.insert(request);
        None
    }

    #[inline(always)]
    fn tcp_request_route(&mut self, tp: &TcpSock, tuple: &Tuple) -> Option<RouteResult> {
        let mut key = tp.flow_key();
        (key.dst, key.src, key.dport) = (tuple.raddr, Some(tuple.laddr), tuple.rport);
        self.route_output(&key).ok()
    }

    /// `tcp_openreq_init` and `tcp_openreq_init_rwin`: what the two sides agree on.
    #[inline(always)]
    fn tcp_openreq_init(
        &self,
        tp: &TcpSock,
        seg: &Incoming,
        isn: Option<u32>,
        route: &RouteResult,
        place: Place,
    ) -> RequestSock {
        let (sysctl, options) = (&self.sysctl.tcp, &seg.options);
        let tuple = seg.tuple();
        let user_mss = u32::from(tp.rx_opt.user_mss);
        let clamp = |mss: u32| if user_mss != 0 && user_mss < mss { user_mss } else { mss };
        let tstamp_ok = options.tstamp.is_some() && sysctl.timestamps;
        let wscale_ok = options.wscale.is_some() && sysctl.window_scaling;
        let advmss = clamp(route.mtu.saturating_sub((IP_BYTES + HEADER_BYTES) as u32));
        let full_space = tp.full_space();
        let window_clamp =
            if tp.tunables.rcvbuf_locked && (tp.window_clamp > full_space || tp.window_clamp == 0) {
                full_space
            } else {
                tp.window_clamp
            };
        let window = select_initial_window(
            full_space,
            advmss.saturating_sub(if tstamp_ok { super::transmit::TSTAMP_BYTES } else { 0 }),
            window_clamp,
            wscale_ok,
            (sysctl.rmem[2], self.sysctl.rmem_max),
        );
        let asks_ecn = seg.header.flags & (ECE | CWR) == ECE | CWR;
        RequestSock {
            listener: tp.slot,
            tuple,
            place,
            route: (self.route_generation(), *route),
            rcv_isn: seg.seq(),
            snt_isn: isn.unwrap_or_else(|| self.tcp_isn(&tuple)),
            mss: clamp(u32::from(options.mss.unwrap_or(536))),
            snd_wscale: if wscale_ok { options.wscale.unwrap_or(0) } else { 0 },
            rcv_wscale: window.rcv_wscale,
            wscale_ok,
            sack_ok: options.sack_ok && sysctl.sack,
            tstamp_ok,
            ecn_ok: asks_ecn && seg.ecn == 0 && sysctl.ecn != 0,
            ts_recent: options.tstamp.map_or(0, |(val, _)| val),
            tsoffset: self.tcp_ts_offset(&tuple),
            rcv_wnd: window.rcv_wnd,
            window_clamp: window.window_clamp,
            num_timeout: 0,
            num_retrans: 0,
            acked: false,
            expires: self.tcp_expiry(super::rtt::TCP_TIMEOUT_INIT),
            snt_synack: self.tcp_mstamp(),
            last_oow_ack_time: 0,
            rx_queue: None,
        }
    }

    /// The way of a packet that belongs to no full socket: DF and no identification.
    pub(crate) fn tcp_bare_flow(&self, tuple: &Tuple, route: &RouteResult, tos: u8) -> Flow {
        Flow {
            saddr: tuple.laddr,
            daddr: tuple.raddr,
            protocol: IPPROTO_TCP,
            tos,
            ttl: self.sysctl.ip_default_ttl,
            df: !route.mtu_locked,
            ignore_df: false,
            id: 0,
            mark: 0,
            priority: 0,
            dst: Dst { nexthop: route.nexthop(), mtu: route.mtu, kind: route.kind, oif: route.oif },
            sk: u32::MAX,
        }
    }

    /// `tcp_v4_send_synack`, `tcp_make_synack`.
    #[inline(always)]
    fn tcp_send_synack(&mut self, tp: &TcpSock, request: &RequestSock, route: &RouteResult) {
        self.trace.function(0, "tcp_send_synack");
        let packet = self.trace.made(&[], 0);
        self.trace.function(packet, "tcp_make_synack");
        let mut flow = self.tcp_bare_flow(&request.tuple, route, tp.options.tos);
        flow.ttl = tp.options.ttl.unwrap_or(flow.ttl);
        flow.df &= tp.options.pmtudisc != PmtuDisc::Dont;
        (flow.mark, flow.priority) = (tp.options.mark, tp.options.priority);
        let user_mss = u32::from(tp.rx_opt.user_mss);
        let mss = route.mtu.saturating_sub((IP_BYTES + HEADER_BYTES) as u32);
        let mss = if user_mss != 0 && user_mss < mss { user_mss } else { mss };
        let now_ms = self.tcp_time_stamp().wrapping_add(request.tsoffset);
        let options = OutOptions {
            mss: Some(mss.min(65_495) as u16),
            tstamp: request.tstamp_ok.then_some((now_ms, request.ts_recent)),
            sack_ok: request.sack_ok,
            wscale: request.wscale_ok.then_some(request.rcv_wscale),
            ..OutOptions::default()
        };
        let header = Tcp {
            sport: request.tuple.lport,
            dport: request.tuple.rport,
            seq: request.snt_isn,
            ack: request.rcv_isn.wrapping_add(1),
            header_len: (HEADER_BYTES + options.len()) as u8,
            flags: SYN | ACK | if request.ecn_ok { ECE } else { 0 },
            window: request.rcv_wnd.min(0xffff) as u16,
            urgent: 0,
        };
        self.mib.inc(Counter::TcpOutSegs);
        if let Ok(skb) = self.tcp_make_skb(&flow, &header, &options, &[], packet) {
            if !self.dev.xps.rxqs.is_empty() {
                self.skbs.set_owner_request(&skb, request.rx_queue);
            }
            let len = self.skbs[&skb].len();
            let _ = self.ip_local_out_by(skb, &flow.dst, len);
        }
    }

    /// `inet_rtx_syn_ack`.
    fn tcp_rtx_synack(&mut self, tp: &TcpSock, id: u32) {
        self.trace.function(0, "tcp_rtx_synack");
        if let Some(request) = self.tcp.requests.get(id).cloned()
            && let Some(route) = self.tcp_request_route(tp, &request.tuple)
        {
            self.tcp_send_synack(tp, &request, &route);
        }
        self.mib.inc(Counter::TcpRetransSegs);
        self.mib.inc(Counter::TcpExtSynRetrans);
        if let Some(request) = self.tcp.requests.get_mut(id) {
            request.num_retrans = request.num_retrans.saturating_add(1);
        }
    }

    /// `reqsk_timer_handler`: nobody answered the SYN-ACK.
    pub(crate) fn reqsk_timer_handler(&mut self, id: u32, at: Instant) {
        let Some(request) = self.tcp.requests.get(id).filter(|request| request.expires == at) else { return };
        self.trace.function(0, "reqsk_timer_handler");
        let (slot, timeouts, acked) = (request.listener, request.num_timeout, request.acked);
        let Some(tp) = self.tcp.sock(slot) else { return self.tcp_drop_request(id) };
        let set = tp.tunables.syn_retries;
        let most = if set == 0 { self.sysctl.tcp.synack_retries } else { set };
        let defer = tp.tunables.defer_accept;
        // `syn_ack_recalc`.
        let (expire, resend) = if defer == 0 {
            (timeouts >= most, true)
        } else {
            (timeouts >= most && (!acked || timeouts >= defer), !acked || timeouts >= defer.saturating_sub(1))
        };
        // `tcp_syn_ack_timeout`.
        self.mib.inc(Counter::TcpExtTimeouts);
        if expire {
            return self.tcp_drop_request(id);
        }
        if let Some(request) = self.tcp.requests.get_mut(id) {
            request.num_timeout += 1;
        }
        let ticks =
            (super::rtt::TCP_TIMEOUT_INIT << u32::from(timeouts + 1).min(16)).min(super::rtt::TCP_RTO_MAX);
        let expires = self.tcp_expiry(ticks);
        if let Some(request) = self.tcp.requests.get_mut(id) {
            request.expires = expires;
        }
        self.tcp.timers.push(expires, TimerOf::Request(id));
        if resend {
            self.with_tcp(slot, |stack, tp| stack.tcp_rtx_synack(tp, id));
        }
    }

    /// `inet_csk_reqsk_queue_drop`.
    pub(crate) fn tcp_drop_request(&mut self, id: u32) {
        let Some(request) = self.tcp.requests.remove(id) else { return };
        self.tcp.table.remove(request.place, Owner::Request(id));
        if let Some(tp) = self.tcp.sock_mut(request.listener) {
            tp.syn_queue_len = tp.syn_queue_len.saturating_sub(1);
        }
    }

    /// `tcp_check_req`: a segment for a request.
    pub(crate) fn tcp_rcv_request(&mut self, id: u32, skb: Skb, seg: &Incoming) {
        let mut skb = Some(skb);
        let slot = self.tcp.requests.get(id).map_or(u32::MAX, |request| request.listener);
        let child = self.with_tcp(slot, |stack, tp| {
            if tp.state != TcpState::Listen {
                return None;
            }
            stack.tcp_check_req(tp, id, &mut skb, seg)
        });
        match (child.flatten(), skb) {
            (Some(child), Some(skb)) => self.tcp_child_process(child, skb, seg),
            (None, Some(skb)) => self.tcp_discard(skb, DropReason::NoSocket),
            _ => {}
        }
    }

    fn tcp_check_req(
        &mut self,
        tp: &mut TcpSock,
        id: u32,
        skb: &mut Option<Skb>,
        seg: &Incoming,
    ) -> Option<u32> {
        self.trace.function(seg.packet, "tcp_check_req");
        let request = self.tcp.requests.get(id)?.clone();
        let rst = seg.has(RST);
        let paws = request.tstamp_ok
            && seg.options.tstamp.is_some_and(|(val, _)| {
                (request.ts_recent.wrapping_sub(val) as i32) > 1 && request.ts_recent != 0
            });
        let again = seg.seq() == request.rcv_isn && seg.has(SYN) && !seg.has(ACK | RST) && !paws;
        if again {
            // The SYN-ACK was lost.
            if !self.tcp_request_limited(id, Counter::TcpExtAckSkippedSynRecv) {
                self.tcp_rtx_synack(tp, id);
            }
            self.tcp_discard(skb.take()?, DropReason::TcpRetransmit);
            return None;
        }
        if seg.has(ACK) && seg.ack != request.snt_isn.wrapping_add(1) {
            if !rst {
                self.tcp_send_reset(seg);
            }
            self.tcp_discard(skb.take()?, DropReason::TcpInvalidAckSequence);
            return None;
        }
        let rcv_nxt = request.rcv_isn.wrapping_add(1);
        // `tcp_in_window`: begins there, or reaches into it.
        let window_end = rcv_nxt.wrapping_add(request.rcv_wnd);
        let in_window = seg.seq() == rcv_nxt
            || (after(seg.end_seq, rcv_nxt) && before(seg.seq(), window_end))
            || (seg.seq() == window_end && seg.seq() == seg.end_seq);
        if paws || !in_window {
            if !rst && !self.tcp_request_limited(id, Counter::TcpExtAckSkippedSynRecv) {
                self.tcp_reqsk_send_ack(&request);
            }
            if paws {
                self.mib.inc(Counter::TcpExtPawsEstab);
            }
            self.tcp_discard(skb.take()?, DropReason::TcpOverwindow);
            return None;
        }
        if let Some((val, _)) = seg.options.tstamp
            && !after(seg.seq(), rcv_nxt)
            && let Some(request) = self.tcp.requests.get_mut(id)
        {
            request.ts_recent = val;
        }
        let syn = seg.has(SYN) && seg.seq() != request.rcv_isn;
        if rst || syn {
            self.mib.inc(Counter::TcpAttemptFails);
            self.mib.inc(Counter::TcpExtEmbryonicRsts);
            if !rst {
                self.tcp_send_reset(seg);
            }
            self.tcp_drop_request_of(tp, id);
            self.tcp_discard(skb.take()?, DropReason::TcpReset);
            return None;
        }
        if !seg.has(ACK) {
            self.tcp_discard(skb.take()?, DropReason::TcpFlags);
            return None;
        }
        self.tcp_req_completed(tp, id, skb, seg, &request)
    }

    /// The last ACK of a handshake came: the connection is made, unless the listener waits for data or has no room.
    fn tcp_req_completed(
        &mut self,
        tp: &mut TcpSock,
        id: u32,
        skb: &mut Option<Skb>,
        seg: &Incoming,
        request: &RequestSock,
    ) -> Option<u32> {
        let rcv_nxt = request.rcv_isn.wrapping_add(1);
        if request.num_timeout < tp.tunables.defer_accept && seg.end_seq == rcv_nxt {
            if let Some(request) = self.tcp.requests.get_mut(id) {
                request.acked = true;
            }
            self.mib.inc(Counter::TcpExtDeferAcceptDrop);
            self.tcp_discard(skb.take()?, DropReason::NotSpecified);
            return None;
        }
        let child = self.tcp_syn_recv_sock(tp, id, seg);
        if child.is_none() {
            // The client will ask again; with tcp_abort_on_overflow it would be told.
            if let Some(request) = self.tcp.requests.get_mut(id) {
                request.acked = true;
            }
            self.tcp_discard(skb.take()?, DropReason::TcpListenOverflow);
        }
        child
    }

    fn tcp_request_limited(&mut self, id: u32, counter: Counter) -> bool {
        let Some(mut last) = self.tcp.requests.get(id).map(|request| request.last_oow_ack_time) else {
            return true;
        };
        let limited = self.tcp_oow_rate_limited(false, &mut last, counter);
        if let Some(request) = self.tcp.requests.get_mut(id) {
            request.last_oow_ack_time = last;
        }
        limited
    }

    /// [`Self::tcp_drop_request`] while the listener is at hand.
    pub(crate) fn tcp_drop_request_of(&mut self, tp: &mut TcpSock, id: u32) {
        self.tcp_drop_request(id);
        tp.syn_queue_len = tp.syn_queue_len.saturating_sub(1);
    }

    /// `tcp_v4_reqsk_send_ack`.
    fn tcp_reqsk_send_ack(&mut self, request: &RequestSock) {
        self.trace.function(0, "tcp_v4_reqsk_send_ack");
        let ack = super::reset::BareAck {
            tuple: request.tuple,
            seq: request.snt_isn.wrapping_add(1),
            ack: request.rcv_isn.wrapping_add(1),
            window: (request.rcv_wnd >> request.rcv_wscale).min(0xffff) as u16,
            ts_recent: request.tstamp_ok.then_some(request.ts_recent),
            tsoffset: request.tsoffset,
        };
        self.tcp_send_bare_ack(&ack);
    }
}
