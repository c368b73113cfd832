//! The addresses of interfaces, and the routes that come with them.

use super::{
    Fib, OifId, Prefix, RT_TABLE_LOCAL, RT_TABLE_MAIN, RTPROT_KERNEL, Route, RouteError, RouteKind, Scope,
};
use crate::errno::Errno;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// An address of an interface: `in_ifaddr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface.
    pub oif: OifId,
    /// The address, and the prefix of its subnet.
    pub local: Prefix,
    /// The broadcast address, if one was given.
    pub broadcast: Option<Ipv4Addr>,
    /// Where it is valid.
    pub scope: Scope,
    /// Whether another address of the same subnet was there first.
    pub secondary: bool,
}

impl Address {
    /// An address as `ip address add` makes it: scope `host` for 127.0.0.0/8, else `global`.
    #[must_use]
    pub fn new(oif: OifId, addr: Ipv4Addr, prefix_len: u8) -> Self {
        let scope = if addr.is_loopback() { Scope::Host } else { Scope::Global };
        Self { oif, local: Prefix::new(addr, prefix_len), broadcast: None, scope, secondary: false }
    }

    fn same_subnet(&self, other: &Self) -> bool {
        self.oif == other.oif && self.local.network() == other.local.network()
    }
}

impl Fib {
    /// The addresses, in the order of `ip address`: primary ones by scope, then secondary ones.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Whether an interface has this address: `__ip_dev_find`.
    #[must_use]
    pub fn is_own(&self, addr: Ipv4Addr) -> bool {
        self.addresses.iter().any(|a| a.local.addr() == addr) || self.addr_type(addr) == RouteKind::Local
    }

    pub(super) fn add_loopback(&mut self) {
        self.addresses.push(Address::new(OifId::LO, Ipv4Addr::LOCALHOST, 8));
        self.restore_address_routes();
        self.changed();
    }

    /// `ip address add`: the address, its route in `local`, and if the link is up those to its subnet and broadcasts.
    /// 0.0.0.0 is taken and forgotten, as Linux does.
    ///
    /// # Errors
    /// EEXIST if the interface has it with this prefix length, ENODEV if there is no such interface.
    pub fn add_address(&mut self, new: Address) -> Result<(), RouteError> {
        if self.link(new.oif).is_none() {
            return Err(RouteError::plain(Errno::ENODEV));
        }
        if new.local.addr().is_unspecified() {
            return Ok(());
        }
        let subnet = || self.addresses.iter().filter(|a| a.same_subnet(&new));
        if subnet().any(|a| a.local == new.local) {
            return Err(RouteError::new(Errno::EEXIST, "ipv4: Address already assigned."));
        }
        let secondary = subnet().next().is_some();
        let before = |a: &Address| secondary || (!a.secondary && a.scope >= new.scope);
        let at = self.addresses.iter().take_while(|a| before(a)).count();
        let old = self.address_routes();
        self.addresses.insert(at, Address { secondary, ..new });
        self.exchange_address_routes(&old);
        Ok(())
    }

    /// `ip address del`. A primary address takes the secondary ones of its subnet along (`promote_secondaries` is 0), and
    /// an address that is gone takes the routes along that prefer it as source. With the last address of an interface all
    /// of its routes go.
    ///
    /// # Errors
    /// EADDRNOTAVAIL if the interface does not have it with this prefix length.
    pub fn delete_address(&mut self, oif: OifId, local: Prefix) -> Result<(), RouteError> {
        let found = self.addresses.iter().copied().find(|a| a.oif == oif && a.local == local);
        let gone = found.ok_or(RouteError::new(Errno::EADDRNOTAVAIL, "ipv4: Address not found."))?;
        let old = self.address_routes();
        let goes = |a: &Address| *a == gone || (!gone.secondary && a.secondary && a.same_subnet(&gone));
        let removed: Vec<Ipv4Addr> =
            self.addresses.iter().filter(|a| goes(a)).map(|a| a.local.addr()).collect();
        self.addresses.retain(|a| !goes(a));
        self.exchange_address_routes(&old);
        let lost = |addr: &Ipv4Addr| !self.addresses.iter().any(|a| a.local.addr() == *addr);
        let removed: Vec<Ipv4Addr> = removed.into_iter().filter(lost).collect();
        let empty = !self.addresses.iter().any(|a| a.oif == oif);
        self.table.retain(|route| {
            !(empty && route.dev == Some(oif)) && route.prefsrc.is_none_or(|src| !removed.contains(&src))
        });
        self.changed();
        Ok(())
    }

