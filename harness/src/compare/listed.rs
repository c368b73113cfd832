//! Differences that a case lists in `differs:`: marked with their reason, and stale where they do not occur.
//!
//! `run` judges an entry that the case itself states something about: a step as a whole, a field that the step's pattern
//! gives, a counter that a check asks for (see [`crate::run::differs`]). All others are judged here.

use super::counters::is_held;
use super::{Difference, Side};
use crate::case::model::{Differs, Extent, RigKind, Trial, UDP_SEGMENTS};
use crate::case::rigs::Here;
use crate::run::differs;
use std::collections::BTreeSet;

/// Marks the differences that are listed for one of both rigs. Gives a sentence for each entry that only a comparison can
/// judge, whose condition holds on one of both, and that did not occur.
pub fn mark(trial: &Trial, (a, b): (&Side, &Side), differences: &mut [Difference]) -> Vec<String> {
    let mut stale = Vec::new();
    for entry in &trial.differs {
        // What a device counts otherwise by its frames is worked out where counters are compared.
        if matches!(entry.extent, Extent::By(_)) {
            continue;
        }
        // On both or on neither it makes no difference.
        if holds(entry, a) == holds(entry, b) {
            continue;
        }
        let mut occurred = false;
        let goes_so_far = |d: &Difference| {
            let (expected, got) = if entry.rig == a.rig { (&d.b, &d.a) } else { (&d.a, &d.b) };
            let has_value =
                matches!(entry.extent, Extent::Is(_)) && entry.field.as_deref() != Some(UDP_SEGMENTS);
            !has_value || differs::goes_so_far(&entry.extent, (expected, got))
        };
        for difference in differences.iter_mut().filter(|d| is_about(entry, d) && goes_so_far(d)) {
            occurred = true;
            difference.why.get_or_insert_with(|| entry.why.trim().to_owned());
        }
        // Where the other rig deviates in the same, the two may well agree.
        let alike = |other: &Differs| {
            let same = (&other.step, &other.field) == (&entry.step, &entry.field);
            other.rig != entry.rig && same && (holds(other, a) || holds(other, b))
        };
        if trial.differs.iter().any(alike) {
            continue;
        }
        // What is not compared cannot occur.
        if entry.field.as_deref().is_some_and(|field| !is_held(field, (a, b))) {
            continue;
        }
        let side = if entry.rig == a.rig { a } else { b };
        let (is_virtual, is_igb) = (side.observed.is_virtual, side.observed.versions.contains_key("igb"));
        let is_stated = differs::is_stated(trial, entry, Here { rig: side.rig, is_virtual, is_igb });
        if !occurred && !entry.everywhere && !is_stated && !failed(differences) {
            stale.push(if entry.seen.is_some() {
                differs::stale(entry, side.observed.versions.get("qemu").map(String::as_str))
            } else {
                let (rig, place) = (entry.rig.name(), place(entry));
                format!("stale: `differs` says that {rig} deviates {place}, and it did not")
            });
        }
    }
    stale
}

/// So many trials, and what may show in any has shown in one.
const MANY: usize = 100;

/// A sentence for each entry that may show in any trial, about one of these rigs, that showed in none of so many that were compared;
/// `shown` has the reasons of those that did.
#[must_use]
pub fn never_shown(
    trials: &[&Trial],
    (a, b): (RigKind, RigKind),
    compared: usize,
    shown: &BTreeSet<String>,
) -> Vec<String> {
    // On a kernel without the NIC there is nothing to hold against it.
    if compared < MANY || a == b || [a, b].contains(&RigKind::Linux) {
        return Vec::new();
    }
    let entries = trials.iter().flat_map(|trial| &trial.differs).collect::<Vec<_>>();
    // Where both rigs count alike, nothing shows.
    let alike = |entry: &Differs| {
        let of = |rig| {
            entries.iter().any(|o| o.rig == rig && (&o.extent, &o.field) == (&entry.extent, &entry.field))
        };
        matches!(entry.extent, Extent::By(_)) && of(a) && of(b)
    };
    let of_these = |entry: &&&Differs| entry.everywhere && [a, b].contains(&entry.rig) && !alike(entry);
    let mut whys: BTreeSet<&str> = entries.iter().filter(of_these).map(|entry| entry.why.trim()).collect();
    whys.retain(|why| !shown.iter().any(|shown| shown.contains(why)));
    let stale =
        |why: &str| format!("stale: in none of {compared} trials was seen what is listed for all: {why}");
    whys.into_iter().map(stale).collect()
}

/// A trial that failed on one of both did not come to where the others would have occurred.
fn failed(differences: &[Difference]) -> bool {
    differences.iter().any(|d| d.field == "verdict")
}

fn place(entry: &Differs) -> String {
    match (&entry.step, &entry.field) {
        (Some(step), Some(field)) => format!("in {field} of step {step}"),
        (Some(step), None) => format!("in step {step}"),
        (None, Some(field)) => format!("in {field}"),
        (None, None) => "here".to_owned(),
    }
}

/// Whether an entry is about a rig, in the version that was there.
#[must_use]
pub fn holds(entry: &Differs, side: &Side) -> bool {
    let version = |part: &str| side.observed.versions.get(part).cloned();
    entry.rig == side.rig && entry.when.as_deref().is_none_or(|when| differs::holds(when, version))
}

/// Whether an entry is about a difference.
fn is_about(entry: &Differs, difference: &Difference) -> bool {
    let same_step = entry.step.is_none() || entry.step == difference.step;
    let same_field = match entry.field.as_deref() {
        None => entry.step.is_some(),
        // Fragments where datagrams are on the other: in length, flags, and what they carry, and there are fewer datagrams.
        Some(UDP_SEGMENTS) => {
            let of_a_cut = ["frame", "payload", "udp.length", "udp.checksum"];
            difference.field.starts_with("ipv4.") || of_a_cut.contains(&difference.field.as_str())
        }
        Some(field) => differs::names(field, &difference.field),
    };
    same_step && same_field
}
