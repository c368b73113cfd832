//! Ports: binding, choosing one, and finding the socket that a datagram is for (Linux 6.12, `net/ipv4/udp.c`).

use super::{Socket, SocketTable};
use crate::entropy::Entropy;
use core::net::Ipv4Addr;

/// A datagram as the look-up sees it, from the receiver's side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demux {
    pub(crate) saddr: Ipv4Addr,
    pub(crate) sport: u16,
    pub(crate) daddr: Ipv4Addr,
    pub(crate) dport: u16,
    pub(crate) iif: u32,
}

impl SocketTable {
    /// Binds the socket in `slot` to its address and `port`. `false` when somebody is in the way.
    pub(crate) fn bind_port(&mut self, slot: u32, port: u16) -> bool {
        let Some(socket) = self.at(slot) else { return false };
        let conflict = self.ports.get(&port).is_some_and(|bound| {
            bound
                .iter()
                .filter(|other| **other != slot)
                .any(|other| self.at(*other).is_some_and(|o| conflicts(socket, o)))
        });
        if conflict {
            return false;
        }
        self.ports.entry(port).or_default().push(slot);
        if let Some(socket) = self.at_mut(slot) {
            socket.sport = port;
        }
        true
    }

    /// Binds the socket in `slot` to a port that nobody has, out of `range`. `false` when all are taken.
    pub(crate) fn bind_any_port(&mut self, slot: u32, range: (u16, u16), entropy: &mut Entropy) -> bool {
        let count = u32::from(range.1.saturating_sub(range.0)) + 1;
        let first = entropy.below(count);
        (0..count).any(|i| {
            let port = range.0 + ((first + i) % count) as u16;
            !self.ports.contains_key(&port) && self.bind_port(slot, port)
        })
    }

    /// Gives the port of a slot back.
    pub(crate) fn unbind(&mut self, slot: u32, port: u16) {
        if let Some(bound) = self.ports.get_mut(&port) {
            bound.retain(|other| *other != slot);
            if bound.is_empty() {
                self.ports.remove(&port);
            }
        }
    }

    /// The socket that a datagram is for: the one that asks for most of what it is (`compute_score`); among equals, the
    /// first bound.
    pub(crate) fn lookup(&self, datagram: &Demux) -> Option<u32> {
        let bound = self.ports.get(&datagram.dport)?;
        let mut best = None;
        for &slot in bound {
            let Some(score) = self.at(slot).and_then(|socket| score(socket, datagram)) else { continue };
            if best.is_none_or(|(_, other)| score > other) {
                best = Some((slot, score));
            }
        }
        best.map(|(slot, _)| slot)
    }

    /// All sockets that a broadcast or multicast datagram is for.
    pub(crate) fn lookup_all(&self, datagram: &Demux, out: &mut alloc::vec::Vec<u32>) {
        out.clear();
        let Some(bound) = self.ports.get(&datagram.dport) else { return };
        out.extend(bound.iter().filter(|slot| self.at(**slot).is_some_and(|s| score(s, datagram).is_some())));
    }
}

fn conflicts(a: &Socket, b: &Socket) -> bool {
    let apart =
        a.options.bound_dev != 0 && b.options.bound_dev != 0 && a.options.bound_dev != b.options.bound_dev;
    let reuse = (a.options.reuseaddr && b.options.reuseaddr) || (a.options.reuseport && b.options.reuseport);
    let same_address = a.saddr.is_unspecified() || b.saddr.is_unspecified() || a.saddr == b.saddr;
    !apart && !reuse && same_address
}

fn score(socket: &Socket, datagram: &Demux) -> Option<u32> {
    let mut score = 1;
    if !socket.saddr.is_unspecified() {
        if socket.saddr != datagram.daddr {
            return None;
        }
        score += 4;
    }
    if let Some(peer) = socket.peer {
        if *peer.ip() != datagram.saddr || peer.port() != datagram.sport {
            return None;
        }
        score += 8;
    }
    if socket.options.bound_dev != 0 {
        if socket.options.bound_dev != datagram.iif {
            return None;
        }
        score += 4;
    }
    Some(score)
}
