//! The QEMU of this machine: where it is, which version, and whether it has what the rig needs.

use crate::rig::linux::{command, ioctl};
use crate::rig::stop;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{self, ErrorKind, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The program.
pub const PROGRAM: &str = "qemu-system-x86_64";
/// The first release of QEMU with `-device igb`.
pub const WITH_IGB: u32 = 8;
/// What gets it on Debian.
pub const INSTALL: &str = "apt-get install qemu-system-x86 (Debian 12: from bookworm-backports)";
/// How virtual machines are had from the kernel.
pub const KVM: &str = "/dev/kvm";
/// How long a program may take to tell its version.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// A QEMU that can run the guest.
#[derive(Clone, Debug)]
pub struct Qemu {
    /// Where it is.
    pub path: PathBuf,
    /// Its version, as `10.0.2`.
    pub version: String,
}

/// The QEMU of this machine.
///
/// # Errors
/// Why there is none that would do.
pub fn find() -> Result<Qemu, String> {
    let path = command::find(PROGRAM).ok_or_else(|| {
        format!("{PROGRAM} is not installed; version {WITH_IGB} or newer is needed: {INSTALL}")
    })?;
    let banner = said(&path, &["--version"], ANSWER_BOUND).map_err(|error| match error.kind() {
        ErrorKind::TimedOut => format!("{PROGRAM} gave no version within {ANSWER_BOUND:?}"),
        _ => format!("{PROGRAM} cannot be run: {error}"),
    })?;
    let version = version_in(&banner).ok_or_else(|| format!("{PROGRAM} gave no version that can be read"))?;
    let devices = said(&path, &["-device", "help"], ANSWER_BOUND).unwrap_or_default();
    if !devices.contains("\"igb\"") {
        return Err(format!("QEMU {version} has no igb; {WITH_IGB} or newer has it: {INSTALL}"));
    }
    if is_too_old(&version) {
        return Err(format!(
            "QEMU {version} is too old: its igb is not that of a release, which came with {WITH_IGB}.0; {WITH_IGB} or newer is needed: \
             {INSTALL}"
        ));
    }
    Ok(Qemu { path, version })
}

/// Whether the kernel lets this user have virtual machines.
///
/// # Errors
/// Why not, and what would change it.
pub fn kvm() -> Result<(), String> {
    let opened = std::fs::OpenOptions::new().read(true).write(true).open(KVM);
    opened.map(drop).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("there is no {KVM}: this machine has no virtualisation, or hides it"),
        ErrorKind::PermissionDenied => {
            format!("{KVM} may not be opened; `sudo usermod -aG kvm $USER`, and a new login, allow it")
        }
        _ => format!("{KVM} cannot be opened: {error}"),
    })
}

/// `QEMU emulator version 10.0.2 (Debian …)`.
fn version_in(banner: &str) -> Option<String> {
    let (_, rest) = banner.split_once(" version ")?;
    let version: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    (!version.is_empty()).then_some(version)
}

/// Whether this is the version of a release without igb.
fn is_too_old(version: &str) -> bool {
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_none_or(|major| major < WITH_IGB)
}

/// What a program prints. One that does not end in time is killed, and what it has started with it.
fn said(program: &Path, arguments: &[&str], bound: Duration) -> io::Result<String> {
    let mut printed = tempfile::tempfile()?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(printed.try_clone()?)
        .stderr(Stdio::null())
        // It may be a script: a group of their own, which ends as one.
        .process_group(0);
    ioctl::die_with_parent(&mut command);
    let mut child = command.spawn()?;
    let begin = Instant::now();
    while child.try_wait()?.is_none() {
        if begin.elapsed() > bound || stop::wanted() {
            if let Ok(group) = i32::try_from(child.id()) {
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
            let _ = child.wait();
            return Err(ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut bytes = Vec::new();
    printed.rewind()?;
    printed.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn what_a_program_prints_is_read_whole() {
        assert_eq!(said(Path::new("echo"), &["one", "two"], ANSWER_BOUND).unwrap(), "one two\n");
    }

    #[test]
    fn a_program_that_does_not_end_is_not_waited_for() {
        let error = said(Path::new("sleep"), &["600"], Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn what_a_script_has_started_ends_with_it() {
        let mark = format!("{}.5", 600_000 + std::process::id());
        let script = format!("/bin/sleep {mark} & wait");
        let error = said(Path::new("/bin/sh"), &["-c", &script], Duration::from_millis(300)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let sleeps = || {
            let numbers = std::fs::read_dir("/proc").unwrap().flatten();
            { numbers }.any(|entry| {
                let words = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
                words.starts_with("/bin/sleep\0") && words.contains(&mark)
            })
        };
        let begin = Instant::now();
        while sleeps() {
            assert!(begin.elapsed() < Duration::from_secs(5), "it was left behind");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[rstest]
    #[case::the_last_without("7.2.0", true)]
    #[case::the_first_with("8.0.0", false)]
    #[case::two_digits("10.0.2", false)]
    #[case::no_number(".", true)]
    fn a_release_before_igb_is_too_old(#[case] version: &str, #[case] too_old: bool) {
        assert_eq!(is_too_old(version), too_old);
    }

    #[rstest]
    #[case::of_debian(
        "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\n",
        Some("10.0.2")
    )]
    #[case::plain("QEMU emulator version 8.2.91\n", Some("8.2.91"))]
    #[case::of_another_program("ld version\n", None)]
    #[case::nothing("", None)]
    fn the_version_is_read_from_the_banner(#[case] banner: &str, #[case] version: Option<&str>) {
        assert_eq!(version_in(banner).as_deref(), version);
    }
}
