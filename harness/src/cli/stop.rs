//! Ctrl-C: the run stops between two moments of a trial, and every rig takes down what it put up.

use nix::sys::signal::{SigSet, Signal};
use std::sync::atomic::{AtomicBool, Ordering};

/// Set once somebody wants the run to stop.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT and SIGTERM set the flag that is given back; a second one ends the process at once. To be called before
/// any thread is started: threads inherit that these signals wait for the one that listens.
pub fn on_signal() -> &'static AtomicBool {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    if signals.thread_block().is_ok() {
        std::thread::spawn(move || {
            while let Ok(signal) = signals.wait() {
                if STOPPED.swap(true, Ordering::Relaxed) {
                    std::process::exit(128 + signal as i32);
                }
            }
        });
    }
    &STOPPED
}
