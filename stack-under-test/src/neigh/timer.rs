//! Time passes: `neigh_timer_handler`.

use super::entry::NudState;
use super::event::LEAST_INTERVAL;
use super::{NeighContext, NeighTable};
use crate::time::{Duration, Instant, earliest};

/// How often the reachable time is drawn anew.
const REDRAW: Duration = Duration::from_secs(300);

impl NeighTable {
    /// When [`NeighTable::timer`] is to be called, or `None` while nothing ends by itself.
    #[inline]
    pub fn next_deadline(&mut self) -> Option<Instant> {
        let timers = match self.deadline {
            Some(known) => known,
            None => {
                let first = self.entries.iter().fold(None, |first, n| earliest(first, n.timer));
                self.deadline = Some(first);
                first
            }
        };
        if self.gc_is_due_some_day() { earliest(timers, Some(self.next_gc())) } else { timers }
    }

    /// Does what is due at `cx.now`.
    pub fn timer(&mut self, cx: &mut NeighContext<'_>) {
        if cx.now.since(self.last_rand) > REDRAW {
            self.draw_reachable_time(cx.now);
        }
        for at in 0..self.entries.len() {
            if self.entries[at].timer.is_some_and(|timer| timer <= cx.now) {
                self.timer_handler(cx, at);
            }
        }
        self.periodic_gc(cx);
    }

    fn timer_handler(&mut self, cx: &mut NeighContext<'_>, at: usize) {
        cx.trace.function(0, "neigh_timer_handler");
        let (now, parms, reachable_time) = (cx.now, self.parms, self.reachable_time);
        let retrans = now + self.retrans_interval();
        let n = &mut self.entries[at];
        let confirmed_within = |time: Duration| n.confirmed.filter(|&confirmed| now <= confirmed + time);
        let (state, next) = match n.state {
            NudState::Reachable => match confirmed_within(reachable_time) {
                // A deadline that is reached exactly is over, or the timer would come again at once.
                Some(confirmed) if now < confirmed + reachable_time => {
                    (NudState::Reachable, Some(confirmed + reachable_time))
                }
                _ if now <= n.used + parms.delay_first_probe_time => {
                    (NudState::Delay, Some(now + parms.delay_first_probe_time))
                }
                _ => (NudState::Stale, None),
            },
            NudState::Delay => match confirmed_within(parms.delay_first_probe_time) {
                Some(confirmed) => (NudState::Reachable, Some(confirmed + reachable_time)),
                None => (NudState::Probe, Some(retrans)),
            },
            NudState::Incomplete | NudState::Probe => (n.state, Some(retrans)),
            other => (other, None),
        };
        if state != n.state {
            n.state = state;
            n.updated = now;
            if state == NudState::Probe {
                n.probes = 0;
            }
        }
        let asking = matches!(state, NudState::Incomplete | NudState::Probe);
        if asking && self.entries[at].probes >= self.max_probes(state) {
            self.entries[at].state = NudState::Failed;
            self.set_timer(at, None);
            self.invalidate(cx, at);
            return;
        }
        self.set_timer(at, next.map(|next| next.max(now + LEAST_INTERVAL)));
        if asking {
            self.probe(cx, at);
        }
    }

    /// `neigh_max_probes`.
    fn max_probes(&self, state: NudState) -> u32 {
        let p = &self.parms;
        let broadcast = if state == NudState::Probe { p.mcast_resolicit } else { p.mcast_solicit };
        p.ucast_solicit.saturating_add(p.app_solicit).saturating_add(broadcast)
    }
}
