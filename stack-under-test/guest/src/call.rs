//! The system calls that a case makes, and what they give.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddrV4;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Names a call within a trial.
pub type CallId = u32;

/// How a call ended: what it gave, or the name of the error (`EPERM`).
pub type CallResult = Result<Returned, String>;

/// What a call that succeeded gave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// The return value.
    pub value: i64,
    /// The bytes that were received.
    pub payload: Option<Vec<u8>>,
    /// Who sent them, or (of getsockname and getpeername) the address.
    pub address: Option<SocketAddrV4>,
    /// The events that `poll` reported.
    pub events: Vec<String>,
    /// What `epoll_wait` reported, in its order.
    pub ready: Vec<Ready>,
    /// The value of an option.
    pub option: Option<i64>,
    /// The same of an option that is text (TCP_CONGESTION).
    pub text: Option<String>,
}

/// A system call. Sockets go by their names in the case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the names are those of the system calls; their manual pages are the documentation"
)]
pub enum Syscall {
    Socket { name: String, kind: SocketKind, nonblocking: bool },
    Bind { socket: String, to: SocketAddrV4 },
    Connect { socket: String, to: SocketAddrV4 },
    Disconnect { socket: String },
    Listen { socket: String, backlog: i32 },
    Accept { socket: String, name: String },
    Send { socket: String, payload: Payload, flags: Vec<String> },
    Sendto { socket: String, to: SocketAddrV4, payload: Payload, flags: Vec<String> },
    Recv { socket: String, length: u32, flags: Vec<String> },
    Recvfrom { socket: String, length: u32, flags: Vec<String> },
    Read { socket: String, length: u32 },
    Write { socket: String, payload: Payload },
    Poll { socket: String, events: Vec<String>, timeout_ms: i32 },
    Shutdown { socket: String, how: String },
    Close { socket: String },
    Setsockopt { socket: String, level: String, name: String, value: OptionValue },
    Getsockopt { socket: String, level: String, name: String },
    Getsockname { socket: String },
    Getpeername { socket: String },
    EpollCreate { name: String },
    EpollCtl { epoll: String, op: String, socket: String, events: Vec<String> },
    EpollWait { epoll: String, maxevents: i32, timeout_ms: i32 },
}

/// The value that an option is set to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OptionValue {
    /// A number.
    Number(i64),
    /// A symbol such as `IP_PMTUDISC_DO`.
    Symbol(String),
    /// Text, such as an interface for SO_BINDTODEVICE.
    Text(String),
    /// How long SO_RCVTIMEO or SO_SNDTIMEO lets a call wait; 0: as long as it takes.
    Time(Duration),
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SocketKind {
    /// SOCK_DGRAM, UDP.
    Udp,
    /// SOCK_STREAM, TCP.
    Tcp,
}

/// Bytes, as a case gives them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload(pub Arc<[u8]>);

/// A socket that `epoll_wait` reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The socket, by its name in the case.
    pub socket: String,
    /// The names of its events.
    pub events: Vec<String>,
}

impl Ready {
    /// `s: EPOLLIN EPOLLOUT`, events in the order of their names.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut events = self.events.clone();
        events.sort_unstable();
        format!("{}: {}", self.socket, events.join(" "))
    }
}

/// How a command ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult {
    /// Its exit status.
    pub status: i32,
    /// What it printed, errors included.
    pub output: String,
}
