//! Entries that nobody needs are removed: `neigh_periodic_work`, `neigh_forced_gc`.

use super::entry::NudState;
use super::{NeighContext, NeighTable};
use crate::time::{Duration, Instant};

/// Whether an entry can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It can.
    Left,
    /// The table is at `gc_thresh3`, and nothing could be removed.
    Full,
}

/// An entry that was updated within this time is not removed because the table is full.
const YOUNG: Duration = Duration::from_secs(5);

impl NeighTable {
    /// Entries that count for the thresholds: all but permanent ones.
    fn collectable(&self) -> usize {
        self.entries.iter().filter(|n| n.state != NudState::Permanent).count()
    }

    /// Makes room for an entry as `neigh_alloc` does.
    pub(super) fn make_room(&mut self, cx: &mut NeighContext<'_>) -> Room {
        let (thresh2, thresh3) = (self.parms.gc_thresh2 as usize, self.parms.gc_thresh3 as usize);
        if self.entries.len() < thresh2.min(thresh3) {
            return Room::Left;
        }
        let entries = self.collectable();
        let flushed_lately = self.last_flush.is_some_and(|last| cx.now.since(last) <= YOUNG);
        if entries >= thresh3 || (entries >= thresh2 && !flushed_lately) {
            let removed = self.forced_gc(cx, (entries + 1).saturating_sub(thresh2));
            if removed == 0 && entries >= thresh3 {
                return Room::Full;
            }
        }
        Room::Left
    }

    fn forced_gc(&mut self, cx: &mut NeighContext<'_>, most: usize) -> usize {
        self.stats.forced_gc_runs += 1;
        self.last_flush = Some(cx.now);
        let mut removed = 0;
        for at in (0..self.entries.len()).rev() {
            let n = &self.entries[at];
            let idle =
                matches!(n.state, NudState::Failed | NudState::NoArp) || cx.now.since(n.updated) > YOUNG;
            let removable = n.state != NudState::Permanent && !n.state.is_in_timer() && idle;
            if removable && removed < most {
                self.remove(cx, at);
                removed += 1;
            }
        }
        removed
    }

    /// Whether the periodic collection has anything to look at; below `gc_thresh1` it has not.
    pub(super) fn gc_is_due_some_day(&self) -> bool {
        self.entries.len() >= self.parms.gc_thresh1 as usize && !self.entries.is_empty()
    }

    pub(super) fn next_gc(&self) -> Instant {
        self.last_periodic + (self.parms.base_reachable_time / 2).max(Duration::from_secs(1))
    }

    pub(super) fn periodic_gc(&mut self, cx: &mut NeighContext<'_>) {
        if cx.now < self.next_gc() {
            return;
        }
        self.last_periodic = cx.now;
        self.stats.periodic_gc_runs += 1;
        if !self.gc_is_due_some_day() {
            return;
        }
        for at in (0..self.entries.len()).rev() {
            let n = &self.entries[at];
            let used = n.confirmed.map_or(n.used, |confirmed| n.used.max(confirmed));
            let idle = n.state == NudState::Failed || cx.now.since(used) >= self.parms.gc_stale_time;
            if n.state != NudState::Permanent && !n.state.is_in_timer() && idle {
                self.remove(cx, at);
            }
        }
    }
}
