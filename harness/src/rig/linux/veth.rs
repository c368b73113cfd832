//! A veth pair as the wire: `eth0` in the namespace of the trial, and a packet socket at the other end, in a silent namespace of its own.
//!
//! ```text
//! namespace of the trial            silent namespace
//!   eth0, its offloads off ───────── wire: no address, no ARP ── AF_PACKET ── reader
//! ```

use super::Happening;
use super::features;
use super::ioctl::{self, Change};
use super::namespace::Namespace;
use super::netlink::{self, End};
use super::reader::Reader;
use super::tap::DEVICE;
use super::wire::Wire;
use crate::rig::RigError;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeSpec;
use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The device at the harness's end.
const FAR: &str = "wire";
/// The largest that a veth can have: whatever `eth0` sends passes, and 9,216 bytes into it.
const FAR_MTU: u32 = 65_535;
/// Room for frames that the reader has not read yet, in bytes. Without a right to it, it is cut to `net.core.rmem_max`.
const RECEIVE_BUFFER: usize = 16 << 20;
/// A time stamp that is older says nothing: the clock was set meanwhile.
const OLDEST: Duration = Duration::from_secs(5);

/// The harness's end of the veth pair.
#[derive(Debug)]
pub struct Veth {
    // In this order they are dropped: reading stops, and the devices go with the namespace.
    reader: Reader,
    end: Arc<OwnedFd>,
    control: OwnedFd,
    silent: Namespace,
}

impl Veth {
    /// Makes `eth0` in the namespace, still down, and its other end, which is up; begins to read frames; they go to `to`.
    ///
    /// # Errors
    /// [`RigError::Missing`] when this kernel has no veth or packet sockets, or these would not carry what a cable carries.
    pub fn new(namespace: &Namespace, to: Sender<Happening>) -> Result<Self, RigError> {
        let silent = Namespace::silent()?;
        let place = silent.run(|| File::open("/proc/thread-self/ns/net"))?;
        let place = place.map_err(|e| RigError::Broken(format!("/proc/thread-self/ns/net: {e}")))?;
        namespace.run(move || {
            let (near, far) = (End { name: DEVICE, mtu: 1500 }, End { name: FAR, mtu: FAR_MTU });
            netlink::add_veth(near, far, place.as_fd()).map_err(|e| missing("a veth pair", e))?;
            features::as_on_a_cable(DEVICE)
        })??;
        let (end, control) = silent.run(listen)??;
        let end = Arc::new(end);
        let reader = Reader::new(Arc::clone(&end), take, to)?;
        Ok(Self { reader, end, control, silent })
    }
}

fn missing(what: &str, error: Errno) -> RigError {
    RigError::Missing(format!("{what} cannot be made ({error:?})"))
}

/// In the silent namespace: the far end up, and a packet socket at it. Also a socket to control it by.
fn listen() -> Result<(OwnedFd, OwnedFd), RigError> {
    features::as_on_a_cable(FAR)?;
    let control = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|e| missing("a socket to configure devices", e))?;
    ioctl::change(control.as_fd(), FAR, Change::Silent { up: true })
        .map_err(|e| RigError::Broken(format!("the far end of the veth: {e:?}")))?;
    // Bound to a device that is down, it would have an error to tell.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let packets = packet_socket(flags).map_err(|e| missing("a packet socket", e))?;
    Ok((packets, control))
}

