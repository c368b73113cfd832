//! A QEMU, or an image, that is no good.

use crate::Outcome;
use crate::run::{CASE, Run};
use guest::protocol::PROTOCOL;
use libtest_mimic::Failed;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

/// A run that finds this script in the place of QEMU.
pub fn with_qemu(script: &str) -> Result<Run, Failed> {
    let run = Run::of_three()?;
    let folder = run.folder.path().join("programs");
    std::fs::create_dir(&folder)?;
    let qemu = folder.join("qemu-system-x86_64");
    std::fs::write(&qemu, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(&qemu, std::fs::Permissions::from_mode(0o755))?;
    let path = std::env::var("PATH")?;
    Ok(run.with("PATH", format!("{}:{path}", folder.display())))
}

/// One that says of itself what the harness wants to hear, and then does this.
fn with_liar(does: &str) -> Result<Run, Failed> {
    with_qemu(&format!(
        "case \"$1\" in\n--version) echo 'QEMU emulator version 10.0.2' ;;\n-device) echo 'name \"igb\"' ;;\n*) {does} ;;\nesac"
    ))
}

/// A file that may not be executed is no program; the usual folders are looked through all the same, so this stands for a machine
/// without QEMU only where there is none.
pub fn missing() -> Outcome {
    let run = Run::of_three()?.with("PATH", "/nowhere");
    if harness::rig::qemu::program::find().is_ok_and(|qemu| qemu.path.starts_with("/usr")) {
        return missing_in_doctor_of(&with_qemu("exit 1")?);
    }
    let told =
        ["qemu-system-x86_64 is not installed", "apt-get install qemu-system-x86", "doctor --rig qemu"];
    run.whole(&[])?.expect(2, &told)
}

/// A QEMU that cannot be run is as good as none.
fn missing_in_doctor_of(run: &Run) -> Outcome {
    run.whole(&[])?.expect(2, &["gave no version that can be read", "doctor --rig qemu"])?;
    let begin = std::time::Instant::now();
    let ended = run.end(run.start(&["doctor", "--rig", "qemu"])?, begin)?;
    ended.expect(
        2,
        &["qemu: not ready", "missing qemu-system-x86_64 8 or newer", "apt-get install qemu-system-x86"],
    )
}

pub fn too_old() -> Outcome {
    let script = "case \"$1\" in --version) echo 'QEMU emulator version 7.2.0 (Debian)' ;; *) echo 'name \"e1000e\"' ;; esac";
    let run = with_qemu(script)?;
    run.whole(&[])?.expect(2, &["QEMU 7.2.0 has no igb; 8 or newer has it", "bookworm-backports"])?;
    let begin = std::time::Instant::now();
    let ended = run.end(run.start(&["doctor", "--rig", "qemu"])?, begin)?;
    ended.expect(2, &["qemu: not ready", "QEMU 7.2.0 has no igb", "get it with: apt-get install"])
}

pub fn ends_at_once() -> Outcome {
    let ended = with_liar("echo 'qemu: no room' >&2; exit 3")?.whole(&["--jobs", "1"])?;
    ended.expect(1, &["QEMU ended with status 3; it said last:", "qemu: no room", "0 passed, 3 failed"])
}

/// After three boots in vain no more are tried.
pub fn hangs_at_start() -> Outcome {
    let run = with_liar("exec /bin/sleep 600")?;
    for more in 0..20 {
        std::fs::write(run.folder.path().join(format!("cases/more_{more}.yaml")), CASE)?;
    }
    let ended = run.whole(&["--jobs", "1", "--patience", "500ms"])?;
    let told = ["the guest does not answer", "QEMU is not started any more: 3 boots", "0 passed, 23 failed"];
    ended.expect(1, &told)?;
    assert!(ended.took < Duration::from_secs(100), "it took {:?}", ended.took);
    Ok(())
}

pub fn no_image() -> Outcome {
    let run = Run::of_three()?;
    let text = run.folder.path().join("cases/first.yaml").display().to_string();
    run.with("WIREPROOF_GUEST", text).whole(&[])?.expect(2, &["which is no ELF image"])?;
    let other = Run::of_three()?.with("WIREPROOF_GUEST", env!("CARGO_BIN_EXE_wireproof"));
    other.whole(&[])?.expect(2, &["which is no guest of wireproof", "cargo build -p guest"])?;
    another_protocol()?;
    let program = Run::of_three()?.with("WIREPROOF_GUEST", "/no/such/file");
    program.whole(&[])?.expect(2, &["/no/such/file, which cannot be read"])
}

/// An image of another tree: the digits of its protocol are others.
fn another_protocol() -> Outcome {
    let run = Run::of_three()?;
    let mut image = std::fs::read(harness::rig::qemu::image::image()?)?;
    let digits = PROTOCOL.as_bytes();
    let mut at = 0;
    while let Some(found) = image[at..].windows(digits.len()).position(|window| window == digits) {
        at += found;
        image[at..at + digits.len()].fill(b'0');
    }
    assert!(at > 0, "the image says which protocol it speaks");
    let path = run.folder.path().join("other");
    std::fs::write(&path, image)?;
    let told = ["was built from another tree: it speaks the protocol 0000000000000000, and this program"];
    run.with("WIREPROOF_GUEST", path.display().to_string()).whole(&[])?.expect(2, &told)
}

/// One that says that it is too old is not believed to have the igb of a newer one.
pub fn old_with_igb() -> Outcome {
    let script = "case \"$1\" in --version) echo 'QEMU emulator version 7.2.0 (Debian)' ;; *) echo 'name \"igb\"' ;; esac";
    let told =
        ["QEMU 7.2.0 is too old: its igb is not that of a release", "8 or newer is needed: apt-get install"];
    with_qemu(script)?.whole(&[])?.expect(2, &told)
}

/// What a script has started that gives no version is not left behind: each run is looked at for that.
pub fn hangs_at_version() -> Outcome {
    let run = with_qemu("/bin/sleep 600\nexit $?")?;
    run.whole(&[])?.expect(2, &["qemu-system-x86_64 gave no version within 5s"])
}

/// An orderly end that nobody asked for is not always that of a guest.
pub fn ends_in_order() -> Outcome {
    let told = ["QEMU ended with status 0, though nobody asked it to", "bye", "0 passed, 3 failed"];
    let ended = with_liar("echo bye >&2; exit 0")?.whole(&["--jobs", "1"])?;
    assert!(!ended.told.contains("triple fault"), "{}", ended.told);
    ended.expect(1, &told)
}

/// A script that starts QEMU and waits for it: what it started ends with it.
pub fn wrapped() -> Outcome {
    let qemu = harness::rig::qemu::program::find()?;
    let run = with_qemu(&format!("{} \"$@\"\nexit $?", qemu.path.display()))?;
    let ended = run.whole(&["--jobs", "1"])?;
    ended.expect(0, &["3 passed"])?;
    assert!(ended.took < Duration::from_secs(60), "it took {:?}", ended.took);
    Ok(())
}

/// KVM that cannot run the guest is told once, before the first trial: here its QEMU says nothing at all.
pub fn kvm_in_vain() -> Outcome {
    if !std::path::Path::new("/dev/kvm").exists() {
        let told = ["--accel kvm: there is no /dev/kvm", "--accel tcg needs nothing"];
        return Run::of_three()?.whole(&["--accel", "kvm"])?.expect(2, &told);
    }
    let ended = with_liar("exec /bin/sleep 600")?.whole(&["--accel", "kvm", "--patience", "2s"])?;
    ended.expect(2, &["rig qemu: --accel kvm: /dev/kvm ", "; --accel tcg needs nothing"])?;
    assert!(!ended.told.contains("FAIL"), "{}", ended.told);
    Ok(())
}

/// A guest that is to go wrong in a trial that does not run, or on a CPU that it has not, is no test of anything.
pub fn nobody_goes_wrong() -> Outcome {
    harness::rig::qemu::image::image()?;
    for (accident, told) in [
        ("hang@cases/fourth", "the trial \"cases/fourth\", and none of the 3 that run has that name"),
        ("hang:1@cases/first", "names CPU 1, and the guest of cases/first has 1"),
    ] {
        let run = Run::of_three()?.with("WIREPROOF_GUEST_GOES_WRONG", accident);
        run.whole(&[])?.expect(2, &[told])?;
    }
    Ok(())
}

/// In no time nobody answers.
pub fn no_patience() -> Outcome {
    Run::of_three()?.whole(&["--patience", "0"])?.expect(2, &["no guest can answer"])
}

/// The doctor tries KVM; a run that leaves the choice open says what it took, and passes on either.
pub fn acceleration() -> Outcome {
    harness::rig::qemu::image::image()?;
    let run = Run::of_three()?;
    let begin = std::time::Instant::now();
    let told = run.end(run.start(&["doctor", "--rig", "qemu"])?, begin)?;
    told.expect(0, &["acceleration: tcg, which is the default; --accel kvm "])?;
    let words = [
        "there is no /dev/kvm",
        "may not be opened",
        "opens, but cannot run the guest: ",
        "it boots the guest",
    ];
    assert!(words.iter().any(|words| told.told.contains(words)), "{}", told.told);
    run.whole(&["--accel", "auto"])?.expect(0, &["--accel auto: ", "3 passed"])
}
