//! The folder of a trial: where programs of a real peer work, and what our own applications serve and save.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

/// A folder by its descriptor, so that it can lie in another mount namespace than that of the thread that uses it.
#[derive(Clone, Debug)]
pub struct Folder {
    folder: Option<Arc<OwnedFd>>,
}

impl Folder {
    /// The folder with this path.
    ///
    /// # Errors
    /// As open(2).
    pub fn open(path: &str) -> Result<Self> {
        Ok(Self { folder: Some(Arc::new(File::open(path)?.into())) })
    }

    /// One in which nothing is, and nothing can be written.
    #[must_use]
    pub fn nowhere() -> Self {
        Self { folder: None }
    }

    /// Whether a name is that of a file in the folder itself.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
    }

    /// A file to be read.
    ///
    /// # Errors
    /// InvalidInput for what is not a plain name; as open(2).
    pub fn read(&self, name: &str) -> Result<File> {
        let file = File::open(self.path(name)?)?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(Error::from(ErrorKind::InvalidInput)) }
    }

    /// A file to be written, empty at first.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn create(&self, name: &str) -> Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.path(name)?)
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.as_ref().ok_or_else(|| Error::from(ErrorKind::NotFound))?;
        if !Self::is_name(name) {
            return Err(Error::from(ErrorKind::InvalidInput));
        }
        Ok(PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::io::{Read, Write};

    #[test]
    fn what_is_written_is_read() {
        let place = tempfile::tempdir().expect("there is room for a folder");
        let folder = Folder::open(&place.path().to_string_lossy()).expect("it is there");
        folder.create("a").expect("it can be made").write_all(b"text").expect("there is room");
        let mut text = String::new();
        folder.read("a").expect("it is there").read_to_string(&mut text).expect("it is text");
        assert_eq!(text, "text");
    }

    #[rstest]
    #[case::above("../etc/passwd")]
    #[case::elsewhere("/etc/passwd")]
    #[case::below("a/b")]
    #[case::nothing("")]
    #[case::hidden(".out")]
    fn a_name_does_not_lead_out_of_the_folder(#[case] name: &str) {
        let place = tempfile::tempdir().expect("there is room for a folder");
        let folder = Folder::open(&place.path().to_string_lossy()).expect("it is there");
        assert_eq!(folder.read(name).expect_err("it is no name").kind(), ErrorKind::InvalidInput);
    }
}
