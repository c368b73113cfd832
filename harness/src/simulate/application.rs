//! The applications: what they send, read and expect. One is only looked at when the stack says that its socket has
//! something to tell, or its own time has come.

use super::network::{HOSTS, Network};
use super::outcome::Outcome;
use super::plan::{ConnectionPlan, Ending, Plan, SidePlan};
use stack_under_test::errno::Errno;
use stack_under_test::socket::{Fd, SocketOption};
use stack_under_test::stack::Stack;
use stack_under_test::tcp::recvmsg::TcpRecvFlags;
use stack_under_test::tcp::sendmsg::TcpSendFlags;
use stack_under_test::time::Instant;
use std::net::{Ipv4Addr, SocketAddrV4};

/// The port of the first connection's server.
const PORT: u16 = 5000;
/// The seconds of a SO_LINGER that waits.
const LINGER: u32 = 5;

/// How long a listener still waits when its client is over: longer than a SYN-ACK is repeated, in nanoseconds.
const GIVES_UP: u64 = 200_000_000_000;

/// An orphan that nobody answers is given up after 8 retransmissions (tcp_orphan_retries of ip-sysctl.rst): not earlier than
/// this, in nanoseconds, at the least timeout of 200 ms.
const ORPHAN: u64 = 100_000_000_000;

/// An orphan whose probes of a closed window are 120 s apart is given up at once (`tcp_probe_timer`): the last byte that the
/// window let through is at least this old then, in nanoseconds, for each probe waits twice as long as the one before.
const PROBED: u64 = 60_000_000_000;

/// How far a side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has not begun, or (the server) waits to be called.
    Waiting,
    Connecting,
    Open,
    /// The application is done with it.
    Over,
}

struct Side {
    plan: SidePlan,
    /// The byte of its stream at 0.
    salt: u8,
    stage: Stage,
    fd: Option<Fd>,
    sent: u64,
    received: u64,
    /// When it received the last of them.
    received_at: u64,
    has_shut: bool,
    has_ended: bool,
    error: Option<Errno>,
    /// When it reads again, or connects.
    wakes_at: Option<u64>,
    /// When the application was done with it.
    over_at: Option<u64>,
}

struct Connection {
    plan: ConnectionPlan,
    port: u16,
    listener: Option<Fd>,
    sides: [Side; 2],
}

/// All of them.
pub struct Applications {
    connections: Vec<Connection>,
    may_time_out: bool,
    started: bool,
}

/// A byte of a stream, at any place.
fn byte(salt: u8, at: u64) -> u8 {
    (at.wrapping_mul(31) >> 3) as u8 ^ salt ^ at as u8
}

impl Side {
    fn new(plan: &SidePlan, salt: u8, wakes_at: Option<u64>) -> Self {
        Self {
            plan: plan.clone(),
            salt,
            stage: Stage::Waiting,
            fd: None,
            sent: 0,
            received: 0,
            received_at: 0,
            has_shut: false,
            has_ended: false,
            error: None,
            wakes_at,
            over_at: None,
        }
    }

    fn fail(&mut self, (stack, now): (&mut Stack, Instant), errno: Errno) {
        self.error = Some(errno);
        self.close((stack, now));
    }

    fn close(&mut self, (stack, now): (&mut Stack, Instant)) {
        if let Some(fd) = self.fd.take() {
            let _ = stack.tcp_close(now, 0, fd);
        }
        self.stage = Stage::Over;
        self.wakes_at = None;
    }

    /// Sends what can be. `false`: it failed.
    fn write(&mut self, (stack, now): (&mut Stack, Instant), fd: Fd) -> bool {
        while self.sent < self.plan.bytes && !self.has_shut {
            let end = self.plan.bytes.min(self.sent + self.plan.write as u64);
            let bytes: Vec<u8> = (self.sent..end).map(|at| byte(self.salt, at)).collect();
            match stack.tcp_send(now, 0, fd, &bytes, TcpSendFlags::default()) {
                Ok(0) | Err(Errno::EAGAIN) => break,
                Ok(taken) => self.sent += taken as u64,
                Err(errno) => {
                    self.fail((stack, now), errno);
                    return false;
                }
            }
        }
        true
    }

