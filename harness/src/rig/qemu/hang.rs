//! Where a guest is that does not answer: an NMI has it tell by itself, and where that does not help QEMU's monitor tells.

use super::crash::Crash;
use super::monitor::Monitor;
use std::io;
use std::time::{Duration, Instant};

/// How long QEMU may take for all that it is asked.
const QEMU: Duration = Duration::from_secs(2);
/// How long the guest may take to tell where it is.
const GUEST: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);

/// The report of a guest that does not answer; `said` is what it has said on its serial line so far.
///
/// # Errors
/// When QEMU does not answer either.
pub fn examine(monitor: &mut Monitor, said: &mut dyn FnMut() -> String) -> io::Result<Crash> {
    let deadline = Instant::now() + QEMU;
    monitor.ask("nmi", deadline)?;
    let told = Instant::now() + GUEST;
    while Instant::now() < told {
        if let Some(crash) = Crash::find(&said()).filter(|crash| crash.is_whole) {
            return Ok(crash.of_a_hang("it told this when it was sent an NMI"));
        }
        std::thread::sleep(PAUSE);
    }
    let registers = monitor.ask("info registers", deadline.max(Instant::now() + GUEST))?;
    let rsp = Crash::register(&registers, "RSP").unwrap_or_default();
    let stack = monitor.ask(&format!("x /512gx {rsp:#x}"), Instant::now() + GUEST).unwrap_or_default();
    Ok(Crash::of_the_monitor(&registers, &stack).of_a_hang("it took no NMI, and QEMU's monitor told this"))
}
