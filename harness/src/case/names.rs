//! The names of a trial: sockets, steps and background calls, so that a reference to nothing is found before the run.

use super::problem::{Problem, choose};
use super::reader::{Read, Reader};
use super::yaml::Node;
use std::collections::BTreeMap;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A socket; whether it was closed.
    Socket {
        /// `close` was called on it.
        closed: bool,
    },
    /// An epoll instance; whether it was closed.
    Epoll {
        /// `close` was called on it.
        closed: bool,
    },
    /// A frame that is expected.
    Frame,
    /// A frame that is injected, or a call.
    Event,
    /// A call in the background; whether it gives what it must return itself, and whether it was joined.
    Background {
        /// It says what it must give.
        judged: bool,
        /// `join` named it.
        joined: bool,
        /// It ends with the trial.
        may_stay: bool,
    },
}

impl Named {
    fn what(self) -> &'static str {
        match self {
            Self::Socket { .. } => "a socket",
            Self::Epoll { .. } => "an epoll instance",
            Self::Frame => "a frame that is expected",
            Self::Event => "a call or an injected frame",
            Self::Background { .. } => "a call in the background",
        }
    }
}

/// What a reference to a descriptor may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptors {
    /// Open sockets.
    Sockets,
    /// Open epoll instances.
    Epolls,
    /// Whatever is open.
    Open,
    /// What was closed, too: for a call that must fail.
    Any,
}

impl Descriptors {
    fn fit(self, named: Named) -> bool {
        match self {
            Self::Sockets => matches!(named, Named::Socket { .. }),
            Self::Epolls => matches!(named, Named::Epoll { .. }),
            Self::Open | Self::Any => matches!(named, Named::Socket { .. } | Named::Epoll { .. }),
        }
    }

    fn what(self) -> &'static str {
        if self == Self::Epolls { "epoll instance" } else { "socket" }
    }
}

/// All names so far, in the order of the steps.
#[derive(Debug, Default)]
pub struct Names {
    known: BTreeMap<String, (Named, u32)>,
    /// A step could not be read: names may be missing, and are not complained about.
    pub incomplete: bool,
}

impl Names {
    /// Gives a name.
    pub fn add(&mut self, r: &mut Reader, node: &Node, named: Named) -> Read<String> {
        let name = r.word(node)?.to_owned();
        if name.chars().any(|c| !(c.is_ascii_alphanumeric() || "_-.".contains(c))) {
            return r.wrong(node, "a name", "letters, digits, `_`, `-` and `.`");
        }
        let free = match self.known.get(&name) {
            None | Some((Named::Socket { closed: true } | Named::Epoll { closed: true }, _)) => true,
            Some((Named::Background { joined: true, .. }, _)) => matches!(named, Named::Background { .. }),
            Some(_) => false,
        };
        if let (false, Some((other, line))) = (free, self.known.get(&name)) {
            let problem = Problem::at(&node.span, format!("the name `{name}` is taken"))
                .label(format!("{} on line {line} has it", other.what()))
                .help("give each its own name; what stands in `repeat:` is named once for each time");
            return Err(r.report(problem));
        }
        self.known.insert(name.clone(), (named, node.span.line));
        Ok(name)
    }

    /// The name of an open socket.
    pub fn socket(&mut self, r: &mut Reader, node: &Node) -> Read<String> {
        self.descriptor(r, node, Descriptors::Sockets)
    }

    /// The name of a descriptor.
    pub fn descriptor(&mut self, r: &mut Reader, node: &Node, which: Descriptors) -> Read<String> {
        let name = r.word(node)?.to_owned();
        match self.known.get(&name) {
            Some((named, _)) if which == Descriptors::Any && which.fit(*named) => Ok(name),
            Some((named @ (Named::Socket { closed } | Named::Epoll { closed }), _)) if which.fit(*named) => {
                if !closed {
                    return Ok(name);
                }
                let (what, step) = match named {
                    Named::Epoll { .. } => ("epoll instance", "epoll_create"),
                    _ => ("socket", "socket"),
                };
                let problem = Problem::at(&node.span, format!("the {what} `{name}` was closed"))
                    .label("closed before")
                    .help(format!(
                        "put this step before its `close:`, or make another {what} with `{step}: {{as: …}}`"
                    ));
                Err(r.report(problem))
            }
            _ => self.unknown(r, node, &name, which.what(), |n| which.fit(n)).map(|()| name),
        }
    }

    /// Says that a descriptor was closed.
    pub fn close(&mut self, name: &str) {
        if let Some((Named::Socket { closed } | Named::Epoll { closed }, _)) = self.known.get_mut(name) {
            *closed = true;
        }
    }

    /// The name of an earlier step; with `frame`, of one that expects a frame.
    pub fn step(&mut self, r: &mut Reader, node: &Node, frame: bool) -> Read<String> {
        let name = r.word(node)?.to_owned();
        let fits = |named: Named| named == Named::Frame || (!frame && named == Named::Event);
        match self.known.get(&name) {
            Some((named, _)) if fits(*named) => Ok(name),
            _ => self
                .unknown(r, node, &name, if frame { "expected frame" } else { "step" }, fits)
                .map(|()| name),
        }
    }

    /// The name of a background call that was not joined; and whether it is judged already.
    pub fn join(&mut self, r: &mut Reader, node: &Node) -> Read<(String, bool)> {
        let name = r.word(node)?.to_owned();
        match self.known.get_mut(&name) {
            Some((Named::Background { joined, judged, .. }, _)) if !*joined => {
                *joined = true;
                Ok((name, *judged))
            }
            Some((Named::Background { .. }, _)) => Err(r.report(
                Problem::at(&node.span, format!("`{name}` was joined before"))
                    .label("joined twice")
                    .help("a call ends once: remove one of the two `join:`"),
            )),
            _ => {
                let fits = |n| matches!(n, Named::Background { .. });
                self.unknown(r, node, &name, "call in the background", fits).map(|()| (name, false))
            }
        }
    }

    /// Whether a step with this name is there, whatever kind.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.incomplete || self.known.contains_key(name)
    }

    /// Background calls that nobody joined.
    pub fn unjoined(&self) -> impl Iterator<Item = &str> {
        let open = |named: &Named| matches!(named, Named::Background { joined: false, may_stay: false, .. });
        self.known.iter().filter(move |(_, (named, _))| open(named)).map(|(name, _)| name.as_str())
    }

    fn unknown(
        &self,
        r: &mut Reader,
        node: &Node,
        name: &str,
        what: &str,
        fits: impl Fn(Named) -> bool,
    ) -> Read<()> {
        if self.incomplete {
            return Ok(());
        }
        let known = self.known.iter().filter(|(_, (named, _))| fits(*named)).map(|(name, _)| name.as_str());
        let problem = match self.known.get(name) {
            Some((other, _)) => {
                Problem::at(&node.span, format!("`{name}` is {}, not {}", other.what(), with_a(what)))
            }
            None => Problem::at(&node.span, format!("there is no {what} `{name}` before this step")),
        };
        Err(r.report(problem.label("not known here").help(choose(name, known))))
    }
}

fn with_a(what: &str) -> String {
    if what.starts_with(['a', 'e', 'i', 'o', 'u']) { format!("an {what}") } else { format!("a {what}") }
}
