//! The wire of a lab: the port at the other end of the cable, through libpcap.

use super::super::Happening;
use super::super::namespace::{Namespace, join_before, no_thread};
use super::super::schedule::RealTime;
use super::super::wire::Wire;
use super::missed::{between, missed};
use super::program::fails;
use super::stamps::Stamps;
use crate::rig::RigError;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use pcap::{Active, Capture, Direction, Error, Precision};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// More than any frame of the wire: 9,216 bytes, and a VLAN tag.
const SNAPLEN: i32 = 10_240;
/// The buffer of the kernel for frames that were not read yet, in bytes.
const BUFFER: i32 = 8 << 20;

/// The wire port, read by a thread for as long as the lab is there. One trial after the other listens to it.
#[derive(Debug)]
pub struct WirePort {
    shared: Arc<Shared>,
    stop: Arc<EventFd>,
    reader: Option<JoinHandle<()>>,
    /// Where the port is, to pull its cable.
    namespace: Arc<Namespace>,
    name: String,
}

struct Shared {
    /// To send from it. One for all trials: to close it takes the kernel long.
    sender: Mutex<Capture<Active>>,
    listener: Mutex<Option<Sender<Happening>>>,
    /// Frames that the kernel had no room for, since the beginning.
    lost: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("lost", &self.lost).finish_non_exhaustive()
    }
}

impl Shared {
    fn listener(&self) -> MutexGuard<'_, Option<Sender<Happening>>> {
        // What a thread that panicked left is whole: it is one word.
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a port of the namespace of the calling thread, for frames that come in with these stamps.
///
/// # Errors
/// What libpcap says.
pub fn open_with(name: &str, stamps: &Stamps) -> Result<Capture<Active>, String> {
    let opened = Capture::from_device(name).and_then(|capture| {
        let capture =
            stamps.ask(capture).promisc(true).immediate_mode(true).snaplen(SNAPLEN).buffer_size(BUFFER);
        // Not every device stamps to the nanosecond; then it is microseconds.
        let capture = capture.precision(Precision::Nano).open()?.setnonblock()?;
        capture.direction(Direction::In)?;
        Ok(capture)
    });
    opened.map_err(|e| format!("libpcap cannot open {name}: {e}"))
}

/// Opens a port of the namespace of the calling thread, for frames that come in, with the best stamps that it has.
///
/// # Errors
/// What libpcap says.
pub fn open(name: &str) -> Result<(Capture<Active>, Stamps), String> {
    let best = Stamps::of(name);
    // A driver may refuse what it said that it can.
    let by_card = best.is_of_a_card().then(|| open_with(name, &best)).and_then(Result::ok);
    by_card.map_or_else(
        || Ok((open_with(name, &Stamps::KERNEL)?, Stamps::KERNEL)),
        |capture| Ok((capture, best)),
    )
}

/// Opens a port of the namespace of the calling thread only to send from it.
///
/// # Errors
/// What libpcap says.
pub fn open_to_send(name: &str) -> Result<Capture<Active>, String> {
    let opened = Capture::from_device(name).and_then(|capture| {
        let mut capture = capture.snaplen(64).buffer_size(1 << 16).open()?;
        // It is to receive nothing.
        capture.filter("less 1", true)?;
        Ok(capture)
    });
    opened.map_err(|e| format!("libpcap cannot open {name}: {e}"))
}

/// Sends a frame. From a port that is down it is lost, as it would be.
///
/// # Errors
/// What libpcap says.
pub fn send(from: &mut Capture<Active>, frame: &[u8]) -> Result<(), String> {
    let is_down = |sent: &Result<(), Error>| matches!(sent, Err(Error::PcapError(why)) if why.contains("Network is down"));
    let mut sent = from.sendpacket(frame);
    if is_down(&sent) {
        // A socket tells once that its device was down, also when that is up again.
        sent = from.sendpacket(frame);
    }
    if is_down(&sent) { Ok(()) } else { sent.map_err(|e| e.to_string()) }
}

impl WirePort {
    /// Begins to read the port `name` of a namespace.
    ///
    /// # Errors
    /// What libpcap says, or that there are no descriptors or threads left.
    pub fn new(namespace: &Arc<Namespace>, name: &str) -> Result<Self, String> {
        let port = name.to_owned();
        let ends = move || Ok::<_, String>((open(&port)?, open_to_send(&port)?));
        let ((capture, stamps), sender) = namespace.run(ends).map_err(|e| e.to_string())??;
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(|e| format!("an eventfd: {e:?}"))?;
        let shared =
            Shared { sender: Mutex::new(sender), listener: Mutex::default(), lost: AtomicU64::new(0) };
        let (stop, shared) = (Arc::new(stop), Arc::new(shared));
        let (stopped, told) = (Arc::clone(&stop), Arc::clone(&shared));
        let reader = std::thread::Builder::new()
            .name("wire reader".to_owned())
            .spawn(move || {
                let _soon = RealTime::begin();
                if let Err(why) = read_frames(capture, &stamps, &stopped, &told)
                    && let Some(listener) = told.listener().as_ref()
                {
                    drop(listener.send(Happening::Broken(format!("the wire port is gone ({why})"))));
                }
            })
            .map_err(|e| no_thread(&e))?;
        Ok(Self {
            shared,
            stop,
            reader: Some(reader),
            namespace: Arc::clone(namespace),
            name: name.to_owned(),
        })
    }

