//! Passive opens: `listen`, the child that a completed handshake makes, and `accept` (`inet_csk_listen_start`,
//! `tcp_create_openreq_child`, `inet_csk_accept`, Linux 6.12).

use super::hash::Owner;
use super::input::Incoming;
use super::request::RequestSock;
use super::sock::{AckState, RcvEstimates, TcpSock};
use super::state::{TcpEvent, TcpState};
use super::transmit::TSTAMP_BYTES;
use crate::errno::Errno;
use crate::mib::Counter;
use crate::skb::Skb;
use crate::socket::epoll::Wake;
use crate::socket::{Fd, SocketTable};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::ipv4::HEADER_BYTES as IP_BYTES;
use crate::wire::tcp::HEADER_BYTES;
use core::net::SocketAddrV4;

impl Stack {
    /// `listen`: the socket takes connections, at most `backlog` that wait to be accepted (limited by `somaxconn`).
    ///
    /// # Errors
    /// EBADF; EOPNOTSUPP when it is not TCP; EINVAL when it is connected; EADDRINUSE.
    pub fn listen(&mut self, fd: Fd, backlog: i32) -> Result<(), Errno> {
        let somaxconn = self.sysctl.tcp.somaxconn;
        // A negative number is a large one.
        let backlog = (backlog as u32).min(somaxconn);
        self.tcp_call(fd, |stack, tp| {
            if !matches!(tp.state, TcpState::Close | TcpState::Listen) || tp.dport != 0 {
                return Err(Errno::EINVAL);
            }
            tp.max_ack_backlog = backlog;
            if tp.state == TcpState::Listen {
                return Ok(());
            }
            if tp.sport == 0 && !stack.tcp_autobind(tp) {
                return Err(Errno::EADDRINUSE);
            }
            if stack.tcp_bind_conflict(tp, tp.sport, true) {
                return Err(Errno::EADDRINUSE);
            }
            stack.tcp_event(tp, TcpEvent::Listen);
            tp.shutdown_read = false;
            tp.shutdown_write = false;
            let (slot, sport) = (tp.slot, tp.sport);
            stack.tcp.listeners.entry(sport).or_default().push(slot);
            tp.listed = true;
            Ok(())
        })
    }

    /// `accept`: the oldest connection that is established; never blocks.
    ///
    /// # Errors
    /// EAGAIN when there is none: try again when the listener is woken; EINVAL when it does not listen; EBADF.
    pub fn accept(&mut self, now: Instant, fd: Fd) -> Result<(Fd, SocketAddrV4), Errno> {
        self.advance_clock(now);
        let slot = self.tcp_call(fd, |_, tp| {
            if tp.state != TcpState::Listen {
                return Err(Errno::EINVAL);
            }
            tp.accept_queue.pop_front().ok_or(Errno::EAGAIN)
        })?;
        self.trace.function(0, "inet_csk_accept");
        let child = self.tcp.sock_mut(slot).ok_or(Errno::ECONNABORTED)?;
        child.parent = None;
        child.connected = true;
        let peer = SocketAddrV4::new(child.daddr, child.dport);
        let inet_id = self.entropy.next_u64() as u16;
        self.sockets.fill(slot, &child.options, inet_id);
        Ok((SocketTable::fd(slot), peer))
    }

    /// `tcp_v4_syn_recv_sock`: the handshake is complete; gives the slot of the child.
    pub(crate) fn tcp_syn_recv_sock(&mut self, tp: &mut TcpSock, id: u32, seg: &Incoming) -> Option<u32> {
        self.trace.function(seg.packet, "tcp_v4_syn_recv_sock");
        if tp.accept_queue.len() as u32 > tp.max_ack_backlog {
            self.mib.inc(Counter::TcpExtListenOverflows);
            self.mib.inc(Counter::TcpExtListenDrops);
            return None;
        }
        let slot = self.reserve_slot()?;
        // The child takes the place of the request.
        let Some(request) = self.tcp.requests.remove(id) else {
            self.sockets.release(slot);
            return None;
        };
        let mut child = self.tcp_alloc_sock(slot);
        self.tcp_create_openreq_child(tp, &mut child, &request, seg);
        tp.syn_queue_len = tp.syn_queue_len.saturating_sub(1);
        child.hashed =
            Some(self.tcp_hand_over(request.place, &request.tuple, Owner::Request(id), Owner::Sock(slot)));
        child.bound = self.tcp.bound.insert(request.tuple.lport, super::bind::Holder::Sock(slot));
        self.tcp.put(child);
        tp.accept_queue.push_back(slot);
        self.mib.inc(Counter::TcpPassiveOpens);
        Some(slot)
    }

