//! A trial: one row of one case, with everything substituted, included, unrolled and checked. What `run/` executes.
//!
//! Nothing in here is text that still has to be understood: values are typed, commands are split, references resolve.

pub use super::conserve::Group;
pub use super::peer::{AppStep, Application, HttpGet, Impairment, PeerRun};
pub use super::relations::{Fragments, Order, Segments};
use super::rigs::Rigs;
pub use super::topology;
use crate::frame::FrameSpec;
pub use guest::call::{OptionValue, Payload, Ready, SocketKind, Syscall};
pub use guest::readings::RouteQuery;
use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Nanoseconds since the first step of a trial.
pub type Nanos = u64;

/// A file that was read, kept to show lines of it.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// As it was named or found.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// The rigs of `design.md`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum RigKind {
    /// Our stack and driver on the emulator, in virtual time.
    Emu,
    /// The same, booted bare-metal in QEMU.
    Qemu,
    /// The same, on a real NIC.
    Vfio,
    /// The Linux kernel.
    Linux,
}

impl RigKind {
    /// Its name on the command line and in cases.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Emu => "emu",
            Self::Qemu => "qemu",
            Self::Vfio => "vfio",
            Self::Linux => "linux",
        }
    }
}

/// One row of one case.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Folder and stem of the case: `ip/fragments`.
    pub case: String,
    /// The row of the matrix, in the order of the file; empty without a matrix.
    pub row: Vec<(String, String)>,
    /// The file of the case.
    pub file: Arc<SourceFile>,
    /// What it shows, in a sentence.
    pub about: String,
    /// Functions that the trace must have seen in at least one row of the case.
    pub covers: Vec<String>,
    /// RFCs and the like.
    pub refs: Vec<String>,
    /// The rigs that it can run on; `None`: all.
    pub rigs: Option<Rigs>,
    /// Whether the peer and the gateway answer ARP requests by themselves.
    pub automatic_arp: bool,
    /// `peer: {buffers: igb}` - what it states holds where a socket is charged for what comes as for what an igb received.
    pub charged_as_igb: bool,
    /// `peer: {kind: linux}` - the Linux kernel is at the other end of the cable, and what the wire to it does.
    pub real_peer: Option<Impairment>,
    /// Deviations of a rig that are known.
    pub differs: Vec<Differs>,
    /// What the emulated NIC is to do wrong: a name and its numbers.
    pub faults: Vec<Fault>,
    /// How the emulated NIC tells of something.
    pub interrupts: Interrupts,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

impl Trial {
    /// `ip/fragments[mtu=576,length=549]`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.row.is_empty() {
            return self.case.clone();
        }
        let row: Vec<_> = self.row.iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!("{}[{}]", self.case, row.join(","))
    }
}

/// What the port of the linux rig can be, as a condition of `differs:`. `virtual` is any device without hardware, `igb` one that
/// the kernel's igb drives.
pub const PORTS: [&str; 4] = ["tap", "veth", "virtual", "igb"];

/// A known deviation of one rig.
#[derive(Clone, Debug)]
pub struct Differs {
    /// The rig.
    pub rig: RigKind,
    /// A version condition such as `qemu <= 10.0.2`, or one of [`PORTS`]; `None`: always.
    pub when: Option<String>,
    /// Of QEMU's: the version that it was seen on. It holds for every version, and is stale on one that does not deviate.
    pub seen: Option<String>,
    /// The named step (`as:`) that it is about.
    pub step: Option<String>,
    /// The field that it is about.
    pub field: Option<String>,
    /// How far it may be off.
    pub extent: Extent,
    /// It may show in any trial, and need not in each: it is stale when it shows in none of many.
    pub everywhere: bool,
    /// Why.
    pub why: String,
}

/// How far a known deviation goes: what is beyond it is a failure all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// The field may have any value.
    #[default]
    Any,
    /// The field has one of these values, as a case would write them; of [`UDP_SEGMENTS`] it is how many datagrams fewer there are.
    Is(Vec<String>),
    /// Of the letters that are expected (`P.`), some of these are not there.
    Lacks(String),
    /// Interrupts: up to so many for each that there should be.
    Times(u64),
    /// A counter of the device is off by what this makes of the frames of the trial, exactly.
    By(Way),
}

