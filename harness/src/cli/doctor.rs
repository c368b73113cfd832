//! `wireproof doctor`: what a rig needs, what of it is here, and the command that gets the rest.

use super::CANNOT;
use crate::case::model::RigKind;
use crate::report::output::put;
use crate::rig::linux::doctor::{Finding, doctor as linux};
use clap::ValueEnum as _;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The first release of QEMU with `-device igb`.
const QEMU_WITH_IGB: u32 = 8;
/// How long a program may take to tell its version.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// Tells about one rig, or about all. The exit status is 2 when one rig was asked for and cannot run.
///
/// # Errors
/// When nothing can be printed.
pub fn run(rig: Option<RigKind>) -> io::Result<u8> {
    let mut out = String::new();
    let rigs = rig.map_or_else(|| RigKind::value_variants().to_vec(), |rig| vec![rig]);
    let mut usable = true;
    for kind in rigs {
        let findings = findings(kind);
        let ready = match kind {
            // Which ports there are to take only the description of a lab says.
            RigKind::Vfio => findings.iter().all(|finding| finding.ok),
            _ => crate::run::rigs::factory(kind, &crate::run::rigs::With::default()).is_ok(),
        };
        usable &= ready;
        let _ = writeln!(out, "{}: {}", kind.name(), if ready { "ready" } else { "not ready" });
        for finding in findings {
            let mark = if finding.ok { "ok     " } else { "missing" };
            let _ = writeln!(out, "  {mark} {}: {}", finding.what, finding.detail);
            if let (false, Some(remedy)) = (finding.ok, finding.remedy) {
                let _ = writeln!(out, "          get it with: {remedy}");
            }
        }
    }
    put(&out)?;
    Ok(if rig.is_some() && !usable { CANNOT } else { 0 })
}

fn findings(kind: RigKind) -> Vec<Finding> {
    match kind {
        RigKind::Emu => {
            vec![finding("everything", true, "it is part of this program; nothing else is needed", None)]
        }
        RigKind::Linux => linux(),
        RigKind::Qemu => vec![qemu(), not_built()],
        RigKind::Vfio => crate::rig::vfio::doctor::doctor(),
    }
}

fn finding(what: &str, ok: bool, detail: &str, remedy: Option<&str>) -> Finding {
    Finding { what: what.to_owned(), ok, detail: detail.to_owned(), remedy: remedy.map(str::to_owned) }
}

fn not_built() -> Finding {
    finding("the rig itself", false, "not built yet in this version of wireproof", None)
}

/// QEMU, in a version that has igb.
fn qemu() -> Finding {
    let what_is_needed = format!("qemu-system-x86_64 {QEMU_WITH_IGB} or newer with -device igb");
    let install = "apt-get install qemu-system-x86";
    let version = match said("qemu-system-x86_64", &["--version"], ANSWER_BOUND) {
        Ok(version) => version,
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            let what = format!("installed, but gave no version within {ANSWER_BOUND:?}");
            return finding(&what_is_needed, false, &what, Some(install));
        }
        Err(_) => return finding(&what_is_needed, false, "not installed", Some(install)),
    };
    let version = version.lines().next().unwrap_or_default().to_owned();
    let devices = said("qemu-system-x86_64", &["-device", "help"], ANSWER_BOUND).unwrap_or_default();
    if devices.contains("\"igb\"") {
        finding(&what_is_needed, true, &version, None)
    } else {
        finding(&what_is_needed, false, &format!("{version}, without igb"), Some(install))
    }
}

/// What a program prints. One that does not end in time is killed.
fn said(program: &str, arguments: &[&str], bound: Duration) -> io::Result<String> {
    let mut printed = tempfile::tempfile()?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(printed.try_clone()?)
        .stderr(Stdio::null())
        .spawn()?;
    let begin = Instant::now();
    while child.try_wait()?.is_none() {
        if begin.elapsed() > bound {
            let _ = child.kill();
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

    #[test]
    fn what_a_program_prints_is_read_whole() {
        assert_eq!(said("echo", &["one", "two"], ANSWER_BOUND).unwrap(), "one two\n");
    }

    #[test]
    fn a_program_that_does_not_end_is_not_waited_for() {
        let error = said("sleep", &["600"], Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
