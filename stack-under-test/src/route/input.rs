//! What becomes of a packet that was received: `ip_route_input_slow` of Linux 6.12 with `ip_forward` 0 and `rp_filter` 0.

use super::output::FlowKey;
use super::{Fib, OifId, RouteKind, Scope};
use crate::drop_reason::DropReason;
use core::net::Ipv4Addr;

impl Fib {
    /// Whether a received packet is for this host: `Local`, `Broadcast` or `Multicast` say that it is, and how. `key.dst` and
    /// `key.src` are those of the packet. This host does not forward.
    ///
    /// # Errors
    /// [`DropReason::IpInvalidSource`] for a source that no packet of another host can have, [`DropReason::IpLocalnet`] for a
    /// destination that cannot be on a wire, [`DropReason::IpInNoRoutes`] for another host's or a group that was not joined.
    pub fn input(&self, key: &FlowKey, iif: OifId) -> Result<RouteKind, DropReason> {
        let (dst, src) = (key.dst, key.src.unwrap_or(Ipv4Addr::UNSPECIFIED));
        if dst.is_multicast() {
            return self.input_group(dst, src);
        }
        if src.is_multicast() || src.is_broadcast() {
            return Err(DropReason::IpInvalidSource);
        }
        if dst.is_broadcast() || (src.is_unspecified() && dst.is_unspecified()) {
            return self.input_broadcast(key, src);
        }
        if src.is_unspecified() {
            return Err(DropReason::IpInvalidSource);
        }
        if iif != OifId::LO {
            if dst.is_unspecified() || dst.is_loopback() {
                return Err(DropReason::IpLocalnet);
            }
            if src.is_loopback() {
                return Err(DropReason::IpInvalidSource);
            }
        }
        let key = FlowKey { src: Some(src), oif: None, ..*key };
        let found = self.lookup(&key, iif, Scope::Global).map_err(|_| DropReason::IpInNoRoutes)?;
        match self.found(found).0.kind {
            RouteKind::Broadcast => self.input_broadcast(&key, src),
            RouteKind::Local if iif == OifId::LO => Ok(RouteKind::Local),
            RouteKind::Local => self.validate_source(&key, src).map(|()| RouteKind::Local),
            _ => Err(DropReason::IpInNoRoutes),
        }
    }

    fn input_broadcast(&self, key: &FlowKey, src: Ipv4Addr) -> Result<RouteKind, DropReason> {
        if !src.is_unspecified() {
            self.validate_source(key, src)?;
        }
        Ok(RouteKind::Broadcast)
    }

    /// `ip_mc_validate_source`, and whether the group was joined.
    fn input_group(&self, group: Ipv4Addr, src: Ipv4Addr) -> Result<RouteKind, DropReason> {
        let bad = src.is_multicast() || src.is_broadcast() || src.is_loopback();
        let [a, b, c, _] = group.octets();
        let zero = src.is_unspecified() && [a, b, c] != [224, 0, 0];
        if bad || zero {
            return Err(DropReason::IpInvalidSource);
        }
        if self.is_member(group) { Ok(RouteKind::Multicast) } else { Err(DropReason::IpInNoRoutes) }
    }

    /// `fib_validate_source` with `rp_filter` 0: the source must not be an address of this host. With policy rules, the way
    /// back must not be to one of this host's, to a broadcast address or to a group.
    fn validate_source(&self, key: &FlowKey, src: Ipv4Addr) -> Result<(), DropReason> {
        if !self.custom_rules {
            let own = self.addresses.iter().any(|a| a.local.addr() == src);
            return if own { Err(DropReason::IpInvalidSource) } else { Ok(()) };
        }
        let back = FlowKey { dst: src, src: Some(key.dst), sport: key.dport, dport: key.sport, ..*key };
        match self.lookup(&back, OifId::ETH0, Scope::Global) {
            Ok(found) if self.found(found).0.kind != RouteKind::Unicast => Err(DropReason::IpInvalidSource),
            _ => Ok(()),
        }
    }
}