/// What a NIC counts otherwise, by the frames of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It does not pad what it sends: the padding is missing.
    Padding,
    /// A packet that it cuts counts once, with its headers once: all frames of it but one are missing, and their headers with FCS.
    Cut,
    /// A received frame counts without the tag that was taken off.
    Tag,
    /// A received frame has the size that it has without FCS, and without the tag that was taken off.
    Fcs,
}

impl Way {
    /// How a list calls them.
    pub const NAMED: [(&str, Self); 4] =
        [("padding", Self::Padding), ("cut", Self::Cut), ("tag", Self::Tag), ("fcs", Self::Fcs)];
}

/// The field of a deviation that is in the cut of large packets of UDP: fragments of one datagram, not datagrams.
pub const UDP_SEGMENTS: &str = "udp.segments";

/// How a NIC tells of something: Linux's igb takes the first of them that a machine has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interrupts {
    /// MSI-X: a message for each queue pair, and one for the link.
    #[default]
    Msix,
    /// MSI: one message for all, and one queue pair.
    Msi,
    /// A line for all, which other devices share, and one queue pair.
    Intx,
}

impl Interrupts {
    /// All of them, by their names in a case.
    pub const ALL: [(&'static str, Self); 3] =
        [("msix", Self::Msix), ("msi", Self::Msi), ("intx", Self::Intx)];
}

/// Something that the emulated NIC does wrong on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `lost_interrupt`, …
    pub kind: String,
    /// `vector`, `nth`, …
    pub arguments: BTreeMap<String, u64>,
    /// Where it stands.
    pub at: Location,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it stands; for an included step, in the included file.
    pub at: Location,
    /// `as: NAME` of a frame or call, to be referred to later.
    pub name: Option<String>,
    /// What it does.
    pub action: Action,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Commands of an administrator, one after the other.
    Run(Vec<Command>),
    /// Writes a file of sysfs.
    Sysfs {
        /// The file.
        path: String,
        /// What is written.
        value: String,
        /// `error:` - the write must fail, and what is said contain this text.
        error: Option<String>,
    },
    /// Pulls the cable (`false`) or puts it back.
    Link(bool),
    /// A system call.
    Call(CallStep),
    /// A program at a real peer.
    PeerRun(PeerRun),
    /// An application of the harness on the sockets of the system under test.
    App(AppStep),
    /// Waits for the end of a call that runs in the background.
    Join(Join),
    /// One frame of the system under test.
    Expect(Expect),
    /// Several frames, in whatever order.
    AnyOrder(Vec<Expect>),
    /// The next frames that have a field, by the value of that field.
    Order(Order),
    /// The fragments of one datagram.
    Fragments(Fragments),
    /// The segments of a stretch of a TCP stream.
    Segments(Segments),
    /// A frame of the peer.
    Inject(Inject),
    /// Lets time pass.
    Wait(Duration),
    /// Nothing is pending, and nothing comes for this long.
    Quiet(Duration),
    /// Counters and states.
    Check(Check),
    /// Counters of these groups against all frames so far.
    Conserve(Vec<Group>),
}

/// A command, split into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The words; the first is the program.
    pub words: Vec<String>,
    /// `error:` - the command must fail, and what it prints contain this text.
    pub error: Option<String>,
    /// `output:` - lines that it must print, in this order; white space is as one space.
    pub output: Vec<String>,
    /// Where it stands.
    pub at: Location,
}

/// A system call with what it must give.
#[derive(Clone, Debug)]
pub struct CallStep {
    /// The call.
    pub call: Syscall,
    /// The CPU that makes it.
    pub cpu: Option<u32>,
    /// A name, when it may overlap with later steps.
    pub background: Option<String>,
    /// What it must give.
    pub outcome: Outcome,
}

/// What a call must give.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// `returns:`; `None` with no `error`: any value that is not an error.
    pub returns: Option<i64>,
    /// `error:` - the name of the error.
    pub error: Option<String>,
    /// `payload:` of what was received.
    pub payload: Option<Payload>,
    /// `from:` of `recvfrom`.
    pub from: Option<SocketAddrV4>,
    /// `value:` of `getsockopt`.
    pub value: Option<i64>,
    /// `value:` of `getsockopt` where the option is text.
    pub text: Option<String>,
    /// `events:` that `poll` must report, as names: POLLIN, POLLOUT, POLLERR, POLLHUP.
    pub events: Option<Vec<String>>,
    /// `ready:` of `epoll_wait`, in this order.
    pub ready: Option<Vec<Ready>>,
    /// `after:` - how long after the call began it must return, and how far off it may be.
    pub after: Option<(Duration, Tolerance)>,
}

