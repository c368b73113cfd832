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

/// As an ordinary user, also where the tests run as root: then with a copy of the program that everybody may read.
fn as_a_user(folder: &Path, arguments: &str) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return wireproof(folder, arguments);
    }
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder, everybody).unwrap();
    fs::copy(WIREPROOF, folder.join("wireproof")).unwrap();
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ]);
    command
        .arg(folder.join("wireproof"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

#[rstest]
#[case::doctor(
    "doctor --rig vfio --lab lab.yaml",
    "the right to take a driver from a port: an ordinary user"
)]
#[case::a_run("run --rig vfio --lab lab.yaml cases/green.yaml", "that takes root: sudo wireproof")]
fn an_ordinary_user_is_told_that_vfio_takes_root(#[case] arguments: &str, #[case] words: &str) {
    let folder = folder();
    fs::write(folder.path().join("lab.yaml"), "port: eth7\nwire: eth8\n").unwrap();
    let output = run(as_a_user(folder.path(), arguments));
    let told = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains(words), "{told}");
}

/// Of the machine that the tests run on: what it lacks is told, and that alone.
#[test]
fn the_doctor_of_vfio_tells_of_this_machine() {
    let folder = folder();
    let output = run(wireproof(folder.path(), "doctor --rig vfio"));
    let told = text(&output.stdout);
    let has = |path: &str| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    let missing = |what: &str| told.contains(&format!("missing {what}"));
    assert_eq!(missing("an IOMMU"), !has("/sys/kernel/iommu_groups"), "{told}");
    assert_eq!(missing("the right to take"), !nix::unistd::geteuid().is_root(), "{told}");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let modules = format!("/lib/modules/{}", release.trim());
    if !has("/sys/bus/pci/drivers/vfio-pci") && !has(&modules) {
        assert!(missing(&format!("the module vfio-pci: the kernel {} has none", release.trim())), "{told}");
    }
    assert_eq!(output.status.code() == Some(0), !missing(""), "{told}");
}

#[rstest]
#[case::a_lab_of_a_rig_without("doctor --rig emu --lab lab.yaml", "only linux and vfio have a lab")]
#[case::a_lab_that_is_not_there("doctor --rig vfio --lab none.yaml", "none.yaml")]
#[case::a_soak_with_junit("run --soak 1s --junit out.xml", "cannot be used with")]
#[case::a_soak_of_no_time("run --soak soon", "no unit of time")]
fn what_cannot_be_asked_for_is_refused(#[case] arguments: &str, #[case] words: &str) {
    let folder = folder();
    fs::write(folder.path().join("lab.yaml"), "port: eth7\nwire: eth8\n").unwrap();
    let output = run(wireproof(folder.path(), arguments));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
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

/// What a run of one case prints; it must fail.
fn failure_of(case: &str) -> String {
    let folder = folder();
    fs::write(folder.path().join("cases/one.yaml"), case).unwrap();
    let output = run(wireproof(folder.path(), "run cases/one.yaml"));
    assert_eq!(output.status.code(), Some(1), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn the_journey_shown_is_that_of_the_packet_that_was_dropped() {
    let said = failure_of(
        r#"
about: A rule drops what is expected, and something else waits for an address.
steps:
  - run: "nft add table ip t"
  - run: "nft add chain ip t out { type filter hook output priority 0 ; }"
  - run: "nft add rule ip t out udp dport 7 drop"
  - socket: {as: s, type: udp}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "gone", error: EPERM}
  - sendto: {socket: s, to: "192.0.2.77:8", payload: "else"}
  - expect: {arp: {op: request, tpa: 192.0.2.77}}
  - expect: {udp: {dst_port: 7}, within: 10ms}
"#,
    );
    assert!(said.contains("was dropped after nf_hook_slow: NETFILTER_DROP"), "{said}");
    assert!(!said.contains("192.0.2.77:8)"), "{said}");
}

#[rstest]
#[case::without_a_route("ENETUNREACH", "10.9.9.9:7", "\"gone\"", "ip_route_output_flow")]
#[case::to_port_0("EINVAL", "192.0.2.2:0", "\"gone\"", "udp_sendmsg")]
fn a_call_that_failed_shows_why(
    #[case] errno: &str,
    #[case] to: &str,
    #[case] payload: &str,
    #[case] function: &str,
) {
    let said = failure_of(&format!(
        "about: Refused.\nsteps:\n  - socket: {{as: s, type: udp}}\n  - sendto: {{socket: s, to: \"{to}\", payload: {payload}, returns: 4}}\n"
    ));
    assert!(said.contains(errno) && said.contains(&format!("refused: {errno}")), "{said}");
    assert!(said.contains(&format!("  {function}\n")), "{said}");
}

#[test]
fn a_wrong_return_value_accuses_no_packet_that_is_on_its_way() {
    let said = failure_of(
        "about: Wrong.\nsteps:\n  - socket: {as: s, type: udp}\n  - sendto: {socket: s, to: \"192.0.2.2:7\", payload: \"well\", returns: 5}\n",
    );
    assert!(said.contains("sendto: returned") || said.contains("sendto: "), "{said}");
    assert!(!said.contains("packet 1 "), "{said}");
    // What was on its way is seen on the wire.
    assert!(said.contains("> 192.0.2.2:7 UDP 4"), "{said}");
}

#[rstest]
#[case::too_late(
    "  - wait: 1ms\n  - run: \"tc qdisc replace dev eth0 root tbf rate 8kbit burst 1600 limit 10000\"\n  - sendto: {socket: s, to: \"192.0.2.2:7\", payload: {pattern: counting, length: 1400}}\n  - sendto: {socket: s, to: \"192.0.2.2:8\", payload: {pattern: counting, length: 500}}\n  - expect: {udp: {dst_port: 7}}\n  - expect: {udp: {dst_port: 8}, within: 20ms}\n",
    "too late: no frame came by"
)]
#[case::over_before_the_step(
    "  - sendto: {socket: s, to: \"192.0.2.2:7\", payload: \"a\"}\n  - expect: {as: first, udp: {dst_port: 7}}\n  - wait: 2s\n  - expect: {udp: {dst_port: 8}, after: {first: 100ms}}\n",
    "that was over before this step began"
)]
#[case::with_the_place_of_the_field(
    "  - sendto: {socket: s, to: \"192.0.2.2:7\", payload: \"a\"}\n  - expect: {ipv4: {src: 192.0.2.1, ttl: 63}}\n",
    "one.yaml:5:42"
)]
#[case::a_frame_too_many(
    "  - sendto: {socket: s, to: \"192.0.2.2:7\", payload: \"a\"}\n  - wait: 1ms\n",
    "expected: no frame"
)]
#[case::a_frame_in_the_quiet(
    "  - sendto: {socket: s, to: \"192.0.2.2:7\", payload: \"a\"}\n  - quiet: 1ms\n",
    "expected: no frame"
)]
#[case::an_order(
    "  - sendto: {socket: s, to: \"192.0.2.2:7\", payload: \"a\"}\n  - order: {of: udp.dst_port, is: [8]}\n",
    "expected: udp.dst_port 8"
)]
#[case::fragments(
    "  - fragments: {mtu: 576, udp: {dst_port: 7}, payload: {pattern: counting, length: 1000}}\n",
    "got:      nothing"
)]
fn a_failure_says(#[case] steps: &str, #[case] words: &str) {
    let said = failure_of(&format!("about: A case.\nsteps:\n  - socket: {{as: s, type: udp}}\n{steps}"));
    assert!(said.contains(words), "{said}");
}

