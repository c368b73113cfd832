//! A failed trial as text: the step in its file, what was expected beside the nearest frame that came, the wire so far, the
//! journey of the packet that is missing, and the command that runs just this trial again.

use super::again::Again;
use super::ladder::end_of_ladder;
use super::missing::{missing_packet, packet_of_call, packet_text};
use crate::capture::{Capture, Direction, Explained, StepRef};
use crate::case::model::{Location, Nanos, RigKind, Trial};
use crate::frame::{FrameSpec, decode};
use crate::judge::pattern::{Mismatch, matches, nearest};
use crate::rig::journey::Journey;
use std::fmt::{self, Write as _};
use std::path::PathBuf;

/// Frames of the ladder that a failure shows.
const RUNGS: usize = 24;

/// A failed trial.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The name of the trial: `ip/fragments[mtu=576,length=549]`.
    pub trial: String,
    /// The rig.
    pub rig: RigKind,
    /// The line that did not hold, if it is about one.
    pub at: Option<Location>,
    /// What happened, in one line.
    pub message: String,
    /// Lines that explain it.
    pub details: Vec<String>,
    /// The number of the nearest frame in `wire.pcapng`, and how it differs.
    pub nearest: Option<(usize, Mismatch)>,
    /// The wire so far, as a ladder.
    pub wire: String,
    /// The journey of the packet that is missing.
    pub journey: String,
    /// Where `wire.pcapng` is.
    pub pcapng: Option<PathBuf>,
    /// The command that runs just this trial again.
    pub again: String,
    /// The frame that is what the pattern wants, but another step took it: its number, and that step.
    pub taken: Option<(usize, StepRef)>,
}

impl Failure {
    /// A failure with what is always known.
    #[must_use]
    pub fn new(trial: &Trial, rig: RigKind, at: Option<&Location>, message: &str) -> Self {
        Self {
            trial: trial.name(),
            rig,
            at: at.cloned(),
            message: message.to_owned(),
            details: Vec::new(),
            nearest: None,
            wire: String::new(),
            journey: String::new(),
            pcapng: None,
            again: Again::default().of(trial, rig),
            taken: None,
        }
    }

    /// Shows a pattern beside the nearest frame of the system under test; of equals, one that no step took. One that fits, but
    /// another step took it, is named besides.
    #[must_use]
    pub fn beside(mut self, spec: &FrameSpec, capture: &Capture) -> Self {
        let mut candidates: Vec<_> =
            capture.frames.iter().enumerate().filter(|(_, f)| f.direction == Direction::Outbound).collect();
        // Of equals, the last is the nearest.
        candidates.sort_by_key(|(_, f)| f.explained == Explained::No);
        let decoded: Vec<_> = candidates.iter().map(|(_, f)| decode(&f.bytes)).collect();
        self.nearest = nearest(spec, &decoded).map(|(i, mismatch)| (candidates[i].0 + 1, mismatch));
        let fits = decoded.iter().map(|d| matches(spec, d).is_ok());
        self.taken = fits.zip(&candidates).find_map(|(fits, (index, frame))| match &frame.explained {
            Explained::Step(step) if fits => Some((index + 1, step.clone())),
            _ => None,
        });
        self
    }

    /// Shows the wire so far.
    #[must_use]
    pub fn on_the_wire(mut self, capture: &Capture) -> Self {
        self.wire = end_of_ladder(capture, RUNGS);
        self
    }

    /// Shows where the packet that should have been on the wire went.
    #[must_use]
    pub fn missing(mut self, spec: &FrameSpec, journey: &Journey) -> Self {
        self.journey = missing_packet(journey, spec).map(|p| packet_text(p, journey)).unwrap_or_default();
        self
    }

    /// Shows where the packet went that a call made of these bytes, if it was lost.
    #[must_use]
    pub fn of_a_call(mut self, since: Nanos, payload: &[u8], journey: &Journey) -> Self {
        let packet = packet_of_call(journey, since, payload);
        self.journey = packet.map(|p| packet_text(p, journey)).unwrap_or_default();
        self
    }

    /// Says how to run the trial again.
    #[must_use]
    pub fn again(mut self, command: String) -> Self {
        self.again = command;
        self
    }

    /// Says where the capture is.
    #[must_use]
    pub fn kept_in(mut self, pcapng: PathBuf) -> Self {
        self.pcapng = Some(pcapng);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} failed on {}: {}", self.trial, self.rig.name(), self.message)?;
        if let Some(at) = &self.at {
            f.write_str(&source_text(at))?;
        }
        for line in &self.details {
            writeln!(f, "  {line}")?;
        }
        if let Some((frame, mismatch)) = &self.nearest {
            writeln!(f, "expected, beside frame {frame}, the nearest that came:")?;
            f.write_str(&mismatch_text(mismatch))?;
        }
        if let Some((frame, step)) = &self.taken {
            writeln!(f, "frame {frame} is such a frame, but {}:{} took it", step.file, step.line)?;
        }
        if self.wire.is_empty() {
            writeln!(f, "the wire: no frame")?;
        } else {
            writeln!(f, "the wire (→ from the system under test, ← to it):\n{}", self.wire.trim_end())?;
        }
        f.write_str(&self.journey)?;
        if let Some(path) = &self.pcapng {
            writeln!(f, "capture: {}", path.display())?;
        }
        writeln!(f, "again: {}", self.again)
    }
}

/// The step in its file, as a compiler shows it.
#[must_use]
pub fn source_text(at: &Location) -> String {
    let source = at.file.text.lines().nth(at.line.max(1) as usize - 1).unwrap_or_default();
    let (number, column) = (at.line.to_string(), at.column.max(1) as usize - 1);
    let (margin, before) = (" ".repeat(number.len()), " ".repeat(column.min(source.chars().count())));
    format!(
        "{margin}--> {}:{number}:{}\n{margin} |\n{number} | {source}\n{margin} | {before}^\n",
        at.file.path.display(),
        at.column
    )
}

/// A mismatch in two columns; `!` stands before what differs.
#[must_use]
pub fn mismatch_text(mismatch: &Mismatch) -> String {
    let mut rows: Vec<(bool, &str, String, String)> =
        mismatch.lines.iter().map(|l| (l.same, &*l.field, l.expected.clone(), l.got.clone())).collect();
    if let Some(p) = &mismatch.payload {
        let at = |length: usize, text: &str| format!("{length} bytes; at {}: {text}", p.first);
        rows.push((false, "payload", at(p.expected_length, &p.expected), at(p.got_length, &p.got)));
    }
    rows.insert(0, (true, "field", "expected".to_owned(), "got".to_owned()));
    let width =
        |column: fn(&(bool, &str, String, String)) -> usize| rows.iter().map(column).max().unwrap_or(0);
    let (first, second) = (width(|r| r.1.chars().count()), width(|r| r.2.chars().count()));
    let mut text = String::new();
    for (same, field, expected, got) in &rows {
        let mark = if *same { ' ' } else { '!' };
        let _ = writeln!(text, "  {mark} {field:<first$}  {expected:<second$}  {got}");
    }
    for problem in &mismatch.problems {
        let _ = writeln!(text, "  ! malformed: {problem}");
    }
    text
}

#[cfg(test)]
mod tests;
