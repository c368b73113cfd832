//! The doctor's look at a lab: its ports are taken as by a run, a frame goes through the cable each way, and they are given back.

use super::super::doctor::Finding;
use super::file::LabFile;
use super::{Lab, left, link};

/// Findings of a lab, by what they are about.
pub const PORTS: &str = "the ports of the lab";
/// Whether it is in the right ports.
pub const CABLE: &str = "the cable";
/// Of both ports.
pub const SPEED: &str = "the link's speed";

/// What is to be told of the cable and the speed of a lab whose ports both have a driver of the kernel. It may take seconds, as
/// links do.
#[must_use]
pub fn findings(file: &LabFile, rig: &str) -> Vec<Finding> {
    let untried = |why: &str, remedy: String| vec![finding(CABLE, Err((why.to_owned(), remedy)))];
    if !nix::unistd::geteuid().is_root() {
        let remedy = format!("sudo wireproof doctor --rig {rig} --lab FILE");
        return untried("not tried: that takes root", remedy);
    }
    if !left().is_empty() {
        return untried("not tried: see above", "sudo wireproof doctor --repair".to_owned());
    }
    match Lab::open(&LabFile { speed: None, ..file.clone() }) {
        Ok(mut lab) => {
            let (port, wire) = (&file.port, &file.wire);
            let proved = format!("a frame from {port} came to {wire}, and one from {wire} to {port}");
            let mut findings = vec![finding(CABLE, Ok(proved)), speed(file, lab.speeds())];
            let wrong = lab.close();
            if !wrong.is_empty() {
                let remedy = "sudo wireproof doctor --repair".to_owned();
                findings.push(finding("the ports as they were", Err((wrong.join("; "), remedy))));
            }
            findings
        }
        Err(why) => {
            let remedy = format!(
                "a cable from {} to {}, without a switch; `ethtool -p {}` has its light blink",
                file.port, file.wire, file.port
            );
            vec![finding(CABLE, Err((why, remedy)))]
        }
    }
}

/// The speed that was found, held against that of the file.
fn speed(file: &LabFile, found: [Option<u32>; 2]) -> Finding {
    let names = [&file.port, &file.wire];
    let wrong =
        names.iter().zip(found).find_map(|(name, found)| link::as_fast_as(file.speed, found, name).err());
    let told = match found[0].or(found[1]) {
        Some(speed) => format!("{speed} Mbit/s"),
        None => "the drivers do not say".to_owned(),
    };
    let remedy = format!("ethtool {}; or `speed:` in the lab's file as it is", file.port);
    finding(SPEED, wrong.map_or(Ok(told), |why| Err((why, remedy))))
}

fn finding(what: &str, found: Result<String, (String, String)>) -> Finding {
    let what = what.to_owned();
    match found {
        Ok(detail) => Finding { what, ok: true, detail, remedy: None },
        Err((detail, remedy)) => Finding { what, ok: false, detail, remedy: Some(remedy) },
    }
}
