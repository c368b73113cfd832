//! What this machine can do for a trial, found before it runs: so that it is a skip with a reason, not a failure.

use super::command;
use super::namespace::Namespace;
use super::offloads;
use super::sockets;
use super::sources;
use super::tap::{self, Tap};
use super::veth::Veth;
use super::wire::{Wire, WireKind};
use crate::case::model::{Action, CallStep, Check, Command, RigKind, Source, Trial};
use crate::rig::RigError;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Why this machine cannot run a trial; `None`: it can. What is found out about the machine is found out once.
///
/// A check that is also for this rig, of a source that it does not have, is a reason: the case would claim more than was
/// looked at. A case limits such a check with `rigs:`.
#[must_use]
pub fn missing(trial: &Trial, wire: WireKind) -> Option<String> {
    let wire = match self::wire(wire) {
        Ok(wire) => wire,
        Err(why) => return Some(why),
    };
    if let Some(fault) = trial.faults.first() {
        return Some(format!("fault `{}`: only the emulated NIC has faults", fault.kind));
    }
    trial.steps.iter().find_map(|step| match &step.action {
        Action::Run(commands) => commands.iter().find_map(|command| command_missing(command, wire)),
        Action::Call(call) => call_missing(call),
        Action::Check(check) => check_missing(check),
        _ => None,
    })
}

/// Why this machine cannot have the rig with such a wire; `None`: it can.
#[must_use]
pub fn unusable(wire: WireKind) -> Option<String> {
    self::wire(wire).err()
}

/// The wire that is had when one of this kind is asked for: a TAP or a veth. Each is tried once.
///
/// # Errors
/// Why there is none.
pub(super) fn wire(kind: WireKind) -> Result<WireKind, String> {
    let tap = || tap_works().map(|()| WireKind::Tap);
    let veth = || veth_works().map(|()| WireKind::Veth);
    match kind {
        WireKind::Tap => tap(),
        WireKind::Veth => veth(),
        WireKind::Auto => tap().or_else(|no_tap| {
            veth().map_err(|no_veth| if no_tap == no_veth { no_tap } else { format!("{no_tap}; {no_veth}") })
        }),
    }
}

/// Whether a namespace can be made at all.
pub(super) fn namespace_works() -> Result<(), String> {
    static WORKS: OnceLock<Result<(), String>> = OnceLock::new();
    WORKS.get_or_init(|| Namespace::new().map(drop).map_err(|e| e.to_string())).clone()
}

/// Whether a namespace with a TAP can be made.
pub(super) fn tap_works() -> Result<(), String> {
    static WORKS: OnceLock<Result<(), String>> = OnceLock::new();
    WORKS.get_or_init(|| with_device(WireKind::Tap, || ()).map_err(|e| e.to_string())).clone()
}

/// Whether a namespace with a veth can be made, with the other end in a second one.
pub(super) fn veth_works() -> Result<(), String> {
    static WORKS: OnceLock<Result<(), String>> = OnceLock::new();
    WORKS.get_or_init(|| with_device(WireKind::Veth, || ()).map_err(|e| e.to_string())).clone()
}

/// Does something in a namespace where `eth0` is as a trial finds it, but down; then all of it goes.
pub(super) fn with_device<T: Send + 'static>(
    kind: WireKind,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RigError> {
    let namespace = Namespace::new()?;
    let (to, _frames) = channel();
    let _wire: Box<dyn Wire> = match kind {
        WireKind::Veth => Box::new(Veth::new(&namespace, to)?),
        WireKind::Auto | WireKind::Tap => Box::new(Tap::new(namespace.run(tap::open)??, to)?),
    };
    namespace.run(work)
}

/// Why a call cannot be made here.
pub(super) fn call_missing(step: &CallStep) -> Option<String> {
    if let Err(why) = sockets::check(&step.call) {
        return Some(why);
    }
    let cpu = step.cpu?;
    let ours = sched_getaffinity(Pid::from_raw(0)).and_then(|set: CpuSet| set.is_set(cpu as usize));
    (!ours.unwrap_or(false)).then(|| format!("this machine has no CPU {cpu} for us"))
}

