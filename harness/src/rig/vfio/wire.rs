//! The port at the other end of the cable, read and written by the thread that runs the stack: nobody is woken for a frame.

use crate::case::model::Nanos;
use crate::rig::linux::lab::stamps::Stamps;
use crate::rig::linux::lab::wire::{open, open_to_send, send};
use pcap::{Active, Capture, Error};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

/// Both directions of the wire port.
pub struct Wire {
    capture: Capture<Active>,
    sender: Capture<Active>,
    stamps: Stamps,
    lost_before: u64,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("lost_before", &self.lost_before).finish_non_exhaustive()
    }
}

/// A frame that the port under test sent.
#[derive(Debug)]
pub struct Captured {
    /// By its stamp.
    pub at: Instant,
    /// By how much that may be late.
    pub late: Nanos,
    /// From the destination address on.
    pub bytes: Vec<u8>,
}

impl Wire {
    /// Opens a port of the namespace of the calling thread.
    ///
    /// # Errors
    /// What libpcap says.
    pub fn open(name: &str) -> Result<Self, String> {
        let (capture, stamps) = open(name)?;
        Ok(Self { capture, sender: open_to_send(name)?, stamps, lost_before: 0 })
    }

    /// What becomes readable when a frame comes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.capture.as_fd()
    }

    /// Puts a frame on the wire.
    ///
    /// # Errors
    /// What libpcap says.
    pub fn inject(&mut self, frame: &[u8]) -> Result<(), String> {
        send(&mut self.sender, frame)
    }

    /// The next frame that came; `None`: there is none yet.
    ///
    /// # Errors
    /// What libpcap says.
    pub fn next(&mut self) -> Result<Option<Captured>, String> {
        match self.capture.next_packet() {
            Ok(packet) => {
                // A stamp is not late, whenever it is read.
                let at = self.stamps.instant(packet.header.ts);
                Ok(Some(Captured { at, late: 0, bytes: packet.data.to_vec() }))
            }
            Err(Error::TimeoutExpired | Error::NoMorePackets) => Ok(None),
            // The cable is pulled at this end; it will be put back.
            Err(Error::PcapError(why)) if why.contains("went down") || why.contains("is down") => Ok(None),
            Err(e) => Err(format!("the wire port is gone ({e})")),
        }
    }

    /// Frames that the kernel had no room for, since this was last asked.
    pub fn lost(&mut self) -> u64 {
        let all = self.capture.stats().map_or(self.lost_before, |stats| u64::from(stats.dropped));
        let lost = all.saturating_sub(self.lost_before);
        self.lost_before = all;
        lost
    }
}
