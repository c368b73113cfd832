//! Calls of applications: started, waited for, joined, and held against what the case says they give.

use super::engine::{Engine, Stop};
use super::outcome::{self, nanos};
use super::verdict::Failure;
use crate::case::model::{AppStep, Application, CallStep, Join, Nanos, Outcome, PeerRun, Step, Syscall};
use crate::rig::{CallId, CallResult};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a call may block.
const CALL_BOUND: Duration = Duration::from_secs(5);

/// Calls that are under way, and those that came to an end and were not asked for yet.
#[derive(Debug, Default)]
pub(super) struct Calls {
    last: CallId,
    background: BTreeMap<String, Started>,
    results: BTreeMap<CallId, (Nanos, CallResult)>,
}

/// A call that was started.
#[derive(Debug)]
struct Started {
    id: CallId,
    at: Nanos,
    what: String,
    /// Of a program or an application: what it says itself.
    own: Option<Own>,
}

/// By when something must end, and what it must give.
#[derive(Debug)]
struct Own {
    within: Duration,
    outcome: Outcome,
    prints: Option<String>,
}

impl Calls {
    /// A call came to its end.
    pub(super) fn returned(&mut self, call: CallId, at: Nanos, result: CallResult) {
        self.results.insert(call, (at, result));
    }
}

impl<'t> Engine<'t> {
    /// Makes a call and waits for its end, unless it runs in the background.
    pub(super) fn call(&mut self, step: &'t Step, call: &'t CallStep) -> Result<(), Stop> {
        self.calls.last += 1;
        let id = self.calls.last;
        let started = Started { id, at: self.rig.now(), what: name(&call.call).to_owned(), own: None };
        self.remember(step.name.as_deref(), started.at);
        self.rig.start(id, call.cpu, &call.call)?;
        match &call.background {
            Some(name) => {
                self.remember(Some(name), started.at);
                self.calls.background.insert(name.clone(), started);
                Ok(())
            }
            None => self.finish_call(step, &started, &call.outcome, Some(&call.call)),
        }
    }

    /// Waits for the end of a call in the background.
    pub(super) fn join(&mut self, step: &'t Step, join: &Join) -> Result<(), Stop> {
        match self.calls.background.remove(&join.call) {
            Some(started) if started.own.is_some() => self.finish_own(step, &started),
            Some(started) => self.finish_call(step, &started, &join.outcome, None),
            None => Err(Failure::at(&step.at, format!("no call {} is under way", join.call)).into()),
        }
    }

    fn finish_call(
        &mut self,
        step: &Step,
        started: &Started,
        wanted: &Outcome,
        call: Option<&Syscall>,
    ) -> Result<(), Stop> {
        let bound = match wanted.after {
            // A call may well be expected to take longer than the usual bound.
            Some((delay, _)) => CALL_BOUND.max(delay + CALL_BOUND),
            None => CALL_BOUND,
        };
        let deadline = self.rig.now().max(started.at).saturating_add(nanos(bound));
        let (at, result) = loop {
            if let Some(result) = self.calls.results.remove(&started.id) {
                break result;
            }
            if !self.pump(deadline)? && !self.calls.results.contains_key(&started.id) {
                let what = format!("{} has not returned after {bound:?}", started.what);
                return Err(Failure::at(&step.at, what).off_by(nanos(bound), started.at).into());
            }
        };
        let took = at.saturating_sub(started.at);
        let off = outcome::off_by(wanted, took, self.rig.is_virtual());
        let mut wrong = outcome::differences(wanted, &result, took, self.rig.is_virtual());
        if wrong.is_empty() || self.deviations.tolerates(step.name.as_deref(), "", ("", "")) {
            return Ok(());
        }
        let first = format!("{}: {}", started.what, wrong.remove(0));
        let failure = Failure::at(&step.at, first);
        let failure = match off {
            Some(off) if wrong.is_empty() => failure.off_by(off, started.at),
            _ => failure.untimed(),
        };
        let failure = failure.with(wrong);
        Err(call.and_then(payload).iter().fold(failure, |f, bytes| f.sending(started.at, bytes)).into())
    }
}

impl<'t> Engine<'t> {
    /// Starts a program at the peer, and waits for its end unless it runs in the background.
    pub(super) fn peer_run(&mut self, step: &'t Step, run: &'t PeerRun) -> Result<(), Stop> {
        let what = format!("`{}`", run.words.join(" "));
        let outcome = Outcome { returns: Some(run.returns), ..Outcome::default() };
        let started = self.begin(what, run.within, outcome, run.prints.as_deref());
        self.rig.peer_run(started.id, run)?;
        self.go_on_or_wait(step, started, run.background.as_ref())
    }

