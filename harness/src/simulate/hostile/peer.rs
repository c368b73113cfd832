//! The peer: it knows enough of each connection to complete a handshake and to be nearly right.

use super::mutate::mutate;
use super::segment::{ACK, FIN, PSH, RST, SYN, Seen, Segment, icmp_error, quote};
use crate::case::model::topology::PEER_IP;
use crate::simulate::dice::Dice;

/// Connections that the peer remembers.
const KNOWN_MAX: usize = 12;

/// What the peer knows of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The peer's port.
    pub port: u16,
    /// The port of the system under test.
    pub sut: u16,
    /// What the peer sends next.
    pub snd_nxt: u32,
    /// What it expects.
    pub rcv_nxt: u32,
    /// The last timestamp that came.
    tsval: Option<u32>,
}

/// The peer.
#[derive(Debug, Default)]
pub struct Peer {
    /// What it knows, oldest first.
    pub known: Vec<Known>,
    /// The peer's own clock of timestamps.
    clock: u32,
}

impl Peer {
    /// A connection of the peer to `sut`: its SYN.
    pub fn open(&mut self, dice: &mut Dice, sut: u16) -> Segment {
        let port = 1024 + dice.below(60_000) as u16;
        let snd_nxt = dice.bits() as u32;
        self.remember(Known { port, sut, snd_nxt: snd_nxt.wrapping_add(1), rcv_nxt: 0, tsval: None });
        let options = if dice.chance(700) { self.handshake_options(0) } else { Vec::new() };
        Segment {
            sport: port,
            dport: sut,
            seq: snd_nxt,
            flags: SYN,
            window: 65_535,
            options,
            ..Segment::default()
        }
    }

    fn handshake_options(&mut self, echo: u32) -> Vec<u8> {
        self.clock = self.clock.wrapping_add(1);
        let mut options = vec![2, 4, 5, 180, 4, 2, 8, 10];
        options.extend(self.clock.to_be_bytes());
        options.extend(echo.to_be_bytes());
        options.extend([1, 3, 3, 7]);
        options
    }

    fn remember(&mut self, known: Known) {
        if self.known.len() == KNOWN_MAX {
            self.known.remove(0);
        }
        self.known.push(known);
    }

    /// The peer's part of a connection, without a payload.
    pub fn plain(&mut self, known: Known, flags: u8) -> Segment {
        self.clock = self.clock.wrapping_add(1);
        let options = known.tsval.map_or_else(Vec::new, |echo| {
            let mut options = vec![1, 1, 8, 10];
            options.extend(self.clock.to_be_bytes());
            options.extend(echo.to_be_bytes());
            options
        });
        let (seq, ack) = (known.snd_nxt, known.rcv_nxt);
        Segment {
            sport: known.port,
            dport: known.sut,
            seq,
            ack,
            flags,
            window: 1000,
            options,
            ..Segment::default()
        }
    }

    /// A segment of the system under test; gives what a peer that keeps the rules would answer.
    pub fn sees(&mut self, seen: &Seen) -> Option<Segment> {
        let at = self.known.iter().position(|known| (known.port, known.sut) == (seen.dport, seen.sport));
        if seen.flags & RST != 0 {
            self.known.remove(at?);
            return None;
        }
        let Some(at) = at else {
            // It calls.
            if seen.flags & (SYN | ACK) != SYN {
                return None;
            }
            let known =
                Known { port: seen.dport, sut: seen.sport, snd_nxt: 1, rcv_nxt: seen.end, tsval: seen.tsval };
            self.remember(known);
            let options = seen.tsval.map_or_else(Vec::new, |echo| self.handshake_options(echo));
            return Some(Segment { seq: 0, options, ..self.plain(known, SYN | ACK) });
        };
        let known = &mut self.known[at];
        known.tsval = seen.tsval.or(known.tsval);
        if seen.flags & SYN != 0 || seen.end.wrapping_sub(known.rcv_nxt) as i32 > 0 {
            known.rcv_nxt = seen.end;
        } else if seen.payload == 0 {
            return None;
        }
        let known = *known;
        Some(self.plain(known, ACK))
    }

    /// Something of its own: data, an end, or an error of ICMP; or a call. Nearly right, or wrong.
    pub fn acts(&mut self, dice: &mut Dice, listening: u16) -> Vec<u8> {
        if self.known.is_empty() || dice.chance(100) {
            let mut syn = self.open(dice, listening);
            if dice.chance(300) {
                mutate(dice, &mut syn);
            }
            return syn.frame(PEER_IP);
        }
        let at = dice.below(self.known.len() as u64) as usize;
        let known = self.known[at];
        if dice.chance(80) {
            return icmp(dice, known);
        }
        let flags = dice.of(&[ACK, ACK, ACK | PSH, ACK | PSH, ACK | PSH, ACK | FIN, RST, RST | ACK, SYN]);
        let mut segment = self.plain(known, flags);
        if flags & PSH != 0 {
            segment.payload = vec![0x33; dice.between(1, 1400) as usize];
        }
        if dice.chance(650) {
            mutate(dice, &mut segment);
        } else {
            let ends = u32::from(segment.flags & FIN != 0);
            let next = known.snd_nxt.wrapping_add(segment.payload.len() as u32).wrapping_add(ends);
            self.known[at].snd_nxt = next;
        }
        segment.frame(PEER_IP)
    }
}

fn icmp(dice: &mut Dice, known: Known) -> Vec<u8> {
    let seq = match dice.below(3) {
        0 => known.rcv_nxt,
        1 => known.rcv_nxt.wrapping_sub(dice.below(3000) as u32),
        _ => dice.bits() as u32,
    };
    let mut quoted = quote(PEER_IP, known.sut, known.port, seq);
    if dice.chance(200) {
        quoted.truncate(dice.below(29) as usize);
    } else if dice.chance(200) {
        let at = dice.below(quoted.len() as u64) as usize;
        quoted[at] = dice.bits() as u8;
    }
    let kind = dice.of(&[
        (3, 0),
        (3, 1),
        (3, 2),
        (3, 3),
        (3, 4),
        (3, 4),
        (3, 13),
        (4, 0),
        (5, 1),
        (11, 0),
        (12, 0),
        (42, 0),
    ]);
    let mtu = dice.of(&[0, 1, 68, 296, 552, 576, 1000, 1499, 1500, 65_535, u32::MAX]);
    icmp_error(PEER_IP, kind, mtu, &quoted)
}
