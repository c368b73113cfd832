//! `struct tcp_sock` with what it is made of (`inet_connection_sock`, `inet_sock`, `sock`), fields by Linux's names (6.12).

use super::coalesce::Received;
use super::cong::CongestionControl;
use super::options::{MAX_SACKS, SackBlock};
use super::segment::{PageFrag, TxSegment};
use super::state::TcpState;
use super::template::HeaderTemplate;
use super::timer::Timers;
use crate::errno::Errno;
use crate::route::RouteResult;
use crate::socket::Options;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// What is known to be wrong with the connection: `tcp_ca_state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum CaState {
    /// Nothing.
    #[default]
    Open = 0,
    /// Duplicate ACKs, or selective ones.
    Disorder = 1,
    /// The window is being reduced without a loss (ECN, local congestion).
    Cwr = 2,
    /// Fast recovery.
    Recovery = 3,
    /// Recovery after the retransmission timer.
    Loss = 4,
}

/// What the retransmission timer is set for: `icsk_pending`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pending {
    #[default]
    None,
    Retrans,
    Probe0,
    LossProbe,
    ReoTimeout,
}

/// Delayed acknowledgements: `icsk_ack`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AckState {
    /// `ICSK_ACK_SCHED`: an ACK is owed.
    pub(crate) sched: bool,
    /// `ICSK_ACK_TIMER`: the timer runs.
    pub(crate) timer: bool,
    /// `ICSK_ACK_PUSHED`: a small segment came.
    pub(crate) pushed: bool,
    /// `ICSK_ACK_PUSHED2`: another.
    pub(crate) pushed2: bool,
    /// `ICSK_ACK_NOW`: no delay.
    pub(crate) now: bool,
    /// `ICSK_ACK_NOMEM`: there was no room, and no window is offered.
    pub(crate) nomem: bool,
    /// ACKs that go at once.
    pub(crate) quick: u8,
    pub(crate) pingpong: u8,
    /// The delay, in ticks.
    pub(crate) ato: u64,
    /// When data last came, in ticks.
    pub(crate) lrcvtime: u64,
    pub(crate) last_seg_size: u32,
    pub(crate) rcv_mss: u32,
}

/// RACK's state (RFC 8985).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rack {
    pub(crate) mstamp: u64,
    pub(crate) rtt_us: u32,
    pub(crate) end_seq: u32,
    pub(crate) last_delivered: u32,
    pub(crate) reo_wnd_steps: u8,
    pub(crate) reo_wnd_persist: u8,
    pub(crate) dsack_seen: bool,
    pub(crate) advanced: bool,
}

/// What was negotiated, and what the peer last said: `rx_opt`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RxOptions {
    pub(crate) tstamp_ok: bool,
    pub(crate) sack_ok: bool,
    pub(crate) dsack_seen: bool,
    pub(crate) wscale_ok: bool,
    pub(crate) snd_wscale: u8,
    pub(crate) rcv_wscale: u8,
    pub(crate) saw_tstamp: bool,
    pub(crate) rcv_tsval: u32,
    pub(crate) rcv_tsecr: u32,
    pub(crate) ts_recent: u32,
    /// When `ts_recent` was learned, in seconds.
    pub(crate) ts_recent_stamp: u64,
    pub(crate) mss_clamp: u32,
    pub(crate) user_mss: u16,
}

/// `tcp_sock`'s receiver-side estimates.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RcvEstimates {
    pub(crate) rtt_us: u32,
    pub(crate) rtt_seq: u32,
    pub(crate) rtt_time: u64,
    pub(crate) rtt_last_tsecr: u32,
    /// `rcvq_space`.
    pub(crate) space: u32,
    pub(crate) space_seq: u32,
    pub(crate) space_time: u64,
}

/// Keepalive, time-outs and the like, as options set them; 0: the sysctl's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tunables {
    pub(crate) keepalive: bool,
    pub(crate) keepalive_time: u32,
    pub(crate) keepalive_intvl: u32,
    pub(crate) keepalive_probes: u8,
    /// In milliseconds.
    pub(crate) user_timeout: u32,
    pub(crate) syn_retries: u8,
    /// In seconds; negative: none.
    pub(crate) linger2: i32,
    /// TCP_DEFER_ACCEPT, in timeouts of the SYN-ACK.
    pub(crate) defer_accept: u8,
    pub(crate) notsent_lowat: u32,
    pub(crate) rcvlowat: u32,
    /// SO_LINGER, in seconds.
    pub(crate) linger: Option<u32>,
    pub(crate) sndbuf_locked: bool,
    pub(crate) rcvbuf_locked: bool,
}

