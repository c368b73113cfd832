//! Two stacks and what lies between them, in virtual time: packets are taken where they would go to the neighbour.

use super::support::bare_stack;
use crate::entropy::Entropy;
use crate::netdev::features::Features;
use crate::route::{Address, OifId};
use crate::skb::PoolConfig;
use crate::stack::Stack;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// The two hosts' addresses.
pub(crate) const HOSTS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];

/// What the wire does to packets, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) loss: u32,
    pub(crate) duplicate: u32,
    pub(crate) reorder: u32,
    pub(crate) corrupt: u32,
}

/// Both ends and the wire.
pub(crate) struct Link {
    pub(crate) ends: [Stack; 2],
    pub(crate) now: Instant,
    pub(crate) delay: Duration,
    pub(crate) faults: Faults,
    entropy: Entropy,
    /// When it arrives, a number to keep the order, to whom, and the packet from its IP header on.
    flying: Vec<(Instant, u64, usize, Vec<u8>)>,
    sent: u64,
    /// All packets that were sent, by whom.
    pub(crate) log: Vec<(Instant, usize, Vec<u8>)>,
}

fn host(seed: u64, nth: usize) -> Stack {
    let pool = PoolConfig { skbs: 2048, heads: 2048, pages: 1024, coherent_bytes: 4096 };
    let mut stack = bare_stack(seed * 2 + nth as u64, pool);
    stack.dev.up = true;
    stack.fib.set_link_up(OifId::ETH0, true);
    stack.fib.add_address(Address::new(OifId::ETH0, HOSTS[nth], 24)).expect("a first address");
    stack.test_wire = Some(Vec::new());
    stack
}

impl Link {
    pub(crate) fn new(seed: u64, faults: Faults, delay: Duration) -> Self {
        Self {
            ends: [host(seed, 0), host(seed, 1)],
            now: Instant::ZERO + Duration::from_secs(1),
            delay,
            faults,
            entropy: Entropy::new(seed ^ 0xfeed),
            flying: Vec::new(),
            sent: 0,
            log: Vec::new(),
        }
    }

    fn chance(&mut self, thousandths: u32) -> bool {
        thousandths > 0 && self.entropy.below(1000) < thousandths
    }

    /// Takes what both ends sent onto the wire.
    pub(crate) fn collect(&mut self) {
        for from in 0..2 {
            let packets = self.ends[from].test_wire.as_mut().map(core::mem::take).unwrap_or_default();
            for mut packet in packets {
                self.log.push((self.now, from, packet.clone()));
                if self.chance(self.faults.loss) {
                    continue;
                }
                if self.chance(self.faults.corrupt) {
                    let at = self.entropy.below(packet.len() as u32) as usize;
                    packet[at] ^= 1 << self.entropy.below(8);
                }
                let copies = if self.chance(self.faults.duplicate) { 2 } else { 1 };
                for _ in 0..copies {
                    let late = if self.chance(self.faults.reorder) {
                        self.delay * self.entropy.below(4)
                    } else {
                        Duration::ZERO
                    };
                    self.sent += 1;
                    self.flying.push((self.now + self.delay + late, self.sent, 1 - from, packet.clone()));
                }
            }
        }
    }

    /// Goes on to the next thing that happens, no later than `end`. `false` when nothing does until then.
    pub(crate) fn step(&mut self, end: Instant) -> bool {
        self.collect();
        let arrival = self.flying.iter().map(|(at, nth, ..)| (*at, *nth)).min();
        let timers = [self.ends[0].next_deadline(), self.ends[1].next_deadline()];
        let due = timers.iter().flatten().min().copied();
        let Some(next) = crate::time::earliest(arrival.map(|(at, _)| at), due).filter(|at| *at <= end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        if let Some((at, nth)) = arrival
            && at <= self.now
            && let Some(which) = self.flying.iter().position(|(_, n, ..)| *n == nth)
        {
            let (_, _, to, packet) = self.flying.swap_remove(which);
            self.ends[to].test_packet(self.now, &packet);
        } else {
            for end in &mut self.ends {
                end.run_timers(self.now);
            }
        }
        self.collect();
        true
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }
}

impl Stack {
    /// A packet leaves: its bytes, cut and with the checksum that the device would fill in, go to the wire.
    pub(crate) fn test_transmit(&mut self, skb: crate::skb::Skb) {
        if self.skbs[&skb].gso_size == 0 {
            return self.test_segment(skb);
        }
        self.push_eth_header(&skb, &[2; 6], crate::wire::ethernet::ETH_P_IP);
        let can = Features::SG.with(Features::HW_CSUM);
        let mut segments = self.skb_gso_segment(skb, can).expect("there is memory");
        while let Some(segment) = segments.pop_front(&mut self.skbs) {
            self.skbs.pull(&segment, crate::wire::ethernet::HEADER_BYTES);
            self.test_segment(segment);
        }
    }

    fn test_segment(&mut self, skb: crate::skb::Skb) {
        let mut bytes = Vec::new();
        self.skbs.for_each_run(&skb, 0, &mut |run| bytes.extend_from_slice(run));
        let meta = &self.skbs[&skb];
        if meta.ip_summed == crate::skb::IpSummed::Partial {
            let start = usize::from(meta.csum_start - meta.network_header);
            let at = start + usize::from(meta.csum_offset);
            let sum = crate::wire::checksum::checksum(&bytes[start..]);
            bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        self.skbs.consume(&mut self.trace, skb);
        if let Some(wire) = &mut self.test_wire {
            wire.push(bytes);
        }
    }

    /// A packet arrives, from its IP header on.
    pub(crate) fn test_packet(&mut self, now: Instant, packet: &[u8]) {
        self.advance_clock(now);
        let Some(head) = self.skbs.alloc_head() else { return };
        let at = self.skbs.buf_offset(head);
        self.skbs.mem.bytes_mut(at, packet.len()).copy_from_slice(packet);
        let Ok(skb) = self.skbs.build_skb(head, 0, packet.len()) else { return self.skbs.put_buf(head) };
        self.skbs[&skb].network_header = 0;
        self.ip_rcv(skb);
        self.do_softirq();
        self.settle();
    }
}
