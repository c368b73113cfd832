//! What calls and commands gave on both rigs, also what the case does not state.

use super::freedom::Freedom;
use super::watch::Call;
use super::{Difference, Side};
use crate::case::model::{Action, CallStep, Nanos, Step, Syscall, Tolerance, Trial};
use crate::rig::{CallResult, Returned};
use crate::run::calls::name;
use crate::run::outcome::{self, nanos, show_ready, show_time};
use std::net::SocketAddrV4;

/// The differences between what calls and commands gave.
pub fn compare(trial: &Trial, a: &Side, b: &Side, freedom: &mut Freedom) -> Vec<Difference> {
    let mut found = Vec::new();
    // The steps run in order on both, so the calls are those of the steps in order.
    let steps = trial.steps.iter().filter_map(|step| match &step.action {
        Action::Call(call) => Some((step, call)),
        _ => None,
    });
    let made = a.observed.calls.iter().zip(&b.observed.calls);
    for ((step, call), (x, y)) in steps.zip(made) {
        let clocks = Clocks::of(a, b);
        for found_here in of_call(call, (x, y), clocks, freedom) {
            let name = step.name.clone().or_else(|| call.background.clone());
            found.push(difference(step, name, self::name(&call.call), found_here));
        }
    }
    let commands = trial.steps.iter().flat_map(|step| match &step.action {
        Action::Run(commands) => commands.iter().map(|c| (step, c.words.join(" "))).collect::<Vec<_>>(),
        Action::Sysfs { path, .. } => vec![(step, path.clone())],
        _ => Vec::new(),
    });
    let ran = a.observed.commands.iter().zip(&b.observed.commands);
    for ((step, words), (x, y)) in commands.zip(ran) {
        // Which number a program fails with is its own affair.
        if (*x == 0) != (*y == 0) {
            let what = format!("`{words}`");
            found.push(difference(
                step,
                step.name.clone(),
                &what,
                ("status", x.to_string(), y.to_string(), None),
            ));
        }
    }
    found
}

fn difference(step: &Step, name: Option<String>, what: &str, (field, a, b, beyond): Found) -> Difference {
    let at = Some(step.at.clone());
    Difference { what: what.to_owned(), at, step: name, field: field.to_owned(), a, b, why: None, beyond }
}

/// The field, both values, and of a time how far it is beyond what is allowed.
type Found = (&'static str, String, String, Option<Nanos>);

/// The fields in which a call differs.
fn of_call(made: &CallStep, (a, b): (&Call, &Call), clocks: Clocks, freedom: &mut Freedom) -> Vec<Found> {
    // One that was not waited for may or may not have come back.
    let (call, wanted) = (&made.call, &made.outcome);
    let (Some((a_at, a_result)), Some((b_at, b_result))) = (&a.ended, &b.ended) else { return Vec::new() };
    let mut found = match (a_result, b_result) {
        (Ok(x), Ok(y)) => values(call, x, y, freedom),
        (x, y) if x == y => Vec::new(),
        (x, y) => vec![("error", error(x), error(y), None)],
    };
    let took = |call: &Call, at: Nanos| at.saturating_sub(call.started);
    let (x, y) = (took(a, *a_at), took(b, *b_at));
    // What the case allows on each rig is no difference between them.
    let stated = match wanted.after {
        None | Some((_, Tolerance::Default)) => 0,
        Some((delay, tolerance)) => 2 * nanos(outcome::slack(tolerance, delay, false)),
    };
    let allowed = clocks.slack(x.max(y)).max(stated);
    if x.abs_diff(y) > allowed {
        found.push(("took", show_time(x), show_time(y), Some(x.abs_diff(y) - allowed)));
    }
    found
}

/// How the times of two rigs go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clocks {
    /// Both are one rig, in virtual time.
    Alike,
    /// Both are virtual, but on one of them the clock stands still while the NIC works.
    Virtual,
    /// One is that of the machine.
    Real,
}

impl Clocks {
    pub(super) fn of(a: &Side, b: &Side) -> Self {
        match a.observed.is_virtual && b.observed.is_virtual {
            true if a.rig == b.rig => Self::Alike,
            true => Self::Virtual,
            false => Self::Real,
        }
    }

    /// How far times may be apart: 1 ms; where both are virtual, but no more than that, two jiffies, the shortest timer of TCP, and a
    /// part of the time, for each timer of a chain can be off by one; in real time an eighth and 20 ms.
    #[must_use]
    pub(super) fn slack(self, time: Nanos) -> Nanos {
        match self {
            Self::Alike => 1_000_000,
            Self::Virtual => time / 32 + 8_000_000,
            Self::Real => time / 8 + 20_000_000,
        }
    }
}