/// `nonagle`: TCP_NODELAY.
pub(crate) const NAGLE_OFF: u8 = 1;
/// `nonagle`: TCP_CORK.
pub(crate) const NAGLE_CORK: u8 = 2;
/// `nonagle`: what is there goes.
pub(crate) const NAGLE_PUSH: u8 = 4;

/// The queues of a socket, whose memory the next socket takes.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    pub(crate) rtx: VecDeque<TxSegment>,
    pub(crate) wq: VecDeque<TxSegment>,
    pub(crate) receive: VecDeque<Received>,
}

/// A TCP socket.
#[derive(Debug)]
pub(crate) struct TcpSock {
    pub(crate) slot: u32,
    pub(crate) state: TcpState,
    /// `inet_rcv_saddr`: the address that it is bound to; unspecified: any.
    pub(crate) rcv_saddr: Ipv4Addr,
    pub(crate) saddr: Ipv4Addr,
    pub(crate) sport: u16,
    pub(crate) daddr: Ipv4Addr,
    pub(crate) dport: u16,
    pub(crate) addr_locked: bool,
    pub(crate) port_locked: bool,
    /// Its place in the table of connections, unless another took it there.
    pub(crate) hashed: Option<super::hash::Place>,
    /// It is in the table of listeners.
    pub(crate) listed: bool,
    /// What is added to the clock of its timestamps: `tsoffset`.
    pub(crate) tsoffset: u32,
    /// Its place among the holders of its port.
    pub(crate) bound: super::ports::Held,
    pub(crate) options: Options,
    pub(crate) tunables: Tunables,
    pub(crate) err: Option<Errno>,
    pub(crate) err_soft: Option<Errno>,
    pub(crate) shutdown_read: bool,
    pub(crate) shutdown_write: bool,
    /// `SS_CONNECTING`: the result of `connect` was not told yet.
    pub(crate) connecting: bool,
    /// `SS_CONNECTED`: the application was told of a connection.
    pub(crate) connected: bool,
    /// `SOCK_DONE`: a FIN or reset came.
    pub(crate) done: bool,
    /// `SOCK_DEAD`: no descriptor refers to it any more.
    pub(crate) dead: bool,
    /// To be freed as soon as it is let go.
    pub(crate) destroy: bool,
    /// The identification of the next packet.
    pub(crate) inet_id: u16,
    pub(crate) cached_route: Option<(u64, RouteResult)>,
    /// The headers of segments without a SYN, as far as they are the same.
    pub(crate) template: HeaderTemplate,
    pub(crate) tcp_header_len: u32,

    // The sender.
    pub(crate) snd_una: u32,
    pub(crate) snd_nxt: u32,
    pub(crate) write_seq: u32,
    pub(crate) pushed_seq: u32,
    /// `snd_up`: the number behind the last urgent byte; `None` where Linux has it equal to `snd_una`.
    pub(crate) snd_up: Option<u32>,
    pub(crate) snd_sml: u32,
    pub(crate) snd_wl1: u32,
    pub(crate) snd_wnd: u32,
    pub(crate) max_window: u32,
    pub(crate) mss_cache: u32,
    pub(crate) advmss: u32,
    pub(crate) pmtu_cookie: u32,
    pub(crate) nonagle: u8,
    /// Sent, not acknowledged: in order.
    pub(crate) rtx: VecDeque<TxSegment>,
    /// Not sent yet.
    pub(crate) wq: VecDeque<TxSegment>,
    pub(crate) page_frag: PageFrag,
    /// `sk_wmem_queued`.
    pub(crate) wmem_queued: u32,
    pub(crate) nospace: bool,
    pub(crate) pacing_rate: u64,
    /// When something was last sent, in nanoseconds (`tcp_wstamp_ns`).
    pub(crate) wstamp_ns: u64,
    /// When data was last sent, in ticks.
    pub(crate) lsndtime: u64,
    pub(crate) iss: u32,

