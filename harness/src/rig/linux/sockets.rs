//! The sockets of a trial by name, and the system calls on them.

use super::descriptors;
use super::epoll::{self, Labels};
use super::ioctl;
use super::options;
use crate::case::model::{Payload, SocketKind, Syscall};
use crate::rig::{CallResult, Returned};
use nix::errno::Errno;
use nix::libc;
use nix::sys::eventfd::EventFd;
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, Shutdown, SockFlag, SockType, SockaddrIn, bind, connect, getpeername,
    getsockname, getsockopt, listen, recvmsg, send, sendto, shutdown, socket, sockopt,
};
use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// All sockets of a trial. Several threads call on them at once; a call keeps its socket alive, as in the kernel, also when
/// another thread closes it meanwhile.
#[derive(Debug, Default)]
pub struct Sockets(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    named: BTreeMap<String, Arc<OwnedFd>>,
    /// Every socket that there was, to wake calls on those that have been closed.
    all: Vec<Weak<OwnedFd>>,
    /// What `epoll_wait` calls the sockets.
    labels: Labels,
    /// What ended the waits of epoll instances.
    enders: Vec<EventFd>,
}

impl Sockets {
    /// Makes a system call on the calling thread, and blocks as it does. Names must have been checked with [`check`].
    pub fn call(&self, syscall: &Syscall) -> CallResult {
        self.perform(syscall).map_err(|errno| format!("{errno:?}"))
    }

