//! What is known of a trial before it runs: whether this rig can run it, and what it is about.

use crate::case::model::RigKind;
use crate::case::model::{Action, Trial};
use crate::frame::Layer;
use std::time::Duration;

/// Whether a step names ARP: then the peer answers nothing by itself, for the case speaks of it.
#[must_use]
pub fn names_arp(trial: &Trial) -> bool {
    trial.steps.iter().any(|step| match &step.action {
        Action::Expect(expect) => expect.pattern.has(Layer::Arp),
        Action::AnyOrder(expects) => expects.iter().any(|e| e.pattern.has(Layer::Arp)),
        Action::Inject(inject) => inject.frame.has(Layer::Arp),
        Action::Order(order) => order.of.layer == Layer::Arp,
        _ => false,
    })
}

/// How long a case waits because it says so: what real time cannot shorten.
#[must_use]
pub fn own_waits(trial: &Trial) -> Duration {
    trial
        .steps
        .iter()
        .map(|step| match &step.action {
            Action::Wait(time) | Action::Quiet(time) => *time,
            Action::Expect(expect) => expect.after.as_ref().map_or(Duration::ZERO, |after| after.delay),
            Action::Call(call) if call.background.is_none() => {
                call.outcome.after.map_or(Duration::ZERO, |a| a.0)
            }
            Action::Join(join) => join.outcome.after.map_or(Duration::ZERO, |a| a.0),
            _ => Duration::ZERO,
        })
        .sum()
}

/// Whether a trial says how long something takes, so that a late harness could not tell.
#[must_use]
pub fn is_timed(trial: &Trial) -> bool {
    trial.steps.iter().any(|step| match &step.action {
        Action::Expect(expect) => expect.after.is_some() || expect.within.is_some(),
        Action::AnyOrder(expects) => expects.iter().any(|e| e.after.is_some() || e.within.is_some()),
        Action::Call(call) => call.outcome.after.is_some(),
        Action::Join(join) => join.outcome.after.is_some(),
        Action::Order(order) => order.within.is_some(),
        Action::Fragments(fragments) => fragments.within.is_some(),
        _ => false,
    })
}

/// Why a rig does not run a trial; `None`: it does.
#[must_use]
pub fn skip_reason(trial: &Trial, rig: RigKind, max_wait: Duration) -> Option<String> {
    if let Some(rigs) = &trial.rigs
        && !rigs.contains(&rig)
    {
        return Some(format!("the case is for {rigs}"));
    }
    if rig != RigKind::Emu && !trial.faults.is_empty() {
        return Some("only the emulated NIC can be asked to misbehave".to_owned());
    }
    let waits = own_waits(trial);
    if rig == RigKind::Linux && waits > max_wait {
        return Some(format!("it waits for {waits:?} of real time, more than --max-wait {max_wait:?}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::with_its_reason(
        "{only: [emu, qemu], because: a TAP has no ring}",
        "emu, qemu only: a TAP has no ring"
    )]
    #[case::without_a_reason("[emu]", "emu only")]
    fn a_case_for_other_rigs_is_skipped(#[case] rigs: &str, #[case] limit: &str) {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("a.yaml");
        let text = format!("about: A case.\nrigs: {rigs}\nsteps:\n  - wait: 1s\n");
        std::fs::write(&path, text).expect("it can be written");
        let trials = crate::case::load(&[path]).expect("the case is right");
        let reason = |rig| skip_reason(&trials[0], rig, Duration::from_secs(10));
        assert_eq!(reason(RigKind::Linux), Some(format!("the case is for {limit}")));
        assert_eq!(reason(RigKind::Emu), None);
    }
}