/// A socket that gets what comes to the far end, with the time at which it came.
fn packet_socket(flags: SockFlag) -> Result<OwnedFd, Errno> {
    // Of no protocol before it is bound, so that it gets nothing of another device.
    let packets = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
    setsockopt(&packets, sockopt::ReceiveTimestampns, &true)?;
    if setsockopt(&packets, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        setsockopt(&packets, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
    }
    let one = 1_i32.to_ne_bytes();
    ioctl::set_option(&packets, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &one)?;
    // The far end takes frames as soon as it has carrier; its qdisc only when the kernel has noticed that, up to a second later.
    ioctl::set_option(&packets, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &one)?;
    ioctl::bind_to_device(packets.as_fd(), nix::net::if_::if_nametoindex(FAR)?)?;
    Ok(packets)
}

impl Wire for Veth {
    /// Puts a frame on the wire. At a device that is down, or that has no carrier, it is lost, as it would be; so is one that is longer than
    /// the MTU of `eth0` and 18 bytes.
    ///
    /// # Errors
    /// When the packet socket refuses it otherwise: a runt of less than 14 bytes.
    fn inject(&self, frame: &[u8]) -> Result<(), RigError> {
        let put = || send(self.end.as_raw_fd(), frame, MsgFlags::empty());
        // The first may be what is left of a cable that was pulled and put back: an error of a socket is told once.
        let sent = put().or_else(|e| if e == Errno::ENETDOWN { put() } else { Err(e) });
        match sent {
            // ENOBUFS: the device at the other end did not take it.
            Ok(_) | Err(Errno::ENETDOWN | Errno::ENOBUFS) => Ok(()),
            Err(e) => Err(RigError::Broken(format!("a frame of {} bytes: the veth says {e:?}", frame.len()))),
        }
    }

    /// Pulls the cable, or puts it back: without its far end up, a veth has no carrier.
    ///
    /// # Errors
    /// When the far end is gone.
    fn set_carrier(&self, up: bool) -> Result<(), RigError> {
        ioctl::change(self.control.as_fd(), FAR, Change::Silent { up })
            .map_err(|e| RigError::Broken(format!("the far end of the veth: {e:?}")))
    }

    /// PACKET_STATISTICS: frames for which the receive buffer had no room.
    fn lost(&self) -> u64 {
        // `struct tpacket_stats`: packets, then drops.
        let mut bytes = [0; 8];
        match ioctl::get_option(&self.end, libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut bytes) {
            Ok(8) => u64::from(u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]])),
            _ => 0,
        }
    }

    fn stop(&mut self) -> bool {
        let stopped = self.reader.stop();
        self.silent.leave() && stopped
    }
}

/// A frame and when the kernel saw it. The far end going down (ENETDOWN) is told once, and is no end.
fn take(end: &OwnedFd, buffer: &mut [u8]) -> Result<(usize, Option<Instant>), Errno> {
    let mut space = nix::cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = match recvmsg::<()>(end.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_DONTWAIT) {
        Ok(message) => message,
        Err(Errno::ENETDOWN) => return Err(Errno::EINTR),
        Err(e) => return Err(e),
    };
    let stamp = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
        _ => None,
    });
    Ok((message.bytes, stamp.and_then(|stamp| instant_of(stamp, now))))
}

/// The moment of a time of CLOCK_REALTIME, by its distance from now. `None`: the clock was set meanwhile.
fn instant_of(stamp: Duration, now: fn() -> (Instant, Duration)) -> Option<Instant> {
    let (instant, time) = now();
    let ago = time.checked_sub(stamp).filter(|ago| *ago < OLDEST)?;
    instant.checked_sub(ago)
}

/// Both clocks at one moment. Between the two that are compared the thread may have to wait: then it looks again.
fn now() -> (Instant, Duration) {
    let mut best: Option<(Duration, Instant, Duration)> = None;
    for _ in 0..4 {
        let before = Instant::now();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let took = before.elapsed();
        if best.is_none_or(|(shortest, ..)| took < shortest) {
            best = Some((took, before + took / 2, time));
        }
        if took < Duration::from_micros(2) {
            break;
        }
    }
    best.map_or_else(|| (Instant::now(), Duration::ZERO), |(_, instant, time)| (instant, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_becomes_a_moment() {
        let (instant, time) = now();
        let moment = instant_of(time, now).expect("it is just over");
        let apart = moment.max(instant) - moment.min(instant);
        assert!(apart < Duration::from_millis(1), "{apart:?} apart");
        let earlier = instant_of(time - Duration::from_millis(300), now).expect("it is not long ago");
        let ago = instant.duration_since(earlier);
        assert!((299..=301).contains(&ago.as_millis()), "{ago:?}");
    }

    #[test]
    fn a_time_in_the_future_is_none() {
        let (_, time) = now();
        assert_eq!(instant_of(time + Duration::from_secs(60), now), None);
        assert_eq!(instant_of(time - Duration::from_secs(60), now), None);
    }
}