    /// A socket by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<OwnedFd>> {
        self.table().named.get(name).cloned()
    }

    /// Wakes every call that still blocks, and closes all sockets that no call uses.
    pub fn close_all(&self) {
        let mut table = self.table();
        let mut enders = Vec::new();
        for socket in table.all.iter().filter_map(Weak::upgrade) {
            // On a socket without a connection it says ENOTCONN, and yet wakes who waits (`inet_shutdown`).
            let _ = shutdown(socket.as_raw_fd(), Shutdown::Both);
            // What is in the set once lets every later wait return, too.
            if table.enders.is_empty() {
                enders.extend(epoll::end_waits(socket.as_raw_fd()));
            }
        }
        table.enders.extend(enders);
        table.named.clear();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A thread that panicked in between left a whole table behind: each change is one insertion.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, name: &str, socket: OwnedFd) -> i64 {
        let number = i64::from(socket.as_raw_fd());
        let socket = Arc::new(socket);
        let mut table = self.table();
        table.all.push(Arc::downgrade(&socket));
        table.named.insert(name.to_owned(), socket);
        number
    }

    pub(super) fn labels<T>(&self, f: impl FnOnce(&mut Labels) -> T) -> T {
        f(&mut self.table().labels)
    }

    fn find(&self, name: &str) -> Result<Arc<OwnedFd>, Errno> {
        self.get(name).ok_or(Errno::EBADF)
    }

    fn perform(&self, syscall: &Syscall) -> Result<Returned, Errno> {
        match syscall {
            Syscall::Socket { name, kind, nonblocking } => {
                open(*kind, *nonblocking).map(|fd| value(self.add(name, fd)))
            }
            Syscall::Bind { socket, to } => {
                bind(self.find(socket)?.as_raw_fd(), &SockaddrIn::from(*to)).map(done)
            }
            Syscall::Connect { socket, to } => {
                connect(self.find(socket)?.as_raw_fd(), &SockaddrIn::from(*to)).map(done)
            }
            Syscall::Disconnect { socket } => {
                connect(self.find(socket)?.as_raw_fd(), &unspecified()).map(done)
            }
            Syscall::Listen { socket, backlog } => {
                listen(&self.find(socket)?, Backlog::new(*backlog).unwrap_or(Backlog::MAXCONN)).map(done)
            }
            Syscall::Accept { socket, name } => {
                let accepted = ioctl::accept(&*self.find(socket)?)?;
                let address = getpeername::<SockaddrIn>(accepted.as_raw_fd()).ok().map(Into::into);
                Ok(Returned { address, ..value(self.add(name, accepted)) })
            }
            Syscall::Send { socket, payload, flags } => self.send(socket, None, payload, flags),
            Syscall::Sendto { socket, to, payload, flags } => self.send(socket, Some(*to), payload, flags),
            Syscall::Write { socket, payload } => {
                nix::unistd::write(&*self.find(socket)?, &payload.0).map(counted)
            }
            Syscall::Recv { socket, length, flags } => self.receive(socket, *length, flags, false),
            Syscall::Recvfrom { socket, length, flags } => self.receive(socket, *length, flags, true),
            Syscall::Read { socket, length } => self.read(socket, *length),
            Syscall::Poll { socket, events, timeout_ms } => self.poll(socket, events, *timeout_ms),
            Syscall::Shutdown { socket, how } => {
                shutdown(self.find(socket)?.as_raw_fd(), direction(how).ok_or(Errno::EINVAL)?).map(done)
            }
            Syscall::Close { socket } => self.close(socket),
            Syscall::Setsockopt { socket, level, name, value } => {
                let (level, number) = options::number(level, name).map_err(|_| Errno::ENOPROTOOPT)?;
                let bytes = options::encode(name, value).map_err(|_| Errno::EINVAL)?;
                ioctl::set_option(&*self.find(socket)?, level, number, &bytes).map(done)
            }
            Syscall::Getsockopt { socket, level, name } => self.get_option(socket, level, name),
            Syscall::Getsockname { socket } => {
                let address = getsockname::<SockaddrIn>(self.find(socket)?.as_raw_fd())?;
                Ok(Returned { address: Some(address.into()), ..Returned::default() })
            }
            Syscall::Getpeername { socket } => {
                let address = getpeername::<SockaddrIn>(self.find(socket)?.as_raw_fd())?;
                Ok(Returned { address: Some(address.into()), ..Returned::default() })
            }
            Syscall::EpollCreate { name } => epoll::create().map(|fd| value(self.add(name, fd))),
            Syscall::EpollCtl { epoll, op, socket, events } => self.epoll_ctl((epoll, socket), op, events),
            Syscall::EpollWait { epoll, maxevents, timeout_ms } => {
                self.epoll_wait(epoll, *maxevents, *timeout_ms)
            }
        }
    }

    fn send(
        &self,
        socket: &str,
        to: Option<SocketAddrV4>,
        payload: &Payload,
        flags: &[String],
    ) -> Result<Returned, Errno> {
        let socket = self.find(socket)?;
        let flags = options::message_flags(flags).map_err(|_| Errno::EINVAL)?;
        match to {
            Some(to) => sendto(socket.as_raw_fd(), &payload.0, &SockaddrIn::from(to), flags),
            None => send(socket.as_raw_fd(), &payload.0, flags),
        }
        .map(counted)
    }

    fn receive(
        &self,
        socket: &str,
        length: u32,
        flags: &[String],
        with_sender: bool,
    ) -> Result<Returned, Errno> {
        let socket = self.find(socket)?;
        let flags: MsgFlags = options::message_flags(flags).map_err(|_| Errno::EINVAL)?;
        let mut bytes = vec![0; length as usize];
        let (count, sender) = {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, None, flags)?;
            (message.bytes, message.address)
        };
        // With MSG_TRUNC the count is that of the datagram, which may be longer than the buffer.
        bytes.truncate(count);
        // A stream names nobody, and nix gives then what happens to lie in memory.
        let named = with_sender && getsockopt(&*socket, sockopt::SockType)? != SockType::Stream;
        let address = sender.filter(|_| named).map(SocketAddrV4::from);
        Ok(Returned { payload: Some(bytes), address, ..counted(count) })
    }

    fn read(&self, socket: &str, length: u32) -> Result<Returned, Errno> {
        let mut bytes = vec![0; length as usize];
        let count = nix::unistd::read(&*self.find(socket)?, &mut bytes)?;
        bytes.truncate(count);
        Ok(Returned { payload: Some(bytes), ..counted(count) })
    }

    fn poll(&self, socket: &str, events: &[String], timeout_ms: i32) -> Result<Returned, Errno> {
        let socket = self.find(socket)?;
        let wanted = options::poll_events(events).map_err(|_| Errno::EINVAL)?;
        let (count, reported) = ioctl::poll(socket.as_fd(), wanted, timeout_ms)?;
        let events = options::event_names(reported);
        Ok(Returned { events, ..value(i64::from(count)) })
    }

    fn close(&self, name: &str) -> Result<Returned, Errno> {
        let socket = self.table().named.remove(name).ok_or(Errno::EBADF)?;
        match Arc::try_unwrap(socket) {
            Ok(last) => descriptors::close(last).map(done),
            // A call of another thread still uses it; it goes when that returns, as in the kernel.
            Err(_) => Ok(Returned::default()),
        }
    }

    fn get_option(&self, socket: &str, level: &str, name: &str) -> Result<Returned, Errno> {
        let (level, number) = options::number(level, name).map_err(|_| Errno::ENOPROTOOPT)?;
        let mut bytes = [0; 64];
        let length = ioctl::get_option(&*self.find(socket)?, level, number, &mut bytes[..])?;
        let word = |at: usize| {
            i64::from(i32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]))
        };
        if options::is_text(name) {
            let text = bytes[..length].split(|byte| *byte == 0).next().unwrap_or_default();
            let text = Some(String::from_utf8_lossy(text).into_owned());
            return Ok(Returned { text, ..Returned::default() });
        }
        let option = match (name, length) {
            ("SO_LINGER", 8) => Some(if word(0) == 0 { -1 } else { word(4) }),
            (_, 4) => Some(word(0)),
            _ => None,
        };
        Ok(Returned { option, ..Returned::default() })
    }
}

