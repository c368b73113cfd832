//! `ip route`: add, replace, append, change, delete and flush routes.

use super::addr::{Scope, scope};
use super::{Verb, abbreviated};
use crate::control::GrammarError;
use crate::control::value::{self, Prefix};
use crate::control::words::Words;
use crate::netdev::IfName;
use crate::route::RouteKind;
use core::net::Ipv4Addr;

/// The table `local`.
pub const RT_TABLE_LOCAL: u32 = 255;
/// The table `main`.
pub const RT_TABLE_MAIN: u32 = 254;
/// The table `default`.
pub const RT_TABLE_DEFAULT: u32 = 253;

/// One command on routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteCommand {
    /// Any but `flush`.
    Set(RouteSet),
    /// `flush`: every route that matches.
    Flush(RouteFlush),
}

/// A route, and what to do with it. On `del` what is `None` matches any. The kernel refuses what the grammar allows: a
/// destination with host bits (EINVAL), a way without gateway and interface (ENODEV).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSet {
    /// What to do.
    pub verb: Verb,
    /// What the route says; `None` when it was not written.
    pub kind: Option<RouteKind>,
    /// The destination.
    pub to: Prefix,
    /// The gateway.
    pub via: Option<Ipv4Addr>,
    /// The interface.
    pub dev: Option<IfName>,
    /// The preferred source address.
    pub src: Option<Ipv4Addr>,
    /// The metric (`priority`, `preference`); 0 when not given.
    pub metric: Option<u32>,
    /// The table; without it: `main`, or `local` for the kinds local and broadcast.
    pub table: Option<u32>,
    /// The MTU in bytes.
    pub mtu: Option<u32>,
    /// `mtu lock`: path MTU discovery must not lower it.
    pub mtu_lock: bool,
    /// The TOS that a packet must have, or 0.
    pub tos: Option<u8>,
    /// How far the destination is; without it: host for local, link without a gateway, else global.
    pub scope: Option<Scope>,
    /// Who made the route: `rtm_protocol`; iproute2 says 3 (boot).
    pub protocol: Option<u8>,
    /// The gateway is on the link though no route says so.
    pub onlink: bool,
}

/// Which routes to flush.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteFlush {
    /// The table: `None` for all of them.
    pub table: Option<u32>,
    /// Only with this interface.
    pub dev: Option<IfName>,
    /// Only this destination, exactly.
    pub to: Option<Prefix>,
    /// Only those that were learnt: `flush cache`.
    pub cache: bool,
}

const COMMANDS: [&str; 10] =
    ["add", "append", "change", "chg", "delete", "del", "replace", "prepend", "flush", "get"];
const NAMES: [&str; 7] = ["add", "append", "change", "replace", "prepend", "del", "flush"];
const WORDS: [&str; 10] = ["via", "dev", "src", "metric", "table", "mtu", "tos", "scope", "proto", "onlink"];
const PREFIX: &str = "a destination such as 198.51.100.0/24, or default";

fn kind(word: &str) -> Option<RouteKind> {
    Some(match word {
        "unicast" => RouteKind::Unicast,
        "local" => RouteKind::Local,
        "broadcast" => RouteKind::Broadcast,
        "multicast" => RouteKind::Multicast,
        "unreachable" => RouteKind::Unreachable,
        "prohibit" => RouteKind::Prohibit,
        "blackhole" => RouteKind::Blackhole,
        _ => return None,
    })
}

/// Reads the number or the name of a table.
#[must_use]
pub fn table(word: &str) -> Option<u32> {
    match word {
        "local" => Some(RT_TABLE_LOCAL),
        "main" => Some(RT_TABLE_MAIN),
        "default" => Some(RT_TABLE_DEFAULT),
        _ => value::number(word).filter(|&n| n > 0),
    }
}

fn protocol(word: &str) -> Option<u8> {
    match word {
        "redirect" => Some(1),
        "kernel" => Some(2),
        "boot" => Some(3),
        "static" => Some(4),
        "ra" => Some(9),
        "dhcp" => Some(16),
        _ => value::number(word).and_then(|n| u8::try_from(n).ok()),
    }
}

