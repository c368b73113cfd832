//! The guest's image: built when it is stale, once in a run.

use crate::rig::linux::{command, ioctl};
use guest::protocol::PROTOCOL;
use nix::unistd::{AccessFlags, access};
use object::{Object as _, ObjectSection as _, SectionKind};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Names an image to boot in place of the one that is built.
const NAMED: &str = "WIREPROOF_GUEST";
/// What must not reach the build: it is a program for the bare machine, not for this one.
const NOT_FOR_IT: [&str; 6] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_PROFILE_RELEASE_DEBUG",
    "CARGO_TARGET_DIR",
];

/// The image, built anew where its sources are newer.
///
/// # Errors
/// Why there is none, and what would get it.
pub fn image() -> Result<&'static Path, String> {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    IMAGE.get_or_init(build).as_deref().map_err(Clone::clone)
}

/// Where the image comes from, without building it, for people.
///
/// # Errors
/// Why it can come from nowhere.
pub fn source() -> Result<String, String> {
    if let Some(named) = std::env::var_os(NAMED) {
        let path = PathBuf::from(named);
        return is_image(&path).map(|()| format!("{NAMED} names {}", path.display()));
    }
    let tree = tree()?;
    let cargo = cargo();
    let name = cargo.to_string_lossy();
    let Some(cargo) = command::find(&name) else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let why = forbidden(&name, std::env::split_paths(&path))
            .unwrap_or_else(|| "is not installed, or not in PATH".to_owned());
        return Err(format!("cargo, which builds it, {why}; and {NAMED} names no image"));
    };
    let target = tree.join("target");
    if target.exists() && access(&target, AccessFlags::W_OK).is_err() {
        return Err(format!(
            "{} may not be written by this user, so that cargo cannot build it there; and {NAMED} names no image",
            target.display()
        ));
    }
    Ok(format!("{} builds it where its sources are newer", cargo.display()))
}

/// That a program may be there, but not for this user: in one of the folders, or, where the name is a path, there.
fn forbidden(name: &str, folders: impl Iterator<Item = PathBuf>) -> Option<String> {
    let places: Vec<PathBuf> = if name.contains('/') {
        vec![name.into()]
    } else {
        folders.map(|folder| folder.join(name)).collect()
    };
    places.iter().find_map(|place| match place.metadata() {
        Ok(file) if file.is_file() => {
            Some(format!("is {}, which this user may not execute", place.display()))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Some(format!("may be {}, where this user may not look", place.display()))
        }
        _ => None,
    })
}

/// Whether a file can be booted, and is a guest that speaks as this program does: it says so in a note of its own.
fn is_image(path: &Path) -> Result<(), String> {
    let wrong = |why: String| format!("{NAMED} names {}, {why}", path.display());
    let bytes = std::fs::read(path).map_err(|error| wrong(format!("which cannot be read: {error}")))?;
    let file = object::File::parse(&*bytes).map_err(|_| wrong("which is no ELF image".to_owned()))?;
    let make = "cargo build -p guest --profile guest --features image";
    match speaks(&file) {
        Some(protocol) if protocol == PROTOCOL.as_bytes() => Ok(()),
        Some(protocol) => Err(wrong(format!(
            "which was built from another tree: it speaks the protocol {}, and this program {PROTOCOL}; `{make}` builds both from one",
            String::from_utf8_lossy(&protocol)
        ))),
        None => Err(wrong(format!("which is no guest of wireproof; `{make}` builds one"))),
    }
}

/// The protocol that an image speaks, from its note. `None`: it has none.
fn speaks(file: &object::File<'_>) -> Option<Vec<u8>> {
    let notes = file.sections().filter(|section| section.kind() == SectionKind::Note);
    notes.filter_map(|section| section.data().ok()).find_map(note)
}

