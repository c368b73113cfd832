//! The connections of a trial: their ports, and the first sequence numbers and clocks that the notation counts from.
//!
//! A flow is between a port of the peer and one of the system under test. A segment of a case that names no ports belongs to
//! the flow that was named last. A SYN that names its ports begins its connection anew, where there was one before.

use crate::case::model::Payload;
use crate::frame::decode::Decoded;
use crate::frame::field::find;
use crate::frame::tcp::options::{absolute, encode};
use crate::frame::tcp::{ACK, Bases, SYN, Segment, TcpOption, TcpSpec};
use crate::frame::{FieldSpec, FrameSpec, Layer, Value};
use std::collections::BTreeMap;

/// The window of an injected segment that does not say one.
const USUAL_WINDOW: u16 = 65_535;
/// The first sequence number of the first connection of the peer.
const FIRST_ISN: u32 = 0x1020_3040;
/// From there to that of the next: further than any window, and far from the end of the numbers.
const NEXT_ISN: u32 = 0x0100_0000;

/// One connection.
#[derive(Clone, Debug, Default)]
struct Flow {
    peer_port: Option<u16>,
    sut_port: Option<u16>,
    /// The peer's first sequence number, once it sent something.
    peer_isn: Option<u32>,
    /// That of the system under test, once it sent a SYN.
    sut_isn: Option<u32>,
    /// Values of its clock as cases call them, and as they were.
    clock: BTreeMap<u32, u32>,
    /// The first of them.
    clock_began: Option<(u32, u32)>,
}

/// All connections of a trial, in the order in which they were named; the last one is that of segments without ports.
#[derive(Debug, Default)]
pub struct Flows {
    flows: Vec<Flow>,
    last: usize,
    /// How many first sequence numbers were chosen for the peer.
    chosen: u32,
}

impl Flows {
    /// The flow between two ports, where there is one.
    fn find(&self, peer: Option<u16>, sut: Option<u16>) -> Option<usize> {
        let fits = |a: Option<u16>, b: Option<u16>| a.is_none() || b.is_none() || a == b;
        let found = |flow: &Flow| fits(flow.peer_port, peer) && fits(flow.sut_port, sut);
        self.flows.iter().rposition(found)
    }

    /// What an expected segment counts from. For a SYN that names its ports, whatever came.
    #[must_use]
    pub fn expected(&self, spec: &FrameSpec) -> FrameSpec {
        let Some(tcp) = &spec.tcp else { return spec.clone() };
        let (sut, peer) = tcp.ports.unwrap_or_default();
        let at = if tcp.ports.is_some() { self.find(peer, sut) } else { Some(self.last) };
        let begins = tcp.flags & SYN != 0 && tcp.ports.is_some();
        let bases = match at.and_then(|at| self.flows.get(at)) {
            None => Bases { ports: (sut, peer), seq: None, ack: 0 },
            Some(flow) => Bases {
                ports: (sut.or(flow.sut_port), peer.or(flow.peer_port)),
                seq: flow.sut_isn.filter(|_| !begins),
                ack: flow.peer_isn.unwrap_or(0),
            },
        };
        // A system under test that never sent a SYN has no first number: its resets are counted from 0.
        let seq = bases.seq.or((tcp.flags & SYN == 0).then_some(0));
        let tcp = TcpSpec { bases: Bases { seq, ..bases }, ..(**tcp).clone() };
        FrameSpec { tcp: Some(Box::new(tcp)), ..spec.clone() }
    }

    /// A step took a frame of the system under test: what it says of the flow is kept.
    pub fn took(&mut self, spec: &FrameSpec, d: &Decoded<'_>) {
        let (Some(tcp), Some(segment)) = (&spec.tcp, Segment::of(d)) else { return };
        let (sut, peer) = segment.ports;
        let at = match self.find(Some(peer), Some(sut)) {
            Some(at) => at,
            None => self.add(),
        };
        self.last = at;
        let flow = &mut self.flows[at];
        (flow.peer_port, flow.sut_port) = (Some(peer), Some(sut));
        if tcp.flags & SYN != 0 {
            let first = segment.seq.wrapping_sub(tcp.seq);
            if flow.sut_isn.is_some_and(|old| old != first) && tcp.flags & ACK == 0 {
                (flow.peer_isn, flow.clock_began) = (None, None);
                flow.clock.clear();
            }
            flow.sut_isn = Some(first);
        }
        let clock = |list: &[TcpOption]| {
            list.iter()
                .find_map(|o| if let TcpOption::Timestamps { val, .. } = o { Some(*val) } else { None })
        };
        if let (Some(named), Some(was)) = (tcp.options.as_deref().and_then(clock), clock(&segment.options)) {
            flow.clock.insert(named, was);
            flow.clock_began.get_or_insert((named, was));
        }
    }

