//! `wireproof doctor`: what a rig needs, what of it is here, and the command that gets the rest.

use super::CANNOT;
use crate::case::model::RigKind;
use crate::rig::linux::doctor::{Finding, doctor as linux};
use clap::ValueEnum as _;
use std::io::{self, Write as _};
use std::process::Command;

/// The first release of QEMU with `-device igb`.
const QEMU_WITH_IGB: u32 = 8;

/// Tells about one rig, or about all. The exit status is 2 when one rig was asked for and cannot run.
///
/// # Errors
/// When nothing can be printed.
pub fn run(rig: Option<RigKind>) -> io::Result<u8> {
    let mut out = io::stdout().lock();
    let rigs = rig.map_or_else(|| RigKind::value_variants().to_vec(), |rig| vec![rig]);
    let mut usable = true;
    for kind in rigs {
        let findings = findings(kind);
        let ready = crate::run::rigs::factory(kind).is_ok();
        usable &= ready;
        writeln!(out, "{}: {}", kind.name(), if ready { "ready" } else { "not ready" })?;
        for finding in findings {
            let mark = if finding.ok { "ok     " } else { "missing" };
            writeln!(out, "  {mark} {}: {}", finding.what, finding.detail)?;
            if let (false, Some(remedy)) = (finding.ok, finding.remedy) {
                writeln!(out, "          get it with: {remedy}")?;
            }
        }
    }
    Ok(if rig.is_some() && !usable { CANNOT } else { 0 })
}

fn findings(kind: RigKind) -> Vec<Finding> {
    match kind {
        RigKind::Emu => {
            vec![finding("everything", true, "it is part of this program; nothing else is needed", None)]
        }
        RigKind::Linux => linux(),
        RigKind::Qemu => vec![qemu(), not_built()],
        RigKind::Vfio => vec![iommu(), not_built()],
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
    let what = format!("qemu-system-x86_64 {QEMU_WITH_IGB} or newer with -device igb");
    let install = "apt-get install qemu-system-x86";
    let said = |arguments: &[&str]| {
        let output = Command::new("qemu-system-x86_64").args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(version) = said(&["--version"]) else {
        return finding(&what, false, "not installed", Some(install));
    };
    let version = version.lines().next().unwrap_or_default().to_owned();
    let devices = said(&["-device", "help"]).unwrap_or_default();
    if devices.contains("\"igb\"") {
        finding(&what, true, &version, None)
    } else {
        finding(&what, false, &format!("{version}, without igb"), Some(install))
    }
}

/// An IOMMU that gives groups of devices.
fn iommu() -> Finding {
    let groups = std::fs::read_dir("/sys/kernel/iommu_groups").map_or(0, Iterator::count);
    let what = "an IOMMU";
    if groups > 0 {
        finding(what, true, &format!("{groups} groups"), None)
    } else {
        finding(
            what,
            false,
            "no IOMMU groups",
            Some("boot with intel_iommu=on or amd_iommu=on on a machine that has one"),
        )
    }
}
