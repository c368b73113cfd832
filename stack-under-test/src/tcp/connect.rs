//! Active opens: `connect` (`tcp_v4_connect`, `tcp_connect`, Linux 6.12), and sockets that are new.

use super::cong::CongestionControl;
use super::hash::Owner;
use super::segment::TxSegment;
use super::sock::{
    AckState, CaState, DEFAULT_SCALING_RATIO, Pending, Queues, Rack, RcvEstimates, RxOptions,
    TCP_INFINITE_SSTHRESH, TCP_INIT_CWND, TCP_MSS_DEFAULT, TcpSock, Tunables,
};
use super::state::{TcpEvent, TcpState};
use super::template::HeaderTemplate;
use super::timer::Timers;
use super::transmit::TSTAMP_BYTES;
use super::window::select_initial_window;
use crate::errno::Errno;
use crate::mib::Counter;
use crate::route::RouteKind;
use crate::socket::{Fd, Options, SocketTable};
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::ipv4::HEADER_BYTES as IP_BYTES;
use crate::wire::tcp::{CWR, ECE, HEADER_BYTES, SYN};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

impl Stack {
    /// `socket(AF_INET, SOCK_STREAM, 0)`.
    ///
    /// # Errors
    /// ENOMEM when there are too many.
    pub fn socket_tcp(&mut self) -> Result<Fd, Errno> {
        let slot = self.reserve_slot().ok_or(Errno::ENOMEM)?;
        let mut sock = self.tcp_alloc_sock(slot);
        let algorithm = self.sysctl.tcp.congestion_control;
        if algorithm != sock.cong.name() {
            sock.cong = CongestionControl::named(algorithm).unwrap_or(CongestionControl::Reno);
        }
        let inet_id = self.first_inet_id();
        self.sockets.fill(slot, &sock.options, inet_id);
        self.tcp.put(sock);
        Ok(SocketTable::fd(slot))
    }

