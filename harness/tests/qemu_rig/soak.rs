//! Soaks: what is the same each time, what is not, and what is left.

use crate::Outcome;
use crate::machine::with_qemu;
use crate::run::Run;
use harness::rig::qemu::program;

/// Guests with one, two, three and four CPUs in each round, which overlap as it happens: nothing grows, and nothing is left.
pub fn right() -> Outcome {
    let run = Run::of_three()?;
    for cpu in [1, 2, 3] {
        let text = crate::run::CASE.replace("sendto: {", &format!("sendto: {{cpu: {cpu}, "));
        std::fs::write(run.folder.path().join(format!("cases/on_{cpu}.yaml")), text)?;
    }
    let ended = run.whole(&["--soak", "3s", "--jobs", "3"])?;
    ended.expect(0, &["round 2: 6 passed", " 0 changed; of ", " 0 drifted; 0 leaks"])
}

/// A guest that dies in each round fails its trial in each, and leaves nothing.
pub fn same_accident() -> Outcome {
    let run = Run::of_three()?.with("WIREPROOF_GUEST_GOES_WRONG", "panic@cases/second");
    let ended = run.whole(&["--soak", "1ms", "--jobs", "1"])?;
    ended.expect(1, &["round 2: 2 passed, 1 failed", "2 rounds of 3 results", ": 0 changed; ", "; 0 leaks"])
}

/// A QEMU that can be started so often, and then no more.
pub fn changes() -> Outcome {
    let qemu = program::find()?;
    // Each start is a line in a file; asking for the version or the devices is none.
    let script = format!(
        "case \"$*\" in *-kernel*) echo >>boots; [ $(wc -l <boots) -le 4 ] || exit 3 ;; esac\nexec {} \"$@\"",
        qemu.path.display()
    );
    let run = with_qemu(&script)?;
    let ended = run.whole(&["--soak", "1ms", "--jobs", "1", "--isolate"])?;
    let changed = "pass in 1 of 2 rounds, fail in 1 (first in round 2: ";
    ended.expect(
        1,
        &[
            "round 2: otherwise than in round 1",
            "QEMU ended with status 3",
            &format!("CHANGED  cases/second: {changed}"),
            &format!("CHANGED  cases/third: {changed}"),
            ": 2 changed; ",
            "; 0 leaks",
        ],
    )
}
