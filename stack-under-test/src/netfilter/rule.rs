//! What a rule is made of: fields of the packet, what they are compared with, and statements.

use alloc::string::String;
use alloc::vec::Vec;

/// What the filter sees of a packet, and may change.
#[derive(Clone, Debug)]
pub struct PacketView<'a> {
    /// The linear data from the IPv4 header on.
    pub l3: &'a [u8],
    /// The interface that it came in on.
    pub iif: Option<&'a str>,
    /// The interface that it is to leave by.
    pub oif: Option<&'a str>,
    /// `skb->mark`; the caller stores it back.
    pub mark: u32,
    /// `skb->priority`; the caller stores it back.
    pub priority: u32,
    /// `skb->len` at this hook: the IP packet, whole.
    pub len: u32,
}

/// A number that a packet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are nft's, with its groups; nft(8) is their documentation")]
pub enum Field {
    IpSaddr,
    IpDaddr,
    IpProtocol,
    IpTtl,
    IpDscp,
    IpLength,
    IpId,
    IpFragOff,
    UdpSport,
    UdpDport,
    UdpLength,
    TcpSport,
    TcpDport,
    TcpFlags,
    ThSport,
    ThDport,
    IcmpType,
    IcmpCode,
    MetaL4proto,
    MetaMark,
    MetaLength,
    MetaPriority,
}

fn u8_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at).map(|&b| u32::from(b))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u32> {
    let pair = bytes.get(at..at + 2)?;
    Some(u32::from(u16::from_be_bytes([pair[0], pair[1]])))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u16_at(bytes, at)? << 16 | u16_at(bytes, at + 2)?)
}

impl Field {
    /// What the packet has there; `None` when it has none, so that no comparison holds, not even `!=`: another protocol,
    /// a fragment without the transport header, or too few bytes.
    #[must_use]
    pub fn read(self, packet: &PacketView<'_>) -> Option<u32> {
        let ip = packet.l3;
        match self {
            Self::IpSaddr => u32_at(ip, 12),
            Self::IpDaddr => u32_at(ip, 16),
            Self::IpProtocol | Self::MetaL4proto => u8_at(ip, 9),
            Self::IpTtl => u8_at(ip, 8),
            Self::IpDscp => u8_at(ip, 1).map(|tos| tos >> 2),
            Self::IpLength => u16_at(ip, 2),
            Self::IpId => u16_at(ip, 4),
            Self::IpFragOff => u16_at(ip, 6),
            Self::MetaMark => Some(packet.mark),
            Self::MetaLength => Some(packet.len),
            Self::MetaPriority => Some(packet.priority),
            Self::UdpSport => u16_at(transport(ip, Some(17))?, 0),
            Self::UdpDport => u16_at(transport(ip, Some(17))?, 2),
            Self::UdpLength => u16_at(transport(ip, Some(17))?, 4),
            Self::TcpSport => u16_at(transport(ip, Some(6))?, 0),
            Self::TcpDport => u16_at(transport(ip, Some(6))?, 2),
            Self::TcpFlags => u8_at(transport(ip, Some(6))?, 13),
            Self::ThSport => u16_at(transport(ip, None)?, 0),
            Self::ThDport => u16_at(transport(ip, None)?, 2),
            Self::IcmpType => u8_at(transport(ip, Some(1))?, 0),
            Self::IcmpCode => u8_at(transport(ip, Some(1))?, 1),
        }
    }
}

/// The transport header, if the packet is of that protocol and begins with it.
fn transport(ip: &[u8], protocol: Option<u8>) -> Option<&[u8]> {
    let header = usize::from(ip.first()? & 0x0f) * 4;
    let first_fragment = u16_at(ip, 6)? & 0x1fff == 0;
    let right = protocol.is_none_or(|protocol| ip.get(9) == Some(&protocol));
    if first_fragment && right && header >= 20 { ip.get(header..) } else { None }
}

/// A condition on the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// A number is (or, negated, is not) in one of some ranges.
    Number {
        /// Which number.
        field: Field,
        /// Which bits of it.
        mask: u32,
        /// `!=`.
        negate: bool,
        /// Ranges, both ends included.
        ranges: Vec<(u32, u32)>,
    },
    /// The name of the interface is (or is not) one of some.
    Interface {
        /// The one that the packet leaves by, not the one that it came in on.
        out: bool,
        /// `!=`.
        negate: bool,
        /// Names; a `*` at the end stands for any rest.
        names: Vec<String>,
    },
}

impl Match {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, packet: &PacketView<'_>) -> bool {
        match self {
            Self::Number { field, mask, negate, ranges } => field.read(packet).is_some_and(|value| {
                let value = value & mask;
                ranges.iter().any(|&(from, to)| (from..=to).contains(&value)) != *negate
            }),
            Self::Interface { out, negate, names } => {
                // A packet without that interface has the empty name (nft_meta: a name of zeros).
                let name = if *out { packet.oif } else { packet.iif }.unwrap_or("");
                let is = |pattern: &String| match pattern.strip_suffix('*') {
                    Some(start) => name.starts_with(start),
                    None => pattern == name,
                };
                names.iter().any(is) != *negate
            }
        }
    }
}

/// What ends a rule; `C` is how a chain is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleVerdict<C> {
    /// This base chain lets it pass; the next base chain of the hook looks at it.
    Accept,
    /// The packet is dropped.
    Drop,
    /// Back to behind the jump; in a base chain: the policy.
    Return,
    /// The next rule.
    Continue,
    /// On with that chain, then back.
    Jump(C),
    /// On with that chain, and not back.
    Goto(C),
}

/// One part of a rule, in the order in which it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement<C> {
    /// Go on only if it holds.
    Match(Match),
    /// Count packets and bytes from these values on.
    Counter {
        /// Packets.
        packets: u64,
        /// Bytes of `skb->len`.
        bytes: u64,
    },
    /// `meta mark set`.
    SetMark(u32),
    /// `meta priority set`.
    SetPriority(u32),
    /// What ends the rule.
    Verdict(RuleVerdict<C>),
}

/// A rule as it was written; chains by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSpec {
    /// Its parts.
    pub statements: Vec<Statement<String>>,
    /// `comment "…"`.
    pub comment: Option<String>,
    /// Its text.
    pub text: String,
}
