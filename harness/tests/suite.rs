//! What is asked of the suite itself: a case that Linux does not run says why, and one that is wrong fails wherever it is run.

use harness::case::{self, model::RigKind, model::Trial};
use harness::run::conclusive::conclusive;
use harness::run::{RigFactory, Verdict, execute, rigs};
use libtest_mimic::{Arguments, Failed, Trial as Test};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The cases of `fixtures/wrong-cases`, with what their failures must show: the value that is right.
const WRONG: [(&str, &str); 3] = [
    ("arp_interval", "the frame came at 1.0"),
    ("errno", "got error ENETUNREACH"),
    ("fragment_size", "ipv4.length is 1004, not 1006"),
];

/// The same of those that only the emulated NIC can run.
const WRONG_ON_EMU: [(&str, &str); 2] = [
    (
        "fault_that_never_strikes",
        "`lost_write_back` did not strike: it is for number 3 since the first step, and there was 1",
    ),
    ("conserve_that_cannot_be_decided", "what this asks for cannot be decided for snmp "),
];

fn main() -> ExitCode {
    let mut tests = vec![Test::test("cases_that_linux_does_not_run_say_why", say_why)];
    tests.extend(WRONG_ON_EMU.map(|(stem, shown)| wrong(RigKind::Emu, stem, shown)));
    for kind in [RigKind::Emu, RigKind::Linux] {
        tests.extend(WRONG.map(|(stem, shown)| wrong(kind, stem, shown)));
    }
    tests.push(needing(RigKind::Linux, "compare_says_that_linux_does_not_do_it_either".into(), |_| {
        compared()
    }));
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &str) -> Result<Vec<Trial>, Failed> {
    case::load(&[root(path)]).map_err(|problems| Failed::from(problems.render(false)))
}

fn say_why() -> Result<(), Failed> {
    let trials = read("cases")?;
    let without_reason = |trial: &&Trial| {
        let limit = trial.rigs.as_ref().filter(|rigs| !rigs.contains(&RigKind::Linux));
        limit.is_some_and(|rigs| rigs.because.is_none())
    };
    let mut names: Vec<_> = trials.iter().filter(without_reason).map(|trial| &trial.case).collect();
    names.dedup();
    if names.is_empty() {
        return Ok(());
    }
    Err(format!("`rigs: {{only: […], because: \"…\"}}` is what these need: {names:?}").into())
}

/// A case that must fail on a rig.
fn wrong(kind: RigKind, stem: &'static str, shown: &'static str) -> Test {
    let name = format!("{}::{stem}_is_wrong", kind.name());
    needing(kind, name, move |factory| fails(factory, stem, shown))
}

/// A test that needs a rig; where that is missing it is left out, in CI that is a failure.
fn needing(
    kind: RigKind,
    name: String,
    test: impl FnOnce(&dyn RigFactory) -> Result<(), Failed> + Send + 'static,
) -> Test {
    let factory = match rigs::factory(kind, &rigs::With::default()) {
        Ok(factory) => factory,
        Err(why) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => {
            return Test::test(name, move || Err(Failed::from(why)));
        }
        Err(why) => return Test::test(name, || Ok(())).with_kind(why).with_ignored_flag(true),
    };
    Test::test(name, move || test(factory.as_ref()))
}

fn fails(factory: &dyn RigFactory, stem: &str, shown: &str) -> Result<(), Failed> {
    for trial in read(&format!("fixtures/wrong-cases/{stem}.yaml"))? {
        let once = || execute(factory, &trial, Duration::from_secs(10), &AtomicBool::new(false));
        match conclusive(stem, once).verdict {
            Verdict::Fail(failure) if failure.to_string().contains(shown) => {}
            other => return Err(format!("{stem} must fail and show {shown:?}: {other:?}").into()),
        }
    }
    Ok(())
}

/// `compare` tells a case that is wrong from a rig that is.
fn compared() -> Result<(), Failed> {
    let out = tempfile::tempdir()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_wireproof"));
    command
        .args(["compare", "--retries", "5"])
        .arg(root("fixtures/wrong-cases"))
        .arg("--out")
        .arg(out.path());
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let told = said.matches("linux does not do this either: the case is wrong").count();
    if (told, output.status.code()) == (WRONG.len(), Some(1)) {
        return Ok(());
    }
    Err(format!("all of {} are wrong, compare found {told}: {said}", WRONG.len()).into())
}
