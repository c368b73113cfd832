//! How a run of the program may end, and that nothing of it is left then: no process, no device, no named namespace.

use crate::Outcome;
use crate::bench::wire;
use clap::ValueEnum as _;
use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Every process that a run starts has this in its environment, with a value of its own for each test.
const MARK: &str = "WIREPROOF_TEST_OF_ENDS";
/// The kernel takes namespaces and devices down in the background.
const PATIENCE: Duration = Duration::from_secs(10);
/// Whoever may do nothing.
const NOBODY: u32 = 65534;

/// Commands, calls that block, frames and waits.
const BUSY: [&str; 4] = ["cases/blocking", "cases/qdisc", "cases/netfilter", "cases/udp"];
/// It waits for over a second, so that it can be seen, and is held against no time.
const LONG: &str = "cases/neigh/permanent_neighbour_is_never_asked.yaml";
const SHORT: &str = "cases/udp/one_datagram.yaml";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn wire_name() -> String {
    wire().to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// A run of the program on the wire of this test.
struct Run {
    mark: String,
    out: tempfile::TempDir,
    devices: BTreeSet<String>,
    names: BTreeSet<String>,
}

fn entries(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

impl Run {
    fn new(test: &str) -> Result<Self, Failed> {
        let mark = format!("{test}-{}-{}", wire_name(), std::process::id());
        let (devices, names) = (entries("/sys/class/net"), entries("/run/netns"));
        Ok(Self { mark, out: tempfile::tempdir()?, devices, names })
    }

    fn start(&self, paths: &[&str]) -> Result<Child, Failed> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wireproof"));
        command.args(["run", "--rig", "linux", "--jobs", "4", "--wire", &wire_name(), "--out"]);
        command.arg(self.out.path()).args(paths).current_dir(root()).env(MARK, &self.mark);
        Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }

    fn whole(&self, paths: &[&str]) -> Result<ExitStatus, Failed> {
        Ok(self.start(paths)?.wait()?)
    }

    /// Processes that the run has started, by their numbers; those that are dead have no environment.
    fn processes(&self) -> Vec<String> {
        let mark = format!("{MARK}={}", self.mark);
        let mut found: Vec<_> =
            entries("/proc").into_iter().filter(|name| name.parse::<u32>().is_ok()).collect();
        found.retain(|name| {
            let variables = std::fs::read(format!("/proc/{name}/environ")).unwrap_or_default();
            variables.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        });
        found
    }

    /// What is there now that was not there before, by names that the rig gives.
    fn left(&self) -> Vec<String> {
        let devices = entries("/sys/class/net");
        let ours = devices.difference(&self.devices).filter(|name| matches!(name.as_str(), "eth0" | "wire"));
        let names = entries("/run/netns");
        let named = names.difference(&self.names).map(|name| format!("namespace {name}"));
        let processes = self.processes().into_iter().map(|number| format!("process {number}"));
        ours.map(|name| format!("device {name}")).chain(named).chain(processes).collect()
    }

    fn nothing_left(&self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = self.left();
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("it left {left:?}").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn signal(child: &Child, signal: Signal) -> Outcome {
    Ok(kill(Pid::from_raw(i32::try_from(child.id())?), signal)?)
}

/// Waits for its end, but not for ever.
fn ended(child: &mut Child) -> Result<ExitStatus, Failed> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Err("it did not end".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A run that passes, and one that fails: a case that expects what does not come.
pub fn passed_or_failed() -> Outcome {
    let run = Run::new("verdicts")?;
    let mut child = run.start(&[LONG])?;
    let seen = run.processes();
    assert_eq!((ended(&mut child)?.code(), seen.len()), (Some(0), 1), "the run was seen while it was there");
    run.nothing_left()?;
    let wrong = run.out.path().join("wrong.yaml");
    std::fs::write(&wrong, "about: Wrong on purpose.\nsteps:\n  - expect: {payload: \"x\", within: 20ms}\n")?;
    assert_eq!(run.whole(&[&wrong.to_string_lossy()])?.code(), Some(1));
    run.nothing_left()
}

/// Ctrl-C.
pub fn interrupted() -> Outcome {
    let run = Run::new("interrupt")?;
    for after in [60, 400] {
        let mut child = run.start(&BUSY)?;
        std::thread::sleep(Duration::from_millis(after));
        signal(&child, Signal::SIGINT)?;
        let status = ended(&mut child)?;
        // What did not run is inconclusive; before there is anything to take down, the signal ends it as it always does.
        let at_once = status.signal() == Some(Signal::SIGINT as i32);
        assert!(status.code() == Some(1) || at_once, "{status:?}");
        run.nothing_left()?;
    }
    Ok(())
}

/// Kill -9 at ten moments that chance chooses, then one more run.
pub fn killed() -> Outcome {
    let run = Run::new("kill")?;
    let mut chance = u64::from(std::process::id()) ^ 0x9e37_79b9_7f4a_7c15;
    let mut moments = Vec::new();
    for _ in 0..10 {
        // xorshift64
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        let moment = Duration::from_micros(10_000 + chance % 600_000);
        moments.push(moment);
        let mut child = run.start(&BUSY)?;
        std::thread::sleep(moment);
        signal(&child, Signal::SIGKILL)?;
        assert_eq!(ended(&mut child)?.code(), None, "it was killed at {moment:?}");
    }
    println!("killed after {moments:?}");
    assert!(run.whole(&[SHORT])?.success(), "a run after these passes");
    run.nothing_left()
}

/// As whoever may do nothing: a user namespace of its own is enough, and what it writes is the user's.
pub fn as_nobody() -> Outcome {
    let place = tempfile::tempdir()?;
    let at = |name: &str| place.path().join(name);
    std::fs::copy(env!("CARGO_BIN_EXE_wireproof"), at("wireproof"))?;
    std::fs::copy(root().join(SHORT), at("case.yaml"))?;
    for name in ["", "wireproof", "case.yaml"] {
        chown(at(name), Some(NOBODY), Some(NOBODY))?;
    }
    let output = Command::new(at("wireproof"))
        .args(["run", "--rig", "linux", "--out", "out", "case.yaml"])
        .current_dir(place.path())
        .uid(NOBODY)
        .gid(NOBODY)
        .output()?;
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    assert_eq!(std::fs::metadata(at("out/linux"))?.uid(), NOBODY);
    Ok(())
}

/// As root that has lost its capabilities, as in a container: it could make namespaces in a user namespace, but commands would have no
/// rights there.
pub fn powerless() -> Outcome {
    let place = tempfile::tempdir()?;
    let output = Command::new("setpriv")
        .args(["--bounding-set", "-all", "--inh-caps", "-all", env!("CARGO_BIN_EXE_wireproof")])
        .args(["run", "--rig", "linux", "--out"])
        .arg(place.path())
        .arg(root().join(SHORT))
        .output()?;
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.code() == Some(2) && told.contains("CAP_SETFCAP"), "{told}");
    Ok(())
}

/// Why nobody else can be tried to be.
pub fn not_root() -> Option<String> {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let everybody = map.split_whitespace().eq(["0", "0", "4294967295"]);
    (!everybody || !nix::unistd::geteuid().is_root()).then(|| "only root can become somebody else".to_owned())
}
