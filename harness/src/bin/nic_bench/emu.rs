//! Our stack on the emulated NIC, in virtual time.

use crate::{Port, Result};
use harness::case::model::Nanos;
use harness::rig::emu::{Host, Identity};
use stack_under_test::stack::Stack;
use stack_under_test::time::Instant as Time;

/// After so long whatever was sent is completed, and no interrupt comes any more, in nanoseconds.
const CALM: Nanos = 20_000_000;

/// A host with the NIC.
pub struct Nic(Host);

impl Nic {
    /// One that is up.
    ///
    /// # Errors
    /// Why it is not.
    pub fn new() -> Result<Self> {
        let host = Host::new(&Identity::default(), &[]).map_err(|error| error.to_string())?;
        let mut nic = Self(host);
        // As on QEMU's igb, so that the same is counted.
        nic.command("ethtool -K eth0 tx-udp-segmentation off")?;
        Ok(nic)
    }
}

impl Port for Nic {
    fn stack(&mut self) -> (&mut Stack, Time) {
        self.0.stack()
    }

    fn command(&mut self, line: &str) -> Result<()> {
        self.0.command(line).map_err(|error| error.to_string())
    }

    fn rest(&mut self) -> Result<()> {
        let at = self.0.now() + CALM;
        self.0.go_to(at).map_err(|error| error.to_string())?;
        while self.0.next_frame().is_some() {}
        self.0.violations().into_iter().next().map_or(Ok(()), Err)
    }

    fn doorbells(&self) -> u64 {
        self.0.doorbells()
    }

    fn interrupts(&self) -> u64 {
        self.0.interrupts()
    }
}
