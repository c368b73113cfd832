//! `wireproof doctor`: what a rig needs, what of it is here, and the command that gets the rest.

use super::args::DoctorArguments;
use super::{CANNOT, stop};
use crate::case::model::RigKind;
use crate::report::output::{complain, put};
use crate::rig::linux::doctor::{Finding, doctor as linux};
use crate::rig::linux::lab::{self, file::LabFile};
use crate::rig::qemu::{acceleration, image, program};
use clap::ValueEnum as _;
use std::fmt::Write as _;
use std::io;

/// Puts back what is left, where it is to; tells about one rig, or about all. The exit status is 2 when one rig was asked for and
/// cannot run, and when something could not be put back.
///
/// # Errors
/// When nothing can be printed.
pub fn run(arguments: &DoctorArguments) -> io::Result<u8> {
    let repaired = if arguments.repair { repair()? } else { 0 };
    if arguments.repair && arguments.rig.is_none() {
        return Ok(repaired);
    }
    let lab = match arguments.lab.as_deref().map(LabFile::read).transpose() {
        Ok(lab) => lab,
        Err(problems) => {
            complain(&format!("the lab cannot be used:\n{problems}"));
            return Ok(CANNOT);
        }
    };
    if lab.is_some() {
        if !matches!(arguments.rig, Some(RigKind::Vfio | RigKind::Linux)) {
            complain("only linux and vfio have a lab: wireproof doctor --rig vfio --lab FILE");
            return Ok(CANNOT);
        }
        // Ports that are taken for a frame are given back before the process ends.
        stop::on_signal();
    }
    Ok(tell(arguments.rig, lab.as_ref())?.max(repaired))
}

/// Puts back the ports of runs that were killed.
fn repair() -> io::Result<u8> {
    let left = lab::left();
    if !left.is_empty() && !nix::unistd::geteuid().is_root() {
        complain(&left.join("\n"));
        complain("to put them back takes root: sudo wireproof doctor --repair");
        return Ok(CANNOT);
    }
    let done = lab::recover();
    if done.is_empty() {
        put("no run that was killed has left a port\n")?;
    }
    let wrong = done.iter().any(Result::is_err);
    for line in done {
        match line {
            Ok(told) => put(&format!("{told}\n"))?,
            Err(why) => complain(&why),
        }
    }
    if wrong {
        complain(
            "not all could be put back; as root, in the first network namespace: sudo wireproof doctor --repair",
        );
    }
    Ok(if wrong { CANNOT } else { 0 })
}

fn tell(rig: Option<RigKind>, lab: Option<&LabFile>) -> io::Result<u8> {
    let mut out = String::new();
    let rigs = rig.map_or_else(|| RigKind::value_variants().to_vec(), |rig| vec![rig]);
    let mut usable = true;
    for kind in rigs {
        let findings = findings(kind, lab);
        // Which ports there are to take only the description of a lab says.
        let missing = match kind {
            RigKind::Vfio => None,
            _ => crate::run::rigs::factory(kind, &crate::run::rigs::With::default()).err(),
        };
        let all_found = findings.iter().all(|finding| finding.ok);
        // What the linux rig lacks may be what few cases need; a lab has to be whole.
        let lab_is_right = findings.iter().all(|finding| finding.ok || !finding.is_of_a_lab());
        let ready = missing.is_none() && (kind != RigKind::Vfio || all_found) && lab_is_right;
        usable &= ready;
        let _ = writeln!(out, "{}: {}", kind.name(), if ready { "ready" } else { "not ready" });
        if let Some(why) = missing.filter(|_| all_found) {
            let _ = writeln!(out, "  missing {why}");
        }
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

fn findings(kind: RigKind, lab: Option<&LabFile>) -> Vec<Finding> {
    match kind {
        RigKind::Emu => {
            vec![finding("everything", true, "it is part of this program; nothing else is needed", None)]
        }
        RigKind::Linux => linux(lab),
        RigKind::Qemu => qemu(),
        RigKind::Vfio => crate::rig::vfio::doctor::doctor(lab),
    }
}

fn finding(what: &str, ok: bool, detail: &str, remedy: Option<&str>) -> Finding {
    Finding { what: what.to_owned(), ok, detail: detail.to_owned(), remedy: remedy.map(str::to_owned) }
}

/// What the qemu rig needs, and what it can make use of.
fn qemu() -> Vec<Finding> {
    let what = format!("{} {} or newer with -device igb", program::PROGRAM, program::WITH_IGB);
    let qemu = program::find();
    let found = match &qemu {
        Ok(qemu) => finding(&what, true, &format!("version {}, {}", qemu.version, qemu.path.display()), None),
        Err(why) => finding(&what, false, why, Some(program::INSTALL)),
    };
    let acceleration = format!("tcg, which is the default; --accel kvm {}", kvm(qemu.as_ref().ok()));
    let image = match image::source() {
        Ok(source) => finding("the guest's image", true, &source, None),
        Err(why) => {
            let remedy = "rustup's stable toolchain: https://rustup.rs; or WIREPROOF_GUEST names an image that was built elsewhere";
            finding("the guest's image", false, &why, Some(remedy))
        }
    };
    vec![found, finding("acceleration", true, &acceleration, None), image]
}

/// Whether KVM can run the guest. TCG is part of QEMU: acceleration is never missing.
fn kvm(qemu: Option<&program::Qemu>) -> String {
    if let Err(why) = program::kvm() {
        return format!("cannot be had: {why}");
    }
    match (qemu, image::image()) {
        (Some(qemu), Ok(image)) => match acceleration::try_kvm(qemu, image, acceleration::BOOT) {
            Ok(()) => "can be had: it boots the guest".to_owned(),
            Err(why) => format!("cannot be had: {why}"),
        },
        (None, _) => format!("was not tried: {} opens, and there is no QEMU", program::KVM),
        (_, Err(_)) => format!("was not tried: {} opens, and there is no image to boot", program::KVM),
    }
}