    /// Reads what is there. `Ok(false)`: it failed.
    fn read(
        &mut self,
        (stack, now): (&mut Stack, Instant),
        at: u64,
        fd: Fd,
        salt: u8,
    ) -> Result<bool, String> {
        let mut buffer = vec![0; self.plan.read];
        while !self.has_ended && self.wakes_at.is_none_or(|wakes| wakes <= at) {
            match stack.tcp_recv(now, fd, &mut buffer, TcpRecvFlags::default()) {
                Ok(0) => self.has_ended = true,
                Ok(n) => {
                    let wrong = (0..n).find(|nth| buffer[*nth] != byte(salt, self.received + *nth as u64));
                    if let Some(nth) = wrong {
                        return Err(format!("byte {} is not what was sent", self.received + nth as u64));
                    }
                    self.received += n as u64;
                    self.received_at = at;
                    self.wakes_at = (self.plan.pause > 0).then_some(at + self.plan.pause);
                }
                Err(Errno::EAGAIN) => break,
                Err(errno) => {
                    self.fail((stack, now), errno);
                    return Ok(false);
                }
            }
        }
        if self.has_ended {
            self.wakes_at = None;
        }
        Ok(true)
    }

    fn shut(&mut self, (stack, now): (&mut Stack, Instant), fd: Fd) {
        match stack.tcp_shutdown(now, 0, fd, false, true) {
            Ok(()) => self.has_shut = true,
            Err(errno) => self.fail((stack, now), errno),
        }
    }
}

fn socket(stack: &mut Stack, plan: &SidePlan) -> Result<Fd, String> {
    let fd = stack.socket_tcp().map_err(|errno| format!("socket: {}", errno.name()))?;
    for (level, name, value) in &plan.options {
        let option = SocketOption::parse(level, name).ok_or_else(|| format!("no option {name}"))?;
        stack
            .setsockopt(fd, option, *value)
            .map_err(|errno| format!("{name} = {value}: {}", errno.name()))?;
    }
    Ok(fd)
}

impl Connection {
    fn new(plan: &ConnectionPlan, nth: usize) -> Self {
        let salt = |side: usize| ((nth * 2 + side) as u8).wrapping_mul(37);
        let side = |at: usize, wakes_at| Side::new(&plan.sides[at], salt(at), wakes_at);
        let sides = [side(0, Some(plan.at)), side(1, None)];
        Self { plan: plan.clone(), port: PORT + nth as u16, listener: None, sides }
    }

    fn host_of(&self, side: usize) -> usize {
        self.plan.client ^ side
    }

