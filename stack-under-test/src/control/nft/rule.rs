//! The parts of a rule: matches and statements.

use super::lexer::Tokens;
use super::value::{Kind, ranges};
use crate::control::GrammarError;
use crate::control::value::{self, number};
use crate::netfilter::rule::{Field, Match, RuleSpec, RuleVerdict, Statement};
use alloc::string::String;
use alloc::vec::Vec;

/// Group, name, field, and what values it takes.
const FIELDS: [(&str, &str, Field, Kind); 24] = [
    ("ip", "saddr", Field::IpSaddr, Kind::Address),
    ("ip", "daddr", Field::IpDaddr, Kind::Address),
    ("ip", "protocol", Field::IpProtocol, Kind::Protocol),
    ("ip", "ttl", Field::IpTtl, Kind::Number(255)),
    ("ip", "dscp", Field::IpDscp, Kind::Dscp),
    ("ip", "length", Field::IpLength, Kind::Number(65535)),
    ("ip", "id", Field::IpId, Kind::Number(65535)),
    ("ip", "frag-off", Field::IpFragOff, Kind::Number(65535)),
    ("udp", "sport", Field::UdpSport, Kind::Port),
    ("udp", "dport", Field::UdpDport, Kind::Port),
    ("udp", "length", Field::UdpLength, Kind::Number(65535)),
    ("tcp", "sport", Field::TcpSport, Kind::Port),
    ("tcp", "dport", Field::TcpDport, Kind::Port),
    ("tcp", "flags", Field::TcpFlags, Kind::TcpFlags),
    ("th", "sport", Field::ThSport, Kind::Port),
    ("th", "dport", Field::ThDport, Kind::Port),
    ("icmp", "type", Field::IcmpType, Kind::IcmpType),
    ("icmp", "code", Field::IcmpCode, Kind::Number(255)),
    ("meta", "l4proto", Field::MetaL4proto, Kind::Protocol),
    ("meta", "mark", Field::MetaMark, Kind::Number(u32::MAX)),
    ("meta", "length", Field::MetaLength, Kind::Number(u32::MAX)),
    ("meta", "priority", Field::MetaPriority, Kind::Priority),
    ("", "mark", Field::MetaMark, Kind::Number(u32::MAX)),
    ("", "priority", Field::MetaPriority, Kind::Priority),
];

const PARTS: [&str; 18] = [
    "ip", "udp", "tcp", "th", "icmp", "meta", "mark", "iif", "oif", "iifname", "oifname", "counter",
    "accept", "drop", "return", "continue", "jump", "goto",
];

/// Reads a rule up to the end, or to the `;` behind it.
pub(super) fn parse(tokens: &mut Tokens) -> Result<RuleSpec, GrammarError> {
    let from = tokens.position();
    let mut rule = RuleSpec::default();
    let mut terminal = false;
    let mut text_to = None;
    while !matches!(tokens.peek(), None | Some(";")) {
        if tokens.peek() == Some("comment") {
            text_to = Some(tokens.text_from(from));
            tokens.next("")?;
            rule.comment = Some(tokens.next("a comment in quotes")?);
            break;
        }
        let word = tokens.next("")?;
        if terminal {
            return Err(tokens.wrong("reached: the statement before it ends the rule"));
        }
        let statement = statement(tokens, &word)?;
        terminal = matches!(&statement, Statement::Verdict(_));
        rule.statements.push(statement);
    }
    if rule.statements.is_empty() {
        tokens.next("a match or a statement, such as udp dport 9 counter drop")?;
        return Err(tokens.wrong("a match or a statement, such as udp dport 9 counter drop"));
    }
    rule.text = text_to.unwrap_or_else(|| tokens.text_from(from));
    Ok(rule)
}

fn statement(tokens: &mut Tokens, word: &str) -> Result<Statement<String>, GrammarError> {
    let verdict = match word {
        "accept" => RuleVerdict::Accept,
        "drop" => RuleVerdict::Drop,
        "return" => RuleVerdict::Return,
        "continue" => RuleVerdict::Continue,
        "jump" => RuleVerdict::Jump(super::name(tokens, "the name of a chain")?),
        "goto" => RuleVerdict::Goto(super::name(tokens, "the name of a chain")?),
        "counter" => return counter(tokens),
        "reject" | "log" | "limit" | "queue" | "snat" | "dnat" | "masquerade" | "redirect" | "notrack"
        | "dup" | "fwd" | "quota" | "tproxy" | "synproxy" => {
            return Err(tokens.unsupported(
                "counter, accept, drop, return, jump, goto, meta mark set or meta priority set",
            ));
        }
        "ct" | "ip6" | "ether" | "arp" | "vlan" | "rt" | "socket" | "fib" | "numgen" | "jhash" | "exthdr" => {
            return Err(tokens.unsupported("a match on ip, udp, tcp, th, icmp, meta, iif or oif"));
        }
        _ => return condition(tokens, word),
    };
    Ok(Statement::Verdict(verdict))
}

