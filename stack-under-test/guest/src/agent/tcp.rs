//! Calls on TCP sockets. The stack's never block: what waits is tried again here, and remembers how far it came.

use super::{Agent, Application, Attempt, Pending, has, or_block, value};
use crate::call::{CallId, OptionValue, Returned, Syscall};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddrV4;
use stack_under_test::errno::Errno;
use stack_under_test::socket::{Fd, SocketOption};
use stack_under_test::stack::Stack;
use stack_under_test::tcp::recvmsg::TcpRecvFlags;
use stack_under_test::tcp::sendmsg::TcpSendFlags;
use stack_under_test::time::{Duration, Instant};

/// How far a call came that had to wait.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes that `send` has handed over.
    sent: usize,
    /// Bytes that `recv` has with MSG_WAITALL.
    received: Vec<u8>,
    /// `connect` has sent its SYN.
    connecting: bool,
    /// The socket that `close` lingers for.
    closing: Option<Fd>,
    /// The set that `epoll_wait` waits for.
    pub(super) epoll: Option<Fd>,
    /// What the stack calls who waits for it.
    pub(super) waiter: CallId,
}

impl Progress {
    /// A call that begins.
    pub(super) fn of(call: CallId) -> Self {
        Self { waiter: call, ..Self::default() }
    }
}

/// The longest read of one call.
const LONGEST: usize = 16 << 20;

/// `connect`: the first call sends a SYN; one that is woken asks what became of it.
fn connect(
    stack: &mut Stack,
    (now, cpu): (Instant, u8),
    socket: Application,
    to: SocketAddrV4,
    progress: &mut Progress,
) -> Attempt {
    let result = if progress.connecting {
        stack.tcp_connect_waits(now, cpu, socket.fd)
    } else {
        stack.tcp_connect(now, cpu, socket.fd, to)
    };
    match result {
        Err(Errno::EINPROGRESS) if !socket.nonblocking => {
            progress.connecting = true;
            Err(Pending::Blocks)
        }
        // SO_SNDTIMEO is over: it goes on without the caller.
        Err(Errno::EALREADY) if progress.connecting && socket.nonblocking => Err(Errno::EINPROGRESS.into()),
        Err(Errno::EALREADY) if progress.connecting => Err(Pending::Blocks),
        result => Ok(result.map(|()| value(0))?),
    }
}

