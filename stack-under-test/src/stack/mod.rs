//! The whole stack: its parts, and how it is driven from outside.
//!
//! Four kinds of methods. *System calls* (`socket_udp`, `sendto`, …) are made on a CPU, at a time, and never block: EAGAIN
//! says that the call is to be repeated when [`Stack::take_woken`] names the socket. *Input* is [`Stack::interrupt`] for a
//! message of the device and [`Stack::run_timers`] when [`Stack::next_deadline`] is reached. *Commands* change
//! configuration ([`Stack::control`]). *Readings* are what an administrator could read. After any of them, ask for the next
//! deadline again.

pub mod control;
pub mod drive;
pub mod ethtool;
mod ethtool_registers;
pub mod neighbour;
pub mod readings;
pub mod routing;
pub mod sysctl;
pub mod sysfs;
#[cfg(test)]
mod tests;
pub mod vlan;

use crate::bus::Bus;
use crate::dma::DmaMemory;
use crate::drivers::igb;
use crate::entropy::Entropy;
use crate::ip::ident::Identifications;
use crate::ip::pmtu::PathMtus;
use crate::ip::rate_limit::IcmpRateLimit;
use crate::ip::reassembly::Reassembly;
use crate::mib::Mib;
use crate::neigh::{NeighParms, NeighTable};
use crate::netdev::Interface;
use crate::netdev::softirq::SoftirqState;
use crate::netfilter::Netfilter;
use crate::route::Fib;
use crate::skb::{PoolConfig, SkbPool, SkbQueue};
use crate::socket::SocketTable;
use crate::sysctl::Sysctl;
use crate::time::Instant;
use crate::trace::Trace;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// What is settled before the stack starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of identifications, ports, hashes and the neighbours' times.
    pub seed: u64,
    /// How many CPUs there are, 1 to 64.
    pub cpus: u8,
    /// Packets and buffers.
    pub pool: PoolConfig,
    /// The driver.
    pub igb: igb::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self { seed: 0, cpus: 4, pool: PoolConfig::default(), igb: igb::Config::default() }
    }
}

/// One CPU's softirqs and polls: `softnet_data`.
#[derive(Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) softirq: SoftirqState,
    /// The NAPIs that are to be polled, in this order.
    pub(crate) poll_list: Vec<u16>,
    pub(crate) time_squeeze: u64,
}

impl Cpu {
    /// Takes the NAPI that is to be polled next.
    #[inline]
    pub(crate) fn take_napi(&mut self) -> Option<u16> {
        match self.poll_list.len() {
            0 | 1 => self.poll_list.pop(),
            _ => Some(self.poll_list.remove(0)),
        }
    }
}

/// The length of a tick: HZ is 250, as Debian's kernels have it.
pub(crate) const TICK_NS: u64 = 4_000_000;

/// A host with one network device, and VLAN devices above it.
pub struct Stack {
    pub(crate) now: Instant,
    /// Ticks of [`TICK_NS`] since the start.
    pub(crate) jiffies: u64,
    /// A softirq was raised on the CPU that runs, since it last looked.
    pub(crate) softirq_raised: bool,
    pub(crate) cpu: u8,
    /// Where calls are made that do not say on which CPU.
    pub(crate) process_cpu: u8,
    pub(crate) cpus: Vec<Cpu>,
    pub(crate) skbs: SkbPool,
    pub(crate) trace: Trace,
    pub(crate) mib: Mib,
    pub(crate) entropy: Entropy,
    pub(crate) ident: Identifications,
    pub(crate) sysctl: Sysctl,
    pub(crate) sockets: SocketTable,
    pub(crate) tcp: crate::tcp::Tcp,
    pub(crate) fib: Fib,
    /// What routing said last.
    pub(crate) routes: crate::route::remembered::Remembered,
    pub(crate) path_mtus: PathMtus,
    pub(crate) netfilter: Netfilter,
    pub(crate) neigh: NeighTable,
    pub(crate) neigh_actions: Vec<crate::neigh::Action>,
    pub(crate) reassembly: Reassembly,
    pub(crate) icmp_limit: IcmpRateLimit,
    pub(crate) backlog: SkbQueue,
    pub(crate) mcast_slots: Vec<u32>,
    pub(crate) dev: Interface,
    /// The VLAN devices above it, in the order in which they were made.
    pub(crate) vlans: Vec<crate::netdev::vlan::VlanDevice>,
    /// What the running poll merges.
    pub(crate) gro: crate::netdev::gro::Gro,
    /// How many commands were given: each may change what was remembered.
    pub(crate) commands: u64,
    /// What the tool prints of the last command that it did.
    pub(crate) tool_output: String,
    pub(crate) bus: Box<dyn Bus>,
    /// Where the tests of TCP take packets instead of the neighbour table.
    #[cfg(test)]
    pub(crate) test_wire: Option<Vec<Vec<u8>>>,
}

impl Stack {
    /// A stack that has done nothing yet; [`Stack::start`] brings the device up.
    ///
    /// # Panics
    /// If `memory` is smaller than the pool's configuration asks for, or the number of CPUs is 0 or more than 64.
    #[must_use]
    pub fn new(config: &Config, memory: DmaMemory, bus: Box<dyn Bus>) -> Self {
        assert!((1..=64).contains(&config.cpus), "1 to 64 CPUs");
        let mut entropy = Entropy::new(config.seed);
        let ident = Identifications::new(&mut entropy);
        let driver = igb::Igb::new(config.igb);
        let mut cpus = Vec::new();
        cpus.resize_with(usize::from(config.cpus), Cpu::default);
        // Of its own, so that the sequence of the others does not depend on it.
        let hash_key = Entropy::new(config.seed ^ 0x666c_6f77_2068_6173).next_u64();
        Self {
            now: Instant::ZERO,
            jiffies: 0,
            softirq_raised: false,
            cpu: 0,
            process_cpu: 0,
            cpus,
            skbs: SkbPool::new(memory, &config.pool),
            trace: Trace::default(),
            mib: Mib::default(),
            neigh: NeighTable::new(NeighParms::default(), entropy.next_u64()),
            tcp: crate::tcp::Tcp::new(&mut Entropy::new(config.seed ^ 0x7463_7020_7365_6564)),
            entropy,
            ident,
            sysctl: Sysctl::default(),
            sockets: SocketTable::default(),
            fib: Fib::new(),
            routes: Default::default(),
            path_mtus: PathMtus::default(),
            netfilter: Netfilter::default(),
            neigh_actions: Vec::new(),
            reassembly: Reassembly::default(),
            icmp_limit: IcmpRateLimit::default(),
            backlog: SkbQueue::default(),
            mcast_slots: Vec::new(),
            dev: Interface::new(driver, hash_key),
            vlans: Vec::new(),
            gro: crate::netdev::gro::Gro::default(),
            commands: 0,
            tool_output: String::new(),
            bus,
            #[cfg(test)]
            test_wire: None,
        }
    }

    /// The memory that the device can reach: an emulator in the same process reads and writes it here.
    pub fn memory(&mut self) -> &mut DmaMemory {
        &mut self.skbs.mem
    }

    /// The journal: switch it on, take events out.
    pub fn trace_mut(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// The index of a device by its name.
    pub(crate) fn device_index(&self, name: &str) -> Option<u32> {
        self.fib.link_by_name(name).map(|oif| oif.0)
    }
}