    /// A recipe with the numbers of its flow in the place of relative ones, and what is usual where it says nothing.
    pub fn injected(&mut self, spec: &FrameSpec) -> FrameSpec {
        let Some(tcp) = &spec.tcp else { return spec.clone() };
        self.last = self.flow_of_the_peer(tcp);
        let isn = FIRST_ISN.wrapping_add(self.chosen.wrapping_mul(NEXT_ISN));
        let flow = &mut self.flows[self.last];
        if flow.peer_isn.is_none() {
            flow.peer_isn = Some(isn);
            self.chosen += 1;
        }
        let (peer_isn, sut_isn) = (flow.peer_isn.unwrap_or(isn), flow.sut_isn.unwrap_or(0));
        let usual = if tcp.flags & SYN == 0 { Vec::new() } else { usual_options() };
        let options = absolute(tcp.options.as_deref().unwrap_or(&usual), sut_isn);
        let options: Vec<_> = options.into_iter().map(|option| flow.echo(option)).collect();
        let numbers = [
            ("src_port", u64::from(flow.peer_port.unwrap_or(0))),
            ("dst_port", u64::from(flow.sut_port.unwrap_or(0))),
            ("seq", peer_isn.wrapping_add(tcp.seq).into()),
            ("ack", tcp.ack.map_or(0, |ack| sut_isn.wrapping_add(ack)).into()),
            ("flags", tcp.flags.into()),
            ("window", tcp.window.unwrap_or(USUAL_WINDOW).into()),
            ("urgent", tcp.urgent.unwrap_or(0).into()),
        ];
        let mut made = FrameSpec { tcp: None, ..spec.clone() };
        let mut put = |key, value| {
            if let (Some(field), None) = (find(Layer::Tcp, key), spec.value(Layer::Tcp, key)) {
                made.fields.push(FieldSpec { field, value, at: tcp.at.clone() });
            }
        };
        numbers.into_iter().for_each(|(key, number)| put(key, Value::Number(number)));
        put("options", Value::Bytes(encode(&options)));
        made.payload = Some(spec.payload.clone().unwrap_or_else(|| counting(tcp)));
        made
    }

    fn add(&mut self) -> usize {
        self.flows.push(Flow::default());
        self.flows.len() - 1
    }

    /// The flow that the peer sends in.
    fn flow_of_the_peer(&mut self, tcp: &TcpSpec) -> usize {
        let Some((peer, sut)) = tcp.ports else {
            return if self.flows.is_empty() { self.add() } else { self.last };
        };
        let at = match self.find(peer, sut) {
            Some(at) => at,
            None => self.add(),
        };
        if tcp.flags & (SYN | ACK) == SYN && self.flows[at].peer_isn.is_some() {
            self.flows[at] = Flow::default();
        }
        (self.flows[at].peer_port, self.flows[at].sut_port) = (peer, sut);
        at
    }

    /// What the numbers of a frame of the system under test count from, to judge a stretch of the last flow's stream: the ports
    /// of the system under test and the peer, and their first sequence numbers.
    #[must_use]
    pub fn last_bases(&self) -> Bases {
        let flow = self.flows.get(self.last).cloned().unwrap_or_default();
        let ports = (flow.sut_port, flow.peer_port);
        Bases { ports, seq: Some(flow.sut_isn.unwrap_or(0)), ack: flow.peer_isn.unwrap_or(0) }
    }
}

impl Flow {
    /// An echo of the clock of the system under test, as it was when the case gave it this value.
    fn echo(&self, option: TcpOption) -> TcpOption {
        let TcpOption::Timestamps { val, ecr } = option else { return option };
        let was = match (self.clock.get(&ecr), self.clock_began) {
            (Some(was), _) => *was,
            (None, Some((named, was))) if ecr != 0 => was.wrapping_add(ecr.wrapping_sub(named)),
            _ => ecr,
        };
        TcpOption::Timestamps { val, ecr: was }
    }
}

/// What a SYN of the peer usually offers.
fn usual_options() -> Vec<TcpOption> {
    vec![TcpOption::Mss(1460), TcpOption::SackOk, TcpOption::Nop, TcpOption::Wscale(7)]
}

/// Bytes that count on over the stream: that with the relative sequence number 1, the first of all, is 0.
fn counting(tcp: &TcpSpec) -> Payload {
    let syn = u32::from(tcp.flags & SYN != 0);
    let first = tcp.seq.wrapping_add(syn).wrapping_sub(1);
    let byte = |i: u32| first.wrapping_add(i).to_le_bytes()[0];
    Payload((0..tcp.length).map(byte).collect())
}

#[cfg(test)]
mod tests;
