//! Starts processes that die with this one.
//!
//! The kernel kills them when the thread that started them ends (PR_SET_PDEATHSIG), and a guest outlives the thread that first wanted
//! it: so all are started by one thread, which is there as long as somebody has one of them.

use crate::rig::linux::descriptors;
use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

/// What is to be started, and who wants to know.
type Wish = (Command, Sender<io::Result<Child>>);

/// The thread. Who has a process of it keeps it until the process has ended.
#[derive(Debug)]
pub struct Starter {
    /// `None` once it is to end.
    wishes: Option<Sender<Wish>>,
    thread: Option<JoinHandle<()>>,
}

impl Starter {
    /// The one that is there, or a new one.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn of_all() -> io::Result<Arc<Self>> {
        static STARTER: Mutex<Weak<Starter>> = Mutex::new(Weak::new());
        let mut known = STARTER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(starter) = known.upgrade() {
            return Ok(starter);
        }
        let (wishes, inbox) = channel::<Wish>();
        let serve = move || {
            for (mut command, answer) in inbox {
                let _ = answer.send(descriptors::start(|| command.spawn()));
            }
        };
        let thread = std::thread::Builder::new().name("starter".to_owned()).spawn(serve)?;
        let starter = Arc::new(Self { wishes: Some(wishes), thread: Some(thread) });
        *known = Arc::downgrade(&starter);
        Ok(starter)
    }

    /// Starts a process. What it is to inherit, it has when this comes back.
    ///
    /// # Errors
    /// As spawning a process, and when the thread has ended.
    pub fn start(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("there is no thread that could start it");
        let (answer, result) = channel();
        self.wishes.as_ref().ok_or_else(gone)?.send((command, answer)).map_err(|_| gone())?;
        result.recv().map_err(|_| gone())?
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        self.wishes = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::linux::ioctl;

    #[test]
    fn what_one_thread_wanted_outlives_it() {
        let wanted = std::thread::spawn(|| {
            let mut command = Command::new("sleep");
            command.arg("600");
            ioctl::die_with_parent(&mut command);
            let starter = Starter::of_all().expect("there can be a thread");
            let child = starter.start(command).expect("there is a sleep(1)");
            (starter, child)
        });
        let (starter, mut child) = wanted.join().expect("it ends");
        std::thread::sleep(std::time::Duration::from_millis(50));
        let status = child.try_wait().expect("it can be asked");
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
        drop(starter);
        assert!(status.is_none(), "it ended with the thread: {status:?}");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let starter = Starter::of_all().expect("there can be a thread");
        let error = starter.start(Command::new("no-such-program-anywhere")).expect_err("it is not there");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
