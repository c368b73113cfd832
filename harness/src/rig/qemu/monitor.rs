//! QEMU's monitor, for what is done to the machine from outside of the guest: pulling the cable, asking where a guest is that hangs.
//!
//! It is the one for people (HMP). That for programs (QMP) has a thread of its own in QEMU, which is woken with each of the
//! machine's timers: that costs more than all else in a trial.

use crate::rig::stop;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What it says when it has done what it was told.
const PROMPT: &str = "(qemu) ";

/// The harness's end of the monitor.
pub struct Monitor {
    stream: UnixStream,
    greeted: bool,
}

impl Monitor {
    /// A monitor to which nothing was said yet.
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, greeted: false }
    }

    /// Pulls the cable out of the NIC, or puts it back.
    ///
    /// # Errors
    /// When QEMU does not answer in time, or refuses.
    pub fn set_link(&mut self, up: bool, deadline: Instant) -> io::Result<()> {
        self.ask(&format!("set_link nic {}", if up { "on" } else { "off" }), deadline).map(drop)
    }

    /// Gives a command, and what QEMU says to it.
    ///
    /// # Errors
    /// When QEMU does not answer in time, or refuses.
    pub fn ask(&mut self, command: &str, deadline: Instant) -> io::Result<String> {
        if !self.greeted {
            self.said(deadline)?;
            self.greeted = true;
        }
        self.stream.set_write_timeout(Some(left(deadline)?))?;
        self.stream.write_all(format!("{command}\n").as_bytes())?;
        let said = self.said(deadline)?;
        // It repeats what it was told.
        match said.lines().find(|line| line.starts_with("Error") || line.contains("unknown command")) {
            Some(error) => Err(io::Error::other(format!("QEMU refused `{command}`: {error}"))),
            None => Ok(said),
        }
    }

    /// What it says until it is ready for a command.
    fn said(&mut self, deadline: Instant) -> io::Result<String> {
        let (mut said, mut bytes) = (Vec::new(), [0; 4096]);
        while !said.ends_with(PROMPT.as_bytes()) {
            self.stream.set_read_timeout(Some(left(deadline)?.min(stop::LOOK)))?;
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => said.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It has time left, unless somebody wants it no more.
                Err(error) if error.kind() == ErrorKind::WouldBlock && !stop::wanted() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(String::from_utf8_lossy(&said).into_owned())
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::{JoinHandle, spawn};

    /// A monitor that greets, and gives these answers.
    fn monitor(answers: &'static [&'static str]) -> (Monitor, JoinHandle<()>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let thread = spawn(move || {
            theirs.write_all(b"QEMU 10 monitor\r\n(qemu) ").unwrap();
            for answer in answers {
                let mut command = [0; 64];
                let count = theirs.read(&mut command).unwrap();
                assert_eq!(command[count - 1], b'\n');
                theirs.write_all(answer.as_bytes()).unwrap();
            }
        });
        (Monitor::new(ours), thread)
    }

    #[test]
    fn what_is_refused_is_told_and_who_is_gone_is_missed() {
        let (mut monitor, thread) =
            monitor(&["set_link nic off\r\n(qemu) ", "set_link nic on\r\nError: no nic\r\n(qemu) "]);
        let deadline = Instant::now() + Duration::from_secs(5);
        monitor.set_link(false, deadline).unwrap();
        let error = monitor.set_link(true, deadline).unwrap_err();
        assert!(error.to_string().contains("Error: no nic"), "{error}");
        thread.join().unwrap();
        let gone = monitor.set_link(true, deadline).unwrap_err();
        assert!(matches!(gone.kind(), ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof), "{gone}");
    }
}
