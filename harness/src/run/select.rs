//! What is known of a trial before it runs: whether this rig can run it, and what it is about.

use crate::case::model::RigKind;
use crate::case::model::{Action, SocketKind, Step, Syscall, Trial};
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
        Action::Segments(segments) => segments.within.is_some(),
        _ => false,
    })
}

/// Whether a step needs TCP in the stack.
fn is_tcp(step: &Step) -> bool {
    match &step.action {
        Action::Call(call) => matches!(call.call, Syscall::Socket { kind: SocketKind::Tcp, .. }),
        Action::Inject(inject) => inject.frame.tcp.is_some(),
        _ => false,
    }
}

/// Why a rig does not run a trial; `None`: it does.
#[must_use]
pub fn skip_reason(trial: &Trial, rig: RigKind, max_wait: Duration) -> Option<String> {
    if let Some(rigs) = &trial.rigs
        && !rigs.contains(&rig)
    {
        let names: Vec<_> = rigs.iter().map(|rig| rig.name()).collect();
        return Some(format!("the case is for {} only", names.join(", ")));
    }
    if rig != RigKind::Emu && !trial.faults.is_empty() {
        return Some("only the emulated NIC can be asked to misbehave".to_owned());
    }
    if rig == RigKind::Emu && trial.steps.iter().any(is_tcp) {
        return Some("TCP is not built in our stack yet".to_owned());
    }
    let waits = own_waits(trial);
    if rig == RigKind::Linux && waits > max_wait {
        return Some(format!("it waits for {waits:?} of real time, more than --max-wait {max_wait:?}"));
    }
    None
}
