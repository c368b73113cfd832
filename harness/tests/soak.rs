//! Soaks of what is right, and of a stack and a rig that are wrong on purpose. There is one test here: what a process holds is that
//! of all its tests.

use harness::case::model::{RigKind, Trial};
use harness::report::again::Again;
use harness::rig::qemu::program;
use harness::rig::{Rig, RigError};
use harness::run::factory::Around;
use harness::run::pool::{self, Options};
use harness::run::rigs::{With, factory};
use harness::run::soak::leaks::Usage;
use harness::run::soak::reads::Noting;
use harness::run::soak::{Finding, Soak};
use harness::run::{RigFactory, TrialReport};
use std::fs::File;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const CASE: &str = r#"about: A datagram, once its neighbour is known.
steps:
  - run: "ip neigh replace ${peer.ip} lladdr ${peer.mac} dev eth0 nud permanent"
  - socket: {as: s, type: udp}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "one", returns: 3}
  - expect: {udp: {dst_port: 7}}
  - check: {netdev: {tx_packets: ">=1"}}
"#;

/// What is wrong from the third rig on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Link,
    Counter,
    Descriptor,
    Thread,
    Memory,
}

/// A rig, with something wrong.
struct Spoiled {
    inner: Box<dyn RigFactory>,
    wrong: Wrong,
    made: AtomicU64,
    kept: Mutex<(Vec<File>, Vec<Vec<u8>>)>,
}

impl Around for Spoiled {
    fn inner(&self) -> &dyn RigFactory {
        self.inner.as_ref()
    }

    fn wrap(&self, mut rig: Box<dyn Rig>, _trial: &Trial) -> Result<Box<dyn Rig>, RigError> {
        if self.made.fetch_add(1, Ordering::Relaxed) < 2 {
            return Ok(rig);
        }
        let mut kept = self.kept.lock().expect("nobody panicked");
        match self.wrong {
            // Of a counter, what was read is changed afterwards.
            Wrong::Nothing | Wrong::Counter => {}
            Wrong::Link => rig.set_link(false)?,
            Wrong::Descriptor => kept.0.push(File::open("/dev/null").expect("it is there")),
            Wrong::Thread => drop(std::thread::spawn(|| std::thread::sleep(Duration::from_secs(20)))),
            Wrong::Memory => kept.1.push(vec![1; 3 << 20]),
        }
        Ok(rig)
    }
}

fn soak(kind: RigKind, wrong: Wrong, rounds: u64) -> Vec<Finding> {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    std::fs::write(folder.path().join("c.yaml"), CASE).expect("it can be written");
    let trials = harness::case::load(&[folder.path().to_owned()]).expect("the case is right");
    let chosen: Vec<_> = trials.iter().collect();
    let inner = factory(kind, &With::default()).expect("what it needs is there");
    let spoiled = Spoiled { inner, wrong, made: AtomicU64::new(0), kept: Mutex::default() };
    let (cancelled, again) = (AtomicBool::new(false), Again::default());
    let options = Options {
        jobs: 1,
        max_wait: Duration::from_secs(10),
        retries: 0,
        cancelled: &cancelled,
        again: &again,
    };
    let mut soak = Soak::new(kind);
    let mut first = None;
    // In real time one value that is another is no drift yet.
    let from = if kind == RigKind::Emu { 2 } else { rounds / 2 };
    for _ in 0..rounds {
        let noting = Noting::new(&spoiled);
        let keep = |_: &Trial, _: &mut TrialReport| None;
        pool::run(&noting, &trials, &chosen, options, &keep, &mut |entry| {
            soak.ended(&entry);
        });
        let mut readings = noting.take(&trials[0]);
        if wrong == Wrong::Counter && soak.round() > from {
            readings[0].1 = harness::rig::Reading::Number(7);
        }
        soak.read(&trials[0], &readings);
        spoiled.rest();
        let usage = Usage::settled(first.as_ref());
        first.get_or_insert(usage.clone());
        soak.round_is_over(usage);
    }
    soak.findings()
}

fn told(kind: RigKind, wrong: Wrong, rounds: u64, told: &str) {
    let found = soak(kind, wrong, rounds);
    let found: Vec<_> = found.into_iter().map(|f| format!("{} {}: {}", f.kind, f.what, f.why)).collect();
    assert_eq!(found.is_empty(), told.is_empty(), "{kind:?}, {wrong:?}: {found:?}");
    assert!(found.iter().all(|line| line.contains(told)), "{kind:?}, {wrong:?}: {found:?}");
}

#[test]
fn a_soak_tells_of_what_changes_drifts_or_leaks() {
    let alike = [
        (Wrong::Nothing, 16, ""),
        (Wrong::Link, 4, "c: pass in 2 of 4 rounds, fail in 2 (first in round 3"),
        (Wrong::Descriptor, 4, "leak file descriptors: "),
        (Wrong::Thread, 4, "leak threads: "),
        (Wrong::Memory, 16, "leak memory: "),
    ];
    let mut kinds = vec![RigKind::Emu];
    match program::find() {
        Ok(_) => kinds.push(RigKind::Qemu),
        Err(why) => {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
            println!("on emu alone: {why}");
        }
    }
    for kind in kinds {
        for (wrong, rounds, why) in alike {
            told(kind, wrong, rounds, why);
        }
        let drift = if kind == RigKind::Emu {
            (4, "c: netdev.tx_packets was 1, and 7 in round 3")
        } else {
            (16, "c: netdev.tx_packets was 1 to 1 in the first half of the rounds, and 7 to 7 in the second")
        };
        told(kind, Wrong::Counter, drift.0, drift.1);
    }
}
