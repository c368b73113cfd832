//! The table: finding, making and removing neighbours, and the fast way to a station's address.

use super::entry::{Neighbour, NudState};
use super::gc::Room;
use super::{Action, NeighContext, NeighParms};
use crate::drop_reason::DropReason;
use crate::route::OifId;
use crate::skb::{SkBuff, SkbPool};
use crate::time::{Duration, Instant};
use crate::wire::Mac;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// Counters, as in `/proc/net/stat/arp_cache`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeighStats {
    /// Entries made.
    pub allocs: u64,
    /// Entries removed.
    pub destroys: u64,
    /// Neighbours that did not answer.
    pub res_failed: u64,
    /// Searches other than those of the fast path.
    pub lookups: u64,
    /// Of these, those that found an entry.
    pub hits: u64,
    /// Runs of the periodic garbage collection.
    pub periodic_gc_runs: u64,
    /// Runs of the garbage collection because the table was full.
    pub forced_gc_runs: u64,
    /// Waiting packets dropped because their queue was full.
    pub unres_discards: u64,
    /// Entries that could not be made because the table was full.
    pub table_fulls: u64,
}

/// The neighbours of an interface: `eth0`, unless [`NeighTable::oif`] says another.
#[derive(Debug)]
pub struct NeighTable {
    /// The parameters; after a change of `base_reachable_time`, call [`NeighTable::draw_reachable_time`].
    pub parms: NeighParms,
    /// The interface whose neighbours they are.
    pub oif: OifId,
    /// Counters.
    pub stats: NeighStats,
    /// Sorted by address.
    pub(super) entries: Vec<Neighbour>,
    /// Where the fast path last found what it looked for.
    last: usize,
    pub(super) reachable_time: Duration,
    pub(super) random: u64,
    pub(super) last_rand: Instant,
    pub(super) last_flush: Option<Instant>,
    pub(super) last_periodic: Instant,
    /// The earliest timer of all entries; `None` inside: not known any more.
    pub(super) deadline: Option<Option<Instant>>,
}

impl NeighTable {
    /// An empty table. `seed` decides the reachable times that are drawn.
    #[must_use]
    pub fn new(parms: NeighParms, seed: u64) -> Self {
        let mut table = Self {
            parms,
            oif: OifId::ETH0,
            stats: NeighStats::default(),
            entries: Vec::new(),
            last: 0,
            reachable_time: Duration::ZERO,
            random: seed,
            last_rand: Instant::ZERO,
            last_flush: None,
            last_periodic: Instant::ZERO,
            deadline: Some(None),
        };
        table.draw_reachable_time(Instant::ZERO);
        table
    }

    /// Draws the time for which neighbours are taken to be reachable; the table does so by itself every 300 s.
    pub fn draw_reachable_time(&mut self, now: Instant) {
        // The step of SplitMix64: any seed will do, 0 included.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.reachable_time = self.parms.reachable_time((mixed >> 32) as u32);
        self.last_rand = now;
    }

    /// The time for which a confirmed neighbour is taken to be reachable.
    #[must_use]
    pub fn reachable_time(&self) -> Duration {
        self.reachable_time
    }

    /// All neighbours, by address: `ip neigh show nud all`.
    #[must_use]
    pub fn dump(&self) -> &[Neighbour] {
        &self.entries
    }

    /// The neighbour with this address.
    #[must_use]
    pub fn get(&self, addr: Ipv4Addr) -> Option<&Neighbour> {
        self.find(addr).ok().map(|at| &self.entries[at])
    }

