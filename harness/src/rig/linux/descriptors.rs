//! Descriptors and processes that are being started: until it executes its program, a new process has every descriptor that is
//! open, those of other trials too, and what is closed meanwhile lives on in it.

use crate::case::model::Nanos;
use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::sync::{PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

/// Those that close share it, who starts a process has it alone.
static TABLE: RwLock<()> = RwLock::new(());

/// How long a process waits for what is being closed. A `close` that takes longer lingers: its descriptor is gone already, and no
/// process can have it any more.
const PATIENCE: Duration = Duration::from_millis(5);
/// How often it looks.
const PAUSE: Duration = Duration::from_micros(100);

thread_local! {
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Closes a descriptor so that what it stands for is gone, if it was the last: at a time at which no process is being started.
///
/// # Errors
/// As close(2).
pub fn close(descriptor: OwnedFd) -> nix::Result<()> {
    let begin = Instant::now();
    let _none_starts = TABLE.read().unwrap_or_else(PoisonError::into_inner);
    WAITED.set(WAITED.get() + begin.elapsed());
    nix::unistd::close(descriptor)
}

/// How long the calling thread waited for others' processes since it last asked, in nanoseconds: that is the harness's doing, and
/// no call is slow for it.
#[must_use]
pub fn waited() -> Nanos {
    u64::try_from(WAITED.take().as_nanos()).unwrap_or(Nanos::MAX)
}

/// Starts a process, at a time at which nothing is being closed. `start` is over once the program is executed.
pub fn start<T>(start: impl FnOnce() -> T) -> T {
    let deadline = Instant::now() + PATIENCE;
    let alone = loop {
        match TABLE.try_write() {
            Ok(alone) => break Some(alone),
            Err(TryLockError::Poisoned(poisoned)) => break Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => break None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    };
    let started = start();
    drop(alone);
    started
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: the table is the process's.
    #[test]
    fn what_closes_waits_for_a_process_and_a_process_does_not_wait_for_what_lingers() {
        let (started, closing) = std::sync::mpsc::channel();
        let starter = std::thread::spawn(move || {
            start(|| {
                started.send(()).expect("the other end waits");
                std::thread::sleep(Duration::from_millis(50));
            });
        });
        closing.recv().expect("it is being started");
        let (_, end) = std::io::pipe().expect("there are descriptors left");
        close(end.into()).expect("it is open");
        assert!(waited() > 20_000_000, "it waited until the process was there");
        assert_eq!(waited(), 0, "and that is told once");
        starter.join().expect("it ends");

        let lingers = TABLE.read().unwrap_or_else(PoisonError::into_inner);
        let begin = Instant::now();
        start(|| ());
        assert!(begin.elapsed() >= PATIENCE);
        drop(lingers);
    }
}
