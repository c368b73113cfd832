//! What routing knows of the interfaces: `lo`, `eth0`, and VLAN devices above it.

use super::Fib;
use crate::netdev::IfName;
use alloc::vec::Vec;

/// The index of an interface: `ifindex`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OifId(pub u32);

impl OifId {
    /// The loopback.
    pub const LO: Self = Self(1);
    /// The network interface.
    pub const ETH0: Self = Self(2);
}

/// The state of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it is called.
    pub name: IfName,
    /// `IFF_UP`: an administrator switched it on.
    pub up: bool,
    /// Whether it has carrier; a route over a link without one stays, and is shown as `linkdown`.
    pub carrier: bool,
    /// Largest IP packet in bytes.
    pub mtu: u32,
}

impl Link {
    /// The loopback as it is when the stack starts.
    pub const LO: Self = Self { name: IfName::LO, up: true, carrier: true, mtu: 65536 };
    /// The interface as it is when the stack starts: down.
    pub const ETH0: Self = Self { name: IfName::ETH0, up: false, carrier: false, mtu: 1500 };
}

impl Fib {
    /// The name of an interface, or `None` if there is no such interface.
    #[must_use]
    pub fn link_name(&self, oif: OifId) -> Option<IfName> {
        self.link(oif).map(|link| link.name)
    }

    /// The interface of this name.
    #[must_use]
    pub fn link_by_name(&self, name: &str) -> Option<OifId> {
        let is = |link: &Option<Link>| link.is_some_and(|link| *link.name == *name);
        self.links.iter().position(is).map(|at| OifId(at as u32 + 1))
    }

    /// An interface comes to the others; its index was never another's.
    pub fn add_link(&mut self, link: Link) -> OifId {
        self.links.push(Some(link));
        self.changed();
        OifId(self.links.len() as u32)
    }

    /// An interface goes, with its addresses and the routes through it.
    pub fn remove_link(&mut self, oif: OifId) {
        self.flush_addresses(oif);
        self.set_link_up(oif, false);
        self.table.retain(|route| route.dev != Some(oif));
        if let Some(link) = self.links.get_mut((oif.0 as usize).wrapping_sub(1)) {
            *link = None;
        }
        self.changed();
    }

    /// `lo` and `eth0`, as the stack starts with them.
    pub(super) fn first_links() -> Vec<Option<Link>> {
        alloc::vec![Some(Link::LO), Some(Link::ETH0)]
    }
}
