//! The notation as text to a segment. What is wrong is told with its place in the text.

use super::options::{self, TcpOption};
use super::{ACK, Bases, LETTERS, TcpSpec, URG};
use crate::case::model::Location;

/// What is wrong with a text, and where: from one byte to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotationError {
    /// The first byte.
    pub from: usize,
    /// The byte after the last.
    pub to: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

type Parsed<T> = Result<T, NotationError>;

/// Bytes of options that a header has room for (RFC 9293 section 3.1).
const OPTIONS_ROOM: usize = 40;
/// A whole segment, for messages.
const WHOLE: &str = "`40000 > 8080 P. 1:11(10) ack 1 win 512 <nop,nop,TS val 1 ecr 2>`";

/// Reads a segment: `[src > dst] FLAGS first:last(length) [ack N] [win N] [urg N] [<options>]`.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(text: &str, at: Location) -> Result<TcpSpec, NotationError> {
    let mut p = Parser { text, at: 0 };
    let ports = p.ports()?;
    let flags = p.flags()?;
    let (seq, length) = p.range()?;
    let (flags_at, flags) = flags;
    let spec = TcpSpec {
        at,
        ports,
        flags,
        seq,
        length,
        ack: None,
        window: None,
        urgent: None,
        options: None,
        bases: Bases::default(),
    };
    p.clauses(spec, flags_at)
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

