//! The way out of a packet that this host sends: `ip_route_output_key_hash_rcu` and `__mkroute_output` of Linux 6.12.

use super::fib::Found;
use super::{Fib, OifId, RT_TABLE_MAIN, Route, RouteKind, Scope};
use crate::errno::Errno;
use core::net::Ipv4Addr;

/// The largest MTU that IPv4 uses: `IP_MAX_MTU`.
const IP_MAX_MTU: u32 = 65535;

/// What is known of a packet, or of all packets of a socket: `struct flowi4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    /// To whom; 0.0.0.0 is this host.
    pub dst: Ipv4Addr,
    /// From whom, if that is settled.
    pub src: Option<Ipv4Addr>,
    /// Type of service.
    pub tos: u8,
    /// `SO_MARK`.
    pub mark: u32,
    /// The interface that the socket is bound to, or that a message names.
    pub oif: Option<OifId>,
    /// Protocol of layer 4.
    pub protocol: u8,
    /// Source port, for policy rules.
    pub sport: u16,
    /// Destination port, for policy rules.
    pub dport: u16,
    /// `SO_DONTROUTE`, `MSG_DONTROUTE`: only destinations on the link.
    pub dont_route: bool,
}

impl Default for FlowKey {
    /// To 0.0.0.0, and nothing else known.
    fn default() -> Self {
        Self {
            dst: Ipv4Addr::UNSPECIFIED,
            src: None,
            tos: 0,
            mark: 0,
            oif: None,
            protocol: 0,
            sport: 0,
            dport: 0,
            dont_route: false,
        }
    }
}

impl FlowKey {
    /// Packets to `dst`, of which nothing else is known.
    #[must_use]
    pub fn to(dst: Ipv4Addr) -> Self {
        Self { dst, ..Self::default() }
    }
}

/// The way out: `struct rtable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteResult {
    /// Unicast, local, broadcast or multicast.
    pub kind: RouteKind,
    /// To whom: the packet's, or 127.0.0.1 where that was 0.0.0.0.
    pub dst: Ipv4Addr,
    /// The gateway, if the destination is not on the link.
    pub gateway: Option<Ipv4Addr>,
    /// The interface; `lo` for addresses of this host.
    pub oif: OifId,
    /// The source address: the one that was asked for, else the one that was selected.
    pub src: Ipv4Addr,
    /// The largest IP packet in bytes.
    pub mtu: u32,
    /// Whether path MTU discovery leaves the MTU alone; then DF is not set either (`ip_dont_fragment`).
    pub mtu_locked: bool,
    /// The table of the route; `main` where no route was needed.
    pub table: u32,
    /// Bits of the route's prefix; 0 where no route was needed.
    pub prefix_len: u8,
    /// For multicast: this host is a member, and gets a copy.
    pub to_self: bool,
}

impl RouteResult {
    /// The neighbour that packets go to: the gateway, or the destination itself: `rt_nexthop`.
    #[inline]
    #[must_use]
    pub fn nexthop(&self) -> Ipv4Addr {
        self.gateway.unwrap_or(self.dst)
    }
}

impl Fib {
    /// `ip_route_output_flow`: where a packet of this host goes, and from which address.
    ///
    /// # Errors
    /// ENETUNREACH if no route matches or the source is no address of this host; EHOSTUNREACH, EACCES, EINVAL where a route
    /// `unreachable`, `prohibit`, `blackhole` matches; EINVAL for a source or destination that can never be one; ENODEV for
    /// an interface that is not there. (Linux 6.12; the source's ENETUNREACH was measured on 6.18.)
    #[inline]
    pub fn output(&self, key: &FlowKey) -> Result<RouteResult, Errno> {
        if key.src.is_some() || key.oif.is_some() || key.dst.is_unspecified() {
            return self.output_constrained(key);
        }
        let found = self.lookup(key, OifId::LO, Self::scope(key))?;
        self.make_route(key, found)
    }

    fn scope(key: &FlowKey) -> Scope {
        if key.dont_route { Scope::Link } else { Scope::Global }
    }

