//! A run of the program, and what is left of it.

use crate::Outcome;
use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Every process that a run starts has this in its environment, with a value of its own for each run.
const MARK: &str = "WIREPROOF_TEST_OF_QEMU";
/// How long a run may take in all, on a machine that others use too. The image may be built in it.
const PATIENCE: Duration = Duration::from_secs(300);

/// A case that sends a datagram; its first system call is in line 4.
pub const CASE: &str = r#"about: Sends a datagram.
steps:
  - run: "ip neigh replace ${peer.ip} lladdr ${peer.mac} dev eth0 nud permanent"
  - socket: {as: s, type: udp}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "hello", returns: 5}
  - expect: {ipv4: {dst: "${peer.ip}"}, payload: "hello"}
  - check: {netdev: {tx_packets: 1}}
"#;

/// The tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Case files of a folder of their own, and a run of them.
pub struct Run {
    mark: String,
    /// Of cases, results and temporary files.
    pub folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// How a run ended.
pub struct Ended {
    pub status: ExitStatus,
    /// Both streams.
    pub told: String,
    pub took: Duration,
}

impl Run {
    /// A run without cases.
    pub fn new() -> Result<Self, Failed> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir()?;
        for name in ["cases", "temporary"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        Ok(Self { mark, folder, variables: Vec::new() })
    }

    /// One with three cases that send a datagram each: `first`, `second`, `third`.
    pub fn of_three() -> Result<Self, Failed> {
        let run = Self::new()?;
        for name in ["first", "second", "third"] {
            std::fs::write(run.folder.path().join(format!("cases/{name}.yaml")), CASE)?;
        }
        Ok(run)
    }

    /// With a variable in its environment.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Starts the program with these words.
    pub fn start(&self, words: &[&str]) -> Result<Child, Failed> {
        let log = std::fs::File::create(self.folder.path().join("log"))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_wireproof"));
        command.args(words).current_dir(self.folder.path()).env(MARK, &self.mark);
        command.env("TMPDIR", self.folder.path().join("temporary"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Ok(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?)
    }

    /// Waits for the end, and that nothing is left.
    pub fn end(&self, mut child: Child, begin: Instant) -> Result<Ended, Failed> {
        let deadline = begin + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                return Err(format!("it did not end: {}", self.told()?).into());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = begin.elapsed();
        self.nothing_left()?;
        Ok(Ended { status, told: self.told()?, took })
    }

    /// A whole run on the qemu rig, with these words besides.
    pub fn whole(&self, words: &[&str]) -> Result<Ended, Failed> {
        let begin = Instant::now();
        self.end(self.start(&[&["run", "--rig", "qemu", "cases"], words].concat())?, begin)
    }

    /// What it has printed.
    pub fn told(&self) -> Result<String, Failed> {
        Ok(std::fs::read_to_string(self.folder.path().join("log"))?)
    }

    /// Processes that the run has started and that are there, with their names.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let mark = format!("{MARK}={}", self.mark);
        let numbers = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_ours = |number: &i32| {
            let variables = std::fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
            variables.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        let named =
            |number| (number, std::fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default());
        numbers.filter(is_ours).map(named).collect()
    }

    /// Waits until a QEMU of the run is there and gives its number.
    pub fn qemu(&self) -> Result<i32, Failed> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // Not one that is asked for its version.
            let boots = |number: i32| {
                std::fs::read_to_string(format!("/proc/{number}/cmdline"))
                    .is_ok_and(|words| words.starts_with("/") && words.contains("\0-kernel\0"))
            };
            if let Some((number, _)) = self.processes().into_iter().find(|(number, _)| boots(*number)) {
                return Ok(number);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err("no QEMU was started".into())
    }

    /// No process and no temporary file is left.
    fn nothing_left(&self) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let processes = self.processes();
            let files = std::fs::read_dir(self.folder.path().join("temporary"))?.count();
            if processes.is_empty() && files == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                for (number, _) in &processes {
                    let _ = kill(Pid::from_raw(*number), Signal::SIGKILL);
                }
                return Err(format!("it left {files} files and {processes:?}").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Ended {
    /// That it ended with this status, and told all of this.
    pub fn expect(&self, status: i32, told: &[&str]) -> Outcome {
        let missing: Vec<_> = told.iter().filter(|what| !self.told.contains(**what)).collect();
        if self.status.code() == Some(status) && missing.is_empty() {
            return Ok(());
        }
        Err(format!("{}, {missing:?} was not told:\n{}", self.status, self.told).into())
    }
}
