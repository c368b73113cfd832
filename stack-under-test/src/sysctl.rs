//! The settings that the stack acts on, with the defaults that every rig pins.

use crate::time::Duration;

/// Values of `/proc/sys/net`, by their last names. Neighbour settings lie with the neighbour table.
#[derive(Clone, Debug)]
pub struct Sysctl {
    /// `net.ipv4.ip_default_ttl`.
    pub ip_default_ttl: u8,
    /// `net.ipv4.ip_no_pmtu_disc`: 0 starts sockets with IP_PMTUDISC_WANT, 1 with IP_PMTUDISC_DONT.
    pub ip_no_pmtu_disc: u8,
    /// `net.ipv4.ip_local_port_range`: first and last port for those who do not care.
    pub ip_local_port_range: (u16, u16),
    /// `net.ipv4.ipfrag_time`, in seconds: how long a datagram may take to become whole.
    pub ipfrag_time: u32,
    /// `net.ipv4.ipfrag_high_thresh`: bytes that fragments may hold in all.
    pub ipfrag_high_thresh: u32,
    /// `net.ipv4.ipfrag_low_thresh`: at most `ipfrag_high_thresh`, and without effect since Linux 4.17.
    pub ipfrag_low_thresh: u32,
    /// `net.ipv4.ipfrag_max_dist`: how many fragments a sender may send between two of one datagram; 0 is any number.
    pub ipfrag_max_dist: u32,
    /// `net.ipv4.icmp_ratelimit`: the time between two ICMP errors to one destination, on average.
    pub icmp_ratelimit: Duration,
    /// `net.ipv4.icmp_ratemask`: the types that are limited.
    pub icmp_ratemask: u32,
    /// `net.ipv4.icmp_echo_ignore_all`.
    pub icmp_echo_ignore_all: bool,
    /// `net.ipv4.icmp_echo_ignore_broadcasts`.
    pub icmp_echo_ignore_broadcasts: bool,
    /// `net.ipv4.route.min_pmtu`: no path is taken to be narrower.
    pub min_pmtu: u32,
    /// `net.ipv4.route.mtu_expires`: how long a learned path MTU holds.
    pub mtu_expires: Duration,
    /// `net.core.wmem_default`: the send buffer that a socket begins with.
    pub wmem_default: u32,
    /// `net.core.rmem_default`.
    pub rmem_default: u32,
    /// `net.core.wmem_max`: SO_SNDBUF is limited to it before it is doubled.
    pub wmem_max: u32,
    /// `net.core.rmem_max`.
    pub rmem_max: u32,
    /// Those of TCP.
    pub tcp: TcpSysctl,
}

/// Values of `/proc/sys/net/ipv4/tcp_*`, without that prefix (and `net.core.somaxconn`), with the defaults of Linux 6.12.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of ip-sysctl.rst, which is their documentation")]
pub struct TcpSysctl {
    pub timestamps: bool,
    pub sack: bool,
    pub dsack: bool,
    pub window_scaling: bool,
    pub ecn: u8,
    pub early_retrans: u8,
    pub rto_min_us: u32,
    pub moderate_rcvbuf: bool,
    pub min_tso_segs: u32,
    pub slow_start_after_idle: bool,
    pub syn_retries: u8,
    pub syn_linear_timeouts: u8,
    pub synack_retries: u8,
    pub retries2: u8,
    pub orphan_retries: u8,
    pub max_orphans: u32,
    pub fin_timeout: u32,
    pub keepalive_time: u32,
    pub keepalive_intvl: u32,
    pub keepalive_probes: u8,
    pub somaxconn: u32,
    pub tw_reuse: u8,
    pub max_tw_buckets: u32,
    pub rfc1337: bool,
    pub reordering: u32,
    pub frto: bool,
    pub invalid_ratelimit_ms: u64,
    pub rmem: [u32; 3],
    pub wmem: [u32; 3],
    pub notsent_lowat: u32,
    pub congestion_control: &'static str,
}

impl Default for TcpSysctl {
    fn default() -> Self {
        Self {
            timestamps: true,
            sack: true,
            dsack: true,
            window_scaling: true,
            ecn: 2,
            early_retrans: 3,
            rto_min_us: 200_000,
            moderate_rcvbuf: true,
            min_tso_segs: 2,
            slow_start_after_idle: true,
            syn_retries: 6,
            syn_linear_timeouts: 4,
            synack_retries: 5,
            retries2: 15,
            orphan_retries: 0,
            max_orphans: 16_384,
            fin_timeout: 60,
            keepalive_time: 7200,
            keepalive_intvl: 75,
            keepalive_probes: 9,
            somaxconn: 4096,
            tw_reuse: 2,
            max_tw_buckets: 16_384,
            rfc1337: false,
            reordering: 3,
            frto: true,
            invalid_ratelimit_ms: 500,
            rmem: [4096, 131_072, 6_291_456],
            wmem: [4096, 16_384, 4_194_304],
            notsent_lowat: u32::MAX,
            congestion_control: "reno",
        }
    }
}

impl Default for Sysctl {
    fn default() -> Self {
        Self {
            ip_default_ttl: 64,
            ip_no_pmtu_disc: 0,
            ip_local_port_range: (32768, 60999),
            ipfrag_time: 30,
            ipfrag_high_thresh: 4 * 1024 * 1024,
            ipfrag_low_thresh: 3 * 1024 * 1024,
            ipfrag_max_dist: 64,
            icmp_ratelimit: Duration::from_millis(1000),
            icmp_ratemask: 6168,
            icmp_echo_ignore_all: false,
            icmp_echo_ignore_broadcasts: true,
            min_pmtu: 552,
            mtu_expires: Duration::from_secs(600),
            wmem_default: 212_992,
            rmem_default: 212_992,
            wmem_max: 4_194_304,
            rmem_max: 4_194_304,
            tcp: TcpSysctl::default(),
        }
    }
}
