//! `ip neigh`: add, replace, change, delete, flush and show; and the link that goes down.

use super::entry::{Neighbour, NudState};
use super::update::Firmness;
use super::{NeighContext, NeighTable};
use crate::errno::Errno;
use crate::route::RouteError;
use crate::time::Instant;
use crate::wire::Mac;
use alloc::format;
use alloc::string::String;
use core::net::Ipv4Addr;

/// What to do with the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighVerb {
    /// `add`: EEXIST if it is there.
    Add,
    /// `change`: ENOENT if it is not there.
    Change,
    /// `replace`: either way.
    Replace,
}

/// An entry as a command gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighChange {
    /// The address.
    pub addr: Ipv4Addr,
    /// `lladdr`.
    pub lladdr: Option<Mac>,
    /// `nud`; `permanent` if the command does not say.
    pub state: NudState,
}

impl NeighTable {
    /// `ip neigh add`, `change` and `replace`: `neigh_add`. `delay` and `probe` begin their check at once.
    ///
    /// # Errors
    /// EEXIST, ENOENT as [`NeighVerb`] says; EINVAL for a state that needs a station without one (the entry that was made for
    /// it stays, in state `None`: measured on Linux 6.18); ENOBUFS if the table is full.
    pub fn add(
        &mut self,
        cx: &mut NeighContext<'_>,
        verb: NeighVerb,
        change: &NeighChange,
    ) -> Result<(), RouteError> {
        let at = match (self.lookup(change.addr), verb) {
            (Ok(_), NeighVerb::Add) => return Err(RouteError::plain(Errno::EEXIST)),
            (Ok(at), _) => at,
            (Err(_), NeighVerb::Change) => return Err(RouteError::plain(Errno::ENOENT)),
            (Err(_), _) => self.create(cx, change.addr, false).ok_or(RouteError::plain(Errno::ENOBUFS))?,
        };
        let firmness = Firmness { replaces_station: true, admin: true };
        self.update(cx, at, (change.state, change.lladdr), firmness)
            .map_err(|errno| RouteError::new(errno, "No link layer address given."))
    }

    /// `ip neigh del`. Packets that wait for an answer learn that there is none.
    ///
    /// # Errors
    /// ENOENT if it is not there.
    pub fn delete(&mut self, cx: &mut NeighContext<'_>, addr: Ipv4Addr) -> Result<(), RouteError> {
        let at = self.lookup(addr).map_err(|_| RouteError::plain(Errno::ENOENT))?;
        let firmness = Firmness { replaces_station: true, admin: true };
        let updated = self.update(cx, at, (NudState::Failed, None), firmness);
        self.remove(cx, at);
        updated.map_err(RouteError::plain)
    }

    /// `ip neigh flush`: deletes the entries for which `goes` holds. Without a `nud` the tool spares `NoArp` and `Permanent`.
    pub fn flush(&mut self, cx: &mut NeighContext<'_>, goes: impl Fn(&Neighbour) -> bool) {
        for at in (0..self.entries.len()).rev() {
            if goes(&self.entries[at]) {
                let addr = self.entries[at].addr;
                // It was there a moment ago.
                let _ = self.delete(cx, addr);
            }
        }
    }

    /// The carrier is lost: `neigh_carrier_down` removes all but permanent entries.
    pub fn carrier_down(&mut self, cx: &mut NeighContext<'_>) {
        self.remove_all(cx, |n| n.state != NudState::Permanent);
    }

    /// The link is switched off, or gets another MAC address: `neigh_ifdown` removes all entries.
    pub fn ifdown(&mut self, cx: &mut NeighContext<'_>) {
        self.remove_all(cx, |_| true);
    }

    fn remove_all(&mut self, cx: &mut NeighContext<'_>, goes: impl Fn(&Neighbour) -> bool) {
        for at in (0..self.entries.len()).rev() {
            if goes(&self.entries[at]) {
                self.remove(cx, at);
            }
        }
    }
}

impl Neighbour {
    /// A line of `ip neigh show dev eth0 nud all`, without the blank at its end.
    #[must_use]
    pub fn line(&self) -> String {
        let state = if self.state == NudState::None { "" } else { self.state.name() };
        let line = match self.lladdr() {
            Some([a, b, c, d, e, f]) => {
                format!("{} lladdr {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x} {state}", self.addr)
            }
            None => format!("{} {state}", self.addr),
        };
        String::from(line.trim_end())
    }

    /// For how long it has not been used, and not been updated, in seconds: the first and last number of `used A/B/C` in
    /// `ip -s neigh`.
    #[must_use]
    pub fn ages(&self, now: Instant) -> (u64, u64) {
        (now.since(self.used).as_secs(), now.since(self.updated).as_secs())
    }
}
