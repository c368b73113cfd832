//! Inputs that are kept: findings that were fixed, and inputs that show much.

use super::Target;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Where inputs are kept, a folder for each target.
pub const FOLDER: &str = "fixtures/fuzz";

/// The inputs of a target in `folder`, in the order of their names.
///
/// # Errors
/// When the folder, or a file of it, cannot be read.
pub fn read(folder: &Path, target: Target) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let folder = folder.join(target.name());
    let files = fs::read_dir(&folder).map_err(|error| at(&folder, &error))?;
    let mut paths = files.map(|file| Ok(file?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "bin"));
    paths.sort();
    let read = |path: PathBuf| match fs::read(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(error) => Err(at(&path, &error)),
    };
    paths.into_iter().map(read).collect()
}

/// Keeps an input under a name in `folder`; gives where.
///
/// # Errors
/// When it cannot be written.
pub fn keep(folder: &Path, target: Target, name: &str, input: &[u8]) -> io::Result<PathBuf> {
    let folder = folder.join(target.name());
    fs::create_dir_all(&folder).map_err(|error| at(&folder, &error))?;
    let path = folder.join(format!("{name}.bin"));
    fs::write(&path, input).map_err(|error| at(&path, &error))?;
    Ok(path)
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
