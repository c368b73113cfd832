//! A packet needs a neighbour: `neigh_resolve_output`, `__neigh_event_send`, and the queue of packets that wait.

use super::entry::NudState;
use super::{Action, NeighContext, NeighTable};
use crate::drop_reason::DropReason;
use crate::errno::Errno;
use crate::skb::Skb;
use crate::time::{Duration, Instant};
use crate::trace::Step;
use crate::wire::ethernet::ETH_P_IP;
use crate::wire::ipv4::{HEADER_BYTES, Ipv4};
use core::net::Ipv4Addr;

/// The name of the queue in a packet's journey.
const ARP_QUEUE: &str = "arp_queue";

/// No timer comes sooner than this after the last: `HZ / 100`.
pub(super) const LEAST_INTERVAL: Duration = Duration::from_millis(10);

impl NeighTable {
    /// `neigh_resolve_output`: takes a packet for `nexthop`. It is transmitted if the station is known; else it waits, and
    /// the first one makes a request go out.
    ///
    /// # Errors
    /// ENOBUFS if the table is full; the packet is in the actions then, to be dropped.
    pub fn resolve_output(
        &mut self,
        cx: &mut NeighContext<'_>,
        nexthop: Ipv4Addr,
        skb: Skb,
    ) -> Result<(), Errno> {
        let packet = cx.pool[&skb].packet;
        let at = match self.find(nexthop) {
            Ok(at) => at,
            Err(_) => match self.create(cx, nexthop, false) {
                Some(at) => at,
                None => {
                    cx.actions.push(Action::Drop(skb, DropReason::NeighCreateFail));
                    return Err(Errno::ENOBUFS);
                }
            },
        };
        cx.trace.function(packet, "neigh_resolve_output");
        let starts = self.event_send(at, cx.now);
        match self.entries[at].state {
            NudState::Incomplete => {
                self.enqueue(cx, at, skb);
                if starts {
                    self.probe(cx, at);
                }
            }
            NudState::Failed | NudState::None => cx.actions.push(Action::Drop(skb, DropReason::NeighFailed)),
            _ => cx.actions.push(Action::Transmit { skb, lladdr: self.entries[at].lladdr }),
        }
        Ok(())
    }

    /// `neigh_event_send`: the entry is used. Gives whether a request is to go out at once.
    pub(super) fn event_send(&mut self, at: usize, now: Instant) -> bool {
        let n = &mut self.entries[at];
        n.used = now;
        match n.state {
            NudState::None | NudState::Failed => {
                n.updated = now;
                if self.parms.mcast_solicit == 0 && self.parms.app_solicit == 0 {
                    n.state = NudState::Failed;
                    return false;
                }
                n.probes = self.parms.ucast_solicit;
                n.state = NudState::Incomplete;
                let next = now + self.retrans_interval();
                self.set_timer(at, Some(next));
                true
            }
            NudState::Stale => {
                n.updated = now;
                n.state = NudState::Delay;
                let next = now + self.parms.delay_first_probe_time;
                self.set_timer(at, Some(next));
                false
            }
            _ => false,
        }
    }

    pub(super) fn retrans_interval(&self) -> Duration {
        self.parms.retrans_time.max(LEAST_INTERVAL)
    }

    fn enqueue(&mut self, cx: &mut NeighContext<'_>, at: usize, skb: Skb) {
        let more = u64::from(cx.pool[&skb].truesize);
        while self.entries[at].arp_queue.truesize() + more > self.parms.unres_qlen_bytes {
            let Some(oldest) = self.dequeue(cx, at) else { break };
            self.stats.unres_discards += 1;
            cx.actions.push(Action::Drop(oldest, DropReason::NeighQueueFull));
        }
        cx.trace.step(cx.pool[&skb].packet, Step::Queued(ARP_QUEUE));
        self.entries[at].arp_queue.push_back(cx.pool, skb);
    }

    pub(super) fn dequeue(&mut self, cx: &mut NeighContext<'_>, at: usize) -> Option<Skb> {
        let skb = self.entries[at].arp_queue.pop_front(cx.pool)?;
        cx.trace.step(cx.pool[&skb].packet, Step::Dequeued(ARP_QUEUE));
        Some(skb)
    }

    /// `neigh_probe`: one more request, unicast as long as the count of unicast requests lasts.
    pub(super) fn probe(&mut self, cx: &mut NeighContext<'_>, at: usize) {
        cx.trace.function(0, "neigh_probe");
        let n = &mut self.entries[at];
        let ucast = self.parms.ucast_solicit;
        let unicast = n.probes < ucast;
        let app = !unicast && n.probes < ucast.saturating_add(self.parms.app_solicit);
        n.probes += 1;
        if app {
            return;
        }
        cx.trace.function(0, "arp_solicit");
        let waiting = n.arp_queue.peek(cx.pool).filter(|skb| skb.protocol == ETH_P_IP);
        let saddr = waiting.and_then(|skb| {
            let at = skb.head_at + usize::from(skb.network_header);
            Ipv4::parse_quoted(cx.pool.mem.bytes(at, HEADER_BYTES)).ok().map(|ip| ip.src)
        });
        cx.actions.push(Action::Solicit { target: n.addr, lladdr: unicast.then_some(n.lladdr), saddr });
    }
}
