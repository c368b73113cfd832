//! An IPv4 prefix: an address, and how many of its bits count.

use core::fmt;
use core::net::Ipv4Addr;

/// A prefix. Bits of the address behind it are kept as they were given, as policy rules show them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Prefix {
    addr: u32,
    len: u8,
}

impl Prefix {
    /// All addresses: `0.0.0.0/0`.
    pub const ALL: Self = Self { addr: 0, len: 0 };

    /// A prefix of `len` bits; more than 32 are taken as 32.
    #[must_use]
    pub const fn new(addr: Ipv4Addr, len: u8) -> Self {
        Self { addr: addr.to_bits(), len: if len > 32 { 32 } else { len } }
    }

    /// One address.
    #[must_use]
    pub const fn host(addr: Ipv4Addr) -> Self {
        Self::new(addr, 32)
    }

    /// The address as it was given.
    #[must_use]
    pub const fn addr(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.addr)
    }

    /// How many bits count: 0 to 32.
    #[inline]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is a length in bits, not of a collection")]
    pub const fn len(self) -> u8 {
        self.len
    }

    /// The bits that count, set.
    #[inline]
    #[must_use]
    pub const fn mask(self) -> u32 {
        if self.len == 0 { 0 } else { u32::MAX << (32 - self.len) }
    }

    /// The address without the bits behind the prefix.
    #[inline]
    #[must_use]
    pub const fn base(self) -> u32 {
        self.addr & self.mask()
    }

    /// Whether bits behind the prefix are set: no route may have them.
    #[must_use]
    pub const fn has_host_bits(self) -> bool {
        self.addr & !self.mask() != 0
    }

    /// The last address: that of the directed broadcast.
    #[must_use]
    pub const fn last(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.addr | !self.mask())
    }

    /// The same prefix without host bits.
    #[must_use]
    pub const fn network(self) -> Self {
        Self { addr: self.base(), len: self.len }
    }

    /// Whether the address begins with the prefix.
    #[inline]
    #[must_use]
    pub const fn contains(self, addr: Ipv4Addr) -> bool {
        addr.to_bits() & self.mask() == self.base()
    }
}

impl fmt::Display for Prefix {
    /// As `ip route` writes it: `default`, without a length for one address, else `address/length`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len {
            0 => f.write_str("default"),
            32 => write!(f, "{}", self.addr()),
            len => write!(f, "{}/{len}", self.addr()),
        }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr(), self.len)
    }
}
