//! The routes of all tables, in one list that is searched by prefix.
//!
//! The list is sorted as Linux's trie is walked: longest prefix first; within a prefix the greater table, then the greater
//! TOS, then the lower metric. A search looks at each prefix length that occurs once. `local` and `main` are searched
//! together as long as no policy rule was changed: the longest prefix of both wins (Linux 6.12, `fib_trie_table`; measured on
//! 6.18).

use super::{OifId, Prefix, RouteKind, Scope};
use crate::errno::Errno;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// The bits of the TOS that routing looks at: Linux 6.12's `IPTOS_RT_MASK`.
pub const ROUTING_TOS: u8 = 0x1c;

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// In which table.
    pub table: u32,
    /// To where.
    pub to: Prefix,
    /// The TOS that a packet must have; 0: any.
    pub tos: u8,
    /// `metric`: lower is better.
    pub metric: u32,
    /// What it says.
    pub kind: RouteKind,
    /// The gateway.
    pub gateway: Option<Ipv4Addr>,
    /// The interface; kinds that are errors have none.
    pub dev: Option<OifId>,
    /// The source address that an administrator prefers.
    pub prefsrc: Option<Ipv4Addr>,
    /// How far the destination is.
    pub scope: Scope,
    /// How far the next hop is; a gateway counts only if it is on the link.
    pub nh_scope: Scope,
    /// Who made it: `rtm_protocol`.
    pub protocol: u8,
    /// The MTU in bytes, or 0 for that of the interface.
    pub mtu: u32,
    /// Whether path MTU discovery leaves the MTU alone.
    pub mtu_lock: bool,
    /// The gateway is on the link though no route says so.
    pub onlink: bool,
}

impl Route {
    /// A route of table `main` as the fields of its key say, and nothing else.
    #[must_use]
    pub fn new(table: u32, kind: RouteKind, to: Prefix) -> Self {
        Self {
            table,
            to,
            tos: 0,
            metric: 0,
            kind,
            gateway: None,
            dev: None,
            prefsrc: None,
            scope: Scope::Global,
            nh_scope: Scope::Link,
            protocol: super::RTPROT_BOOT,
            mtu: 0,
            mtu_lock: false,
            onlink: false,
        }
    }

    /// The gateway that packets go to: only one on the link is one (one that is an address of this host is not).
    #[inline]
    #[must_use]
    pub fn nexthop_gateway(&self) -> Option<Ipv4Addr> {
        if self.nh_scope == Scope::Link { self.gateway } else { None }
    }
}

/// What a search asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    pub dst: u32,
    pub tos: u8,
    /// The farthest scope that will do.
    pub scope: Scope,
    pub oif: Option<OifId>,
}

/// All routes of one prefix length.
#[derive(Clone, Copy, Debug)]
struct Span {
    mask: u32,
    start: u32,
    end: u32,
}

/// The routes of all tables.
#[derive(Debug, Default)]
pub(super) struct Table {
    routes: Vec<Route>,
    /// The source address of each route, as address selection gives it.
    sources: Vec<Ipv4Addr>,
    /// The base of each route's prefix.
    bases: Vec<u32>,
    spans: Vec<Span>,
}

/// Spans of no more routes are scanned, not halved.
const SCANNED: usize = 8;

impl Table {
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    pub fn source(&self, at: usize) -> Ipv4Addr {
        self.sources[at]
    }

    /// The first route that answers the search, among the tables that `tables` accepts.
    ///
    /// # Errors
    /// That of a route whose kind is an error.
    #[inline]
    pub fn search(&self, key: &Search, tables: impl Fn(u32) -> bool) -> Result<Option<usize>, Errno> {
        for span in &self.spans {
            let base = key.dst & span.mask;
            let (start, end) = (span.start as usize, span.end as usize);
            let bases = &self.bases[start..end];
            let skip = match bases.len() {
                n if n <= SCANNED => bases.iter().position(|&b| b == base).unwrap_or(n),
                _ => bases.partition_point(|&b| b < base),
            };
            for at in start + skip..end {
                if self.bases[at] != base {
                    break;
                }
                let route = &self.routes[at];
                let tos_fits = route.tos == 0 || route.tos == key.tos & ROUTING_TOS;
                if !tables(route.table) || !tos_fits || route.scope < key.scope {
                    continue;
                }
                if let Some(error) = route.kind.error() {
                    return Err(error);
                }
                if key.oif.is_none() || key.oif == route.dev {
                    return Ok(Some(at));
                }
            }
        }
        Ok(None)
    }

    /// Where the routes of `table` to `to` lie.
    pub fn group(&self, table: u32, to: Prefix) -> core::ops::Range<usize> {
        let key = |route: &Route| {
            let to_key = (32 - to.len(), to.base(), u32::MAX - table);
            (32 - route.to.len(), route.to.base(), u32::MAX - route.table).cmp(&to_key)
        };
        let start = self.routes.partition_point(|r| key(r).is_lt());
        start..self.routes.partition_point(|r| key(r).is_le())
    }

    /// The place in `group` where a route of this TOS and metric would stand: `fib_find_alias`.
    pub fn alias(&self, group: &core::ops::Range<usize>, tos: u8, metric: u32) -> usize {
        let before = |r: &Route| r.tos > tos || (r.tos == tos && r.metric < metric);
        group.start + self.routes[group.clone()].partition_point(before)
    }

    pub fn insert(&mut self, at: usize, route: Route) {
        self.routes.insert(at, route);
    }

    pub fn replace(&mut self, at: usize, route: Route) {
        self.routes[at] = route;
    }

    pub fn remove(&mut self, at: usize) {
        self.routes.remove(at);
    }

    /// Removes the routes that `gone` names; gives how many there were.
    pub fn retain(&mut self, keep: impl Fn(&Route) -> bool) -> usize {
        let before = self.routes.len();
        self.routes.retain(keep);
        before - self.routes.len()
    }

    /// Builds what searches use anew, after routes or addresses changed.
    pub fn index(&mut self, source: impl Fn(&Route) -> Ipv4Addr) {
        self.sources.clear();
        self.sources.extend(self.routes.iter().map(source));
        self.bases.clear();
        self.bases.extend(self.routes.iter().map(|r| r.to.base()));
        self.spans.clear();
        for (at, route) in (0_u32..).zip(&self.routes) {
            match self.spans.last_mut() {
                Some(span) if span.mask == route.to.mask() => span.end = at + 1,
                _ => self.spans.push(Span { mask: route.to.mask(), start: at, end: at + 1 }),
            }
        }
    }
}
