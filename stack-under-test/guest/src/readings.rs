//! What an administrator could read of the stack, by the keys that a case uses; the same as on the linux rig.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};
use stack_under_test::control::tc::TC_H_ROOT;
use stack_under_test::errno::Errno;
use stack_under_test::netdev::NetdevStats;
use stack_under_test::netdev::qdisc::QdiscListing;
use stack_under_test::route::FlowKey;
use stack_under_test::socket::Fd;
use stack_under_test::stack::Stack;
use stack_under_test::time::Instant;

/// The states of congestion avoidance, as `enum tcp_ca_state` names them, by their numbers from 0.
pub const TCP_CA_STATES: &[&str] = &["Open", "Disorder", "CWR", "Recovery", "Loss"];

/// Values of one source, by key.
pub type Readings = BTreeMap<String, Reading>;

/// A value that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reading {
    /// A counter or other number.
    Number(i64),
    /// Text: a state, an address.
    Text(String),
}

/// What can be read of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// `/proc/net/dev`.
    Netdev,
    /// `ethtool -S`.
    Ethtool,
    /// `/proc/net/snmp` and `netstat`.
    Snmp,
    /// `/proc/softirqs`.
    Softirqs,
    /// `/proc/interrupts`.
    Interrupts,
    /// `tc -s qdisc`.
    Qdisc,
    /// `nft list ruleset`.
    Nft,
    /// `ip neigh`.
    Neigh,
    /// `ip route get`.
    Route(RouteQuery),
    /// The packet pool.
    Skb,
}

/// `route: {to: …}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RouteQuery {
    /// The destination.
    pub to: Ipv4Addr,
    /// `from:`.
    pub from: Option<Ipv4Addr>,
    /// `tos:`.
    pub tos: Option<u8>,
    /// `mark:`.
    pub mark: Option<u32>,
}

/// The values of a source.
pub fn read(stack: &mut Stack, now: Instant, source: &Source) -> Readings {
    match source {
        Source::Netdev => all_netdevs(stack, now),
        Source::Ethtool => numbers(stack.ethtool_stats(now)),
        Source::Snmp => numbers(stack.snmp()),
        Source::Softirqs => softirqs(stack),
        Source::Interrupts => numbers(stack.interrupts()),
        Source::Qdisc => stack.qdiscs().list().iter().flat_map(qdisc).collect(),
        Source::Nft => nft(stack),
        Source::Neigh => neigh(stack),
        Source::Route(query) => route(stack, now, query),
        Source::Skb => numbers([
            ("in_flight".to_owned(), stack.skbs_in_flight() as u64),
            ("copied_bytes".to_owned(), stack.copied_bytes()),
        ]),
    }
}

/// `TCP_INFO` of a socket, by the fields of `struct tcp_info`.
///
/// # Errors
/// As getsockopt(2).
pub fn tcp_info(stack: &Stack, fd: Fd) -> Result<Readings, Errno> {
    let info = stack.tcp_info(fd)?;
    let mut readings = numbers(info.fields().map(|(name, value)| (name.to_owned(), value)));
    let ca_state = usize::try_from(info.ca_state).ok().and_then(|at| TCP_CA_STATES.get(at));
    for (key, text) in [("state", info.state_name()), ("ca_state", ca_state.unwrap_or(&"UNKNOWN"))] {
        readings.insert(key.to_owned(), Reading::Text(text.to_owned()));
    }
    Ok(readings)
}

fn number(value: u64) -> Reading {
    Reading::Number(i64::try_from(value).unwrap_or(i64::MAX))
}

fn numbers(values: impl IntoIterator<Item = (String, u64)>) -> Readings {
    values.into_iter().map(|(key, value)| (key, number(value))).collect()
}

/// Those of `eth0` by their names alone, those of a VLAN device as `eth0.100/rx_packets`.
fn all_netdevs(stack: &mut Stack, now: Instant) -> Readings {
    let mut readings = netdev(&stack.netdev_stats(now));
    for (name, stats) in stack.vlans() {
        readings.extend(netdev(&stats).into_iter().map(|(key, value)| (format!("{name}/{key}"), value)));
    }
    readings
}

