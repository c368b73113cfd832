//! A network namespace without a name: it lives as long as a thread, and vanishes with it.

use super::rights;
use crate::rig::RigError;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Work for the thread of the namespace.
type Job = Box<dyn FnOnce() + Send>;

/// How long a thread may take to end when a trial is over.
const JOIN_DEADLINE: Duration = Duration::from_secs(6);

/// A network, a mount, a UTS and an IPC namespace, and the thread that lives in them. Threads and processes that its work starts live there
/// too. Nothing is put into `/run/netns`: killed in whatever way, the process leaves nothing.
#[derive(Debug)]
pub struct Namespace {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Namespace {
    /// Makes a thread in new namespaces, with a sysfs of its own: the old one would still show the host's devices.
    ///
    /// # Errors
    /// [`RigError::Missing`] without the right to make them (CAP_SYS_ADMIN), or when there are no threads left.
    pub fn new() -> Result<Self, RigError> {
        Self::entered_by(enter)
    }

    /// A thread that stays in the namespaces of the calling one, whatever that does later.
    ///
    /// # Errors
    /// When there are no threads left.
    pub fn here() -> Result<Self, RigError> {
        Self::entered_by(|| Ok(()))
    }

    /// Makes a thread in a new network namespace that nothing else is in: no IPv6, no address, no device that is up. It only reads and
    /// writes frames, and starts nothing.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn silent() -> Result<Self, RigError> {
        Self::entered_by(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(refused)?;
            super::ipv6_off().map_err(|e| e.to_string())
        })
    }

    fn entered_by(enter: fn() -> Result<(), String>) -> Result<Self, RigError> {
        let (jobs, work) = channel::<Job>();
        let (entered, result) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("namespace".to_owned())
            .spawn(move || {
                let outcome = enter();
                let inside = outcome.is_ok();
                // The other end waits for this; if it is gone, nobody sends work either.
                drop(entered.send(outcome));
                while let Some(job) = inside.then(|| work.recv().ok()).flatten() {
                    job();
                }
            })
            .map_err(|e| RigError::Broken(no_thread(&e)))?;
        let namespace = Self { jobs: Some(jobs), thread: Some(thread) };
        match result.recv() {
            Ok(Ok(())) => Ok(namespace),
            Ok(Err(why)) => Err(RigError::Missing(why)),
            Err(_) => Err(RigError::Broken("the namespace's thread died at its start".to_owned())),
        }
    }

    /// Does work on the thread of the namespace, and waits for it.
    ///
    /// # Errors
    /// When that thread has died.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, RigError> {
        let gone = || RigError::Broken("the namespace's thread has died".to_owned());
        let (give, take) = sync_channel(1);
        let job: Job = Box::new(move || drop(give.send(work())));
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        take.recv().map_err(|_| gone())
    }

    /// Ends the thread; `false` if it did not end in time.
    pub fn leave(&mut self) -> bool {
        self.jobs = None;
        self.thread.take().is_none_or(|thread| join_before(thread, Instant::now() + JOIN_DEADLINE))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Leaves the namespaces of the process with the calling thread. What a command may change there is its own: network,
/// host name, System V IPC, `/run` (where `ip netns` keeps names), sysfs and `/proc/sys/net`. The rest of `/proc/sys` can only
/// be read.
fn enter() -> Result<(), String> {
    // A user namespace without a user in it gives rights to this process, and none to the commands that it runs.
    if let Some(Err(why)) = rights::outcome() {
        return Err(why.clone());
    }
    let none = None::<&str>;
    let flags = CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    unshare(flags).map_err(refused)?;
    mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none)
        .map_err(|e| format!("mounts cannot be made private ({e:?})"))?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none)
        .map_err(|e| format!("sysfs cannot be mounted ({e:?})"))?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("size=1m"))
        .map_err(|e| format!("a tmpfs cannot be mounted on /run ({e:?})"))?;
    only_net_writable().map_err(|e| format!("/proc/sys cannot be made read-only ({e:?})"))
}

/// Why there is no network namespace: it cannot be had by settings, or the process has no rights, and why it has none.
fn refused(error: Errno) -> String {
    match (error, rights::outcome()) {
        (Errno::EPERM, Some(Err(why))) => why.clone(),
        (Errno::ENOSPC, _) => match rights::forbidding() {
            Some(what) => format!("a network namespace cannot be made ({error:?}): {}", what.why),
            None => format!("a network namespace cannot be made ({error:?}): there are as many as may be"),
        },
        _ => format!(
            "a network namespace cannot be made ({error:?}): the rig needs root, if only of a user namespace"
        ),
    }
}

/// Makes `/proc/sys` read-only in the mount namespace of the calling thread, but for `/proc/sys/net`: a mount of its own.
fn only_net_writable() -> nix::Result<()> {
    let none = None::<&str>;
    for path in ["/proc/sys", "/proc/sys/net"] {
        mount(Some(path), path, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    }
    // A user namespace may not take these away from a mount that has them.
    let kept = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(none, "/proc/sys", none, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | kept, none)
}

/// Says that a thread cannot be made, and what to do about it.
pub(super) fn no_thread(error: &std::io::Error) -> String {
    format!(
        "a thread cannot be made: {error}; raise the limit on processes (ulimit -u), or run with fewer --jobs"
    )
}

/// Waits for a thread to end, but not longer than `deadline`. `false`: it still runs.
pub(super) fn join_before(thread: JoinHandle<()>, deadline: Instant) -> bool {
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    // A panic of it has been printed; what it was to do is missing elsewhere.
    drop(thread.join());
    true
}
