//! From power on to the first step: the device probed, up and with carrier, and the address of the topology.

use super::apps::Apps;
use super::journal::Journal;
use super::ledger::Ledger;
use super::machine::{EmuBus, Machine};
use super::{CARRIER_BOUND, EmuRig};
use crate::case::model::{Fault as Wanted, topology};
use crate::rig::RigError;
use guest::agent::Agent;
use nic_emu::{Fault, Nic, Output, Which};
use stack_under_test::control;
use stack_under_test::dma::DmaMemory;
use stack_under_test::stack::{Config, Stack};
use stack_under_test::time::Instant;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::rc::Rc;

/// Where the device finds the stack's memory: above 4 GiB, so that a cut address shows.
const BUS_BASE: u64 = 0x1_2340_0000;
/// From this size on the allocator hands out fresh pages each time, and only those that are used cost anything. (Below,
/// glibc comes to reuse and clear memory: mallopt(3), `M_MMAP_THRESHOLD`.)
const FRESH_BYTES: usize = 33 << 20;
/// How long what the bring-up set off may take to come to rest.
pub(super) const CALM: u64 = 1_000_000;
/// Of ids, ports, hashes, and of the order of what is due at the same time.
const SEED: u64 = 0;

/// A rig at its first step, on a NIC that makes these faults. Times and counts of faults begin at the first step.
///
/// # Errors
/// When it does not come up, or a fault is not one that the NIC can make.
pub(super) fn rig(faults: &[Wanted]) -> Result<EmuRig, RigError> {
    let mut rig = boot(&Identity::default())?;
    let faults = faults.iter().map(planned).collect::<Result<Vec<_>, _>>()?;
    rig.machine.borrow_mut().nic.arm_faults(&faults);
    rig.ledger = Some(Ledger::default());
    rig.output.received = Some(Vec::new());
    Ok(rig)
}

/// Who a machine is, and what of it is settled at power on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The station address of its NIC.
    pub mac: [u8; 6],
    /// Its address, of a /24.
    pub ip: Ipv4Addr,
    /// Of ids, ports, hashes, and of the order of what is due at the same time.
    pub seed: u64,
    /// Its CPUs, 1 to 64.
    pub cpus: u8,
    /// Whether it delivers MSI-X messages; else one interrupt for all.
    pub msix: bool,
}

impl Default for Identity {
    /// The system under test, as every case has it.
    fn default() -> Self {
        Self {
            mac: topology::SUT_MAC,
            ip: topology::SUT_IP,
            seed: SEED,
            cpus: Config::default().cpus,
            msix: true,
        }
    }
}

/// A machine at its first step.
///
/// # Errors
/// When it does not come up.
pub(super) fn boot(host: &Identity) -> Result<EmuRig, RigError> {
    let nic = Nic::new(nic_emu::Config::new(host.mac, host.seed));
    let mut config = Config { seed: host.seed, cpus: host.cpus, ..Config::default() };
    config.igb.msix = host.msix;
    let mut memory = DmaMemory::zeroed(config.pool.bytes().max(FRESH_BYTES), BUS_BASE);
    let rings = memory.set_apart(config.pool.coherent_at());
    let rings = rings.ok_or_else(|| RigError::Broken("the memory of the rig is not its own".into()))?;
    let machine = Rc::new(RefCell::new(Machine::new(nic, rings)));
    let mut rig = EmuRig {
        stack: Stack::new(&config, memory, Box::new(EmuBus(Rc::clone(&machine)))),
        machine,
        agent: Agent::default(),
        apps: Apps::default(),
        journal: Journal::default(),
        ledger: None,
        events: VecDeque::new(),
        output: Output::default(),
        now: 0,
        origin: 0,
        at_once: 0,
    };
    rig.stack.start(Instant::ZERO);
    rig.wait_until("the device is probed", |rig| rig.stack.is_started() && rig.stack.is_settled())?;
    rig.configure(&["ip", "link", "set", "dev", "eth0", "up"])?;
    rig.wait_until("there is carrier", EmuRig::is_ready)?;
    let address = format!("{}/24", host.ip);
    rig.configure(&["ip", "addr", "add", &address, "dev", "eth0"])?;
    // The driver's first poll and the qdisc's first run belong to the bring-up, not to the first step.
    let calm = rig.now + CALM;
    while rig.tick(calm)? {}
    rig.events.clear();
    rig.origin = rig.now;
    rig.stack.trace_mut().take();
    rig.stack.trace_mut().set_on(true);
    rig.journal.begin(rig.origin);
    Ok(rig)
}

impl EmuRig {
    pub(super) fn wait_until(&mut self, what: &str, holds: fn(&Self) -> bool) -> Result<(), RigError> {
        let bound = self.now.saturating_add(CARRIER_BOUND);
        while !holds(self) {
            if !self.tick(bound)? {
                let seconds = CARRIER_BOUND / 1_000_000_000;
                return Err(RigError::Broken(format!("waited {seconds} s until {what}, in vain")));
            }
        }
        Ok(())
    }

    pub(super) fn configure(&mut self, words: &[&str]) -> Result<(), RigError> {
        let broken = |why: String| RigError::Broken(format!("`{}`: {why}", words.join(" ")));
        let command = control::parse(words).map_err(|error| broken(error.message))?;
        self.stack.control(Instant(self.now), &command).map_err(|refusal| broken(refusal.message))
    }
}

/// A fault of a case as the NIC takes it.
fn planned(wanted: &Wanted) -> Result<Fault, RigError> {
    let number = |name: &str| {
        let missing = || RigError::Broken(format!("fault {} needs `{name}`", wanted.kind));
        wanted.arguments.get(name).copied().ok_or_else(missing)
    };
    let small = |name: &str| Ok::<_, RigError>(u16::try_from(number(name)?).unwrap_or(u16::MAX));
    let which = || {
        Ok::<_, RigError>(match wanted.arguments.get("per_mille") {
            Some(_) => Which::Share { per_mille: small("per_mille")?, seed: number("seed").unwrap_or(0) },
            None => Which::Nth(u32::try_from(number("nth")?).unwrap_or(u32::MAX)),
        })
    };
    let queue = || small("queue");
    Ok(match wanted.kind.as_str() {
        "lost_interrupt" => Fault::LostInterrupt { vector: small("vector")?, which: which()? },
        "spurious_interrupt" => Fault::SpuriousInterrupt { vector: small("vector")?, at: number("at_ns")? },
        "late_write_back" => {
            Fault::LateWriteBack { queue: queue()?, which: which()?, by_ns: number("by_ns")? }
        }
        "lost_write_back" => Fault::LostWriteBack { queue: queue()?, which: which()? },
        "descriptor_fetch_error" => Fault::DescriptorFetchError { queue: queue()?, which: which()? },
        "refused_dma" => Fault::RefusedDma { queue: queue()?, which: which()? },
        "link_flap" => Fault::LinkFlap { at: number("at_ns")?, for_ns: number("for_ns")? },
        "corrupted_received_frame" => Fault::CorruptedReceivedFrame { which: which()? },
        "lost_received_frame" => Fault::LostReceivedFrame { which: which()? },
        "corrupted_sent_frame" => Fault::CorruptedSentFrame { which: which()? },
        "lost_sent_frame" => Fault::LostSentFrame { which: which()? },
        "removal" => Fault::Removal { at: number("at_ns")? },
        "slow_reset" => Fault::SlowReset { which: which()?, by_ns: number("by_ns")? },
        other => return Err(RigError::Broken(format!("the NIC cannot make the fault {other}"))),
    })
}
