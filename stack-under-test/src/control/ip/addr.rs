//! `ip address`: add, replace, delete and flush addresses.

use super::{Verb, abbreviated};
use crate::control::GrammarError;
use crate::control::value::{self, Prefix};
use crate::control::words::Words;
use crate::netdev::IfName;
use core::net::Ipv4Addr;

/// `rtm_scope`: how far an address or a route reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Scope {
    /// Everywhere: 0.
    Global = 0,
    /// Within the site: 200.
    Site = 200,
    /// On the link: 253.
    Link = 253,
    /// In this host: 254.
    Host = 254,
}

/// Reads a scope by name or number.
#[must_use]
pub fn scope(word: &str) -> Option<Scope> {
    match word {
        "global" | "universe" | "0" => Some(Scope::Global),
        "site" | "200" => Some(Scope::Site),
        "link" | "253" => Some(Scope::Link),
        "host" | "254" => Some(Scope::Host),
        _ => None,
    }
}

/// The broadcast address that goes with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broadcast {
    /// `+`: the host bits set.
    Ones,
    /// `-`: the host bits cleared.
    Zeros,
    /// This one.
    Addr(Ipv4Addr),
}

/// One command on addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddrCommand {
    /// `add`, `replace`, `change` or `del`.
    Set(AddrSet),
    /// `flush dev`.
    Flush {
        /// The interface.
        dev: IfName,
    },
}

/// An address, and what to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddrSet {
    /// What to do.
    pub verb: Verb,
    /// The address and the length of its prefix.
    pub local: Prefix,
    /// The interface.
    pub dev: IfName,
    /// The broadcast address; iproute2 sets none by itself.
    pub broadcast: Option<Broadcast>,
    /// How far it reaches; without it: host for 127.0.0.0/8, else global.
    pub scope: Option<Scope>,
}

const COMMANDS: [&str; 7] = ["add", "change", "chg", "replace", "delete", "del", "flush"];
const WORDS: [&str; 5] = ["dev", "broadcast", "brd", "scope", "local"];

/// Reads what follows `ip address`.
///
/// # Errors
/// At the word that is not supported.
pub fn parse(words: &mut Words<'_>) -> Result<AddrCommand, GrammarError> {
    let verb = match abbreviated(words.next("add, replace, del or flush")?, &COMMANDS) {
        Some("add") => Verb::Add,
        Some("change" | "chg") => Verb::Change,
        Some("replace") => Verb::Replace,
        Some("delete" | "del") => Verb::Del,
        Some(_) => return flush(words),
        None => {
            return Err(
                words.unknown_last("ip address command", &["add", "replace", "change", "del", "flush"])
            );
        }
    };
    let mut local = None;
    let mut set = AddrSet { verb, local: Prefix::ANY, dev: IfName::default(), broadcast: None, scope: None };
    while let Some(word) = words.peek() {
        words.next("")?;
        match word {
            "dev" => set.dev = super::interface(words)?,
            "broadcast" | "brd" => set.broadcast = Some(words.value("an address, + or -", broadcast)?),
            "scope" => set.scope = Some(words.value("global, site, link or host", scope)?),
            _ => {
                if word == "local" {
                    words.next("an address")?;
                }
                let address = words.all()[words.at() - 1];
                let read =
                    value::prefix(address).filter(|_| address.starts_with(|c: char| c.is_ascii_digit()));
                match read {
                    Some(read) if local.is_none() => local = Some(read),
                    Some(_) => return Err(words.unsupported_last("one address")),
                    None if address.starts_with(|c: char| c.is_ascii_digit()) => {
                        return Err(
                            words.wrong_last("an address and its prefix length, such as 192.0.2.1/24")
                        );
                    }
                    None => return Err(words.unknown_last("setting", &WORDS)),
                }
            }
        }
    }
    set.local =
        local.ok_or_else(|| words.missing("an address and its prefix length, such as 192.0.2.1/24"))?;
    if set.dev.is_empty() {
        return Err(words.missing("dev eth0"));
    }
    Ok(AddrCommand::Set(set))
}

fn broadcast(word: &str) -> Option<Broadcast> {
    match word {
        "+" => Some(Broadcast::Ones),
        "-" => Some(Broadcast::Zeros),
        _ => value::ipv4(word).map(Broadcast::Addr),
    }
}

fn flush(words: &mut Words<'_>) -> Result<AddrCommand, GrammarError> {
    words.take("dev");
    let dev = super::interface(words)?;
    words.finish("the end of the command")?;
    Ok(AddrCommand::Flush { dev })
}
