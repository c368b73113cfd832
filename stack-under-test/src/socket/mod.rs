//! Sockets: what an application holds, and the table that finds one by descriptor or by port.

pub mod calls;
pub mod epoll;
pub mod option;
pub mod port;
pub mod receive;

pub use option::SocketOption;

use crate::errno::Errno;
use crate::route::RouteResult;
use crate::skb::SkbQueue;
use crate::udp::cached::CachedFlow;
use crate::udp::cork::Cork;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

/// A file descriptor of the stack; the numbers begin at 3, as a process's own do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fd(pub u32);

const FIRST_FD: u32 = 3;
/// Sockets that there can be at once.
pub const SOCKETS_MAX: usize = 65_536;
/// Errors that wait in a socket's error queue before further ones are dropped.
pub const ERROR_QUEUE_MAX: usize = 256;

/// `IP_MTU_DISCOVER`: what a socket does about DF and packets larger than the path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PmtuDisc {
    /// Never DF; large packets are fragmented.
    Dont = 0,
    /// DF on what fits; what does not fit is fragmented.
    Want = 1,
    /// Always DF; what does not fit is refused with EMSGSIZE.
    Do = 2,
    /// Always DF, and the path's MTU is ignored.
    Probe = 3,
    /// The device's MTU, never DF, refused when larger.
    Interface = 4,
    /// As `Interface`, but fragmented when larger.
    Omit = 5,
}

impl PmtuDisc {
    /// The one that ip(7) gives this number.
    pub(crate) fn numbered(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::Dont,
            1 => Self::Want,
            2 => Self::Do,
            3 => Self::Probe,
            4 => Self::Interface,
            5 => Self::Omit,
            _ => return None,
        })
    }
}

/// One entry of the error queue (`struct sock_extended_err`).
#[derive(Clone, Debug)]
pub struct QueuedError {
    /// `ee_errno`.
    pub errno: Errno,
    /// `ee_origin`: 1 local, 2 ICMP.
    pub origin: u8,
    /// `ee_type`, the ICMP type.
    pub icmp_type: u8,
    /// `ee_code`, the ICMP code.
    pub icmp_code: u8,
    /// `ee_info`, the MTU where there is one.
    pub info: u32,
    /// Where the datagram was to go.
    pub to: SocketAddrV4,
    /// What of the datagram the error brought back.
    pub payload: Vec<u8>,
}

/// What an application holds: `struct udp_sock` with what it is made of. Of a TCP socket, only the options are used here:
/// the rest is in [`crate::tcp`], by the slot.
#[derive(Debug)]
pub struct Socket {
    /// The address that it is bound to; unspecified: any.
    pub(crate) saddr: Ipv4Addr,
    /// The port that it is bound to; 0: none yet.
    pub(crate) sport: u16,
    /// Whether the port was asked for, and so survives a disconnect.
    pub(crate) port_locked: bool,
    /// Whether the address was asked for.
    pub(crate) addr_locked: bool,
    /// The peer, once connected.
    pub(crate) peer: Option<SocketAddrV4>,
    /// The way to the peer, valid while nothing in the routing changed.
    pub(crate) cached_route: Option<(u64, RouteResult)>,
    /// What datagrams to the last destination have in common; forgotten when an option or an address changes.
    pub(crate) cached_flow: CachedFlow,
    /// Received datagrams, from the IP header on.
    pub(crate) receive_queue: SkbQueue,
    /// `sk_err`: given once, by whichever call comes first.
    pub(crate) err: Option<Errno>,
    /// The error queue, with IP_RECVERR.
    pub(crate) error_queue: VecDeque<QueuedError>,
    /// The next identification of a connected socket.
    pub(crate) inet_id: u16,
    pub(crate) options: Options,
    pub(crate) shutdown_read: bool,
    pub(crate) shutdown_write: bool,
    /// The address that it is bound to is that of many hosts, and not what it sends from.
    pub(crate) bound_to_many: bool,
    /// A datagram that waits for more.
    pub(crate) pending: Option<Box<Cork>>,
    /// SOCK_NOSPACE: a send found no room; a datagram socket keeps it.
    pub(crate) nospace: bool,
}