#[rstest]
#[case::of_one_trial("", "one.yaml:2:23")]
#[case::of_all_rows("matrix: {x: [a, b]}\n", "one.yaml:2:23")]
fn what_is_not_covered_has_its_place_and_its_command(#[case] matrix: &str, #[case] place: &str) {
    let said = failure_of(&format!(
        "about: Covers too much.\ncovers: [udp_sendmsg, tcp_sendmsg]\n{matrix}steps:\n  - socket: {{as: s, type: udp}}\n  - sendto: {{socket: s, to: \"192.0.2.2:7\", payload: \"{}\"}}\n  - expect: {{udp: {{dst_port: 7}}}}\n",
        if matrix.is_empty() { "x" } else { "${x}" }
    ));
    assert!(said.contains(place) && said.contains("again: "), "{said}");
}

#[test]
fn the_command_that_runs_a_trial_again_works_as_pasted() {
    let folder = folder();
    let mut command = wireproof(folder.path(), "run cases/red.yaml --max-wait 20s --out");
    let output = run({
        command.arg("my runs");
        command
    });
    let said = text(&output.stdout);
    let again = said.lines().find_map(|line| line.trim().strip_prefix("again: ")).unwrap();
    assert!(again.contains("--out 'my runs' --max-wait 20"), "{again}");
    let mut shell = Command::new("sh");
    shell.args(["-c", again]).current_dir(folder.path());
    let output = run(shell);
    assert!(text(&output.stdout).contains("0 passed, 1 failed"), "{again}\n{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
}

const SOAKED: &str = r#"about: A datagram, once its neighbour is known.
steps:
  - run: "ip neigh replace ${peer.ip} lladdr ${peer.mac} dev eth0 nud permanent"
  - socket: {as: s, type: udp}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "one", returns: 3}
  - expect: {udp: {dst_port: 7}}
  - check: {netdev: {tx_packets: ">=1"}}
"#;

/// What a soak of a case prints, and its exit status.
fn soaked(case: &str, format: &str) -> (Option<i32>, String) {
    let folder = folder();
    fs::write(folder.path().join("c.yaml"), case).unwrap();
    let output = run(wireproof(folder.path(), &format!("run --soak 300ms --format {format} c.yaml")));
    (output.status.code(), text(&output.stdout))
}

#[test]
fn a_soak_of_what_is_right_ends_with_status_0() {
    let (status, told) = soaked(SOAKED, "human");
    assert_eq!(status, Some(0), "{told}");
    assert!(
        told.contains("round 2: 1 passed, 0 failed") && told.contains("0 changed; of 1 values"),
        "{told}"
    );
    let (status, told) = soaked(SOAKED, "json");
    assert_eq!(status, Some(0), "{told}");
    let last: serde_json::Value =
        serde_json::from_str(told.lines().last().expect("it tells")).expect("it is JSON");
    assert!(last["soak"] == "over" && last["findings"] == 0, "{told}");
}

#[test]
fn a_soak_of_what_fails_each_time_changes_nothing_and_has_status_1() {
    let (status, told) = soaked(&SOAKED.replace("dst_port: 7}}", "dst_port: 8}}"), "human");
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("round 2: 0 passed, 1 failed") && told.contains("0 changed"), "{told}");
}
