//! Whole trials on the linux rig, run by the engine as it runs those of case files.

use crate::Outcome;
use crate::bench::{location, peer, sendto, wire};
use harness::case::model::{
    Action, After, CallStep, Command, Expect, Fragments, Interrupts, OptionValue, Payload, SocketKind, Step,
    Syscall, Tolerance, Trial,
};
use harness::case::model::{Check, CheckItem, Expected, Outcome as Wanted, RigKind, Source};
use harness::case::rigs::Rigs;
use harness::frame::{FieldSpec, FrameSpec, Layer, Value, field};
use harness::rig::linux::{LinuxRig, missing, unreadable, wire::WireKind};
use harness::rig::{Rig, RigError};
use harness::run::conclusive::conclusive;
use harness::run::{RigFactory, Verdict, execute};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// A fresh rig for each trial.
struct LinuxFactory;

impl RigFactory for LinuxFactory {
    fn kind(&self) -> RigKind {
        RigKind::Linux
    }

    fn missing(&self, trial: &Trial) -> Option<String> {
        missing(trial, wire())
    }

    fn unreadable(&self, item: &CheckItem) -> Option<String> {
        unreadable(item)
    }

    fn create(&self, _trial: &Trial) -> Result<Box<dyn Rig>, RigError> {
        Ok(Box::new(LinuxRig::new(wire())?))
    }
}

fn trial(actions: Vec<Action>) -> Trial {
    named(actions.into_iter().map(|action| (None, action)).collect())
}

fn named(actions: Vec<(Option<&str>, Action)>) -> Trial {
    let step = |(name, action): (Option<&str>, Action)| {
        let name = name.map(str::to_owned);
        Step { at: location(), name, action }
    };
    Trial {
        case: "made".to_owned(),
        row: Vec::new(),
        file: location().file,
        about: String::new(),
        covers: Vec::new(),
        refs: Vec::new(),
        rigs: None,
        automatic_arp: true,
        charged_as_igb: false,
        differs: Vec::new(),
        faults: Vec::new(),
        interrupts: Interrupts::Msix,
        real_peer: None,
        steps: actions.into_iter().map(step).collect(),
    }
}

fn run(text: &str) -> Action {
    let words = text.split(' ').map(str::to_owned).collect();
    Action::Run(vec![Command { words, error: None, output: Vec::new(), at: location() }])
}

fn call(call: Syscall, returns: Option<i64>) -> Action {
    let outcome = Wanted { returns, ..Wanted::default() };
    Action::Call(CallStep { call, cpu: None, background: None, outcome })
}

fn socket() -> Action {
    call(Syscall::Socket { name: "s".to_owned(), kind: SocketKind::Udp, nonblocking: false }, None)
}

fn option(name: &str, value: OptionValue) -> Action {
    let (socket, level, name) = ("s".to_owned(), "IPPROTO_IP".to_owned(), name.to_owned());
    call(Syscall::Setsockopt { socket, level, name, value }, None)
}

fn pattern(layer: Layer, key: &str, value: Value, payload: &[u8]) -> FrameSpec {
    let field = field::find(layer, key).expect("the field is in the table");
    FrameSpec {
        layers: vec![layer],
        fields: vec![FieldSpec { field, value, at: location() }],
        payload: (!payload.is_empty()).then(|| Payload(payload.into())),
        quotes: None,
        tcp: None,
    }
}

fn datagram(port: u64, payload: &[u8]) -> Expect {
    let pattern = pattern(Layer::Udp, "dst_port", Value::Number(port), payload);
    Expect { at: location(), name: None, pattern, within: None, after: None }
}

fn counter(source: Source, key: &str, value: i64) -> Action {
    let item = CheckItem { at: location(), source, key: key.to_owned(), expected: Expected::Number(value) };
    Action::Check(Check { rigs: None, items: vec![item] })
}

/// Why this machine cannot run these commands on the rig, or has no rig at all.
pub fn lacks(wire: WireKind, commands: &[&str]) -> Option<String> {
    missing(&trial(commands.iter().map(|text| run(text)).collect()), wire)
}

/// How a trial ends. One that says nothing, as the machine was late, is run again, and said to be.
fn verdict(trial: &Trial) -> Verdict {
    let once = || execute(&LinuxFactory, trial, Duration::from_secs(10), &AtomicBool::new(false));
    conclusive(&trial.name(), once).verdict
}

fn passes(trial: &Trial) -> Outcome {
    match verdict(trial) {
        Verdict::Pass => Ok(()),
        other => Err(format!("it must pass: {other:?}").into()),
    }
}

fn fails(trial: &Trial, with: &str) -> Outcome {
    match verdict(trial) {
        Verdict::Fail(failure) if failure.message.contains(with) => Ok(()),
        other => Err(format!("it must fail with {with:?}: {other:?}").into()),
    }
}

/// The automatic peer answers the request; the counters say one.
pub fn a_datagram() -> Outcome {
    let send = || call(sendto("s", peer(7), "hello"), Some(5));
    let expect = |payload: &[u8]| Action::Expect(datagram(7, payload));
    let count = |value| counter(Source::Snmp, "Udp.OutDatagrams", value);
    passes(&trial(vec![socket(), send(), expect(b"hello"), count(1)]))?;
    fails(&trial(vec![socket(), send(), expect(b"HELLO")]), "another frame")?;
    fails(&trial(vec![socket(), send(), expect(b"hello"), count(2)]), "Udp.OutDatagrams")?;
    fails(&trial(vec![socket(), send(), Action::Wait(Duration::from_millis(50))]), "no step explains")?;
    fails(&trial(vec![socket(), call(sendto("s", peer(7), "hello"), Some(6))]), "return 6")
}