fn check_missing(check: &Check) -> Option<String> {
    let ours = check.rigs.as_ref().is_none_or(|rigs| rigs.contains(&RigKind::Linux));
    check.items.iter().filter(|_| ours).find_map(|item| reader_missing(&item.source))
}

/// Why a source cannot be read here.
pub(super) fn reader_missing(source: &Source) -> Option<String> {
    if let Some(why) = sources::unavailable(source) {
        return Some(why.to_owned());
    }
    let program = sources::program(source)?;
    command::find(program).is_none().then(|| command::absent(program))
}

fn command_missing(command: &Command, wire: WireKind) -> Option<String> {
    let words: Vec<_> = command.words.iter().map(String::as_str).collect();
    let program = words.first()?;
    if command::find(program).is_none() {
        return Some(command::absent(program));
    }
    if command.error.is_some() {
        // It is to fail, and may do so because of what is missing.
        return None;
    }
    if *program == "ethtool" {
        return offloads::missing(&words, wire);
    }
    let kind = qdisc_kind(&words)?;
    (!qdisc_is_there(kind)).then(|| format!("this kernel has no qdisc {kind}"))
}

/// The kind that a `tc qdisc add|replace|change …` asks for: the first word that neither is a keyword nor belongs to one.
pub(super) fn qdisc_kind<'a>(words: &[&'a str]) -> Option<&'a str> {
    let rest = match words {
        ["tc", "qdisc", "add" | "replace" | "change", rest @ ..] => rest,
        _ => return None,
    };
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match *word {
            "dev" | "parent" | "handle" | "stab" | "estimator" => {
                rest.next();
            }
            "root" => {}
            kind => return Some(kind),
        }
    }
    None
}

/// Whether this kernel has a qdisc, by trying it on `lo` of a namespace that goes again; each kind is tried once.
pub(super) fn qdisc_is_there(kind: &str) -> bool {
    static TRIED: Mutex<BTreeMap<String, bool>> = Mutex::new(BTreeMap::new());
    let mut tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = tried.get(kind) {
        return *known;
    }
    let there = try_qdisc(kind).unwrap_or(false);
    tried.insert(kind.to_owned(), there);
    there
}

fn try_qdisc(kind: &str) -> Option<bool> {
    let parameters: &[&str] = match kind {
        "tbf" => &["rate", "1mbit", "burst", "1600", "limit", "10000"],
        "red" => &["limit", "60000", "avpkt", "1000"],
        "ets" => &["bands", "2"],
        _ => &[],
    };
    let mut words = vec!["tc", "qdisc", "add", "dev", "lo"];
    if !matches!(kind, "ingress" | "clsact") {
        words.push("root");
    }
    words.push(kind);
    words.extend(parameters);
    let words: Vec<_> = words.into_iter().map(str::to_owned).collect();
    let namespace = Namespace::new().ok()?;
    let result = namespace.run(move || command::run(&words)).ok()?.ok()?;
    // Whatever else it says, it knows the kind: it may want parameters or several queues.
    Some(!result.output.contains("qdisc kind is unknown") && !result.output.contains("Unknown qdisc"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::behind_a_handle(
        "tc qdisc replace dev eth0 root handle 1: tbf rate 100kbit burst 1600",
        Some("tbf")
    )]
    #[case::of_a_parent("tc qdisc add dev eth0 parent 1:1 handle 10: pfifo_fast", Some("pfifo_fast"))]
    #[case::removed("tc qdisc del dev eth0 root", None)]
    #[case::of_a_class("tc class add dev eth0 parent 1: classid 1:1 htb rate 1mbit", None)]
    #[case::cut_short("tc qdisc add dev", None)]
    fn the_kind_of_a_qdisc_is_found(#[case] text: &str, #[case] kind: Option<&str>) {
        let words: Vec<_> = text.split(' ').collect();
        assert_eq!(qdisc_kind(&words), kind);
    }
}
