//! Names of the system's headers: errors, and socket options with what they take.

use std::sync::OnceLock;

/// What a socket option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// An `int`.
    Number,
    /// An `int` that has names.
    Symbols(&'static [&'static str]),
    /// A string.
    Text,
    /// The name of an error, or 0 (SO_ERROR).
    Errno,
    /// How many seconds `close` lingers, or `off` (SO_LINGER): -1 where it is off.
    Linger,
    /// A `struct timeval`.
    Time,
}

/// A socket option: its level, its name, what it takes.
pub type SocketOption = (&'static str, &'static str, Takes);

const PMTUDISC: &[&str] = &[
    "IP_PMTUDISC_DONT",
    "IP_PMTUDISC_WANT",
    "IP_PMTUDISC_DO",
    "IP_PMTUDISC_PROBE",
    "IP_PMTUDISC_INTERFACE",
    "IP_PMTUDISC_OMIT",
];

/// The socket options of socket(7), ip(7), udp(7) and tcp(7) that take a number, text or a time.
pub static OPTIONS: &[SocketOption] = &[
    ("SOL_SOCKET", "SO_ACCEPTCONN", Takes::Number),
    ("SOL_SOCKET", "SO_BINDTODEVICE", Takes::Text),
    ("SOL_SOCKET", "SO_BROADCAST", Takes::Number),
    ("SOL_SOCKET", "SO_BUSY_POLL", Takes::Number),
    ("SOL_SOCKET", "SO_DOMAIN", Takes::Number),
    ("SOL_SOCKET", "SO_DONTROUTE", Takes::Number),
    ("SOL_SOCKET", "SO_ERROR", Takes::Errno),
    ("SOL_SOCKET", "SO_INCOMING_CPU", Takes::Number),
    ("SOL_SOCKET", "SO_KEEPALIVE", Takes::Number),
    ("SOL_SOCKET", "SO_LINGER", Takes::Linger),
    ("SOL_SOCKET", "SO_MARK", Takes::Number),
    ("SOL_SOCKET", "SO_MAX_PACING_RATE", Takes::Number),
    ("SOL_SOCKET", "SO_NO_CHECK", Takes::Number),
    ("SOL_SOCKET", "SO_PRIORITY", Takes::Number),
    ("SOL_SOCKET", "SO_PROTOCOL", Takes::Number),
    ("SOL_SOCKET", "SO_RCVBUF", Takes::Number),
    ("SOL_SOCKET", "SO_RCVLOWAT", Takes::Number),
    ("SOL_SOCKET", "SO_RCVTIMEO", Takes::Time),
    ("SOL_SOCKET", "SO_REUSEADDR", Takes::Number),
    ("SOL_SOCKET", "SO_REUSEPORT", Takes::Number),
    ("SOL_SOCKET", "SO_SNDBUF", Takes::Number),
    ("SOL_SOCKET", "SO_SNDTIMEO", Takes::Time),
    ("SOL_SOCKET", "SO_TYPE", Takes::Number),
    ("SOL_SOCKET", "SO_ZEROCOPY", Takes::Number),
    ("IPPROTO_IP", "IP_BIND_ADDRESS_NO_PORT", Takes::Number),
    ("IPPROTO_IP", "IP_FREEBIND", Takes::Number),
    ("IPPROTO_IP", "IP_MTU", Takes::Number),
    ("IPPROTO_IP", "IP_MTU_DISCOVER", Takes::Symbols(PMTUDISC)),
    ("IPPROTO_IP", "IP_MULTICAST_LOOP", Takes::Number),
    ("IPPROTO_IP", "IP_MULTICAST_TTL", Takes::Number),
    ("IPPROTO_IP", "IP_PKTINFO", Takes::Number),
    ("IPPROTO_IP", "IP_RECVERR", Takes::Number),
    ("IPPROTO_IP", "IP_RECVTOS", Takes::Number),
    ("IPPROTO_IP", "IP_RECVTTL", Takes::Number),
    ("IPPROTO_IP", "IP_TOS", Takes::Number),
    ("IPPROTO_IP", "IP_TRANSPARENT", Takes::Number),
    ("IPPROTO_IP", "IP_TTL", Takes::Number),
    ("IPPROTO_UDP", "UDP_CORK", Takes::Number),
    ("IPPROTO_UDP", "UDP_GRO", Takes::Number),
    ("IPPROTO_UDP", "UDP_SEGMENT", Takes::Number),
    ("IPPROTO_TCP", "TCP_CONGESTION", Takes::Text),
    ("IPPROTO_TCP", "TCP_CORK", Takes::Number),
    ("IPPROTO_TCP", "TCP_DEFER_ACCEPT", Takes::Number),
    ("IPPROTO_TCP", "TCP_KEEPCNT", Takes::Number),
    ("IPPROTO_TCP", "TCP_KEEPIDLE", Takes::Number),
    ("IPPROTO_TCP", "TCP_KEEPINTVL", Takes::Number),
    ("IPPROTO_TCP", "TCP_LINGER2", Takes::Number),
    ("IPPROTO_TCP", "TCP_MAXSEG", Takes::Number),
    ("IPPROTO_TCP", "TCP_NODELAY", Takes::Number),
    ("IPPROTO_TCP", "TCP_NOTSENT_LOWAT", Takes::Number),
    ("IPPROTO_TCP", "TCP_QUICKACK", Takes::Number),
    ("IPPROTO_TCP", "TCP_SYNCNT", Takes::Number),
    ("IPPROTO_TCP", "TCP_USER_TIMEOUT", Takes::Number),
    ("IPPROTO_TCP", "TCP_WINDOW_CLAMP", Takes::Number),
];