fn counter(tokens: &mut Tokens) -> Result<Statement<String>, GrammarError> {
    let (mut packets, mut bytes) = (0, 0);
    if tokens.take("packets") {
        packets = tokens.number("a number of packets")?;
        tokens.expect("bytes")?;
        bytes = tokens.number("a number of bytes")?;
    }
    Ok(Statement::Counter { packets, bytes })
}

fn condition(tokens: &mut Tokens, word: &str) -> Result<Statement<String>, GrammarError> {
    let in_group = FIELDS.iter().any(|(group, ..)| *group == word);
    let (group, name) = if in_group { (word, tokens.next("a field")?) } else { ("", String::from(word)) };
    if matches!(name.as_str(), "iif" | "oif" | "iifname" | "oifname") && matches!(group, "" | "meta") {
        return interface(tokens, &name).map(Statement::Match);
    }
    let Some(&(.., field, kind)) = FIELDS.iter().find(|(g, n, ..)| *g == group && *n == name) else {
        let names: Vec<&str> = FIELDS.iter().filter(|(g, ..)| *g == group).map(|&(_, n, ..)| n).collect();
        let what = alloc::format!("field of {group}");
        return Err(match group {
            "" => tokens.unknown("match or statement", &PARTS),
            _ => tokens.unknown(&what, &names),
        });
    };
    if matches!(field, Field::MetaMark | Field::MetaPriority) && tokens.take("set") {
        return set(tokens, field, kind);
    }
    let mut mask = u32::MAX;
    if tokens.take("&") || tokens.take("and") {
        let word = tokens.next("a mask")?;
        mask = number(&word).ok_or_else(|| tokens.wrong("a mask"))?;
    }
    let compared = comparison(tokens, kind)?;
    let mask = mask & compared.implied_mask;
    Ok(Statement::Match(Match::Number { field, mask, negate: compared.negate, ranges: compared.ranges }))
}

fn set(tokens: &mut Tokens, field: Field, kind: Kind) -> Result<Statement<String>, GrammarError> {
    let list = ranges(tokens, kind)?;
    let [(value, end)] = list[..] else { return Err(tokens.wrong("one value")) };
    if value != end {
        return Err(tokens.wrong("one value"));
    }
    Ok(match field {
        Field::MetaMark => Statement::SetMark(value),
        _ => Statement::SetPriority(value),
    })
}

struct Comparison {
    negate: bool,
    ranges: Vec<(u32, u32)>,
    /// Flags without an operator ask whether one of them is set.
    implied_mask: u32,
}

fn comparison(tokens: &mut Tokens, kind: Kind) -> Result<Comparison, GrammarError> {
    let all = u32::MAX;
    let operator = match tokens.peek() {
        Some(word @ ("==" | "eq" | "!=" | "ne" | "<" | "lt" | ">" | "gt" | "<=" | "le" | ">=" | "ge")) => {
            let word = String::from(word);
            tokens.next("")?;
            word
        }
        _ if kind == Kind::TcpFlags => {
            let list = ranges(tokens, kind)?;
            let mask = list.iter().fold(0, |mask, &(flag, _)| mask | flag);
            return Ok(Comparison { negate: true, ranges: alloc::vec![(0, 0)], implied_mask: mask });
        }
        _ => String::new(),
    };
    let list = ranges(tokens, kind)?;
    let order = |tokens: &Tokens| match list[..] {
        [(value, end)] if value == end => Ok(value),
        _ => Err(tokens.wrong("one value to compare with")),
    };
    let ranges = match operator.as_str() {
        "<" | "lt" => {
            let below = order(tokens)?.checked_sub(1).ok_or_else(|| tokens.wrong("above zero"))?;
            alloc::vec![(0, below)]
        }
        "<=" | "le" => alloc::vec![(0, order(tokens)?)],
        ">" | "gt" => {
            let above = order(tokens)?.checked_add(1).ok_or_else(|| tokens.wrong("below the largest"))?;
            alloc::vec![(above, all)]
        }
        ">=" | "ge" => alloc::vec![(order(tokens)?, all)],
        _ => list,
    };
    Ok(Comparison { negate: matches!(operator.as_str(), "!=" | "ne"), ranges, implied_mask: all })
}

fn interface(tokens: &mut Tokens, name: &str) -> Result<Match, GrammarError> {
    let by_name = name.ends_with("name");
    let negate = tokens.take("!=");
    if !negate {
        tokens.take("==");
    }
    let braces = tokens.take("{");
    let mut names = Vec::new();
    loop {
        let word = tokens.next("the name of an interface")?;
        if !by_name && value::interface(&word).is_none() {
            return Err(tokens.wrong("an interface of the stack: eth0 or lo"));
        }
        names.push(word);
        if !braces {
            break;
        }
        if !tokens.take(",") {
            tokens.expect("}")?;
            break;
        }
    }
    Ok(Match::Interface { out: name.starts_with('o'), negate, names })
}
