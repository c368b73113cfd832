//! `TCP_INFO` (`tcp_get_info`, Linux 6.12): what the connection knows of itself, fields by the names of `struct tcp_info`.

use super::sock::TcpSock;
use super::state::TcpState;
use crate::errno::Errno;
use crate::socket::{Fd, SocketTable};
use crate::stack::Stack;
use crate::stack::TICK_NS;

macro_rules! tcp_info {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// `struct tcp_info`, names without `tcpi_`. Times are in microseconds, those since something in milliseconds.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct TcpInfo { $($(#[$doc])* pub $field: u64,)* }

        impl TcpInfo {
            /// All fields by name; `state` is the number of a [`TcpState`].
            pub fn fields(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($field), self.$field),)*].into_iter()
            }
        }
    };
}

tcp_info! {
    /// The state, by its number.
    state,
    /// What is wrong: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss.
    ca_state,
    /// Timeouts since the last progress.
    retransmits,
    /// Probes that were not answered.
    probes,
    /// How often the timer was doubled.
    backoff,
    /// 1 timestamps, 2 SACK, 4 window scale, 8 ECN, 16 ECN seen.
    options,
    /// The shift of the peer's window.
    snd_wscale,
    /// The shift of ours.
    rcv_wscale,
    /// The retransmission timeout.
    rto,
    /// The delay of acknowledgements.
    ato,
    /// Bytes of a segment that we send.
    snd_mss,
    /// Bytes of a segment that the peer sends, as estimated.
    rcv_mss,
    /// Segments that are not acknowledged; of a listener, connections that wait to be accepted.
    unacked,
    /// Segments that were selectively acknowledged; of a listener, its backlog.
    sacked,
    /// Segments that are taken for lost.
    lost,
    /// Segments that were sent again and are under way.
    retrans,
    /// Since data was last sent.
    last_data_sent,
    /// Since data last came.
    last_data_recv,
    /// Since an ACK last came.
    last_ack_recv,
    /// The path's MTU.
    pmtu,
    /// What may be offered to the peer.
    rcv_ssthresh,
    /// The smoothed round trip.
    rtt,
    /// Its deviation.
    rttvar,
    /// The slow start threshold, in segments.
    snd_ssthresh,
    /// The congestion window, in segments.
    snd_cwnd,
    /// The MSS that we told.
    advmss,
    /// By how many segments packets are taken to overtake one another.
    reordering,
    /// The round trip as the receiver sees it.
    rcv_rtt,
    /// How much the application reads in a round trip.
    rcv_space,
    /// Segments that were sent again, ever.
    total_retrans,
    /// Bytes per second.
    pacing_rate,
    /// The limit of it.
    max_pacing_rate,
    /// Bytes of ours that were acknowledged.
    bytes_acked,
    /// Bytes that came.
    bytes_received,
    /// Segments that went out.
    segs_out,
    /// Segments that came in.
    segs_in,
    /// Bytes that are not sent yet.
    notsent_bytes,
    /// The least round trip.
    min_rtt,
    /// Segments with data that came.
    data_segs_in,
    /// Segments with data that went out.
    data_segs_out,
    /// Segments that arrived at the peer.
    delivered,
    /// Those of them that met congestion.
    delivered_ce,
    /// Bytes that went out, those sent again included.
    bytes_sent,
    /// Bytes that were sent again.
    bytes_retrans,
    /// Duplicates that the peer told of.
    dsack_dups,
    /// How often reordering was seen.
    reord_seen,
    /// Packets that came out of order.
    rcv_ooopack,
    /// The peer's window.
    snd_wnd,
    /// The window that we offer.
    rcv_wnd,
    /// Timeouts, ever.
    total_rto,
}

impl TcpInfo {
    /// The state's name, as `ss` and Linux spell it.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        TcpState::ALL.into_iter().find(|state| *state as u64 == self.state).map_or("UNKNOWN", TcpState::name)
    }
}

/// Ticks in microseconds: `jiffies_to_usecs`.
fn jiffies_to_usecs(jiffies: u64) -> u64 {
    jiffies * (TICK_NS / 1000)
}

fn jiffies_to_msecs(jiffies: u64) -> u64 {
    jiffies * (TICK_NS / 1_000_000)
}

