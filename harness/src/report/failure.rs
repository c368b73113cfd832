//! A failed trial as text: the step in its file, what was expected beside the nearest frame that came, the wire so far, the
//! journey of the packet that is missing, and the command that runs just this trial again.

use super::ladder::{end_of_ladder, seconds};
use crate::capture::journal::label;
use crate::capture::{Capture, Direction, Explained};
use crate::case::model::{Location, RigKind, Trial};
use crate::frame::{FrameSpec, decode};
use crate::judge::pattern::{Mismatch, excerpt, nearest};
use crate::rig::journey::{Journey, Packet, What};
use std::fmt::{self, Write as _};
use std::path::PathBuf;

/// Frames of the ladder that a failure shows.
const RUNGS: usize = 24;

/// A failed trial.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The name of the trial: `ip/fragments[mtu=576,length=549]`.
    pub trial: String,
    /// The file of its case.
    pub file: String,
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
}

impl Failure {
    /// A failure with what is always known.
    #[must_use]
    pub fn new(trial: &Trial, rig: RigKind, at: Option<&Location>, message: &str) -> Self {
        Self {
            trial: trial.name(),
            file: trial.file.path.display().to_string(),
            rig,
            at: at.cloned(),
            message: message.to_owned(),
            details: Vec::new(),
            nearest: None,
            wire: String::new(),
            journey: String::new(),
            pcapng: None,
        }
    }

    /// Shows a pattern beside the nearest frame of the system under test: one that no step took, or if there is none, any.
    #[must_use]
    pub fn beside(mut self, spec: &FrameSpec, capture: &Capture) -> Self {
        let sent = || capture.frames.iter().enumerate().filter(|(_, f)| f.direction == Direction::Outbound);
        let mut candidates: Vec<_> = sent().filter(|(_, f)| f.explained == Explained::No).collect();
        if candidates.is_empty() {
            candidates = sent().collect();
        }
        let decoded: Vec<_> = candidates.iter().map(|(_, f)| decode(&f.bytes)).collect();
        self.nearest = nearest(spec, &decoded).map(|(i, mismatch)| (candidates[i].0 + 1, mismatch));
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
    pub fn missing(mut self, spec: Option<&FrameSpec>, journey: &Journey) -> Self {
        let payload = spec.and_then(|s| s.payload.as_ref()).map(|p| &p.0[..]);
        self.journey = missing_packet(journey, payload).map(|p| packet_text(p, journey)).unwrap_or_default();
        self
    }

    /// Says where the capture is.
    #[must_use]
    pub fn kept_in(mut self, pcapng: PathBuf) -> Self {
        self.pcapng = Some(pcapng);
        self
    }

    /// The command that runs just this trial again.
    #[must_use]
    pub fn again(&self) -> String {
        let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        let file = if self.file.chars().all(plain) { self.file.clone() } else { quote(&self.file) };
        format!("wireproof run {file} --filter {} --rig {}", quote(&self.trial), self.rig.name())
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
        if self.wire.is_empty() {
            writeln!(f, "the wire: no frame")?;
        } else {
            writeln!(f, "the wire (→ from the system under test, ← to it):\n{}", self.wire.trim_end())?;
        }
        f.write_str(&self.journey)?;
        if let Some(path) = &self.pcapng {
            writeln!(f, "capture: {}", path.display())?;
        }
        writeln!(f, "again: {}", self.again())
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

/// The packet that should have been on the wire: one that carries this payload and is not there, or was dropped; if there is
/// none, the last one dropped or still on its way.
#[must_use]
pub fn missing_packet<'j>(journey: &'j Journey, payload: Option<&[u8]>) -> Option<&'j Packet> {
    let absent = || journey.packets.iter().rev().filter(|p| !reached_the_wire(p, journey));
    let carries = |p: &&Packet| {
        payload.is_some_and(|wanted| {
            let known = p.head.len().min(wanted.len());
            p.total as usize == wanted.len() && known > 0 && p.head[..known] == wanted[..known]
        })
    };
    let unfinished = |p: &&Packet| !matches!(p.moments.last().map(|m| &m.what), None | Some(What::Consumed));
    absent().find(carries).or_else(|| absent().find(unfinished))
}

/// Whether a packet, or one that was made out of it, was on the wire.
fn reached_the_wire(packet: &Packet, journey: &Journey) -> bool {
    let sent = |p: &Packet| p.moments.iter().any(|m| matches!(m.what, What::Wire(_)));
    // A packet is made after its parent, so one pass finds all that come from it.
    let mut family = vec![packet.id];
    journey.packets.iter().any(|p| {
        let kin = p.id == packet.id || p.parent.is_some_and(|parent| family.contains(&parent));
        if kin {
            family.push(p.id);
        }
        kin && sent(p)
    })
}

/// The journey of one packet: where it ended, then step by step.
#[must_use]
pub fn packet_text(packet: &Packet, journey: &Journey) -> String {
    let place = packet.moments.iter().rev().find_map(|m| match m.what {
        What::Function(name) | What::Queued(name) => Some(name),
        What::Posted { .. } => Some("the ring"),
        _ => None,
    });
    let place = place.unwrap_or("no function");
    let end = match packet.moments.last().map(|m| &m.what) {
        Some(What::Dropped(reason)) => format!("was dropped after {place}: {reason}"),
        Some(What::Consumed) => format!("was consumed after {place}"),
        _ if reached_the_wire(packet, journey) => "reached the wire".to_owned(),
        _ => format!("never reached the wire; it was last seen at {place}"),
    };
    let mut text =
        format!("packet {} ({} bytes, {}) {end}\n", packet.id, packet.total, excerpt(&packet.head));
    for moment in &packet.moments {
        let (time, what) = (seconds(moment.at), label(&moment.what));
        let _ = writeln!(text, "{time:>18}  CPU {} {:<8} {what}", moment.cpu, moment.context);
    }
    text
}

#[cfg(test)]
mod tests;
