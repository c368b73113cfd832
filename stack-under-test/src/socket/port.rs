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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::Options;
    use crate::sysctl::Sysctl;
    use core::net::SocketAddrV4;
    use rstest::rstest;

    const US: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
    const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 3);

    fn socket(saddr: Ipv4Addr, peer: Option<Ipv4Addr>, bound_dev: u32) -> Socket {
        let options = Options { bound_dev, reuseaddr: true, ..Options::new(&Sysctl::default()) };
        let peer = peer.map(|ip| SocketAddrV4::new(ip, 9));
        Socket { saddr, peer, ..Socket::new(options, 0) }
    }

    fn from_peer(daddr: Ipv4Addr) -> Demux {
        Demux { saddr: PEER, sport: 9, daddr, dport: 7, iif: 2 }
    }

    // Four sockets share port 7; 0 is bound to any address, 1 to ours, 2 is connected to the peer, 3 bound to `lo`.
    #[rstest]
    #[case::the_connected_one_asks_for_most(from_peer(US), Some(2))]
    #[case::from_another_port_of_the_peer_the_address_decides(Demux { sport: 10, ..from_peer(US) }, Some(1))]
    #[case::to_another_address_of_ours_anyone(from_peer(OTHER), Some(0))]
    #[case::from_the_loopback_its_own(Demux { iif: 1, sport: 10, ..from_peer(OTHER) }, Some(3))]
    #[case::to_a_port_that_nobody_has(Demux { dport: 8, ..from_peer(US) }, None)]
    fn a_datagram_finds_its_socket(#[case] datagram: Demux, #[case] found: Option<u32>) {
        let mut table = SocketTable::default();
        let any = Ipv4Addr::UNSPECIFIED;
        for socket in
            [socket(any, None, 0), socket(US, None, 0), socket(US, Some(PEER), 0), socket(any, None, 1)]
        {
            let fd = table.insert(socket).expect("room");
            assert!(table.bind_port(SocketTable::slot(fd), 7));
        }
        assert_eq!(table.lookup(&datagram), found);
    }

    #[rstest]
    #[case::the_same_address(US, US, false)]
    #[case::any_address_and_one(Ipv4Addr::UNSPECIFIED, US, false)]
    #[case::two_addresses(US, OTHER, true)]
    fn a_port_is_bound_once_an_address(
        #[case] first: Ipv4Addr,
        #[case] second: Ipv4Addr,
        #[case] both: bool,
    ) {
        let mut table = SocketTable::default();
        for (addr, bound) in [(first, true), (second, both)] {
            let mut socket = socket(addr, None, 0);
            socket.options.reuseaddr = false;
            let fd = table.insert(socket).expect("room");
            assert_eq!(table.bind_port(SocketTable::slot(fd), 7), bound);
        }
    }

    #[test]
    fn ports_for_those_who_do_not_care_come_from_the_range_until_it_is_used_up() {
        let (mut table, mut entropy) = (SocketTable::default(), Entropy::new(1));
        let mut bind = |table: &mut SocketTable| {
            let mut socket = socket(Ipv4Addr::UNSPECIFIED, None, 0);
            socket.options.reuseaddr = false;
            let slot = SocketTable::slot(table.insert(socket).expect("room"));
            table.bind_any_port(slot, (40_000, 40_009), &mut entropy).then(|| table.at(slot).map(|s| s.sport))
        };
        let mut ports: alloc::vec::Vec<_> =
            (0..10).map(|_| bind(&mut table).flatten().expect("a free port")).collect();
        assert_eq!(bind(&mut table), None);
        ports.sort_unstable();
        assert_eq!(ports, (40_000..40_010).collect::<alloc::vec::Vec<u16>>());
    }

    #[test]
    fn a_closed_socket_gives_its_port_back() {
        let mut table = SocketTable::default();
        let fd = table.insert(socket(US, None, 0)).expect("room");
        assert!(table.bind_port(SocketTable::slot(fd), 7));
        assert!(table.remove(fd, false).is_ok());
        assert_eq!(table.lookup(&from_peer(US)), None);
        assert_eq!(table.remove(fd, false).err(), Some(crate::errno::Errno::EBADF));
    }
}
