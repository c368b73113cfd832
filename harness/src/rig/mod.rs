//! What a trial runs on: the system under test with a wire, in virtual or in real time.
//!
//! The seam is asynchronous: a call is started, and its end is an event like a frame that comes; [`Rig::advance`] lets time
//! pass until the next event. So the same engine drives an emulator that needs microseconds for an hour, and a kernel.

pub mod around;
pub mod cpus;
pub mod emu;
pub mod folder;
pub mod journey;
pub mod lateness;
pub mod linux;
pub mod peer;
pub mod port;
pub mod qemu;
pub mod stop;
pub mod vfio;

pub use cpus::Cpus;
pub use guest::call::{CallId, CallResult, CommandResult, Returned};
pub use guest::readings::{Reading, Readings};
pub use journey::Journey;
pub use lateness::{Delays, Lateness};
pub use nic_emu::FaultCount;
pub use port::{Port, Reset};

use crate::case::model::{Application, Command, Nanos, PeerRun, RigKind, Source, Syscall};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The system under test sent a frame.
    Frame(SeenFrame),
    /// A real peer sent a frame, and it is on its way to the system under test.
    OfPeer(SeenFrame),
    /// A call came to its end.
    Returned {
        /// Which.
        call: CallId,
        /// When.
        at: Nanos,
        /// With what.
        result: CallResult,
    },
}

/// A frame on the wire.
#[derive(Clone, Debug)]
pub struct SeenFrame {
    /// When its last bit was on the wire (or when the harness read it, in real time).
    pub at: Nanos,
    /// By how much that may be later than it was: how late the harness was to read it. 0 in virtual time.
    pub late: Nanos,
    /// From the destination address on, without the frame check sequence.
    pub bytes: Vec<u8>,
    /// The packet of the journey that it was made from, where the rig knows.
    pub packet: Option<u32>,
}

/// Why a rig could not go on. The trial is over, with this as the reason.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// What the case asks for is not there on this machine; found before the run, it is a skip.
    #[error("{0}")]
    Missing(String),
    /// The rig itself broke.
    #[error("{0}")]
    Broken(String),
}

/// What is left when a trial is over.
#[derive(Debug, Default)]
pub struct Finished {
    /// What explains all else that is wrong, and fails the trial: the device could not reach memory.
    pub reasons: Vec<String>,
    /// Rules that the driver broke, accesses outside of what was lent: each fails the trial.
    pub violations: Vec<String>,
    /// How late the harness was at worst, in real time.
    pub lateness: Option<std::time::Duration>,
    /// How late it was frame by frame, summed up.
    pub delays: Lateness,
    /// Frames that the capture lost.
    pub lost_frames: u64,
}

/// A rig, set up anew for one trial: topology, pinned settings, no sockets.
pub trait Rig {
    /// Which of the four.
    fn kind(&self) -> RigKind;

    /// The version of a part of it that a case can name (`qemu`, `kernel`), where it has such a part; something for what its port
    /// is ([`crate::case::model::PORTS`]).
    fn version(&self, _of: &str) -> Option<String> {
        None
    }

    /// Whether time is virtual: then waiting is free, and tolerances are small.
    fn is_virtual(&self) -> bool;

    /// The time since the first step.
    fn now(&self) -> Nanos;

    /// Starts a call, on a CPU if one is named. Its end comes as [`Event::Returned`], in virtual time from the next
    /// [`Rig::advance`] on, also when it does not block.
    ///
    /// # Errors
    /// When the rig is broken.
    fn start(&mut self, call: CallId, cpu: Option<u32>, syscall: &Syscall) -> Result<(), RigError>;

    /// Starts an application of the harness on the sockets of the system under test. Its end comes as [`Event::Returned`], with the
    /// bytes that it moved as the value.
    ///
    /// # Errors
    /// [`RigError::Missing`] on a rig without a real peer.
    fn application(&mut self, _call: CallId, _application: &Application) -> Result<(), RigError> {
        Err(RigError::Missing("this rig has no applications".to_owned()))
    }

    /// Starts a program at a real peer. Its end comes as [`Event::Returned`], with its exit status as the value and what it printed as the
    /// payload.
    ///
    /// # Errors
    /// [`RigError::Missing`] on a rig without a real peer, or when the program is not there.
    fn peer_run(&mut self, _call: CallId, _run: &PeerRun) -> Result<(), RigError> {
        Err(RigError::Missing("this rig has no real peer".to_owned()))
    }

    /// Runs a command to its end; after one that resets the device, until there is carrier again.
    ///
    /// # Errors
    /// When the rig is broken, or the program is missing. A command that fails is a result.
    fn command(&mut self, command: &Command) -> Result<CommandResult, RigError>;

    /// Writes a file of sysfs.
    ///
    /// # Errors
    /// When the rig is broken; a refused write is a result.
    fn sysfs(&mut self, path: &str, value: &str) -> Result<CommandResult, RigError>;

    /// Puts a frame on the wire towards the system under test, now.
    ///
    /// # Errors
    /// When the rig is broken.
    fn inject(&mut self, frame: &[u8]) -> Result<(), RigError>;

    /// Puts a frame with a wrong frame check sequence on the wire towards the system under test, now.
    ///
    /// # Errors
    /// [`RigError::Missing`] on a rig whose wire carries no frame check sequence.
    fn inject_damaged(&mut self, _frame: &[u8]) -> Result<(), RigError> {
        Err(RigError::Missing("the wire of this rig has no frame check sequence".to_owned()))
    }

    /// How long after the moment at which the engine wanted it the last frame was injected. 0 in virtual time.
    fn last_lateness(&self) -> Nanos {
        0
    }

    /// Pulls the cable (`false`), or puts it back.
    ///
    /// # Errors
    /// When the rig is broken or cannot do this.
    fn set_link(&mut self, up: bool) -> Result<(), RigError>;

    /// Lets time pass up to `until`, and stops at the first event on the way. `None`: it is `until`, and nothing happened.
    ///
    /// # Errors
    /// When the rig is broken.
    fn advance(&mut self, until: Nanos) -> Result<Option<Event>, RigError>;

    /// The values of a source, as they are now (counters absolute).
    ///
    /// # Errors
    /// When the rig does not have this source, or is broken.
    fn read(&mut self, source: &Source) -> Result<Readings, RigError>;

    /// What the port of an emulated NIC has seen since the first step; `None` where there is no such NIC.
    fn port(&mut self) -> Option<Port> {
        None
    }

    /// The resets of an emulated NIC since the first step, in order; none where they cannot be seen.
    fn resets(&self) -> &[Reset] {
        &[]
    }

    /// What has come of each fault that the trial asks for, in its order; nothing where no NIC can be asked to misbehave.
    fn fault_counts(&self) -> Vec<FaultCount> {
        Vec::new()
    }

    /// Whether the NIC would hear a frame that is injected now, but for the cable: where that is not known, it would.
    fn hears(&self) -> bool {
        true
    }

    /// The journal of all packets so far, where the rig keeps one.
    fn journey(&mut self) -> Option<&Journey>;

    /// Ends the trial; nothing is left behind.
    fn finish(&mut self) -> Finished;
}
