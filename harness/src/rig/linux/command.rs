//! Commands of an administrator, run as they stand: no shell, a deadline, and what they print.

use super::{descriptors, ioctl};
use crate::rig::{CommandResult, RigError};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid, access};
use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a command may take: on a busy machine `ip` was seen to wait for over 15 s while the kernel took other namespaces down.
const DEADLINE: Duration = Duration::from_secs(60);
/// How much of what it prints is kept.
const OUTPUT_LIMIT: usize = 1 << 20;

/// Runs a program in the namespaces of the calling thread, to its end.
///
/// # Errors
/// [`RigError::Missing`] when the program is not there, with the package that has it; [`RigError::Broken`] when it does not
/// end within 60 s, and then it is killed.
pub fn run(words: &[String]) -> Result<CommandResult, RigError> {
    start(words, DEADLINE, ioctl::die_with_parent)
}

/// As [`run`], for the harness's own programs, which end by themselves at once: it lives on for that moment if the harness is killed,
/// and so its start need not copy the page tables of the harness, which takes as long as the program itself.
///
/// # Errors
/// As [`run`].
pub fn run_own(words: &[String]) -> Result<CommandResult, RigError> {
    start(words, DEADLINE, |_| ())
}

fn start(
    words: &[String],
    within: Duration,
    prepare: impl FnOnce(&mut Command),
) -> Result<CommandResult, RigError> {
    let Some((name, arguments)) = words.split_first() else {
        return Err(RigError::Broken("a command without a word".to_owned()));
    };
    let program = find(name).ok_or_else(|| RigError::Missing(absent(name)))?;
    let broken = |e: std::io::Error| RigError::Broken(format!("`{name}` cannot be run: {e}"));
    let (output, input) = std::io::pipe().map_err(broken)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(input.try_clone().map_err(broken)?)
        .stderr(input)
        .process_group(0);
    prepare(&mut command);
    let mut child = descriptors::start(|| command.spawn()).map_err(broken)?;
    // It holds the writing ends of the pipe.
    drop(command);
    let end = End { begin: Instant::now(), within };
    let printed = collect(output, end);
    let status = printed.and_then(|printed| Ok((printed, wait(&mut child, end)?)));
    match status {
        Ok((printed, status)) => {
            Ok(CommandResult { status, output: String::from_utf8_lossy(&printed).into_owned() })
        }
        Err(e) => {
            kill(&mut child);
            Err(RigError::Broken(format!("`{}`: {e}", words.join(" "))))
        }
    }
}

/// Where a program is: in the search path, or where administrators' programs are.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| may_run(path));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join(name)).find(|file| may_run(file))
}

fn may_run(file: &Path) -> bool {
    file.is_file() && access(file, AccessFlags::X_OK).is_ok()
}

/// Debian's package that has a program.
#[must_use]
pub fn package(program: &str) -> Option<&'static str> {
    match program {
        "ip" | "tc" | "ss" | "bridge" | "nstat" => Some("iproute2"),
        "nft" => Some("nftables"),
        "ethtool" => Some("ethtool"),
        "sysctl" => Some("procps"),
        "iptables" | "iptables-nft" => Some("iptables"),
        "ping" => Some("iputils-ping"),
        "curl" => Some("curl"),
        "python3" => Some("python3"),
        "nc" => Some("netcat-openbsd"),
        _ => None,
    }
}

/// Says that a program is not there, and how to get it.
#[must_use]
pub fn absent(program: &str) -> String {
    match package(program) {
        Some(package) => format!("`{program}` is not there: Debian has it in the package {package}"),
        None => format!("`{program}` is not there"),
    }
}

/// By when a command has to have ended.
#[derive(Clone, Copy)]
struct End {
    begin: Instant,
    within: Duration,
}

impl End {
    fn left(self) -> Duration {
        self.within.saturating_sub(self.begin.elapsed())
    }

    fn missed(self) -> String {
        format!("did not end within {} s", self.within.as_secs())
    }
}

/// All that comes until the last writer is gone.
fn collect(mut output: PipeReader, end: End) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    let mut part = [0; 4096];
    loop {
        let timeout = PollTimeout::try_from(end.left()).unwrap_or(PollTimeout::MAX);
        let mut ready = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, timeout) {
            Ok(0) => return Err(end.missed()),
            Err(Errno::EINTR) => continue,
            Err(e) => return Err(format!("{e:?}")),
            Ok(_) => {}
        }
        match output.read(&mut part).map_err(|e| e.to_string())? {
            0 => return Ok(all),
            count => {
                let room = OUTPUT_LIMIT.saturating_sub(all.len());
                all.extend_from_slice(&part[..count.min(room)]);
            }
        }
    }
}

/// The exit status; 128 and the signal's number, as a shell would say, if a signal ended it.
fn wait(child: &mut Child, end: End) -> Result<i32, String> {
    loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            return Ok(status.code().or(status.signal().map(|s| 128 + s)).unwrap_or(-1));
        }
        if end.left().is_zero() {
            return Err(end.missed());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Ends a command with all that it has started, and reaps it.
fn kill(child: &mut Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // Its process group is its own; it may have ended meanwhile.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
    drop(child.wait());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_command_gives_its_status_and_what_it_printed() {
        let result = run(&words("ls /does/not/exist")).expect("ls is everywhere");
        assert_eq!(result.status, 2);
        assert!(result.output.contains("No such file"), "{}", result.output);
    }

    #[test]
    fn no_shell_reads_the_words() {
        let result = run(&words("echo $HOME *")).expect("echo is everywhere");
        assert_eq!(result, CommandResult { status: 0, output: "$HOME *\n".to_owned() });
    }

    #[test]
    fn a_program_that_is_not_there_is_missing() {
        let error = run(&words("no-such-program")).expect_err("it is not there");
        assert!(matches!(error, RigError::Missing(_)));
        assert!(absent("nft").contains("nftables"));
    }

    #[test]
    fn a_program_that_may_not_be_run_is_missing() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("program");
        std::fs::write(&path, "").expect("it can be written");
        assert_eq!(find(&path.display().to_string()), None);
    }

    #[test]
    fn a_command_that_does_not_end_is_killed() {
        let before = Instant::now();
        let within = Duration::from_secs(1);
        let error = start(&words("sleep 60"), within, ioctl::die_with_parent).expect_err("it takes too long");
        assert!(error.to_string().contains("did not end within 1 s"), "{error}");
        assert!(before.elapsed() < Duration::from_secs(10));
    }
}
