//! The thread that reads what the kernel under test sends, so that each frame gets its time when it comes.

use super::Happening;
use super::namespace::{join_before, no_thread};
use super::schedule::{RealTime, Waited};
use crate::rig::RigError;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// More than any frame.
const BUFFER: usize = 1 << 17;

/// Takes a frame from the end of a wire into a buffer, without blocking (EAGAIN when there is none). Gives its length, and when it
/// was on the wire where the kernel told; else its time is that of reading, which may be late.
pub type Take = fn(&OwnedFd, &mut [u8]) -> Result<(usize, Option<Instant>), Errno>;

/// The thread, until it is told to stop.
#[derive(Debug)]
pub struct Reader {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Begins to read frames from `end`; they go to `to`.
    ///
    /// # Errors
    /// When there are no descriptors or threads left.
    pub fn new(end: Arc<OwnedFd>, take: Take, to: Sender<Happening>) -> Result<Self, RigError> {
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC)
            .map_err(|e| RigError::Broken(format!("an eventfd: {e:?}")))?;
        let stop = Arc::new(stop);
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("wire reader".to_owned())
            .spawn(move || {
                if let Err(e) = read_frames(&end, take, &stopped, &to) {
                    drop(to.send(Happening::Broken(format!("the wire of eth0 is gone ({e:?})"))));
                }
            })
            .map_err(|e| RigError::Broken(no_thread(&e)))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Stops reading. `false`: the thread did not end in time.
    pub fn stop(&mut self) -> bool {
        // It can only fail when the counter is at its end, and then the thread is awake.
        let _ = self.stop.write(1);
        self.thread.take().is_none_or(|thread| join_before(thread, Instant::now() + Duration::from_secs(1)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads frames until it is told to stop. A frame without a time of its own may be as late as the thread had to wait for a
/// CPU since it last had nothing to do.
fn read_frames(end: &OwnedFd, take: Take, stop: &EventFd, to: &Sender<Happening>) -> Result<(), Errno> {
    let _soon = RealTime::begin();
    let waited = Waited::here();
    let mut buffer = vec![0; BUFFER];
    loop {
        let before = waited.total();
        let mut ends =
            [PollFd::new(end.as_fd(), PollFlags::POLLIN), PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ends, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
        if ends[1].any().unwrap_or(true) {
            return Ok(());
        }
        loop {
            match take(end, &mut buffer) {
                Ok((length, at)) => {
                    let now = Instant::now();
                    let late = if at.is_some() { 0 } else { waited.total().saturating_sub(before) };
                    let bytes = buffer[..length].to_vec();
                    if to.send(Happening::Frame { at: at.unwrap_or(now), late, bytes }).is_err() {
                        return Ok(());
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(e) => return Err(e),
            }
        }
    }
}