/// By the names of `struct rtnl_link_stats64`.
fn netdev(stats: &NetdevStats) -> Readings {
    let values = [
        ("rx_packets", stats.rx_packets),
        ("tx_packets", stats.tx_packets),
        ("rx_bytes", stats.rx_bytes),
        ("tx_bytes", stats.tx_bytes),
        ("rx_errors", stats.rx_errors),
        ("tx_errors", stats.tx_errors),
        ("rx_dropped", stats.rx_dropped),
        ("tx_dropped", stats.tx_dropped),
        ("multicast", stats.multicast),
        ("collisions", stats.collisions),
        ("rx_length_errors", stats.rx_length_errors),
        ("rx_over_errors", stats.rx_over_errors),
        ("rx_crc_errors", stats.rx_crc_errors),
        ("rx_frame_errors", stats.rx_frame_errors),
        ("rx_fifo_errors", stats.rx_fifo_errors),
        ("rx_missed_errors", stats.rx_missed_errors),
        ("tx_aborted_errors", stats.tx_aborted_errors),
        ("tx_carrier_errors", stats.tx_carrier_errors),
        ("tx_fifo_errors", stats.tx_fifo_errors),
        ("tx_heartbeat_errors", stats.tx_heartbeat_errors),
        ("tx_window_errors", stats.tx_window_errors),
    ];
    numbers(values.map(|(key, value)| (key.to_owned(), value)))
}

/// `NET_RX` over all CPUs, and `NET_RX/0` of one.
fn softirqs(stack: &Stack) -> Readings {
    let mut sums = BTreeMap::<String, u64>::new();
    for (row, cpu, runs) in stack.softirqs() {
        *sums.entry(row.to_owned()).or_default() += runs;
        sums.insert(format!("{row}/{cpu}"), runs);
    }
    numbers(sums)
}

/// `root/packets`, `1:/packets` and the like.
fn qdisc(listing: &QdiscListing) -> Vec<(String, Reading)> {
    let stats = &listing.stats;
    let values = [
        ("packets", stats.packets),
        ("bytes", stats.bytes),
        ("drops", stats.drops),
        ("overlimits", stats.overlimits),
        ("requeues", stats.requeues),
        ("backlog", stats.backlog),
        ("qlen", u64::from(stats.qlen)),
    ];
    let root = (listing.parent == TC_H_ROOT).then(|| "root".to_owned());
    let handle = format!("{:x}:", listing.handle >> 16);
    let mut readings = Vec::new();
    for place in root.into_iter().chain([handle]) {
        readings.push((format!("{place}/kind"), Reading::Text(listing.kind.to_owned())));
        readings.extend(values.iter().map(|(key, value)| (format!("{place}/{key}"), number(*value))));
    }
    readings
}

/// `filter/output/0/packets` and the like.
fn nft(stack: &Stack) -> Readings {
    let mut readings = Readings::new();
    for chain in stack.netfilter().list() {
        for (index, rule) in chain.rules.iter().enumerate() {
            let Some((packets, bytes)) = rule.counter else { continue };
            let place = format!("{}/{}/{index}", chain.table, chain.chain);
            readings.insert(format!("{place}/packets"), number(packets));
            readings.insert(format!("{place}/bytes"), number(bytes));
        }
    }
    readings
}

/// `192.0.2.2/state` and `192.0.2.2/lladdr`.
fn neigh(stack: &Stack) -> Readings {
    let mut readings = Readings::new();
    for neighbour in stack.all_neighbours() {
        readings
            .insert(format!("{}/state", neighbour.addr), Reading::Text(neighbour.state.name().to_owned()));
        if let Some(mac) = neighbour.lladdr() {
            let mac: Vec<_> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
            readings.insert(format!("{}/lladdr", neighbour.addr), Reading::Text(mac.join(":")));
        }
    }
    readings
}

/// `via`, `dev` and `src`; or `error`.
fn route(stack: &mut Stack, now: Instant, query: &RouteQuery) -> Readings {
    let key = FlowKey {
        dst: query.to,
        src: query.from,
        tos: query.tos.unwrap_or(0),
        mark: query.mark.unwrap_or(0),
        ..FlowKey::default()
    };
    let text = |key: &str, value: String| (key.to_owned(), Reading::Text(value));
    match stack.route_get(now, &key) {
        Err(errno) => Readings::from([text("error", errno.name())]),
        Ok(route) => {
            let dev = stack.fib().link_name(route.oif).unwrap_or_default();
            let via = route.gateway.map(|gateway| text("via", gateway.to_string()));
            let rest = [text("dev", dev.to_string()), text("src", route.src.to_string())];
            via.into_iter().chain(rest).collect()
        }
    }
}
