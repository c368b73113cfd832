//! Several CPUs: a case has those that it asks for, what it does on one is done there, and what goes wrong on one is told of it.

use crate::Outcome;
use crate::run::Run;
use guest::protocol::CpuReading;
use harness::case::model::{Action, Trial};
use harness::rig::qemu::{Options, Pool, QemuRig, program};
use harness::rig::{Cpus, Event, Rig as _};
use libtest_mimic::Failed;
use std::sync::Arc;
use std::time::Duration;

/// A case that sends a datagram from each of four CPUs, by a queue of its own.
const CASE: &str = r#"about: Sends from each CPU.
steps:
  - run: ["ethtool -L eth0 combined 4", "ip neigh replace ${peer.ip} lladdr ${peer.mac} dev eth0 nud permanent"]
  - sysfs: {path: /sys/class/net/eth0/queues/tx-0/xps_cpus, value: "1"}
  - sysfs: {path: /sys/class/net/eth0/queues/tx-1/xps_cpus, value: "2"}
  - sysfs: {path: /sys/class/net/eth0/queues/tx-2/xps_cpus, value: "4"}
  - sysfs: {path: /sys/class/net/eth0/queues/tx-3/xps_cpus, value: "8"}
  - socket: {as: s, type: udp}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "0", cpu: 0}
  - expect: {payload: "0"}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "1", cpu: 1}
  - expect: {payload: "1"}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "2", cpu: 2}
  - expect: {payload: "2"}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "3", cpu: 3}
  - expect: {payload: "3"}
  - check: {ethtool: {tx_queue_0_packets: 1, tx_queue_1_packets: 1, tx_queue_2_packets: 1, tx_queue_3_packets: 1}}
"#;

/// The second of three cases is that one.
fn run() -> Result<Run, Failed> {
    let run = Run::of_three()?;
    std::fs::write(run.folder.path().join("cases/second.yaml"), CASE)?;
    Ok(run)
}

fn trial() -> Result<Trial, Failed> {
    let trials = harness::case::load(&[run()?.folder.path().join("cases/second.yaml")]);
    Ok(trials.map_err(|why| why.render(false))?.swap_remove(0))
}

/// What each CPU has done in a trial that does what a case does, a millisecond after each step.
fn readings(trial: &Trial, cpus: Cpus) -> Result<Vec<CpuReading>, Failed> {
    let pool = Arc::new(Pool::new(program::find()?, Options::default())?);
    let mut rig = QemuRig::new(&pool, "", cpus)?;
    let (mut call, mut frames) = (0, 0);
    for step in &trial.steps {
        match &step.action {
            Action::Run(commands) => {
                for command in commands {
                    rig.command(command)?;
                }
            }
            Action::Sysfs { path, value, .. } => drop(rig.sysfs(path, value)?),
            Action::Call(step) => {
                call += 1;
                rig.start(call, step.cpu, &step.call)?;
            }
            _ => {}
        }
        let until = rig.now() + 1_000_000;
        while let Some(event) = rig.advance(until)? {
            frames += u32::from(matches!(event, Event::Frame(_)));
        }
    }
    assert_eq!(frames, 4, "one from each CPU");
    Ok(rig.cpus()?)
}

pub fn each_works() -> Outcome {
    let trial = trial()?;
    let cpus = readings(&trial, Cpus::of(&trial))?;
    let ids: Vec<_> = cpus.iter().map(|cpu| cpu.apic_id).collect();
    assert_eq!(ids, [0, 1, 2, 3]);
    for (number, cpu) in cpus.iter().enumerate() {
        assert!(cpu.works >= 2, "CPU {number} sends, and learns that it is sent: {cpus:?}");
        let vectors = cpu.interrupts.iter().enumerate().filter(|(_, times)| **times > 0);
        // CPU 0 has the link's, too.
        let vectors: Vec<_> =
            vectors.map(|(vector, _)| vector).filter(|vector| *vector != 0 || number != 0).collect();
        assert_eq!(vectors, [number + 1], "the vectors that came to CPU {number}: {cpus:?}");
    }
    Ok(())
}

/// Where nobody asks for more there is one, which is told of in no message.
pub fn one() -> Outcome {
    let trials = harness::case::load(&[Run::of_three()?.folder.path().join("cases/first.yaml")]);
    let trial = trials.map_err(|why| why.render(false))?.swap_remove(0);
    assert_eq!(Cpus::of(&trial).at_work, 1);
    let pool = Arc::new(Pool::new(program::find()?, Options::default())?);
    let cpus = QemuRig::new(&pool, "", Cpus::of(&trial))?.cpus()?;
    assert_eq!(cpus.len(), 1, "{cpus:?}");
    Ok(())
}