    // Round trips and the timer.
    pub(crate) srtt_us: u32,
    pub(crate) mdev_us: u32,
    pub(crate) mdev_max_us: u32,
    pub(crate) rttvar_us: u32,
    pub(crate) rtt_seq: u32,
    pub(crate) min_rtt: u32,
    pub(crate) min_rtt_stamp: u64,
    /// In ticks.
    pub(crate) rto: u64,
    pub(crate) backoff: u8,
    pub(crate) retransmits: u8,
    pub(crate) probes_out: u8,
    pub(crate) probes_tstamp: u64,
    pub(crate) pending: Pending,
    pub(crate) timers: Timers,
    pub(crate) total_rto: u16,

    // Congestion control and recovery.
    pub(crate) cong: CongestionControl,
    pub(crate) ca_state: CaState,
    pub(crate) snd_cwnd: u32,
    pub(crate) snd_cwnd_cnt: u32,
    pub(crate) snd_ssthresh: u32,
    pub(crate) prior_ssthresh: u32,
    pub(crate) prior_cwnd: u32,
    pub(crate) snd_cwnd_used: u32,
    /// In ticks.
    pub(crate) snd_cwnd_stamp: u64,
    pub(crate) is_cwnd_limited: bool,
    pub(crate) max_packets_out: u32,
    pub(crate) cwnd_usage_seq: u32,
    pub(crate) packets_out: u32,
    pub(crate) sacked_out: u32,
    pub(crate) lost_out: u32,
    pub(crate) retrans_out: u32,
    pub(crate) high_seq: u32,
    pub(crate) highest_sack_seq: u32,
    pub(crate) reordering: u32,
    pub(crate) reord_seen: u32,
    pub(crate) undo_marker: u32,
    pub(crate) undo_retrans: i64,
    /// In milliseconds of the timestamp clock; 0: none.
    pub(crate) retrans_stamp: u32,
    pub(crate) prr_delivered: u32,
    pub(crate) prr_out: u32,
    pub(crate) frto: bool,
    pub(crate) is_sack_reneg: bool,
    pub(crate) tlp_high_seq: u32,
    pub(crate) tlp_retrans: bool,
    pub(crate) rack: Rack,
    pub(crate) delivered: u32,
    pub(crate) delivered_ce: u32,
    pub(crate) lost: u32,
    pub(crate) total_retrans: u32,
    pub(crate) dsack_dups: u32,

    // The receiver.
    pub(crate) rx_opt: RxOptions,
    pub(crate) rcv_nxt: u32,
    pub(crate) copied_seq: u32,
    /// The header that is expected next; `None`: the long way for all.
    pub(crate) pred_flags: Option<super::predict::Predicted>,
    /// `urg_seq`: the number of the urgent byte.
    pub(crate) urg_seq: u32,
    pub(crate) urg_data: Option<super::urgent::UrgentData>,
    pub(crate) rcv_wup: u32,
    pub(crate) rcv_wnd: u32,
    pub(crate) window_clamp: u32,
    pub(crate) rcv_ssthresh: u32,
    pub(crate) irs: u32,
    pub(crate) rcv_est: RcvEstimates,
    pub(crate) ack: AckState,
    pub(crate) receive_queue: VecDeque<Received>,
    pub(crate) out_of_order: Vec<Received>,
    /// `sk_rmem_alloc`: the memory of what waits to be read or lies out of order, in bytes.
    pub(crate) rmem_alloc: u32,
    /// `sk_forward_alloc`: what was left of granted pages when as much was held as `mem_charged` says.
    pub(crate) forward_alloc: u32,
    pub(crate) mem_charged: u32,
    pub(crate) selective_acks: [SackBlock; MAX_SACKS],
    pub(crate) num_sacks: u8,
    pub(crate) duplicate_sack: Option<SackBlock>,
    pub(crate) scaling_ratio: u8,
    /// When the last segment came, in ticks.
    pub(crate) rcv_tstamp: u64,
    /// RFC 5961 challenge ACKs and the like: when the last went out (ticks).
    pub(crate) last_oow_ack_time: u64,
    pub(crate) rcv_ooopack: u32,

    // ECN.
    pub(crate) ecn_ok: bool,
    pub(crate) ecn_queue_cwr: bool,
    pub(crate) ecn_demand_cwr: bool,
    pub(crate) ecn_seen: bool,

