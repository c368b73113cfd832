//! Both hosts and the wire, in one virtual time.

use super::plan::Plan;
use super::wire::Wire;
use crate::case::model::{Interrupts, topology};
use crate::frame::decode;
use crate::frame::summary::summary;
use crate::report::ladder::seconds;
use crate::rig::RigError;
use crate::rig::emu::{Host, Identity};
use std::collections::VecDeque;

/// How many frames are kept to be shown.
const LAST_FRAMES: usize = 60;
/// How often something may be due without time passing.
const AT_ONCE_MAX: u32 = 100_000;

/// Requests of ARP before a neighbour is given up.
const ARP_ATTEMPTS: u32 = 3;

/// Addresses of the hosts.
pub const HOSTS: [std::net::Ipv4Addr; 2] = [topology::SUT_IP, topology::PEER_IP];

/// Two hosts on a wire.
pub struct Network {
    /// The hosts.
    pub hosts: [Host; 2],
    wire: Wire,
    now: u64,
    at_once: u32,
    last: VecDeque<(u64, usize, Vec<u8>, &'static str)>,
}

impl Network {
    /// Hosts that are up, and nothing on the wire.
    ///
    /// # Errors
    /// When one does not come up, or refuses a command.
    pub fn new(plan: &Plan) -> Result<Self, RigError> {
        let macs = [topology::SUT_MAC, topology::PEER_MAC];
        let host = |nth: usize| {
            let seed = plan.seed.wrapping_mul(2) + nth as u64;
            let identity = Identity {
                mac: macs[nth],
                ip: HOSTS[nth],
                seed,
                cpus: plan.hosts[nth].cpus,
                interrupts: Interrupts::Msix,
            };
            Host::new(&identity, &plan.hosts[nth].commands)
        };
        let hosts = [host(0)?, host(1)?];
        let wire = Wire::new(&plan.wire, plan.seed);
        Ok(Self { hosts, wire, now: 0, at_once: 0, last: VecDeque::new() })
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Whether a host may have asked for the other's address until it gave up, because the wire lost each request or its answer
    /// (mcast_solicit of arp(7): three attempts).
    #[must_use]
    pub fn may_be_unreachable(&self) -> bool {
        self.wire.unheard_at_most() >= ARP_ATTEMPTS
    }

    /// A host at the present.
    ///
    /// # Errors
    /// When its device and driver keep each other busy.
    pub fn host(&mut self, nth: usize) -> Result<&mut Host, String> {
        self.hosts[nth].go_to(self.now).map_err(|error| error.to_string())?;
        Ok(&mut self.hosts[nth])
    }

    /// Does what is due next, no later than `limit`. `false`: it is `limit`, and nothing is due before it.
    ///
    /// # Errors
    /// When things keep each other busy without time passing, or a rule of memory was broken.
    pub fn step(&mut self, limit: u64) -> Result<bool, String> {
        let due = [self.hosts[0].next_due(), self.hosts[1].next_due()];
        let next = due.iter().flatten().copied().chain(self.wire.next_due()).min();
        let Some(next) = next.map(|at| at.max(self.now)).filter(|at| *at <= limit) else {
            self.now = self.now.max(limit);
            return Ok(false);
        };
        self.at_once = if next > self.now { 0 } else { self.at_once + 1 };
        if self.at_once > AT_ONCE_MAX {
            return Err(format!("something keeps being due at {next} ns"));
        }
        self.now = next;
        while let Some((to, frame)) = self.wire.arrival(next) {
            self.host(to)?.receive(&frame).map_err(|error| error.to_string())?;
        }
        for (nth, due) in due.into_iter().enumerate() {
            if due.is_some_and(|at| at <= next) {
                self.host(nth)?;
            }
            self.collect(nth);
        }
        Ok(true)
    }

    /// Takes what a host sent onto the wire.
    fn collect(&mut self, nth: usize) {
        while let Some((at, frame)) = self.hosts[nth].next_frame() {
            if self.last.len() == LAST_FRAMES {
                self.last.pop_front();
            }
            let kept = frame.clone();
            let fate = self.wire.send(at, nth, frame);
            self.last.push_back((at, nth, kept, fate));
        }
    }

    /// Lets time pass until nothing is left of TCP on either host.
    ///
    /// # Errors
    /// What is left at `limit`, or which rule of memory was broken.
    pub fn settle(&mut self, limit: u64) -> Result<(), String> {
        while !(self.wire.next_due().is_none() && self.hosts.iter().all(is_idle)) {
            if !self.step(limit)? {
                let left: Vec<_> = self.hosts.iter().map(|host| format!("{:?}", host.usage())).collect();
                return Err(format!("something is left: {}", left.join("; ")));
            }
        }
        for (nth, host) in self.hosts.iter_mut().enumerate() {
            if let Some(what) = host.violations().first() {
                return Err(format!("host {nth} broke a rule: {what}"));
            }
        }
        Ok(())
    }

    /// The last frames, a line each.
    #[must_use]
    pub fn last_frames(&self) -> Vec<String> {
        let line = |(at, from, bytes, fate): &(u64, usize, Vec<u8>, &'static str)| {
            let arrow = if *from == 0 { "0 → 1" } else { "0 ← 1" };
            format!("{:>16} {arrow} {}  {fate}", seconds(*at), summary(&decode(bytes))).trim_end().to_owned()
        };
        self.last.iter().map(line).collect()
    }
}

/// Whether a host holds nothing of TCP, and no packet.
fn is_idle(host: &Host) -> bool {
    host.usage() == stack_under_test::tcp::Usage::default()
}
