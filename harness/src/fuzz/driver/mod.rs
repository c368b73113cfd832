//! The stack's driver over a device that lies, while applications call, commands come, and time passes.
//!
//! It must not panic, hang, lend or take back wrongly, or announce memory that is not lent; and when the device is gone or
//! the interface is down, nothing of it is left.

mod calls;
mod device;
mod lies;
mod operations;

use super::emulator::faults::partner;
use super::features::Features;
use super::record::{Record, read_all};
use crate::case::model::topology;
use device::{Device, LyingBus};
use nic_emu::{Nic, Output};
use stack_under_test::control;
use stack_under_test::dma::DmaMemory;
use stack_under_test::drivers::igb;
use stack_under_test::skb::pool::PoolConfig;
use stack_under_test::socket::Fd;
use stack_under_test::stack::{Config, Stack};
use stack_under_test::time::Instant;
use stack_under_test::trace::Step;
use std::cell::RefCell;
use std::rc::Rc;

pub use operations::KINDS;

/// Where the device finds the stack's memory: above 4 GiB, so that a cut address shows.
const BUS_BASE: u64 = 0x1_2340_0000;
/// Moments in which something happens, for one input: what is left then is not done.
const MOMENTS_MAX: u32 = 20_000;
/// Moments that the end may take.
const END_MAX: u32 = 400_000;
/// So often something may be due without time passing.
const AT_ONCE_MAX: u32 = 2_000;
/// How long it may take until nothing is under way any more, in virtual nanoseconds: a reset that the device delays as long
/// as it can, then the bring-up.
const SETTLES: u64 = 60_000_000_000;
/// How long packets that were sent may still lie somewhere: neighbours, fragments, connections that nobody answers.
const GONE_AFTER: u64 = 3_600_000_000_000;
/// What the bring-up takes with a device that tells the truth.
const BRING_UP: u64 = 3_000_000_000;

/// The stack, the device, and what was seen.
struct Scene {
    stack: Stack,
    device: Rc<RefCell<Device>>,
    out: Output,
    now: u64,
    at_once: u32,
    moments: u32,
    /// Sockets that are open, and which of them are TCP's.
    sockets: Vec<(Fd, bool)>,
    features: Features,
    last: &'static str,
}

/// Does what an input says.
///
/// # Errors
/// What did not hold.
pub fn run(input: &[u8]) -> Result<Features, String> {
    let records = read_all(input);
    let first = records.first().copied().unwrap_or_default();
    let mut scene = Scene::new(first)?;
    scene.boot(first)?;
    for record in &records {
        if scene.moments >= MOMENTS_MAX {
            break;
        }
        scene.does(*record)?;
        scene.look()?;
    }
    scene.end(first.y)?;
    Ok(scene.features)
}

impl Scene {
    fn new(first: Record) -> Result<Self, String> {
        let mut settings = nic_emu::Config::new(topology::SUT_MAC, first.x.into());
        settings.autoneg_ns = 1_000_000;
        settings.partner = partner(first);
        let config = Config {
            seed: first.x.into(),
            cpus: 2,
            pool: PoolConfig { skbs: 1024, heads: 1024, pages: 128, coherent_bytes: 128 << 10 },
            igb: igb::Config {
                queue_pairs: u16::from(first.a % 3),
                rx_ring: 64,
                tx_ring: 64,
                msix: first.a & 0x40 == 0,
                ..igb::Config::default()
            },
        };
        let mut memory = DmaMemory::zeroed(config.pool.bytes(), BUS_BASE);
        let rings = memory.set_apart(config.pool.coherent_at()).ok_or("the memory is not its own")?;
        let device = Rc::new(RefCell::new(Device::new(Nic::new(settings), rings)));
        let mut stack = Stack::new(&config, memory, Box::new(LyingBus(Rc::clone(&device))));
        stack.trace_mut().set_on(true);
        Ok(Self {
            stack,
            device,
            out: Output::default(),
            now: 0,
            at_once: 0,
            moments: 0,
            sockets: Vec::new(),
            features: Features::default(),
            last: "",
        })
    }

    /// Up and with carrier, unless the input wants to lie from the start.
    fn boot(&mut self, first: Record) -> Result<(), String> {
        let now = self.called();
        self.stack.start(now);
        if first.y & 8 != 0 {
            return Ok(());
        }
        self.pass(1_000_000_000)?;
        for command in [
            "ip link set dev eth0 up",
            "ip addr add 192.0.2.1/24 dev eth0",
            "ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent",
        ] {
            self.command(command);
        }
        self.pass(BRING_UP)?;
        let can_link = partner(first).gigabit || partner(first).modes != 0;
        if !self.stack.carrier() && can_link {
            return Err("no carrier with a device that tells the truth".to_owned());
        }
        self.open_sockets();
        self.moments = 0;
        Ok(())
    }

    /// The stack is about to be called; the present.
    fn called(&mut self) -> Instant {
        self.device.borrow_mut().begins();
        Instant(self.now)
    }

