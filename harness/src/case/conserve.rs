//! `conserve:` - which counters are held against the wire.

use super::model::{Action, Source};
use super::reader::Read;
use super::shape::CONSERVE;
use super::trial::TrialReader;
use super::yaml::Node;

/// Counters that are held against the frames together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// `ip -s link`.
    Netdev,
    /// `ethtool -S`, the counters of the whole device.
    Ethtool,
    /// `ethtool -S`, those of each queue.
    Queues,
    /// The device's counters of frames by size.
    Sizes,
    /// The segments of TCP in `/proc/net/snmp`.
    Tcp,
    /// `/proc/net/snmp` and `netstat`: IP, UDP, ICMP.
    Snmp,
    /// `tc -s qdisc`, the root.
    Qdisc,
}

impl Group {
    /// All of them, with their names in a case.
    pub const ALL: [(&'static str, Self); 7] = [
        ("netdev", Self::Netdev),
        ("ethtool", Self::Ethtool),
        ("queues", Self::Queues),
        ("sizes", Self::Sizes),
        ("tcp", Self::Tcp),
        ("snmp", Self::Snmp),
        ("qdisc", Self::Qdisc),
    ];

    /// Where its counters are read; `None`: the port of the emulated NIC has them.
    #[must_use]
    pub fn source(self) -> Option<Source> {
        match self {
            Self::Netdev => Some(Source::Netdev),
            Self::Ethtool | Self::Queues => Some(Source::Ethtool),
            Self::Tcp | Self::Snmp => Some(Source::Snmp),
            Self::Qdisc => Some(Source::Qdisc),
            Self::Sizes => None,
        }
    }
}

impl TrialReader<'_> {
    /// `conserve: all`, `conserve: [netdev, snmp]`
    pub fn conserve(&mut self, node: &Node) -> Read<Action> {
        if node.text() == Some("all") {
            return Ok(Action::Conserve(Group::ALL.map(|(_, group)| group).to_vec()));
        }
        if node.text().is_some() {
            return self.r.wrong(
                node,
                "`all` or a list of groups",
                &format!("there are: {}", CONSERVE.join(", ")),
            );
        }
        let names = self.r.some_of(node, CONSERVE)?;
        if names.is_empty() {
            return self.r.wrong(node, "at least one group", "write `conserve: all`");
        }
        let groups = Group::ALL.iter().filter(|(name, _)| names.contains(name));
        Ok(Action::Conserve(groups.map(|(_, group)| *group).collect()))
    }
}
