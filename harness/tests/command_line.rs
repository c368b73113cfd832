//! The program as people and scripts meet it: exit status, output, and what it leaves.

use rstest::rstest;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

const WIREPROOF: &str = env!("CARGO_BIN_EXE_wireproof");

/// Three rows, of which one fails.
const RED: &str = r#"
about: Payload c is not what the case says.
matrix: {text: [a, b, c]}
steps:
  - socket: {as: s, type: udp}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "${text}"}
  - any_order:
      - {udp: {dst_port: 7}, payload: "a"}
"#;
const GREEN: &str = r#"
about: One datagram for each text.
matrix: {text: [a, b, c, d, e, f, g, h]}
steps:
  - socket: {as: s, type: udp}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "${text}"}
  - expect: {payload: "${text}"}
"#;

/// A folder with `cases/red.yaml` and `cases/green.yaml`, in which the program is run.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    fs::write(folder.path().join("cases/red.yaml"), RED).unwrap();
    fs::write(folder.path().join("cases/green.yaml"), GREEN).unwrap();
    folder
}

fn wireproof(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(WIREPROOF);
    command.args(arguments.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    command
}

fn run(mut command: Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[rstest]
#[case::of_a_red_run("run cases --jobs 1 --junit out.xml", 1)]
#[case::of_a_green_run("run cases/green.yaml --jobs 1 --junit out.xml", 0)]
#[case::of_a_red_run_for_machines("run cases --jobs 1 --junit out.xml --format json", 1)]
fn a_reader_that_goes_away_changes_nothing_but_the_output(#[case] arguments: &str, #[case] status: i32) {
    let folder = folder();
    let mut child =
        wireproof(folder.path(), arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{}", text(&output.stderr));
    let junit = fs::read_to_string(folder.path().join("out.xml")).unwrap();
    assert!(junit.contains("green[text=h]"), "{junit}");
}

#[rstest]
#[case::a_schema("check --schema", 2)]
#[case::a_check("check cases", 2)]
#[case::a_list("list cases", 2)]
#[case::a_green_run("run cases/green.yaml", 2)]
#[case::a_red_run("run cases", 1)]
fn a_full_disk_is_told_without_a_panic(#[case] arguments: &str, #[case] status: i32) {
    let folder = folder();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = wireproof(folder.path(), arguments);
    let output = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert!(said.starts_with("wireproof: No space left on device"), "{said}");
    assert_eq!(output.status.code(), Some(status));
}

#[rstest]
#[case::a_schema("check --schema", 0)]
#[case::a_bad_case("check cases/bad.yaml", 2)]
#[case::nothing_to_show("show no/such", 2)]
fn nobody_reading_is_no_panic(#[case] arguments: &str, #[case] status: i32) {
    let folder = folder();
    fs::write(folder.path().join("cases/bad.yaml"), "about: Bad.\nstep: 1\n").unwrap();
    let mut command = wireproof(folder.path(), arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(status));
}

#[rstest]
#[case::the_folder("run cases --out taken/out", "taken/out", "--out")]
#[case::the_junit_file("run cases --junit taken/out.xml", "taken/out.xml", "--junit")]
fn what_cannot_be_written_is_told_before_the_run(
    #[case] arguments: &str,
    #[case] path: &str,
    #[case] option: &str,
) {
    let folder = folder();
    fs::write(folder.path().join("taken"), "a file, no folder").unwrap();
    let output = run(wireproof(folder.path(), arguments));
    let said = text(&output.stderr);
    assert!(said.contains(&format!(" {path}: ")) && said.contains(option), "{said}");
    assert!(output.stdout.is_empty(), "nothing was run");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_folder_that_cannot_be_made_in_the_run_leaves_verdicts_and_summary() {
    let folder = folder();
    let out = folder.path().join("out/emu");
    fs::create_dir_all(&out).unwrap();
    for name in ["green", "cases"] {
        fs::write(out.join(name), "a file, no folder").unwrap();
    }
    let output = run(wireproof(folder.path(), "run cases --out out"));
    assert!(text(&output.stdout).contains("9 passed, 2 failed"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("cannot make out/emu/"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn runs_into_one_folder_at_the_same_time_all_pass() {
    let folder = folder();
    let children: Vec<_> = (0..4)
        .map(|_| wireproof(folder.path(), "run cases/green.yaml").stdout(Stdio::null()).spawn().unwrap())
        .collect();
    for mut child in children {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn without_a_thread_trials_run_all_the_same() {
    let folder = folder();
    let mut command = wireproof(folder.path(), "run cases/green.yaml --jobs 500");
    // No stack is that large, so no thread can be started.
    command.env("RUST_MIN_STACK", (1_u64 << 50).to_string());
    let output = run(command);
    assert!(text(&output.stdout).contains("8 passed"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
}

#[rstest]
#[case::of_a_list("list cases")]
#[case::of_a_run("run cases")]
fn nothing_in_a_case_commands_the_terminal(#[case] arguments: &str) {
    let folder = folder();
    let case = "about: \"\\e[2Jgone\"\nmatrix: {x: [\"\\e[2Jrow\"]}\nsteps:\n  - wait: 1ms\n  - run: \"ip link set ${x} up\"\n";
    fs::write(folder.path().join("cases/odd.yaml"), case).unwrap();
    let output = run(wireproof(folder.path(), arguments));
    assert!(!output.stdout.contains(&0x1b), "{}", text(&output.stdout));
    assert!(!output.stderr.contains(&0x1b), "{}", text(&output.stderr));
}

#[test]
fn a_doctor_does_not_wait_for_ever() {
    let folder = folder();
    let qemu = folder.path().join("qemu-system-x86_64");
    fs::write(&qemu, "#!/bin/sh\nexec /bin/sleep 60\n").unwrap();
    fs::set_permissions(&qemu, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let begin = Instant::now();
    let mut command = wireproof(folder.path(), "doctor --rig qemu");
    command.env("PATH", folder.path());
    let output = run(command);
    assert!(text(&output.stdout).contains("gave no version within 5s"), "{}", text(&output.stdout));
    assert!(begin.elapsed().as_secs() < 30);
}

#[rstest]
#[case::for_people("human")]
#[case::for_machines("json")]
fn an_interrupted_run_says_what_did_not_run(#[case] format: &str) {
    let folder = folder();
    let rows = (0..500).map(|row| row.to_string()).collect::<Vec<_>>().join(", ");
    let steps = "  - repeat: {times: 100, steps: [{wait: 1s}, {run: \"ip link set eth0 mtu 1400\"}]}\n";
    let case = format!("about: Long.\nmatrix: {{row: [{rows}]}}\nsteps:\n  - wait: ${{row}}ms\n{steps}");
    fs::write(folder.path().join("cases/long.yaml"), case).unwrap();
    let arguments = format!("run cases/long.yaml --jobs 1 --junit out.xml --format {format}");
    let mut child = wireproof(folder.path(), &arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stdout);
    if format == "human" {
        assert!(said.contains("interrupted: ") && said.contains(" of 500 trials did not run"), "{said}");
        assert!(said.lines().count() < 500, "{said}");
    } else {
        assert_eq!(said.lines().count(), 500);
        assert!(said.lines().last().unwrap().contains("not run: the run was interrupted"), "{said}");
    }
    let junit = fs::read_to_string(folder.path().join("out.xml")).unwrap();
    assert_eq!(junit.matches("<testcase").count(), 500);
    assert!(junit.contains("<error message=\"not run: the run was interrupted\""));
    assert_eq!(output.status.code(), Some(1));
}
