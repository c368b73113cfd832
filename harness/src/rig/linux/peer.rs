//! The Linux kernel at the other end of the cable: a namespace whose `eth0` has the peer's addresses, and the programs that run there.
//!
//! ```text
//! system under test ── emulated wire ── harness ── TAP or veth ── eth0 of the namespace, 192.0.2.2 ── programs
//! ```

mod programs;

use super::namespace::Namespace;
use super::tap::{self, Tap};
use super::veth::Veth;
use super::wire::{Wire, WireKind};
use super::{Happening, capability, command, ipv6_off, pins, rights};
use crate::case::model::{PeerRun, topology};
use crate::rig::folder::Folder;
use crate::rig::{CallId, CallResult, RigError};
use nix::mount::{MsFlags, mount};
use programs::Programs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

/// Where the folder of the trial is, as its programs see it. The tmpfs is in their mount namespace alone, and goes with it.
const FOLDER: &str = "/run/trial";

/// What the kernel's end tells.
#[derive(Debug)]
pub enum Told {
    /// The kernel sent a frame.
    Frame(Vec<u8>),
    /// A program has ended.
    Ended(CallId, CallResult),
}

/// A trial's peer. When it is dropped, programs are killed and all else goes with the namespace.
#[derive(Debug)]
pub struct KernelPeer {
    // In this order they are dropped.
    wire: Box<dyn Wire>,
    programs: Programs,
    folder: Folder,
    /// The `ns` folder of proc(5) of a thread in the namespace.
    place: PathBuf,
    happenings: Receiver<Happening>,
    to: Sender<Happening>,
    /// `None`: the device is in the namespace of the process, and no program runs.
    namespace: Option<Namespace>,
}

/// Why this machine cannot have a peer; `None`: it can.
#[must_use]
pub fn unusable() -> Option<String> {
    capability::wire(WireKind::Auto).err()
}

/// Why a program of a case cannot be run here; `None`: it is there.
#[must_use]
pub fn absent(program: &str) -> Option<String> {
    command::find(program).is_none().then(|| command::absent(program))
}

impl KernelPeer {
    /// A namespace of its own with `eth0` up: 192.0.2.2/24, MAC 02:00:00:00:00:02, the pinned settings of `fixtures/sysctl.conf`.
    ///
    /// # Errors
    /// [`RigError::Missing`] when this machine cannot have it, as [`unusable`] would have said.
    pub fn new() -> Result<Self, RigError> {
        let kind = capability::wire(WireKind::Auto).map_err(RigError::Missing)?;
        let namespace = Namespace::new()?;
        let (to, happenings) = channel();
        namespace.run(ipv6_off)??;
        let wire: Box<dyn Wire> = match kind {
            WireKind::Veth => Box::new(Veth::new(&namespace, to.clone())?),
            WireKind::Auto | WireKind::Tap => Box::new(Tap::new(namespace.run(tap::open)??, to.clone())?),
        };
        let (folder, place) = namespace.run(|| {
            pins::apply()?;
            tap::configure_as(topology::PEER_MAC, topology::PEER_IP)?;
            Ok::<_, RigError>((folder()?, own_place()))
        })??;
        let programs = Programs::default();
        Ok(Self { wire, programs, folder, place, happenings, to, namespace: Some(namespace) })
    }

    /// On a TAP that is there already, or is made in the network namespace of the process. It is configured by whoever names it.
    ///
    /// # Errors
    /// [`RigError::Missing`] when it cannot be opened.
    pub fn on_a_tap(device: &str) -> Result<Self, RigError> {
        let (to, happenings) = channel();
        let wire: Box<dyn Wire> = Box::new(Tap::new(tap::open_named(device)?, to.clone())?);
        let (folder, place) = (Folder::nowhere(), own_place());
        Ok(Self { wire, programs: Programs::default(), folder, place, happenings, to, namespace: None })
    }

    /// The folder of the trial.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What stands before a command so that it runs in the namespace: nsenter(1), as root or as the user who made it.
    #[must_use]
    pub fn way_in(&self) -> String {
        let place = self.place.display();
        let user = if rights::entered() {
            format!("--user={place}/user --preserve-credentials ")
        } else {
            String::new()
        };
        format!("nsenter {user}--net={place}/net ")
    }

    /// Starts a program in the namespace; its end is told.
    ///
    /// # Errors
    /// [`RigError::Missing`] when it is not there; [`RigError::Broken`] when it cannot be started.
    pub fn start(&mut self, call: CallId, run: &PeerRun) -> Result<(), RigError> {
        let namespace = self.namespace.as_ref();
        let namespace =
            namespace.ok_or_else(|| RigError::Missing("this peer runs no programs".to_owned()))?;
        self.programs.start(namespace, (FOLDER, &self.folder), (call, run), self.to.clone())
    }

    /// Gives the kernel a frame.
    ///
    /// # Errors
    /// When the wire refuses it.
    pub fn send(&self, frame: &[u8]) -> Result<(), RigError> {
        self.wire.inject(frame)
    }

    /// Pulls the kernel's end of the cable, or puts it back.
    ///
    /// # Errors
    /// When this kernel cannot.
    pub fn set_carrier(&self, up: bool) -> Result<(), RigError> {
        self.wire.set_carrier(up)
    }

    /// What was told, waiting for at most this long. `None`: nothing was.
    ///
    /// # Errors
    /// When the wire is gone.
    pub fn told(&mut self, wait: Duration) -> Result<Option<Told>, RigError> {
        let happening = if wait.is_zero() {
            match self.happenings.try_recv() {
                Ok(happening) => happening,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(None),
            }
        } else {
            match self.happenings.recv_timeout(wait) {
                Ok(happening) => happening,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(None),
            }
        };
        match happening {
            Happening::Frame { bytes, .. } => Ok(Some(Told::Frame(bytes))),
            Happening::Returned { call, result, .. } => Ok(Some(Told::Ended(call, result))),
            Happening::Broken(why) => Err(RigError::Broken(why)),
        }
    }

    /// Frames of the kernel that the harness was too slow to read.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.wire.lost()
    }

    /// Kills programs, stops the wire and leaves the namespace; what did not go in time.
    pub fn stop(&mut self) -> Vec<String> {
        let mut left = self.programs.stop(Instant::now() + Duration::from_secs(2));
        if !self.wire.stop() {
            left.push("the reader of the peer's wire did not end".to_owned());
        }
        if let Some(namespace) = &mut self.namespace
            && !namespace.leave()
        {
            left.push("the peer's namespace was not left".to_owned());
        }
        left
    }
}

/// The `ns` folder of the calling thread.
fn own_place() -> PathBuf {
    let thread = nix::unistd::gettid();
    PathBuf::from(format!("/proc/{}/task/{thread}/ns", std::process::id()))
}

/// The trial's folder, in the mount namespace of the calling thread.
fn folder() -> Result<Folder, RigError> {
    let broken = |what: String| RigError::Broken(format!("a folder for the trial: {what}"));
    std::fs::create_dir_all(FOLDER).map_err(|e| broken(e.to_string()))?;
    let size: Option<&str> = Some("size=1g,mode=0755");
    mount(Some("tmpfs"), FOLDER, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, size)
        .map_err(|e| broken(format!("{e:?}")))?;
    Folder::open(FOLDER).map_err(|e| broken(e.to_string()))
}
