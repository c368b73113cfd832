//! What a soak finds in rounds that are told to it.

use super::*;
use crate::run::Failure;
use crate::run::unread::SkippedChecks;
use rstest::rstest;
use std::time::Duration;

fn entry(verdict: Verdict) -> Entry {
    Entry {
        name: "c".to_owned(),
        rig: RigKind::Emu,
        verdict,
        shown: String::new(),
        took: Duration::ZERO,
        skipped_checks: SkippedChecks::new(),
        timing: None,
        earlier: Vec::new(),
    }
}

fn fails() -> Option<Verdict> {
    Some(Verdict::fail(Failure::new("ttl is 64")))
}

fn passes() -> Option<Verdict> {
    Some(Verdict::Pass)
}

fn late() -> Option<Verdict> {
    Some(Verdict::Inconclusive("the harness was late".to_owned()))
}

fn interrupted() -> Option<Verdict> {
    Some(Verdict::Inconclusive(NOT_RUN.to_owned()))
}

/// The findings of rounds, in each of which the trial ended so, or had no result.
fn after(rounds: Vec<Option<Verdict>>) -> Vec<String> {
    let mut soak = Soak::new(RigKind::Linux);
    for verdict in rounds {
        verdict.map(|verdict| soak.ended(&entry(verdict)));
        soak.round_is_over(Usage::default());
    }
    soak.findings().into_iter().map(|f| format!("{} {}: {}", f.kind, f.what, f.why)).collect()
}

#[rstest]
#[case::never(vec![passes(), passes(), passes()], "")]
#[case::always_a_failure(vec![fails(), fails()], "")]
#[case::once(vec![passes(), passes(), fails(), passes()],
    "changed c: pass in 3 of 4 rounds, fail in 1 (first in round 3: ttl is 64)")]
#[case::only_at_first(vec![fails(), passes(), passes()], "changed c: fail in 1 of 3 rounds, pass in 2 (first in round 2)")]
#[case::of_a_case_that_fails_later(vec![None, fails()], "changed c: no result in 1 of 2 rounds, fail in 1 (first in round 2: ttl is 64)")]
#[case::of_a_case_that_failed_first(vec![fails(), None], "changed c: fail in 1 of 2 rounds, and not in the others")]
#[case::it_was_late(vec![passes(), late(), passes()], "")]
#[case::it_was_late_at_first(vec![late(), fails(), passes()], "changed c: fail in 1 of 3 rounds, pass in 1 (first in round 3)")]
#[case::of_a_case_that_was_late(vec![fails(), late()], "")]
#[case::it_was_interrupted(vec![passes(), interrupted()], "")]
fn a_verdict_that_changes_is_told(#[case] rounds: Vec<Option<Verdict>>, #[case] told: &str) {
    assert_eq!(after(rounds).join("\n"), told);
}

fn usage(change: impl FnOnce(&mut Usage)) -> Usage {
    let mut usage = Usage { descriptors: 9, threads: 2, namespaces: 1, memory: 20_000, ..Usage::default() };
    change(&mut usage);
    usage
}

#[rstest]
#[case::nothing(usage(|_| {}), "")]
#[case::a_descriptor(usage(|u| u.descriptors = 10), "file descriptors: 9 after round 1, 10 after round 3")]
#[case::a_socket(usage(|u| u.sockets = 1), "sockets: 0 after round 1, 1 after round 3")]
#[case::a_thread(usage(|u| u.threads = 3), "threads: 2 after round 1, 3 after round 3")]
#[case::a_process(usage(|u| u.processes = 1), "processes: 0 after round 1, 1 after round 3")]
#[case::a_namespace(usage(|u| u.namespaces = 2), "network namespaces: 1 after round 1, 2 after round 3")]
#[case::memory_of_the_device(usage(|u| u.pinned = 64), "KiB mapped for DMA or locked: 0 after round 1, 64 after round 3")]
#[case::fewer(usage(|u| u.descriptors = 3), "")]
fn what_is_more_than_after_the_first_round_leaks(#[case] last: Usage, #[case] told: &str) {
    let mut ledger = Ledger::default();
    for usage in [usage(|_| {}), usage(|u| u.descriptors = 30), last] {
        ledger.add(usage);
    }
    let found: Vec<_> = ledger.findings().into_iter().map(|f| format!("{}: {}", f.what, f.why)).collect();
    assert_eq!(found.join("\n"), told);
}

#[rstest]
#[case::it_grows(13, |round: u64| 20_000 + 1_500 * round, true)]
#[case::it_grows_slowly(60, |round: u64| 20_000 + 1_100 * round, true)]
#[case::it_grows_at_first(30, |round: u64| 20_000 + 3_000 * round.min(14), false)]
#[case::it_goes_up_and_down(30, |round: u64| 20_000 + 30_000 * (round % 3), false)]
#[case::too_few_rounds(12, |round: u64| 20_000 + 3_000 * round, false)]
fn memory_leaks_when_it_goes_on_growing(
    #[case] rounds: u64,
    #[case] kib: fn(u64) -> u64,
    #[case] leaks: bool,
) {
    let mut ledger = Ledger::default();
    (0..rounds).for_each(|round| ledger.add(usage(|u| u.memory = kib(round))));
    assert_eq!(!ledger.findings().is_empty(), leaks, "{:?}", ledger.findings());
}

/// One value in as many rounds, where trials do the same each time, or in real time.
fn drifted(exact: bool, values: &[i64]) -> String {
    let mut drift = Drift::new(exact);
    for (round, value) in (1..).zip(values) {
        drift.add("c", true, round, &[("netdev.tx_packets".to_owned(), crate::rig::Reading::Number(*value))]);
    }
    drift.findings(values.len() as u64).into_iter().map(|f| f.why).collect()
}

#[rstest]
#[case::the_same(true, vec![3, 3, 3], "")]
#[case::another_once(true, vec![3, 3, 4, 3], "netdev.tx_packets was 3, and 4 in round 3")]
#[case::noise_in_real_time(false, (0..20).map(|n| n % 3).collect(), "")]
#[case::the_same_in_real_time(false, vec![5; 20], "")]
#[case::a_trend_in_real_time(false, (0..20).collect(), "netdev.tx_packets was 0 to 9 in the first half of the rounds, and 10 to 19 in the second")]
#[case::a_step_downwards(false, (0..16).map(|n| -n / 8).collect(), "was 0 to 0 in the first half of the rounds, and -1 to -1")]
#[case::too_few_rounds(false, (0..15).collect(), "")]
fn a_counter_that_drifts_is_told(#[case] exact: bool, #[case] values: Vec<i64>, #[case] told: &str) {
    let found = drifted(exact, &values);
    assert!(found.contains(told) && found.is_empty() == told.is_empty(), "{found}");
}