/// `send`: all of it, or what fits when it must not wait.
fn send(
    stack: &mut Stack,
    (now, cpu): (Instant, u8),
    socket: Application,
    bytes: &[u8],
    flags: &[String],
    progress: &mut Progress,
) -> Attempt {
    let mut known = TcpSendFlags {
        more: has(flags, "MSG_MORE"),
        eor: has(flags, "MSG_EOR"),
        oob: has(flags, "MSG_OOB"),
        partial: false,
    };
    let dontwait = socket.nonblocking || has(flags, "MSG_DONTWAIT");
    if dontwait && progress.sent > 0 {
        // It waited until SO_SNDTIMEO was over, and does not look again (`sk_stream_wait_memory`).
        return Ok(value(i64::try_from(progress.sent).unwrap_or(i64::MAX)));
    }
    loop {
        let rest = bytes.get(progress.sent..).unwrap_or_default();
        known.partial = progress.sent > 0;
        let count = |sent: usize| Ok(value(i64::try_from(sent).unwrap_or(i64::MAX)));
        match stack.tcp_send(now, cpu, socket.fd, rest, known) {
            Ok(0) if !rest.is_empty() => {
                return if dontwait { count(progress.sent) } else { Err(Pending::Blocks) };
            }
            Ok(taken) => {
                progress.sent += taken;
                // A call that must not wait takes what there is room for once.
                if progress.sent >= bytes.len() || dontwait {
                    return count(progress.sent);
                }
            }
            Err(Errno::EAGAIN) if !dontwait => return Err(Pending::Blocks),
            // What was taken before counts; the error is told by the next call.
            Err(_) if progress.sent > 0 => return count(progress.sent),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// `recv`: what is there, or with MSG_WAITALL as much as was asked for.
fn receive(
    stack: &mut Stack,
    now: Instant,
    socket: Application,
    length: u32,
    flags: &[String],
    progress: &mut Progress,
) -> Attempt {
    if has(flags, "MSG_ERRQUEUE") {
        // Errors of a stream are told by its calls; its queue has none, and never waits.
        return Err(Errno::EAGAIN.into());
    }
    let known = TcpRecvFlags {
        peek: has(flags, "MSG_PEEK"),
        trunc: has(flags, "MSG_TRUNC"),
        oob: has(flags, "MSG_OOB"),
        partial: !progress.received.is_empty(),
    };
    let length = (length as usize).min(LONGEST);
    let lowat = stack.getsockopt(socket.fd, SocketOption::SoRcvlowat).unwrap_or(1);
    let all = has(flags, "MSG_WAITALL");
    let enough = if all { length } else { length.min(usize::try_from(lowat).unwrap_or(1)) };
    let mut buffer = vec![0; length - progress.received.len().min(length)];
    let received = stack.tcp_recv(now, socket.fd, &mut buffer, known);
    let had = known.partial;
    let came = match received {
        Err(Errno::EAGAIN) if had && (socket.nonblocking || has(flags, "MSG_DONTWAIT")) => 0,
        Err(errno) if had && errno != Errno::EAGAIN => 0,
        // MSG_OOB never waits.
        Err(errno) if known.oob => return Err(errno.into()),
        received => or_block(received, socket.nonblocking || has(flags, "MSG_DONTWAIT"))?,
    };
    let taken = if known.trunc { 0 } else { came };
    progress.received.extend_from_slice(buffer.get(..taken).unwrap_or_default());
    if !known.peek && !known.trunc && came > 0 && progress.received.len() < enough {
        return receive(stack, now, socket, u32::try_from(length).unwrap_or(u32::MAX), flags, progress);
    }
    let waits = !socket.nonblocking && !has(flags, "MSG_DONTWAIT");
    if known.peek && waits && came > 0 && came < enough && !will_end(stack, socket.fd) {
        // What was seen lies there still, and is seen again.
        progress.received.clear();
        return Err(Pending::Blocks);
    }
    let bytes = core::mem::take(&mut progress.received);
    let count = if known.trunc { came } else { bytes.len() };
    Ok(Returned { payload: Some(bytes), ..value(i64::try_from(count).unwrap_or(i64::MAX)) })
}

/// Whether nothing more will come.
fn will_end(stack: &mut Stack, fd: Fd) -> bool {
    stack.readiness(fd).is_ok_and(|ready| ready.read_hangup || ready.hangup || ready.error)
}

/// How long `close` may linger.
pub(super) fn lingers(stack: &mut Stack, socket: Application) -> Option<Duration> {
    let seconds = stack.linger(socket.fd).ok().flatten().filter(|seconds| *seconds > 0);
    seconds.filter(|_| !socket.nonblocking).map(|seconds| Duration::from_millis(u64::from(seconds) * 1000))
}

/// `close`; until `deadline` it waits for what is still to be acknowledged.
fn close(
    stack: &mut Stack,
    (now, cpu): (Instant, u8),
    socket: Application,
    deadline: Option<Instant>,
    progress: &mut Progress,
) -> Attempt {
    stack.tcp_close(now, cpu, socket.fd)?;
    progress.closing = deadline.map(|_| socket.fd);
    linger(stack, now, deadline, progress).unwrap_or_else(|| Ok(value(0)))
}

/// Whether a `close` that has begun still lingers; `None`: it has not begun.
fn linger(stack: &Stack, now: Instant, deadline: Option<Instant>, progress: &Progress) -> Option<Attempt> {
    let fd = progress.closing?;
    let over = stack.is_tcp_over(fd) || deadline.is_none_or(|deadline| deadline <= now);
    Some(if over { Ok(value(0)) } else { Err(Pending::Blocks) })
}

/// SO_LINGER and TCP_CONGESTION have calls of their own; numbers are set at a time, for some of them send something.
fn set_option(
    stack: &mut Stack,
    (now, cpu): (Instant, u8),
    fd: Fd,
    (level, name): (&str, &str),
    option: &OptionValue,
) -> Attempt {
    let result = match (name, option) {
        ("SO_LINGER", OptionValue::Number(seconds)) => stack.set_linger(fd, u32::try_from(*seconds).ok()),
        ("TCP_CONGESTION", OptionValue::Text(name) | OptionValue::Symbol(name)) => {
            stack.set_congestion(fd, name)
        }
        (_, OptionValue::Number(number)) => {
            let option = SocketOption::parse(level, name).ok_or(Errno::ENOPROTOOPT)?;
            let number = i32::try_from(*number).map_err(|_| Errno::EINVAL)?;
            stack.setsockopt_at(now, cpu, fd, option, number)
        }
        _ => return super::set_option(stack, (now, cpu), fd, (level, name), option),
    };
    Ok(result.map(|()| value(0))?)
}

impl Agent {
    /// A call on a TCP socket. `None`: it is on another, or the same for all sockets.
    pub(super) fn of_tcp(
        &mut self,
        stack: &mut Stack,
        at: (Instant, u8),
        call: &Syscall,
        deadline: Option<Instant>,
        progress: &mut Progress,
    ) -> Option<Attempt> {
        if let Some(lingers) = linger(stack, at.0, deadline, progress) {
            return Some(lingers);
        }
        let name = named(call)?;
        let socket = self.application(name, at.0, deadline).ok().filter(|socket| socket.is_tcp)?;
        Some(match call {
            Syscall::Connect { to, .. } => connect(stack, at, socket, *to, progress),
            Syscall::Listen { backlog, .. } => {
                stack.listen(socket.fd, *backlog).map(|()| value(0)).map_err(Pending::from)
            }
            Syscall::Accept { name, .. } => self.accept(stack, at.0, socket, name),
            Syscall::Send { payload, flags, .. } | Syscall::Sendto { payload, flags, .. } => {
                send(stack, at, socket, &payload.0, flags, progress)
            }
            Syscall::Write { payload, .. } => send(stack, at, socket, &payload.0, &[], progress),
            Syscall::Recv { length, flags, .. } | Syscall::Recvfrom { length, flags, .. } => {
                receive(stack, at.0, socket, *length, flags, progress)
            }
            // `sock_read_iter`: nothing is asked for.
            Syscall::Read { length: 0, .. } => Ok(Returned { payload: Some(Vec::new()), ..value(0) }),
            Syscall::Read { length, .. } => receive(stack, at.0, socket, *length, &[], progress),
            Syscall::Shutdown { how, .. } => {
                let (read, write) = (how != "SHUT_WR", how != "SHUT_RD");
                let result = stack.tcp_shutdown(at.0, at.1, socket.fd, read, write);
                result.map(|()| value(0)).map_err(Pending::from)
            }
            Syscall::Close { .. } => {
                self.sockets.remove(name);
                close(stack, at, socket, deadline, progress)
            }
            Syscall::Setsockopt { value: OptionValue::Time(_), .. } => return None,
            Syscall::Setsockopt { level, name, value, .. } => {
                set_option(stack, at, socket.fd, (level, name), value)
            }
            Syscall::Getsockopt { name, .. } if name == "SO_LINGER" => {
                let option = stack.linger(socket.fd).map(|seconds| Some(seconds.map_or(-1, i64::from)));
                option.map(|option| Returned { option, ..Returned::default() }).map_err(Pending::from)
            }
            Syscall::Getsockopt { name, .. } if name == "TCP_CONGESTION" => {
                let text = stack.congestion(socket.fd).map(|name| Some(name.to_owned()));
                text.map(|text| Returned { text, ..Returned::default() }).map_err(Pending::from)
            }
            _ => return None,
        })
    }

    fn accept(&mut self, stack: &mut Stack, now: Instant, listener: Application, name: &str) -> Attempt {
        let (fd, peer) = or_block(stack.accept(now, listener.fd), listener.nonblocking)?;
        self.sockets.insert(name.to_owned(), Application::new(fd, false, true));
        Ok(Returned { address: Some(peer), ..value(i64::from(fd.0)) })
    }
}

/// The socket that a call is about.
fn named(call: &Syscall) -> Option<&String> {
    match call {
        Syscall::Socket { .. }
        | Syscall::EpollCreate { .. }
        | Syscall::EpollCtl { .. }
        | Syscall::EpollWait { .. } => None,
        Syscall::Bind { socket, .. }
        | Syscall::Connect { socket, .. }
        | Syscall::Disconnect { socket }
        | Syscall::Listen { socket, .. }
        | Syscall::Accept { socket, .. }
        | Syscall::Send { socket, .. }
        | Syscall::Sendto { socket, .. }
        | Syscall::Recv { socket, .. }
        | Syscall::Recvfrom { socket, .. }
        | Syscall::Read { socket, .. }
        | Syscall::Write { socket, .. }
        | Syscall::Poll { socket, .. }
        | Syscall::Shutdown { socket, .. }
        | Syscall::Close { socket }
        | Syscall::Setsockopt { socket, .. }
        | Syscall::Getsockopt { socket, .. }
        | Syscall::Getsockname { socket }
        | Syscall::Getpeername { socket } => Some(socket),
    }
}
