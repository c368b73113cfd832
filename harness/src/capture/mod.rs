//! What was on the wire, kept: the frames of a trial, as pcapng, and the journeys of its packets, as JSON.

pub mod journal;
pub mod pcapng;
pub mod read;

use crate::case::model::{Location, Nanos};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

/// All frames of a trial. Their number in `wire.pcapng` is their index here plus 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// In the order of time.
    pub frames: Vec<CapturedFrame>,
}

/// A frame on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedFrame {
    /// When, since the first step.
    pub at: Nanos,
    /// Which way.
    pub direction: Direction,
    /// From the destination address on, without the frame check sequence.
    pub bytes: Vec<u8>,
    /// What it belongs to.
    pub explained: Explained,
    /// The packet of the journey that it was made from, where the rig knows.
    pub packet: Option<u32>,
}

/// Which way a frame goes, seen from the system under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the system under test.
    Inbound,
    /// From it.
    Outbound,
}

/// What a frame belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explained {
    /// Nothing: no step took it.
    No,
    /// What the automatic peer answered, or its answer.
    Automatic,
    /// A step of the case.
    Step(StepRef),
}

/// A step, as it is named to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRef {
    /// The file, as it was named or found.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// The line itself, without indentation, dash and comment marks of YAML before it.
    pub text: String,
}

impl StepRef {
    /// The step that stands at a place.
    #[must_use]
    pub fn new(at: &Location) -> Self {
        let line = at.line.max(1) as usize - 1;
        let text = at.file.text.lines().nth(line).unwrap_or_default().trim();
        Self {
            file: at.file.path.display().to_string(),
            line: at.line,
            text: text.strip_prefix("- ").unwrap_or(text).to_owned(),
        }
    }
}

impl Capture {
    /// Adds a frame where its time puts it: behind all that are not later. Gives its index.
    pub fn push(&mut self, frame: CapturedFrame) -> usize {
        let index = self.frames.partition_point(|f| f.at <= frame.at);
        self.frames.insert(index, frame);
        index
    }
}

/// A new file at a path. What is there is unlinked first: to write an existing file anew costs milliseconds on ext4.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    File::options().write(true).create_new(true).open(path)
}