    /// `tcp_init_sock`.
    #[expect(clippy::too_many_lines, reason = "one line for each field that a connection begins with")]
    #[inline(always)]
    pub(crate) fn tcp_new_sock(&self, slot: u32, queues: Queues) -> TcpSock {
        let sysctl = &self.sysctl.tcp;
        let (sndbuf, rcvbuf) = (sysctl.wmem[1], sysctl.rmem[1]);
        let (rcvlowat, reordering) = (1, sysctl.reordering);
        TcpSock {
            options: Options { sndbuf, rcvbuf, ..Options::new(&self.sysctl) },
            // The caller knows whether it is to be another.
            cong: CongestionControl::Reno,
            reordering,
            slot,
            state: TcpState::Close,
            rcv_saddr: Ipv4Addr::UNSPECIFIED,
            saddr: Ipv4Addr::UNSPECIFIED,
            sport: 0,
            daddr: Ipv4Addr::UNSPECIFIED,
            dport: 0,
            addr_locked: false,
            port_locked: false,
            hashed: None,
            listed: false,
            tsoffset: 0,
            bound: super::ports::Held::default(),
            tunables: Tunables { rcvlowat, ..Tunables::default() },
            err: None,
            err_soft: None,
            shutdown_read: false,
            shutdown_write: false,
            connecting: false,
            connected: false,
            done: false,
            dead: false,
            destroy: false,
            inet_id: 0,
            cached_route: None,
            template: HeaderTemplate::NONE,
            tcp_header_len: HEADER_BYTES as u32,
            snd_una: 0,
            snd_nxt: 0,
            write_seq: 0,
            pushed_seq: 0,
            snd_sml: 0,
            snd_wl1: 0,
            snd_wnd: 0,
            max_window: 0,
            mss_cache: TCP_MSS_DEFAULT,
            advmss: TCP_MSS_DEFAULT,
            pmtu_cookie: 0,
            nonagle: 0,
            rtx: queues.rtx,
            wq: queues.wq,
            page_frag: super::segment::PageFrag::default(),
            wmem_queued: 0,
            nospace: false,
            pacing_rate: u64::MAX,
            wstamp_ns: 0,
            lsndtime: 0,
            iss: 0,
            srtt_us: 0,
            mdev_us: 1_000_000,
            mdev_max_us: 0,
            rttvar_us: 0,
            rtt_seq: 0,
            min_rtt: u32::MAX,
            min_rtt_stamp: 0,
            rto: super::rtt::TCP_TIMEOUT_INIT,
            backoff: 0,
            retransmits: 0,
            probes_out: 0,
            probes_tstamp: 0,
            pending: Pending::None,
            timers: Timers::default(),
            total_rto: 0,
            ca_state: CaState::Open,
            snd_cwnd: TCP_INIT_CWND,
            snd_cwnd_cnt: 0,
            snd_ssthresh: TCP_INFINITE_SSTHRESH,
            prior_ssthresh: 0,
            prior_cwnd: 0,
            snd_cwnd_used: 0,
            snd_cwnd_stamp: 0,
            is_cwnd_limited: false,
            max_packets_out: 0,
            cwnd_usage_seq: 0,
            packets_out: 0,
            sacked_out: 0,
            lost_out: 0,
            retrans_out: 0,
            high_seq: 0,
            highest_sack_seq: 0,
            reord_seen: 0,
            undo_marker: 0,
            undo_retrans: 0,
            retrans_stamp: 0,
            prr_delivered: 0,
            prr_out: 0,
            frto: false,
            is_sack_reneg: false,
            tlp_high_seq: 0,
            tlp_retrans: false,
            rack: Rack { reo_wnd_steps: 1, ..Rack::default() },
            delivered: 0,
            delivered_ce: 0,
            lost: 0,
            total_retrans: 0,
            dsack_dups: 0,
            rx_opt: RxOptions { mss_clamp: TCP_MSS_DEFAULT, ..RxOptions::default() },
            rcv_nxt: 0,
            copied_seq: 0,
            rcv_wup: 0,
            rcv_wnd: 0,
            window_clamp: 0,
            rcv_ssthresh: 0,
            irs: 0,
            rcv_est: RcvEstimates::default(),
            ack: AckState::default(),
            receive_queue: queues.receive,
            out_of_order: Vec::new(),
            rmem_alloc: 0,
            forward_alloc: 0,
            mem_charged: 0,
            pred_flags: None,
            urg_seq: 0,
            urg_data: None,
            snd_up: None,
            selective_acks: Default::default(),
            num_sacks: 0,
            duplicate_sack: None,
            scaling_ratio: DEFAULT_SCALING_RATIO,
            rcv_tstamp: 0,
            last_oow_ack_time: 0,
            rcv_ooopack: 0,
            ecn_ok: false,
            ecn_queue_cwr: false,
            ecn_demand_cwr: false,
            ecn_seen: false,
            max_ack_backlog: 0,
            accept_queue: VecDeque::new(),
            syn_queue_len: 0,
            parent: None,
            bytes_acked: 0,
            bytes_received: 0,
            bytes_sent: 0,
            bytes_retrans: 0,
            segs_out: 0,
            segs_in: 0,
            data_segs_out: 0,
            data_segs_in: 0,
        }
    }

    /// `connect` of a TCP socket. Never blocks: the first call sends a SYN and gives EINPROGRESS; when the socket is woken,
    /// another gives the result, once.
    ///
    /// # Errors
    /// EINPROGRESS; EALREADY while it is under way; EISCONN when it is there (or `Ok` for the first call after it); what
    /// ended it (ECONNREFUSED, ETIMEDOUT, …); what routing says; EADDRNOTAVAIL when no port is left; EBADF.
    pub fn tcp_connect(&mut self, now: Instant, cpu: u8, fd: Fd, to: SocketAddrV4) -> Result<(), Errno> {
        self.enter_process(now, cpu);
        let result = self.tcp_call(fd, |stack, tp| stack.inet_stream_connect(tp, to));
        self.leave_process();
        result
    }

    /// What became of a `connect` that waits (`inet_wait_for_connect`): unlike [`Stack::tcp_connect`] it begins nothing.
    ///
    /// # Errors
    /// EALREADY while it is under way; what ended it, or ECONNABORTED when nobody says what; EBADF.
    pub fn tcp_connect_waits(&mut self, now: Instant, cpu: u8, fd: Fd) -> Result<(), Errno> {
        self.enter_process(now, cpu);
        let result = self.tcp_call(fd, |stack, tp| match tp.state {
            TcpState::SynSent | TcpState::SynRecv => Err(Errno::EALREADY),
            TcpState::Close => Err(stack.tcp_connect_failed(tp)),
            _ => {
                (tp.connecting, tp.connected) = (false, true);
                Ok(())
            }
        });
        self.leave_process();
        result
    }

