//! The guest's image: built when it is stale, once in a run.

use std::ffi::OsString;
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

fn build() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os(NAMED) {
        let path = PathBuf::from(named);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(format!("{NAMED} names {}, and there is no such file", path.display()))
        };
    }
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if !tree.join("stack-under-test/guest/Cargo.toml").is_file() {
        return Err(format!(
            "the guest's sources are gone; set {NAMED} to an image that was built from them"
        ));
    }
    let target = tree.join("target");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
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
    let output =
        command.output().map_err(|error| format!("the guest's image cannot be built: cargo: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the guest's image does not build:\n{}", said.trim_end()));
    }
    Ok(target.join("guest/wireproof-guest"))
}
