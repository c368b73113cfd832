//! When the kernel lets a thread of the harness run: in real time where that is allowed, and how long it had to wait.

use super::ioctl;
use crate::case::model::Nanos;
use nix::errno::Errno;
use nix::libc;
use std::fs::File;
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;

/// The lowest of the priorities in real time: before whatever is ordinary, behind all else that is not.
const PRIORITY: i32 = 1;

/// As long as it lives, the calling thread is scheduled in real time (SCHED_RR), if that is allowed. It must wait without
/// spinning: a thread that runs on and on is throttled. Threads and processes that it starts are ordinary.
#[derive(Debug)]
pub struct RealTime {
    set: bool,
    /// It is about the thread that made it.
    here: PhantomData<*const ()>,
}

impl RealTime {
    /// From now on.
    #[must_use]
    pub fn begin() -> Self {
        Self { set: set().is_ok(), here: PhantomData }
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        if self.set {
            // It may always become ordinary again.
            let _ = ioctl::set_scheduler(libc::SCHED_OTHER, 0);
        }
    }
}

fn set() -> Result<(), Errno> {
    ioctl::set_scheduler(libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, PRIORITY)
}

/// Whether threads can be scheduled in real time here.
///
/// # Errors
/// The error of sched_setscheduler(2): EPERM where it is forbidden.
pub fn possible() -> Result<(), Errno> {
    set()?;
    let _ = ioctl::set_scheduler(libc::SCHED_OTHER, 0);
    Ok(())
}

/// How long the thread that made it waited for a CPU while it could have run, as the scheduler counts it. Time that a
/// hypervisor gave to others is not in it.
#[derive(Debug)]
pub struct Waited {
    /// Three numbers: time on a CPU, time waiting for one, turns. `None` where the kernel does not count.
    file: Option<File>,
}

impl Waited {
    /// For the calling thread; it must also be the one that asks.
    #[must_use]
    pub fn here() -> Self {
        Self { file: File::open("/proc/thread-self/schedstat").ok() }
    }

    /// All that it waited so far, in nanoseconds.
    #[must_use]
    pub fn total(&self) -> Nanos {
        let mut text = [0; 96];
        let Some(length) = self.file.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()) else {
            return 0;
        };
        let text = std::str::from_utf8(&text[..length]).unwrap_or_default();
        text.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sched::{CpuSet, sched_setaffinity};
    use nix::unistd::Pid;
    use std::time::{Duration, Instant};

    /// Works for a while on CPU 0, beside another thread that does the same.
    fn share_a_cpu() -> Nanos {
        let mut one = CpuSet::new();
        one.set(0).expect("there is a CPU 0");
        let work = move || {
            // A machine without that CPU shares another: then nothing is waited for.
            let _ = sched_setaffinity(Pid::from_raw(0), &one);
            let waited = Waited::here();
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(60) {}
            waited.total()
        };
        let other = std::thread::spawn(work);
        let waited = std::thread::spawn(work).join().expect("it ends");
        waited.max(other.join().expect("it ends"))
    }

    #[test]
    fn a_thread_knows_how_long_it_waited_for_a_cpu() {
        let waited = share_a_cpu();
        assert!(waited > 5_000_000, "two threads took turns on a CPU, and waited for {waited} ns");
    }

    #[test]
    fn a_process_in_real_time_is_that_where_it_is_allowed_and_starts_all_the_same() {
        let mut command = std::process::Command::new("cat");
        command.arg("/proc/self/sched");
        ioctl::in_real_time(&mut command);
        let told = command.output().expect("there is a cat(1)");
        assert!(told.status.success());
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let policy = told.lines().find(|line| line.starts_with("policy"));
        // A kernel without statistics of the scheduler does not say.
        if let (Some(policy), Ok(())) = (policy, possible()) {
            assert!(policy.ends_with(&libc::SCHED_RR.to_string()), "{policy}");
        }
    }

    #[test]
    fn after_real_time_a_thread_is_ordinary() {
        let policy = || {
            let status = std::fs::read_to_string("/proc/thread-self/sched").unwrap_or_default();
            status.lines().find(|line| line.starts_with("policy")).map(str::to_owned)
        };
        let before = policy();
        let guard = RealTime::begin();
        if guard.set && before.is_some() {
            assert_ne!(policy(), before);
        }
        drop(guard);
        assert_eq!(policy(), before);
    }
}
