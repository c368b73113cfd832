//! The wire: a TAP device of the namespace, whose other end the harness holds.

use super::Happening;
use super::ioctl::{self, Change};
use super::reader::Reader;
use super::wire::Wire;
use crate::case::model::topology;
use crate::rig::RigError;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

/// The device of the system under test.
pub const DEVICE: &str = "eth0";

/// The harness's end of the TAP: what is written arrives at `eth0`, and a thread reads what `eth0` sends, so that each frame
/// gets its time when it comes, whatever the harness does.
#[derive(Debug)]
pub struct Tap {
    end: Arc<OwnedFd>,
    reader: Reader,
}

/// Makes `eth0` in the namespace of the calling thread, still down.
///
/// # Errors
/// [`RigError::Missing`] when `/dev/net/tun` cannot be opened or refuses.
pub fn open() -> Result<OwnedFd, RigError> {
    open_named(DEVICE)
}

/// The harness's end of a TAP with this name; it is made, unless it is there and nobody holds it.
///
/// # Errors
/// As [`open`].
pub fn open_named(device: &str) -> Result<OwnedFd, RigError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .map_err(|e| RigError::Missing(format!("/dev/net/tun cannot be opened: {e}")))?;
    ioctl::make_tap(file.as_fd(), device)
        .map_err(|e| RigError::Missing(format!("a TAP cannot be made ({e:?})")))?;
    Ok(file.into())
}

/// Sets up `lo`, and `eth0` as the topology has it: MAC, MTU 1500, 192.0.2.1/24, up.
///
/// # Errors
/// [`RigError::Broken`] with the request that failed.
pub fn configure() -> Result<(), RigError> {
    configure_as(topology::SUT_MAC, topology::SUT_IP)
}

/// The same with the addresses of an end of the cable.
///
/// # Errors
/// As [`configure`].
pub fn configure_as(mac: [u8; 6], address: Ipv4Addr) -> Result<(), RigError> {
    let broken = |what: &str, e: Errno| RigError::Broken(format!("{what}: {e:?}"));
    let control = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|e| broken("a socket to configure devices", e))?;
    let changes = [
        ("lo", Change::Up),
        (DEVICE, Change::Mac(mac)),
        (DEVICE, Change::Mtu(1500)),
        (DEVICE, Change::Address(address)),
        (DEVICE, Change::Netmask(Ipv4Addr::new(255, 255, 255, 0))),
        (DEVICE, Change::Up),
    ];
    for (device, change) in changes {
        ioctl::change(control.as_fd(), device, change)
            .map_err(|e| broken(&format!("{change:?} of {device}"), e))?;
    }
    Ok(())
}

/// Whether `eth0` of the namespace of the calling thread is a device without hardware, such as a TAP or a veth.
#[must_use]
pub fn is_virtual() -> bool {
    let device = std::path::Path::new("/sys/class/net").join(DEVICE);
    device.canonicalize().is_ok_and(|place| place.starts_with("/sys/devices/virtual"))
}

impl Tap {
    /// Begins to read frames; they go to `to`.
    ///
    /// # Errors
    /// When there are no descriptors or threads left.
    pub fn new(end: OwnedFd, to: Sender<Happening>) -> Result<Self, RigError> {
        let end = Arc::new(end);
        let reader = Reader::new(Arc::clone(&end), take, to)?;
        Ok(Self { end, reader })
    }
}

impl Wire for Tap {
    /// Puts a frame on the wire. At a device that is down, or that has no carrier, it is lost, as it would be.
    ///
    /// # Errors
    /// When the TAP refuses it otherwise: a runt of less than 14 bytes, more than it can take.
    fn inject(&self, frame: &[u8]) -> Result<(), RigError> {
        match nix::unistd::write(&self.end, frame) {
            Ok(_) | Err(Errno::EIO) => Ok(()),
            Err(e) => Err(RigError::Broken(format!("a frame of {} bytes: the TAP says {e:?}", frame.len()))),
        }
    }

    /// Pulls the cable, or puts it back.
    ///
    /// # Errors
    /// [`RigError::Missing`] before Linux 4.20.
    fn set_carrier(&self, up: bool) -> Result<(), RigError> {
        ioctl::set_carrier(self.end.as_fd(), up)
            .map_err(|e| RigError::Missing(format!("this kernel has no carrier for a TAP ({e:?})")))
    }

    /// None that it knows of: a frame that the reader is too slow for is counted by the device, as `tx_dropped`.
    fn lost(&self) -> u64 {
        0
    }

    /// Stops reading; what the device still sends is lost. `false`: the reader did not end in time.
    fn stop(&mut self) -> bool {
        self.reader.stop()
    }
}

/// One read is one frame; its time is when it is read.
fn take(end: &OwnedFd, buffer: &mut [u8]) -> Result<(usize, Option<Instant>), Errno> {
    nix::unistd::read(end, buffer).map(|length| (length, None))
}
