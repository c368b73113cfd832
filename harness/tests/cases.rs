//! The conformance suite as tests: one for each trial and rig, named `rig::folder::case[row]`.
//!
//! On `emu` the capture is also compared with its snapshot below `cases/snapshots`. A case with several rows has one more
//! test, `…::covers`: its rows together must have gone where it says. Trials in real time overlap as long
//! as they do not make each other late; one that is inconclusive is run again, and said to be; where that does not help, it has
//! failed, with its reason.

use harness::case::{self, model::RigKind, model::Trial};
use harness::report::again::Again;
use harness::run::conclusive::conclusive;
use harness::run::governor::Governor;
use harness::run::{RigFactory, TrialReport, Verdict, artifacts, covers, execute, rigs, trial::skip_reason};
use libtest_mimic::{Arguments, Failed, Trial as Test};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The rigs that any machine may have.
const RIGS: [RigKind; 3] = [RigKind::Emu, RigKind::Linux, RigKind::Qemu];
/// In real time a case that itself waits for longer is left out, as `wireproof run` does.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Nobody stops a test.
static NEVER: AtomicBool = AtomicBool::new(false);

/// A rig, and what its trials have seen so far: case and row by name.
struct Shared {
    factory: Box<dyn RigFactory>,
    /// In real time: as many at once as do not make each other late.
    governor: Option<Governor>,
    seen: Mutex<BTreeMap<String, BTreeSet<&'static str>>>,
}

fn main() -> ExitCode {
    // While there is one thread; why it cannot is told by the rig.
    let _ = harness::rig::linux::rights::enter();
    let mut arguments = Arguments::from_args();
    // Those of emu, which come first, are all work; the others mostly wait.
    arguments.test_threads.get_or_insert(Governor::usual_limit(RigKind::Linux));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned);
    if let Err(error) = std::env::set_current_dir(&root) {
        eprintln!("{}: {error}", root.display());
        return ExitCode::FAILURE;
    }
    let tests = match case::load(&[PathBuf::from("cases")]) {
        Ok(trials) => RIGS.iter().flat_map(|kind| of_a_rig(*kind, &trials)).collect(),
        Err(problems) => {
            let text = problems.render(false);
            vec![Test::test("cases_are_right", move || Err(Failed::from(text)))]
        }
    };
    libtest_mimic::run(&arguments, tests).exit_code()
}

/// The tests of all trials that are for this rig.
fn of_a_rig(kind: RigKind, trials: &[Trial]) -> Vec<Test> {
    let for_it = trials.iter().filter(|trial| trial.rigs.as_ref().is_none_or(|rigs| rigs.contains(&kind)));
    let trials: Vec<Arc<Trial>> = for_it.cloned().map(Arc::new).collect();
    let factory = match rigs::factory(kind, &rigs::With::default()) {
        Ok(factory) => factory,
        Err(why) => return without_a_rig(kind, &trials, &why),
    };
    let governor = (kind != RigKind::Emu).then(|| Governor::new(Governor::usual_limit(kind)));
    let shared = Arc::new(Shared { factory, governor, seen: Mutex::default() });
    let mut tests = Vec::new();
    for rows in trials.chunk_by(|a, b| a.case == b.case) {
        tests.extend(rows.iter().map(|trial| of_a_trial(&shared, trial)));
        let [first, _, ..] = rows else { continue };
        let runs = |trial: &Arc<Trial>| skip_reason(shared.factory.as_ref(), trial, MAX_WAIT).is_none();
        if kind != RigKind::Linux && !first.covers.is_empty() && rows.iter().any(runs) {
            let (shared, rows) = (Arc::clone(&shared), rows.to_vec());
            let name = format!("{}::covers", name(kind, &first.case, ""));
            tests.push(Test::test(name, move || covers_what_it_says(&shared, &rows)));
        }
    }
    tests
}

/// A machine without the rig leaves its trials out and says so; in CI that is a failure, or nobody would notice.
fn without_a_rig(kind: RigKind, trials: &[Arc<Trial>], why: &str) -> Vec<Test> {
    if in_ci() {
        let why = format!("the {} rig is missing here: {why}", kind.name());
        return vec![Test::test(format!("{}::rig_is_there", kind.name()), move || Err(Failed::from(why)))];
    }
    let ignored = |trial: &Arc<Trial>| {
        Test::test(name_of(kind, trial), || Ok(())).with_kind(why).with_ignored_flag(true)
    };
    trials.iter().map(ignored).collect()
}

fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| ci == "true")
}

fn of_a_trial(shared: &Arc<Shared>, trial: &Arc<Trial>) -> Test {
    let kind = shared.factory.kind();
    let left_out = skip_reason(shared.factory.as_ref(), trial, MAX_WAIT);
    let name = name_of(kind, trial);
    if let Some(why) = left_out {
        // In CI nobody would notice that the peer is missing.
        if kind == RigKind::Emu && trial.real_peer.is_some() && in_ci() {
            return Test::test(name, || Err(Failed::from(why)));
        }
        return Test::test(name, || Ok(())).with_kind(why).with_ignored_flag(true);
    }
    let (shared, trial) = (Arc::clone(shared), Arc::clone(trial));
    Test::test(name, move || run(&shared, &trial))
}

fn name_of(kind: RigKind, trial: &Trial) -> String {
    name(kind, &trial.case, trial.name().strip_prefix(&trial.case).unwrap_or_default())
}

/// `emu::ip::fragments[mtu=576]`.
fn name(kind: RigKind, case: &str, row: &str) -> String {
    format!("{}::{}{row}", kind.name(), case.replace('/', "::"))
}

/// Runs it, beside as many others as do not make each other late.
fn once(shared: &Shared, trial: &Trial) -> TrialReport {
    let mut permit = shared.governor.as_ref().and_then(|governor| governor.enter(|| false));
    let report = execute(shared.factory.as_ref(), trial, MAX_WAIT, &NEVER);
    if let (Some(permit), Some(timing)) = (&mut permit, &report.timing) {
        permit.was_late_by(timing.late());
    }
    report
}

fn run(shared: &Shared, trial: &Trial) -> Result<(), Failed> {
    let kind = shared.factory.kind();
    let mut report = conclusive(&name_of(kind, trial), || once(shared, trial));
    let capture = artifacts::capture(&report.record, trial);
    if let Some(journey) = &mut report.journey {
        artifacts::note_wire(journey, &capture);
    }
    artifacts::explain(kind, trial, &mut report, &capture, None, &Again::default());
    match &report.verdict {
        Verdict::Pass => {}
        Verdict::Fail(_) => return Err(Failed::from(report.shown)),
        Verdict::Skip(why) => return Err(Failed::from(format!("skipped: {why}"))),
        Verdict::Inconclusive(why) => return Err(Failed::from(format!("inconclusive: {why}"))),
    }
    // A kernel is not the same each time.
    if kind == RigKind::Linux || trial.real_peer.is_some() {
        return Ok(());
    }
    let seen = report.functions();
    if trial.row.is_empty()
        && let Some(failure) = covers::missing(trial, &seen)
    {
        return Err(Failed::from(format!("{failure}\n{}", failure.details.join("\n"))));
    }
    remember(shared, trial, &report);
    if kind != RigKind::Emu {
        return Ok(());
    }
    compare_with_snapshot(trial, &harness::judge::snapshot::snapshot(&capture));
    Ok(())
}

fn remember(shared: &Shared, trial: &Trial, report: &TrialReport) {
    let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.insert(trial.name(), report.functions());
}

/// The rows of a case together went through every function that it covers. Rows that no test ran yet are run.
fn covers_what_it_says(shared: &Shared, rows: &[Arc<Trial>]) -> Result<(), Failed> {
    let mut all = BTreeSet::new();
    for trial in rows {
        let known = shared.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&trial.name()).cloned();
        let seen =
            known.unwrap_or_else(|| execute(shared.factory.as_ref(), trial, MAX_WAIT, &NEVER).functions());
        all.extend(seen);
    }
    match covers::missing(&rows[0], &all) {
        None => Ok(()),
        Some(failure) => Err(Failed::from(format!("{failure}\n{}", failure.details.join("\n")))),
    }
}

/// Panics, with the difference, when the capture is not that of the snapshot. A folder of snapshots for each folder of cases:
/// insta reads the whole folder each time.
fn compare_with_snapshot(trial: &Trial, text: &str) {
    let (folder, stem) = trial.case.rsplit_once('/').unwrap_or(("", &trial.case));
    let row: Vec<_> = trial.row.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let name = match row.as_slice() {
        [] => stem.to_owned(),
        row => format!("{stem}@{}", artifacts::file_name(&row.join(","))),
    };
    let root = std::env::current_dir().unwrap_or_default();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root.join("cases/snapshots").join(folder));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(trial.about.trim());
    settings.bind(|| insta::assert_snapshot!(name, text));
}
