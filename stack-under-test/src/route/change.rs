//! `ip route add`, `append`, `prepend`, `replace`, `change`, `delete` and `flush`, with Linux's errors (6.12, `fib_frontend.c`
//! and `fib_semantics.c`; the texts of the extended acknowledgements were read on 6.18).

use super::output::FlowKey;
use super::table::Search;
use super::{Fib, OifId, Prefix, RT_TABLE_LOCAL, RT_TABLE_MAIN, RTPROT_BOOT, Route, RouteKind, Scope};
use crate::errno::Errno;
use core::net::Ipv4Addr;

/// Why a change was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteError {
    /// The error number of the netlink answer.
    pub errno: Errno,
    /// The text of the extended acknowledgement; empty if Linux gives none.
    pub message: &'static str,
}

impl RouteError {
    /// An error with a text.
    #[must_use]
    pub const fn new(errno: Errno, message: &'static str) -> Self {
        Self { errno, message }
    }

    /// An error without a text.
    #[must_use]
    pub const fn plain(errno: Errno) -> Self {
        Self { errno, message: "" }
    }
}

/// What to do with a route that is given whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteVerb {
    /// `add`: EEXIST if there is one with this prefix, TOS and metric.
    Add,
    /// `append`: behind those with the same prefix, TOS and metric.
    Append,
    /// `prepend`: before them.
    Prepend,
    /// `replace`: in the place of the first of them, or new.
    Replace,
    /// `change`: in the place of the first of them; ENOENT if there is none.
    Change,
}

/// A route as a command gives it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NewRoute {
    /// To where.
    pub to: Prefix,
    /// What it says.
    pub kind: RouteKind,
    /// `via`.
    pub gateway: Option<Ipv4Addr>,
    /// `dev`.
    pub dev: Option<OifId>,
    /// `src`.
    pub prefsrc: Option<Ipv4Addr>,
    /// `metric`.
    pub metric: u32,
    /// `table`; without it `main`, or `local` for the kinds local and broadcast.
    pub table: Option<u32>,
    /// `tos`.
    pub tos: u8,
    /// `mtu`, or 0. Linux takes at most 65520.
    pub mtu: u32,
    /// `mtu lock`.
    pub mtu_lock: bool,
    /// `scope`; without it `host` for local, `link` without a gateway (unicast) and for broadcast, else `global`.
    pub scope: Option<Scope>,
    /// `proto`; without it `boot`.
    pub protocol: Option<u8>,
    /// `onlink`.
    pub onlink: bool,
}

/// Which route to delete; what is `None` matches any.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RouteQuery {
    /// To where.
    pub to: Prefix,
    /// What it says.
    pub kind: Option<RouteKind>,
    /// `via`.
    pub gateway: Option<Ipv4Addr>,
    /// `dev`.
    pub dev: Option<OifId>,
    /// `src`.
    pub prefsrc: Option<Ipv4Addr>,
    /// `metric`.
    pub metric: Option<u32>,
    /// `table`; without it `main`, or `local` for the kinds local and broadcast.
    pub table: Option<u32>,
    /// The TOS; without one, the route without one.
    pub tos: u8,
    /// `scope`.
    pub scope: Option<Scope>,
    /// `proto`.
    pub protocol: Option<u8>,
}

const INVALID_GATEWAY: &str = "Nexthop has invalid gateway.";

fn default_table(kind: Option<RouteKind>) -> u32 {
    match kind {
        Some(RouteKind::Local | RouteKind::Broadcast) => RT_TABLE_LOCAL,
        _ => RT_TABLE_MAIN,
    }
}

fn default_scope(new: &NewRoute) -> Scope {
    match new.kind {
        RouteKind::Local => Scope::Host,
        RouteKind::Broadcast | RouteKind::Multicast => Scope::Link,
        RouteKind::Unicast if new.gateway.is_none() => Scope::Link,
        _ => Scope::Global,
    }
}

