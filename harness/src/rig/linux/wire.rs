//! The cable between the kernel under test and the harness, whatever it is made of.

use crate::rig::RigError;

/// Which wire the rig is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum WireKind {
    /// A TAP where one can be opened, else a veth.
    #[default]
    Auto,
    /// A TAP: what is read is what a cable would carry.
    Tap,
    /// A veth pair with its offloads off, and a packet socket at its other end.
    Veth,
}

impl WireKind {
    /// What such a device is called in a sentence.
    #[must_use]
    pub fn device(self) -> &'static str {
        if self == Self::Veth { "a veth" } else { "a TAP" }
    }
}

/// The harness's end of the cable. A thread of its own reads what the kernel under test sends, so that each frame gets its time
/// when it comes, whatever the harness does.
pub trait Wire: std::fmt::Debug {
    /// Puts a frame on the wire. At a device that is down, or that has no carrier, it is lost, as it would be.
    ///
    /// # Errors
    /// When the wire refuses it otherwise.
    fn inject(&self, frame: &[u8]) -> Result<(), RigError>;

    /// Pulls the cable, or puts it back.
    ///
    /// # Errors
    /// When this kernel or device cannot.
    fn set_carrier(&self, up: bool) -> Result<(), RigError>;

    /// Frames that came, and that the reader was too slow for: the capture has lost them.
    fn lost(&self) -> u64;

    /// Stops reading; what the device still sends is lost. `false`: the reader did not end in time.
    fn stop(&mut self) -> bool;
}
