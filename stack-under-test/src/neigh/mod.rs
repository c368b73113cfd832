//! The neighbour table: which station has which address of the link, how sure that is, and the packets that wait to know.
//!
//! One table for each interface, with ARP (RFC 826) and the states of neighbour unreachability detection (RFC 4861, section 7.3) as
//! Linux 6.12 has them in `net/core/neighbour.c` and `net/ipv4/arp.c`.
//!
//! How to drive it:
//! - To send: [`NeighTable::resolve`] on the fast path; where it says `None`, hand the packet to
//!   [`NeighTable::resolve_output`].
//! - Input: [`NeighTable::arp_rcv`] for ARP packets, [`NeighTable::confirm`] when the layer above knows that the neighbour
//!   answers, [`NeighTable::timer`] when [`NeighTable::next_deadline`] has come.
//! - Commands: [`NeighTable::add`], [`NeighTable::delete`], [`NeighTable::flush`], [`NeighTable::carrier_down`],
//!   [`NeighTable::ifdown`].
//! - Output: after each of them, do what the [`Action`]s say, in order. None of them is done here.
//!
//! No function panics on what came from the wire. The table, and each queue in it, has a limit.

pub mod admin;
pub mod arp;
pub mod entry;
pub mod event;
pub mod gc;
pub mod parms;
pub mod table;
pub mod timer;
pub mod update;

pub use admin::{NeighChange, NeighVerb};
pub use entry::{Neighbour, NudState};
pub use parms::NeighParms;
pub use table::{NeighStats, NeighTable};

use crate::drop_reason::DropReason;
use crate::skb::{Skb, SkbPool};
use crate::time::Instant;
use crate::trace::Trace;
use crate::wire::Mac;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// What the caller is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an ARP request: `arp_solicit`. [`arp::solicit_source`] gives the sender's address for it.
    Solicit {
        /// Whose address is asked for.
        target: Ipv4Addr,
        /// The station that had it (a unicast probe), or `None` for a broadcast.
        lladdr: Option<Mac>,
        /// The source of the packet that waits.
        saddr: Option<Ipv4Addr>,
    },
    /// Send an ARP reply.
    Reply {
        /// To which station.
        lladdr: Mac,
        /// Who asked: 0.0.0.0 for a probe (RFC 5227).
        target: Ipv4Addr,
        /// The address of this host that was asked for.
        saddr: Ipv4Addr,
    },
    /// The packet's neighbour is known now: put the Ethernet header before it and send it.
    Transmit {
        /// The packet.
        skb: Skb,
        /// Its station.
        lladdr: Mac,
    },
    /// The neighbour did not answer: `arp_error_report`, that is `dst_link_failure` (ICMP host unreachable to the sender, on
    /// this host: EHOSTUNREACH), then drop with [`DropReason::NeighFailed`].
    Error(Skb),
    /// Drop the packet.
    Drop(Skb, DropReason),
}

/// What a call needs beside the table: where packets lie, the journal, the time, and where actions go. Actions are added
/// behind those that are there.
#[derive(Debug)]
pub struct NeighContext<'a> {
    /// Where packets lie.
    pub pool: &'a mut SkbPool,
    /// The journal.
    pub trace: &'a mut Trace,
    /// The time.
    pub now: Instant,
    /// What to do, in order.
    pub actions: &'a mut Vec<Action>,
}

#[cfg(test)]
mod tests;
