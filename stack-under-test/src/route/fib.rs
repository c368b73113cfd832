//! The forwarding information base: links, addresses, routes, rules, and the search through them.

use super::link::Link;
use super::output::FlowKey;
use super::table::{Search, Table};
use super::{
    Address, OifId, RT_TABLE_DEFAULT, RT_TABLE_LOCAL, RT_TABLE_MAIN, Route, RouteKind, Rule, RuleAction,
    Scope,
};
use crate::errno::Errno;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// All that decides where a packet goes.
#[derive(Debug)]
pub struct Fib {
    /// By index, from 1 on; `None` is one that is gone.
    pub(super) links: Vec<Option<Link>>,
    pub(super) addresses: Vec<Address>,
    pub(super) table: Table,
    pub(super) rules: Vec<Rule>,
    /// A rule was added or deleted since the start: Linux never goes back to the search without rules either.
    pub(super) custom_rules: bool,
    pub(super) groups: Vec<Ipv4Addr>,
    generation: u32,
}

/// Which route a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found(pub usize);

impl Default for Fib {
    fn default() -> Self {
        Self::new()
    }
}

impl Fib {
    /// `lo` up with 127.0.0.1/8, `eth0` down without an address, the default rules.
    #[must_use]
    pub fn new() -> Self {
        let mut fib = Self {
            links: Self::first_links(),
            addresses: Vec::new(),
            table: Table::default(),
            rules: Rule::defaults(),
            custom_rules: false,
            groups: Vec::new(),
            generation: 0,
        };
        fib.add_loopback();
        fib
    }

    /// Advances with every change that could change an answer; wraps round.
    #[inline]
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The state of an interface, or `None` if there is no such interface.
    #[inline]
    #[must_use]
    pub fn link(&self, oif: OifId) -> Option<&Link> {
        self.links.get((oif.0 as usize).wrapping_sub(1))?.as_ref()
    }

    pub(super) fn link_mut(&mut self, oif: OifId) -> Option<&mut Link> {
        self.links.get_mut((oif.0 as usize).wrapping_sub(1))?.as_mut()
    }

    /// All routes of all tables: longest prefix first.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        self.table.routes()
    }

    /// Routes or addresses changed: build the index anew, and let cached answers go.
    pub(super) fn changed(&mut self) {
        let mut table = core::mem::take(&mut self.table);
        table.index(|route| self.route_source(route));
        self.table = table;
        self.generation = self.generation.wrapping_add(1);
    }

    pub(super) fn rules_changed(&mut self) {
        self.custom_rules = true;
        self.generation = self.generation.wrapping_add(1);
    }

    /// `fib_result_prefsrc`: the preferred source, or the address of the device that fits the gateway.
    fn route_source(&self, route: &Route) -> Ipv4Addr {
        let dev = route.dev.unwrap_or(OifId::LO);
        route.prefsrc.unwrap_or_else(|| self.select_address(dev, route.gateway, route.scope))
    }

    /// `fib_lookup`: the route for a packet that came in on `iif` (`lo`: is of this host).
    ///
    /// # Errors
    /// ENETUNREACH if no route matches, or the error of the rule or of the route that does.
    #[inline]
    pub(super) fn lookup(&self, key: &FlowKey, iif: OifId, scope: Scope) -> Result<Found, Errno> {
        let search = Search { dst: key.dst.to_bits(), tos: key.tos, scope, oif: key.oif };
        if self.custom_rules {
            return self.lookup_by_rules(key, iif, &search);
        }
        let both = |table| table == RT_TABLE_LOCAL || table == RT_TABLE_MAIN;
        if let Some(at) = self.table.search(&search, both)? {
            return Ok(Found(at));
        }
        self.lookup_in(RT_TABLE_DEFAULT, &search)?.ok_or(Errno::ENETUNREACH)
    }

    pub(super) fn lookup_in(&self, table: u32, search: &Search) -> Result<Option<Found>, Errno> {
        Ok(self.table.search(search, |t| t == table)?.map(Found))
    }

    #[cold]
    fn lookup_by_rules(&self, key: &FlowKey, iif: OifId, search: &Search) -> Result<Found, Errno> {
        for rule in self.rules.iter().filter(|rule| rule.matches(key, iif)) {
            match rule.action {
                RuleAction::Lookup(table) => {
                    if let Some(found) = self.lookup_in(table, search)? {
                        return Ok(found);
                    }
                }
                RuleAction::Unreachable => return Err(Errno::ENETUNREACH),
                RuleAction::Prohibit => return Err(Errno::EACCES),
                RuleAction::Blackhole => return Err(Errno::EINVAL),
            }
        }
        Err(Errno::ENETUNREACH)
    }

    pub(super) fn found(&self, found: Found) -> (&Route, Ipv4Addr) {
        (&self.table.routes()[found.0], self.table.source(found.0))
    }

    /// `inet_addr_type`: what the table `local` says of an address; unicast if nothing.
    #[must_use]
    pub fn addr_type(&self, addr: Ipv4Addr) -> RouteKind {
        if addr.is_broadcast() || addr.is_unspecified() {
            return RouteKind::Broadcast;
        }
        if addr.is_multicast() {
            return RouteKind::Multicast;
        }
        let search = Search { dst: addr.to_bits(), tos: 0, scope: Scope::Global, oif: None };
        match self.lookup_in(RT_TABLE_LOCAL, &search) {
            Ok(Some(found)) => self.found(found).0.kind,
            _ => RouteKind::Unicast,
        }
    }

    /// `ip link set up` and `down`. Down takes the routes of the link along, except those to addresses of this host and
    /// those of scope `host`; up makes the routes of its addresses again (measured on Linux 6.18).
    pub fn set_link_up(&mut self, oif: OifId, up: bool) {
        let Some(link) = self.link_mut(oif) else { return };
        if core::mem::replace(&mut link.up, up) == up {
            return;
        }
        if up {
            self.restore_address_routes();
        } else {
            self.table.retain(|route| route.dev != Some(oif) || route.nh_scope == Scope::Nowhere);
        }
        self.changed();
    }

    /// The carrier came or went: routes stay (`ignore_routes_with_linkdown` is 0).
    pub fn set_carrier(&mut self, oif: OifId, carrier: bool) {
        if let Some(link) = self.link_mut(oif) {
            link.carrier = carrier;
        }
        self.changed();
    }

    /// `ip link set mtu`.
    pub fn set_link_mtu(&mut self, oif: OifId, mtu: u32) {
        if let Some(link) = self.link_mut(oif) {
            link.mtu = mtu;
        }
        self.changed();
    }

    /// Joins a group: packets to it are taken in. Joining twice is joining once.
    pub fn join_group(&mut self, group: Ipv4Addr) {
        if group.is_multicast() && !self.groups.contains(&group) {
            self.groups.push(group);
        }
    }

    /// Leaves a group.
    pub fn leave_group(&mut self, group: Ipv4Addr) {
        self.groups.retain(|&g| g != group);
    }

    /// Whether packets to a group are taken in; 224.0.0.1 always is.
    #[must_use]
    pub fn is_member(&self, group: Ipv4Addr) -> bool {
        group == Ipv4Addr::new(224, 0, 0, 1) || self.groups.contains(&group)
    }
}

#[cfg(test)]
mod tests;
