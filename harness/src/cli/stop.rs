//! Ctrl-C: the run stops between two moments of a trial, and every rig takes down what it put up.

use crate::rig::stop::STOPPED;
use nix::sys::signal::{SigSet, Signal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One wish may come as two signals: to a process and to its group, as timeout(1) sends them.
const ONE_WISH: Duration = Duration::from_millis(300);

/// From now on SIGINT and SIGTERM set the flag that is given back; another one later ends the process at once. To be called
/// before any thread is started: threads inherit that these signals wait for the one that listens. Where that one cannot be
/// started, a signal ends the process as it always did.
pub fn on_signal() -> &'static AtomicBool {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    if signals.thread_block().is_ok() && std::thread::Builder::new().spawn(move || listen(signals)).is_err() {
        let _ = signals.thread_unblock();
    }
    &STOPPED
}

fn listen(signals: SigSet) {
    let mut first: Option<Instant> = None;
    while let Ok(signal) = signals.wait() {
        STOPPED.store(true, Ordering::Relaxed);
        if first.get_or_insert_with(Instant::now).elapsed() > ONE_WISH {
            std::process::exit(128 + signal as i32);
        }
    }
}