/// As many as a case can name.
pub fn many() -> Outcome {
    let trial = trial()?;
    for count in [2, 3, 5, 6, 7, 8, 16, 64] {
        let mut trial = trial.clone();
        let calls = trial.steps.iter_mut().filter_map(|step| match &mut step.action {
            Action::Call(call) if call.cpu.is_some() => Some(call),
            _ => None,
        });
        calls.for_each(|call| call.cpu = Some(count - 1));
        let cpus = Cpus::of(&trial);
        assert_eq!(u32::from(cpus.at_work), count.max(4));
        let readings = readings(&trial, cpus)?;
        assert_eq!(readings.len(), usize::from(cpus.at_work));
        let last = &readings[usize::try_from(count)? - 1];
        assert!(last.works >= 4, "it makes four calls: {last:?}");
    }
    Ok(())
}

/// The second of three trials goes wrong in this way on this CPU; the others run in boots of their own.
fn accident(kind: &str, words: &[&str], told: &[&str]) -> Outcome {
    let run = run()?.with("WIREPROOF_GUEST_GOES_WRONG", format!("{kind}@cases/second"));
    let ended = run.whole(&[&["--jobs", "1"], words].concat())?;
    ended.expect(1, &["FAIL  qemu  cases/second", "2 passed, 1 failed"])?;
    ended.expect(1, told)
}

pub fn panic() -> Outcome {
    let told =
        ["the guest panicked: ", "asked to panic (on CPU 2)", "rip 0x", "image/wrong.rs:", "start_processor"];
    accident("panic:2", &[], &told)
}

pub fn page_fault() -> Outcome {
    let told = ["page fault (#PF)", "cr2 0x8 (on CPU 3)", "rax 0x", "image/wrong.rs:", "start_processor"];
    accident("page-fault:3", &[], &told)
}

pub fn recursion() -> Outcome {
    let told =
        ["(on CPU 1), below the end of the stack: it has overflown", "wireproof_guest::image::wrong::deeper"];
    accident("recursion:1", &[], &told)
}

/// It is found out where the guest hangs, and before the harness gives it up.
pub fn hang() -> Outcome {
    // What is measured is no build.
    harness::rig::qemu::image::image()?;
    let run = run()?.with("WIREPROOF_GUEST_GOES_WRONG", "hang:2@cases/second");
    let ended = run.whole(&["--jobs", "1", "--patience", "8s"])?;
    let told = [
        "FAIL  qemu  cases/second",
        "2 passed, 1 failed",
        "CPU 2 of the guest does not end what it was told to do, and is here",
        "image/wrong.rs:",
        "start_processor",
    ];
    ended.expect(1, &told)?;
    assert!(ended.took > Duration::from_secs(3), "it had four seconds, not {:?}", ended.took);
    Ok(())
}

pub fn triple_fault() -> Outcome {
    accident("triple-fault:3", &[], &["the guest's CPU was reset (a triple fault), and QEMU ended"])
}

/// An interrupt at another CPU than the one that has its affinity.
pub fn astray() -> Outcome {
    accident("astray:3", &[], &["of the NIC interrupted CPU 3, and its affinity is CPU 0 (on CPU 0)"])
}

/// A call on a CPU that the machine has not, and a vector that goes there.
pub fn beyond() -> Outcome {
    let trial = trial()?;
    let cpus = Cpus { at_work: 2, ..Cpus::of(&trial) };
    let pool = Arc::new(Pool::new(program::find()?, Options::default())?);
    let mut rig = QemuRig::new(&pool, "", cpus)?;
    let calls = trial.steps.iter().filter_map(|step| match &step.action {
        Action::Call(call) => Some(call),
        _ => None,
    });
    let socket = { calls }.next().ok_or("it makes a socket")?;
    rig.start(1, Some(1), &socket.call)?;
    let told = rig.start(2, Some(2), &socket.call).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(told.contains("the stack is to work as CPU 2, and this machine has 2"), "{told}");
    let told = readings(&trial, cpus).err().and_then(|error| error.message().map(str::to_owned));
    let told = told.unwrap_or_default();
    assert!(told.contains("of the NIC interrupted CPU 0, and its affinity is CPU 2"), "{told}");
    Ok(())
}