    /// The same for an application of the harness; one that never ends is left alone.
    pub(super) fn application(&mut self, step: &'t Step, app: &'t AppStep) -> Result<(), Stop> {
        let what = match &app.application {
            Application::HttpServer { .. } => "http_server",
            Application::HttpGet(_) => "http_get",
        };
        let started = self.begin(what.to_owned(), app.within.unwrap_or_default(), app.outcome.clone(), None);
        self.rig.application(started.id, &app.application)?;
        if app.within.is_none() {
            // It may say at once that it cannot.
            self.drain(self.rig.now())?;
            return match self.calls.results.remove(&started.id) {
                Some((_, result)) => {
                    let why = result.err().unwrap_or_else(|| "it ended".to_owned());
                    Err(Failure::at(&step.at, format!("{what}: {why}")).into())
                }
                None => Ok(()),
            };
        }
        self.go_on_or_wait(step, started, app.background.as_ref())
    }

    fn begin(&mut self, what: String, within: Duration, outcome: Outcome, prints: Option<&str>) -> Started {
        self.calls.last += 1;
        let own = Own { within, outcome, prints: prints.map(str::to_owned) };
        Started { id: self.calls.last, at: self.rig.now(), what, own: Some(own) }
    }

    fn go_on_or_wait(
        &mut self,
        step: &Step,
        started: Started,
        background: Option<&'t String>,
    ) -> Result<(), Stop> {
        match background {
            Some(name) => {
                self.remember(Some(name), started.at);
                self.calls.background.insert(name.clone(), started);
                Ok(())
            }
            None => self.finish_own(step, &started),
        }
    }

    /// Waits for what says itself by when it ends, and what it gives.
    fn finish_own(&mut self, step: &Step, started: &Started) -> Result<(), Stop> {
        let Some(Own { within, outcome, prints }) = &started.own else { return Ok(()) };
        let deadline = started.at.saturating_add(nanos(*within));
        let (at, result) = loop {
            if let Some(result) = self.calls.results.remove(&started.id) {
                break result;
            }
            if !self.pump(deadline)? && !self.calls.results.contains_key(&started.id) {
                let what = format!("{} has not ended after {within:?}", started.what);
                return Err(Failure::at(&step.at, what).off_by(nanos(*within), started.at).into());
            }
        };
        let printed = match &result {
            Ok(returned) => {
                String::from_utf8_lossy(returned.payload.as_deref().unwrap_or_default()).into_owned()
            }
            Err(_) => String::new(),
        };
        let mut wrong = outcome::differences(outcome, &result, at.saturating_sub(started.at), false);
        if let Some(text) = prints.as_ref().filter(|text| !printed.contains(text.as_str())) {
            wrong.push(format!("expected it to print {text:?}, it did not"));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let failure = Failure::at(&step.at, format!("{}: {}", started.what, wrong.remove(0))).untimed();
        Err(failure.with(wrong).with(printed.lines().map(str::to_owned)).into())
    }
}

/// What a call sends.
fn payload(call: &Syscall) -> Option<&[u8]> {
    match call {
        Syscall::Send { payload, .. } | Syscall::Sendto { payload, .. } | Syscall::Write { payload, .. } => {
            Some(&payload.0)
        }
        _ => None,
    }
}

/// The name of a system call.
#[must_use]
pub fn name(call: &Syscall) -> &'static str {
    match call {
        Syscall::Socket { .. } => "socket",
        Syscall::Bind { .. } => "bind",
        Syscall::Connect { .. } => "connect",
        Syscall::Disconnect { .. } => "disconnect",
        Syscall::Listen { .. } => "listen",
        Syscall::Accept { .. } => "accept",
        Syscall::Send { .. } => "send",
        Syscall::Sendto { .. } => "sendto",
        Syscall::Recv { .. } => "recv",
        Syscall::Recvfrom { .. } => "recvfrom",
        Syscall::Read { .. } => "read",
        Syscall::Write { .. } => "write",
        Syscall::Poll { .. } => "poll",
        Syscall::Shutdown { .. } => "shutdown",
        Syscall::Close { .. } => "close",
        Syscall::Setsockopt { .. } => "setsockopt",
        Syscall::Getsockopt { .. } => "getsockopt",
        Syscall::Getsockname { .. } => "getsockname",
        Syscall::Getpeername { .. } => "getpeername",
        Syscall::EpollCreate { .. } => "epoll_create",
        Syscall::EpollCtl { .. } => "epoll_ctl",
        Syscall::EpollWait { .. } => "epoll_wait",
    }
}
