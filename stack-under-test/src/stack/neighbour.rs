//! The neighbour table at work: doing what its actions say, ARP on the wire, and `ip neigh`.

use super::Stack;
use super::control::refused;
use crate::control::Refusal;
use crate::control::ip::Verb;
use crate::control::ip::neigh::{NeighCommand, NudState as NudWord};
use crate::drop_reason::DropReason;
use crate::errno::Errno;
use crate::ip::SendError;
use crate::neigh::arp::solicit_source;
use crate::neigh::{Action, NeighChange, NeighContext, NeighTable, NeighVerb, NudState};
use crate::route::OifId;
use crate::skb::Skb;
use crate::time::{Instant, earliest};
use crate::wire::Mac;
use crate::wire::arp::{Arp, PACKET_BYTES};
use crate::wire::ethernet::{BROADCAST, ETH_P_ARP, ETH_P_IP};
use alloc::format;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

impl Stack {
    /// The neighbour table of an interface (that of `eth0` for one that is gone) with what it works with; do the actions
    /// afterwards.
    pub(crate) fn neigh_of(&mut self, oif: OifId) -> (&mut NeighTable, NeighContext<'_>) {
        let cx = NeighContext {
            pool: &mut self.skbs,
            trace: &mut self.trace,
            now: self.now,
            actions: &mut self.neigh_actions,
        };
        let vlan = self.vlans.iter_mut().find(|vlan| vlan.oif == oif);
        (vlan.map_or(&mut self.neigh, |vlan| &mut vlan.neigh), cx)
    }

    /// The indices of the interfaces that have neighbours.
    pub(crate) fn interfaces(&self) -> Vec<OifId> {
        core::iter::once(OifId::ETH0).chain(self.vlans.iter().map(|vlan| vlan.oif)).collect()
    }

    /// `neigh_confirm`, on a device.
    pub(crate) fn neigh_confirm(&mut self, oif: OifId, nexthop: Ipv4Addr) {
        let now = self.now;
        if oif == OifId::ETH0 {
            self.neigh.confirm(nexthop, now);
        } else if let Some(vlan) = self.vlan(oif) {
            vlan.neigh.confirm(nexthop, now);
        }
    }

    /// The way of a packet whose neighbour's address is not known: it waits, or learns that nobody answers.
    #[cold]
    pub(crate) fn neigh_output_slow(
        &mut self,
        oif: OifId,
        nexthop: Ipv4Addr,
        skb: Skb,
    ) -> Result<(), SendError> {
        let (neigh, mut cx) = self.neigh_of(oif);
        let result = neigh.resolve_output(&mut cx, nexthop, skb);
        self.do_neigh_actions(oif);
        // A full table says ENOBUFS, which a sender hears as of a full queue: only if it asked for errors.
        result.map_err(|_| SendError::Congested)
    }

    pub(crate) fn neigh_timer(&mut self) {
        for oif in self.interfaces() {
            let (neigh, mut cx) = self.neigh_of(oif);
            neigh.timer(&mut cx);
            self.do_neigh_actions(oif);
        }
    }

    /// When a neighbour's time is up.
    pub(crate) fn neigh_deadline(&mut self) -> Option<Instant> {
        let first = self.neigh.next_deadline();
        self.vlans.iter_mut().fold(first, |first, vlan| earliest(first, vlan.neigh.next_deadline()))
    }

    pub(crate) fn neigh_ifdown(&mut self, oif: OifId) {
        let (neigh, mut cx) = self.neigh_of(oif);
        neigh.ifdown(&mut cx);
        self.do_neigh_actions(oif);
    }

    /// `arp_rcv`: takes a frame whose data begins behind its Ethernet header.
    pub(crate) fn arp_rcv(&mut self, skb: Skb) {
        let mut bytes = [0; PACKET_BYTES];
        let had = self.skbs.copy_out(&skb, 0, &mut bytes);
        let (pkt_type, iif) = (self.skbs[&skb].pkt_type, self.skbs[&skb].iif);
        let cx = &mut NeighContext {
            pool: &mut self.skbs,
            trace: &mut self.trace,
            now: self.now,
            actions: &mut self.neigh_actions,
        };
        let vlan = self.vlans.iter_mut().find(|vlan| vlan.oif == iif);
        let table = vlan.map_or(&mut self.neigh, |vlan| &mut vlan.neigh);
        let result = table.arp_rcv(cx, &self.fib, &bytes[..had.min(PACKET_BYTES)], pkt_type);
        match result {
            Ok(()) => self.skbs.consume(&mut self.trace, skb),
            Err(reason) => self.skbs.drop(&mut self.trace, skb, reason),
        }
        self.do_neigh_actions(iif);
    }

    /// Does what the neighbour table of an interface asked for, and what comes of that.
    pub(crate) fn do_neigh_actions(&mut self, oif: OifId) {
        while !self.neigh_actions.is_empty() {
            let mut actions = core::mem::take(&mut self.neigh_actions);
            for action in actions.drain(..) {
                self.do_neigh_action(oif, action);
            }
            if self.neigh_actions.is_empty() {
                // Keeps the memory for the next time.
                self.neigh_actions = actions;
            }
        }
    }