/// What `setsockopt` can set.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) tos: u8,
    pub(crate) ttl: Option<u8>,
    pub(crate) multicast_ttl: u8,
    pub(crate) pmtudisc: PmtuDisc,
    pub(crate) recverr: bool,
    pub(crate) sndbuf: u32,
    pub(crate) rcvbuf: u32,
    pub(crate) priority: u32,
    pub(crate) mark: u32,
    pub(crate) broadcast: bool,
    pub(crate) reuseaddr: bool,
    pub(crate) reuseport: bool,
    pub(crate) no_check: bool,
    /// SO_DONTROUTE: only to hosts on the link.
    pub(crate) dontroute: bool,
    /// IP_FREEBIND: `bind` takes any address.
    pub(crate) freebind: bool,
    /// IP_BIND_ADDRESS_NO_PORT: `bind` to port 0 leaves the choice to `connect`.
    pub(crate) bind_address_no_port: bool,
    /// UDP_CORK: what is sent waits for more.
    pub(crate) udp_cork: bool,
    /// UDP_SEGMENT: the payload of a datagram, or 0.
    pub(crate) gso_size: u16,
    pub(crate) bound_dev: u32,
}

impl Socket {
    /// One that is bound to nothing.
    pub(crate) fn new(options: Options, inet_id: u16) -> Self {
        Self {
            saddr: Ipv4Addr::UNSPECIFIED,
            sport: 0,
            port_locked: false,
            addr_locked: false,
            peer: None,
            cached_route: None,
            cached_flow: CachedFlow::NONE,
            receive_queue: SkbQueue::default(),
            err: None,
            error_queue: VecDeque::new(),
            inet_id,
            options,
            shutdown_read: false,
            shutdown_write: false,
            bound_to_many: false,
            pending: None,
            nospace: false,
        }
    }

    /// The bytes of truesize that may be on their way out before a sender has to wait.
    #[inline]
    pub(crate) fn sndbuf(&self) -> u32 {
        self.options.sndbuf
    }

    /// `sock_writeable`: whether there is so much room that it is worth waking a writer. Linux counts one byte for the
    /// socket itself.
    #[inline]
    pub(crate) fn is_writeable(&self, wmem: u32) -> bool {
        wmem.saturating_add(1) < self.sndbuf() / 2
    }

    /// `ip_sk_ignore_df`: larger packets are fragmented though DF might be wanted.
    #[inline]
    pub(crate) fn ignores_df(&self) -> bool {
        self.options.pmtudisc < PmtuDisc::Do || self.options.pmtudisc == PmtuDisc::Omit
    }
}

/// All sockets.
#[derive(Debug, Default)]
pub struct SocketTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Bound sockets by port, each list in the order of binding.
    ports: alloc::collections::BTreeMap<u16, Vec<u32>>,
    /// Sockets whose waiters are to be woken; each once.
    woken: Vec<Fd>,
    /// Callers of `epoll_wait` that are to call again.
    woken_waiters: Vec<u32>,
    /// Sockets of streams that were closed: the next ones take their memory.
    #[expect(clippy::vec_box, reason = "the boxes themselves are what is used again")]
    spare: Vec<Box<Socket>>,
}

/// How many of those are kept.
const SPARE_MAX: usize = 64;

#[derive(Debug, Default)]
struct Slot {
    socket: Option<Box<Socket>>,
    /// Closed, but some of its packets are still on their way out.
    lingering: bool,
    /// In place of a socket, a set of them.
    epoll: Option<Box<epoll::EventPoll>>,
    /// The sets that the socket is in, in the order in which they are woken.
    watchers: Vec<epoll::Watcher>,
}

impl Slot {
    /// Nobody is here any more; what is large and was not in use is not touched.
    fn clear(&mut self) {
        self.socket = None;
        self.lingering = false;
        if self.epoll.is_some() {
            self.epoll = None;
        }
        if self.watchers.capacity() != 0 {
            self.watchers = Vec::new();
        }
    }
}