    /// `ip address flush dev`.
    pub fn flush_addresses(&mut self, oif: OifId) {
        while let Some(first) = self.addresses.iter().find(|a| a.oif == oif).copied() {
            if self.delete_address(oif, first.local).is_err() {
                break;
            }
        }
    }

    /// `inet_select_addr`: the primary address of the device whose subnet has `near`, else its first one; without any, that
    /// of another device. 0.0.0.0 if there is none. Addresses of a nearer scope than `scope` are no choice.
    #[must_use]
    pub fn select_address(&self, oif: OifId, near: Option<Ipv4Addr>, scope: Scope) -> Ipv4Addr {
        let fits = |a: &&Address| !a.secondary && a.scope <= scope;
        let own = || self.addresses.iter().filter(move |a| a.oif == oif).filter(fits);
        let best = own().find(|a| near.is_none_or(|near| a.local.contains(near)));
        let other = || self.addresses.iter().filter(fits).find(|a| a.scope != Scope::Link);
        best.or_else(|| own().next()).or_else(other).map_or(Ipv4Addr::UNSPECIFIED, |a| a.local.addr())
    }

    /// The routes that the addresses ask for: `fib_add_ifaddr`.
    fn address_routes(&self) -> Vec<Route> {
        let mut routes = Vec::new();
        for addr in &self.addresses {
            let primary = match addr.secondary {
                false => Some(addr),
                true => self.addresses.iter().find(|a| !a.secondary && a.same_subnet(addr)),
            };
            let up = self.link(addr.oif).is_some_and(|link| link.up);
            if let Some(primary) = primary {
                routes_of(addr, primary.local.addr(), up, &mut routes);
            }
        }
        routes
    }

    pub(super) fn restore_address_routes(&mut self) {
        for route in self.address_routes() {
            self.insert_address_route(route);
        }
    }

    fn exchange_address_routes(&mut self, old: &[Route]) {
        let new = self.address_routes();
        self.table.retain(|route| !old.contains(route) || new.contains(route));
        for route in new.into_iter().filter(|route| !old.contains(route)) {
            self.insert_address_route(route);
        }
        self.changed();
    }

    /// `fib_magic`: before others of the same prefix, unless it is there.
    fn insert_address_route(&mut self, route: Route) {
        let group = self.table.group(route.table, route.to);
        if !self.table.routes()[group.clone()].contains(&route) {
            let mut at = self.table.alias(&group, 0, 0);
            while at < group.end && self.table.routes()[at].metric == 0 && self.table.routes()[at].tos == 0 {
                at += 1;
            }
            self.table.insert(at, route);
        }
    }
}

fn routes_of(addr: &Address, src: Ipv4Addr, up: bool, routes: &mut Vec<Route>) {
    let route = |kind: RouteKind, to: Prefix| {
        let local = kind == RouteKind::Local;
        let table = if kind == RouteKind::Unicast { RT_TABLE_MAIN } else { RT_TABLE_LOCAL };
        Route {
            dev: Some(addr.oif),
            prefsrc: Some(src),
            scope: if local { Scope::Host } else { Scope::Link },
            nh_scope: if local { Scope::Nowhere } else { Scope::Link },
            protocol: RTPROT_KERNEL,
            ..Route::new(table, kind, to)
        }
    };
    let (host, subnet) = (addr.local.addr(), addr.local.network());
    routes.push(route(RouteKind::Local, Prefix::host(host)));
    if !up {
        return;
    }
    if let Some(broadcast) = addr.broadcast.filter(|b| !b.is_broadcast()) {
        routes.push(route(RouteKind::Broadcast, Prefix::host(broadcast)));
    }
    let zero = subnet.base() == 0;
    if zero || addr.secondary || host.is_multicast() || addr.local.len() == 32 {
        return;
    }
    let kind = if addr.oif == OifId::LO { RouteKind::Local } else { RouteKind::Unicast };
    routes.push(route(kind, subnet));
    if addr.local.len() < 31 {
        routes.push(route(RouteKind::Broadcast, Prefix::host(addr.local.last())));
    }
}
