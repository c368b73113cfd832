//! The table against what Linux does: states, requests, the queue of packets that wait, and ARP.

mod arp;
mod commands;
mod states;

use super::*;
use crate::dma::DmaMemory;
use crate::route::{Address, OifId};
use crate::skb::{PacketType, PoolConfig};
use crate::time::Duration;
use crate::trace::Step;
use crate::wire::arp::{Arp, Operation};
use crate::wire::ethernet::{BROADCAST, ETH_P_IP};
use crate::wire::ipv4::Ipv4;
use alloc::string::{String, ToString};

const OWN: Mac = [2, 0, 0, 0, 0, 1];
const PEER: Mac = [2, 0, 0, 0, 0, 2];
const OTHER: Mac = [2, 0, 0, 0, 0, 0xaa];
const OWN_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PEER_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A table with what it needs around it. Packets that are done are consumed, so that a lost one shows.
struct Bench {
    table: NeighTable,
    pool: SkbPool,
    trace: Trace,
    fib: crate::route::Fib,
    now: Instant,
    actions: Vec<Action>,
    /// How many packets were transmitted, failed and dropped.
    sent: usize,
    failed: usize,
    dropped: Vec<DropReason>,
}

impl Bench {
    fn new() -> Self {
        Self::with(NeighParms::default())
    }

    fn with(parms: NeighParms) -> Self {
        let config = PoolConfig { skbs: 512, heads: 512, pages: 1, coherent_bytes: 4096 };
        let mut fib = crate::route::Fib::new();
        fib.set_link_up(OifId::ETH0, true);
        fib.add_address(Address::new(OifId::ETH0, OWN_IP, 24)).expect("a fresh address");
        let mut bench = Self {
            table: NeighTable::new(parms, 0),
            pool: SkbPool::new(DmaMemory::zeroed(config.bytes(), 0x1000), &config),
            trace: Trace::default(),
            fib,
            now: Instant(5_000_000_000),
            actions: Vec::new(),
            sent: 0,
            failed: 0,
            dropped: Vec::new(),
        };
        bench.trace.set_on(true);
        bench
    }

    /// Calls the table, and gives what there is to do in words.
    fn call<R>(
        &mut self,
        f: impl FnOnce(&mut NeighTable, &mut NeighContext<'_>, &crate::route::Fib) -> R,
    ) -> (R, String) {
        let (pool, trace, actions) = (&mut self.pool, &mut self.trace, &mut self.actions);
        let mut cx = NeighContext { pool, trace, now: self.now, actions };
        let result = f(&mut self.table, &mut cx, &self.fib);
        (result, self.act())
    }

    fn act(&mut self) -> String {
        let mut words: Vec<String> = Vec::new();
        for action in core::mem::take(&mut self.actions) {
            words.push(match action {
                Action::Solicit { lladdr: None, .. } => "broadcast".to_string(),
                Action::Solicit { lladdr: Some(mac), .. } => alloc::format!("unicast {}", tail(mac)),
                Action::Reply { lladdr, target, saddr } => {
                    alloc::format!("reply {} {target} {saddr}", tail(lladdr))
                }
                Action::Transmit { skb, lladdr } => {
                    self.sent += 1;
                    self.pool.consume(&mut self.trace, skb);
                    alloc::format!("transmit {}", tail(lladdr))
                }
                Action::Error(skb) => {
                    self.failed += 1;
                    self.pool.drop(&mut self.trace, skb, DropReason::NeighFailed);
                    "error".to_string()
                }
                Action::Drop(skb, reason) => {
                    self.dropped.push(reason);
                    self.pool.drop(&mut self.trace, skb, reason);
                    reason.name().to_string()
                }
            });
        }
        words.join(", ")
    }

    /// A packet of 100 bytes of payload, as UDP makes it: 960 bytes of truesize on Linux 6.12.
    fn packet(&mut self) -> Skb {
        let skb = self.pool.alloc().expect("memory");
        let header = Ipv4::new(17, OWN_IP, PEER_IP, 108);
        header.write(self.pool.put(&skb, 128));
        let at = self.pool[&skb].data_offset();
        let packet = self.trace.made(b"payload", 100);
        let meta = &mut self.pool[&skb];
        (meta.network_header, meta.protocol, meta.truesize, meta.packet) = (at, ETH_P_IP, 960, packet);
        skb
    }

    /// Sends a packet to the peer, by the fast path if that is open.
    fn send(&mut self) -> String {
        match self.table.resolve(PEER_IP, self.now) {
            Some(mac) => alloc::format!("transmit {}", tail(*mac)),
            None => {
                let skb = self.packet();
                let (result, words) = self.call(|table, cx, _| table.resolve_output(cx, PEER_IP, skb));
                result.expect("room");
                words
            }
        }
    }

    fn arp(&mut self, arp: Arp, to: Mac) -> String {
        let mut bytes = [0; 28];
        arp.write(&mut bytes);
        let pkt_type = if to == OWN { PacketType::Host } else { PacketType::Broadcast };
        let (result, words) = self.call(|table, cx, fib| table.arp_rcv(cx, fib, &bytes, pkt_type));
        assert_eq!(result, Ok(()));
        words
    }

    fn reply(&mut self, sha: Mac) -> String {
        self.arp(Arp::reply(sha, PEER_IP, OWN, OWN_IP), OWN)
    }

    fn wait(&mut self, by: Duration) {
        self.now = self.now + by;
    }

    /// Lets time pass, timers included; gives what there was to do, with seconds since the start of the wait.
    fn run(&mut self, span: Duration) -> String {
        let (start, end) = (self.now, self.now + span);
        let mut words: Vec<String> = Vec::new();
        while let Some(at) = self.table.next_deadline().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            let ((), done) = self.call(|table, cx, _| table.timer(cx));
            if !done.is_empty() {
                words.push(alloc::format!("{:.1}: {done}", self.now.since(start).as_secs_f64()));
            }
        }
        self.now = end;
        words.join("; ")
    }

    fn set(&mut self, state: NudState) {
        let change = NeighChange { addr: PEER_IP, lladdr: Some(PEER), state };
        let (result, _) = self.call(|table, cx, _| table.add(cx, NeighVerb::Replace, &change));
        result.expect("a state with a station");
    }

    /// The peer's entry: the last byte of its station, and its state.
    fn entry(&self) -> String {
        match self.table.get(PEER_IP) {
            None => "-".to_string(),
            Some(n) => match n.lladdr() {
                Some(mac) => alloc::format!("{}:{}", tail(mac), n.state.name()),
                None => n.state.name().to_string(),
            },
        }
    }

    fn state(&self) -> Option<NudState> {
        self.table.get(PEER_IP).map(|n| n.state)
    }

    fn functions(&mut self) -> Vec<&'static str> {
        let events = self.trace.take();
        events
            .into_iter()
            .filter_map(|e| if let Step::Function(name) = e.step { Some(name) } else { None })
            .collect()
    }
}

fn tail(mac: Mac) -> String {
    if mac == BROADCAST { "ff".to_string() } else { alloc::format!("{:02x}", mac[5]) }
}

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