impl SocketTable {
    /// Puts a socket into a free slot. `None` when there are [`SOCKETS_MAX`].
    pub(crate) fn insert(&mut self, socket: Socket) -> Option<Fd> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < SOCKETS_MAX => {
                self.slots.push(Slot::default());
                (self.slots.len() - 1) as u32
            }
            None => return None,
        };
        self.slots[slot as usize] = Slot { socket: Some(Box::new(socket)), ..Slot::default() };
        Some(Fd(slot + FIRST_FD))
    }

    /// How many slots there are, used or not.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The slot of a descriptor.
    #[inline]
    pub(crate) fn slot(fd: Fd) -> u32 {
        fd.0.wrapping_sub(FIRST_FD)
    }

    /// The descriptor of a slot.
    pub(crate) fn fd(slot: u32) -> Fd {
        Fd(slot + FIRST_FD)
    }

    /// The socket of a descriptor.
    ///
    /// # Errors
    /// EBADF when there is none.
    #[inline]
    pub(crate) fn get(&self, fd: Fd) -> Result<&Socket, Errno> {
        self.slots.get(Self::slot(fd) as usize).and_then(|s| s.socket.as_deref()).ok_or(Errno::EBADF)
    }

    /// The socket of a descriptor, to be changed.
    ///
    /// # Errors
    /// EBADF when there is none.
    #[inline]
    pub(crate) fn get_mut(&mut self, fd: Fd) -> Result<&mut Socket, Errno> {
        self.slots.get_mut(Self::slot(fd) as usize).and_then(|s| s.socket.as_deref_mut()).ok_or(Errno::EBADF)
    }

    #[inline]
    pub(crate) fn at(&self, slot: u32) -> Option<&Socket> {
        self.slots.get(slot as usize).and_then(|s| s.socket.as_deref())
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut Socket> {
        self.slots.get_mut(slot as usize).and_then(|s| s.socket.as_deref_mut())
    }

    /// Takes a free slot, for a connection that no application holds yet. `None` when there are [`SOCKETS_MAX`].
    #[inline(always)]
    pub(crate) fn reserve(&mut self) -> Option<u32> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < SOCKETS_MAX => {
                self.slots.push(Slot::default());
                (self.slots.len() - 1) as u32
            }
            None => return None,
        };
        self.slots[slot as usize].clear();
        Some(slot)
    }

    /// An application holds the stream socket of a slot now.
    #[inline(always)]
    pub(crate) fn fill(&mut self, slot: u32, options: &Options, inet_id: u16) {
        let socket = match self.spare.pop() {
            Some(mut socket) => {
                (socket.options, socket.inet_id) = (options.clone(), inet_id);
                socket
            }
            None => Box::new(Socket::new(options.clone(), inet_id)),
        };
        self.slots[slot as usize].socket = Some(socket);
    }

    /// No application holds the socket any more; the slot stays taken until [`Self::release`].
    ///
    /// # Errors
    /// EBADF when there is none.
    pub(crate) fn vacate(&mut self, fd: Fd) -> Result<(), Errno> {
        let entry = self.slots.get_mut(Self::slot(fd) as usize).ok_or(Errno::EBADF)?;
        let socket = entry.socket.take().ok_or(Errno::EBADF)?;
        // Of a stream nothing but the options is used here, unless it was taken for a datagram socket.
        let clean = socket.sport == 0 && socket.pending.is_none() && socket.error_queue.is_empty();
        if clean && self.spare.len() < SPARE_MAX {
            self.spare.push(socket);
        }
        self.leave_epolls(Self::slot(fd));
        self.forget_woken(fd);
        Ok(())
    }

    /// A slot without a socket is free again.
    #[inline(always)]
    pub(crate) fn release(&mut self, slot: u32) {
        self.slots[slot as usize].clear();
        self.forget_woken(Self::fd(slot));
        self.free.push(slot);
    }

    /// Nobody waits for a socket any more.
    #[inline]
    fn forget_woken(&mut self, fd: Fd) {
        if !self.woken.is_empty() {
            self.woken.retain(|woken| *woken != fd);
        }
    }

    /// Takes a socket out of its slot. The slot is used again only when `busy` says that nothing is charged to it.
    pub(crate) fn remove(&mut self, fd: Fd, busy: bool) -> Result<Socket, Errno> {
        let slot = Self::slot(fd);
        let entry = self.slots.get_mut(slot as usize).ok_or(Errno::EBADF)?;
        let socket = entry.socket.take().ok_or(Errno::EBADF)?;
        entry.lingering = busy;
        if !busy {
            self.free.push(slot);
        }
        self.leave_epolls(slot);
        self.unbind(slot, socket.sport);
        self.forget_woken(fd);
        Ok(*socket)
    }

    /// Whether the slot belongs to a socket that was closed with packets on their way; if so, it is free now.
    pub(crate) fn release_lingering(&mut self, slot: u32) -> bool {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return false };
        let was = core::mem::take(&mut entry.lingering);
        if was {
            self.free.push(slot);
        }
        was
    }

    /// Takes the descriptors whose waiters are to be woken.
    pub(crate) fn take_woken(&mut self) -> Vec<Fd> {
        core::mem::take(&mut self.woken)
    }
}
