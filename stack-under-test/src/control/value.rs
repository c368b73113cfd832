//! Values that several commands share: numbers, addresses, prefixes, interface names, TOS.

use crate::netdev::IfName;
use core::net::Ipv4Addr;

/// An IPv4 prefix: `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// The address as it was written; bits beyond `len` may be set.
    pub addr: Ipv4Addr,
    /// How many bits count, 0 to 32.
    pub len: u8,
}

impl Prefix {
    /// Every address.
    pub const ANY: Self = Self { addr: Ipv4Addr::UNSPECIFIED, len: 0 };

    /// The bits that count, as a mask.
    #[must_use]
    pub fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.len.min(32))).unwrap_or(0)
    }

    /// Whether bits beyond the length are set; Linux refuses such a route destination.
    #[must_use]
    pub fn has_host_bits(self) -> bool {
        u32::from(self.addr) & !self.mask() != 0
    }

    /// Whether `addr` is in it.
    #[must_use]
    pub fn contains(self, addr: Ipv4Addr) -> bool {
        (u32::from(addr) ^ u32::from(self.addr)) & self.mask() == 0
    }
}

/// A number as `strtoul(3)` with base 0 reads it: decimal, `0x` hexadecimal, or with a leading `0` octal.
#[must_use]
pub fn number(word: &str) -> Option<u32> {
    let (digits, radix) = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if word.len() > 1 && word.starts_with('0') => (&word[1..], 8),
        None => (word, 10),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

/// A dotted IPv4 address.
#[must_use]
pub fn ipv4(word: &str) -> Option<Ipv4Addr> {
    word.parse().ok()
}

/// `A.B.C.D` or `A.B.C.D/LEN`; without a length it is 32. `default`, `any` and `all` are `0.0.0.0/0`.
#[must_use]
pub fn prefix(word: &str) -> Option<Prefix> {
    if matches!(word, "default" | "any" | "all") {
        return Some(Prefix::ANY);
    }
    let Some((addr, len)) = word.split_once('/') else {
        return Some(Prefix { addr: ipv4(word)?, len: 32 });
    };
    let len = number(len).filter(|&len| len <= 32)?;
    Some(Prefix { addr: ipv4(addr)?, len: len as u8 })
}

/// An Ethernet address: six bytes in hexadecimal with colons.
#[must_use]
pub fn mac(word: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = word.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|p| (1..=2).contains(&p.len()) && !p.starts_with('+'))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// An interface that the stack has, or may have.
#[must_use]
pub fn interface(word: &str) -> Option<IfName> {
    IfName::parse(word)
}

/// A TOS or DS field: a number up to 255 (iproute2 reads it as hexadecimal), or a name of `/etc/iproute2/rt_dsfield`.
#[must_use]
pub fn dsfield(word: &str) -> Option<u8> {
    let named = match word {
        "default" | "CS0" => 0x00,
        "lowdelay" => 0x10,
        "throughput" => 0x08,
        "reliability" => 0x04,
        "mincost" => 0x02,
        "CS1" => 0x20,
        "CS2" => 0x40,
        "CS3" => 0x60,
        "CS4" => 0x80,
        "CS5" => 0xa0,
        "CS6" => 0xc0,
        "CS7" => 0xe0,
        "EF" => 0xb8,
        _ => {
            let digits = word.strip_prefix("0x").unwrap_or(word);
            return u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
        }
    };
    Some(named)
}

/// An IP protocol by its name in `/etc/protocols`, or by number.
#[must_use]
pub fn ip_protocol(word: &str) -> Option<u8> {
    let named = match word {
        "icmp" => 1,
        "igmp" => 2,
        "tcp" => 6,
        "udp" => 17,
        "dccp" => 33,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "ipv6-icmp" | "icmpv6" => 58,
        "comp" => 108,
        "sctp" => 132,
        "udplite" => 136,
        _ => return number(word).and_then(|n| u8::try_from(n).ok()),
    };
    Some(named)
}

/// `on` or `off`.
pub(super) fn on_off(word: &str) -> Option<bool> {
    match word {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}
