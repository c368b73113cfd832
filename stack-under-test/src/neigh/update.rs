//! `neigh_update`: something new is known of a neighbour, from ARP or from an administrator.

use super::entry::NudState;
use super::{Action, NeighContext, NeighTable};
use crate::drop_reason::DropReason;
use crate::errno::Errno;
use crate::wire::Mac;

/// Who says so, and how firmly: `NEIGH_UPDATE_F_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Firmness {
    /// A station that differs replaces the one that is known.
    pub replaces_station: bool,
    /// An administrator says it.
    pub admin: bool,
}

impl NeighTable {
    /// The entry gets state `new` and, if given, the station `lladdr`.
    ///
    /// # Errors
    /// EPERM for what only an administrator may change; EINVAL for a valid state without a station.
    pub(super) fn update(
        &mut self,
        cx: &mut NeighContext<'_>,
        at: usize,
        (new, lladdr): (NudState, Option<Mac>),
        firmness: Firmness,
    ) -> Result<(), Errno> {
        cx.trace.function(0, "neigh_update");
        let n = &self.entries[at];
        let old = n.state;
        if !firmness.admin && matches!(old, NudState::NoArp | NudState::Permanent) {
            return Err(Errno::EPERM);
        }
        if !new.is_valid() {
            self.set_timer(at, None);
            self.entries[at].state = new;
            if matches!(old, NudState::Incomplete | NudState::Probe) && new == NudState::Failed {
                self.invalidate(cx, at);
            }
            return Ok(());
        }
        let known = old.is_valid().then_some(n.lladdr);
        let lladdr = lladdr.or(known).ok_or(Errno::EINVAL)?;
        let moved = known.is_some_and(|known| known != lladdr);
        if new.is_connected() {
            self.entries[at].confirmed = Some(cx.now);
        }
        if moved && !firmness.replaces_station {
            return Ok(());
        }
        // Word that an entry is stale does not change one that is valid and whose station stays.
        let same = known == Some(lladdr);
        let new = if same && new == NudState::Stale && !firmness.admin { old } else { new };
        if new != old || !same {
            self.entries[at].updated = cx.now;
        }
        if new != old {
            self.enter(cx, at, new);
        }
        if !same {
            let n = &mut self.entries[at];
            n.lladdr = lladdr;
            if !new.is_connected() {
                n.confirmed = None;
            }
        }
        if new != old && !old.is_valid() {
            self.flush_queue(cx, at);
        }
        Ok(())
    }

    fn enter(&mut self, cx: &mut NeighContext<'_>, at: usize, new: NudState) {
        let reachable_time = self.reachable_time;
        let n = &mut self.entries[at];
        n.state = new;
        if new == NudState::Probe {
            n.probes = 0;
        }
        let timer = match new {
            NudState::Reachable => Some(cx.now + reachable_time),
            _ if new.is_in_timer() => Some(cx.now),
            _ => None,
        };
        self.set_timer(at, timer);
    }

    /// Sends the packets that waited, in order. The first of them uses the entry, if it is stale.
    fn flush_queue(&mut self, cx: &mut NeighContext<'_>, at: usize) {
        while self.entries[at].state.is_valid() {
            let Some(skb) = self.dequeue(cx, at) else { break };
            if !self.entries[at].state.is_connected() {
                self.event_send(at, cx.now);
            }
            cx.actions.push(Action::Transmit { skb, lladdr: self.entries[at].lladdr });
        }
        self.purge_queue(cx, at, DropReason::NeighFailed);
    }

    /// `neigh_invalidate`: the entry has failed, and every packet that waits learns it.
    pub(super) fn invalidate(&mut self, cx: &mut NeighContext<'_>, at: usize) {
        self.stats.res_failed += 1;
        self.entries[at].updated = cx.now;
        while let Some(skb) = self.dequeue(cx, at) {
            cx.trace.function(cx.pool[&skb].packet, "arp_error_report");
            cx.actions.push(Action::Error(skb));
        }
    }
}
