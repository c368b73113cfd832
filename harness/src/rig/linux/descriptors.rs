//! Descriptors and processes that are being started: until it executes its program, a new process has every descriptor that is
//! open, those of other trials too, and what is closed meanwhile lives on in it.

use super::ioctl;
use crate::case::model::Nanos;
use nix::libc::ino_t;
use std::cell::Cell;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is being closed and started in this process.
struct Table {
    /// Descriptors for which close(2) was called and has not returned, each with the inode that it stands for.
    closing: Vec<(RawFd, ino_t)>,
    /// Processes that have not executed their programs yet.
    starting: usize,
}

static TABLE: Mutex<Table> = Mutex::new(Table { closing: Vec::new(), starting: 0 });
/// Told when a close has returned or a process has its program.
static CHANGED: Condvar = Condvar::new();

/// How often a process that waits looks whether the descriptor of a `close` that lingers is gone from the table.
const PAUSE: Duration = Duration::from_micros(100);
/// How long either waits for the other, at most: far more than a stalled machine needs.
const DEADLINE: Duration = Duration::from_secs(2);

thread_local! {
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Closes a descriptor so that what it stands for is gone, if it was the last: at a time at which no process is being started.
///
/// # Errors
/// As close(2).
pub fn close(descriptor: OwnedFd) -> nix::Result<()> {
    let begin = Instant::now();
    let number = descriptor.as_raw_fd();
    let inode = ioctl::inode(number)?;
    let (mut table, _) = CHANGED
        .wait_timeout_while(table(), DEADLINE, |table| table.starting > 0)
        .unwrap_or_else(PoisonError::into_inner);
    table.closing.push((number, inode));
    drop(table);
    WAITED.set(WAITED.get() + begin.elapsed());
    let closed = nix::unistd::close(descriptor);
    let mut table = self::table();
    if let Some(at) = table.closing.iter().position(|&entry| entry == (number, inode)) {
        table.closing.swap_remove(at);
    }
    CHANGED.notify_all();
    closed
}

/// How long the calling thread waited for others' processes since it last asked, in nanoseconds: that is the harness's doing, and
/// no call is slow for it.
#[must_use]
pub fn waited() -> Nanos {
    u64::try_from(WAITED.take().as_nanos()).unwrap_or(Nanos::MAX)
}

/// Starts a process, at a time at which no descriptor that is being closed is left in the table: `close` may linger then, but no
/// process can have it any more. `start` is over once the program is executed.
pub fn start<T>(start: impl FnOnce() -> T) -> T {
    let deadline = Instant::now() + DEADLINE;
    let mut table = table();
    while table.closing.iter().any(|&entry| is_open(entry)) && Instant::now() < deadline {
        table = CHANGED.wait_timeout(table, PAUSE).unwrap_or_else(PoisonError::into_inner).0;
    }
    table.starting += 1;
    drop(table);
    let _starting = Starting;
    start()
}

/// One process that is being started, until this is dropped.
struct Starting;

impl Drop for Starting {
    fn drop(&mut self) {
        table().starting -= 1;
        CHANGED.notify_all();
    }
}

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the descriptor still stands for the inode: its number may have been given to another.
fn is_open((number, inode): (RawFd, ino_t)) -> bool {
    ioctl::inode(number) == Ok(inode)
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

        let (end, _other) = std::io::pipe().expect("there are descriptors left");
        let number = end.as_raw_fd();
        let inode = ioctl::inode(number).expect("it is open");
        table().closing.push((number, inode));
        let closer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(end);
        });
        let begin = Instant::now();
        start(|| ());
        assert!(begin.elapsed() >= Duration::from_millis(40), "it waited until the descriptor was gone");
        closer.join().expect("it ends");
        let begin = Instant::now();
        start(|| ());
        assert!(begin.elapsed() < DEADLINE / 2, "and it does not wait for what lingers");
        table().closing.clear();
    }
}
