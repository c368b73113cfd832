//! What a trial leaves in its folder: `wire.pcapng`, `journey.json`, `result.json`. No wall clock is in them, so that a run in
//! virtual time leaves the same bytes each time.

use super::record::{Explained, From as Sender, Record};
use super::trial::TrialReport;
use crate::capture::{self, Capture, CapturedFrame, Direction, StepRef};
use crate::case::model::{RigKind, Trial};
use crate::report::again::Again;
use crate::report::failure::Failure as FullFailure;
use crate::rig::journey::{Moment, What};
use crate::rig::{Journey, Reading};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time 0 of captures from virtual time, since 1970: the start of the first step.
pub const EPOCH: Duration = Duration::ZERO;

/// The names of the files.
pub const WIRE: &str = "wire.pcapng";
/// Journeys of packets.
pub const JOURNEY: &str = "journey.json";
/// How the trial ended, and its counters.
pub const RESULT: &str = "result.json";

/// The folder of a trial: `OUT/RIG/CASE`, and below it a folder for the row if there is one.
#[must_use]
pub fn folder(out: &Path, rig: RigKind, trial: &Trial) -> PathBuf {
    let mut folder = out.join(rig.name()).join(&trial.case);
    if !trial.row.is_empty() {
        let row: Vec<_> = trial.row.iter().map(|(key, value)| format!("{key}={value}")).collect();
        folder.push(file_name(&row.join(",")));
    }
    folder
}

/// A row as the name of a folder; what a file system may not like is replaced, and told apart by a checksum.
#[must_use]
pub fn file_name(row: &str) -> String {
    const LONGEST: usize = 100;
    let plain = |c: char| c.is_ascii_alphanumeric() || "=,._-+".contains(c);
    let name: String = row.chars().map(|c| if plain(c) { c } else { '_' }).take(LONGEST).collect();
    if name == row {
        return name;
    }
    // FNV-1a: it has to be the same from run to run, and that is all.
    let hash = row.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{name}-{hash:016x}")
}

/// The record of a trial as a capture in the order of time, each frame with the step that it belongs to.
#[must_use]
pub fn capture(record: &Record, trial: &Trial) -> Capture {
    let steps: Vec<StepRef> = trial.steps.iter().map(|step| StepRef::new(&step.at)).collect();
    let mut frames: Vec<_> = record
        .frames()
        .iter()
        .map(|frame| CapturedFrame {
            at: frame.at,
            direction: if frame.from == Sender::Sut { Direction::Outbound } else { Direction::Inbound },
            bytes: frame.bytes.clone(),
            explained: match frame.explained {
                Explained::No => capture::Explained::No,
                Explained::Automatic => capture::Explained::Automatic,
                Explained::Step(step) => {
                    steps.get(step).cloned().map_or(capture::Explained::No, capture::Explained::Step)
                }
            },
            packet: frame.packet,
        })
        .collect();
    frames.sort_by_key(|frame| frame.at);
    Capture { frames }
}

/// Notes in each packet's journey that it was on the wire, and as which frame of the capture.
pub fn note_wire(journey: &mut Journey, capture: &Capture) {
    for (index, frame) in capture.frames.iter().enumerate() {
        let packet = frame.packet.and_then(|id| journey.packets.get_mut(id.checked_sub(1)? as usize));
        let (Some(packet), Ok(number)) = (packet, u32::try_from(index + 1)) else { continue };
        let place = packet.moments.partition_point(|moment| moment.at <= frame.at);
        let moment = Moment { at: frame.at, cpu: 0, context: "wire", what: What::Wire(number) };
        packet.moments.insert(place, moment);
    }
}

/// Says in full how a trial failed, as people want to see it. The journey must have been noted on the wire.
pub fn explain(
    rig: RigKind,
    trial: &Trial,
    report: &mut TrialReport,
    capture: &Capture,
    kept: Option<PathBuf>,
    again: &Again,
) {
    let super::Verdict::Fail(failure) = &report.verdict else { return };
    let mut full = FullFailure::new(trial, rig, failure.at.as_ref(), &failure.message)
        .on_the_wire(capture)
        .again(again.of(trial, rig));
    full.details.clone_from(&failure.details);
    let wanted = failure.wanted.as_deref();
    if let Some(pattern) = wanted {
        full = full.beside(pattern, capture);
    }
    match (&report.journey, wanted, failure.sent.as_deref()) {
        (Some(journey), Some(pattern), _) => full = full.missing(pattern, journey),
        (Some(journey), None, Some((since, payload))) => full = full.of_a_call(*since, payload, journey),
        _ => {}
    }
    if let Some(path) = kept {
        full = full.kept_in(path);
    }
    report.shown = full.to_string();
}

/// Writes the files of a trial that was run. What an earlier run left in its folder is replaced.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn write(
    out: &Path,
    rig: RigKind,
    trial: &Trial,
    report: &mut TrialReport,
    again: &Again,
) -> io::Result<Capture> {
    let folder = folder(out, rig, trial);
    std::fs::create_dir_all(&folder)
        .map_err(|e| io::Error::new(e.kind(), format!("cannot make {}: {e}", folder.display())))?;
    let capture = capture(&report.record, trial);
    capture::pcapng::write(&folder.join(WIRE), &capture, EPOCH)?;
    if let Some(journey) = &mut report.journey {
        note_wire(journey, &capture);
        capture::journal::write(&folder.join(JOURNEY), &trial.name(), rig.name(), journey)?;
    }
    explain(rig, trial, report, &capture, Some(folder.join(WIRE)), again);
    let result = result(rig, trial, report).to_string() + "\n";
    capture::replace(&folder.join(RESULT), result.as_bytes())?;
    Ok(capture)
}

/// How the trial ended, as `show` reads it.
fn result(rig: RigKind, trial: &Trial, report: &TrialReport) -> serde_json::Value {
    let details = match &report.verdict {
        super::Verdict::Fail(failure) => failure.details.as_slice(),
        _ => &[],
    };
    let counters: BTreeMap<_, BTreeMap<_, _>> = report
        .counters
        .iter()
        .filter(|(_, readings)| !readings.is_empty())
        .map(|(source, readings)| {
            (*source, readings.iter().map(|(key, value)| (key.as_str(), number(value))).collect())
        })
        .collect();
    serde_json::json!({
        "case": trial.name(),
        "rig": rig.name(),
        "about": trial.about,
        "result": report.verdict.word(),
        "why": report.verdict.why(),
        "details": details,
        "counters": counters,
    })
}

fn number(value: &Reading) -> serde_json::Value {
    match value {
        Reading::Number(n) => (*n).into(),
        Reading::Text(text) => text.as_str().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_differ_only_in_what_a_file_system_cannot_hold_have_folders_of_their_own() {
        assert_eq!(file_name("mtu=576,length=549"), "mtu=576,length=549");
        let (a, b) = (file_name("run=tc qdisc a/b"), file_name("run=tc qdisc a:b"));
        assert_ne!(a, b);
        assert!(!a.contains('/') && !a.contains(' '));
    }
}
