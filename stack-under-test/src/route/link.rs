//! What routing knows of the interfaces: `lo` and `eth0`.

/// The index of an interface: `ifindex`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OifId(pub u32);

impl OifId {
    /// The loopback.
    pub const LO: Self = Self(1);
    /// The network interface.
    pub const ETH0: Self = Self(2);

    /// Its name, or `None` if there is no such interface.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::LO => Some("lo"),
            Self::ETH0 => Some("eth0"),
            _ => None,
        }
    }
}

/// The state of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// `IFF_UP`: an administrator switched it on.
    pub up: bool,
    /// Whether it has carrier; a route over a link without one stays, and is shown as `linkdown`.
    pub carrier: bool,
    /// Largest IP packet in bytes.
    pub mtu: u32,
}

impl Link {
    /// The loopback as it is when the stack starts.
    pub const LO: Self = Self { up: true, carrier: true, mtu: 65536 };
    /// The interface as it is when the stack starts: down.
    pub const ETH0: Self = Self { up: false, carrier: false, mtu: 1500 };
}