    /// What an administrator types. What is not understood, or refused, changes nothing.
    fn command(&mut self, text: &str) {
        let words: Vec<&str> = text.split(' ').collect();
        let Ok(command) = control::parse(&words) else { return };
        let now = self.called();
        let done = self.stack.control(now, &command).is_ok();
        self.features.note(format_args!("{text} {done}"));
    }

    /// Time passes, one moment after the other.
    fn pass(&mut self, time: u64) -> Result<(), String> {
        let until = self.now.saturating_add(time);
        loop {
            let due = self.next_due().map(|at| at.max(self.now)).filter(|at| *at <= until);
            let Some(at) = due else {
                self.now = until;
                return self.moment();
            };
            self.at_once = if at > self.now { 0 } else { self.at_once + 1 };
            if self.at_once > AT_ONCE_MAX {
                return Err("something is due again and again without time passing".to_owned());
            }
            self.now = at;
            self.moments += 1;
            if self.moments > MOMENTS_MAX {
                return Ok(());
            }
            self.moment()?;
        }
    }

    fn next_due(&mut self) -> Option<u64> {
        let stack = self.stack.next_deadline().map(|at| at.0);
        let device = self.device.borrow();
        let nic = device.nic.next_event().filter(|_| !device.gone && !device.frozen);
        [stack, nic].into_iter().flatten().min()
    }

    /// Everything that is due now: the device first, then its interrupts, then timers.
    fn moment(&mut self) -> Result<(), String> {
        let mut out = std::mem::take(&mut self.out);
        self.device.borrow_mut().step(self.now, self.stack.memory(), &mut out);
        out.frames.clear();
        out.dropped.clear();
        for message in out.interrupts.drain(..) {
            let now = self.called();
            self.stack.interrupt(now, message.vector);
        }
        self.out = out;
        let now = self.called();
        if self.stack.next_deadline().is_some_and(|at| at <= now) {
            self.stack.run_timers(now);
        }
        self.look()
    }

    /// Whether no rule was broken; and what was seen.
    fn look(&mut self) -> Result<(), String> {
        for event in self.stack.trace_mut().take() {
            match event.step {
                Step::Function(name) => {
                    self.features.note(format_args!("{} {name}", self.last));
                    self.last = name;
                }
                Step::Dropped(reason) => self.features.note(format_args!("{reason:?}")),
                Step::Refused(errno) => self.features.note(format_args!("{errno:?}")),
                _ => {}
            }
        }
        let mut device = self.device.borrow_mut();
        for (writes, register) in std::mem::take(&mut device.touched) {
            self.features.note(format_args!("{} {writes} {register:x}", self.last));
        }
        device.nic.take_observations();
        match device.violation() {
            Some(what) => Err(what.clone()),
            None => Ok(()),
        }
    }

    /// The device goes or the interface is taken down, and all sockets are closed: nothing may be left.
    fn end(&mut self, how: u32) -> Result<(), String> {
        self.note_counters();
        {
            let mut device = self.device.borrow_mut();
            device.frozen = how & 0x10 != 0;
            if how & 0x20 != 0 {
                device.lies.clear();
            }
            if how & 0x40 != 0 {
                device.gone = true;
            }
        }
        if how & 0x40 == 0 || how & 0x80 != 0 {
            self.command("ip link set dev eth0 down");
        }
        self.close_sockets();
        self.passes_at_the_end(SETTLES)?;
        if !self.stack.is_settled() {
            return Err(format!("the driver is under way for {} s", SETTLES / 1_000_000_000));
        }
        self.command("ip link set dev eth0 down");
        let limit = self.now + GONE_AFTER;
        while self.stack.skbs_in_flight() > 0 && self.now < limit {
            self.passes_at_the_end(GONE_AFTER / 60)?;
        }
        self.passes_at_the_end(SETTLES)?;
        let usage = self.stack.usage();
        if usage.skbs + usage.heads + usage.pages > 0 {
            return Err(format!("packets or buffers are left: {usage:?}"));
        }
        if !self.device.borrow().has_nothing() {
            return Err("memory is still lent, of an interface that is down".to_owned());
        }
        Ok(())
    }

    fn passes_at_the_end(&mut self, time: u64) -> Result<(), String> {
        let until = self.now.saturating_add(time);
        for _ in 0..END_MAX / MOMENTS_MAX {
            self.moments = 0;
            self.pass(until.saturating_sub(self.now))?;
            if self.now >= until {
                return Ok(());
            }
        }
        Err(format!("more than {END_MAX} things happen in {} s, at the end", time / 1_000_000_000))
    }

    fn note_counters(&mut self) {
        let now = self.called();
        for (name, value) in self.stack.ethtool_stats(now) {
            self.features.note_amount(&name, value);
        }
        for (name, value) in self.stack.snmp() {
            self.features.note_amount(&name, value);
        }
    }
}