impl Stack {
    /// `getsockopt(TCP_INFO)`.
    ///
    /// # Errors
    /// EBADF; EOPNOTSUPP when it is not a TCP socket.
    pub fn tcp_info(&self, fd: Fd) -> Result<TcpInfo, Errno> {
        self.sockets.get(fd)?;
        let tp = self.tcp.sock(SocketTable::slot(fd)).ok_or(Errno::EOPNOTSUPP)?;
        let mut info = tcp_get_info(tp);
        if tp.state != TcpState::Listen {
            let since = |then: u64| jiffies_to_msecs(self.jiffies.saturating_sub(then));
            info.last_data_sent = since(tp.lsndtime);
            info.last_data_recv = since(tp.ack.lrcvtime);
            info.last_ack_recv = since(tp.rcv_tstamp);
        }
        Ok(info)
    }
}

fn tcp_get_info(tp: &TcpSock) -> TcpInfo {
    let listening = tp.state == TcpState::Listen;
    let mut info = TcpInfo {
        state: tp.state as u64,
        reordering: u64::from(tp.reordering),
        snd_cwnd: u64::from(tp.snd_cwnd),
        pacing_rate: tp.pacing_rate,
        max_pacing_rate: u64::MAX,
        ..TcpInfo::default()
    };
    if listening {
        info.unacked = tp.accept_queue.len() as u64;
        info.sacked = u64::from(tp.max_ack_backlog);
        return info;
    }
    let rx = &tp.rx_opt;
    info.ca_state = tp.ca_state as u64;
    info.retransmits = tp.retransmits.into();
    info.probes = tp.probes_out.into();
    info.backoff = tp.backoff.into();
    info.options = u64::from(rx.tstamp_ok)
        | u64::from(rx.sack_ok) << 1
        | u64::from(rx.wscale_ok) << 2
        | u64::from(tp.ecn_ok) << 3
        | u64::from(tp.ecn_seen) << 4;
    info.snd_wscale = if rx.wscale_ok { rx.snd_wscale.into() } else { 0 };
    info.rcv_wscale = if rx.wscale_ok { rx.rcv_wscale.into() } else { 0 };
    info.rto = jiffies_to_usecs(tp.rto);
    info.ato = jiffies_to_usecs(tp.ack.ato.min(super::input::TCP_DELACK_MAX));
    info.snd_mss = tp.mss_cache.into();
    info.rcv_mss = tp.ack.rcv_mss.into();
    info.unacked = tp.packets_out.into();
    info.sacked = tp.sacked_out.into();
    info.lost = tp.lost_out.into();
    info.retrans = tp.retrans_out.into();
    info.pmtu = tp.pmtu_cookie.into();
    info.rcv_ssthresh = tp.rcv_ssthresh.into();
    info.rtt = u64::from(tp.srtt_us >> 3);
    info.rttvar = u64::from(tp.mdev_us >> 2);
    info.snd_ssthresh = tp.snd_ssthresh.into();
    info.advmss = tp.advmss.into();
    info.rcv_rtt = u64::from(tp.rcv_est.rtt_us >> 3);
    info.rcv_space = tp.rcv_est.space.into();
    info.total_retrans = tp.total_retrans.into();
    info.bytes_acked = tp.bytes_acked;
    info.bytes_received = tp.bytes_received;
    info.segs_out = tp.segs_out.into();
    info.segs_in = tp.segs_in.into();
    info.notsent_bytes = u64::from(tp.write_seq.wrapping_sub(tp.snd_nxt).min(i32::MAX as u32));
    info.min_rtt = tp.min_rtt.into();
    info.data_segs_in = tp.data_segs_in.into();
    info.data_segs_out = tp.data_segs_out.into();
    info.delivered = tp.delivered.into();
    info.delivered_ce = tp.delivered_ce.into();
    info.bytes_sent = tp.bytes_sent;
    info.bytes_retrans = tp.bytes_retrans;
    info.dsack_dups = tp.dsack_dups.into();
    info.reord_seen = tp.reord_seen.into();
    info.rcv_ooopack = tp.rcv_ooopack.into();
    info.snd_wnd = tp.snd_wnd.into();
    info.rcv_wnd = tp.rcv_wnd.into();
    info.total_rto = tp.total_rto.into();
    info
}
