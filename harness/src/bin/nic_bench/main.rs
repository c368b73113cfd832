//! What a sent datagram costs around the stack: system calls, doorbells and interrupts, on the emulated NIC and, with a lab, on a real
//! port through VFIO. `ci/bench emu` runs it, and `ci/bench nic` in a guest.
//!
//! ```text
//! target/release/nic_bench
//! sudo target/release/nic_bench lab.yaml
//! ```
//!
//! System calls are counted by the kernel (tracefs), between the first call of a burst and its last; the harness's own, which reads
//! interrupts and switches the count on and off, are outside, and so is the emulated device. Where the kernel cannot be asked, on `emu`
//! alone, they are not counted. Exits 1 when a limit is exceeded, 2 when it cannot be measured.

mod calls;
mod emu;
mod vfio;

use calls::SystemCalls;
use harness::case::model::topology;
use stack_under_test::socket::{Fd, SocketOption};
use stack_under_test::stack::Stack;
use stack_under_test::time::Instant as Time;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::ExitCode;

/// Datagrams that follow one another, and how many bursts are counted.
const BURST: u64 = 32;
const BURSTS: u64 = 64;
/// The doorbell of the first transmit queue of an 82576 (TDT).
const TDT: u32 = 0xE018;

type Result<T> = std::result::Result<T, String>;

/// A stack on a port.
trait Port {
    /// The stack, and what time it is for it.
    fn stack(&mut self) -> (&mut Stack, Time);
    /// Configures it.
    fn command(&mut self, line: &str) -> Result<()>;
    /// Until whatever was sent is completed, and no interrupt comes any more.
    fn rest(&mut self) -> Result<()>;
    /// Writes of the tail of the first transmit ring so far.
    fn doorbells(&self) -> u64;
    /// Interrupts that were taken so far.
    fn interrupts(&self) -> u64;
}

/// What is sent in a burst, under which moderation, and how much of it all there may be.
struct Row {
    name: &'static str,
    /// One call for all datagrams, and not one for each.
    at_once: bool,
    /// The command that chooses the moderation.
    moderation: &'static str,
    /// Doorbells of a burst.
    doorbells: f64,
    /// Interrupts of a packet: with moderation one at once and one when the interval is over.
    interrupts: f64,
}

const ADAPTIVE: &str = "ethtool -C eth0 rx-usecs 3";
const FIXED: &str = "ethtool -C eth0 rx-usecs 100";
const NONE: &str = "ethtool -C eth0 rx-usecs 0";

const ROWS: [Row; 4] = [
    Row {
        name: "a call each, adaptive moderation",
        at_once: false,
        moderation: ADAPTIVE,
        doorbells: 32.0,
        interrupts: 0.07,
    },
    Row {
        name: "a call each, at most 10,000/s",
        at_once: false,
        moderation: FIXED,
        doorbells: 32.0,
        interrupts: 0.07,
    },
    Row {
        name: "a call each, no moderation",
        at_once: false,
        moderation: NONE,
        doorbells: 32.0,
        interrupts: 1.0,
    },
    Row {
        name: "one call, cut by the stack (GSO)",
        at_once: true,
        moderation: ADAPTIVE,
        doorbells: 1.0,
        interrupts: 0.07,
    },
];

fn main() -> ExitCode {
    let lab = std::env::args().nth(1);
    match measure(lab.as_deref().map(Path::new)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("nic_bench: a limit is exceeded");
            ExitCode::from(1)
        }
        Err(why) => {
            eprintln!("nic_bench: {why}");
            ExitCode::from(2)
        }
    }
}

/// Counts, prints, and says whether no limit is exceeded.
fn measure(lab: Option<&Path>) -> Result<bool> {
    println!(
        "{:<5} {:<34} {:>12} {:>6} {:>15} {:>6} {:>14} {:>6}",
        "rig",
        "bursts of 32 datagrams",
        "syscalls/pkt",
        "limit",
        "doorbells/burst",
        "limit",
        "interrupts/pkt",
        "limit"
    );
    let mut holds = rows("emu", &mut emu::Nic::new()?, lab.is_some())?;
    if let Some(lab) = lab {
        holds &= rows("vfio", &mut vfio::Nic::new(lab)?, true)?;
    }
    Ok(holds)
}

/// Counts on a port, whose system calls must be counted or are so where they can be.
fn rows(rig: &str, port: &mut dyn Port, must_count: bool) -> Result<bool> {
    let (to, mac) = (SocketAddrV4::new(topology::PEER_IP, 9), "02:00:00:00:00:02");
    port.command(&format!("ip neigh replace {} lladdr {mac} dev eth0 nud permanent", to.ip()))?;
    let mut holds = true;
    for row in &ROWS {
        port.command(row.moderation)?;
        let fd = port.stack().0.socket_udp().map_err(|e| e.name().to_owned())?;
        if row.at_once {
            let cut = port.stack().0.setsockopt(fd, SocketOption::UdpSegment, 1400);
            cut.map_err(|e| e.name().to_owned())?;
        }
        let counts = bursts(port, &|port| burst(port, fd, to, row.at_once), must_count)?;
        let packets = (BURST * BURSTS) as f64;
        let doorbells = counts.doorbells as f64 / BURSTS as f64;
        let interrupts = counts.interrupts as f64 / packets;
        let calls = counts.calls.map_or("-".to_owned(), |calls| format!("{:.4}", calls as f64 / packets));
        println!(
            "{rig:<5} {:<34} {calls:>12} {:>6} {doorbells:>15.1} {:>6} {interrupts:>14.3} {:>6}",
            row.name, 0, row.doorbells, row.interrupts
        );
        holds &= counts.calls.unwrap_or(0) == 0 && doorbells <= row.doorbells && interrupts <= row.interrupts;
    }
    Ok(holds)
}

fn burst(port: &mut dyn Port, fd: Fd, to: SocketAddrV4, at_once: bool) -> Result<()> {
    if at_once {
        return send(port, fd, to, &[0; 1400 * BURST as usize]);
    }
    (0..BURST).try_for_each(|_| send(port, fd, to, &[0; 64]))
}

fn send(port: &mut dyn Port, fd: Fd, to: SocketAddrV4, payload: &[u8]) -> Result<()> {
    let (stack, now) = port.stack();
    let sent = stack.sendto(now, 0, fd, payload, Some(to), Default::default());
    sent.map(drop).map_err(|error| format!("sendto: {}", error.name()))
}

struct Counts {
    /// System calls; `None`: the kernel does not count them here.
    calls: Option<u64>,
    doorbells: u64,
    interrupts: u64,
}

/// Counts over bursts, each of which is completed before the next one.
fn bursts(
    port: &mut dyn Port,
    burst: &dyn Fn(&mut dyn Port) -> Result<()>,
    must_count: bool,
) -> Result<Counts> {
    // What is made once is made.
    for _ in 0..4 {
        burst(port)?;
        port.rest()?;
    }
    let mut calls = match SystemCalls::of_this_process() {
        Ok(calls) => Some(calls),
        Err(why) if must_count => return Err(why),
        Err(_) => None,
    };
    let (doorbells, interrupts) = (port.doorbells(), port.interrupts());
    for _ in 0..BURSTS {
        match &mut calls {
            Some(calls) => calls.count(|| burst(port))?,
            None => burst(port)?,
        }
        port.rest()?;
    }
    Ok(Counts {
        calls: calls.map(|calls| calls.counted()).transpose()?,
        doorbells: port.doorbells() - doorbells,
        interrupts: port.interrupts() - interrupts,
    })
}