    /// Whether the reader still reads.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| !reader.is_finished())
    }

    /// Gives the frames that come from now on to `to`.
    ///
    /// # Errors
    /// When another trial listens.
    pub fn attach(&self, to: Sender<Happening>) -> Result<Attached, String> {
        let mut listener = self.shared.listener();
        if listener.is_some() {
            return Err("another trial runs on the ports of the lab: one runs at a time there".to_owned());
        }
        *listener = Some(to);
        drop(listener);
        Ok(Attached {
            shared: Arc::clone(&self.shared),
            lost_before: self.shared.lost.load(Ordering::Relaxed),
            missed_before: missed(&self.namespace, &self.name),
            namespace: Arc::clone(&self.namespace),
            name: self.name.clone(),
            pulled: AtomicBool::new(false),
            detached: false,
        })
    }

    /// Stops reading. `false`: the reader did not end in time.
    pub fn stop(&mut self) -> bool {
        // It can only fail when the counter is at its end, and then the reader is awake.
        let _ = self.stop.write(1);
        self.reader.take().is_none_or(|reader| join_before(reader, Instant::now() + Duration::from_secs(1)))
    }
}

impl Drop for WirePort {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The wire of one trial.
#[derive(Debug)]
pub struct Attached {
    shared: Arc<Shared>,
    lost_before: u64,
    missed_before: Option<u64>,
    namespace: Arc<Namespace>,
    name: String,
    /// Whether the trial left the cable pulled.
    pulled: AtomicBool,
    detached: bool,
}

impl Wire for Attached {
    fn inject(&self, frame: &[u8]) -> Result<(), RigError> {
        let mut sender = self.shared.sender.lock().unwrap_or_else(PoisonError::into_inner);
        send(&mut sender, frame).map_err(|why| {
            RigError::Broken(format!("a frame of {} bytes: {}: {why}", frame.len(), self.name))
        })
    }

    /// Sets the wire port down, and up again: the port under test sees the cable pulled.
    fn set_carrier(&self, up: bool) -> Result<(), RigError> {
        self.pulled.store(!up, Ordering::Relaxed);
        let name = self.name.clone();
        let state = if up { "up" } else { "down" };
        let failed = self.namespace.run(move || fails(&["ip", "link", "set", "dev", &name, state]))?;
        failed.map_or(Ok(()), |why| Err(RigError::Broken(why)))
    }

    fn lost(&self) -> u64 {
        let missed = between(self.missed_before, missed(&self.namespace, &self.name));
        self.shared.lost.load(Ordering::Relaxed).saturating_sub(self.lost_before) + missed
    }

    /// Listens no longer; the reader reads on, for the next trial, which finds the cable in.
    fn stop(&mut self) -> bool {
        if std::mem::replace(&mut self.detached, true) {
            return true;
        }
        *self.shared.listener() = None;
        !self.pulled.load(Ordering::Relaxed) || self.set_carrier(true).is_ok()
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads frames until it is told to stop.
fn read_frames(
    mut capture: Capture<Active>,
    stamps: &Stamps,
    stop: &EventFd,
    shared: &Shared,
) -> Result<(), String> {
    loop {
        {
            let mut ends = [
                PollFd::new(capture.as_fd(), PollFlags::POLLIN),
                PollFd::new(stop.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ends, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(format!("{e:?}")),
            }
            if ends[1].any().unwrap_or(true) {
                return Ok(());
            }
        }
        read_all(&mut capture, stamps, shared)?;
        if let Ok(stats) = capture.stats() {
            shared.lost.store(u64::from(stats.dropped), Ordering::Relaxed);
        }
    }
}

/// Reads what is there.
fn read_all(capture: &mut Capture<Active>, stamps: &Stamps, shared: &Shared) -> Result<(), String> {
    loop {
        match capture.next_packet() {
            Ok(packet) => {
                // A stamp is not late, whenever it is read.
                let at = stamps.instant(packet.header.ts);
                let frame = Happening::Frame { at, late: 0, bytes: packet.data.to_vec() };
                if let Some(listener) = shared.listener().as_ref() {
                    // Whoever does not listen any more has stopped.
                    drop(listener.send(frame));
                }
            }
            Err(Error::TimeoutExpired | Error::NoMorePackets) => return Ok(()),
            // The cable is pulled at this end; it will be put back.
            Err(Error::PcapError(why)) if why.contains("went down") || why.contains("is down") => {
                return Ok(());
            }
            Err(e) => return Err(e.to_string()),
        }
    }
}
