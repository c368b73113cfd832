//! The values that a field of a packet is compared with: single ones, ranges, prefixes and sets.

use super::lexer::Tokens;
use crate::control::GrammarError;
use crate::control::value::{ip_protocol, number, prefix};
use crate::control::words::nearest;
use alloc::string::String;
use alloc::vec::Vec;

/// Which values a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Address,
    Protocol,
    Port,
    Dscp,
    IcmpType,
    TcpFlags,
    Priority,
    Number(u32),
}

const DSCP: [(&str, u32); 22] = [
    ("cs0", 0),
    ("cs1", 8),
    ("cs2", 16),
    ("cs3", 24),
    ("cs4", 32),
    ("cs5", 40),
    ("cs6", 48),
    ("cs7", 56),
    ("df", 0),
    ("be", 0),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("af41", 34),
    ("va", 44),
    ("ef", 46),
];

const ICMP_TYPES: [(&str, u32); 14] = [
    ("echo-reply", 0),
    ("destination-unreachable", 3),
    ("source-quench", 4),
    ("redirect", 5),
    ("echo-request", 8),
    ("router-advertisement", 9),
    ("router-solicitation", 10),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
    ("timestamp-request", 13),
    ("timestamp-reply", 14),
    ("info-request", 15),
    ("info-reply", 16),
    ("address-mask-request", 17),
];

const TCP_FLAGS: [(&str, u32); 8] = [
    ("fin", 0x01),
    ("syn", 0x02),
    ("rst", 0x04),
    ("psh", 0x08),
    ("ack", 0x10),
    ("urg", 0x20),
    ("ecn", 0x40),
    ("cwr", 0x80),
];

impl Kind {
    fn names(self) -> &'static [(&'static str, u32)] {
        match self {
            Self::Dscp => &DSCP,
            Self::IcmpType => &ICMP_TYPES,
            Self::TcpFlags => &TCP_FLAGS,
            _ => &[],
        }
    }

    fn expected(self) -> String {
        match self {
            Self::Address => String::from("an address, a prefix or a range of addresses"),
            Self::Protocol => String::from("a protocol such as udp, or its number"),
            Self::Port => String::from("a port from 0 to 65535, or a range such as 1000-2000"),
            Self::Priority => String::from("a class such as 1:10, none, or a number"),
            Self::Dscp => String::from("a DSCP from 0 to 63, or a name such as cs1 or ef"),
            Self::IcmpType => String::from("a type such as echo-request, or its number"),
            Self::TcpFlags => String::from("flags such as syn or ack"),
            Self::Number(max) => alloc::format!("a number up to {max}, or a range"),
        }
    }

    fn max(self) -> u32 {
        match self {
            Self::Address | Self::Priority => u32::MAX,
            Self::Protocol | Self::IcmpType | Self::TcpFlags => 255,
            Self::Port => 65535,
            Self::Dscp => 63,
            Self::Number(max) => max,
        }
    }

    fn single(self, word: &str) -> Option<(u32, u32)> {
        let named = self.names().iter().find(|(name, _)| *name == word).map(|&(_, value)| value);
        let value = match self {
            Self::Address => {
                let prefix = prefix(word).filter(|_| word.starts_with(|c: char| c.is_ascii_digit()))?;
                let first = u32::from(prefix.addr) & prefix.mask();
                return Some((first, first | !prefix.mask()));
            }
            Self::Protocol => ip_protocol(word).map(u32::from),
            Self::Priority => priority(word),
            _ => named.or_else(|| number(word)),
        };
        value.filter(|&value| value <= self.max()).map(|value| (value, value))
    }

    fn range(self, word: &str) -> Option<(u32, u32)> {
        if let Some(single) = self.single(word) {
            return Some(single);
        }
        let (from, to) = word.split_once('-')?;
        let (from, to) = (self.single(from)?, self.single(to)?);
        (from.0 == from.1 && to.0 == to.1 && from.0 < to.0).then_some((from.0, to.0))
    }
}

/// `skb->priority`: `major:minor` in hexadecimal, `none`, or a number.
fn priority(word: &str) -> Option<u32> {
    let half = |word: &str| match word {
        "" => Some(0),
        _ => u16::from_str_radix(word, 16).ok().map(u32::from),
    };
    match word.split_once(':') {
        Some((major, minor)) => Some(half(major)? << 16 | half(minor)?),
        None if word == "none" => Some(0),
        None => number(word),
    }
}

/// Reads one value, or a set in braces, as ranges with both ends included.
pub(super) fn ranges(tokens: &mut Tokens, kind: Kind) -> Result<Vec<(u32, u32)>, GrammarError> {
    let braces = tokens.take("{");
    let mut list = Vec::new();
    loop {
        let mut value = one(tokens, kind)?;
        while kind == Kind::TcpFlags && (tokens.take("|") || !braces && tokens.take(",")) {
            let flag = one(tokens, kind)?.0;
            value = (value.0 | flag, value.0 | flag);
        }
        list.push(value);
        if !braces {
            return Ok(list);
        }
        if !tokens.take(",") {
            tokens.expect("}")?;
            return Ok(list);
        }
        if tokens.take("}") {
            return Ok(list);
        }
    }
}

fn one(tokens: &mut Tokens, kind: Kind) -> Result<(u32, u32), GrammarError> {
    let expected = kind.expected();
    let mut word = tokens.next(&expected)?;
    if word.starts_with('@') || word.starts_with('$') {
        return Err(tokens.unsupported("values in braces: { 9, 10-20 }"));
    }
    if tokens.peek().is_some_and(|next| next == "-") {
        tokens.next("")?;
        word.push('-');
        word.push_str(&tokens.next(&expected)?);
    }
    kind.range(&word).ok_or_else(|| {
        let mut error = tokens.wrong(&expected);
        if let Some(near) = nearest(&word, kind.names().iter().map(|&(name, _)| name)) {
            error.message.push_str(&alloc::format!("; did you mean \"{near}\"?"));
        }
        error
    })
}
