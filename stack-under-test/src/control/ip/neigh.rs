//! `ip neighbour`: add, replace, change, delete and flush neighbours.

use super::{Verb, abbreviated};
use crate::control::GrammarError;
use crate::control::value;
use crate::control::words::Words;
use crate::netdev::IfName;
use core::net::Ipv4Addr;

/// `NUD_*`: a state of neighbour unreachability detection, as a command may set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Linux's; ip-neighbour(8) is their documentation")]
pub enum NudState {
    None,
    Incomplete,
    Reachable,
    Stale,
    Delay,
    Probe,
    Failed,
    Noarp,
    Permanent,
}

/// One command on neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NeighCommand {
    /// Any but `flush`.
    Set(NeighSet),
    /// `flush`: those that match, but for `permanent` and `noarp` unless `nud` says so.
    Flush {
        /// Only with this interface.
        dev: Option<IfName>,
        /// Only this neighbour.
        to: Option<Ipv4Addr>,
        /// Only in this state.
        nud: Option<NudState>,
    },
}

/// A neighbour, and what to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighSet {
    /// What to do.
    pub verb: Verb,
    /// The neighbour.
    pub to: Ipv4Addr,
    /// Its MAC address.
    pub lladdr: Option<[u8; 6]>,
    /// The interface.
    pub dev: IfName,
    /// Its state; iproute2 says permanent when none is given.
    pub nud: Option<NudState>,
}

const COMMANDS: [&str; 7] = ["add", "change", "chg", "replace", "delete", "del", "flush"];
const NUD: &str = "permanent, noarp, reachable, stale, delay, probe, failed, incomplete or none";
const NEIGHBOUR: &str = "the address of a neighbour";

fn nud(word: &str) -> Option<NudState> {
    Some(match word {
        "none" => NudState::None,
        "incomplete" => NudState::Incomplete,
        "reachable" => NudState::Reachable,
        "stale" => NudState::Stale,
        "delay" => NudState::Delay,
        "probe" => NudState::Probe,
        "failed" => NudState::Failed,
        "noarp" => NudState::Noarp,
        "permanent" => NudState::Permanent,
        _ => return None,
    })
}

/// Reads what follows `ip neighbour`.
///
/// # Errors
/// At the word that is not supported.
pub fn parse(words: &mut Words<'_>) -> Result<NeighCommand, GrammarError> {
    let verb = match abbreviated(words.next("add, replace, change, del or flush")?, &COMMANDS) {
        Some("add") => Verb::Add,
        Some("change" | "chg") => Verb::Change,
        Some("replace") => Verb::Replace,
        Some("delete" | "del") => Verb::Del,
        Some(_) => return flush(words),
        None => {
            return Err(words.unknown_last("ip neigh command", &["add", "replace", "change", "del", "flush"]));
        }
    };
    let mut to = None;
    let (mut lladdr, mut dev, mut state) = (None, IfName::default(), None);
    while let Some(word) = words.peek() {
        words.next("")?;
        match word {
            "lladdr" => lladdr = Some(words.value("a MAC address such as 02:00:00:00:00:02", value::mac)?),
            "dev" => dev = super::interface(words)?,
            "nud" => state = Some(words.value(NUD, nud)?),
            "to" => to = Some(words.value(NEIGHBOUR, value::ipv4)?),
            _ => match value::ipv4(word) {
                Some(addr) if to.is_none() => to = Some(addr),
                _ => return Err(words.unknown_last("attribute", &["lladdr", "dev", "nud"])),
            },
        }
    }
    let to = to.ok_or_else(|| words.missing(NEIGHBOUR))?;
    if dev.is_empty() {
        return Err(words.missing("dev eth0"));
    }
    Ok(NeighCommand::Set(NeighSet { verb, to, lladdr, dev, nud: state }))
}

fn flush(words: &mut Words<'_>) -> Result<NeighCommand, GrammarError> {
    if words.is_done() {
        return Err(words.missing("dev eth0, a neighbour, or all"));
    }
    let (mut dev, mut to, mut state) = (None, None, None);
    while let Some(word) = words.peek() {
        words.next("")?;
        match word {
            "all" => {}
            "dev" => dev = Some(super::interface(words)?),
            "nud" => state = Some(words.value(NUD, nud)?),
            "to" => to = Some(words.value(NEIGHBOUR, value::ipv4)?),
            _ => match value::ipv4(word) {
                Some(addr) => to = Some(addr),
                None => return Err(words.unknown_last("selector", &["dev", "nud", "all"])),
            },
        }
    }
    Ok(NeighCommand::Flush { dev, to, nud: state })
}
