//! Starts processes that die with this one.
//!
//! The kernel kills them when the thread that started them ends (PR_SET_PDEATHSIG), and a guest outlives the thread that first wanted
//! it: so all are started by one thread, which is there as long as the process.

use crate::rig::linux::descriptors;
use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

/// What is to be started, and who wants to know.
type Wish = (Command, Sender<io::Result<Child>>);

/// Starts a process. What it is to inherit, it has when this comes back.
///
/// # Errors
/// As spawning a process, and when there is no thread to do it.
pub fn start(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Option<Sender<Wish>>> = OnceLock::new();
    let gone = || io::Error::other("there is no thread that could start it");
    let starter = STARTER.get_or_init(|| {
        let (wishes, inbox) = channel::<Wish>();
        let serve = move || {
            for (mut command, answer) in inbox {
                let _ = answer.send(descriptors::start(|| command.spawn()));
            }
        };
        std::thread::Builder::new().name("starter".to_owned()).spawn(serve).ok().map(|_| wishes)
    });
    let (answer, result) = channel();
    starter.as_ref().ok_or_else(gone)?.send((command, answer)).map_err(|_| gone())?;
    result.recv().map_err(|_| gone())?
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
            start(command).expect("there is a sleep(1)")
        });
        let mut child = wanted.join().expect("it ends");
        std::thread::sleep(std::time::Duration::from_millis(50));
        let status = child.try_wait().expect("it can be asked");
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
        assert!(status.is_none(), "it ended with the thread: {status:?}");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let error = start(Command::new("no-such-program-anywhere")).expect_err("it is not there");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
