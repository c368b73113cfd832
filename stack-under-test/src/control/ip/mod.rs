//! `ip`: objects and their commands, as iproute2 names and abbreviates them.

pub mod addr;
pub mod link;
pub mod neigh;
pub mod route;
pub mod rule;

use super::words::Words;
use super::{Command, GrammarError};
use crate::netdev::IfName;

/// What a command does to a table: iproute2's commands, by the netlink flags behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Make it; EEXIST when it is there.
    Add,
    /// Make it, or take the place of what is there.
    Replace,
    /// Alter what is there; ENOENT when nothing is.
    Change,
    /// Routes: make it behind those with the same key.
    Append,
    /// Routes: make it before those with the same key.
    Prepend,
    /// Take it away.
    Del,
}

/// The first of `names` that begins with `word`: iproute2's abbreviations, in its order.
pub(super) fn abbreviated<'n>(word: &str, names: &[&'n str]) -> Option<&'n str> {
    if word.is_empty() {
        return None;
    }
    names.iter().copied().find(|name| name.starts_with(word))
}

const OBJECTS: [&str; 6] = ["address", "link", "neighbour", "neighbor", "route", "rule"];
const OBJECT_NAMES: [&str; 5] = ["address", "link", "neigh", "route", "rule"];

/// Reads what follows `ip`.
///
/// # Errors
/// At the word that is not supported.
pub fn parse(words: &mut Words<'_>) -> Result<Command, GrammarError> {
    while let Some(option) = words.peek().filter(|w| w.starts_with('-')) {
        words.next("")?;
        match option {
            "-4" => {}
            "-6" => return Err(words.unsupported_last("-4: only IPv4 is here yet")),
            _ => return Err(words.unsupported_last("-4, or an object: link, address, route, rule or neigh")),
        }
    }
    let object = words.next("an object: link, address, route, rule or neigh")?;
    match abbreviated(object, &OBJECTS) {
        Some("link") => link::parse(words).map(Command::Link),
        Some("address") => addr::parse(words).map(Command::Addr),
        Some("route") => route::parse(words).map(Command::Route),
        Some("rule") => rule::parse(words).map(Command::Rule),
        Some(_) => neigh::parse(words).map(Command::Neigh),
        None => Err(words.unknown_last("object", &OBJECT_NAMES)),
    }
}

/// Takes the name of an interface.
fn interface(words: &mut Words<'_>) -> Result<IfName, GrammarError> {
    words.value(
        "an interface of the stack: eth0 or lo, or a VLAN device: eth0.N or vlanN",
        super::value::interface,
    )
}
