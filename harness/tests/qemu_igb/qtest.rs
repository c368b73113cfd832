//! QEMU's test socket: lines of text, one answer for each command.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The longest that QEMU may take for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// The connection.
pub struct Qtest {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Qtest {
    /// Takes over the connection that QEMU made.
    pub fn new(stream: UnixStream) -> Result<Self, String> {
        let text = |error: std::io::Error| format!("test socket: {error}");
        stream.set_nonblocking(false).map_err(text)?;
        stream.set_read_timeout(Some(ANSWER)).map_err(text)?;
        stream.set_write_timeout(Some(ANSWER)).map_err(text)?;
        let lines = BufReader::new(stream.try_clone().map_err(text)?);
        Ok(Self { stream, lines })
    }

    /// Sends one command, and gives the value of its answer (0 where there is none).
    ///
    /// # Panics
    /// When QEMU does not answer in time, or answers that it failed: nothing after that means anything.
    fn command(&mut self, command: &str) -> u32 {
        self.stream.write_all(format!("{command}\n").as_bytes()).expect("QEMU takes a command");
        loop {
            let mut line = String::new();
            let n = self.lines.read_line(&mut line).expect("QEMU answers in time");
            assert!(n > 0, "QEMU closed its test socket after `{command}`");
            if line.starts_with("IRQ ") {
                continue;
            }
            let Some(value) = line.trim_end().strip_prefix("OK") else {
                panic!("QEMU answered `{}` to `{command}`", line.trim_end())
            };
            let digits = value.trim().trim_start_matches("0x");
            return if digits.is_empty() {
                0
            } else {
                u64::from_str_radix(digits, 16).expect("a number in QEMU's answer") as u32
            };
        }
    }

    /// Reads 32 bits of memory or of a device.
    pub fn readl(&mut self, address: u32) -> u32 {
        self.command(&format!("readl {address:#x}"))
    }

    /// Writes 32 bits of memory or of a device.
    pub fn writel(&mut self, address: u32, value: u32) {
        self.command(&format!("writel {address:#x} {value:#x}"));
    }

    /// Reads a word of the igb's configuration space.
    pub fn config_read(&mut self, device: u32, register: u32) -> u32 {
        self.command(&format!("outl 0xcf8 {:#x}", config_address(device, register)));
        self.command("inl 0xcfc")
    }

    /// Writes a word of the igb's configuration space.
    pub fn config_write(&mut self, device: u32, register: u32, value: u32) {
        self.command(&format!("outl 0xcf8 {:#x}", config_address(device, register)));
        self.command(&format!("outl 0xcfc {value:#x}"));
    }
}

/// Mechanism 1: enable, bus 0, device, function 0, register.
fn config_address(device: u32, register: u32) -> u32 {
    1 << 31 | device << 11 | register
}