    /// The rarer half: a source, an interface, or no destination was given.
    fn output_constrained(&self, key: &FlowKey) -> Result<RouteResult, Errno> {
        let mut key = *key;
        key.src = key.src.filter(|src| !src.is_unspecified());
        let to_link = key.dst.is_multicast() || key.dst.is_broadcast();
        if let Some(src) = key.src {
            self.check_source(src)?;
            if key.oif.is_none() && to_link {
                let holder =
                    self.addresses.iter().find(|a| a.local.addr() == src).ok_or(Errno::ENETUNREACH)?;
                return Ok(self.on_link(&key, holder.oif, src));
            }
        }
        if let Some(oif) = key.oif {
            let link = self.link(oif).ok_or(Errno::ENODEV)?;
            if !link.up || !self.addresses.iter().any(|a| a.oif == oif) {
                return Err(Errno::ENETUNREACH);
            }
            let [a, b, c, _] = key.dst.octets();
            if key.dst.is_broadcast() || [a, b, c] == [224, 0, 0] || key.protocol == IPPROTO_IGMP {
                let src = key.src.unwrap_or_else(|| self.select_address(oif, None, Scope::Link));
                return Ok(self.on_link(&key, oif, src));
            }
            if key.dst.is_multicast() {
                key.src = key.src.or_else(|| Some(self.select_address(oif, None, Self::scope(&key))));
            }
        }
        if key.dst.is_unspecified() {
            let own = key.src.unwrap_or(Ipv4Addr::LOCALHOST);
            return Ok(self.own_host(own, key.src.unwrap_or(own)));
        }
        match (self.lookup(&key, OifId::LO, Self::scope(&key)), key.oif) {
            (Ok(found), _) => self.make_route(&key, found),
            // "Apparently, routing tables are wrong": with an interface given, the destination is taken to be on its link.
            (Err(_), Some(oif)) => {
                let src = key.src.unwrap_or_else(|| self.select_address(oif, None, Scope::Link));
                Ok(self.on_link(&key, oif, src))
            }
            (Err(errno), None) => Err(errno),
        }
    }

    fn check_source(&self, src: Ipv4Addr) -> Result<(), Errno> {
        if src.is_multicast() || src.is_broadcast() {
            return Err(Errno::EINVAL);
        }
        if self.is_own(src) { Ok(()) } else { Err(Errno::ENETUNREACH) }
    }

    fn mtu(&self, oif: OifId) -> u32 {
        self.link(oif).map_or(0, |link| link.mtu).min(IP_MAX_MTU)
    }

    fn own_host(&self, dst: Ipv4Addr, src: Ipv4Addr) -> RouteResult {
        RouteResult {
            kind: RouteKind::Local,
            dst,
            gateway: None,
            oif: OifId::LO,
            src,
            mtu: self.mtu(OifId::LO),
            mtu_locked: false,
            table: RT_TABLE_MAIN,
            prefix_len: 0,
            to_self: true,
        }
    }

    /// A way without a route: the destination is on the link.
    fn on_link(&self, key: &FlowKey, oif: OifId, src: Ipv4Addr) -> RouteResult {
        let kind = kind_of(key.dst, RouteKind::Unicast);
        let to_self =
            kind == RouteKind::Broadcast || (kind == RouteKind::Multicast && self.is_member(key.dst));
        RouteResult { kind, oif, to_self, mtu: self.mtu(oif), ..self.own_host(key.dst, src) }
    }

    #[inline]
    fn make_route(&self, key: &FlowKey, found: Found) -> Result<RouteResult, Errno> {
        let (route, source) = self.found(found);
        if route.kind == RouteKind::Local {
            let src = key.src.or(route.prefsrc).unwrap_or(key.dst);
            let (table, prefix_len) = (route.table, route.to.len());
            return Ok(RouteResult { table, prefix_len, ..self.own_host(key.dst, src) });
        }
        let oif = route.dev.unwrap_or(OifId::LO);
        let src = key.src.unwrap_or(source);
        if src.is_loopback() && oif != OifId::LO {
            return Err(Errno::EINVAL);
        }
        let kind = kind_of(key.dst, route.kind);
        if kind == RouteKind::Unicast {
            return Ok(self.by_route(key, route, oif, src));
        }
        let to_self = kind == RouteKind::Broadcast || self.is_member(key.dst);
        // A broadcast has no use for the route's gateway and MTU, and a group only if the route is one for groups.
        let plain = kind == RouteKind::Broadcast || route.to.len() < 4;
        let by_route = self.by_route(key, route, oif, src);
        let (gateway, mtu) = if plain { (None, self.mtu(oif)) } else { (by_route.gateway, by_route.mtu) };
        Ok(RouteResult { kind, gateway, mtu, mtu_locked: by_route.mtu_locked && !plain, to_self, ..by_route })
    }

    #[inline]
    fn by_route(&self, key: &FlowKey, route: &Route, oif: OifId, src: Ipv4Addr) -> RouteResult {
        RouteResult {
            kind: RouteKind::Unicast,
            dst: key.dst,
            gateway: route.nexthop_gateway(),
            oif,
            src,
            mtu: if route.mtu == 0 { self.mtu(oif) } else { route.mtu },
            mtu_locked: route.mtu_lock,
            table: route.table,
            prefix_len: route.to.len(),
            to_self: oif == OifId::LO,
        }
    }
}

/// Protocol number of IGMP.
const IPPROTO_IGMP: u8 = 2;

/// What the address itself says goes before what the route says.
#[inline]
fn kind_of(dst: Ipv4Addr, route: RouteKind) -> RouteKind {
    if dst.is_broadcast() {
        RouteKind::Broadcast
    } else if dst.is_multicast() {
        RouteKind::Multicast
    } else {
        route
    }
}