    fn listen(&mut self, stack: &mut Stack) -> Result<(), String> {
        let fd = socket(stack, &self.plan.sides[1])?;
        let told = |errno: Errno| format!("listen: {}", errno.name());
        stack.bind(fd, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, self.port)).map_err(told)?;
        stack.listen(fd, 4).map_err(told)?;
        self.listener = Some(fd);
        Ok(())
    }

    /// The server takes its connection, and takes no further ones.
    fn accept(&mut self, (stack, now): (&mut Stack, Instant)) -> Result<(), String> {
        let Some(listener) = self.listener else { return Ok(()) };
        match stack.accept(now, listener) {
            Ok((fd, _)) => {
                self.sides[1].fd = Some(fd);
                self.sides[1].stage = Stage::Open;
                self.sides[1].wakes_at = None;
            }
            Err(Errno::EAGAIN) => return Ok(()),
            Err(errno) => return Err(format!("accept: {}", errno.name())),
        }
        self.stop_listening((stack, now));
        Ok(())
    }

    fn stop_listening(&mut self, (stack, now): (&mut Stack, Instant)) {
        if let Some(listener) = self.listener.take() {
            let _ = stack.tcp_close(now, 0, listener);
        }
    }

    fn connect(&mut self, (stack, now): (&mut Stack, Instant)) -> Result<(), String> {
        let to = SocketAddrV4::new(HOSTS[self.host_of(1)], self.port);
        let client = &mut self.sides[0];
        let fd = match client.fd {
            Some(fd) => fd,
            None => *client.fd.insert(socket(stack, &client.plan)?),
        };
        client.wakes_at = None;
        match stack.tcp_connect(now, 0, fd, to) {
            Err(Errno::EINPROGRESS | Errno::EALREADY) => client.stage = Stage::Connecting,
            Ok(()) | Err(Errno::EISCONN) => client.stage = Stage::Open,
            Err(errno) => client.fail((stack, now), errno),
        }
        Ok(())
    }

    /// One side goes on as far as it can.
    fn work(&mut self, nth: usize, (stack, now): (&mut Stack, Instant), at: u64) -> Result<(), String> {
        self.sides[nth].wakes_at = self.sides[nth].wakes_at.filter(|wakes| *wakes > at);
        if nth == 0 && matches!(self.sides[0].stage, Stage::Waiting | Stage::Connecting) {
            self.connect((stack, now))?;
        } else if nth == 1 && self.sides[1].stage == Stage::Waiting {
            self.accept((stack, now))?;
        }
        let (ending, closes) = (self.plan.ending, self.plan.closer == nth);
        let salt = self.sides[1 - nth].salt;
        let side = &mut self.sides[nth];
        let (Stage::Open, Some(fd)) = (side.stage, side.fd) else { return Ok(()) };
        let waits = ending == Ending::Half && !closes && !side.has_ended;
        if !waits && !side.write((stack, now), fd) {
            return Ok(());
        }
        let closes_at_once = closes && matches!(ending, Ending::Close | Ending::Linger);
        if !closes_at_once && !side.read((stack, now), at, fd, salt)? {
            return Ok(());
        }
        if ending == Ending::Half && !closes && side.has_ended && !side.write((stack, now), fd) {
            return Ok(());
        }
        side.end((stack, now), fd, ending, closes);
        Ok(())
    }
}

impl Side {
    /// Ends the connection if it is time to.
    fn end(&mut self, (stack, now): (&mut Stack, Instant), fd: Fd, ending: Ending, closes: bool) {
        let is_done = self.sent == self.plan.bytes;
        let in_the_middle = self.sent * 2 >= self.plan.bytes;
        match ending {
            Ending::Close if closes && is_done => self.close((stack, now)),
            Ending::Linger if closes && is_done => {
                let _ = stack.set_linger(fd, Some(LINGER));
                self.close((stack, now));
            }
            Ending::Reset if closes && in_the_middle => {
                let _ = stack.set_linger(fd, Some(0));
                self.close((stack, now));
            }
            Ending::Unread if closes && in_the_middle => self.close((stack, now)),
            _ => {
                let waits = ending == Ending::Half && !closes && !self.has_ended;
                if is_done && !self.has_shut && !waits {
                    self.shut((stack, now), fd);
                }
                if self.has_shut && self.has_ended && self.stage == Stage::Open {
                    self.close((stack, now));
                }
            }
        }
    }

    fn describe(&self) -> String {
        let Self { stage, sent, received, has_shut, has_ended, error, plan, .. } = self;
        let bytes = plan.bytes;
        format!(
            "{stage:?} sent {sent} of {bytes}, received {received}, shut {has_shut}, ended {has_ended}, {error:?}"
        )
    }
}