fn error(result: &CallResult) -> String {
    match result {
        Ok(returned) => format!("returns {}", returned.value),
        Err(errno) => errno.clone(),
    }
}

fn values(call: &Syscall, a: &Returned, b: &Returned, freedom: &mut Freedom) -> Vec<Found> {
    let mut found = Vec::new();
    // A descriptor's number is the kernel's choice.
    if a.value != b.value && !is_number(call) {
        found.push(("value", a.value.to_string(), b.value.to_string(), None));
    }
    if a.payload != b.payload {
        found.push(("payload", bytes(a.payload.as_deref()), bytes(b.payload.as_deref()), None));
    }
    if !same_address(a.address, b.address, freedom) {
        found.push(("address", shown(a.address), shown(b.address), None));
    }
    let events = |r: &Returned| {
        let mut names = r.events.clone();
        names.sort_unstable();
        names.join(" ")
    };
    if events(a) != events(b) {
        found.push(("events", events(a), events(b), None));
    }
    if a.ready != b.ready && show_ready(&a.ready) != show_ready(&b.ready) {
        found.push(("ready", show_ready(&a.ready), show_ready(&b.ready), None));
    }
    if a.option != b.option {
        found.push(("option", number(a.option), number(b.option), None));
    }
    if a.text != b.text {
        let shown = |text: &Option<String>| text.clone().unwrap_or_default();
        found.push(("option", shown(&a.text), shown(&b.text), None));
    }
    found
}

/// Whether a call gives the number of a descriptor.
fn is_number(call: &Syscall) -> bool {
    matches!(call, Syscall::Socket { .. } | Syscall::Accept { .. } | Syscall::EpollCreate { .. })
}

fn same_address(a: Option<SocketAddrV4>, b: Option<SocketAddrV4>, freedom: &mut Freedom) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.ip() == b.ip() && freedom.same_port(a.port().into(), b.port().into()),
        (a, b) => a == b,
    }
}

fn shown(address: Option<SocketAddrV4>) -> String {
    address.map_or_else(|| "no address".to_owned(), |a| a.to_string())
}

fn number(option: Option<i64>) -> String {
    option.map_or_else(|| "nothing".to_owned(), |n| n.to_string())
}

/// Bytes as people see them: how many, and the first of them.
#[must_use]
pub(super) fn bytes(payload: Option<&[u8]>) -> String {
    const SHOWN: usize = 24;
    let Some(payload) = payload else { return "no bytes".to_owned() };
    let hex: String = payload.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    let more = if payload.len() > SHOWN { "…" } else { "" };
    format!("{} bytes {hex}{more}", payload.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn call(result: CallResult, took: Nanos) -> Call {
        Call { started: 1_000, ended: Some((1_000 + took, result)) }
    }

    fn returned(change: impl FnOnce(&mut Returned)) -> CallResult {
        let mut returned = Returned { value: 5, ..Returned::default() };
        change(&mut returned);
        Ok(returned)
    }

    #[rstest]
    #[case::nothing(returned(|_| {}), 0, "")]
    #[case::the_value(returned(|r| r.value = 6), 0, "value")]
    #[case::the_bytes(returned(|r| r.payload = Some(vec![1])), 0, "payload")]
    #[case::the_events(returned(|r| r.events = vec!["POLLIN".into()]), 0, "events")]
    #[case::the_option(returned(|r| r.option = Some(1)), 0, "option")]
    #[case::the_port(returned(|r| r.address = Some("192.0.2.2:7".parse().unwrap())), 0, "address")]
    #[case::an_error(Err("EPERM".into()), 0, "error")]
    #[case::a_little_time(returned(|_| {}), 20_000_000, "")]
    #[case::more_time(returned(|_| {}), 24_000_000, "took")]
    fn a_call_differs_in_what_it_gave(#[case] b: CallResult, #[case] took: Nanos, #[case] fields: &str) {
        let close = Syscall::Close { socket: "s".into() };
        let socket = CallStep { call: close, cpu: None, background: None, outcome: Default::default() };
        let a = call(returned(|_| {}), 0);
        let found = of_call(&socket, (&a, &call(b, took)), Clocks::Real, &mut Freedom::default());
        assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>().join(" "), fields);
    }
}
