//! Applications in this process: system calls of a case made on the stack's sockets, which never block. A call that would
//! block waits here, and is made again when the stack says that its socket has something to tell.

mod epoll;
mod tcp;

use crate::call::{CallId, CallResult, OptionValue, Returned, SocketKind, Syscall};
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use stack_under_test::errno::Errno;
use stack_under_test::socket::calls::Readiness;
use stack_under_test::socket::receive::ReceiveFlags;
use stack_under_test::socket::{Fd, SocketOption};
use stack_under_test::stack::Stack;
use stack_under_test::time::{Duration, Instant};
use stack_under_test::udp::output::SendFlags;
use tcp::Progress;

/// A call that blocks.
#[derive(Debug)]
struct Blocked {
    id: CallId,
    cpu: u8,
    call: Syscall,
    /// When it gives up: the time of `poll`, SO_RCVTIMEO, SO_SNDTIMEO; or `close` lingers no more.
    deadline: Option<Instant>,
    progress: Progress,
}

/// The applications of a trial.
#[derive(Debug, Default)]
pub struct Agent {
    sockets: BTreeMap<String, Application>,
    blocked: Vec<Blocked>,
    /// What sets of sockets call them.
    labels: Vec<String>,
    /// Somebody else makes the calls, and asks whom to wake.
    pub retired: bool,
}

#[derive(Clone, Copy, Debug)]
struct Application {
    fd: Fd,
    nonblocking: bool,
    is_tcp: bool,
    /// SO_RCVTIMEO.
    receive_timeout: Option<Duration>,
    /// SO_SNDTIMEO.
    send_timeout: Option<Duration>,
}

impl Application {
    fn new(fd: Fd, nonblocking: bool, is_tcp: bool) -> Self {
        Self { fd, nonblocking, is_tcp, receive_timeout: None, send_timeout: None }
    }
}

/// Why a call has no result yet, or which error it is.
enum Pending {
    /// It blocks.
    Blocks,
    Error(String),
}

impl From<Errno> for Pending {
    fn from(errno: Errno) -> Self {
        Self::Error(errno.name())
    }
}

/// Who has work done on a CPU of the machine.
pub trait Cpus {
    /// Has the CPU do the work, and comes back when it is done.
    fn on(&mut self, cpu: u8, work: &mut dyn FnMut());
}

/// All CPUs of the stack are whoever calls.
pub struct Here;

impl Cpus for Here {
    fn on(&mut self, _: u8, work: &mut dyn FnMut()) {
        work();
    }
}

type Attempt = Result<Returned, Pending>;

fn value(value: i64) -> Returned {
    Returned { value, ..Returned::default() }
}

impl Agent {
    /// Makes a call. `None`: it blocks.
    pub fn start(
        &mut self,
        stack: &mut Stack,
        now: Instant,
        (id, cpu): (CallId, u8),
        call: &Syscall,
    ) -> Option<CallResult> {
        let socket = socket_of(call).and_then(|name| self.sockets.get(name));
        let deadline = match call {
            Syscall::Poll { timeout_ms, .. } | Syscall::EpollWait { timeout_ms, .. } => {
                u64::try_from(*timeout_ms).ok().map(Duration::from_millis)
            }
            Syscall::Send { .. }
            | Syscall::Sendto { .. }
            | Syscall::Write { .. }
            | Syscall::Connect { .. } => socket.and_then(|socket| socket.send_timeout),
            Syscall::Close { socket } => {
                let socket = self.sockets.get(socket);
                socket.copied().filter(|socket| socket.is_tcp).and_then(|socket| tcp::lingers(stack, socket))
            }
            _ => socket.and_then(|socket| socket.receive_timeout),
        }
        .map(|timeout| now + timeout);
        let mut progress = Progress::of(id);
        stack.run_on(cpu);
        match self.attempt(stack, (now, cpu), call, deadline, &mut progress) {
            Ok(returned) => Some(Ok(returned)),
            Err(Pending::Error(name)) => Some(Err(name)),
            Err(Pending::Blocks) => {
                self.blocked.push(Blocked { id, cpu, call: call.clone(), deadline, progress });
                None
            }
        }
    }

    /// The descriptor of a socket.
    pub fn fd(&self, name: &str) -> Option<Fd> {
        self.sockets.get(name).map(|socket| socket.fd)
    }