/// The levels of the options.
#[must_use]
pub fn levels() -> Vec<&'static str> {
    let mut levels: Vec<_> = OPTIONS.iter().map(|(level, ..)| *level).collect();
    levels.dedup();
    levels
}

/// The errors of Linux by their names, as errno(3) spells them.
pub fn errnos() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let known = |n: &i32| nix::errno::Errno::from_raw(*n) != nix::errno::Errno::UnknownErrno;
        (1..=133).filter(known).map(|n| format!("{:?}", nix::errno::Errno::from_raw(n))).collect()
    })
}

/// The number of an error by its name.
#[must_use]
pub fn errno_number(name: &str) -> Option<i64> {
    (1..=133).find(|n| format!("{:?}", nix::errno::Errno::from_raw(*n)) == name).map(i64::from)
}

/// The states of a neighbour, as `ip neigh` prints them.
pub const NUD_STATES: &[&str] =
    &["NONE", "INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "NOARP", "PERMANENT"];

/// The kinds of softirqs, as `/proc/softirqs` prints them.
pub const SOFTIRQS: &[&str] =
    &["HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"];

/// The counters of a device, as `struct rtnl_link_stats64` names them.
pub const NETDEV: &[&str] = &[
    "rx_packets",
    "tx_packets",
    "rx_bytes",
    "tx_bytes",
    "rx_errors",
    "tx_errors",
    "rx_dropped",
    "tx_dropped",
    "multicast",
    "collisions",
    "rx_length_errors",
    "rx_over_errors",
    "rx_crc_errors",
    "rx_frame_errors",
    "rx_fifo_errors",
    "rx_missed_errors",
    "tx_aborted_errors",
    "tx_carrier_errors",
    "tx_fifo_errors",
    "tx_heartbeat_errors",
    "tx_window_errors",
    "rx_compressed",
    "tx_compressed",
    "rx_nohandler",
];

/// The groups of `/proc/net/snmp` and `/proc/net/netstat`.
pub const SNMP: &[&str] = &["Ip", "Icmp", "IcmpMsg", "Tcp", "Udp", "UdpLite", "TcpExt", "IpExt"];

/// The states of a connection, as `net/tcp_states.h` names them, by their numbers from 1.
pub const TCP_STATES: &[&str] = &[
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];

/// The fields of `struct tcp_info`, without `tcpi_`.
pub const TCP_INFO: &[&str] = &[
    "state",
    "ca_state",
    "retransmits",
    "probes",
    "backoff",
    "options",
    "snd_wscale",
    "rcv_wscale",
    "rto",
    "ato",
    "snd_mss",
    "rcv_mss",
    "unacked",
    "sacked",
    "lost",
    "retrans",
    "last_data_sent",
    "last_data_recv",
    "last_ack_recv",
    "pmtu",
    "rcv_ssthresh",
    "rtt",
    "rttvar",
    "snd_ssthresh",
    "snd_cwnd",
    "advmss",
    "reordering",
    "rcv_rtt",
    "rcv_space",
    "total_retrans",
    "bytes_acked",
    "bytes_received",
    "segs_out",
    "segs_in",
    "notsent_bytes",
    "min_rtt",
    "data_segs_in",
    "data_segs_out",
    "delivered",
    "delivered_ce",
    "bytes_sent",
    "bytes_retrans",
    "dsack_dups",
    "reord_seen",
    "rcv_ooopack",
    "snd_wnd",
    "rcv_wnd",
];

/// What `tc -s qdisc` counts.
pub const QDISC: &[&str] = &["packets", "bytes", "drops", "overlimits", "requeues", "backlog", "qlen"];
