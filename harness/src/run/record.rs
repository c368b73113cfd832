//! What was on the wire during a trial, with the step that each frame belongs to.

use crate::case::model::Nanos;

/// Who put a frame on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The system under test.
    Sut,
    /// The peer, because a step says so.
    Peer,
    /// The peer on its own: an answer to an ARP request.
    AutomaticPeer,
}

/// Why a frame was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explained {
    /// Not yet, or not at all.
    No,
    /// By the step with this index, from 0.
    Step(usize),
    /// The automatic peer answered it, or sent it.
    Automatic,
}

/// A frame on the wire.
#[derive(Clone, Debug)]
pub struct WireFrame {
    /// When.
    pub at: Nanos,
    /// How late the harness was: to read a frame of the system under test, to send one of the peer. 0 in virtual time.
    pub late: Nanos,
    /// Who sent it.
    pub from: From,
    /// From the destination address on, without the frame check sequence.
    pub bytes: Vec<u8>,
    /// The packet of the journey that it was made from, where the rig knows.
    pub packet: Option<u32>,
    /// What explains it.
    pub explained: Explained,
}

/// All frames of a trial, in the order in which they came to the harness.
#[derive(Debug, Default)]
pub struct Record {
    frames: Vec<WireFrame>,
    /// Bytes of those that were only kept as there was room.
    bytes: usize,
}

/// How many bytes of frames are kept of a trial with a real peer.
const ROOM: usize = 32 << 20;

impl Record {
    /// All frames.
    #[must_use]
    pub fn frames(&self) -> &[WireFrame] {
        &self.frames
    }

    /// Adds a frame and gives its index.
    pub fn push(&mut self, frame: WireFrame) -> usize {
        self.frames.push(frame);
        self.frames.len() - 1
    }

    /// Adds a frame of a trial with a real peer and gives its index, as long as there are not too many bytes.
    pub fn push_if_room(&mut self, frame: WireFrame) -> Option<usize> {
        self.bytes = self.bytes.saturating_add(frame.bytes.len());
        (self.bytes <= ROOM).then(|| self.push(frame))
    }

    /// The frame with this index.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn frame(&self, index: usize) -> &WireFrame {
        &self.frames[index]
    }

    /// Says what explains a frame.
    pub fn explain(&mut self, index: usize, by: Explained) {
        if let Some(frame) = self.frames.get_mut(index) {
            frame.explained = by;
        }
    }
}