    /// `sock_error` of a `connect`, which leaves the socket as it was before.
    fn tcp_connect_failed(&mut self, tp: &mut TcpSock) -> Errno {
        let errno = tp.err.take().unwrap_or(Errno::ECONNABORTED);
        self.tcp_disconnect(tp);
        tp.err = None;
        errno
    }

    fn inet_stream_connect(&mut self, tp: &mut TcpSock, to: SocketAddrV4) -> Result<(), Errno> {
        match tp.state {
            TcpState::SynSent | TcpState::SynRecv => return Err(Errno::EALREADY),
            TcpState::Listen => return Err(Errno::EISCONN),
            TcpState::Close if tp.connecting => return Err(self.tcp_connect_failed(tp)),
            // `SS_CONNECTED`: it has to be closed, or disconnected, before it can be another.
            TcpState::Close if tp.connected => return Err(Errno::EISCONN),
            TcpState::Close => {}
            // The first to ask learns that it succeeded.
            _ if core::mem::take(&mut tp.connecting) => {
                tp.connected = true;
                return Ok(());
            }
            _ => return Err(Errno::EISCONN),
        }
        self.tcp_v4_connect(tp, to)?;
        tp.connecting = true;
        Err(Errno::EINPROGRESS)
    }

    /// `tcp_v4_connect`: the way, the port, the first sequence number, and the SYN.
    fn tcp_v4_connect(&mut self, tp: &mut TcpSock, to: SocketAddrV4) -> Result<(), Errno> {
        self.trace.function(0, "tcp_v4_connect");
        let daddr = if to.ip().is_unspecified() { Ipv4Addr::LOCALHOST } else { *to.ip() };
        let was = (tp.saddr, tp.daddr, tp.dport);
        (tp.daddr, tp.dport) = (daddr, to.port());
        tp.forget_route();
        let give_up = |tp: &mut TcpSock, errno| {
            (tp.saddr, tp.daddr, tp.dport) = was;
            tp.forget_route();
            Err(errno)
        };
        let route = match self.route_output(&tp.flow_key()) {
            Ok(route) => route,
            Err(errno) => return give_up(tp, errno),
        };
        if matches!(route.kind, RouteKind::Multicast | RouteKind::Broadcast) {
            return give_up(tp, Errno::ENETUNREACH);
        }
        if tp.saddr.is_unspecified() {
            tp.saddr = route.src;
        }
        let (hash, timewait) = match self.tcp_port_to_connect(tp) {
            Ok(free) => free,
            Err(errno) => return give_up(tp, errno),
        };
        if tp.rcv_saddr.is_unspecified() || was.0.is_unspecified() {
            // `inet_bhash2_update_saddr`
            tp.rcv_saddr = tp.saddr;
        }
        tp.cached_route = Some((self.route_generation(), route));
        let tuple = tp.tuple();
        if let Some(id) = timewait {
            self.tcp_reuse_timewait(tp, id);
        }
        self.tcp_event(tp, TcpEvent::Connect);
        tp.hashed = Some(self.tcp.table.insert_new(hash, &tuple, Owner::Sock(tp.slot)));
        tp.tsoffset = self.tcp_ts_offset(&tuple);
        if tp.write_seq == 0 {
            tp.write_seq = self.tcp_isn(&tuple);
        }
        tp.inet_id = self.entropy.next_u64() as u16;
        self.tcp_connect_init(tp, route.mtu);
        self.tcp_send_syn(tp);
        Ok(())
    }

