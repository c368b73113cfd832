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
        }
    }
}
