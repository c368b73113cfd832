//! One boot serves many trials, and nothing is left from one to the next: in another order, and each in a boot of its own, they end
//! alike, with the same frames and the same counters.

use harness::case::{self, model::RigKind, model::Trial};
use harness::rig::qemu::Options;
use harness::run::record::From;
use harness::run::{RigFactory, execute, rigs, trial::skip_reason};
use libtest_mimic::{Arguments, Failed, Trial as Test};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const MAX_WAIT: Duration = Duration::from_secs(10);
/// Of so many trials one runs: in order, and in a boot of its own.
const EVERY: usize = 3;
const EVERY_ALONE: usize = 24;
/// Differences that a failure shows.
const SHOWN: usize = 10;

/// What a trial left, by its name: how it ended, its frames, how counters moved.
type Left = BTreeMap<String, [String; 3]>;

fn main() -> ExitCode {
    let name = "qemu::the_order_of_trials_changes_nothing";
    let with = |isolated| {
        let qemu = Options { isolated, ..Options::default() };
        rigs::factory(RigKind::Qemu, &rigs::With { qemu, ..rigs::With::default() })
    };
    let test = match with(false).and_then(|shared| Ok((shared, with(true)?))) {
        Ok((shared, alone)) => Test::test(name, move || order(shared.as_ref(), alone.as_ref())),
        Err(why) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => {
            Test::test(name, move || Err(Failed::from(why)))
        }
        Err(why) => Test::test(name, || Ok(())).with_kind(why).with_ignored_flag(true),
    };
    libtest_mimic::run(&Arguments::from_args(), vec![test]).exit_code()
}

fn order(shared: &dyn RigFactory, alone: &dyn RigFactory) -> Result<(), Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned);
    let all = case::load(&[root.join("cases")]).map_err(|problems| problems.render(false))?;
    let runs: Vec<&Trial> =
        all.iter().filter(|trial| skip_reason(shared, trial, MAX_WAIT).is_none()).step_by(EVERY).collect();
    let first = run(shared, runs.iter().copied());
    let backwards = run(shared, runs.iter().rev().copied());
    // Steps of a number that has no divisor in common with theirs come by all of them.
    let step = [101, 103, 107].into_iter().find(|step| !runs.len().is_multiple_of(*step)).unwrap_or(1);
    let mixed = run(shared, (0..runs.len()).map(|i| runs[i * step % runs.len()]));
    let each_alone = run(alone, runs.iter().step_by(EVERY_ALONE / EVERY).copied());
    let mut wrong = Vec::new();
    for (how, other) in [("backwards", &backwards), ("in another order", &mixed), ("alone", &each_alone)] {
        wrong.extend(other.iter().flat_map(|(name, left)| differences(name, how, &first[name], left)));
    }
    println!("{} trials in three orders, {} of them alone", runs.len(), each_alone.len());
    if wrong.is_empty() {
        return Ok(());
    }
    let more = wrong.len().saturating_sub(SHOWN);
    wrong.truncate(SHOWN);
    Err(format!("{}\nand {more} more", wrong.join("\n")).into())
}

fn run<'t>(factory: &dyn RigFactory, trials: impl Iterator<Item = &'t Trial>) -> Left {
    let never = AtomicBool::new(false);
    let left = |trial: &Trial| {
        let report = execute(factory, trial, MAX_WAIT, &never);
        let sent = report.record.frames().iter().filter(|frame| frame.from == From::Sut);
        let frames = sent.map(|frame| format!("{} {:02x?}", frame.at, frame.bytes)).collect::<Vec<_>>();
        // How often a device interrupts is a matter of its own time.
        let counters = report.counters.iter().filter(|(source, _)| **source != "softirqs");
        let counters = counters.map(|(source, moved)| format!("{source} {moved:?}")).collect::<Vec<_>>();
        (trial.name(), [format!("{:?}", report.verdict), frames.join("\n"), counters.join("\n")])
    };
    trials.map(left).collect()
}

fn differences(name: &str, how: &str, first: &[String; 3], other: &[String; 3]) -> Vec<String> {
    let what = ["verdict", "frames", "counters"];
    let differ = |i: &usize| first[*i] != other[*i];
    let told = |i: usize| {
        let apart = first[i].lines().zip(other[i].lines()).find(|(a, b)| a != b);
        let (a, b) = apart.unwrap_or(("more", "less"));
        format!("{name} {how}: the {} differ: {a:.300} and {b:.300}", what[i])
    };
    (0..what.len()).filter(differ).map(told).collect()
}
