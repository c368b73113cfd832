//! What a sent datagram costs around the stack, on a real port through VFIO: system calls, doorbells and interrupts. `ci/bench nic` runs
//! it in a guest.
//!
//! ```text
//! sudo target/release/examples/nic_bench lab.yaml
//! ```
//!
//! System calls are counted by the kernel (tracefs), between the first call of a burst and its last; the harness's own, which reads
//! interrupts and switches the count on and off, are outside. Exits 1 when a limit is exceeded, 2 when it cannot be measured.

use harness::case::model::topology;
use harness::rig::linux::lab::file::LabFile;
use harness::rig::vfio::lab::{Ends, VfioLab};
use stack_under_test::bus::{Bus, Direction};
use stack_under_test::control;
use stack_under_test::socket::{Fd, SocketOption};
use stack_under_test::stack::{Config, Stack};
use stack_under_test::time::Instant as Time;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const TRACEFS: &str = "/sys/kernel/tracing";
/// Datagrams that follow one another, and how many bursts are counted.
const BURST: u64 = 32;
const BURSTS: u64 = 64;
/// The doorbell of the first transmit queue of an 82576 (TDT).
const TDT: u32 = 0xE018;
/// How long anything may take until it has happened.
const PATIENCE: Duration = Duration::from_secs(10);

type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: nic_bench LAB");
        return ExitCode::from(2);
    };
    match measure(Path::new(&path)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            eprintln!("nic_bench: {why}");
            ExitCode::from(2)
        }
    }
}

/// Counts, prints, and says whether no limit is exceeded.
fn measure(path: &Path) -> Result<bool> {
    let file = LabFile::read(path).map_err(|problems| problems.to_string())?;
    let lab = VfioLab::open(&file)?;
    let mut nic = Nic::up(lab.shared().take()?)?;
    let to = SocketAddrV4::new(topology::PEER_IP, 9);
    let fd = nic.stack.socket_udp().map_err(|e| e.name().to_owned())?;
    // What is made once is made.
    for _ in 0..4 {
        nic.send(fd, to, &[0; 64])?;
        nic.clean()?;
    }
    let small = nic.bursts(|nic| (0..BURST).try_for_each(|_| nic.send(fd, to, &[0; 64])))?;
    nic.stack.setsockopt(fd, SocketOption::UdpSegment, 1400).map_err(|e| e.name().to_owned())?;
    let large = nic.bursts(|nic| nic.send(fd, to, &[0; 1400 * BURST as usize]))?;
    println!(
        "{:<34} {:>12} {:>9} {:>11}",
        "bursts of 32 datagrams", "syscalls/pkt", "doorbells", "interrupts/pkt"
    );
    println!("{:<34} {:>12} {:>9} {:>11}", "", "limit 0", "a burst", "");
    for (name, counts) in [("a call each", &small), ("one call, cut by the stack (GSO)", &large)] {
        println!(
            "{name:<34} {:>12.4} {:>9.1} {:>11.3}",
            counts.calls as f64 / counts.packets as f64,
            counts.doorbells as f64 / BURSTS as f64,
            counts.interrupts as f64 / counts.packets as f64,
        );
    }
    nic.ends.device.stop()?;
    lab.shared().give_back(nic.ends);
    Ok(small.calls == 0 && large.calls == 0)
}

#[derive(Debug, Default)]
struct Counts {
    packets: u64,
    calls: u64,
    doorbells: u64,
    interrupts: u64,
}

/// A stack on the port, driven by hand.
struct Nic {
    stack: Stack,
    ends: Ends,
    doorbells: Arc<AtomicU64>,
    interrupts: u64,
    began: Instant,
}