/// Every row of `ip/fragments`.
pub fn fragments() -> Outcome {
    for mtu in [576, 1500, 9000] {
        for length in [549_u32, 1473, 4000, 65507] {
            let payload = Payload((0..length).map(|i| i.to_le_bytes()[0]).collect());
            let send = Syscall::Sendto {
                socket: "s".to_owned(),
                to: peer(9),
                payload: payload.clone(),
                flags: Vec::new(),
            };
            let pattern = pattern(Layer::Udp, "dst_port", Value::Number(9), b"");
            passes(&trial(vec![
                run(&format!("ip link set dev eth0 mtu {mtu}")),
                socket(),
                option("IP_MTU_DISCOVER", OptionValue::Symbol("IP_PMTUDISC_DONT".to_owned())),
                call(send, Some(i64::from(length))),
                Action::Fragments(Fragments { mtu, pattern, payload, within: None }),
            ]))
            .map_err(|why| format!("mtu {mtu}, length {length}: {why:?}"))?;
        }
    }
    Ok(())
}

/// Root of a user namespace is enough: no right outside of it is used.
pub fn in_a_user_namespace() -> Outcome {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = tempfile::tempdir()?;
    let output = std::process::Command::new("unshare")
        .args(["-Ur", env!("CARGO_BIN_EXE_wireproof"), "run", "--rig", "linux", "--out"])
        .arg(out.path())
        .arg("cases/udp/one_datagram.yaml")
        .current_dir(root)
        .output()?;
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() && told.contains("1 passed") { Ok(()) } else { Err(told.into()) }
}

/// Why no user namespace can be made here.
pub fn no_user_namespace() -> Option<String> {
    let made = std::process::Command::new("unshare").args(["-Ur", "true"]).output();
    let made = made.is_ok_and(|output| output.status.success());
    (!made).then(|| "user namespaces cannot be made here".to_owned())
}

/// `check` refuses the first of these; whatever takes the wire away, the step that did is named.
pub fn eth0_gone() -> Outcome {
    for text in ["ip link del eth0", "ip link set dev eth0 down name other"] {
        let trial = trial(vec![run(text), socket(), call(sendto("s", peer(7), "hello"), None)]);
        let Verdict::Fail(failure) = verdict(&trial) else {
            return Err(format!("`{text}` passed").into());
        };
        let told = format!("{} {}", failure.message, failure.details.join(" "));
        assert!(told.contains("eth0 is gone") && failure.at.is_some(), "{text}: {told}");
    }
    Ok(())
}

/// `arp/nobody_answers`: real time, held to a tenth of a second.
pub fn nobody_answers() -> Outcome {
    let request = |after: Option<&str>| {
        let after = after.map(|step| After {
            step: step.to_owned(),
            delay: Duration::from_secs(1),
            tolerance: Tolerance::Time(Duration::from_millis(100)),
        });
        let pattern = pattern(Layer::Arp, "tpa", Value::Ipv4(*peer(7).ip()), b"");
        Expect { at: location(), name: None, pattern, within: None, after }
    };
    let first = Action::Expect(Expect { name: Some("first".to_owned()), ..request(None) });
    let second = Action::Expect(Expect { name: Some("second".to_owned()), ..request(Some("first")) });
    let send = |text: &str| Syscall::Send {
        socket: "s".to_owned(),
        payload: Payload(text.as_bytes().into()),
        flags: Vec::new(),
    };
    let error = Wanted { error: Some("EHOSTUNREACH".to_owned()), ..Wanted::default() };
    let mut trial = named(vec![
        (None, socket()),
        (None, option("IP_RECVERR", OptionValue::Number(1))),
        (None, call(Syscall::Connect { socket: "s".to_owned(), to: peer(7) }, None)),
        (None, call(send("lost"), Some(4))),
        (Some("first"), first),
        (Some("second"), second),
        (None, Action::Expect(request(Some("second")))),
        (None, Action::Wait(Duration::from_millis(1500))),
        (None, Action::Call(CallStep { call: send("again"), cpu: None, background: None, outcome: error })),
    ]);
    trial.automatic_arp = false;
    passes(&trial)
}

/// What this machine cannot do is a skip, decided before anything runs.
pub fn skips() -> Outcome {
    let journal = |rigs| {
        let item = CheckItem {
            at: location(),
            source: Source::Ethtool,
            key: "tx_packets".to_owned(),
            expected: Expected::Number(1),
        };
        trial(vec![Action::Check(Check { rigs, items: vec![item] })])
    };
    let device = wire().device();
    for (trial, why) in [
        (trial(vec![run("no-such-tool at all")]), "no-such-tool"),
        (trial(vec![run("ethtool -K eth0 tso on gso on")]), "tso on"),
        (trial(vec![run("tc qdisc replace dev eth0 root no_such_qdisc")]), "no_such_qdisc"),
        (trial(vec![option("IP_TELEPATHY", OptionValue::Number(1))]), "IP_TELEPATHY"),
        (trial(vec![run("ethtool -G eth0 tx 64")]), device),
        (journal(None), "counters of a card"),
    ] {
        match verdict(&trial) {
            Verdict::Skip(reason) if reason.contains(why) => {}
            other => return Err(format!("it must be skipped for {why:?}: {other:?}").into()),
        }
    }
    for text in ["ethtool -K eth0 tso off gso on", "ethtool -K eth0 gso off", "ethtool -k eth0"] {
        passes(&trial(vec![run(text)]))?;
    }
    passes(&journal(Some(Rigs { only: vec![RigKind::Emu], is_virtual: false, is_igb: false, because: None })))
}
