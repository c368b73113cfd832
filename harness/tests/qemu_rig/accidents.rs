//! A guest that goes wrong in the middle of a case.

use crate::Outcome;
use crate::run::{Ended, Run};
use libtest_mimic::Failed;
use std::time::Duration;

/// The second of three trials goes wrong in this way; the others run in boots of their own.
fn accident(kind: &str, words: &[&str]) -> Result<Ended, Failed> {
    let run = Run::of_three()?.with("WIREPROOF_GUEST_GOES_WRONG", format!("{kind}@cases/second"));
    let ended = run.whole(&[&["--jobs", "1"], words].concat())?;
    ended.expect(1, &["FAIL  qemu  cases/second", "second.yaml:4:5", "2 passed, 1 failed"])?;
    Ok(ended)
}

pub fn panic() -> Outcome {
    let ended = accident("panic", &[])?;
    let told = [
        "the guest panicked: ",
        "asked to panic",
        "rip 0x",
        "rsp 0x",
        "go (",
        "image/wrong.rs:",
        "wireproof_guest::image::serve",
    ];
    ended.expect(1, &told)
}

pub fn page_fault() -> Outcome {
    let ended = accident("page-fault", &[])?;
    let told = [
        "exception 14, page fault (#PF)",
        "cr2 0x8",
        "rax 0x",
        "go (",
        "image/wrong.rs:",
        "wireproof_guest::image::serve",
    ];
    ended.expect(1, &told)
}

pub fn recursion() -> Outcome {
    let ended = accident("recursion", &[])?;
    ended.expect(
        1,
        &["cr2 0x", "below the end of the stack: it has overflown", "wireproof_guest::image::wrong::deeper"],
    )
}

pub fn triple_fault() -> Outcome {
    accident("triple-fault", &[])?.expect(1, &["the guest's CPU was reset (a triple fault), and QEMU ended"])
}

pub fn hang() -> Outcome {
    // What is measured below is no build.
    harness::rig::qemu::image::image()?;
    let ended = accident("hang", &["--patience", "2s"])?;
    let told = [
        "the guest does not answer, and is here (it told this when it was sent an NMI):",
        "rip 0x",
        "rsp 0x",
        "go (",
        "image/wrong.rs:",
        "wireproof_guest::image::serve",
    ];
    ended.expect(1, &told)?;
    assert!(ended.took > Duration::from_secs(2), "it had two seconds, not {:?}", ended.took);
    // It is waited for once, and not again for each thing that is read of a trial that failed: there are eight.
    assert!(
        ended.took < Duration::from_secs(10),
        "its deadline was two seconds, and it took {:?}",
        ended.took
    );
    Ok(())
}

pub fn deaf() -> Outcome {
    let told = [
        "the guest does not answer, and is here (it took no NMI, and QEMU's monitor told this):",
        "rip 0x",
        "rsp 0x",
        "wireproof_guest::image::wrong::hears_nothing",
        "wireproof_guest::image::serve",
    ];
    accident("deaf", &["--patience", "2s"])?.expect(1, &told)
}

pub fn flood() -> Outcome {
    accident("flood", &[])?.expect(1, &["the guest cannot be understood any more", "is no message"])
}
