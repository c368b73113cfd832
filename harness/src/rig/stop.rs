//! Whether somebody wants the run to stop: who waits for long looks, and waits no more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Set once somebody does.
pub static STOPPED: AtomicBool = AtomicBool::new(false);

/// How long one may wait without looking: nobody notices it who has pressed Ctrl-C.
pub const LOOK: Duration = Duration::from_millis(50);

/// Whether somebody does.
#[must_use]
pub fn wanted() -> bool {
    STOPPED.load(Ordering::Relaxed)
}
