//! What is known of a trial before it runs: whether this rig can run it, and what it is about.

use super::outcome::slack;
use crate::case::model::{Action, Expect, Interrupts, RigKind, Step, Tolerance, Trial};
use crate::case::rigs::Here;
use crate::frame::Layer;
use std::collections::BTreeMap;
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

/// How long a case waits because it says so: what real time cannot shorten. Of frames that count from the same one, each waits
/// for what it is later than those before it.
#[must_use]
pub fn own_waits(trial: &Trial) -> Duration {
    let mut counted: BTreeMap<&str, Duration> = BTreeMap::new();
    trial
        .steps
        .iter()
        .map(|step| match &step.action {
            Action::Wait(time) | Action::Quiet(time) => *time,
            Action::Expect(expect) => expect.after.as_ref().map_or(Duration::ZERO, |after| {
                let before = counted.entry(&after.step).or_default();
                let more = after.delay.saturating_sub(*before);
                *before += more;
                more
            }),
            Action::Call(call) if call.background.is_none() => {
                call.outcome.after.map_or(Duration::ZERO, |a| a.0)
            }
            Action::Join(join) => join.outcome.after.map_or(Duration::ZERO, |a| a.0),
            _ => Duration::ZERO,
        })
        .sum()
}

/// The smallest of the times that a trial allows for in real time: how far off an `after:` may be, and how long a `within:`
/// gives. `None`: it does not say how long anything takes.
#[must_use]
pub fn smallest_tolerance(trial: &Trial) -> Option<Duration> {
    let after = |(delay, tolerance): (Duration, Tolerance)| slack(tolerance, delay, false);
    let of_a_frame = |expect: &Expect| {
        let placed = expect.after.as_ref().map(|a| after((a.delay, a.tolerance)));
        placed.into_iter().chain(expect.within).min()
    };
    let of_a_step = |step: &Step| match &step.action {
        Action::Expect(expect) => of_a_frame(expect),
        Action::AnyOrder(expects) => expects.iter().filter_map(of_a_frame).min(),
        Action::Call(call) => call.outcome.after.map(after),
        Action::Join(join) => join.outcome.after.map(after),
        Action::Order(order) => order.within,
        Action::Fragments(fragments) => fragments.within,
        Action::Segments(segments) => segments.within,
        _ => None,
    };
    trial.steps.iter().filter_map(of_a_step).min()
}

/// Why a rig does not run a trial; `None`: it does.
#[must_use]
pub fn skip_reason(trial: &Trial, here: Here, max_wait: Duration) -> Option<String> {
    let Here { rig, is_virtual, .. } = here;
    if let Some(rigs) = &trial.rigs
        && !rigs.allow(here)
    {
        return Some(format!("the case is for {rigs}"));
    }
    if rig != RigKind::Emu && trial.real_peer.is_some() {
        return Some("its peer is the Linux kernel, so the system under test must be ours".to_owned());
    }
    if rig != RigKind::Emu && !trial.faults.is_empty() {
        return Some("only the emulated NIC can be asked to misbehave".to_owned());
    }
    if rig != RigKind::Emu && trial.interrupts != Interrupts::Msix {
        return Some("only the emulated NIC can be told how to interrupt".to_owned());
    }
    let waits = own_waits(trial);
    if (!is_virtual || trial.real_peer.is_some()) && waits > max_wait {
        return Some(format!("it waits for {waits:?} of real time, more than --max-wait {max_wait:?}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// The one trial of a case with these `rigs:`.
    fn limited(rigs: &str) -> Trial {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("a.yaml");
        let text = format!("about: A case.\nrigs: {rigs}\nsteps:\n  - wait: 1s\n");
        std::fs::write(&path, text).expect("it can be written");
        crate::case::load(&[path]).expect("the case is right").remove(0)
    }

    #[rstest]
    #[case::with_its_reason(
        "{only: [emu, qemu], because: a TAP has no ring}",
        "emu, qemu only: a TAP has no ring"
    )]
    #[case::without_a_reason("[emu]", "emu only")]
    fn a_case_for_other_rigs_is_skipped(#[case] rigs: &str, #[case] limit: &str) {
        let trial = limited(rigs);
        let here = |rig| Here { rig, is_virtual: rig == RigKind::Emu, is_igb: false };
        let reason = |rig| skip_reason(&trial, here(rig), Duration::from_secs(10));
        assert_eq!(reason(RigKind::Linux), Some(format!("the case is for {limit}")));
        assert_eq!(reason(RigKind::Emu), None);
    }

    #[rstest]
    #[case::a_case_for_virtual_time(
        "clock: virtual, ",
        Some("emu, qemu only, qemu in virtual time: they are fast")
    )]
    #[case::a_case_for_any_time("", None)]
    fn a_case_may_be_for_one_clock_of_qemu(#[case] clock: &str, #[case] limit: Option<&str>) {
        let rigs = format!("{{only: [emu, qemu], {clock}because: they are fast}}");
        let trial = limited(&rigs);
        let on = |rig, is_virtual| {
            skip_reason(&trial, Here { rig, is_virtual, is_igb: false }, Duration::from_secs(10))
        };
        assert_eq!((on(RigKind::Qemu, true), on(RigKind::Emu, true)), (None, None));
        assert_eq!(on(RigKind::Qemu, false), limit.map(|limit| format!("the case is for {limit}")));
    }

    #[rstest]
    #[case::a_case_for_an_igb("port: igb, ", Some("vfio, linux on an igb only: a TAP has one queue"))]
    #[case::a_case_for_any_port("", None)]
    fn a_case_may_be_for_one_port_of_linux(#[case] port: &str, #[case] limit: Option<&str>) {
        let rigs = format!("{{only: [vfio, linux], {port}because: a TAP has one queue}}");
        let trial = limited(&rigs);
        let on = |rig, is_igb| {
            skip_reason(&trial, Here { rig, is_virtual: false, is_igb }, Duration::from_secs(10))
        };
        assert_eq!((on(RigKind::Linux, true), on(RigKind::Vfio, false)), (None, None));
        assert_eq!(on(RigKind::Linux, false), limit.map(|limit| format!("the case is for {limit}")));
    }
}