    /// When a blocked call gives up waiting.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.blocked.iter().filter_map(|blocked| blocked.deadline).min()
    }

    /// Makes blocked calls again whose sockets have something to tell, or whose time is up; gives those that ended.
    pub fn progress(&mut self, stack: &mut Stack, now: Instant, woken: &[Fd]) -> Vec<(CallId, CallResult)> {
        self.progress_on(&mut Here, stack, now, woken)
    }

    /// [`Self::progress`] with each call made on its CPU.
    pub fn progress_on(
        &mut self,
        cpus: &mut dyn Cpus,
        stack: &mut Stack,
        now: Instant,
        woken: &[Fd],
    ) -> Vec<(CallId, CallResult)> {
        let mut waiters = stack.take_woken_waiters();
        let mut ended = self.go_on(cpus, stack, now, (woken, &waiters));
        // Who takes what is ready wakes the next, if there is more.
        loop {
            waiters = stack.take_woken_waiters();
            if waiters.is_empty() {
                return ended;
            }
            ended.extend(self.go_on(cpus, stack, now, (&[], &waiters)));
        }
    }

    fn go_on(
        &mut self,
        cpus: &mut dyn Cpus,
        stack: &mut Stack,
        now: Instant,
        (woken, waiters): (&[Fd], &[CallId]),
    ) -> Vec<(CallId, CallResult)> {
        let mut ended = Vec::new();
        if self.blocked.is_empty() {
            return ended;
        }
        for mut blocked in core::mem::take(&mut self.blocked) {
            let fd = socket_of(&blocked.call).and_then(|name| self.sockets.get(name)).map(|socket| socket.fd);
            let due = blocked.deadline.is_some_and(|deadline| deadline <= now);
            // A socket that was closed meanwhile wakes nobody; the call finds that out by itself.
            let waits = matches!(blocked.call, Syscall::EpollWait { .. }) && !waiters.contains(&blocked.id);
            if !due && (waits || fd.is_some_and(|fd| !woken.contains(&fd))) {
                self.blocked.push(blocked);
                continue;
            }
            let mut attempt = Err(Pending::Blocks);
            cpus.on(blocked.cpu, &mut || {
                let at = (now, blocked.cpu);
                stack.run_on(blocked.cpu);
                attempt = self.attempt(stack, at, &blocked.call, blocked.deadline, &mut blocked.progress);
            });
            match attempt {
                Ok(returned) => ended.push((blocked.id, Ok(returned))),
                Err(Pending::Error(name)) => ended.push((blocked.id, Err(name))),
                Err(Pending::Blocks) => self.blocked.push(blocked),
            }
        }
        ended
    }

    /// SO_RCVTIMEO and SO_SNDTIMEO; 0: no limit.
    fn set_timeout(&mut self, socket: &str, name: &str, time: Duration) -> Attempt {
        let socket = self.sockets.get_mut(socket).ok_or(Errno::EBADF)?;
        let timeout = (!time.is_zero()).then_some(time);
        match name {
            "SO_SNDTIMEO" => socket.send_timeout = timeout,
            _ => socket.receive_timeout = timeout,
        }
        Ok(value(0))
    }

    /// A socket, as a call finds it. One whose time is up waits no longer, and ends as one that never would.
    fn application(&self, name: &str, now: Instant, deadline: Option<Instant>) -> Result<Application, Errno> {
        let expired = deadline.is_some_and(|deadline| deadline <= now);
        let socket = self.sockets.get(name).copied().ok_or(Errno::EBADF)?;
        Ok(Application { nonblocking: socket.nonblocking || expired, ..socket })
    }

    fn attempt(
        &mut self,
        stack: &mut Stack,
        (now, cpu): (Instant, u8),
        call: &Syscall,
        deadline: Option<Instant>,
        progress: &mut Progress,
    ) -> Attempt {
        if let Some(attempt) = self.of_tcp(stack, (now, cpu), call, deadline, progress) {
            return attempt;
        }
        if let Some(attempt) = self.of_epoll(stack, now, call, deadline, progress) {
            return attempt;
        }
        let socket = |name: &String| self.application(name, now, deadline);
        match call {
            Syscall::Socket { name, kind, nonblocking } => {
                let is_tcp = *kind == SocketKind::Tcp;
                let fd = if is_tcp { stack.socket_tcp()? } else { stack.socket_udp()? };
                self.sockets.insert(name.clone(), Application::new(fd, *nonblocking, is_tcp));
                Ok(value(i64::from(fd.0)))
            }
            Syscall::Bind { socket: s, to } => Ok(stack.bind(socket(s)?.fd, *to).map(|()| value(0))?),
            Syscall::Connect { socket: s, to } => {
                Ok(stack.connect(now, socket(s)?.fd, *to).map(|()| value(0))?)
            }
            Syscall::Disconnect { socket: s } => Ok(stack.disconnect(socket(s)?.fd).map(|()| value(0))?),
            Syscall::Send { socket: s, payload, flags } => {
                send(stack, (now, cpu), socket(s)?, (&payload.0, None), flags)
            }
            Syscall::Write { socket: s, payload } => {
                send(stack, (now, cpu), socket(s)?, (&payload.0, None), &[])
            }
            Syscall::Sendto { socket: s, to, payload, flags } => {
                send(stack, (now, cpu), socket(s)?, (&payload.0, Some(*to)), flags)
            }
            Syscall::Recvfrom { socket: s, length, flags } => receive(stack, now, socket(s)?, *length, flags),
            // These do not ask who sent it.
            Syscall::Recv { socket: s, length, flags } => receive(stack, now, socket(s)?, *length, flags)
                .map(|returned| Returned { address: None, ..returned }),
            // `sock_read_iter`: nothing is asked for.
            Syscall::Read { length: 0, .. } => Ok(Returned { payload: Some(Vec::new()), ..value(0) }),
            Syscall::Read { socket: s, length } => receive(stack, now, socket(s)?, *length, &[])
                .map(|returned| Returned { address: None, ..returned }),
            Syscall::Poll { socket: s, events, .. } => poll(stack, now, socket(s)?, events, deadline),
            Syscall::Shutdown { socket: s, how } => {
                let (read, write) = match how.as_str() {
                    "SHUT_RD" => (true, false),
                    "SHUT_WR" => (false, true),
                    "SHUT_RDWR" => (true, true),
                    _ => return Err(Errno::EINVAL.into()),
                };
                Ok(stack.shutdown(socket(s)?.fd, read, write).map(|()| value(0))?)
            }
            Syscall::Close { socket: s } => {
                let fd = socket(s)?.fd;
                self.sockets.remove(s);
                Ok(stack.close(fd).map(|()| value(0))?)
            }
            Syscall::Setsockopt { socket: s, name, value: OptionValue::Time(time), .. } => {
                self.set_timeout(s, name, *time)
            }
            Syscall::Setsockopt { socket: s, level, name, value } => {
                set_option(stack, (now, cpu), socket(s)?.fd, (level, name), value)
            }
            Syscall::Getsockopt { socket: s, level, name } => {
                let option = SocketOption::parse(level, name).ok_or(Errno::ENOPROTOOPT)?;
                let number = stack.getsockopt(socket(s)?.fd, option)?;
                Ok(Returned { option: Some(i64::from(number)), ..Returned::default() })
            }
            Syscall::Getsockname { socket: s } => address(stack.getsockname(socket(s)?.fd)),
            Syscall::Getpeername { socket: s } => address(stack.getpeername(socket(s)?.fd)),
            // Those of epoll(7) are made above.
            Syscall::Listen { .. }
            | Syscall::Accept { .. }
            | Syscall::EpollCreate { .. }
            | Syscall::EpollCtl { .. }
            | Syscall::EpollWait { .. } => Err(Errno::EOPNOTSUPP.into()),
        }
    }
}