/// `join: {call: NAME, …}`.
#[derive(Clone, Debug)]
pub struct Join {
    /// The background call.
    pub call: String,
    /// What it must give; `after` counts from the call.
    pub outcome: Outcome,
}

/// How far off a time may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// This much.
    Time(Duration),
    /// This part of the time, in per cent.
    Percent(f64),
    /// Not given: exact where time is virtual (the emulator's latencies aside: 1 ms), 12.5 % + 20 ms in real time.
    Default,
}

/// A frame that must come.
#[derive(Clone, Debug)]
pub struct Expect {
    /// Where it stands.
    pub at: Location,
    /// `as: NAME`.
    pub name: Option<String>,
    /// What it must look like; what is not mentioned may have any value.
    pub pattern: FrameSpec,
    /// `within:` - by when after the previous step; default 1 s.
    pub within: Option<Duration>,
    /// `after: {NAME: T}` - how long after a named step.
    pub after: Option<After>,
}

/// `after: {NAME: T}` with its `tolerance:`.
#[derive(Clone, Debug)]
pub struct After {
    /// The step that it counts from.
    pub step: String,
    /// How long after.
    pub delay: Duration,
    /// How far off it may be.
    pub tolerance: Tolerance,
}

/// A frame that the peer sends.
#[derive(Clone, Debug)]
pub struct Inject {
    /// What it looks like; what is not mentioned is what the peer would usually send to the system under test.
    pub frame: FrameSpec,
    /// `fcs: wrong` - its frame check sequence is.
    pub has_wrong_fcs: bool,
    /// `cut_to:` - how many bytes of it are sent at most.
    pub cut_to: usize,
}

/// `check: {…}`.
#[derive(Clone, Debug)]
pub struct Check {
    /// Only on these rigs.
    pub rigs: Option<Rigs>,
    /// What is asked and what must be the answer.
    pub items: Vec<CheckItem>,
}

/// One value that is checked.
#[derive(Clone, Debug)]
pub struct CheckItem {
    /// Where it stands.
    pub at: Location,
    /// From where it is read.
    pub source: Source,
    /// Its key there: `tx_packets`, `Udp.OutDatagrams`, `192.0.2.2/state`, `1:/packets`, `via`.
    pub key: String,
    /// What it must be.
    pub expected: Expected,
}

/// Where a value is read. See `rig::Rig::read` for the keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// `/proc/net/dev`, `ip -s link`: differences since the first step.
    Netdev,
    /// `ethtool -S`: differences since the first step.
    Ethtool,
    /// `/proc/net/snmp` and `netstat`: differences since the first step.
    Snmp,
    /// `/proc/softirqs`: differences since the first step; `NET_RX`, or `NET_RX/0` for one CPU.
    Softirqs,
    /// `/proc/interrupts`: differences since the first step, by the name of the vector: `eth0-TxRx-0`, or `eth0` for what belongs to
    /// no queue.
    Interrupts,
    /// `tc -s qdisc`: differences since the first step; `1:/packets`, `root/drops`. Backlog is what is.
    Qdisc,
    /// `nft list ruleset`: `TABLE/CHAIN/INDEX/packets`; differences since the first step.
    Nft,
    /// `TCP_INFO` of a socket.
    TcpInfo(String),
    /// `ip neigh`: `ADDRESS/state`, `ADDRESS/lladdr`.
    Neigh,
    /// `ip route get`: `via`, `dev`, `src`, `error`.
    Route(RouteQuery),
    /// Our own packet pool: `in_flight`, `copied_bytes` (a difference).
    Skb,
    /// The journey of a packet.
    Journey(JourneyQuery),
}

/// `journey: {packet: …}`: which packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JourneyQuery {
    /// Its payload begins with these bytes.
    pub payload: Vec<u8>,
    /// Which of those with that payload, from 0.
    pub nth: usize,
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// This number.
    Number(i64),
    /// Compared with this number: `">=1"`.
    Compare(Comparison, i64),
    /// This text.
    Text(String),
    /// Not there at all.
    Absent,
    /// Of a journey, key `through`: these functions or queues, in this order, others between them allowed.
    Through(Vec<String>),
    /// Of a journey, key `spent/QUEUE`: this long, so far off.
    Spent(Duration, Tolerance),
}

/// How a number is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    NotEqual,
}