impl Nic {
    fn up(mut ends: Ends) -> Result<Self> {
        ends.device.start()?;
        let mut config = Config::default();
        (config.igb.device, config.igb.mac, config.igb.msix) = (ends.id, Some(topology::SUT_MAC), true);
        let mut lease = ends.device.lease();
        lease.memory.zero(config.pool.coherent_at(), config.pool.coherent_bytes as usize);
        let doorbells = Arc::new(AtomicU64::new(0));
        let bus = Counting { bus: lease.bus, doorbells: Arc::clone(&doorbells) };
        let mut stack = Stack::new(&config, lease.memory, Box::new(bus));
        stack.trace_mut().set_on(false);
        let mut nic = Self { stack, ends, doorbells, interrupts: 0, began: Instant::now() };
        let now = nic.now();
        nic.stack.start(now);
        nic.until(|nic| nic.stack.is_started() && nic.stack.is_settled())?;
        nic.command("ip link set dev eth0 up")?;
        nic.until(|nic| nic.stack.is_settled() && nic.stack.carrier())?;
        nic.command(&format!("ip addr add {}/24 dev eth0", topology::SUT_IP))?;
        let (ip, mac) = (topology::PEER_IP, "02:00:00:00:00:02");
        nic.command(&format!("ip neigh replace {ip} lladdr {mac} dev eth0 nud permanent"))?;
        // QEMU's igb would make fragments of it.
        nic.command("ethtool -K eth0 tx-udp-segmentation off")?;
        Ok(nic)
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn command(&mut self, line: &str) -> Result<()> {
        let words: Vec<_> = line.split(' ').collect();
        let command = control::parse(&words).map_err(|error| format!("`{line}`: {}", error.message))?;
        let now = self.now();
        self.stack.control(now, &command).map_err(|refusal| format!("`{line}`: {}", refusal.message))
    }

    fn send(&mut self, fd: Fd, to: SocketAddrV4, payload: &[u8]) -> Result<()> {
        let now = self.now();
        let sent = self.stack.sendto(now, 0, fd, payload, Some(to), Default::default());
        sent.map(drop).map_err(|error| format!("sendto: {}", error.name()))
    }

    /// Interrupts that came, and what is due.
    fn serve(&mut self) {
        for vector in 0..self.ends.device.vectors().count() {
            if self.ends.device.take_interrupt(vector) {
                self.interrupts += 1;
                let now = self.now();
                self.stack.interrupt(now, vector as u16);
            }
        }
        let now = self.now();
        if self.stack.next_deadline().is_some_and(|at| at <= now) {
            self.stack.run_timers(now);
        }
    }

    fn until(&mut self, holds: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            if Instant::now() > deadline {
                return Err("the port did not come up in 10 s".to_owned());
            }
            self.serve();
        }
        Ok(())
    }

    /// Whatever was sent is completed, and no interrupt comes any more.
    fn clean(&mut self) -> Result<()> {
        let rest = Instant::now() + Duration::from_millis(20);
        while Instant::now() < rest {
            self.serve();
        }
        Ok(())
    }

    /// Counts over bursts, each of which is completed before the next one.
    fn bursts(&mut self, burst: impl Fn(&mut Self) -> Result<()>) -> Result<Counts> {
        let (doorbells, interrupts) = (self.doorbells.load(Ordering::Relaxed), self.interrupts);
        let calls = SystemCalls::of_this_process()?;
        for _ in 0..BURSTS {
            calls.count(|| burst(self))?;
            self.clean()?;
        }
        Ok(Counts {
            packets: BURST * BURSTS,
            // Each burst ends with the call that switches the count off.
            calls: calls.counted()?.saturating_sub(BURSTS),
            doorbells: self.doorbells.load(Ordering::Relaxed) - doorbells,
            interrupts: self.interrupts - interrupts,
        })
    }
}

/// The kernel's count of the system calls of this process.
struct SystemCalls(std::fs::File);

impl SystemCalls {
    fn of_this_process() -> Result<Self> {
        let write = |file: &str, text: &str| {
            std::fs::write(format!("{TRACEFS}/{file}"), text)
                .map_err(|e| format!("{TRACEFS}/{file}: {e}; mount -t tracefs tracefs {TRACEFS}"))
        };
        write("tracing_on", "0")?;
        write("trace", "")?;
        write("set_event_pid", &std::process::id().to_string())?;
        write("events/raw_syscalls/sys_enter/enable", "1")?;
        let switch = std::fs::OpenOptions::new().write(true).open(format!("{TRACEFS}/tracing_on"));
        Ok(Self(switch.map_err(|e| e.to_string())?))
    }

    fn count(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let switch = |text: &[u8]| {
            std::io::Write::write_all(&mut &self.0, text).map_err(|e| format!("{TRACEFS}/tracing_on: {e}"))
        };
        switch(b"1")?;
        let done = work();
        switch(b"0")?;
        done
    }

    fn counted(&self) -> Result<u64> {
        let trace = std::fs::read_to_string(format!("{TRACEFS}/trace")).map_err(|e| e.to_string())?;
        let counted = trace.lines().filter(|line| line.contains("sys_enter")).count() as u64;
        if counted < BURSTS {
            return Err(format!(
                "the kernel counted {counted} system calls, and there were {BURSTS} or more"
            ));
        }
        Ok(counted)
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