/// What getsockname and getpeername give.
fn address(address: Result<core::net::SocketAddrV4, Errno>) -> Attempt {
    Ok(Returned { address: Some(address?), ..Returned::default() })
}

/// The socket that a call is about; a call that made one never blocks.
fn socket_of(call: &Syscall) -> Option<&String> {
    match call {
        Syscall::Send { socket, .. }
        | Syscall::Sendto { socket, .. }
        | Syscall::Recv { socket, .. }
        | Syscall::Recvfrom { socket, .. }
        | Syscall::Read { socket, .. }
        | Syscall::Write { socket, .. }
        | Syscall::Connect { socket, .. }
        | Syscall::Accept { socket, .. }
        | Syscall::Poll { socket, .. } => Some(socket),
        _ => None,
    }
}

/// EAGAIN blocks, unless the application wants to be told.
fn or_block<T>(result: Result<T, Errno>, nonblocking: bool) -> Result<T, Pending> {
    match result {
        Err(Errno::EAGAIN) if !nonblocking => Err(Pending::Blocks),
        result => Ok(result?),
    }
}

fn has(flags: &[String], name: &str) -> bool {
    flags.iter().any(|flag| flag == name)
}

fn send(
    stack: &mut Stack,
    (now, cpu): (Instant, u8),
    socket: Application,
    (payload, to): (&[u8], Option<core::net::SocketAddrV4>),
    flags: &[String],
) -> Attempt {
    let known = SendFlags {
        confirm: has(flags, "MSG_CONFIRM"),
        dontroute: has(flags, "MSG_DONTROUTE"),
        dontwait: socket.nonblocking || has(flags, "MSG_DONTWAIT"),
        more: has(flags, "MSG_MORE"),
    };
    let sent = stack.sendto(now, cpu, socket.fd, payload, to, known);
    let sent = or_block(sent, known.dontwait)?;
    Ok(value(sent as i64))
}

