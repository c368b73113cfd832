//! Every field that a case can name: one table, which the reader, the builder, the decoder and the schema all use.

use std::fmt;
use std::net::Ipv4Addr;

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names of the protocols")]
pub enum Layer {
    Eth,
    Vlan,
    Arp,
    Ipv4,
    Icmp,
    Udp,
    Tcp,
}

impl Layer {
    /// Its key in a case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Eth => "eth",
            Self::Vlan => "vlan",
            Self::Arp => "arp",
            Self::Ipv4 => "ipv4",
            Self::Icmp => "icmp",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// What values a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number of at most so many bits.
    Number {
        /// How many bits the field has on the wire.
        bits: u8,
    },
    /// A number that also has names: `request`, `udp`.
    Named {
        /// How many bits the field has on the wire.
        bits: u8,
        /// Its names.
        names: &'static [(&'static str, u64)],
    },
    /// A list of names, each a bit.
    Flags {
        /// The names of the bits.
        names: &'static [(&'static str, u64)],
    },
    /// An Ethernet address.
    Mac,
    /// An IPv4 address.
    Ipv4,
    /// Raw bytes.
    Bytes,
}

/// One field of a header.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// The header.
    pub layer: Layer,
    /// Its key in a case.
    pub key: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// What it is, for the schema and for messages.
    pub about: &'static str,
}

impl Field {
    /// `udp.dst_port`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.layer.name(), self.key)
    }
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A number, named number or set of flags.
    Number(u64),
    /// An Ethernet address.
    Mac([u8; 6]),
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// Raw bytes.
    Bytes(Vec<u8>),
}

impl Field {
    /// The value as a case would write it: names where there are some.
    #[must_use]
    pub fn show(&self, value: &Value) -> String {
        match (value, self.kind) {
            (Value::Number(n), Kind::Named { names, .. }) => names
                .iter()
                .find(|(_, v)| v == n)
                .map_or_else(|| n.to_string(), |(name, _)| (*name).to_owned()),
            (Value::Number(n), Kind::Flags { names }) => {
                let set: Vec<_> =
                    names.iter().filter(|(_, bit)| n & bit != 0).map(|(name, _)| *name).collect();
                format!("[{}]", set.join(", "))
            }
            (value, _) => value.to_string(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => write!(f, "{n}"),
            Self::Mac(m) => {
                write!(f, "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", m[0], m[1], m[2], m[3], m[4], m[5])
            }
            Self::Ipv4(a) => write!(f, "{a}"),
            Self::Bytes(b) => b.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

const fn number(layer: Layer, key: &'static str, bits: u8, about: &'static str) -> Field {
    Field { layer, key, kind: Kind::Number { bits }, about }
}
const fn mac(layer: Layer, key: &'static str, about: &'static str) -> Field {
    Field { layer, key, kind: Kind::Mac, about }
}
const fn ipv4(layer: Layer, key: &'static str, about: &'static str) -> Field {
    Field { layer, key, kind: Kind::Ipv4, about }
}
const fn named(
    layer: Layer,
    key: &'static str,
    bits: u8,
    names: &'static [(&'static str, u64)],
    about: &'static str,
) -> Field {
    Field { layer, key, kind: Kind::Named { bits, names }, about }
}
const fn flags(
    layer: Layer,
    key: &'static str,
    names: &'static [(&'static str, u64)],
    about: &'static str,
) -> Field {
    Field { layer, key, kind: Kind::Flags { names }, about }
}

const ETHERTYPES: &[(&str, u64)] = &[("ipv4", 0x0800), ("arp", 0x0806), ("ipv6", 0x86dd), ("vlan", 0x8100)];
const ARP_OPS: &[(&str, u64)] = &[("request", 1), ("reply", 2)];
const IP_PROTOCOLS: &[(&str, u64)] = &[("icmp", 1), ("tcp", 6), ("udp", 17)];
const IP_FLAGS: &[(&str, u64)] = &[("reserved", 4), ("DF", 2), ("MF", 1)];
const ICMP_TYPES: &[(&str, u64)] = &[
    ("echo_reply", 0),
    ("dest_unreachable", 3),
    ("redirect", 5),
    ("echo_request", 8),
    ("time_exceeded", 11),
    ("parameter_problem", 12),
];
const TCP_FLAGS: &[(&str, u64)] =
    &[("FIN", 1), ("SYN", 2), ("RST", 4), ("PSH", 8), ("ACK", 16), ("URG", 32), ("ECE", 64), ("CWR", 128)];

