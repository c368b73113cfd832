//! Where a run leaves things: looked at before it begins, so that no run ends with nothing kept.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes the folder, and tries to write there and to the JUnit file (which is left as it is, or empty).
///
/// # Errors
/// What cannot be written, why, and what to do about it.
pub(super) fn writable(out: &Path, junit: Option<&Path>) -> Result<(), String> {
    let tried = fs::create_dir_all(out).and_then(|()| tempfile::tempfile_in(out).map(drop));
    tried.map_err(|error| told("--out", "folder", out, &error))?;
    let Some(junit) = junit else { return Ok(()) };
    let folder = junit.parent().map_or(Ok(()), fs::create_dir_all);
    let tried = folder.and_then(|()| File::options().append(true).create(true).open(junit).map(drop));
    tried.map_err(|error| told("--junit", "file", junit, &error))
}

fn told(option: &str, what: &str, path: &Path, error: &io::Error) -> String {
    let path = path.display();
    format!(
        "cannot write to the {what} {path}: {error}; nothing ran. Name another with {option}, or make it writable"
    )
}