fn receive(stack: &mut Stack, now: Instant, socket: Application, length: u32, flags: &[String]) -> Attempt {
    /// No datagram is longer.
    const LONGEST: usize = 65_536;
    let known = ReceiveFlags {
        peek: has(flags, "MSG_PEEK"),
        trunc: has(flags, "MSG_TRUNC"),
        errqueue: has(flags, "MSG_ERRQUEUE"),
    };
    let mut buffer = vec![0; (length as usize).min(LONGEST)];
    let received = stack.recvfrom(now, socket.fd, &mut buffer, known);
    // The error queue never blocks (recv(2)).
    let received = or_block(received, socket.nonblocking || known.errqueue || has(flags, "MSG_DONTWAIT"))?;
    buffer.truncate(received.copied);
    Ok(Returned {
        value: received.value as i64,
        payload: Some(buffer),
        address: Some(received.from),
        ..Returned::default()
    })
}

fn poll(
    stack: &mut Stack,
    now: Instant,
    socket: Application,
    wanted: &[String],
    deadline: Option<Instant>,
) -> Attempt {
    let ready = stack.readiness(socket.fd)?;
    let Readiness { readable, writable, error, hangup, read_hangup, urgent } = ready;
    // POLLERR and POLLHUP are reported without being asked for (poll(2)).
    let all = [
        ("POLLIN", readable, has(wanted, "POLLIN")),
        ("POLLPRI", urgent, has(wanted, "POLLPRI")),
        ("POLLOUT", writable, has(wanted, "POLLOUT")),
        ("POLLERR", error, true),
        ("POLLHUP", hangup, true),
        ("POLLRDHUP", read_hangup, has(wanted, "POLLRDHUP")),
    ];
    let events: Vec<_> =
        all.iter().filter(|(_, is, asked)| *is && *asked).map(|(name, ..)| (*name).to_owned()).collect();
    if events.is_empty() && deadline.is_none_or(|deadline| now < deadline) {
        return Err(Pending::Blocks);
    }
    Ok(Returned { value: i64::from(!events.is_empty()), events, ..Returned::default() })
}

fn set_option(
    stack: &mut Stack,
    (now, cpu): (Instant, u8),
    fd: Fd,
    (level, name): (&str, &str),
    option: &OptionValue,
) -> Attempt {
    let number = match option {
        OptionValue::Number(number) => i32::try_from(*number).map_err(|_| Errno::EINVAL)?,
        OptionValue::Symbol(symbol) => symbol_value(symbol).ok_or(Errno::EINVAL)?,
        OptionValue::Text(device) if name == "SO_BINDTODEVICE" => {
            return Ok(stack.bind_to_device(fd, device).map(|()| value(0))?);
        }
        OptionValue::Text(_) | OptionValue::Time(_) => return Err(Errno::EINVAL.into()),
    };
    let option = SocketOption::parse(level, name).ok_or(Errno::ENOPROTOOPT)?;
    Ok(stack.setsockopt_at(now, cpu, fd, option, number).map(|()| value(0))?)
}

/// The numbers behind symbols, by ip(7).
fn symbol_value(symbol: &str) -> Option<i32> {
    Some(match symbol {
        "IP_PMTUDISC_DONT" => 0,
        "IP_PMTUDISC_WANT" => 1,
        "IP_PMTUDISC_DO" => 2,
        "IP_PMTUDISC_PROBE" => 3,
        "IP_PMTUDISC_INTERFACE" => 4,
        "IP_PMTUDISC_OMIT" => 5,
        "IPTOS_LOWDELAY" => 0x10,
        "IPTOS_THROUGHPUT" => 0x08,
        "IPTOS_RELIABILITY" => 0x04,
        "IPTOS_MINCOST" => 0x02,
        _ => return None,
    })
}