impl Applications {
    /// Those of a plan, none of which has begun.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let connections =
            plan.connections.iter().enumerate().map(|(nth, c)| Connection::new(c, nth)).collect();
        Self { connections, may_time_out: plan.may_time_out(), started: false }
    }

    /// Whether all are done with their sockets. A server whose client is over and that nobody called is.
    #[must_use]
    pub fn are_over(&self) -> bool {
        self.connections.iter().all(|c| {
            c.sides[0].stage == Stage::Over
                && (c.sides[1].stage == Stage::Over
                    || (c.sides[1].stage == Stage::Waiting && c.listener.is_none() && self.started))
        })
    }

    /// When one wants to go on by itself.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.connections.iter().flat_map(|c| &c.sides).filter_map(|side| side.wakes_at).min()
    }

    /// Those go on that were woken, or whose time has come.
    ///
    /// # Errors
    /// When a byte is wrong, or a call gives what it must not.
    pub fn go_on(&mut self, network: &mut Network) -> Result<(), String> {
        let now = network.now();
        for nth in 0..2 {
            let woken = network.hosts[nth].stack().0.take_woken();
            let is_due = |side: &Side| side.wakes_at.is_some_and(|at| at <= now);
            for c in &mut self.connections {
                let side = nth ^ c.plan.client;
                if !self.started && side == 1 {
                    c.listen(network.host(nth)?.stack().0)?;
                }
                let called = side == 1 && c.listener.is_some_and(|fd| woken.contains(&fd));
                let awake = c.sides[side].fd.is_some_and(|fd| woken.contains(&fd));
                let due = is_due(&c.sides[side]);
                if awake || called || due {
                    c.work(side, network.host(nth)?.stack(), now).map_err(|what| {
                        format!("{} of port {}: {what}", ["client", "server"][side], c.port)
                    })?;
                }
                if c.sides[side].stage == Stage::Over {
                    c.sides[side].over_at.get_or_insert(now);
                }
                if side == 1 && c.listener.is_some() && c.sides[0].stage == Stage::Over {
                    if due {
                        c.stop_listening(network.host(nth)?.stack());
                    }
                    c.sides[1].wakes_at = c.listener.and(c.sides[1].wakes_at.or(Some(now + GIVES_UP)));
                }
            }
        }
        self.started = true;
        Ok(())
    }

    /// How far each is.
    #[must_use]
    pub fn describe(&self) -> String {
        let line = |c: &Connection| {
            format!("port {}: client {}; server {}", c.port, c.sides[0].describe(), c.sides[1].describe())
        };
        self.connections.iter().map(line).collect::<Vec<_>>().join("\n  ")
    }

    /// Whether what came is what the plan allows; `unreachable`: the wire may have kept a host from finding the other.
    ///
    /// # Errors
    /// What is not.
    pub fn check(&self, unreachable: bool) -> Result<(), String> {
        for c in &self.connections {
            for nth in 0..2 {
                c.check(nth, self.may_time_out || unreachable)
                    .map_err(|what| format!("{what}\n  {}", self.describe()))?;
            }
        }
        Ok(())
    }

    /// Bytes that arrived, on all sides.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.connections.iter().flat_map(|c| &c.sides).map(|side| side.received).sum()
    }

    /// What there was, in numbers.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let sides = || self.connections.iter().flat_map(|c| &c.sides);
        Outcome {
            connections: self.connections.len(),
            bytes: sides().map(|side| side.received).sum(),
            errors: sides().filter(|side| side.error.is_some()).count(),
            ..Outcome::default()
        }
    }
}

impl Connection {
    fn check(&self, nth: usize, may_time_out: bool) -> Result<(), String> {
        use Ending as E;
        let (side, other) = (&self.sides[nth], &self.sides[1 - nth]);
        let name = ["client", "server"][nth];
        if side.received > other.sent {
            return Err(format!("the {name} received more than was sent"));
        }
        if side.has_ended && side.received != other.sent {
            return Err(format!("the {name} was told the end before everything came"));
        }
        // Nobody waits longer for a peer that does not take what is left.
        let orphan_gave_up = other.error.is_none()
            && other.over_at.zip(side.over_at).is_some_and(|(closed, told)| {
                let probed = told >= closed && side.received > 0 && told >= side.received_at + PROBED;
                probed || told >= closed + ORPHAN
            });
        let may_time_out = may_time_out || orphan_gave_up;
        let aborts = matches!(self.plan.ending, E::Reset | E::Unread);
        match side.error {
            Some(Errno::ETIMEDOUT | Errno::EHOSTUNREACH) if may_time_out => return Ok(()),
            // One that timed out is not there any more when the other still sends.
            Some(Errno::ECONNRESET | Errno::EPIPE | Errno::ENOTCONN) if aborts || may_time_out => {
                return Ok(());
            }
            Some(errno) => return Err(format!("the {name} was told {}", errno.name())),
            None => {}
        }
        if aborts && side.stage == Stage::Waiting {
            // The client was gone before it was called.
            return Ok(());
        }
        let reads_all = !matches!(
            (self.plan.ending, self.plan.closer == nth),
            (E::Close | E::Linger | E::Reset | E::Unread, true)
        );
        if reads_all && !may_time_out && !side.has_ended {
            return Err(format!("the {name} was never told the end"));
        }
        Ok(())
    }
}