    #[inline]
    pub(super) fn find(&self, addr: Ipv4Addr) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&addr.to_bits(), |n| n.addr.to_bits())
    }

    /// Whether a packet that waits for `nexthop` is one of those that `is` names.
    #[must_use]
    pub fn holds(&self, nexthop: Ipv4Addr, pool: &SkbPool, is: impl Fn(&SkBuff) -> bool) -> bool {
        self.get(nexthop).is_some_and(|entry| entry.arp_queue.any(pool, is))
    }

    /// `neigh_lookup`, counted.
    pub(super) fn lookup(&mut self, addr: Ipv4Addr) -> Result<usize, usize> {
        self.stats.lookups += 1;
        let found = self.find(addr);
        self.stats.hits += u64::from(found.is_ok());
        found
    }

    /// The station to which a packet for `nexthop` can go at once. A use of a stale entry starts its check. `None`: not
    /// known, [`NeighTable::resolve_output`] takes the packet.
    pub fn resolve(&mut self, nexthop: Ipv4Addr, now: Instant) -> Option<&Mac> {
        let at = self.find(nexthop).ok()?;
        self.last = at;
        let state = self.entries[at].state;
        if state.is_valid() && !state.is_connected() {
            self.event_send(at, now);
        }
        state.is_valid().then(|| &self.entries[at].lladdr)
    }

    /// [`Self::resolve`] when `nexthop` is the neighbour that was resolved last and nothing about it changes by that.
    #[inline(always)]
    pub fn resolve_connected(&self, nexthop: Ipv4Addr) -> Option<&Mac> {
        let n = self.entries.get(self.last)?;
        (n.addr == nexthop && n.state.is_connected()).then_some(&n.lladdr)
    }

    /// `neigh_confirm`: the layer above knows that the neighbour answers (`MSG_CONFIRM`, progress of a connection).
    #[inline]
    pub fn confirm(&mut self, addr: Ipv4Addr, now: Instant) {
        match self.entries.get_mut(self.last) {
            Some(entry) if entry.addr == addr => entry.confirmed = Some(now),
            _ => self.confirm_other(addr, now),
        }
    }

    fn confirm_other(&mut self, addr: Ipv4Addr, now: Instant) {
        if let Ok(at) = self.find(addr) {
            self.entries[at].confirmed = Some(now);
        }
    }

    /// `__neigh_create`: an entry in state `None` (`NoArp` if the address is a broadcast one). `None` when the table is full.
    pub(super) fn create(
        &mut self,
        cx: &mut NeighContext<'_>,
        addr: Ipv4Addr,
        broadcast: bool,
    ) -> Option<usize> {
        cx.trace.function(0, "__neigh_create");
        if self.make_room(cx) == Room::Full {
            self.stats.table_fulls += 1;
            return None;
        }
        let mut n = Neighbour::new(addr, cx.now);
        if broadcast {
            n.state = NudState::NoArp;
            n.lladdr = crate::wire::ethernet::BROADCAST;
        }
        self.stats.allocs += 1;
        let at = match self.find(addr) {
            Ok(at) => return Some(at),
            Err(at) => at,
        };
        self.entries.insert(at, n);
        Some(at)
    }

    /// The station of a broadcast address or a group, which needs no asking (`arp_constructor`): an entry in state `NoArp` is
    /// made for it, or one that an administrator made is used. `None` when the table is full.
    pub fn noarp(&mut self, cx: &mut NeighContext<'_>, addr: Ipv4Addr, lladdr: Mac) -> Option<Mac> {
        if let Ok(at) = self.find(addr) {
            return Some(self.entries[at].lladdr().unwrap_or(lladdr));
        }
        let at = self.create(cx, addr, true)?;
        self.entries[at].lladdr = lladdr;
        Some(lladdr)
    }

    /// Removes an entry; packets that wait are dropped.
    pub(super) fn remove(&mut self, cx: &mut NeighContext<'_>, at: usize) {
        self.purge_queue(cx, at, DropReason::NeighDead);
        self.entries.remove(at);
        self.stats.destroys += 1;
        self.deadline = None;
    }

    pub(super) fn purge_queue(&mut self, cx: &mut NeighContext<'_>, at: usize, reason: DropReason) {
        while let Some(skb) = self.dequeue(cx, at) {
            cx.actions.push(Action::Drop(skb, reason));
        }
    }

    pub(super) fn set_timer(&mut self, at: usize, timer: Option<Instant>) {
        self.entries[at].timer = timer;
        self.deadline = None;
    }
}