/// Reads what follows `ip route`.
///
/// # Errors
/// At the word that is not supported.
pub fn parse(words: &mut Words<'_>) -> Result<RouteCommand, GrammarError> {
    let verb = match abbreviated(words.next("add, replace, append, change, del or flush")?, &COMMANDS) {
        Some("add") => Verb::Add,
        Some("append") => Verb::Append,
        Some("prepend") => Verb::Prepend,
        Some("change" | "chg") => Verb::Change,
        Some("replace") => Verb::Replace,
        Some("delete" | "del") => Verb::Del,
        Some("flush") => return flush(words).map(RouteCommand::Flush),
        _ => return Err(words.unknown_last("ip route command", &NAMES)),
    };
    set(words, verb).map(RouteCommand::Set)
}

fn set(words: &mut Words<'_>, verb: Verb) -> Result<RouteSet, GrammarError> {
    let mut route = RouteSet {
        verb,
        kind: None,
        to: Prefix::ANY,
        via: None,
        dev: None,
        src: None,
        metric: None,
        table: None,
        mtu: None,
        mtu_lock: false,
        tos: None,
        scope: None,
        protocol: None,
        onlink: false,
    };
    let mut to = None;
    while let Some(word) = words.peek() {
        words.next("")?;
        if let (Some(kind), None) = (kind(word), to) {
            route.kind = Some(kind);
        } else if word == "to" && to.is_none() {
            to = Some(words.value(PREFIX, value::prefix)?);
        } else if let (Some(prefix), None) = (value::prefix(word), to) {
            to = Some(prefix);
        } else if to.is_none() && word.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(words.wrong_last(PREFIX));
        } else {
            attribute(words, word, &mut route)?;
        }
    }
    route.to = to.ok_or_else(|| words.missing(PREFIX))?;
    Ok(route)
}

fn attribute(words: &mut Words<'_>, word: &str, route: &mut RouteSet) -> Result<(), GrammarError> {
    match word {
        "via" => {
            words.take("inet");
            route.via = Some(words.value("the address of a gateway", value::ipv4)?);
        }
        "dev" | "oif" => route.dev = Some(super::interface(words)?),
        "src" => route.src = Some(words.value("a source address", value::ipv4)?),
        "metric" | "priority" | "preference" => {
            route.metric = Some(words.value("a metric", value::number)?);
        }
        "table" => route.table = Some(words.value("a table: a number, main, local or default", table)?),
        "mtu" => {
            route.mtu_lock = words.take("lock");
            route.mtu = Some(words.value("an MTU in bytes", value::number)?);
        }
        "tos" | "dsfield" => route.tos = Some(words.value("a TOS in hexadecimal", value::dsfield)?),
        "scope" => route.scope = Some(words.value("global, site, link or host", scope)?),
        "proto" | "protocol" => {
            route.protocol = Some(words.value("kernel, boot, static or a number", protocol)?);
        }
        "onlink" => route.onlink = true,
        "nexthop" | "nhid" => return Err(words.unsupported_last("one gateway: via ADDRESS")),
        _ => return Err(words.unknown_last("attribute", &WORDS)),
    }
    Ok(())
}

fn flush(words: &mut Words<'_>) -> Result<RouteFlush, GrammarError> {
    let mut flush = RouteFlush { table: Some(RT_TABLE_MAIN), ..RouteFlush::default() };
    if words.is_done() {
        return Err(words.missing("table T, dev eth0, a prefix, or cache"));
    }
    while let Some(word) = words.peek() {
        match word {
            "table" => {
                words.next("")?;
                let all = words.take("all");
                flush.table = match all {
                    true => None,
                    false => Some(words.value("a table: a number, main, local, default or all", table)?),
                };
            }
            "dev" => {
                words.next("")?;
                flush.dev = Some(super::interface(words)?);
            }
            "cache" => {
                words.next("")?;
                flush.cache = true;
            }
            _ => {
                if word == "to" || word == "exact" {
                    words.next("")?;
                }
                flush.to = Some(words.value(PREFIX, value::prefix)?);
            }
        }
    }
    Ok(flush)
}
