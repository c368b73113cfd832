//! QEMU's monitor (QMP), for what is done to the machine from outside of the guest: pulling the cable.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The harness's end of the monitor.
pub struct Monitor {
    stream: UnixStream,
    received: Vec<u8>,
    /// Whether capabilities were agreed on: before, QEMU does nothing.
    ready: bool,
}

impl Monitor {
    /// A monitor to which nothing was said yet.
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, received: Vec::new(), ready: false }
    }

    /// Pulls the cable out of the NIC, or puts it back.
    ///
    /// # Errors
    /// When QEMU does not answer in time, or refuses.
    pub fn set_link(&mut self, up: bool, deadline: Instant) -> io::Result<()> {
        if !self.ready {
            self.execute(r#"{"execute":"qmp_capabilities"}"#, deadline)?;
            self.ready = true;
        }
        self.execute(&format!(r#"{{"execute":"set_link","arguments":{{"name":"nic","up":{up}}}}}"#), deadline)
    }

    /// Says a command, and waits for its answer; events on the way are passed over.
    fn execute(&mut self, command: &str, deadline: Instant) -> io::Result<()> {
        self.stream.set_write_timeout(Some(left(deadline)?))?;
        self.stream.write_all(command.as_bytes())?;
        loop {
            let line = self.line(deadline)?;
            let Ok(serde_json::Value::Object(answer)) = serde_json::from_str(&line) else {
                return Err(io::Error::other(format!("QEMU's monitor said {line:?}")));
            };
            if answer.contains_key("return") {
                return Ok(());
            }
            if let Some(error) = answer.get("error") {
                return Err(io::Error::other(format!("QEMU's monitor refused {command}: {error}")));
            }
        }
    }

    fn line(&mut self, deadline: Instant) -> io::Result<String> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<_> = self.received.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim().to_owned());
            }
            self.stream.set_read_timeout(Some(left(deadline)?))?;
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.received.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_is_greeted_once_and_events_are_passed_over() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs
            .write_all(
                b"{\"QMP\": {}}\r\n{\"return\": {}}\r\n{\"event\": \"X\"}\r\n{\"return\": {}}\r\n{\"error\": {\"desc\": \"no\"}}\r\n",
            )
            .unwrap();
        let mut monitor = Monitor::new(ours);
        let deadline = Instant::now() + Duration::from_secs(5);
        monitor.set_link(false, deadline).unwrap();
        let error = monitor.set_link(true, deadline).unwrap_err();
        assert!(error.to_string().contains("\"no\""), "{error}");
        drop(theirs);
        assert_eq!(monitor.set_link(true, deadline).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
