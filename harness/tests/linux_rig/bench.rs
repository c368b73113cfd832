//! A rig that a test drives by hand, with what tests do again and again.

use crate::Outcome;
use harness::case::model::{Command, Location, Nanos, Payload, SocketKind, SourceFile, Syscall, topology};
use harness::rig::linux::LinuxRig;
use harness::rig::linux::wire::WireKind;
use harness::rig::{CallResult, Event, Rig, RigError};
use libtest_mimic::Failed;
use std::cell::Cell;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

/// A frame with the time at which it came.
pub type Timed = (Nanos, Vec<u8>);

thread_local! {
    static WIRE: Cell<WireKind> = const { Cell::new(WireKind::Auto) };
}

/// The wire of the test that runs on this thread.
pub fn wire() -> WireKind {
    WIRE.get()
}

/// What [`wire`] gives from now on.
pub fn use_wire(wire: WireKind) {
    WIRE.set(wire);
}

/// A rig, and the number of the next call.
pub struct Bench {
    pub rig: LinuxRig,
    next: u32,
}

impl Bench {
    pub fn new() -> Result<Self, Failed> {
        let rig = LinuxRig::new(wire())?;
        rig.now();
        Ok(Self { rig, next: 0 })
    }

    pub fn run(&mut self, text: &str) -> Result<String, Failed> {
        let at = location();
        let words = text.split(' ').map(str::to_owned).collect();
        let result = self.rig.command(&Command { words, error: None, output: Vec::new(), at })?;
        if result.status != 0 {
            return Err(format!("`{text}`: {}", result.output).into());
        }
        Ok(result.output)
    }

    pub fn start(&mut self, syscall: &Syscall) -> Result<u32, Failed> {
        self.start_on(None, syscall)
    }

    pub fn start_on(&mut self, cpu: Option<u32>, syscall: &Syscall) -> Result<u32, Failed> {
        self.next += 1;
        self.rig.start(self.next, cpu, syscall)?;
        Ok(self.next)
    }

    /// Makes a call that does not block long; frames that come meanwhile are not expected.
    pub fn call(&mut self, syscall: &Syscall) -> Result<CallResult, Failed> {
        let call = self.start(syscall)?;
        match self.next_event(Duration::from_secs(5))? {
            Some(Event::Returned { call: ended, result, .. }) if ended == call => Ok(result),
            other => Err(format!("{syscall:?}: {other:?}").into()),
        }
    }

    /// Makes a call that must succeed; gives its frames and its value.
    pub fn ok(&mut self, syscall: &Syscall) -> Result<(i64, Vec<Timed>), Failed> {
        let call = self.start(syscall)?;
        let mut frames = Vec::new();
        loop {
            match self.next_event(Duration::from_secs(5))? {
                Some(Event::Frame(frame)) => frames.push((frame.at, frame.bytes)),
                Some(Event::Returned { call: ended, result, .. }) if ended == call => {
                    return Ok((result?.value, frames));
                }
                other => return Err(format!("{syscall:?}: {other:?}").into()),
            }
        }
    }

    pub fn next_event(&mut self, patience: Duration) -> Result<Option<Event>, RigError> {
        let until = self.rig.now() + u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        self.rig.advance(until)
    }

    /// The next event must be a frame.
    pub fn frame(&mut self, patience: Duration) -> Result<Timed, Failed> {
        match self.next_event(patience)? {
            Some(Event::Frame(frame)) => Ok((frame.at, frame.bytes)),
            other => Err(format!("a frame was expected: {other:?}").into()),
        }
    }

    pub fn udp(&mut self, name: &str) -> Outcome {
        let socket = Syscall::Socket { name: name.to_owned(), kind: SocketKind::Udp, nonblocking: false };
        self.ok(&socket).map(drop)
    }

    pub fn bind(&mut self, name: &str, port: u16) -> Outcome {
        let to = SocketAddrV4::new(topology::SUT_IP, port);
        self.ok(&Syscall::Bind { socket: name.to_owned(), to }).map(drop)
    }

    pub fn permanent_neighbour(&mut self) -> Outcome {
        self.run("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent").map(drop)
    }
}

/// Where steps of a test stand.
pub fn location() -> Location {
    let file = SourceFile { path: "test".into(), text: String::new() };
    Location { file: Arc::new(file), line: 1, column: 1 }
}

pub fn peer(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(topology::PEER_IP, port)
}

pub fn sendto(socket: &str, to: SocketAddrV4, text: &str) -> Syscall {
    let payload = Payload(text.as_bytes().into());
    Syscall::Sendto { socket: socket.to_owned(), to, payload, flags: Vec::new() }
}

pub fn recvfrom(socket: &str) -> Syscall {
    Syscall::Recvfrom { socket: socket.to_owned(), length: 100, flags: Vec::new() }
}
