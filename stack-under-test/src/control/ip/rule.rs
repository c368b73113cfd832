//! `ip rule`: add, delete and flush policy rules.

use super::{Verb, abbreviated};
use crate::control::GrammarError;
use crate::control::value::{self, Prefix};
use crate::control::words::Words;
use crate::netdev::IfName;

/// One command on rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleCommand {
    /// `add` or `del`.
    Set(RuleSet),
    /// `flush`: every rule but the one with preference 0.
    Flush,
}

/// What a rule says of a packet that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// Look in this table.
    Table(u32),
    /// ENETUNREACH.
    Unreachable,
    /// Dropped in silence, EINVAL for the sender.
    Blackhole,
    /// EACCES.
    Prohibit,
}

/// A rule, and what to do with it. On `del` what is `None` matches any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    /// [`Verb::Add`] or [`Verb::Del`].
    pub verb: Verb,
    /// The preference; without it one less than the least above 0.
    pub preference: Option<u32>,
    /// `not`: matches what the rest does not.
    pub invert: bool,
    /// The source.
    pub from: Option<Prefix>,
    /// The destination.
    pub to: Option<Prefix>,
    /// Mark and mask.
    pub fwmark: Option<(u32, u32)>,
    /// The TOS.
    pub tos: Option<u8>,
    /// The interface that it came in on; `lo` for packets of this host.
    pub iif: Option<IfName>,
    /// The interface that its socket is bound to.
    pub oif: Option<IfName>,
    /// The IP protocol.
    pub ipproto: Option<u8>,
    /// The source ports, both ends included.
    pub sport: Option<(u16, u16)>,
    /// The destination ports, both ends included.
    pub dport: Option<(u16, u16)>,
    /// What it says; without it the table `main`.
    pub action: Option<RuleAction>,
}

const WORDS: [&str; 15] = [
    "from",
    "to",
    "preference",
    "priority",
    "fwmark",
    "tos",
    "iif",
    "oif",
    "ipproto",
    "sport",
    "dport",
    "lookup",
    "table",
    "not",
    "unreachable",
];
const TABLE: &str = "a table: a number, main, local or default";

fn fwmark(word: &str) -> Option<(u32, u32)> {
    match word.split_once('/') {
        Some((mark, mask)) => Some((value::number(mark)?, value::number(mask)?)),
        None => Some((value::number(word)?, u32::MAX)),
    }
}

fn ports(word: &str) -> Option<(u16, u16)> {
    let port = |word: &str| value::number(word).and_then(|n| u16::try_from(n).ok()).filter(|&n| n > 0);
    match word.split_once('-') {
        Some((from, to)) => Some((port(from)?, port(to)?)).filter(|(from, to)| from <= to),
        None => port(word).map(|port| (port, port)),
    }
}

/// Reads what follows `ip rule`.
///
/// # Errors
/// At the word that is not supported.
pub fn parse(words: &mut Words<'_>) -> Result<RuleCommand, GrammarError> {
    let verb = match abbreviated(words.next("add, del or flush")?, &["add", "delete", "del", "flush"]) {
        Some("add") => Verb::Add,
        Some("delete" | "del") => Verb::Del,
        Some(_) => {
            words.finish("the end of the command")?;
            return Ok(RuleCommand::Flush);
        }
        None => return Err(words.unknown_last("ip rule command", &["add", "del", "flush"])),
    };
    let mut rule = RuleSet {
        verb,
        preference: None,
        invert: false,
        from: None,
        to: None,
        fwmark: None,
        tos: None,
        iif: None,
        oif: None,
        ipproto: None,
        sport: None,
        dport: None,
        action: None,
    };
    if words.is_done() {
        return Err(words.missing("a selector and a table, such as from 192.0.2.0/24 lookup 100"));
    }
    while let Some(word) = words.peek() {
        words.next("")?;
        selector(words, word, &mut rule)?;
    }
    Ok(RuleCommand::Set(rule))
}

fn selector(words: &mut Words<'_>, word: &str, rule: &mut RuleSet) -> Result<(), GrammarError> {
    match word {
        "not" => rule.invert = true,
        "from" => rule.from = Some(words.value("a prefix, or all", value::prefix)?),
        "to" => rule.to = Some(words.value("a prefix, or all", value::prefix)?),
        "preference" | "pref" | "priority" | "prio" | "order" => {
            rule.preference = Some(words.value("a preference", value::number)?);
        }
        "fwmark" => rule.fwmark = Some(words.value("a mark, or mark/mask", fwmark)?),
        "tos" | "dsfield" => rule.tos = Some(words.value("a TOS in hexadecimal", value::dsfield)?),
        "iif" | "dev" => rule.iif = Some(super::interface(words)?),
        "oif" => rule.oif = Some(super::interface(words)?),
        "ipproto" => rule.ipproto = Some(words.value("udp, tcp, icmp or a number", value::ip_protocol)?),
        "sport" => rule.sport = Some(words.value("a port, or a range such as 1000-2000", ports)?),
        "dport" => rule.dport = Some(words.value("a port, or a range such as 1000-2000", ports)?),
        "lookup" | "table" => rule.action = Some(RuleAction::Table(words.value(TABLE, super::route::table)?)),
        "unreachable" => rule.action = Some(RuleAction::Unreachable),
        "blackhole" => rule.action = Some(RuleAction::Blackhole),
        "prohibit" => rule.action = Some(RuleAction::Prohibit),
        "type" => {}
        "goto" | "nop" | "nat" => {
            return Err(words.unsupported_last("lookup TABLE, unreachable, blackhole or prohibit"));
        }
        _ => return Err(words.unknown_last("selector", &WORDS)),
    }
    Ok(())
}
