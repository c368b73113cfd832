//! Files of cases: found, read within limits, kept.

use super::model::SourceFile;
use super::problem::{Problem, Span};
use super::yaml::{Node, parse};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// The largest file in bytes.
pub const FILE_BYTES: u64 = 1 << 20;
/// What is kept of a file that is too large, in bytes: enough to show its first line.
const BEGINNING: usize = 4096;
/// The help for what is no file that can be read.
const READABLE: &str = "a case is a file of text that you may read";
/// Folders inside of each other.
const FOLDERS: usize = 16;
/// Files of one call.
const FILES: usize = 100_000;

/// Every file that was read, as a tree of nodes.
#[derive(Debug, Default)]
pub struct Files {
    known: BTreeMap<PathBuf, Result<Rc<Node>, Vec<Problem>>>,
}

impl Files {
    /// Reads a file once. Gives its canonical path, by which circles are found.
    ///
    /// # Errors
    /// Everything that keeps it from being read; at `from`, if another file names it.
    pub fn read(&mut self, path: &Path, from: Option<&Span>) -> Result<(PathBuf, Rc<Node>), Vec<Problem>> {
        let shown = tidy(path);
        let about = |message: String| {
            from.map_or_else(|| Problem::new(message.clone()), |span| Problem::at(span, message.clone()))
        };
        let canonical = match fs::canonicalize(&shown) {
            Ok(path) => path,
            Err(error) => {
                return Err(vec![unreadable(
                    about(format!("cannot read `{}`: {error}", shown.display())),
                    from,
                )]);
            }
        };
        if !self.known.contains_key(&canonical) {
            let read = text(&shown).map_err(|(message, help)| vec![about(message).help(help)]);
            let tree = read.and_then(|file| match file {
                Ok(file) => parse(&file).map(Rc::new),
                Err(problem) => Err(vec![problem]),
            });
            self.known.insert(canonical.clone(), tree);
        }
        match self.known.get(&canonical) {
            Some(Ok(tree)) => Ok((canonical, Rc::clone(tree))),
            Some(Err(problems)) => Err(problems.clone()),
            None => Err(Vec::new()),
        }
    }
}

fn unreadable(problem: Problem, from: Option<&Span>) -> Problem {
    problem.help(match from {
        Some(_) => "the path is relative to the file that includes it",
        None => "is it there, and may you read it?",
    })
}

/// A message with its help.
type Told = (String, &'static str);

/// The text of a file. The outer error has no place in the file, the inner one has.
fn text(path: &Path) -> Result<Result<Arc<SourceFile>, Problem>, Told> {
    let shown = path.display();
    let cannot = |error: std::io::Error| (format!("cannot read `{shown}`: {error}"), READABLE);
    let about = fs::metadata(path).map_err(cannot)?;
    if !about.is_file() {
        return Err((format!("`{shown}` is not a file"), READABLE));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(cannot)?;
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES {
        let mib = about.len().div_ceil(1 << 20);
        bytes.truncate(BEGINNING);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let end = text.len();
        let file = Arc::new(SourceFile { path: path.to_owned(), text });
        let message = format!("`{shown}` has {mib} MiB; the limit for a case is 1 MiB");
        return Ok(Err(Problem::at(&Span::of(&file, 0, end), message).label("it begins here").help(
            "make several cases of it; a long payload is written as `{pattern: counting, length: …}`",
        )));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Ok(Arc::new(SourceFile { path: path.to_owned(), text })),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let file = Arc::new(SourceFile { path: path.to_owned(), text });
            let bad = Span::of(&file, at, at + '\u{fffd}'.len_utf8());
            Err(Problem::at(&bad, "this is not UTF-8")
                .label("not a character")
                .help("save the file as UTF-8; bytes of a payload are written as `{hex: \"…\"}`"))
        }
    })
}

/// The path without `.` and without `folder/..`.
fn tidy(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

/// The files of cases under these paths: `*.yaml`, sorted by name within a folder; what begins with `_` is there only to be
/// included.
///
/// # Errors
/// Paths that are not there, folders without a case.
pub fn discover(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Vec<Problem>> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let before = found.len();
        match fs::metadata(path) {
            Ok(about) if about.is_dir() => {
                if let Err(problem) = folder(path, 0, &mut found) {
                    problems.push(problem);
                } else if found.len() == before {
                    let message = format!("there is no case in `{}`", path.display());
                    problems.push(
                        Problem::new(message)
                            .help("a case is a file `*.yaml` whose name does not begin with `_`"),
                    );
                }
            }
            Ok(_) => found.push(path.clone()),
            Err(error) => problems.push(
                Problem::new(format!("cannot read `{}`: {error}", path.display()))
                    .help("name a case (`cases/udp/one_datagram.yaml`) or a folder of cases"),
            ),
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|path| seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

fn folder(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Problem> {
    let cannot = |error: std::io::Error| {
        Problem::new(format!("cannot read `{}`: {error}", path.display())).help("may you read it?")
    };
    if depth > FOLDERS || found.len() > FILES {
        let limit = format!("`{}`: more than {FOLDERS} folders deep or {FILES} files", path.display());
        return Err(Problem::new(limit).help("is a link circular?"));
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(cannot)? {
        entries.push(entry.map_err(cannot)?.path());
    }
    entries.sort();
    for entry in entries {
        let name = entry.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with(['_', '.']) {
            continue;
        }
        if entry.is_dir() {
            folder(&entry, depth + 1, found)?;
        } else if entry.extension().is_some_and(|extension| extension == "yaml") {
            found.push(entry);
        }
    }
    Ok(())
}

/// `ip/fragments`: the folder and the stem of a file.
#[must_use]
pub fn case_name(path: &Path) -> String {
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let parent = fs::canonicalize(path).ok().and_then(|path| path.parent().map(Path::to_path_buf));
    match parent.as_deref().and_then(Path::file_name) {
        Some(folder) => format!("{}/{stem}", folder.to_string_lossy()),
        None => stem,
    }
}
