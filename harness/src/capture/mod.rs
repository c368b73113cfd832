//! What was on the wire, kept: the frames of a trial, as pcapng, and the journeys of its packets, as JSON.

pub mod journal;
pub mod pcapng;
pub mod read;

use crate::case::model::{Location, Nanos};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// The file by its folder and its name, `udp/one_datagram.yaml`: the same wherever it is run from.
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
            file: in_its_folder(&at.file.path),
            line: at.line,
            text: text.strip_prefix("- ").unwrap_or(text).to_owned(),
        }
    }
}

/// The last folder of a path and the file's name; the folder is looked up where the path does not say it.
fn in_its_folder(path: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let file = name(path).unwrap_or_else(|| path.display().to_string());
    let said = path.parent().and_then(name);
    let folder = said.or_else(|| name(std::fs::canonicalize(path).ok()?.parent()?));
    folder.map_or_else(|| file.clone(), |folder| format!("{folder}/{file}"))
}

impl Capture {
    /// Adds a frame where its time puts it: behind all that are not later. Gives its index.
    pub fn push(&mut self, frame: CapturedFrame) -> usize {
        let index = self.frames.partition_point(|f| f.at <= frame.at);
        self.frames.insert(index, frame);
        index
    }
}

/// Puts a file at a path, whole: another run that writes or reads it at the same time sees the old one or the new one. What is
/// there is unlinked first: to replace an existing file costs milliseconds on ext4, by writing anew as by renaming.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()));
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{number}", std::process::id()));
    let new = path.with_file_name(name);
    let written = std::fs::write(&new, bytes).and_then(|()| match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => std::fs::rename(&new, path),
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written.map_err(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn many_writers_of_one_file_do_not_trouble_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wire.pcapng");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..100 {
                        replace(path, &[writer; 8]).unwrap();
                    }
                });
            }
        });
        assert_eq!(std::fs::read(&path).unwrap().len(), 8);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let error = replace(Path::new("no/such/folder/wire.pcapng"), b"").unwrap_err().to_string();
        assert!(error.starts_with("cannot write no/such/folder/wire.pcapng: "), "{error}");
    }

    #[rstest]
    #[case::as_a_folder_is_run("cases/udp/one_datagram.yaml", "udp/one_datagram.yaml")]
    #[case::from_the_root("/somewhere/cases/udp/one_datagram.yaml", "udp/one_datagram.yaml")]
    #[case::from_beside("../udp/one_datagram.yaml", "udp/one_datagram.yaml")]
    #[case::that_is_not_there("no_such_file.yaml", "no_such_file.yaml")]
    fn a_file_is_named_alike_wherever_it_is_run_from(#[case] path: &str, #[case] named: &str) {
        assert_eq!(in_its_folder(Path::new(path)), named);
    }

    #[test]
    fn the_folder_of_a_file_in_the_working_folder_is_looked_up() {
        // Tests are run in the folder of their package.
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).file_name().unwrap_or_default().to_string_lossy();
        assert_eq!(in_its_folder(Path::new("Cargo.toml")), format!("{folder}/Cargo.toml"));
        assert_eq!(in_its_folder(Path::new("./Cargo.toml")), format!("{folder}/Cargo.toml"));
    }
}
