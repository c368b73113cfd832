//! Our stack on a real port, driven by hand.

use crate::{Port, Result, TDT};
use harness::case::model::topology;
use harness::rig::linux::lab::file::LabFile;
use harness::rig::vfio::lab::{Ends, VfioLab};
use stack_under_test::bus::{Bus, Direction};
use stack_under_test::control;
use stack_under_test::stack::{Config, Stack};
use stack_under_test::time::Instant as Time;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take until it has happened.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so long whatever was sent is completed, and no interrupt comes any more.
const CALM: Duration = Duration::from_millis(20);

/// A port that was taken from the kernel, and goes back with the value.
pub struct Nic {
    stack: Stack,
    ends: Option<Ends>,
    lab: VfioLab,
    doorbells: Arc<AtomicU64>,
    interrupts: u64,
    began: Instant,
}

impl Nic {
    /// The port of a lab, up.
    ///
    /// # Errors
    /// Why it is not.
    pub fn new(path: &Path) -> Result<Self> {
        let file = LabFile::read(path).map_err(|problems| problems.to_string())?;
        let lab = VfioLab::open(&file)?;
        let mut ends = lab.shared().take()?;
        ends.device.start()?;
        let mut config = Config::default();
        (config.igb.device, config.igb.mac, config.igb.msix) = (ends.id, Some(topology::SUT_MAC), true);
        let mut lease = ends.device.lease();
        lease.memory.zero(config.pool.coherent_at(), config.pool.coherent_bytes as usize);
        let doorbells = Arc::new(AtomicU64::new(0));
        let bus = Counting { bus: lease.bus, doorbells: Arc::clone(&doorbells) };
        let mut stack = Stack::new(&config, lease.memory, Box::new(bus));
        stack.trace_mut().set_on(false);
        let mut nic = Self { stack, ends: Some(ends), lab, doorbells, interrupts: 0, began: Instant::now() };
        let now = nic.now();
        nic.stack.start(now);
        nic.until(|nic| nic.stack.is_started() && nic.stack.is_settled())?;
        nic.command("ip link set dev eth0 up")?;
        nic.until(|nic| nic.stack.is_settled() && nic.stack.carrier())?;
        nic.command(&format!("ip addr add {}/24 dev eth0", topology::SUT_IP))?;
        // QEMU's igb would make fragments of it.
        nic.command("ethtool -K eth0 tx-udp-segmentation off")?;
        Ok(nic)
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Interrupts that came, and what is due.
    fn serve(&mut self) -> Result<()> {
        let ends = self.ends.as_mut().ok_or("the port was given back")?;
        for vector in 0..ends.device.vectors().count() {
            if ends.device.take_interrupt(vector) {
                self.interrupts += 1;
                let now = Time(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX));
                self.stack.interrupt(now, vector as u16);
            }
        }
        let now = self.now();
        if self.stack.next_deadline().is_some_and(|at| at <= now) {
            self.stack.run_timers(now);
        }
        Ok(())
    }

    fn until(&mut self, holds: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            if Instant::now() > deadline {
                return Err("the port did not come up in 10 s".to_owned());
            }
            self.serve()?;
        }
        Ok(())
    }
}

impl Port for Nic {
    fn stack(&mut self) -> (&mut Stack, Time) {
        let now = self.now();
        (&mut self.stack, now)
    }

    fn command(&mut self, line: &str) -> Result<()> {
        let words: Vec<_> = line.split(' ').collect();
        let command = control::parse(&words).map_err(|error| format!("`{line}`: {}", error.message))?;
        let now = self.now();
        self.stack.control(now, &command).map_err(|refusal| format!("`{line}`: {}", refusal.message))
    }

    fn rest(&mut self) -> Result<()> {
        let rest = Instant::now() + CALM;
        while Instant::now() < rest {
            self.serve()?;
        }
        Ok(())
    }

    fn doorbells(&self) -> u64 {
        self.doorbells.load(Ordering::Relaxed)
    }

    fn interrupts(&self) -> u64 {
        self.interrupts
    }
}

impl Drop for Nic {
    fn drop(&mut self) {
        if let Some(ends) = self.ends.take() {
            let _ = ends.device.stop();
            self.lab.shared().give_back(ends);
        }
    }
}

/// A bus that counts doorbells.
#[derive(Debug)]
struct Counting<B> {
    bus: B,
    doorbells: Arc<AtomicU64>,
}

impl<B: Bus> Bus for Counting<B> {
    fn read32(&mut self, offset: u32) -> u32 {
        self.bus.read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        if offset == TDT {
            self.doorbells.fetch_add(1, Ordering::Relaxed);
        }
        self.bus.write32(offset, value);
    }

    fn dma_map(&mut self, addr: u64, len: u32, direction: Direction) {
        self.bus.dma_map(addr, len, direction);
    }

    fn dma_unmap(&mut self, addr: u64, len: u32) {
        self.bus.dma_unmap(addr, len);
    }
}
