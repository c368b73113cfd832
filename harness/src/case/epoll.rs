//! The steps of epoll(7): their shape, and how they are read.

use super::model::{Ready, Syscall};
use super::names::{Descriptors, Named};
use super::problem::Problem;
use super::reader::{Fields, Read};
use super::shape::{CALL, Form, Key, NAMED, StepShape, key, must, step};
use super::trial::TrialReader;
use super::yaml::{Kind, Node};

/// What `op:` of `epoll_ctl` can be.
pub const EPOLL_OPS: &[&str] = &["EPOLL_CTL_ADD", "EPOLL_CTL_MOD", "EPOLL_CTL_DEL"];
/// What `epoll_wait` can report: events, but not how they are told.
pub const EPOLL_REPORTED: &[&str] = EPOLL_EVENTS.split_at(10).0;
/// What `events:` of `epoll_ctl` can hold: events, and how they are told.
pub const EPOLL_EVENTS: &[&str] = &[
    "EPOLLIN",
    "EPOLLPRI",
    "EPOLLOUT",
    "EPOLLERR",
    "EPOLLHUP",
    "EPOLLRDNORM",
    "EPOLLRDBAND",
    "EPOLLWRNORM",
    "EPOLLWRBAND",
    "EPOLLRDHUP",
    "EPOLLEXCLUSIVE",
    "EPOLLONESHOT",
    "EPOLLET",
];
/// More events than any case asks for at once.
const MAXEVENTS: i64 = 1_024;

const EPOLL: Key = must("epoll", Form::Name, "The epoll instance, by the name that `as:` gave it.");
/// What `epoll_wait` must report, there and at `join`.
pub(super) const READY: Key = key(
    "ready",
    Form::Ready,
    "What it must report, in this order: `[{s: [EPOLLIN]}, {c: [EPOLLIN, EPOLLRDHUP]}]`; `[]` is nothing.",
);

/// `epoll_create`
pub(super) const EPOLL_CREATE: StepShape = step(
    "epoll_create",
    Form::Keys(&[&[must("as", Form::Name, "The name of the epoll instance.")], CALL]),
    "epoll_create1(2)",
);
/// `epoll_ctl`
pub(super) const EPOLL_CTL: StepShape = step(
    "epoll_ctl",
    Form::Keys(&[
        &[
            EPOLL,
            must("op", Form::OneOf(EPOLL_OPS), "What happens to the set."),
            must(
                "socket",
                Form::Name,
                "The socket, by its name; where an `error:` is expected, an epoll instance or what was closed, too.",
            ),
            key(
                "events",
                Form::SomeOf(EPOLL_EVENTS),
                "What is asked for, and how; EPOLLERR and EPOLLHUP always are. Not for EPOLL_CTL_DEL.",
            ),
        ],
        CALL,
        NAMED,
    ]),
    "epoll_ctl(2)",
);
/// `epoll_wait`
pub(super) const EPOLL_WAIT: StepShape = step(
    "epoll_wait",
    Form::Keys(&[
        &[
            EPOLL,
            key("maxevents", Form::Number(-1, MAXEVENTS), "How many sockets it reports at most; default 16."),
            key("timeout", Form::Duration, "How long it waits; without it, until there is an event."),
            READY,
        ],
        CALL,
        NAMED,
    ]),
    "epoll_wait(2)",
);