fn check_prefix(to: Prefix) -> Result<(), RouteError> {
    match to.has_host_bits() {
        true => Err(RouteError::new(Errno::EINVAL, "Invalid prefix for given prefix length.")),
        false => Ok(()),
    }
}

impl Fib {
    /// Adds a route, or puts it in the place of another, as `verb` says.
    ///
    /// # Errors
    /// EINVAL for host bits in the prefix, for a scope or source that cannot be, and for a gateway that is not a host;
    /// ENETUNREACH for a gateway that is on no link; ENODEV without an interface; ENETDOWN for one that is down; EEXIST and
    /// ENOENT as [`RouteVerb`] says.
    pub fn add_route(&mut self, verb: RouteVerb, new: &NewRoute) -> Result<(), RouteError> {
        check_prefix(new.to)?;
        let route = self.resolve_route(new)?;
        self.place_route(verb, route)?;
        self.changed();
        Ok(())
    }

    /// `fib_create_info`: the route with its next hop looked up.
    fn resolve_route(&self, new: &NewRoute) -> Result<Route, RouteError> {
        let gateway = new.gateway.filter(|gateway| !gateway.is_unspecified());
        let scope = new.scope.unwrap_or_else(|| default_scope(&NewRoute { gateway, ..new.clone() }));
        let table = new.table.unwrap_or(default_table(Some(new.kind)));
        let mut route = Route {
            tos: new.tos,
            metric: new.metric,
            gateway,
            dev: new.dev,
            prefsrc: new.prefsrc,
            scope,
            protocol: new.protocol.unwrap_or(RTPROT_BOOT),
            mtu: new.mtu.min(65520),
            mtu_lock: new.mtu_lock && new.mtu != 0,
            onlink: new.onlink,
            ..Route::new(table, new.kind, new.to)
        };
        if new.kind.error().is_some() {
            if gateway.is_some() || new.dev.is_some() {
                let text = "Gateway, device and multipath can not be specified for this route type.";
                return Err(RouteError::new(Errno::EINVAL, text));
            }
        } else {
            self.check_scope(&route)?;
            self.resolve_nexthop(&mut route)?;
        }
        match route.prefsrc {
            Some(src) if !self.is_own(src) => Err(RouteError::new(Errno::EINVAL, "Invalid prefsrc address.")),
            _ => Ok(route),
        }
    }

    fn check_scope(&self, route: &Route) -> Result<(), RouteError> {
        let farthest = match route.kind {
            RouteKind::Local => Scope::Host,
            RouteKind::Broadcast => Scope::Link,
            _ => Scope::Global,
        };
        if route.scope < farthest || route.scope > Scope::Host {
            return Err(RouteError::new(Errno::EINVAL, "Invalid scope."));
        }
        if route.scope == Scope::Host && route.gateway.is_some() {
            return Err(RouteError::new(Errno::EINVAL, "Route with host scope can not have a gateway."));
        }
        Ok(())
    }

    /// `fib_check_nh`: finds the interface, and how far away the gateway is.
    fn resolve_nexthop(&self, route: &mut Route) -> Result<(), RouteError> {
        if let (Some(gateway), false) = (route.gateway, route.onlink) {
            let (dev, scope) = self.resolve_gateway(route, gateway)?;
            route.dev = Some(dev);
            route.nh_scope = scope;
        }
        let dev = route.dev.ok_or(RouteError::plain(Errno::ENODEV))?;
        let link = self.link(dev).ok_or(RouteError::plain(Errno::ENODEV))?;
        if route.scope == Scope::Host {
            route.nh_scope = Scope::Nowhere;
        } else if !link.up {
            return Err(RouteError::new(Errno::ENETDOWN, "Device for nexthop is not up."));
        }
        if route.onlink && route.gateway.is_some_and(|gw| self.addr_type(gw) != RouteKind::Unicast) {
            return Err(RouteError::new(Errno::EINVAL, INVALID_GATEWAY));
        }
        Ok(())
    }