/// The description of our note among those of a section: sizes of name and description, kind, and both, each padded to 4 bytes
/// (System V ABI, "Note Section").
fn note(mut notes: &[u8]) -> Option<Vec<u8>> {
    while let Some((header, rest)) = notes.split_at_checked(12) {
        let size = |at: usize| {
            let word = header.get(at..at + 4).and_then(|word| word.first_chunk::<4>())?;
            usize::try_from(u32::from_le_bytes(*word)).ok()
        };
        let (name, rest) = rest.split_at_checked(size(0)?.checked_next_multiple_of(4)?)?;
        let described = size(4)?;
        let (description, rest) = rest.split_at_checked(described.checked_next_multiple_of(4)?)?;
        if name.starts_with(b"wireproof\0") {
            return description.get(..described).map(<[u8]>::to_vec);
        }
        notes = rest;
    }
    None
}

/// The sources.
fn tree() -> Result<PathBuf, String> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if tree.join("stack-under-test/guest/Cargo.toml").is_file() {
        return Ok(tree);
    }
    Err(format!("the guest's sources are gone; set {NAMED} to an image that was built from them"))
}

fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))
}

fn build() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os(NAMED) {
        let path = PathBuf::from(named);
        return is_image(&path).map(|()| path);
    }
    let tree = tree()?;
    let target = tree.join("target");
    let mut command = Command::new(cargo());
    command
        .current_dir(&tree)
        .args([
            "build",
            "--locked",
            "--quiet",
            "--package",
            "guest",
            "--profile",
            "guest",
            "--features",
            "image",
        ])
        .arg("--target-dir")
        .arg(&target)
        .stdin(Stdio::null());
    for variable in NOT_FOR_IT {
        command.env_remove(variable);
    }
    ioctl::die_with_parent(&mut command);
    let output = command.output().map_err(|error| {
        format!("the guest's image cannot be built: cargo: {error}; install Rust's stable toolchain, or set {NAMED} to an image")
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the guest's image does not build:\n{}", said.trim_end()));
    }
    Ok(target.join("guest/wireproof-guest"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// A note with this name and description.
    fn made(name: &[u8], description: &[u8]) -> Vec<u8> {
        let padded = |bytes: &[u8]| [bytes, &vec![0; bytes.len().next_multiple_of(4) - bytes.len()]].concat();
        let sizes = [name.len() as u32, description.len() as u32, 1].map(u32::to_le_bytes).concat();
        [sizes, padded(name), padded(description)].concat()
    }

    #[test]
    fn the_protocol_of_an_image_stands_in_its_own_note_behind_others() {
        let notes = [made(b"Xen\0", &[1, 2, 3, 4]), made(b"wireproof\0", b"abcde")].concat();
        assert_eq!(note(&notes).as_deref(), Some(&b"abcde"[..]));
        assert_eq!(note(&made(b"GNU\0", &[0; 20])), None);
        assert_eq!(note(&notes[..notes.len() - 4]), None, "it is cut off");
        assert_eq!(note(&[0xff; 64]), None, "sizes beyond the section");
    }

    #[test]
    fn a_program_that_may_not_be_executed_is_not_called_missing() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let here = || [PathBuf::from("/no/such/folder"), folder.path().to_owned()].into_iter();
        assert_eq!(forbidden("cargo", here()), None);
        std::fs::write(folder.path().join("cargo"), "").expect("it can be written");
        let told = format!("is {}, which this user may not execute", folder.path().join("cargo").display());
        assert_eq!(forbidden("cargo", here()), Some(told.clone()));
        let path = folder.path().join("cargo").display().to_string();
        assert_eq!(forbidden(&path, std::iter::empty()), Some(told));
    }

    #[test]
    fn a_program_that_is_no_guest_is_told() {
        let program = std::env::current_exe().expect("this one");
        let why = is_image(&program).unwrap_err();
        assert!(why.contains("which is no guest of wireproof"), "{why}");
    }

    #[rstest]
    #[case::what_is_not_there("no-such-file", "which cannot be read: No such file")]
    #[case::a_text("Cargo.toml", "which is no ELF image")]
    fn what_is_no_image_is_told_before_it_is_booted(#[case] name: &str, #[case] told: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let why = is_image(&path).unwrap_err();
        assert!(why.starts_with("WIREPROOF_GUEST names ") && why.contains(told), "{why}");
    }
}