    /// `tcp_create_openreq_child`.
    fn tcp_create_openreq_child(
        &mut self,
        tp: &TcpSock,
        child: &mut TcpSock,
        request: &RequestSock,
        seg: &Incoming,
    ) {
        let tuple = &request.tuple;
        child.state = TcpState::SynRecv;
        child.parent = Some(tp.slot);
        child.options = tp.options.clone();
        child.tunables = tp.tunables;
        child.nonagle = tp.nonagle;
        child.cong = tp.cong.clone();
        (child.rcv_saddr, child.saddr, child.sport) = (tuple.laddr, tuple.laddr, tuple.lport);
        (child.daddr, child.dport) = (tuple.raddr, tuple.rport);
        child.tsoffset = request.tsoffset;
        child.cached_route = Some(request.route);
        child.inet_id = self.entropy.next_u64() as u16;
        let first = request.snt_isn.wrapping_add(1);
        child.iss = request.snt_isn;
        child.irs = request.rcv_isn;
        (child.snd_una, child.snd_nxt, child.snd_sml) = (first, first, first);
        (child.write_seq, child.pushed_seq, child.snd_wl1) = (first, first, request.rcv_isn);
        let rcv_nxt = request.rcv_isn.wrapping_add(1);
        (child.rcv_nxt, child.rcv_wup, child.copied_seq) = (rcv_nxt, rcv_nxt, rcv_nxt);
        child.rcv_wnd = request.rcv_wnd;
        child.window_clamp = request.window_clamp;
        child.rcv_ssthresh = request.rcv_wnd;
        let rx = &mut child.rx_opt;
        rx.tstamp_ok = request.tstamp_ok;
        rx.sack_ok = request.sack_ok;
        rx.wscale_ok = request.wscale_ok;
        (rx.snd_wscale, rx.rcv_wscale) =
            if request.wscale_ok { (request.snd_wscale, request.rcv_wscale) } else { (0, 0) };
        rx.mss_clamp = request.mss;
        rx.user_mss = tp.rx_opt.user_mss;
        if request.tstamp_ok {
            rx.ts_recent = request.ts_recent;
            rx.ts_recent_stamp = self.seconds();
        }
        child.tcp_header_len = HEADER_BYTES as u32 + if request.tstamp_ok { TSTAMP_BYTES } else { 0 };
        if !request.wscale_ok {
            child.window_clamp = child.window_clamp.min(0xffff);
        }
        child.snd_wnd = u32::from(seg.header.window) << child.rx_opt.snd_wscale;
        child.max_window = child.snd_wnd;
        child.ecn_ok = request.ecn_ok;
        child.rto = super::rtt::TCP_TIMEOUT_INIT;
        child.ack = AckState { ato: 0, lrcvtime: self.jiffies, ..AckState::default() };
        child.rcv_est = RcvEstimates::default();
        // The SYN.
        child.segs_in = 1;
        child.total_retrans = request.num_retrans.into();
        if request.num_retrans > 0 {
            child.undo_marker = request.snt_isn;
        }
        let mtu = self.tcp_route(child).map_or(1500, |route| route.mtu);
        child.sync_mss(mtu);
        let user = u32::from(child.rx_opt.user_mss);
        let advmss = mtu.saturating_sub((IP_BYTES + HEADER_BYTES) as u32);
        child.advmss = if user != 0 && user < advmss { user } else { advmss };
        child.initialize_rcv_mss();
        // `tcp_synack_rtt_meas`: the handshake is the first sample, if nothing was sent twice.
        if request.num_retrans == 0 {
            let rtt = self.tcp_mstamp().saturating_sub(request.snt_synack) as u32;
            self.tcp_ack_update_rtt(child, true, (Some(rtt), None, Some(rtt)));
        } else if let (true, Some((_, ecr))) = (request.tstamp_ok, seg.options.tstamp) {
            child.rx_opt.saw_tstamp = true;
            child.rx_opt.rcv_tsecr = ecr.wrapping_sub(child.tsoffset);
            self.tcp_ack_update_rtt(child, true, (None, None, None));
        }
    }

    /// `tcp_child_process`: the segment that completed the handshake goes on to the child.
    pub(crate) fn tcp_child_process(&mut self, slot: u32, skb: Skb, seg: &Incoming) {
        let parent = self.tcp.sock(slot).and_then(|child| child.parent);
        self.tcp_rcv_for(slot, skb, seg);
        if let Some(parent) = parent {
            self.sockets.wake(parent, Wake::DataReady);
        }
    }

    /// What a listener that is closed leaves behind: requests are forgotten, connections that nobody accepted are reset
    /// (`inet_csk_listen_stop`).
    pub(crate) fn tcp_listen_stop(&mut self, tp: &mut TcpSock) {
        for slot in core::mem::take(&mut tp.accept_queue) {
            self.with_tcp(slot, |stack, child| {
                child.parent = None;
                child.dead = true;
                stack.tcp.orphans += 1;
                if child.state != TcpState::Close {
                    stack.tcp_send_active_reset(child);
                }
                stack.tcp_done(child);
                child.destroy = true;
            });
        }
        let mine: alloc::vec::Vec<u32> = self.tcp.requests_of(tp.slot);
        for id in mine {
            self.tcp_drop_request(id);
        }
        tp.syn_queue_len = 0;
    }
}

impl super::Tcp {
    fn requests_of(&self, slot: u32) -> alloc::vec::Vec<u32> {
        (0..self.requests.items.len() as u32)
            .filter(|id| self.requests.get(*id).is_some_and(|request| request.listener == slot))
            .collect()
    }
}
