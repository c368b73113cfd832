//! All features that Linux 6.12 has a name for, in the order of its bits, and what an igb on this stack has of them.

use super::Features;

/// Whether a feature can be switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    /// It can, by this bit.
    Bit(Features),
    /// It is off for ever: the device does not have it, or it is not built here.
    Off,
    /// It is on for ever.
    On,
}

/// A feature: the kernel's name, and the group under which `ethtool -k` lists it; empty for none.
pub(super) type Row = (&'static str, &'static str, Is);

const TX: &str = "tx-checksumming";
const SG: &str = "scatter-gather";
const TSO: &str = "tcp-segmentation-offload";

/// The groups of `ethtool -k` (6.1), in its order.
pub(super) const GROUPS: [&str; 11] = [
    "rx-checksumming",
    TX,
    SG,
    TSO,
    "generic-segmentation-offload",
    "generic-receive-offload",
    "large-receive-offload",
    "rx-vlan-offload",
    "tx-vlan-offload",
    "ntuple-filters",
    "receive-hashing",
];

/// `netdev_features_strings`, by bit.
pub(super) const ROWS: [Row; 59] = [
    ("tx-scatter-gather", SG, Is::Bit(Features::SG)),
    ("tx-checksum-ipv4", TX, Is::Off),
    ("tx-checksum-ip-generic", TX, Is::Bit(Features::HW_CSUM)),
    ("tx-checksum-ipv6", TX, Is::Off),
    ("highdma", "", Is::On),
    ("tx-scatter-gather-fraglist", SG, Is::Off),
    ("tx-vlan-hw-insert", "tx-vlan-offload", Is::Bit(Features::VLAN_CTAG_TX)),
    ("rx-vlan-hw-parse", "rx-vlan-offload", Is::Bit(Features::VLAN_CTAG_RX)),
    ("rx-vlan-filter", "", Is::On),
    ("vlan-challenged", "", Is::Off),
    ("tx-generic-segmentation", "generic-segmentation-offload", Is::Bit(Features::GSO)),
    ("rx-gro", "generic-receive-offload", Is::Bit(Features::GRO)),
    ("rx-lro", "large-receive-offload", Is::Off),
    ("tx-tcp-segmentation", TSO, Is::Bit(Features::TSO)),
    ("tx-gso-robust", "", Is::Off),
    ("tx-tcp-ecn-segmentation", TSO, Is::Off),
    ("tx-tcp-mangleid-segmentation", TSO, Is::Off),
    ("tx-tcp6-segmentation", TSO, Is::Off),
    ("tx-fcoe-segmentation", "", Is::Off),
    ("tx-gre-segmentation", "", Is::Off),
    ("tx-gre-csum-segmentation", "", Is::Off),
    ("tx-ipxip4-segmentation", "", Is::Off),
    ("tx-ipxip6-segmentation", "", Is::Off),
    ("tx-udp_tnl-segmentation", "", Is::Off),
    ("tx-udp_tnl-csum-segmentation", "", Is::Off),
    ("tx-gso-partial", "", Is::Off),
    ("tx-tunnel-remcsum-segmentation", "", Is::Off),
    ("tx-sctp-segmentation", "", Is::Off),
    ("tx-esp-segmentation", "", Is::Off),
    ("tx-udp-segmentation", "", Is::Bit(Features::GSO_UDP_L4)),
    ("tx-gso-list", "", Is::Off),
    ("tx-checksum-fcoe-crc", TX, Is::Off),
    ("tx-checksum-sctp", TX, Is::Off),
    ("rx-ntuple-filter", "ntuple-filters", Is::Off),
    ("rx-hashing", "receive-hashing", Is::Off),
    ("rx-checksum", "rx-checksumming", Is::Bit(Features::RXCSUM)),
    ("tx-nocache-copy", "", Is::Off),
    ("loopback", "", Is::Off),
    ("rx-fcs", "", Is::Off),
    ("rx-all", "", Is::Off),
    ("tx-vlan-stag-hw-insert", "", Is::Off),
    ("rx-vlan-stag-hw-parse", "", Is::Off),
    ("rx-vlan-stag-filter", "", Is::Off),
    ("l2-fwd-offload", "", Is::Off),
    ("hw-tc-offload", "", Is::Off),
    ("esp-hw-offload", "", Is::Off),
    ("esp-tx-csum-hw-offload", "", Is::Off),
    ("rx-udp_tunnel-port-offload", "", Is::Off),
    ("tls-hw-tx-offload", "", Is::Off),
    ("tls-hw-rx-offload", "", Is::Off),
    ("rx-gro-hw", "", Is::Off),
    ("tls-hw-record", "", Is::Off),
    ("rx-gro-list", "", Is::Off),
    ("macsec-hw-offload", "", Is::Off),
    ("rx-udp-gro-forwarding", "", Is::Off),
    ("hsr-tag-ins-offload", "", Is::Off),
    ("hsr-tag-rm-offload", "", Is::Off),
    ("hsr-fwd-offload", "", Is::Off),
    ("hsr-dup-offload", "", Is::Off),
];

/// The kernel's name as this table has it.
#[must_use]
pub fn named(name: &str) -> Option<&'static str> {
    ROWS.iter().map(|row| row.0).find(|known| *known == name)
}