    // The listener.
    pub(crate) max_ack_backlog: u32,
    pub(crate) accept_queue: VecDeque<u32>,
    pub(crate) syn_queue_len: u32,
    /// The listener that a child came from, until it is accepted.
    pub(crate) parent: Option<u32>,

    // What TCP_INFO tells.
    pub(crate) bytes_acked: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_retrans: u64,
    pub(crate) segs_out: u32,
    pub(crate) segs_in: u32,
    pub(crate) data_segs_out: u32,
    pub(crate) data_segs_in: u32,
}

/// The window that a connection begins with, in segments (RFC 6928).
pub(crate) const TCP_INIT_CWND: u32 = 10;
/// `TCP_INFINITE_SSTHRESH`.
pub(crate) const TCP_INFINITE_SSTHRESH: u32 = 0x7fff_ffff;
/// `TCP_MSS_DEFAULT`.
pub(crate) const TCP_MSS_DEFAULT: u32 = 536;
/// `SOCK_MIN_RCVBUF`: the least receive buffer, in bytes.
pub(crate) const SOCK_MIN_RCVBUF: u32 = 2048 + crate::skb::pool::SKB_DESCRIPTION_BYTES;
/// `TCP_DEFAULT_SCALING_RATIO`: half of the buffer is taken to be payload.
pub(crate) const DEFAULT_SCALING_RATIO: u8 = 128;

impl TcpSock {
    /// `tcp_left_out`.
    #[inline]
    pub(crate) fn left_out(&self) -> u32 {
        self.sacked_out + self.lost_out
    }

    /// `tcp_packets_in_flight`.
    #[inline]
    pub(crate) fn packets_in_flight(&self) -> u32 {
        (self.packets_out + self.retrans_out).saturating_sub(self.left_out())
    }

    /// `tcp_in_slow_start`.
    #[inline]
    pub(crate) fn in_slow_start(&self) -> bool {
        self.snd_cwnd < self.snd_ssthresh
    }

    /// `tcp_in_cwnd_reduction`.
    #[inline]
    pub(crate) fn in_cwnd_reduction(&self) -> bool {
        matches!(self.ca_state, CaState::Cwr | CaState::Recovery)
    }

    /// `tcp_wnd_end`.
    #[inline]
    pub(crate) fn wnd_end(&self) -> u32 {
        self.snd_una.wrapping_add(self.snd_wnd)
    }

    /// `tcp_highest_sack_seq`.
    #[inline]
    pub(crate) fn highest_sack(&self) -> u32 {
        if self.sacked_out == 0 { self.snd_una } else { self.highest_sack_seq }
    }

    /// `sk_stream_memory_free`: the buffer is not full, and less waits to be sent than TCP_NOTSENT_LOWAT (or `lowat`, the sysctl)
    /// says; for who is to be woken less than half of that.
    #[inline]
    pub(crate) fn has_memory(&self, lowat: u32, wake: bool) -> bool {
        let lowat = if self.tunables.notsent_lowat == 0 { lowat } else { self.tunables.notsent_lowat };
        let waits = self.write_seq.wrapping_sub(self.snd_nxt) << u32::from(wake);
        self.wmem_queued < self.options.sndbuf && waits < lowat
    }

    /// `sk_stream_is_writeable`: a third of the buffer is free.
    #[inline]
    pub(crate) fn is_writeable(&self, lowat: u32) -> bool {
        self.options.sndbuf.saturating_sub(self.wmem_queued) >= self.wmem_queued >> 1
            && self.has_memory(lowat, true)
    }

    /// Whether the memory of the queues is worth keeping for another socket, and not too much for one that sends little.
    pub(crate) fn queues_are_small(&self) -> bool {
        self.rtx.capacity() <= 16 && self.wq.capacity() <= 16 && self.receive_queue.capacity() <= 64
    }

    /// What is remembered of the way to the peer does not hold any more, or an option changed.
    pub(crate) fn forget_route(&mut self) {
        self.cached_route = None;
        self.template.generation = 0;
    }

    /// The 4-tuple, from our side.
    #[inline]
    pub(crate) fn tuple(&self) -> super::hash::Tuple {
        super::hash::Tuple { laddr: self.saddr, lport: self.sport, raddr: self.daddr, rport: self.dport }
    }

    /// `inet_csk_in_pingpong_mode`.
    pub(crate) fn in_pingpong_mode(&self) -> bool {
        self.ack.pingpong >= 1
    }
}