    fn resolve_gateway(&self, route: &Route, gateway: Ipv4Addr) -> Result<(OifId, Scope), RouteError> {
        // The gateway must be nearer than the destination, and at least on the link.
        let scope = if route.scope >= Scope::Link { Scope::Host } else { Scope::Link };
        let key = FlowKey { dst: gateway, oif: route.dev, ..FlowKey::default() };
        let search = Search { dst: gateway.to_bits(), tos: 0, scope, oif: route.dev };
        // `local` and `main` are one table until a rule is changed.
        let own_table = self.custom_rules || !matches!(route.table, RT_TABLE_LOCAL | RT_TABLE_MAIN);
        let found = match self.lookup_in(route.table, &search) {
            Ok(Some(found)) if own_table => Ok(found),
            _ => self.lookup(&key, OifId::LO, scope),
        };
        let found = found.map_err(|errno| RouteError::new(errno, INVALID_GATEWAY))?;
        let (way, _) = self.found(found);
        match (way.kind, way.dev) {
            (RouteKind::Unicast | RouteKind::Local, Some(dev)) => Ok((dev, way.scope)),
            _ => Err(RouteError::new(Errno::EINVAL, INVALID_GATEWAY)),
        }
    }

    /// `fib_table_insert`: where the route goes among those of its prefix.
    fn place_route(&mut self, verb: RouteVerb, route: Route) -> Result<(), RouteError> {
        let group = self.table.group(route.table, route.to);
        let first = self.table.alias(&group, route.tos, route.metric);
        let alike = |r: &Route| r.tos == route.tos && r.metric == route.metric;
        let routes = self.table.routes();
        let end = (first..group.end).find(|&at| !alike(&routes[at])).unwrap_or(group.end);
        let same = (first..end).find(|&at| routes[at] == route);
        let exists = Err(RouteError::plain(Errno::EEXIST));
        match verb {
            RouteVerb::Add if first < end => return exists,
            RouteVerb::Replace | RouteVerb::Change if first < end => match same {
                Some(at) if at == first => {}
                Some(_) => return exists,
                None => self.table.replace(first, route),
            },
            RouteVerb::Change => return Err(RouteError::plain(Errno::ENOENT)),
            _ if same.is_some() => return exists,
            RouteVerb::Append => self.table.insert(end, route),
            RouteVerb::Add | RouteVerb::Prepend | RouteVerb::Replace => self.table.insert(first, route),
        }
        Ok(())
    }

    /// `ip route del`: removes the first route that matches.
    ///
    /// # Errors
    /// EINVAL for host bits in the prefix, ESRCH if no route matches.
    pub fn delete_route(&mut self, query: &RouteQuery) -> Result<(), RouteError> {
        check_prefix(query.to)?;
        let group = self.table.group(query.table.unwrap_or(default_table(query.kind)), query.to);
        let matches = |r: &Route| {
            r.tos == query.tos
                && query.kind.is_none_or(|kind| kind == r.kind)
                && query.scope.is_none_or(|scope| scope == r.scope)
                && query.metric.is_none_or(|metric| metric == r.metric)
                && query.protocol.is_none_or(|protocol| protocol == r.protocol)
                && (query.gateway.is_none() || query.gateway == r.gateway)
                && (query.dev.is_none() || query.dev == r.dev)
                && (query.prefsrc.is_none() || query.prefsrc == r.prefsrc)
        };
        let at = self.table.routes()[group.clone()].iter().position(matches);
        let at = at.ok_or(RouteError::plain(Errno::ESRCH))?;
        self.table.remove(group.start + at);
        self.changed();
        Ok(())
    }

    /// `ip route flush`: removes every route for which `goes` holds, and gives how many there were.
    pub fn flush_routes(&mut self, goes: impl Fn(&Route) -> bool) -> usize {
        let gone = self.table.retain(|route| !goes(route));
        self.changed();
        gone
    }
}
