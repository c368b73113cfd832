//! The sysctls that the stack has, and which values each takes (Documentation/networking/ip-sysctl.rst of 6.12).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One number.
    Int {
        /// The least.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// Several numbers, separated by white space.
    Ints {
        /// How many.
        count: usize,
    },
    /// One of these words.
    Word {
        /// The words.
        one_of: &'static [&'static str],
    },
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// What comes before the interface, or the whole key.
    pub prefix: &'static str,
    /// The names that stand where an interface does; empty when the key has none.
    pub interfaces: &'static [&'static str],
    /// What comes after the interface.
    pub leaf: &'static str,
    /// What it takes.
    pub kind: Kind,
}

const MAX: i64 = i32::MAX as i64;
const BOOL: Kind = Kind::Int { min: 0, max: 1 };
const INT: Kind = Kind::Int { min: 0, max: MAX };

const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max }
}

const fn ip(prefix: &'static str, kind: Kind) -> Key {
    Key { prefix, interfaces: &[], leaf: "", kind }
}

const fn conf(leaf: &'static str, kind: Kind) -> Key {
    Key { prefix: "net.ipv4.conf", interfaces: &["all", "default", "eth0", "lo"], leaf, kind }
}

const fn neigh(leaf: &'static str, kind: Kind) -> Key {
    Key { prefix: "net.ipv4.neigh", interfaces: &["default", "eth0", "lo"], leaf, kind }
}

