//! The threads that make system calls inside the namespace, each pinned to its CPU if one is asked for.

use super::Happening;
use super::descriptors;
use super::namespace::{Namespace, no_thread};
use super::schedule::{RealTime, Waited};
use super::sockets::Sockets;
use crate::case::model::Syscall;
use crate::rig::{CallId, RigError};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How many calls may overlap in one trial.
const LIMIT: usize = 64;

/// The threads of a trial. A call goes to one that is idle and runs on the right CPU, or to a new one: so calls in the
/// background overlap with others, and the next foreground call does not wait for them.
#[derive(Debug)]
pub struct Agents {
    agents: Vec<Agent>,
    sockets: Arc<Sockets>,
    to: Sender<Happening>,
}

#[derive(Debug)]
struct Agent {
    cpu: Option<u32>,
    busy: Arc<AtomicBool>,
    calls: Sender<(CallId, Syscall)>,
    thread: JoinHandle<()>,
}

impl Agents {
    /// No threads yet. What calls give goes to `to`.
    #[must_use]
    pub fn new(to: Sender<Happening>) -> Self {
        Self { agents: Vec::new(), sockets: Arc::default(), to }
    }

    /// The sockets that they share.
    #[must_use]
    pub fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Starts a call.
    ///
    /// # Errors
    /// [`RigError::Missing`] for a CPU that is not there; [`RigError::Broken`] when more than 64 calls overlap or no thread
    /// can be made.
    pub fn start(
        &mut self,
        namespace: &Namespace,
        call: CallId,
        cpu: Option<u32>,
        syscall: &Syscall,
    ) -> Result<(), RigError> {
        let idle = |agent: &&Agent| agent.cpu == cpu && !agent.busy.load(Ordering::Acquire);
        if !self.agents.iter().any(|agent| idle(&agent)) {
            self.add(namespace, cpu)?;
        }
        let agent = self.agents.iter().find(idle);
        let agent = agent.ok_or_else(|| RigError::Broken("no thread for a system call".to_owned()))?;
        agent.busy.store(true, Ordering::Release);
        let died = |_| RigError::Broken("a thread for system calls has died".to_owned());
        agent.calls.send((call, syscall.clone())).map_err(died)
    }

    /// Makes a thread for calls on this CPU.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn add(&mut self, namespace: &Namespace, cpu: Option<u32>) -> Result<(), RigError> {
        if self.agents.len() >= LIMIT {
            return Err(RigError::Broken(format!("more than {LIMIT} calls at once")));
        }
        let busy = Arc::new(AtomicBool::new(false));
        let (calls, work) = channel();
        let (ready, pinned) = sync_channel(1);
        let (flag, sockets, to) = (Arc::clone(&busy), Arc::clone(&self.sockets), self.to.clone());
        let body = move || {
            let outcome = pin(cpu);
            let right = outcome.is_ok();
            drop(ready.send(outcome));
            if right {
                make_calls(&work, &flag, &sockets, &to);
            }
        };
        // A thread lives in the namespaces of the one that made it.
        let thread = namespace
            .run(move || std::thread::Builder::new().name("agent".to_owned()).spawn(body))?
            .map_err(|e| RigError::Broken(no_thread(&e)))?;
        let died = |_| RigError::Broken("a thread for system calls died at its start".to_owned());
        pinned.recv().map_err(died)?.map_err(RigError::Missing)?;
        self.agents.push(Agent { cpu, busy, calls, thread });
        Ok(())
    }

    /// Wakes what still blocks, closes the sockets and ends the threads; gives how many did not end within `patience`.
    pub fn stop(&mut self, patience: Duration) -> usize {
        let deadline = Instant::now() + patience;
        // With its channel gone, a thread ends after the call that it is in.
        let mut threads: Vec<_> = self.agents.drain(..).map(|agent| agent.thread).collect();
        loop {
            // Again and again: a call may have been just about to block.
            self.sockets.close_all();
            threads.retain(|thread| !thread.is_finished());
            if threads.is_empty() || Instant::now() >= deadline {
                return threads.len();
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.stop(Duration::from_secs(1));
    }
}

/// Ties the calling thread to a CPU.
fn pin(cpu: Option<u32>) -> Result<(), String> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpu as usize)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .map_err(|e| format!("this machine has no CPU {cpu} for us ({e:?})"))
}

fn make_calls(
    work: &Receiver<(CallId, Syscall)>,
    busy: &AtomicBool,
    sockets: &Sockets,
    to: &Sender<Happening>,
) {
    let _soon = RealTime::begin();
    let waited = Waited::here();
    let mut before = waited.total();
    while let Ok((call, syscall)) = work.recv() {
        let result = sockets.call(&syscall);
        let at = Instant::now();
        let total = waited.total();
        let returned = Happening::Returned { call, at, late: total - before + descriptors::waited(), result };
        before = total;
        busy.store(false, Ordering::Release);
        if to.send(returned).is_err() {
            return;
        }
    }
}