impl TrialReader<'_> {
    /// One of the calls of epoll(7); `None`: it is another.
    pub(super) fn epoll_call(&mut self, name: &str, fields: &Fields<'_>) -> Read<Option<Syscall>> {
        match name {
            "epoll_create" => {
                let node = self.r.need(fields, "as")?;
                let closed = fields.get("error").is_some();
                let name = self.names.add(&mut self.r, node, Named::Epoll { closed })?;
                Ok(Some(Syscall::EpollCreate { name }))
            }
            "epoll_ctl" => self.epoll_ctl(fields).map(Some),
            "epoll_wait" => self.epoll_wait(fields).map(Some),
            _ => Ok(None),
        }
    }

    /// The epoll instance of a call; one that must fail may name anything that has or had a descriptor.
    fn epoll(&mut self, fields: &Fields<'_>) -> Read<String> {
        let which = if fields.get("error").is_some() { Descriptors::Any } else { Descriptors::Epolls };
        let node = self.r.need(fields, "epoll")?;
        self.names.descriptor(&mut self.r, node, which)
    }

    fn epoll_ctl(&mut self, fields: &Fields<'_>) -> Read<Syscall> {
        let epoll = self.epoll(fields)?;
        let op = self.r.need(fields, "op")?;
        let op = self.r.one_of(op, EPOLL_OPS)?;
        let which = if fields.get("error").is_some() { Descriptors::Any } else { Descriptors::Sockets };
        let socket = self.r.need(fields, "socket")?;
        let socket = self.names.descriptor(&mut self.r, socket, which)?;
        let events = match (fields.get("events"), op) {
            (Some(_), "EPOLL_CTL_DEL") => {
                let key = fields.key("events").unwrap_or(fields.node);
                let problem = Problem::at(&key.span, "`events` for EPOLL_CTL_DEL");
                let problem =
                    problem.label("of no use").help("who leaves the set asks for nothing: remove it");
                return Err(self.r.report(problem));
            }
            (Some(node), _) => self.r.some_of(node, EPOLL_EVENTS)?,
            (None, "EPOLL_CTL_DEL") => Vec::new(),
            (None, op) => {
                let problem =
                    Problem::at(&fields.node.span, format!("{op} lacks `events:`")).label("in here");
                return Err(self.r.report(problem.help("say what is asked for: `events: [EPOLLIN]`")));
            }
        };
        let events = events.into_iter().map(str::to_owned).collect();
        Ok(Syscall::EpollCtl { epoll, op: op.to_owned(), socket, events })
    }

    fn epoll_wait(&mut self, fields: &Fields<'_>) -> Read<Syscall> {
        let epoll = self.epoll(fields)?;
        let maxevents = match fields.get("maxevents") {
            Some(node) => i32::try_from(self.r.number(node, -1, MAXEVENTS)?).unwrap_or(0),
            None => 16,
        };
        let timeout_ms = self.milliseconds(fields)?;
        if let (Some(node), Some(ready)) = (fields.get("ready"), self.ready(fields)?)
            && ready.len() > usize::try_from(maxevents).unwrap_or(0)
        {
            let message = format!("{} sockets do not fit into `maxevents: {maxevents}`", ready.len());
            let problem = Problem::at(&node.span, message).label("too many");
            return Err(self.r.report(problem.help("make `maxevents` larger")));
        }
        Ok(Syscall::EpollWait { epoll, maxevents, timeout_ms })
    }

    /// `ready:`, if it is there.
    pub(super) fn ready(&mut self, fields: &Fields<'_>) -> Read<Option<Vec<Ready>>> {
        const HELP: &str = "`[{s: [EPOLLIN]}]`, or `[]` for nothing";
        let Some(node) = fields.get("ready") else { return Ok(None) };
        let mut all: Vec<Ready> = Vec::new();
        for item in self.r.list(node, HELP)? {
            let (name, events) = match &item.kind {
                Kind::Map(entries) if entries.len() == 1 => &entries[0],
                _ => return self.r.wrong(item, "one socket with its events", HELP),
            };
            let ready = self.one_ready(name, events)?;
            if all.iter().any(|other| other.socket == ready.socket) {
                let problem = Problem::at(&name.span, format!("`{}` stands twice", ready.socket));
                let problem = problem.label("again").help("a socket is reported once, with all its events");
                return Err(self.r.report(problem));
            }
            all.push(ready);
        }
        Ok(Some(all))
    }

    fn one_ready(&mut self, name: &Node, events: &Node) -> Read<Ready> {
        let socket = self.names.descriptor(&mut self.r, name, Descriptors::Sockets)?;
        let names = self.r.some_of(events, EPOLL_REPORTED)?;
        if names.is_empty() {
            return self.r.wrong(events, "an event", "a socket without events is not reported: leave it out");
        }
        Ok(Ready { socket, events: names.into_iter().map(str::to_owned).collect() })
    }
}
