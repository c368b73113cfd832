//! The requests of netlink: a veth's pair of devices, the qdisc of one, and whether rules of nftables have changed.

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// `VETH_INFO_PEER` of uapi `linux/veth.h`.
const VETH_INFO_PEER: u16 = 1;
/// `TC_H_ROOT` of uapi `linux/pkt_sched.h`.
const TC_H_ROOT: u32 = 0xffff_ffff;
/// `NFNL_SUBSYS_NFTABLES` of uapi `linux/netfilter/nfnetlink.h`, with `NFT_MSG_GETGEN` of `nf_tables.h`.
const GET_GENERATION: u16 = 10 << 8 | 16;
/// `NFTA_GEN_ID` of uapi `linux/netfilter/nf_tables.h`.
const NFTA_GEN_ID: u16 = 1;
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
    fn answer(self) -> Result<Vec<u8>, Errno> {
        self.answer_of(SockProtocol::NetlinkRoute)
    }

    /// As [`Self::answer`], of one part of the kernel.
    fn answer_of(self, part: SockProtocol) -> Result<Vec<u8>, Errno> {
        let end = self.send(part)?;
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

    /// Sends it with NLM_F_DUMP, and gives the messages of the answer, up to NLMSG_DONE.
    fn dump(self) -> Result<Vec<Vec<u8>>, Errno> {
        let end = self.send(SockProtocol::NetlinkRoute)?;
        // The kernel fills no more than this at a time.
        let mut part = vec![0; 32 << 10];
        let mut all = Vec::new();
        loop {
            let length = recv(end.as_raw_fd(), &mut part, MsgFlags::empty())?;
            let mut rest = &part[..length];
            while let Some(length) = word(rest, 0).map(|length| length as usize) {
                let message = rest.get(..length).filter(|m| m.len() >= 16).ok_or(Errno::EBADMSG)?;
                match kind(message) {
                    libc::NLMSG_DONE => return Ok(all),
                    libc::NLMSG_ERROR => return Err(Errno::EBADMSG),
                    _ => all.push(message.to_vec()),
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }

    fn send(mut self, part: SockProtocol) -> Result<OwnedFd, Errno> {
        let length = u32::try_from(self.bytes.len()).map_err(|_| Errno::EMSGSIZE)?;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        let end = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, part)?;
        setsockopt(&end, sockopt::ReceiveTimeout, &TimeVal::new(ANSWER_BOUND, 0))?;
        send(end.as_raw_fd(), &self.bytes, MsgFlags::empty())?;
        Ok(end)
    }
}

/// Four bytes of a message as a number.
fn word(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// Whether it is an error, or the acknowledgement that there is none.
fn is_error(message: &[u8]) -> bool {
    kind(message) == libc::NLMSG_ERROR
}

/// `nlmsg_type`; 0 of what is too short.
fn kind(message: &[u8]) -> i32 {
    message.get(4..6).map_or(0, |kind| i32::from(u16::from_ne_bytes([kind[0], kind[1]])))
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

/// All qdiscs of the network namespace of the calling thread: of each its device, handle and parent, its kind and its options. What
/// it counts and how many use it is left out.
///
/// # Errors
/// Those of a netlink socket.
pub fn qdiscs() -> Result<Vec<Vec<u8>>, Errno> {
    let header = [0; size_of::<u32>() * 5];
    let messages = Request::new(libc::RTM_GETQDISC, libc::NLM_F_DUMP, &header).dump()?;
    // `tcm_family` before them and `tcm_info` behind them mean nothing.
    Ok(messages.iter().map(|m| [m.get(20..32).unwrap_or_default(), &what_it_is(m)].concat()).collect())
}

/// The attributes of a qdisc that say what it is, out of a message.
fn what_it_is(message: &[u8]) -> Vec<u8> {
    let mut rest = message.get(36..).unwrap_or_default();
    let mut kept = Vec::new();
    while let Some(&[l0, l1, k0, k1]) = rest.first_chunk() {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let Some(attribute) = rest.get(..length).filter(|a| a.len() >= 4) else { break };
        if [libc::TCA_KIND, libc::TCA_OPTIONS].contains(&u16::from_ne_bytes([k0, k1])) {
            kept.extend(attribute);
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    kept
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

/// How often the rules of nftables were changed in the network namespace of the calling thread: another number, other rules.
///
/// # Errors
/// EINVAL when the kernel has no nftables, EPERM without CAP_NET_ADMIN there.
pub fn ruleset_generation() -> Result<u32, Errno> {
    // `struct nfgenmsg` of no family, version 0.
    let answer = Request::new(GET_GENERATION, 0, &[0; 4]).answer_of(SockProtocol::NetlinkNetFilter)?;
    // Behind both headers one attribute of four bytes stands first, in the order of the network.
    let header = word(&answer, 20).ok_or(Errno::EBADMSG)?;
    if is_error(&answer) || header.to_ne_bytes()[2..] != NFTA_GEN_ID.to_ne_bytes() {
        return Err(Errno::EBADMSG);
    }
    word(&answer, 24).map(u32::from_be).ok_or(Errno::EBADMSG)
}

#[cfg(test)]
mod tests {
    use super::what_it_is;

    fn attribute(kind: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = [&[4 + value.len() as u8, 0, kind, 0], value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn of_a_qdisc_its_kind_and_options_are_kept_and_what_it_counts_is_not() {
        let message = |counted: u8, limit: u8| {
            // TCA_KIND, TCA_STATS2, TCA_OPTIONS, TCA_STATS of uapi `linux/rtnetlink.h`, behind both headers.
            let attributes =
                [(1, &b"pfifo\0"[..]), (7, &[counted; 20]), (2, &[limit, 0, 0, 0]), (3, &[counted; 8])];
            attributes
                .iter()
                .fold(vec![0; 36], |message, (kind, value)| [message, attribute(*kind, value)].concat())
        };
        assert_eq!(what_it_is(&message(1, 9)), b"\x0a\0\x01\0pfifo\0\x08\0\x02\0\x09\0\0\0");
        assert_eq!(what_it_is(&message(1, 9)), what_it_is(&message(2, 9)));
        assert_ne!(what_it_is(&message(1, 9)), what_it_is(&message(1, 8)));
        // A length beyond the end is no attribute.
        assert_eq!(what_it_is(&[&[0; 36][..], &[9, 0, 1, 0]].concat()), b"");
    }
}
