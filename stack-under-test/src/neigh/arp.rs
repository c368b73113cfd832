//! ARP comes in: `arp_rcv` and `arp_process` with `arp_accept`, `arp_ignore` and `arp_announce` 0 (Linux 6.12).

use super::entry::NudState;
use super::update::Firmness;
use super::{Action, NeighContext, NeighTable};
use crate::drop_reason::DropReason;
use crate::route::{Fib, FlowKey, OifId, RouteKind, Scope};
use crate::skb::PacketType;
use crate::wire::arp::{Arp, Operation};
use core::net::Ipv4Addr;

/// The sender's address for a request: the source of the packet that waits if it is one of this host's, else the address of
/// the interface that is nearest to the target (`arp_announce` 0). 0.0.0.0 if there is none.
#[must_use]
pub fn solicit_source(fib: &Fib, oif: OifId, saddr: Option<Ipv4Addr>, target: Ipv4Addr) -> Ipv4Addr {
    saddr
        .filter(|&saddr| fib.addr_type(saddr) == RouteKind::Local)
        .unwrap_or_else(|| fib.select_address(oif, Some(target), Scope::Link))
}

impl NeighTable {
    /// Takes the bytes behind the Ethernet header of a frame with ethertype ARP. The caller consumes the frame.
    ///
    /// # Errors
    /// [`DropReason::OtherHost`] for a frame to another station, [`DropReason::ArpMalformed`] as [`Arp::parse`] says.
    pub fn arp_rcv(
        &mut self,
        cx: &mut NeighContext<'_>,
        fib: &Fib,
        bytes: &[u8],
        pkt_type: PacketType,
    ) -> Result<(), DropReason> {
        cx.trace.function(0, "arp_rcv");
        if pkt_type == PacketType::OtherHost {
            return Err(DropReason::OtherHost);
        }
        let arp = Arp::parse(bytes)?;
        cx.trace.function(0, "arp_process");
        if arp.tpa.is_multicast() || arp.tpa.is_loopback() {
            return Ok(());
        }
        if arp.spa.is_unspecified() {
            // Somebody probes whether an address is free (RFC 5227): answer, and learn nothing.
            if arp.op == Operation::Request && fib.addr_type(arp.tpa) == RouteKind::Local {
                cx.actions.push(Action::Reply { lladdr: arp.sha, target: arp.spa, saddr: arp.tpa });
            }
            return Ok(());
        }
        let asks = FlowKey { src: Some(arp.spa), ..FlowKey::to(arp.tpa) };
        if arp.op == Operation::Request && fib.input(&asks, self.oif) == Ok(RouteKind::Local) {
            self.answer(cx, fib, &arp);
        } else {
            self.learn(cx, fib, &arp, pkt_type);
        }
        Ok(())
    }

    /// A request for an address of this host: `neigh_event_ns`, then the reply. If there is no room for the sender's entry,
    /// there is no reply either.
    fn answer(&mut self, cx: &mut NeighContext<'_>, fib: &Fib, arp: &Arp) {
        let broadcast = fib.addr_type(arp.spa) == RouteKind::Broadcast;
        let at = match self.lookup(arp.spa) {
            Ok(at) => Some(at),
            Err(_) => self.create(cx, arp.spa, broadcast),
        };
        let Some(at) = at else { return };
        // A refusal (of an entry that an administrator made) does not matter for the reply.
        let _ = self.update(
            cx,
            at,
            (NudState::Stale, Some(arp.sha)),
            Firmness { replaces_station: true, admin: false },
        );
        cx.actions.push(Action::Reply { lladdr: arp.sha, target: arp.spa, saddr: arp.tpa });
    }

    /// Anything else tells something of a neighbour that is already in the table.
    fn learn(&mut self, cx: &mut NeighContext<'_>, fib: &Fib, arp: &Arp, pkt_type: PacketType) {
        let Ok(at) = self.lookup(arp.spa) else { return };
        let for_us = arp.op == Operation::Reply && pkt_type == PacketType::Host;
        let state = if for_us { NudState::Reachable } else { NudState::Stale };
        let unlocked = cx.now > self.entries[at].updated + self.parms.locktime;
        let firmness = Firmness { replaces_station: unlocked || is_gratuitous(fib, arp), admin: false };
        // An entry that an administrator made stays as it is: nothing to report.
        let _ = self.update(cx, at, (state, Some(arp.sha)), firmness);
    }
}

/// `arp_is_garp`: the sender announces its own address; a reply must name its own station as the target too.
fn is_gratuitous(fib: &Fib, arp: &Arp) -> bool {
    arp.spa == arp.tpa
        && (arp.op == Operation::Request || arp.tha == arp.sha)
        && fib.addr_type(arp.spa) == RouteKind::Unicast
}
