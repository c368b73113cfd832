//! Steps that are system calls, and `join`.

use super::model::{Action, CallStep, Join, OptionValue, Outcome, SocketKind, Syscall, Tolerance};
use super::names::{Descriptors, Named};
use super::problem::{Problem, choose};
use super::reader::{Fields, Read};
use super::shape::{JOIN, MSG_FLAGS, PAYLOAD, POLL_EVENTS, keys_of};
use super::symbols::{OPTIONS, Takes, errno_number, levels};
use super::trial::TrialReader;
use super::value::whole;
use super::yaml::{Kind, Node};
use std::time::Duration;

/// A call with the name of its step, if it has one.
pub type Called = (Option<String>, Action);

impl TrialReader<'_> {
    /// A system call.
    pub fn call(&mut self, name: &str, node: &Node) -> Read<Called> {
        let fields = self.r.fields(node, name, keys_of(name))?;
        let call = self.syscall(name, &fields)?;
        let outcome = self.outcome(&fields)?;
        self.lengths(&call, &outcome, &fields)?;
        let cpu = fields.get("cpu").map(|node| self.r.number(node, 0, 63)).transpose()?;
        let judged = outcome != Outcome::default();
        let background = match fields.get("background") {
            Some(node) => Some(self.names.add(
                &mut self.r,
                node,
                Named::Background { judged, joined: false, may_stay: false },
            )?),
            None => None,
        };
        let step = match fields.get("as") {
            Some(node) if !matches!(name, "socket" | "accept" | "epoll_create") => {
                Some(self.names.add(&mut self.r, node, Named::Event)?)
            }
            _ => None,
        };
        let cpu = cpu.and_then(|cpu| u32::try_from(cpu).ok());
        Ok((step, Action::Call(CallStep { call, cpu, background, outcome })))
    }

    fn syscall(&mut self, name: &str, fields: &Fields<'_>) -> Read<Syscall> {
        if name == "socket" {
            return self.socket(fields);
        }
        if let Some(call) = self.epoll_call(name, fields)? {
            return Ok(call);
        }
        let socket = self.r.need(fields, "socket")?;
        let which = if name == "close" { Descriptors::Open } else { Descriptors::Sockets };
        let socket = self.names.descriptor(&mut self.r, socket, which)?;
        Ok(match name {
            "bind" => Syscall::Bind { socket, to: self.endpoint(fields)? },
            "connect" => Syscall::Connect { socket, to: self.endpoint(fields)? },
            "disconnect" => Syscall::Disconnect { socket },
            "listen" => {
                let backlog = self.r.need(fields, "backlog")?;
                let backlog = i32::try_from(self.r.number(backlog, -1, 65_535)?).unwrap_or(0);
                Syscall::Listen { socket, backlog }
            }
            "accept" => Syscall::Accept { socket, name: self.accepted(fields)? },
            "send" => Syscall::Send { socket, payload: self.data(fields)?, flags: self.flags(fields)? },
            "sendto" => Syscall::Sendto {
                socket,
                to: self.endpoint(fields)?,
                payload: self.data(fields)?,
                flags: self.flags(fields)?,
            },
            "write" => Syscall::Write { socket, payload: self.data(fields)? },
            "recv" => Syscall::Recv { socket, length: self.length(fields)?, flags: self.flags(fields)? },
            "recvfrom" => {
                Syscall::Recvfrom { socket, length: self.length(fields)?, flags: self.flags(fields)? }
            }
            "read" => Syscall::Read { socket, length: self.length(fields)? },
            "poll" => self.poll(socket, fields)?,
            "shutdown" => {
                let how = self.r.need(fields, "how")?;
                let how = self.r.one_of(how, &["SHUT_RD", "SHUT_WR", "SHUT_RDWR"])?;
                Syscall::Shutdown { socket, how: how.into() }
            }
            "close" => {
                self.names.close(&socket);
                Syscall::Close { socket }
            }
            "setsockopt" => {
                let (level, name, takes) = self.option(fields)?;
                let value = self.r.need(fields, "value")?;
                Syscall::Setsockopt { socket, level, name, value: self.option_value(value, takes)? }
            }
            "getsockopt" => {
                let (level, name, takes) = self.option(fields)?;
                if takes == Takes::Time {
                    let node = self.r.need(fields, "name")?;
                    let problem =
                        Problem::at(&node.span, "reading an option that is a time is not built yet")
                            .label("not built yet")
                            .help("a time can be set; what it does is seen in how long a call waits");
                    return Err(self.r.report(problem));
                }
                Syscall::Getsockopt { socket, level, name }
            }
            "getpeername" => Syscall::Getpeername { socket },
            _ => Syscall::Getsockname { socket },
        })
    }

    fn socket(&mut self, fields: &Fields<'_>) -> Read<Syscall> {
        let kind = self.r.need(fields, "type")?;
        let is_tcp = self.r.one_of(kind, &["udp", "tcp"])? == "tcp";
        let nonblocking =
            fields.get("nonblocking").map(|node| self.r.boolean(node)).transpose()?.unwrap_or(false);
        let name = self.r.need(fields, "as")?;
        let name =
            self.names.add(&mut self.r, name, Named::Socket { closed: fields.get("error").is_some() })?;
        let kind = if is_tcp { SocketKind::Tcp } else { SocketKind::Udp };
        Ok(Syscall::Socket { name, kind, nonblocking })
    }

    /// The name of the socket that `accept` gives; one that fails gives none.
    fn accepted(&mut self, fields: &Fields<'_>) -> Read<String> {
        match (fields.get("as"), fields.get("error")) {
            (Some(node), error) => {
                self.names.add(&mut self.r, node, Named::Socket { closed: error.is_some() })
            }
            (None, Some(_)) => Ok(String::new()),
            (None, None) => {
                let problem = Problem::at(&fields.node.span, "`accept` lacks `as:`").label("in here");
                Err(self.r.report(problem.help("name the socket that it gives: `as: c`")))
            }
        }
    }

    fn endpoint(&mut self, fields: &Fields<'_>) -> Read<std::net::SocketAddrV4> {
        let node = self.r.need(fields, "to")?;
        self.r.endpoint(node)
    }

    fn data(&mut self, fields: &Fields<'_>) -> Read<super::model::Payload> {
        let node = self.r.need(fields, "payload")?;
        self.r.payload(node, self.patterns)
    }

    fn length(&mut self, fields: &Fields<'_>) -> Read<u32> {
        let node = self.r.need(fields, "length")?;
        Ok(u32::try_from(self.r.number(node, 0, PAYLOAD)?).unwrap_or(u32::MAX))
    }

    fn flags(&mut self, fields: &Fields<'_>) -> Read<Vec<String>> {
        let Some(node) = fields.get("flags") else { return Ok(Vec::new()) };
        Ok(self.r.some_of(node, MSG_FLAGS)?.into_iter().map(str::to_owned).collect())
    }

    fn poll(&mut self, socket: String, fields: &Fields<'_>) -> Read<Syscall> {
        let events = self.r.need(fields, "events")?;
        let events = self.r.some_of(events, POLL_EVENTS)?.into_iter().map(str::to_owned).collect();
        Ok(Syscall::Poll { socket, events, timeout_ms: self.milliseconds(fields)? })
    }

    /// `timeout:` of `poll` and `epoll_wait`; -1: without end.
    pub(super) fn milliseconds(&mut self, fields: &Fields<'_>) -> Read<i32> {
        let Some(node) = fields.get("timeout") else { return Ok(-1) };
        let time = self.r.duration(node)?;
        if time.subsec_nanos() % 1_000_000 != 0 {
            return self.r.wrong(node, "whole milliseconds", "the call takes milliseconds");
        }
        Ok(i32::try_from(time.as_millis()).unwrap_or(i32::MAX))
    }

    fn option(&mut self, fields: &Fields<'_>) -> Read<(String, String, Takes)> {
        let (level, name) = (self.r.need(fields, "level")?, self.r.need(fields, "name")?);
        let level = self.r.one_of(level, &levels())?;
        let text = self.r.word(name)?;
        let of_level = || OPTIONS.iter().filter(|(l, ..)| *l == level);
        if let Some((_, name, takes)) = of_level().find(|(_, n, _)| *n == text) {
            return Ok((level.to_owned(), (*name).to_owned(), *takes));
        }
        let elsewhere = OPTIONS.iter().find(|(_, n, _)| *n == text);
        let problem =
            Problem::at(&name.span, format!("`{level}` has no option `{text}`")).label("unknown option");
        let problem = match elsewhere {
            Some((other, ..)) => problem.help(format!("`{text}` is of level `{other}`")),
            None => problem.help(choose(text, of_level().map(|(_, name, _)| *name))),
        };
        Err(self.r.report(problem))
    }

    fn option_value(&mut self, node: &Node, takes: Takes) -> Read<OptionValue> {
        let plain = matches!(&node.kind, Kind::Scalar(s) if s.plain);
        let number = plain && node.text().is_some_and(|text| whole(text).is_some());
        match takes {
            Takes::Linger if node.text() == Some("off") => Ok(OptionValue::Number(-1)),
            Takes::Linger => Ok(OptionValue::Number(self.r.number(node, 0, 65_535)?)),
            Takes::Text => Ok(OptionValue::Text(self.r.text(node)?.to_owned())),
            Takes::Time => Ok(OptionValue::Time(self.r.duration(node)?)),
            Takes::Symbols(names) if !number => {
                Ok(OptionValue::Symbol(self.r.one_of(node, names)?.to_owned()))
            }
            _ => Ok(OptionValue::Number(self.r.number(node, i64::from(i32::MIN), i64::from(u32::MAX))?)),
        }
    }

    /// What a call or a `join` must give.
    fn outcome(&mut self, fields: &Fields<'_>) -> Read<Outcome> {
        let mut outcome = Outcome::default();
        if let Some(node) = fields.get("returns") {
            outcome.returns = Some(self.r.number(node, i64::MIN, i64::MAX)?);
        }
        if let Some(node) = fields.get("error") {
            outcome.error = Some(self.r.errno(node)?);
            for other in ["returns", "from", "revents", "address", "ready"] {
                if let Some(key) = fields.key(other) {
                    let problem = Problem::at(&key.span, format!("`{other}` and `error` together"))
                        .label("a call that fails gives nothing else")
                        .help("keep one of them");
                    return Err(self.r.report(problem));
                }
            }
        }
        let received = fields.get("length").is_some() || fields.get("call").is_some();
        if let (true, Some(node)) = (received, fields.get("payload")) {
            outcome.payload = Some(self.r.payload(node, self.patterns)?);
        }
        if let Some(node) = fields.get("from").or(fields.get("address")) {
            outcome.from = Some(self.r.endpoint(node)?);
        }
        if let (Some(node), true) = (fields.get("value"), self.is_getsockopt(fields)) {
            match self.option(fields)? {
                (_, _, Takes::Text) => outcome.text = Some(self.r.text(node)?.to_owned()),
                _ => outcome.value = Some(self.option_number(node)?),
            }
        }
        if let Some(node) = fields.get("revents") {
            let events = self.r.some_of(node, POLL_EVENTS)?;
            outcome.events = Some(events.into_iter().map(str::to_owned).collect());
        }
        outcome.ready = self.ready(fields)?;
        outcome.after = self.after_call(fields)?;
        Ok(outcome)
    }

    fn is_getsockopt(&self, fields: &Fields<'_>) -> bool {
        self.step_name == "getsockopt" && fields.get("name").is_some()
    }

    fn option_number(&mut self, node: &Node) -> Read<i64> {
        if let Some(errno) = node.text().and_then(errno_number) {
            return Ok(errno);
        }
        if node.text() == Some("off") {
            return Ok(-1);
        }
        // linux/in.h numbers the names from 0, in this order.
        let symbol = OPTIONS.iter().find_map(|(_, _, takes)| match takes {
            Takes::Symbols(names) => names.iter().position(|name| Some(*name) == node.text()),
            _ => None,
        });
        match symbol {
            Some(position) => Ok(i64::try_from(position).unwrap_or(0)),
            None => self.r.number(node, i64::MIN, i64::MAX),
        }
    }

    fn after_call(&mut self, fields: &Fields<'_>) -> Read<Option<(Duration, Tolerance)>> {
        match (fields.get("after"), fields.get("tolerance")) {
            (Some(after), tolerance) => {
                let tolerance = tolerance.map(|node| self.r.tolerance(node)).transpose()?;
                Ok(Some((self.r.duration(after)?, tolerance.unwrap_or(Tolerance::Default))))
            }
            (None, Some(node)) => Err(self.r.report(lonely_tolerance(node))),
            (None, None) => Ok(None),
        }
    }

    /// What is received must fit into what was asked for.
    fn lengths(&mut self, call: &Syscall, outcome: &Outcome, fields: &Fields<'_>) -> Read<()> {
        let (Syscall::Recv { length, flags, .. } | Syscall::Recvfrom { length, flags, .. }) = call else {
            return Ok(());
        };
        let truncated = flags.iter().any(|flag| flag == "MSG_TRUNC");
        let received = outcome.payload.as_ref().map_or(0, |payload| payload.0.len());
        if received > usize::try_from(*length).unwrap_or(usize::MAX) {
            let node = fields.get("payload").unwrap_or(fields.node);
            let problem =
                Problem::at(&node.span, format!("{received} bytes do not fit into `length: {length}`"));
            return Err(self.r.report(problem.label("too long").help("make `length` larger")));
        }
        if !truncated && outcome.returns.is_some_and(|returns| returns > i64::from(*length)) {
            let node = fields.get("returns").unwrap_or(fields.node);
            let problem = Problem::at(&node.span, format!("this returns at most `length: {length}`"));
            return Err(self.r.report(problem.label("too many").help("only with MSG_TRUNC it returns more")));
        }
        Ok(())
    }

    /// `join: {call: NAME, …}`
    pub fn join(&mut self, node: &Node) -> Read<Action> {
        let fields = self.r.fields(node, "join", &[JOIN])?;
        let call = self.r.need(&fields, "call")?;
        let (name, judged) = self.names.join(&mut self.r, call)?;
        let outcome = self.outcome(&fields)?;
        if judged && outcome != Outcome::default() {
            let problem =
                Problem::at(&node.span, format!("what `{name}` must give stands at the call already"))
                    .help("say it once, best here");
            return Err(self.r.report(problem));
        }
        Ok(Action::Join(Join { call: name, outcome }))
    }
}

/// A tolerance of nothing.
pub fn lonely_tolerance(node: &Node) -> Problem {
    Problem::at(&node.span, "a tolerance without a time")
        .label("of what?")
        .help("`tolerance:` says how far off an `after:` may be")
}
