//! What an administrator could read of the stack, with the names under which Linux shows it.

use super::Stack;
use crate::errno::Errno;
use crate::mib::Counter;
use crate::netdev::NetdevStats;
use crate::netdev::softirq::Softirq;
use crate::route::{FlowKey, RouteResult};
use crate::time::Instant;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

impl Stack {
    /// `ip -s link show eth0`: the driver's counters, with what the core counts above it (`dev_get_stats`).
    pub fn netdev_stats(&mut self, now: Instant) -> NetdevStats {
        self.advance_clock(now);
        let (igb, mut ctx) = self.driver();
        let mut stats = igb.stats64(&mut ctx);
        stats.rx_dropped += self.dev.rx_dropped;
        stats.tx_dropped += self.dev.tx_dropped;
        stats
    }

    /// `ethtool -S eth0`, in its order.
    pub fn ethtool_stats(&mut self, now: Instant) -> Vec<(String, u64)> {
        self.advance_clock(now);
        let (igb, mut ctx) = self.driver();
        igb.ethtool_stats(&mut ctx)
    }

    /// What the tool prints of the last command, if that was done: the list of `ethtool -k`, "Actual changes:" of `-K`.
    #[must_use]
    pub fn tool_output(&self) -> &str {
        &self.tool_output
    }

    /// `/proc/net/snmp` and `netstat`, as `Group.Name`.
    pub fn snmp(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let counters =
            Counter::ALL.iter().map(|counter| (String::from(counter.name()), self.mib.get(*counter)));
        counters.chain(self.mib.icmp_msgs.iter())
    }

    /// `/proc/softirqs`: the row, the CPU, how often.
    pub fn softirqs(&self) -> impl Iterator<Item = (&'static str, usize, u64)> + '_ {
        Softirq::ALL.iter().flat_map(|row| {
            self.cpus.iter().enumerate().map(|(cpu, state)| (row.name(), cpu, state.softirq.runs(*row)))
        })
    }

    /// `/proc/interrupts`: the vector's name as the driver asks for it (`eth0`, `eth0-TxRx-0`), and how often its interrupt was
    /// taken. Without MSI-X all are of `eth0`.
    pub fn interrupts(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        self.dev.interrupts.iter().enumerate().map(|(vector, taken)| match vector.checked_sub(1) {
            None => (String::from("eth0"), *taken),
            Some(pair) => (format!("eth0-TxRx-{pair}"), *taken),
        })
    }

    /// `ip route get`.
    ///
    /// # Errors
    /// What routing says.
    pub fn route_get(&mut self, now: Instant, key: &FlowKey) -> Result<RouteResult, Errno> {
        self.advance_clock(now);
        self.route_lookup(key)
    }

    /// Packets that were made and not freed; receive buffers that wait in the ring are not packets yet.
    #[must_use]
    pub fn skbs_in_flight(&self) -> usize {
        self.skbs.in_flight()
    }

    /// Bytes that were copied: from applications into packets, or from one packet into another.
    #[must_use]
    pub fn copied_bytes(&self) -> u64 {
        self.skbs.copied_bytes
    }

    /// The neighbour table of `eth0`.
    #[must_use]
    pub fn neighbours(&self) -> &crate::neigh::NeighTable {
        &self.neigh
    }

    /// The neighbour table of an interface; that of `eth0` for any that is no VLAN device.
    #[must_use]
    pub fn neigh_table(&self, oif: crate::route::OifId) -> &crate::neigh::NeighTable {
        self.vlans.iter().find(|vlan| vlan.oif == oif).map_or(&self.neigh, |vlan| &vlan.neigh)
    }

    /// All neighbours, those of `eth0` last: `ip neigh show nud all`.
    pub fn all_neighbours(&self) -> impl Iterator<Item = &crate::neigh::Neighbour> {
        self.vlans.iter().flat_map(|vlan| vlan.neigh.dump()).chain(self.neigh.dump())
    }

    /// The VLAN devices: the name of each, and its counters (`ip -s link show`).
    pub fn vlans(&self) -> impl Iterator<Item = (crate::netdev::IfName, NetdevStats)> + '_ {
        self.vlans.iter().filter_map(|vlan| Some((self.fib.link_name(vlan.oif)?, vlan.stats)))
    }

    /// The qdiscs of `eth0`.
    #[must_use]
    pub fn qdiscs(&self) -> &crate::netdev::qdisc::Qdiscs {
        &self.dev.qdisc
    }

    /// The tables of netfilter.
    #[must_use]
    pub fn netfilter(&self) -> &crate::netfilter::Netfilter {
        &self.netfilter
    }

    /// The routing tables, rules and addresses.
    #[must_use]
    pub fn fib(&self) -> &crate::route::Fib {
        &self.fib
    }
}