/// Every field, in the order of the wire.
pub static FIELDS: &[Field] = &[
    mac(Layer::Eth, "dst", "destination address"),
    mac(Layer::Eth, "src", "source address"),
    named(Layer::Eth, "type", 16, ETHERTYPES, "ethertype"),
    number(Layer::Vlan, "id", 12, "the number of the VLAN (IEEE 802.1Q); 0 is a priority alone"),
    number(Layer::Vlan, "priority", 3, "priority code point"),
    number(Layer::Vlan, "dei", 1, "drop eligible indicator"),
    named(Layer::Vlan, "type", 16, ETHERTYPES, "ethertype behind the tag"),
    named(Layer::Arp, "op", 16, ARP_OPS, "operation (RFC 826)"),
    mac(Layer::Arp, "sha", "sender hardware address"),
    ipv4(Layer::Arp, "spa", "sender protocol address"),
    mac(Layer::Arp, "tha", "target hardware address"),
    ipv4(Layer::Arp, "tpa", "target protocol address"),
    number(Layer::Arp, "htype", 16, "hardware type; 1 is Ethernet"),
    named(Layer::Arp, "ptype", 16, ETHERTYPES, "protocol type"),
    number(Layer::Arp, "hlen", 8, "length of a hardware address"),
    number(Layer::Arp, "plen", 8, "length of a protocol address"),
    number(Layer::Ipv4, "version", 4, "IP version"),
    number(Layer::Ipv4, "ihl", 4, "header length in 32-bit words"),
    number(Layer::Ipv4, "tos", 8, "type of service: DSCP and ECN"),
    number(Layer::Ipv4, "length", 16, "total length in bytes"),
    number(Layer::Ipv4, "id", 16, "identification"),
    flags(Layer::Ipv4, "flags", IP_FLAGS, "flags (RFC 791)"),
    number(Layer::Ipv4, "frag_offset", 16, "fragment offset in bytes; a multiple of 8"),
    number(Layer::Ipv4, "ttl", 8, "time to live"),
    named(Layer::Ipv4, "protocol", 8, IP_PROTOCOLS, "protocol of the payload"),
    number(Layer::Ipv4, "checksum", 16, "header checksum; given only to inject a wrong one"),
    ipv4(Layer::Ipv4, "src", "source address"),
    ipv4(Layer::Ipv4, "dst", "destination address"),
    Field { layer: Layer::Ipv4, key: "options", kind: Kind::Bytes, about: "options, a multiple of 4 bytes" },
    named(Layer::Icmp, "type", 8, ICMP_TYPES, "type (RFC 792)"),
    number(Layer::Icmp, "code", 8, "code"),
    number(Layer::Icmp, "checksum", 16, "checksum; given only to inject a wrong one"),
    number(Layer::Icmp, "id", 16, "identifier of an echo"),
    number(Layer::Icmp, "seq", 16, "sequence number of an echo"),
    number(Layer::Icmp, "mtu", 16, "next-hop MTU of fragmentation needed (RFC 1191)"),
    number(Layer::Udp, "src_port", 16, "source port"),
    number(Layer::Udp, "dst_port", 16, "destination port"),
    number(Layer::Udp, "length", 16, "length of header and data in bytes"),
    number(Layer::Udp, "checksum", 16, "checksum; given only to inject a wrong one, or 0 for none"),
    number(Layer::Tcp, "src_port", 16, "source port"),
    number(Layer::Tcp, "dst_port", 16, "destination port"),
    number(Layer::Tcp, "seq", 32, "sequence number"),
    number(Layer::Tcp, "ack", 32, "acknowledgement number"),
    number(Layer::Tcp, "data_offset", 4, "header length in 32-bit words; given only to inject a wrong one"),
    flags(Layer::Tcp, "flags", TCP_FLAGS, "control bits"),
    number(Layer::Tcp, "window", 16, "window"),
    number(Layer::Tcp, "checksum", 16, "checksum; given only to inject a wrong one"),
    number(Layer::Tcp, "urgent", 16, "urgent pointer"),
    Field { layer: Layer::Tcp, key: "options", kind: Kind::Bytes, about: "options, a multiple of 4 bytes" },
];

/// Finds a field by its layer and key.
#[must_use]
pub fn find(layer: Layer, key: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|f| f.layer == layer && f.key == key)
}
