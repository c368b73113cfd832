//! Runs that end otherwise than by themselves, and one without rights.

use crate::Outcome;
use crate::run::{CASE, Run, root};
use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The run's first guest hangs: so that what is done to it is done in mid-case.
fn hanging() -> Result<Run, Failed> {
    Ok(Run::of_three()?.with("WIREPROOF_GUEST_GOES_WRONG", "hang@cases/first"))
}

const WORDS: [&str; 8] = ["run", "--rig", "qemu", "cases", "--jobs", "1", "--patience", "100s"];

/// Waits until the guest serves its trial: by then it hangs.
fn in_mid_case(run: &Run) -> Result<i32, Failed> {
    let qemu = run.qemu()?;
    std::thread::sleep(Duration::from_secs(3));
    Ok(qemu)
}

pub fn qemu_killed() -> Outcome {
    let (run, begin) = (hanging()?, Instant::now());
    let child = run.start(&WORDS)?;
    kill(Pid::from_raw(in_mid_case(&run)?), Signal::SIGKILL)?;
    let killed = Instant::now();
    let ended = run.end(child, begin)?;
    ended.expect(1, &["FAIL  qemu  cases/first", "QEMU was killed by signal 9", "2 passed, 1 failed"])?;
    assert!(killed.elapsed() < Duration::from_secs(60), "it was told at once, and not when patience ended");
    Ok(())
}

/// Who stops QEMU is told of, and not the guest, which cannot answer either.
pub fn qemu_stopped() -> Outcome {
    let (run, begin) = (hanging()?, Instant::now());
    let mut words = WORDS;
    words[7] = "6s";
    let child = run.start(&words)?;
    let qemu = in_mid_case(&run)?;
    kill(Pid::from_raw(qemu), Signal::SIGSTOP)?;
    let ended = run.end(child, begin)?;
    let told =
        format!("QEMU itself stands still, and not the guest: its process {qemu} was stopped (SIGSTOP");
    ended.expect(1, &["FAIL  qemu  cases/first", &told, "2 passed, 1 failed"])
}

pub fn interrupted() -> Outcome {
    let (run, begin) = (Run::new()?, Instant::now());
    let case = "about: Waits.\nsteps:\n  - wait: 100s\n";
    std::fs::write(run.folder.path().join("cases/waits.yaml"), case)?;
    let words = ["run", "--rig", "qemu", "cases", "--clock", "real", "--max-wait", "1000s"];
    let child = run.start(&words)?;
    in_mid_case(&run)?;
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGINT)?;
    let signalled = Instant::now();
    run.end(child, begin)?.expect(1, &["interrupted"])?;
    assert!(signalled.elapsed() < Duration::from_secs(20), "it took {:?}", signalled.elapsed());
    Ok(())
}

/// A guest that hangs may be waited for for a hundred seconds, but not by somebody who has pressed Ctrl-C.
pub fn interrupted_in_a_wait() -> Outcome {
    let (run, begin) = (hanging()?, Instant::now());
    let child = run.start(&WORDS)?;
    in_mid_case(&run)?;
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGINT)?;
    let signalled = Instant::now();
    run.end(child, begin)?.expect(1, &["interrupted"])?;
    // Ten times as much as it takes where nobody else is.
    assert!(signalled.elapsed() < Duration::from_secs(1), "it took {:?}", signalled.elapsed());
    Ok(())
}

pub fn killed() -> Outcome {
    let (run, begin) = (hanging()?, Instant::now());
    let child = run.start(&WORDS)?;
    in_mid_case(&run)?;
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGKILL)?;
    let ended = run.end(child, begin)?;
    assert_eq!(ended.status.code(), None, "it was killed: {}", ended.told);
    Ok(())
}

/// Nobody, with a copy of the program, the image and a case.
pub fn powerless() -> Outcome {
    let place = tempfile::tempdir()?;
    let at = |name: &str| place.path().join(name);
    harness::rig::qemu::image::image()?;
    let image = root().join("target/guest/wireproof-guest");
    let copies: [(PathBuf, &str, u32); 2] =
        [(env!("CARGO_BIN_EXE_wireproof").into(), "wireproof", 0o755), (image, "guest", 0o644)];
    let may = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    may(place.path(), 0o777)?;
    std::fs::write(at("case.yaml"), CASE)?;
    may(&at("case.yaml"), 0o644)?;
    for (from, name, mode) in copies {
        std::fs::copy(from, at(name))?;
        may(&at(name), mode)?;
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"])
        .arg(at("wireproof"))
        .args(["run", "--rig", "qemu", "--out", "out", "case.yaml"])
        .env("WIREPROOF_GUEST", at("guest"))
        .env("TMPDIR", place.path())
        .current_dir(place.path())
        .output()?;
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    Ok(())
}
