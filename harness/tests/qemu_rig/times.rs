//! Real time, and how long things take.

use crate::Outcome;
use crate::run::{CASE, Run, root};
use harness::case::model::{Action, Trial};
use harness::rig::qemu::{Options, Pool, QemuRig, program};
use harness::rig::{Cpus, Event, Rig as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Of [`first_frame`], and of [`overhead`]: medians.
const FIRST_FRAME: Duration = Duration::from_millis(300);
const OVERHEAD: Duration = Duration::from_millis(50);

/// In CI, where much else runs at the same time, so many times the limit is allowed for.
const SLACK: u32 = 4;

/// What a median may be: the limit itself where somebody asks for that on a quiet machine (`WIREPROOF_JUDGE_TIMES`), more in CI, and
/// elsewhere anything.
fn allowed(limit: Duration) -> Option<Duration> {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let asked = std::env::var_os("WIREPROOF_JUDGE_TIMES").map(|_| limit);
    asked.or(ci.then_some(limit * SLACK))
}

fn judge(what: &str, mut times: Vec<Duration>, limit: Duration) -> Outcome {
    times.sort_unstable();
    let median = times[times.len() / 2];
    println!("{what}: median {median:?} of {}, worst {:?}", times.len(), times[times.len() - 1]);
    match allowed(limit).filter(|allowed| median > *allowed) {
        Some(allowed) => Err(format!("{what}: the median is {median:?}, more than {allowed:?}").into()),
        None => Ok(()),
    }
}

/// A wait of a case takes as long as it says, and not where the harness sets the clock. A resent ARP request comes a second after the
/// first.
pub fn real() -> Outcome {
    let run = Run::new()?;
    std::fs::write(run.folder.path().join("cases/datagram.yaml"), CASE)?;
    let waits = "about: Asks twice.\npeer: {arp: manual}\nsteps:\n  - socket: {as: s, type: udp}\n  \
                 - sendto: {socket: s, to: \"${peer.ip}:7\", payload: \"x\"}\n  \
                 - expect: {as: one, arp: {op: request}}\n  \
                 - expect: {arp: {op: request}, after: {one: 1s}, tolerance: 200ms}\n  - quiet: 500ms\n";
    std::fs::write(run.folder.path().join("cases/asks.yaml"), waits)?;
    let at_once = run.whole(&[])?;
    at_once.expect(0, &["2 passed"])?;
    let ended = run.whole(&["--clock", "real"])?;
    let late = "inconclusive";
    if ended.status.code() == Some(1) && !ended.told.contains("FAIL") && ended.told.contains(late) {
        println!("the machine is too busy for real time:\n{}", ended.told);
        return Ok(());
    }
    ended.expect(0, &["2 passed", "the harness in a trial median"])?;
    assert!(ended.took > Duration::from_millis(1500), "the waits took {:?}", ended.took);
    Ok(())
}

/// Folders of the suite in real time: what waits, what is counted, what several CPUs do; and those that rely on a clock that stands still
/// are skipped with that reason. A machine that is too busy makes a trial inconclusive, and never wrong.
pub fn sample() -> Outcome {
    let run = Run::new()?;
    let folders = ["queues", "softirq", "arp", "offload"].map(|name| root().join("cases").join(name));
    let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    let mut words = vec!["run", "--rig", "qemu", "--clock", "real", "--format", "json"];
    words.extend(folders.iter().map(String::as_str));
    let begin = Instant::now();
    let ended = run.end(run.start(&words)?, begin)?;
    let with = |result: &str| {
        let result = format!("\"result\":\"{result}\"");
        ended.told.lines().filter(|line| line.contains(&result)).collect::<Vec<_>>()
    };
    assert!(with("fail").is_empty(), "{:#?}", with("fail"));
    let (passed, late) = (with("pass").len(), with("inconclusive"));
    println!("{passed} passed in real time, {} were late", late.len());
    assert!(late.iter().all(|line| line.contains("late by")), "{late:#?}");
    assert!(passed + late.len() > 150 && passed > late.len(), "{}", ended.told);
    for case in ["queues/the_byte_limit_holds_one_queue", "softirq/a_full_ring_loses_and_reorders_nothing"] {
        let skipped = with("skip").into_iter().find(|line| line.contains(case));
        assert!(skipped.is_some_and(|line| line.contains("qemu in virtual time: ")), "{}", ended.told);
    }
    Ok(())
}

pub fn refused() -> Outcome {
    let run = Run::of_three()?;
    let begin = Instant::now();
    let ended = run.end(run.start(&["run", "--clock", "real", "cases"])?, begin)?;
    ended.expect(2, &["rig emu has no choice of clocks; --clock real is for qemu"])
}

/// From the start of QEMU's process to the first frame of a guest.
pub fn first_frame() -> Outcome {
    let trials = harness::case::load(&[root().join("cases/udp/one_datagram.yaml")])
        .map_err(|why| format!("{why:?}"))?;
    let mut times = Vec::new();
    for _ in 0..10 {
        let pool = Arc::new(Pool::new(program::find()?, Options::default())?);
        let begin = Instant::now();
        send(&pool, &trials[0])?;
        times.push(begin.elapsed());
    }
    judge("from the start of QEMU to the first frame", times, FIRST_FRAME)
}

/// Does what the case does until a frame is on the wire.
fn send(pool: &Arc<Pool>, trial: &Trial) -> Outcome {
    let mut rig = QemuRig::new(pool, "", Cpus::of(trial))?;
    let mut call = 0;
    for step in &trial.steps {
        match &step.action {
            Action::Run(commands) => {
                for command in commands {
                    rig.command(command)?;
                }
            }
            Action::Call(step) => {
                call += 1;
                rig.start(call, None, &step.call)?;
            }
            _ => {}
        }
        let until = rig.now() + 1_000_000;
        while let Some(event) = rig.advance(until)? {
            if matches!(event, Event::Frame(_)) {
                return Ok(());
            }
        }
    }
    Err("no frame came".into())
}

/// A whole trial, in a guest that has booted.
pub fn overhead() -> Outcome {
    let pool = Arc::new(Pool::new(program::find()?, Options::default())?);
    let trials = harness::case::load(&[root().join("cases/udp/one_datagram.yaml")])
        .map_err(|why| format!("{why:?}"))?;
    send(&pool, &trials[0])?;
    let mut times = Vec::new();
    for _ in 0..30 {
        let begin = Instant::now();
        send(&pool, &trials[0])?;
        times.push(begin.elapsed());
    }
    judge("a stack, a datagram, and its end", times, OVERHEAD)
}
