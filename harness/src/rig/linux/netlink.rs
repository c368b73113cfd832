//! The requests of rtnetlink that a veth takes: a pair of devices, and the qdisc of one.

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `VETH_INFO_PEER` of uapi `linux/veth.h`.
const VETH_INFO_PEER: u16 = 1;
/// `TC_H_ROOT` of uapi `linux/pkt_sched.h`.
const TC_H_ROOT: u32 = 0xffff_ffff;
/// The kernel answers at once, once it has the lock on all devices.
const ANSWER_BOUND: i64 = 5;

/// A request: `struct nlmsghdr`, a header of its kind, and attributes.
struct Request {
    bytes: Vec<u8>,
    /// Where attributes begin that hold others and are not at their end yet.
    open: Vec<usize>,
}

impl Request {
    fn new(kind: u16, flags: i32, header: &[u8]) -> Self {
        let flags = u16::try_from(flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK).unwrap_or(0);
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(header);
        Self { bytes, open: Vec::new() }
    }

    fn put(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    fn begin(mut self, kind: u16) -> Self {
        self.open.push(self.bytes.len());
        self.bytes.extend([0; 2]);
        self.put(&kind.to_ne_bytes())
    }

    fn end(mut self) -> Self {
        if let Some(from) = self.open.pop() {
            set_length(&mut self.bytes[from..]);
            self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        }
        self
    }

    fn attribute(self, kind: u16, value: &[u8]) -> Self {
        self.begin(kind).put(value).end()
    }

    fn text(self, kind: u16, value: &str) -> Self {
        self.begin(kind).put(value.as_bytes()).put(&[0]).end()
    }

    /// Sends it in the network namespace of the calling thread, and waits until it is done.
    fn ask(self) -> Result<(), Errno> {
        self.answer().map(drop)
    }

    /// Sends it in the network namespace of the calling thread, and waits for the first message of the answer.
    fn answer(mut self) -> Result<Vec<u8>, Errno> {
        let length = u32::try_from(self.bytes.len()).map_err(|_| Errno::EMSGSIZE)?;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        let route = SockProtocol::NetlinkRoute;
        let end = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, route)?;
        setsockopt(&end, sockopt::ReceiveTimeout, &TimeVal::new(ANSWER_BOUND, 0))?;
        send(end.as_raw_fd(), &self.bytes, MsgFlags::empty())?;
        let mut answer = [0; 1024];
        let length = recv(end.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        let answer = answer[..length].to_vec();
        // NLMSG_ERROR: behind its header the error as a negative number, or 0.
        match word(&answer, 16).map(u32::cast_signed) {
            None => Err(Errno::EBADMSG),
            Some(error) if is_error(&answer) && error != 0 => Err(Errno::from_raw(-error)),
            Some(_) => Ok(answer),
        }
    }
}

/// Four bytes of a message as a number.
fn word(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// Whether it is an error, or the acknowledgement that there is none.
fn is_error(message: &[u8]) -> bool {
    message
        .get(4..6)
        .is_some_and(|kind| i32::from(u16::from_ne_bytes([kind[0], kind[1]])) == libc::NLMSG_ERROR)
}

/// The length of an attribute is that of its bytes, without those that fill it up.
fn set_length(attribute: &mut [u8]) {
    let length = u16::try_from(attribute.len()).unwrap_or(u16::MAX);
    attribute[..2].copy_from_slice(&length.to_ne_bytes());
}

/// One end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct End<'n> {
    /// Its name.
    pub name: &'n str,
    /// Its MTU, in bytes.
    pub mtu: u32,
}

/// Makes a veth pair, both ends down: `near` in the network namespace of the calling thread, `far` in another. Each has one
/// queue pair.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN in both, EEXIST if there is such a device, EOPNOTSUPP if the kernel has no veth.
pub fn add_veth(near: End<'_>, far: End<'_>, namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    let header = [0; size_of::<libc::ifinfomsg>()];
    let one = 1_u32.to_ne_bytes();
    let end = |request: Request, end: End<'_>| {
        request
            .text(libc::IFLA_IFNAME, end.name)
            .attribute(libc::IFLA_MTU, &end.mtu.to_ne_bytes())
            .attribute(libc::IFLA_NUM_TX_QUEUES, &one)
            .attribute(libc::IFLA_NUM_RX_QUEUES, &one)
    };
    let request = Request::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &header);
    let request = end(request, near)
        .begin(libc::IFLA_LINKINFO)
        .text(libc::IFLA_INFO_KIND, "veth")
        .begin(libc::IFLA_INFO_DATA)
        .begin(VETH_INFO_PEER)
        .put(&header);
    end(request, far)
        .attribute(libc::IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes())
        .end()
        .end()
        .end()
        .ask()
}

/// `struct tcmsg` for the root of a device.
fn root_of(device: &str) -> Result<Vec<u8>, Errno> {
    let index = nix::net::if_::if_nametoindex(device)?;
    let numbers = [0, index, 0, TC_H_ROOT, 0];
    Ok(numbers.iter().flat_map(|number| number.to_ne_bytes()).collect())
}

/// Whether somebody has given a device a qdisc: a default one has the handle 0, and `noqueue` is not told of.
///
/// # Errors
/// ENODEV when there is no such device.
pub fn has_qdisc(device: &str) -> Result<bool, Errno> {
    let answer = Request::new(libc::RTM_GETQDISC, libc::NLM_F_ECHO, &root_of(device)?).answer()?;
    // Without NLM_F_ECHO the kernel sends an acknowledgement alone. `tcm_handle` of `struct tcmsg`, behind the header of the message.
    Ok(!is_error(&answer) && word(&answer, 24).is_some_and(|handle| handle != 0))
}

/// Gives a device pfifo_fast in place of its qdisc.
///
/// # Errors
/// ENODEV when there is no such device.
pub fn add_pfifo_fast(device: &str) -> Result<(), Errno> {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    Request::new(libc::RTM_NEWQDISC, flags, &root_of(device)?).text(libc::TCA_KIND, "pfifo_fast").ask()
}

/// Takes the qdisc of a device away; it has its default then.
///
/// # Errors
/// ENOENT when it has its default.
pub fn delete_qdisc(device: &str) -> Result<(), Errno> {
    Request::new(libc::RTM_DELQDISC, 0, &root_of(device)?).ask()
}