/// Every key that the stack has.
pub const KEYS: &[Key] = &[
    neigh("retrans_time_ms", INT),
    neigh("mcast_solicit", INT),
    neigh("ucast_solicit", INT),
    neigh("app_solicit", INT),
    neigh("mcast_resolicit", INT),
    neigh("base_reachable_time_ms", INT),
    neigh("base_reachable_time", INT),
    neigh("delay_first_probe_time", INT),
    neigh("gc_stale_time", INT),
    neigh("unres_qlen", INT),
    neigh("unres_qlen_bytes", INT),
    neigh("locktime", INT),
    ip("net.ipv4.neigh.default.gc_thresh1", INT),
    ip("net.ipv4.neigh.default.gc_thresh2", INT),
    ip("net.ipv4.neigh.default.gc_thresh3", INT),
    ip("net.ipv4.neigh.default.gc_interval", INT),
    conf("rp_filter", int(0, 2)),
    conf("arp_ignore", int(0, 8)),
    conf("arp_announce", int(0, 2)),
    conf("arp_notify", BOOL),
    conf("arp_accept", int(0, 2)),
    conf("arp_filter", BOOL),
    conf("accept_local", BOOL),
    conf("accept_redirects", BOOL),
    conf("accept_source_route", BOOL),
    conf("send_redirects", BOOL),
    conf("secure_redirects", BOOL),
    conf("forwarding", BOOL),
    conf("log_martians", BOOL),
    conf("route_localnet", BOOL),
    conf("src_valid_mark", BOOL),
    ip("net.ipv4.ip_default_ttl", int(1, 255)),
    ip("net.ipv4.ip_no_pmtu_disc", int(0, 3)),
    ip("net.ipv4.ip_forward", BOOL),
    ip("net.ipv4.ip_forward_use_pmtu", BOOL),
    ip("net.ipv4.ip_nonlocal_bind", BOOL),
    ip("net.ipv4.ip_local_port_range", Kind::Ints { count: 2 }),
    ip("net.ipv4.ip_unprivileged_port_start", int(0, 65535)),
    ip("net.ipv4.ip_early_demux", BOOL),
    ip("net.ipv4.ipfrag_time", INT),
    ip("net.ipv4.ipfrag_high_thresh", INT),
    ip("net.ipv4.ipfrag_low_thresh", INT),
    ip("net.ipv4.ipfrag_max_dist", int(0, MAX)),
    ip("net.ipv4.fwmark_reflect", BOOL),
    ip("net.ipv4.icmp_ratelimit", INT),
    ip("net.ipv4.icmp_ratemask", INT),
    ip("net.ipv4.icmp_msgs_per_sec", INT),
    ip("net.ipv4.icmp_msgs_burst", INT),
    ip("net.ipv4.icmp_echo_ignore_all", BOOL),
    ip("net.ipv4.icmp_echo_ignore_broadcasts", BOOL),
    ip("net.ipv4.icmp_ignore_bogus_error_responses", BOOL),
    ip("net.ipv4.icmp_errors_use_inbound_ifaddr", BOOL),
    ip("net.ipv4.udp_rmem_min", INT),
    ip("net.ipv4.udp_wmem_min", INT),
    ip("net.ipv4.udp_early_demux", BOOL),
    ip("net.ipv4.route.min_pmtu", INT),
    ip("net.ipv4.route.mtu_expires", INT),
    ip("net.ipv4.route.min_adv_mss", INT),
    ip("net.ipv4.tcp_rmem", Kind::Ints { count: 3 }),
    ip("net.ipv4.tcp_wmem", Kind::Ints { count: 3 }),
    ip("net.ipv4.tcp_congestion_control", Kind::Word { one_of: &["reno", "cubic"] }),
    ip("net.ipv4.tcp_no_metrics_save", BOOL),
    ip("net.ipv4.tcp_timestamps", int(0, 2)),
    ip("net.ipv4.tcp_sack", BOOL),
    ip("net.ipv4.tcp_dsack", BOOL),
    ip("net.ipv4.tcp_window_scaling", BOOL),
    ip("net.ipv4.tcp_ecn", int(0, 2)),
    ip("net.ipv4.tcp_early_retrans", int(0, 4)),
    ip("net.ipv4.tcp_recovery", int(0, 255)),
    ip("net.ipv4.tcp_rto_min_us", int(1, MAX)),
    ip("net.ipv4.tcp_mtu_probing", int(0, 2)),
    ip("net.ipv4.tcp_moderate_rcvbuf", BOOL),
    ip("net.ipv4.tcp_adv_win_scale", int(-31, 31)),
    ip("net.ipv4.tcp_autocorking", BOOL),
    ip("net.ipv4.tcp_min_tso_segs", int(1, 255)),
    ip("net.ipv4.tcp_limit_output_bytes", INT),
    ip("net.ipv4.tcp_slow_start_after_idle", BOOL),
    ip("net.ipv4.tcp_pingpong_thresh", int(1, 255)),
    ip("net.ipv4.tcp_notsent_lowat", int(0, u32::MAX as i64)),
    ip("net.ipv4.tcp_fastopen", INT),
    ip("net.ipv4.tcp_syncookies", int(0, 2)),
    ip("net.ipv4.tcp_syn_retries", int(1, 127)),
    ip("net.ipv4.tcp_synack_retries", int(0, 255)),
    ip("net.ipv4.tcp_syn_linear_timeouts", int(0, 127)),
    ip("net.ipv4.tcp_retries1", int(0, 255)),
    ip("net.ipv4.tcp_retries2", int(0, 255)),
    ip("net.ipv4.tcp_fin_timeout", INT),
    ip("net.ipv4.tcp_keepalive_time", INT),
    ip("net.ipv4.tcp_keepalive_intvl", INT),
    ip("net.ipv4.tcp_keepalive_probes", int(0, 255)),
    ip("net.ipv4.tcp_tw_reuse", int(0, 2)),
    ip("net.ipv4.tcp_max_syn_backlog", INT),
    ip("net.ipv4.tcp_base_mss", INT),
    ip("net.core.wmem_default", int(4608, MAX)),
    ip("net.core.rmem_default", int(2304, MAX)),
    ip("net.core.wmem_max", int(4608, MAX)),
    ip("net.core.rmem_max", int(2304, MAX)),
    ip("net.core.somaxconn", INT),
    ip("net.core.dev_weight", int(1, MAX)),
    ip("net.core.netdev_budget", INT),
    ip("net.core.netdev_budget_usecs", INT),
    ip("net.core.netdev_max_backlog", INT),
];

/// Whether `key` (with dots) is this one.
#[must_use]
pub fn is_known(entry: &Key, key: &str) -> bool {
    if entry.interfaces.is_empty() {
        return entry.prefix == key;
    }
    let rest = key.strip_prefix(entry.prefix).and_then(|rest| rest.strip_prefix('.'));
    rest.and_then(|rest| rest.split_once('.'))
        .is_some_and(|(interface, leaf)| leaf == entry.leaf && entry.interfaces.contains(&interface))
}

/// Every key, written out.
#[must_use]
pub fn names() -> Vec<String> {
    let mut names = Vec::new();
    for entry in KEYS {
        if entry.interfaces.is_empty() {
            names.push(String::from(entry.prefix));
        }
        names.extend(entry.interfaces.iter().map(|name| format!("{}.{name}.{}", entry.prefix, entry.leaf)));
    }
    names
}

/// What to say of a key that is not known: the nearest one, or where keys begin.
#[must_use]
pub fn known_near(key: &str) -> String {
    let names = names();
    match super::words::nearest(key, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None => String::from("a key below net.ipv4 or net.core that the stack has"),
    }
}