    fn do_neigh_action(&mut self, oif: OifId, action: Action) {
        match action {
            Action::Solicit { target, lladdr, saddr } => {
                self.trace.function(0, "arp_solicit");
                let spa = solicit_source(&self.fib, oif, saddr, target);
                self.arp_send(oif, &Arp::request(self.dev.mac(), spa, target), lladdr.unwrap_or(BROADCAST));
            }
            Action::Reply { lladdr, target, saddr } => {
                self.arp_send(oif, &Arp::reply(self.dev.mac(), saddr, lladdr, target), lladdr);
            }
            Action::Transmit { skb, lladdr } => {
                self.xmit_by(skb, oif, (&lladdr, ETH_P_IP));
            }
            Action::Error(skb) => {
                self.ipv4_link_failure(&skb);
                self.skbs.drop(&mut self.trace, skb, DropReason::NeighFailed);
            }
            Action::Drop(skb, reason) => self.skbs.drop(&mut self.trace, skb, reason),
        }
    }

    /// `arp_send`: puts an ARP packet on the wire.
    fn arp_send(&mut self, oif: OifId, arp: &Arp, to: Mac) {
        let Some(skb) = self.skbs.alloc() else { return };
        let mut bytes = [0; PACKET_BYTES];
        arp.write(&mut bytes);
        self.skbs.put(&skb, PACKET_BYTES).copy_from_slice(&bytes);
        let packet = self.trace.made(&bytes, PACKET_BYTES);
        self.trace.function(packet, "arp_send");
        let meta = &mut self.skbs[&skb];
        meta.packet = packet;
        meta.network_header = meta.data_offset();
        self.xmit_by(skb, oif, (&to, ETH_P_ARP));
    }

    pub(crate) fn neigh_command(&mut self, command: &NeighCommand) -> Result<(), Refusal> {
        let dev = match command {
            NeighCommand::Flush { dev, .. } => *dev,
            NeighCommand::Set(set) => Some(set.dev),
        };
        let interfaces = match dev {
            None => self.interfaces(),
            Some(dev) => alloc::vec![self.oif(dev)?],
        };
        interfaces.into_iter().try_for_each(|oif| self.neigh_command_on(oif, command))
    }

    fn neigh_command_on(&mut self, oif: OifId, command: &NeighCommand) -> Result<(), Refusal> {
        let (neigh, mut cx) = self.neigh_of(oif);
        let result = match command {
            NeighCommand::Flush { to, nud, .. } => {
                let state = nud.map(state_of);
                neigh.flush(&mut cx, |n| {
                    let spared = state.is_none() && matches!(n.state, NudState::NoArp | NudState::Permanent);
                    !spared && to.is_none_or(|to| n.addr == to) && state.is_none_or(|state| n.state == state)
                });
                Ok(())
            }
            NeighCommand::Set(_) if oif == OifId::LO => {
                return Err(Refusal::new(Errno::EOPNOTSUPP, "lo has no neighbours here"));
            }
            NeighCommand::Set(set) => {
                let change = NeighChange {
                    addr: set.to,
                    lladdr: set.lladdr,
                    state: set.nud.map_or(NudState::Permanent, state_of),
                };
                match set.verb {
                    Verb::Del => neigh.delete(&mut cx, set.to),
                    Verb::Add => neigh.add(&mut cx, NeighVerb::Add, &change),
                    Verb::Change => neigh.add(&mut cx, NeighVerb::Change, &change),
                    Verb::Replace | Verb::Append | Verb::Prepend => {
                        neigh.add(&mut cx, NeighVerb::Replace, &change)
                    }
                }
            }
        };
        self.do_neigh_actions(oif);
        result.map_err(refused)
    }

    /// `net.ipv4.neigh.eth0.…`.
    pub(crate) fn neigh_sysctl(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let set = value.parse::<u64>().is_ok_and(|value| self.neigh.parms.set(name, value));
        if !set {
            return Err(Refusal::new(
                Errno::EOPNOTSUPP,
                format!("net.ipv4.neigh.eth0.{name} is not acted on by this stack"),
            ));
        }
        if name.starts_with("base_reachable_time") {
            self.neigh.draw_reachable_time(self.now);
        }
        Ok(())
    }
}

fn state_of(word: NudWord) -> NudState {
    match word {
        NudWord::None => NudState::None,
        NudWord::Incomplete => NudState::Incomplete,
        NudWord::Reachable => NudState::Reachable,
        NudWord::Stale => NudState::Stale,
        NudWord::Delay => NudState::Delay,
        NudWord::Probe => NudState::Probe,
        NudWord::Failed => NudState::Failed,
        NudWord::Noarp => NudState::NoArp,
        NudWord::Permanent => NudState::Permanent,
    }
}
