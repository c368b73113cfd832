//! Real programs in the namespace of a peer: started without a shell, told of when they end, killed with the trial.

use crate::case::model::PeerRun;
use crate::rig::folder::Folder;
use crate::rig::linux::Happening;
use crate::rig::linux::ioctl;
use crate::rig::linux::namespace::{Namespace, join_before};
use crate::rig::linux::{command, descriptors};
use crate::rig::{CallId, Returned, RigError};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Instant;

/// How much of what a program prints is kept.
const OUTPUT_LIMIT: u64 = 1 << 20;
/// How many programs a trial may start.
const LIMIT: usize = 64;
/// Settings that would make a program talk to somebody else than it is told to.
const PROXIES: [&str; 6] =
    ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// The programs of a trial.
#[derive(Debug, Default)]
pub struct Programs {
    running: Vec<(Child, JoinHandle<()>)>,
}

impl Programs {
    /// Starts a program in a folder of the namespace. Its end is told with its exit status as the value, and what it printed
    /// as the payload; standard output only where no file takes it.
    ///
    /// # Errors
    /// [`RigError::Missing`] when it is not there; [`RigError::Broken`] when it cannot be started.
    pub fn start(
        &mut self,
        namespace: &Namespace,
        (place, folder): (&'static str, &Folder),
        (call, run): (CallId, &PeerRun),
        to: Sender<Happening>,
    ) -> Result<(), RigError> {
        let Some((name, arguments)) = run.words.split_first() else {
            return Err(RigError::Broken("a program without a name".to_owned()));
        };
        let program = command::find(name).ok_or_else(|| RigError::Missing(command::absent(name)))?;
        if self.running.len() >= LIMIT {
            return Err(RigError::Broken(format!("more than {LIMIT} programs of the peer")));
        }
        let broken = |e: std::io::Error| RigError::Broken(format!("`{name}` cannot be run: {e}"));
        let printed: File = tempfile_in_memory().map_err(broken)?;
        let output = match &run.stdout {
            Some(file) => folder.create(file).map_err(broken)?,
            None => printed.try_clone().map_err(broken)?,
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(place)
            .env("LC_ALL", "C")
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(printed.try_clone().map_err(broken)?)
            .process_group(0);
        for proxy in PROXIES {
            command.env_remove(proxy);
        }
        ioctl::die_with_parent(&mut command);
        // The thread of the namespace starts it: there it lives, and with that thread it dies.
        let child = namespace.run(move || descriptors::start(|| command.spawn()))?;
        let mut child = child.map_err(broken)?;
        let pid = Pid::from_raw(child.id().cast_signed());
        let waiting = std::thread::Builder::new()
            .name("peer program".to_owned())
            .spawn(move || tell_of_the_end(pid, printed, call, &to));
        match waiting {
            Ok(thread) => {
                self.running.push((child, thread));
                Ok(())
            }
            Err(e) => {
                kill(&mut child);
                Err(RigError::Broken(format!("a thread cannot be made: {e}")))
            }
        }
    }

    /// Kills what still runs, with all that it has started; what did not end in time.
    pub fn stop(&mut self, deadline: Instant) -> Vec<String> {
        let mut left = Vec::new();
        for (mut child, thread) in self.running.drain(..) {
            kill(&mut child);
            if !join_before(thread, deadline) {
                left.push(format!("program {} of the peer did not end", child.id()));
            }
        }
        left
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        self.stop(Instant::now() + std::time::Duration::from_secs(2));
    }
}

/// A file without a name.
fn tempfile_in_memory() -> std::io::Result<File> {
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    Ok(nix::sys::memfd::memfd_create("printed", flags)?.into())
}

/// Waits for the end of a program, and leaves it to be reaped: until then its number is nobody else's.
fn tell_of_the_end(pid: Pid, mut printed: File, call: CallId, to: &Sender<Happening>) {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    let status = loop {
        match waitid(Id::Pid(pid), flags) {
            Err(Errno::EINTR) => {}
            Ok(WaitStatus::Exited(_, status)) => break status,
            // As a shell would say.
            Ok(WaitStatus::Signaled(_, signal, _)) => break 128 + signal as i32,
            // It was reaped: the trial is over.
            Ok(_) | Err(_) => return,
        }
    };
    let mut text = Vec::new();
    if printed.seek(SeekFrom::Start(0)).is_ok() {
        // What cannot be read is not shown.
        let _ = printed.take(OUTPUT_LIMIT).read_to_end(&mut text);
    }
    let result = Ok(Returned { value: i64::from(status), payload: Some(text), ..Returned::default() });
    // Nobody may listen any more.
    drop(to.send(Happening::Returned { call, at: Instant::now(), late: 0, result }));
}

/// Ends a program with its process group, and reaps it.
fn kill(child: &mut Child) {
    // It is not reaped before, so the group is its own; it may have ended.
    let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
    drop(child.wait());
}