fn wrong<T>((from, to): (usize, usize), message: impl Into<String>, help: impl Into<String>) -> Parsed<T> {
    Err(NotationError { from, to, message: message.into(), help: help.into() })
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Goes beyond this text, if it stands here.
    fn eat(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        self.at += if found { what.len() } else { 0 };
        found
    }

    /// What stands here up to a space or one of the signs, with its place.
    fn word(&mut self) -> (&'t str, (usize, usize)) {
        self.spaces();
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || "<>,:()".contains(c)).unwrap_or(rest.len());
        let from = self.at;
        self.at += end;
        (&rest[..end], (from, self.at))
    }

    /// The next character, to point at; the last one where the text is over.
    fn here(&self) -> (usize, usize) {
        match self.rest().chars().next() {
            Some(c) => (self.at, self.at + c.len_utf8()),
            None => (self.text.len().saturating_sub(1), self.text.len()),
        }
    }

    fn number(&mut self, what: &str, most: u32) -> Parsed<u32> {
        let (word, place) = self.word();
        if word.is_empty() {
            return wrong(self.here(), format!("expected {what}"), format!("a number; the whole is {WHOLE}"));
        }
        match word.parse::<u32>() {
            Ok(number) if number <= most => Ok(number),
            Ok(number) => {
                wrong(place, format!("{number} is too large for {what}"), format!("at most {most}"))
            }
            Err(_) => {
                wrong(place, format!("expected {what}, found `{word}`"), format!("a number from 0 to {most}"))
            }
        }
    }

    /// `src > dst`, where it is there.
    fn ports(&mut self) -> Parsed<Option<(Option<u16>, Option<u16>)>> {
        self.spaces();
        let begin = self.rest();
        if !begin.starts_with(|c: char| c.is_ascii_digit() || c == '*') || !self.has_arrow() {
            return Ok(None);
        }
        let src = self.port("the source port")?;
        self.spaces();
        if !self.eat(">") {
            return wrong(self.here(), "expected `>` between the ports", "write `40000 > 8080`");
        }
        Ok(Some((src, self.port("the destination port")?)))
    }

    /// Whether `>` comes before the flags: not that of the options.
    fn has_arrow(&self) -> bool {
        self.rest().find('>').is_some_and(|arrow| self.rest().find('<').is_none_or(|open| arrow < open))
    }

    fn port(&mut self, what: &str) -> Parsed<Option<u16>> {
        self.spaces();
        if self.eat("*") {
            return Ok(None);
        }
        Ok(u16::try_from(self.number(what, 65_535)?).ok())
    }

    fn flags(&mut self) -> Parsed<((usize, usize), u8)> {
        let (word, place) = self.word();
        const HELP: &str = "S, F, R, P, U, E (ECE), W (CWR) and . (ACK), or - for none";
        if word.is_empty() {
            return wrong(self.here(), "expected the flags", HELP);
        }
        let mut flags = 0;
        for (at, letter) in word.char_indices().filter(|_| word != "-") {
            let place = (place.0 + at, place.0 + at + letter.len_utf8());
            match LETTERS.iter().find(|(known, _)| *known == letter) {
                None => return wrong(place, format!("there is no flag `{letter}`"), HELP),
                Some((_, bit)) if flags & bit != 0 => {
                    return wrong(place, format!("the flag `{letter}` stands twice"), "name each flag once");
                }
                Some((_, bit)) => flags |= bit,
            }
        }
        Ok((place, flags))
    }

    /// `1:11(10)`
    fn range(&mut self) -> Parsed<(u32, u32)> {
        self.spaces();
        let from = self.at;
        let first = self.number("the sequence number", u32::MAX)?;
        let help = format!("write `{first}:{first}(0)`: first, the one after the last, and the length");
        if !self.eat(":") {
            return wrong(self.here(), "expected `:` after the sequence number", help);
        }
        let last = self.number("the sequence number after the last", u32::MAX)?;
        if !self.eat("(") {
            return wrong(self.here(), "expected `(` and the length", help);
        }
        let length = self.number("the length", 65_535)?;
        if !self.eat(")") {
            return wrong(self.here(), "expected `)` after the length", help);
        }
        let between = last.wrapping_sub(first);
        if between != length {
            let message = format!("{first}:{last} are {between} bytes, not {length}");
            let right = super::range(first, length);
            return wrong((from, self.at), message, format!("`{right}`; SYN and FIN do not count"));
        }
        Ok((first, length))
    }

    /// `ack`, `win`, `urg` and the options, each at most once.
    fn clauses(&mut self, mut spec: TcpSpec, flags_at: (usize, usize)) -> Parsed<TcpSpec> {
        loop {
            self.spaces();
            if self.rest().is_empty() {
                break;
            }
            if self.rest().starts_with('<') {
                let from = self.at;
                let list = self.options()?;
                if spec.options.replace(list).is_some() {
                    return wrong((from, self.at), "the options stand twice", "keep one list");
                }
                continue;
            }
            let (word, place) = self.word();
            let half = |n: u32| u16::try_from(n).ok();
            let twice = match word {
                "ack" => spec.ack.replace(self.number("the acknowledgement number", u32::MAX)?).is_some(),
                "win" => std::mem::replace(&mut spec.window, half(self.number("the window field", 65_535)?))
                    .is_some(),
                "urg" => {
                    std::mem::replace(&mut spec.urgent, half(self.number("the urgent pointer", 65_535)?))
                        .is_some()
                }
                _ => {
                    let (message, place) = match word {
                        "" => ("this is not understood".to_owned(), self.here()),
                        _ => (format!("`{word}` is not understood"), place),
                    };
                    return wrong(
                        place,
                        message,
                        format!("`ack`, `win`, `urg` or `<…>`; the whole is {WHOLE}"),
                    );
                }
            };
            if twice {
                return wrong(place, format!("`{word}` stands twice"), "keep one");
            }
        }
        agree(&spec, flags_at)?;
        Ok(spec)
    }

    /// `<mss 1460,nop>`
    fn options(&mut self) -> Parsed<Vec<TcpOption>> {
        let from = self.at;
        self.at += 1;
        let mut list = Vec::new();
        self.spaces();
        if self.eat(">") {
            return Ok(list);
        }
        loop {
            list.push(self.option()?);
            self.spaces();
            if self.eat(">") {
                break;
            }
            if !self.eat(",") {
                return wrong(self.here(), "expected `,` or `>` after an option", "such as `<mss 1460,nop>`");
            }
        }
        let bytes = options::encode(&list).len();
        if bytes > OPTIONS_ROOM {
            let message = format!("these options take {bytes} bytes");
            return wrong((from, self.at), message, format!("a header has room for {OPTIONS_ROOM}"));
        }
        Ok(list)
    }

    fn option(&mut self) -> Parsed<TcpOption> {
        let (word, place) = self.word();
        Ok(match word {
            "eol" => TcpOption::Eol,
            "nop" => TcpOption::Nop,
            "sackOK" => TcpOption::SackOk,
            "mss" => TcpOption::Mss(u16::try_from(self.number("the MSS", 65_535)?).unwrap_or(u16::MAX)),
            "wscale" => {
                TcpOption::Wscale(u8::try_from(self.number("the window scale", 255)?).unwrap_or(u8::MAX))
            }
            "TS" => {
                let val = self.named("val", "the timestamp")?;
                TcpOption::Timestamps { val, ecr: self.named("ecr", "the timestamp that is echoed")? }
            }
            "sack" => TcpOption::Sack(self.blocks()?),
            "" => return wrong(self.here(), "expected an option", KNOWN),
            _ => return wrong(place, format!("there is no option `{word}`"), KNOWN),
        })
    }

    fn named(&mut self, name: &str, what: &str) -> Parsed<u32> {
        match self.word() {
            (word, _) if word == name => self.number(what, u32::MAX),
            ("", _) => wrong(self.here(), format!("expected `{name}`"), "write `TS val 1 ecr 2`"),
            (word, place) => {
                wrong(place, format!("expected `{name}`, found `{word}`"), "write `TS val 1 ecr 2`")
            }
        }
    }

    fn blocks(&mut self) -> Parsed<Vec<(u32, u32)>> {
        let mut blocks = Vec::new();
        loop {
            self.spaces();
            if !blocks.is_empty() && !self.rest().starts_with(|c: char| c.is_ascii_digit()) {
                return Ok(blocks);
            }
            let first = self.number("the first number of a block", u32::MAX)?;
            if !self.eat(":") {
                return wrong(self.here(), "expected `:` in a block", "write `sack 1001:2001 3001:4001`");
            }
            blocks.push((first, self.number("the number after a block", u32::MAX)?));
        }
    }
}

/// The options that there are.
const KNOWN: &str = "mss N, nop, eol, sackOK, wscale N, TS val N ecr N, sack A:B";

/// Flags and what they give a meaning to go together.
fn agree(spec: &TcpSpec, flags_at: (usize, usize)) -> Parsed<()> {
    let pairs = [(ACK, spec.ack.is_some(), "ack", '.'), (URG, spec.urgent.is_some(), "urg", 'U')];
    for (bit, given, word, letter) in pairs {
        match (spec.flags & bit != 0, given) {
            (true, false) => {
                return wrong(
                    flags_at,
                    format!("the flag `{letter}` without `{word} N`"),
                    format!("add `{word} 1`"),
                );
            }
            (false, true) => {
                let message = format!("`{word}` without the flag `{letter}`");
                return wrong(
                    flags_at,
                    message,
                    format!("add `{letter}` to the flags, or take `{word}` away"),
                );
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