/// Whether this rig can make the call: it knows every name in it.
///
/// # Errors
/// A sentence that names what it does not know.
pub fn check(syscall: &Syscall) -> Result<(), String> {
    match syscall {
        Syscall::Send { flags, .. }
        | Syscall::Sendto { flags, .. }
        | Syscall::Recv { flags, .. }
        | Syscall::Recvfrom { flags, .. } => options::message_flags(flags).map(drop),
        Syscall::Poll { events, .. } => options::poll_events(events).map(drop),
        Syscall::EpollCtl { events, .. } => epoll::events(events).map(drop),
        Syscall::Setsockopt { level, name, value, .. } => {
            options::number(level, name)?;
            options::encode(name, value).map(drop)
        }
        Syscall::Getsockopt { level, name, .. } => options::number(level, name).map(drop),
        Syscall::Shutdown { how, .. } => {
            direction(how).map(drop).ok_or_else(|| format!("`{how}` is no direction for shutdown"))
        }
        _ => Ok(()),
    }
}

fn open(kind: SocketKind, nonblocking: bool) -> Result<OwnedFd, Errno> {
    let kind = match kind {
        SocketKind::Udp => SockType::Datagram,
        SocketKind::Tcp => SockType::Stream,
    };
    let mut flags = SockFlag::SOCK_CLOEXEC;
    flags.set(SockFlag::SOCK_NONBLOCK, nonblocking);
    socket(AddressFamily::Inet, kind, flags, None)
}

/// The address that takes a socket's connection away: AF_UNSPEC.
fn unspecified() -> SockaddrIn {
    SockaddrIn::from(libc::sockaddr_in {
        sin_family: libc::AF_UNSPEC as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: 0 },
        sin_zero: [0; 8],
    })
}

fn direction(how: &str) -> Option<Shutdown> {
    match how {
        "SHUT_RD" => Some(Shutdown::Read),
        "SHUT_WR" => Some(Shutdown::Write),
        "SHUT_RDWR" => Some(Shutdown::Both),
        _ => None,
    }
}

fn value(value: i64) -> Returned {
    Returned { value, ..Returned::default() }
}

fn done((): ()) -> Returned {
    Returned::default()
}

fn counted(count: usize) -> Returned {
    value(i64::try_from(count).unwrap_or(i64::MAX))
}
