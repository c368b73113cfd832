//! Whole runs on the emu rig: the same results and the same bytes, however many threads there are.

use super::*;
use crate::run::{artifacts, rigs};
use rstest::rstest;
use std::path::Path;

const PASSES: &str = r#"
about: One datagram for each length.
covers: [udp_sendmsg]
matrix: {length: [1, 2, 3, 1400, 4000]}
steps:
  - socket: {as: s, type: udp}
  - setsockopt: {socket: s, level: IPPROTO_IP, name: IP_MTU_DISCOVER, value: IP_PMTUDISC_DONT}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: {pattern: counting, length: "${length}"}, returns: "${length}"}
  - fragments: {mtu: 1500, udp: {dst_port: 7}, payload: {pattern: counting, length: "${length}"}}
"#;
const FAILS: &str = r#"
about: A frame that no step explains.
steps:
  - socket: {as: s, type: udp}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "x"}
  - wait: 1ms
"#;
const UNCOVERED: &str = r#"
about: Two rows, and neither goes where the case says.
covers: [tcp_sendmsg]
matrix: {text: [a, b]}
steps:
  - socket: {as: s, type: udp}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "${text}"}
  - expect: {payload: "${text}"}
"#;

fn trials(folder: &Path, files: &[(&str, &str)]) -> Vec<Trial> {
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("the folder can be written");
    }
    crate::case::load(&[folder.to_owned()]).expect("the cases are right")
}

/// One trial after the other, each once.
fn alone<'r>(cancelled: &'r AtomicBool, again: &'r Again) -> Options<'r> {
    Options { jobs: 1, max_wait: Duration::from_secs(10), retries: 0, cancelled, again }
}

/// Runs all, and gives the results, without their time, and every file that was left.
fn run_all(trials: &[Trial], jobs: usize, out: &Path) -> (Vec<String>, BTreeMap<String, Vec<u8>>) {
    let factory = rigs::factory(RigKind::Emu, &rigs::With::default()).expect("the emu rig needs nothing");
    let cancelled = AtomicBool::new(false);
    let again = Again::default();
    let options = Options { jobs, ..alone(&cancelled, &again) };
    let keep = |trial: &Trial, report: &mut TrialReport| {
        artifacts::write(out, RigKind::Emu, trial, report, &again).expect("the folder can be written");
        None
    };
    let mut entries = Vec::new();
    let chosen: Vec<_> = trials.iter().collect();
    run(factory.as_ref(), trials, &chosen, options, &keep, &mut |entry| {
        entries.push(format!("{} {} {}", entry.name, entry.verdict.word(), entry.verdict.why()));
    });
    let mut files = BTreeMap::new();
    for trial in trials {
        let folder = artifacts::folder(out, RigKind::Emu, trial);
        for name in [artifacts::WIRE, artifacts::JOURNEY, artifacts::RESULT] {
            let bytes = std::fs::read(folder.join(name)).expect("each trial leaves three files");
            files.insert(format!("{} {name}", trial.name()), bytes);
        }
    }
    (entries, files)
}

#[test]
fn a_run_leaves_the_same_bytes_and_verdicts_with_one_thread_and_with_four() {
    let (cases, one, four) = (tempfile::tempdir(), tempfile::tempdir(), tempfile::tempdir());
    let [cases, one, four] = [cases, one, four].map(|folder| folder.expect("there is room for a folder"));
    let trials = trials(cases.path(), &[("a.yaml", PASSES), ("b.yaml", FAILS)]);
    let (entries, files) = run_all(&trials, 1, one.path());
    assert_eq!(entries.len(), 6);
    assert!(entries[0].contains("[length=1] pass"), "{entries:?}");
    assert!(entries[5].contains("no step explains"), "{entries:?}");
    assert_eq!((entries, files), run_all(&trials, 4, four.path()));
}

#[rstest]
#[case::all_rows_run(None, true)]
#[case::one_row_is_left_out(Some(1), false)]
fn a_case_fails_when_no_row_went_where_it_says(#[case] rows: Option<usize>, #[case] fails: bool) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let trials = trials(folder.path(), &[("a.yaml", UNCOVERED)]);
    let factory = rigs::factory(RigKind::Emu, &rigs::With::default()).expect("the emu rig needs nothing");
    let cancelled = AtomicBool::new(false);
    let again = Again::default();
    let options = Options {
        jobs: 1,
        max_wait: Duration::from_secs(10),
        retries: 0,
        cancelled: &cancelled,
        again: &again,
    };
    let chosen: Vec<_> = trials.iter().take(rows.unwrap_or(usize::MAX)).collect();
    let mut failed = Vec::new();
    run(factory.as_ref(), &trials, &chosen, options, &|_, _| None, &mut |entry| {
        if !entry.verdict.is_pass() {
            failed.push(entry.name);
        }
    });
    assert_eq!(failed, if fails { vec![trials[0].case.clone()] } else { Vec::new() });
}

#[rstest]
#[case::it_is_not_asked_for(0, 1)]
#[case::it_is_over_before_the_trial_says_something(1, 2)]
#[case::the_trial_says_something_at_last(5, 3)]
fn a_trial_that_says_nothing_is_run_again_as_often_as_is_asked_for(
    #[case] retries: usize,
    #[case] runs: usize,
) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let trials = trials(folder.path(), &[("b.yaml", FAILS)]);
    let factory = rigs::factory(RigKind::Emu, &rigs::With::default()).expect("the emu rig needs nothing");
    let (cancelled, again) = (AtomicBool::new(false), Again::default());
    let options = Options { retries, ..alone(&cancelled, &again) };
    let ran = AtomicUsize::new(0);
    let keep = |_: &Trial, report: &mut TrialReport| match ran.fetch_add(1, Ordering::Relaxed) {
        0 => {
            report.verdict = Verdict::Inconclusive("late".to_owned());
            None
        }
        1 => Some("the other rig was late".to_owned()),
        _ => None,
    };
    let mut told = Vec::new();
    run(factory.as_ref(), &trials, &[&trials[0]], options, &keep, &mut |entry| told.push(entry.earlier));
    assert_eq!(ran.into_inner(), runs);
    assert_eq!(told, [["late", "the other rig was late"][..runs - 1].to_vec()]);
}

#[test]
fn a_failure_is_not_run_again() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let trials = trials(folder.path(), &[("b.yaml", FAILS)]);
    let factory = rigs::factory(RigKind::Emu, &rigs::With::default()).expect("the emu rig needs nothing");
    let (cancelled, again) = (AtomicBool::new(false), Again::default());
    let options = Options { retries: 3, ..alone(&cancelled, &again) };
    let mut told = Vec::new();
    run(factory.as_ref(), &trials, &[&trials[0]], options, &|_, _| None, &mut |entry| {
        told.push((entry.verdict.word(), entry.earlier.len()));
    });
    assert_eq!(told, [("fail", 0)]);
}
