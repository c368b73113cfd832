//! What this machine can do for a trial, found before it runs: so that it is a skip with a reason, not a failure.

use super::command;
use super::namespace::Namespace;
use super::offloads;
use super::sockets;
use super::sources;
use super::tap::{self, Tap};
use super::veth::Veth;
use super::wire::{Wire, WireKind};
use crate::case::model::{Action, CallStep, CheckItem, Command, Inject, Trial};
use crate::frame;
use crate::rig::RigError;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Why this machine cannot run a trial; `None`: it can. What is found out about the machine is found out once. Checks are no
/// reason: see [`unreadable`].
#[must_use]
pub fn missing(trial: &Trial, wire: WireKind) -> Option<String> {
    let wire = match self::wire(wire) {
        Ok(wire) => wire,
        Err(why) => return Some(why),
    };
    if let Some(fault) = trial.faults.first() {
        return Some(format!("fault `{}`: only the emulated NIC has faults", fault.kind));
    }
    if trial.charged_as_igb && wire == WireKind::Veth {
        return Some(
            "buffers as an igb's: a socket is charged otherwise for what comes over a veth".to_owned(),
        );
    }
    let mut mtu = ETH0_MTU;
    trial.steps.iter().find_map(|step| match &step.action {
        Action::Run(commands) => {
            mtu = commands.iter().filter_map(mtu_set_by).next_back().unwrap_or(mtu);
            commands.iter().find_map(|command| command_missing(command, wire))
        }
        Action::Inject(inject) if wire == WireKind::Veth => too_long(inject, mtu),
        Action::Call(call) => call_missing(call),
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

/// The MTU of `eth0` at the start of a trial.
pub(super) const ETH0_MTU: usize = 1500;
/// How much longer than its MTU a frame to a veth may be: the Ethernet header, and a VLAN tag (the kernel's `is_skb_forwardable`).
const BEYOND_MTU: usize = 14 + 4;

/// The MTU that `ip link set dev eth0 mtu 9000` gives to `eth0`.
pub(super) fn mtu_set_by(command: &Command) -> Option<usize> {
    let words = &command.words;
    let of_eth0 = words.iter().any(|word| word == tap::DEVICE) && words.iter().any(|word| word == "link");
    let value = words.iter().skip_while(|word| *word != "mtu").nth(1)?;
    value.parse().ok().filter(|_| of_eth0)
}

/// A veth drops what is longer than its MTU, where a card and a TAP take it.
pub(super) fn too_long(inject: &Inject, mtu: usize) -> Option<String> {
    // One that quotes another frame is an ICMP error, and short.
    let length = frame::build(&inject.frame, None).ok()?.len();
    let why = || format!("a veth drops a frame of {length} bytes, with an MTU of {mtu}");
    (length > mtu + BEYOND_MTU).then(why)
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

/// Why this rig, or this machine, cannot read what an item of a check asks for; `None`: it can.
#[must_use]
pub fn unreadable(item: &CheckItem) -> Option<String> {
    if let Some(why) = sources::unavailable(&item.source) {
        return Some(why.to_owned());
    }
    let program = sources::program(&item.source)?;
    command::find(program).is_none().then(|| command::absent(program))
}

fn command_missing(command: &Command, wire: WireKind) -> Option<String> {
    command_lacks(command, |words| offloads::missing(words, wire))
}

/// What a command needs that is not here: its program, VLAN devices, a qdisc, or what `of_ethtool` says of the device.
pub(super) fn command_lacks(
    command: &Command,
    of_ethtool: impl FnOnce(&[&str]) -> Option<String>,
) -> Option<String> {
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
        return of_ethtool(&words);
    }
    if matches!(words.as_slice(), ["ip", "link", "add", rest @ ..] if rest.contains(&"vlan")) {
        return (!vlans_are_there()).then(|| "this kernel has no VLAN devices (8021q)".to_owned());
    }
    let kind = qdisc_kind(&words)?;
    (!qdisc_is_there(kind)).then(|| format!("this kernel has no qdisc {kind}"))
}

/// The kind that a `tc qdisc add|replace|change …` asks for: the first word that neither is a keyword nor belongs to one.
fn qdisc_kind<'a>(words: &[&'a str]) -> Option<&'a str> {
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

/// Whether this kernel has VLAN devices, by making one above `lo` of a namespace that goes again; tried once.
fn vlans_are_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    let words =
        ["ip", "link", "add", "link", "lo", "name", "vlan1", "type", "vlan", "id", "1"].map(str::to_owned);
    *THERE.get_or_init(|| {
        let tried = Namespace::new().and_then(|namespace| namespace.run(move || command::run(&words)));
        tried.is_ok_and(|result| result.is_ok_and(|result| !result.output.contains("Unknown device type")))
    })
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
    use crate::case::model::{Location, SourceFile};
    use rstest::rstest;
    use std::sync::Arc;

    #[rstest]
    #[case::of_eth0("ip link set dev eth0 mtu 9216", Some(9216))]
    #[case::without_dev("ip link set eth0 mtu 576 up", Some(576))]
    #[case::of_another("ip link set dev dummy0 mtu 576", None)]
    #[case::of_a_route("ip route add 10.0.0.0/8 dev eth0 mtu 576", None)]
    #[case::cut_short("ip link set eth0 mtu", None)]
    fn the_mtu_that_a_command_sets_is_known(#[case] text: &str, #[case] mtu: Option<usize>) {
        let file = SourceFile { path: "test".into(), text: String::new() };
        let at = Location { file: Arc::new(file), line: 1, column: 1 };
        let words = text.split(' ').map(str::to_owned).collect();
        assert_eq!(mtu_set_by(&Command { words, error: None, output: Vec::new(), at }), mtu);
    }

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
