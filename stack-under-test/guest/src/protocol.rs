//! What the harness asks of a guest, and what it is told. A message is one of these, by postcard; `packet` frames it.

use crate::call::{CallId, CallResult, CommandResult, Syscall};
use crate::readings::{Readings, Source};
use crate::told::Tale;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// The messages that this guest and its harness know: 16 digits that change with the sources that define them. The image has it in a
/// note.
pub const PROTOCOL: &str = env!("WIREPROOF_PROTOCOL");

/// What the harness asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A new stack on the NIC, brought up as every case finds it; the one before is gone with all that it had.
    Begin(Identity),
    /// A system call, on a CPU.
    Call(CallId, u8, Syscall),
    /// A command of an administrator.
    Command(Vec<String>),
    /// What the command that was given last prints, now that all is settled.
    Printed,
    /// Writes a file of sysfs: path and value.
    Sysfs(String, String),
    /// Time passes up to `limit`, in nanoseconds of the stack's clock; less where something happens on the way. The device's own time
    /// passes until it is at rest.
    Advance {
        /// Until when.
        limit: u64,
        /// Whether something was done since time passed last, which is seen to first.
        stirred: bool,
    },
    /// The values of a source.
    Read(Source),
    /// `TCP_INFO` of the socket of this name.
    TcpInfo(String),
    /// What the stack has told of its packets since it was last asked.
    Trace,
    /// What each CPU of the machine has done since the stack began.
    Cpus,
    /// For tests of who listens: the guest goes wrong in this way, on this CPU.
    GoWrong(Wrong, u8),
}

/// Who a machine is, and what of it is settled at power on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its address, of a /24.
    pub ip: Ipv4Addr,
    /// Of ids, ports, hashes, and of the order of what is due at the same time.
    pub seed: u64,
    /// Its CPUs, 1 to 64. Those on which nothing is done the machine need not have.
    pub cpus: u8,
    /// How long the harness waits for an answer, in seconds of real time.
    pub patience: u16,
}

/// What one CPU of the machine has done since the stack began, as seen by its own local APIC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuReading {
    /// The number of its local APIC.
    pub apic_id: u8,
    /// How often it worked for the stack.
    pub works: u64,
    /// How often each MSI-X vector of the NIC interrupted it.
    pub interrupts: Vec<u64>,
}

/// Ways to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wrong {
    /// It panics.
    Panic,
    /// It writes where nothing may be written.
    PageFault,
    /// It has no table of gates, and takes an exception.
    TripleFault,
    /// It answers no more.
    Hang,
    /// The same, and it does not take an NMI either.
    Deaf,
    /// It calls itself until its stack is used up.
    Recursion,
    /// It says more than anybody asked for.
    Flood,
    /// The NIC's vectors go to this CPU, whatever their affinity is.
    Astray,
}

/// What the guest tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What was asked for.
    pub answer: Answer,
    /// How things stand.
    pub state: State,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is done, or has begun: what becomes of a call is told in [`State::ended`].
    Done,
    /// How a command ended, as far as it has.
    Command(CommandResult),
    /// What was read.
    Readings(Readings),
    /// What the stack has told.
    Trace(Tale),
    /// What each CPU has done, by its number.
    Cpus(Vec<CpuReading>),
    /// It cannot be had: why.
    Refused(String),
}

/// How things stand after a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The stack's clock, in nanoseconds since it was begun.
    pub now: u64,
    /// When something is due next.
    pub due: Option<u64>,
    /// Calls that came to their end since the last reply, and when.
    pub ended: Vec<(CallId, u64, CallResult)>,
    /// Whether the device has done what it was told: nothing of probing, resetting or changing it is under way.
    pub settled: bool,
    /// Whether an administrator has the device up.
    pub up: bool,
    /// Whether it has carrier.
    pub carrier: bool,
    /// Bytes of the heap that were in use when the stack before was gone, and this one not there yet.
    pub heap: u64,
}

impl Request {
    /// The message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// The request in a message. `None`: there is none.
    #[must_use]
    pub fn decode(message: &[u8]) -> Option<Self> {
        postcard::from_bytes(message).ok()
    }
}

impl Reply {
    /// The message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// The reply in a message. `None`: there is none.
    #[must_use]
    pub fn decode(message: &[u8]) -> Option<Self> {
        postcard::from_bytes(message).ok()
    }
}