    /// `tcp_connect_init`.
    fn tcp_connect_init(&mut self, tp: &mut TcpSock, mtu: u32) {
        let sysctl = &self.sysctl.tcp;
        tp.tcp_header_len = HEADER_BYTES as u32 + if sysctl.timestamps { TSTAMP_BYTES } else { 0 };
        let user = u32::from(tp.rx_opt.user_mss);
        tp.rx_opt.mss_clamp = if user != 0 { user } else { TCP_MSS_DEFAULT };
        tp.max_window = 0;
        let advmss = mtu.saturating_sub((IP_BYTES + HEADER_BYTES) as u32);
        tp.advmss = if user != 0 && user < advmss { user } else { advmss };
        // There is no window yet: it is the least that it can be.
        tp.initialize_rcv_mss();
        let window = select_initial_window(
            tp.full_space(),
            tp.advmss,
            if tp.tunables.rcvbuf_locked { tp.full_space() } else { tp.window_clamp },
            sysctl.window_scaling,
            (sysctl.rmem[2], self.sysctl.rmem_max),
        );
        tp.sync_mss(mtu);
        tp.rcv_wnd = window.rcv_wnd;
        tp.rcv_ssthresh = window.rcv_wnd;
        tp.window_clamp = window.window_clamp;
        tp.rx_opt.rcv_wscale = window.rcv_wscale;
        tp.err = None;
        tp.done = false;
        (tp.shutdown_read, tp.shutdown_write) = (false, false);
        tp.snd_wnd = 0;
        tp.snd_wl1 = 0;
        (tp.snd_una, tp.snd_sml, tp.snd_nxt) = (tp.write_seq, tp.write_seq, tp.write_seq);
        (tp.rcv_nxt, tp.rcv_wup, tp.copied_seq) = (0, 0, 0);
        tp.rto = super::rtt::TCP_TIMEOUT_INIT;
        (tp.retransmits, tp.backoff, tp.total_rto) = (0, 0, 0);
        tp.iss = tp.write_seq;
    }

    /// `tcp_connect`.
    fn tcp_send_syn(&mut self, tp: &mut TcpSock) {
        self.trace.function(0, "tcp_connect");
        tp.ecn_ok = self.sysctl.tcp.ecn == 1;
        let ecn = if tp.ecn_ok { ECE | CWR } else { 0 };
        let packet = self.trace.made(&[], 0);
        let mut segment = TxSegment::new(tp.write_seq, SYN | ecn, packet);
        segment.mstamp = self.tcp_mstamp();
        tp.write_seq = tp.write_seq.wrapping_add(1);
        tp.retrans_stamp = self.tcp_time_stamp().max(1);
        tp.packets_out = 1;
        tp.wmem_queued += segment.truesize();
        let mss = tp.mss_cache;
        let _ = self.tcp_transmit_skb(tp, &segment, mss);
        tp.rtx.push_back(segment);
        tp.snd_nxt = tp.write_seq;
        tp.pushed_seq = tp.write_seq;
        self.mib.inc(Counter::TcpActiveOpens);
        let rto = tp.rto;
        self.tcp_reset_xmit_timer(tp, Pending::Retrans, rto);
    }

    /// `tcp_disconnect`: as after `socket`, but for what was bound.
    pub(crate) fn tcp_disconnect(&mut self, tp: &mut TcpSock) {
        self.trace.function(0, "tcp_disconnect");
        let unsent = tp.snd_nxt != tp.write_seq;
        let err = match tp.state {
            TcpState::Established
            | TcpState::CloseWait
            | TcpState::FinWait1
            | TcpState::FinWait2
            | TcpState::SynRecv => {
                self.tcp_send_active_reset(tp);
                Some(Errno::ECONNRESET)
            }
            TcpState::Closing | TcpState::LastAck if unsent => {
                self.tcp_send_active_reset(tp);
                Some(Errno::ECONNRESET)
            }
            TcpState::SynSent => Some(Errno::ECONNRESET),
            TcpState::Listen => {
                self.tcp_listen_stop(tp);
                None
            }
            _ => None,
        };
        self.tcp_event(tp, TcpEvent::Abort);
        self.tcp_purge(tp);
        Self::tcp_clear_xmit_timer(tp);
        if !tp.port_locked {
            self.tcp_put_port(tp);
        }
        let keep = self.tcp_new_sock(tp.slot, Queues::default());
        let old = core::mem::replace(tp, keep);
        (tp.options, tp.tunables, tp.nonagle) = (old.options, old.tunables, old.nonagle);
        tp.cong = old.cong;
        tp.rx_opt.user_mss = old.rx_opt.user_mss;
        tp.timers = old.timers;
        tp.err = err;
        if old.port_locked {
            (tp.sport, tp.port_locked, tp.bound) = (old.sport, true, old.bound);
        }
        if old.addr_locked {
            (tp.rcv_saddr, tp.saddr, tp.addr_locked) = (old.rcv_saddr, old.rcv_saddr, true);
        }
    }
}
