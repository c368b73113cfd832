//! Values: numbers, durations, tolerances, addresses, payloads, comparisons.

use super::model::{Comparison, Expected, Payload, Tolerance};
use super::problem::Problem;
use super::reader::{Read, Reader};
use super::shape::{Key, PAYLOAD};
use super::yaml::{Kind, Node};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// The longest time that a case can name.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

const PATTERN: &[Key] = &[
    Key { name: "pattern", form: super::shape::Form::Text, required: true, about: "Counting or zero." },
    Key {
        name: "length",
        form: super::shape::Form::Number(0, PAYLOAD),
        required: true,
        about: "How many bytes.",
    },
];
const HEX: &[Key] = &[Key {
    name: "hex",
    form: super::shape::Form::Text,
    required: true,
    about: "The bytes, in hexadecimal.",
}];

/// Payloads made of a pattern, so that a thousand equal ones are one piece of memory.
pub type Patterns = BTreeMap<(bool, usize), Payload>;
/// Bytes of different patterns in one case.
pub const PATTERN_BYTES: usize = 256 << 20;

impl Reader {
    /// A whole number between two, in decimal or with `0x`.
    pub fn number(&mut self, node: &Node, low: i64, high: i64) -> Read<i64> {
        let number = match &node.kind {
            Kind::Scalar(s) if s.plain => whole(&s.text),
            Kind::Scalar(s) if whole(&s.text).is_some() => {
                return self.wrong(node, "a number", "a number is written without quotes");
            }
            _ => None,
        };
        let Some(number) = number else {
            return self.wrong(node, "a whole number", "such as `7` or `0x10`");
        };
        if number < low || number > high {
            let problem = Problem::at(&node.span, format!("{number} is out of range"))
                .label("out of range")
                .help(range(low, high));
            return Err(self.report(problem));
        }
        Ok(number)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, node: &Node) -> Read<bool> {
        match node.text() {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            _ => self.wrong(node, "`true` or `false`", "write `true` or `false`"),
        }
    }

    /// `50ms`, `1.5s`.
    pub fn duration(&mut self, node: &Node) -> Read<Duration> {
        match node.text().and_then(duration) {
            Some(time) if time <= LONGEST => Ok(time),
            Some(_) => Err(self.report(
                Problem::at(&node.span, "longer than 24 hours")
                    .label("too long")
                    .help("at most `86400s`; what takes days is no case"),
            )),
            None => self.wrong(node, "a duration", "a number with its unit: `10ns`, `1500us`, `50ms`, `1s`"),
        }
    }

    /// `20ms` or `15%`.
    pub fn tolerance(&mut self, node: &Node) -> Read<Tolerance> {
        let text = node.text().unwrap_or("");
        if let Some(percent) = text.strip_suffix('%') {
            return match percent.trim().parse::<f64>() {
                Ok(percent) if (0.0..=1000.0).contains(&percent) => Ok(Tolerance::Percent(percent)),
                _ => self.wrong(node, "a tolerance", "`15%` or `20ms`"),
            };
        }
        match duration(text) {
            Some(time) if time <= LONGEST => Ok(Tolerance::Time(time)),
            _ => self.wrong(node, "a tolerance", "`15%` or `20ms`"),
        }
    }

    /// An IPv4 address.
    pub fn address(&mut self, node: &Node) -> Read<Ipv4Addr> {
        match node.text().and_then(|text| text.parse().ok()) {
            Some(address) => Ok(address),
            None => self.wrong(node, "an IPv4 address", "such as `192.0.2.2` or `\"${peer.ip}\"`"),
        }
    }

    /// An IPv4 address with a port.
    pub fn endpoint(&mut self, node: &Node) -> Read<SocketAddrV4> {
        match node.text().and_then(|text| text.parse().ok()) {
            Some(address) => Ok(address),
            None => {
                self.wrong(node, "an address with a port", "such as `\"192.0.2.2:7\"` or `\"${peer.ip}:7\"`")
            }
        }
    }

    /// An Ethernet address.
    pub fn mac(&mut self, node: &Node) -> Read<[u8; 6]> {
        match node.text().and_then(mac) {
            Some(address) => Ok(address),
            None => {
                self.wrong(node, "an Ethernet address", "such as `02:00:00:00:00:01` or `\"${peer.mac}\"`")
            }
        }
    }

    /// The name of an error of Linux.
    pub fn errno(&mut self, node: &Node) -> Read<String> {
        let text = node.text().unwrap_or("");
        if text == "EWOULDBLOCK" {
            return Ok("EAGAIN".into());
        }
        let names = super::symbols::errnos();
        if names.iter().any(|name| name == text) {
            return Ok(text.to_owned());
        }
        let problem = Problem::at(&node.span, format!("{} is not the name of an error", node.describe()))
            .label("unknown error")
            .help(super::problem::choose(text, names.iter().map(String::as_str)).as_str())
            .and_help("names are those of errno(3), such as EHOSTUNREACH");
        Err(self.report(problem))
    }

    /// A payload; equal patterns share their memory.
    pub fn payload(&mut self, node: &Node, patterns: &mut Patterns) -> Read<Payload> {
        match &node.kind {
            Kind::Scalar(_) => Ok(Payload(self.text(node)?.as_bytes().into())),
            Kind::Map(entries) if entries.iter().any(|(k, _)| k.text() == Some("hex")) => {
                let fields = self.fields(node, "payload", &[HEX])?;
                let hex = self.need(&fields, "hex")?;
                Ok(Payload(self.hex(hex)?.into()))
            }
            Kind::Map(_) => {
                let fields = self.fields(node, "payload", &[PATTERN])?;
                let (kind, size) = (self.need(&fields, "pattern")?, self.need(&fields, "length")?);
                let counting = self.one_of(kind, &["counting", "zero"])? == "counting";
                let length = usize::try_from(self.number(size, 0, PAYLOAD)?).unwrap_or(0);
                let held = || patterns.keys().map(|(_, length)| length).sum::<usize>();
                if !patterns.contains_key(&(counting, length)) && held() + length > PATTERN_BYTES {
                    let limit = PATTERN_BYTES >> 20;
                    return Err(self.report(
                        Problem::at(&size.span, format!("the payloads exceed {limit} MiB"))
                            .help("make fewer or shorter ones: those of one length are counted once"),
                    ));
                }
                Ok(patterns.entry((counting, length)).or_insert_with(|| pattern(counting, length)).clone())
            }
            Kind::List(_) => self.wrong(
                node,
                "a payload",
                "a text, `{pattern: counting, length: 100}` or `{hex: \"00ff\"}`",
            ),
        }
    }

    /// Bytes in hexadecimal; spaces and colons between them are allowed.
    pub fn hex(&mut self, node: &Node) -> Read<Vec<u8>> {
        let digits: Option<Vec<u8>> = node.text().and_then(|text| {
            text.chars()
                .filter(|c| !c.is_whitespace() && *c != ':')
                .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
                .collect()
        });
        match digits {
            Some(digits) if digits.len().is_multiple_of(2) => {
                Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
            }
            _ => self.wrong(node, "hexadecimal bytes", "two digits a byte, such as \"de ad be ef\""),
        }
    }

    /// What a counter must be: a number, or a comparison in quotes.
    pub fn expected_number(&mut self, node: &Node) -> Read<Expected> {
        match &node.kind {
            Kind::Scalar(s) if !s.plain => match comparison(&s.text) {
                Some(expected) => Ok(expected),
                None => self.wrong(
                    node,
                    "a number or a comparison",
                    "a number, or `\">=1\"`, `\"<5\"`, `\"!=0\"`",
                ),
            },
            Kind::Scalar(s) if whole(&s.text).is_none() => {
                self.wrong(node, "a number or a comparison", "a number, or `\">=1\"` in quotes")
            }
            _ => Ok(Expected::Number(self.number(node, i64::MIN, i64::MAX)?)),
        }
    }
}

fn pattern(counting: bool, length: usize) -> Payload {
    if !counting {
        return Payload(vec![0; length].into());
    }
    let block: Vec<u8> = (0..=255).collect();
    Payload(block.repeat(length / block.len() + 1)[..length].into())
}

/// A whole number as YAML writes it.
#[must_use]
pub fn whole(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let value = match (digits.strip_prefix("0x"), digits.strip_prefix("0o")) {
        (Some(hex), _) if hex.starts_with(|c: char| c.is_ascii_hexdigit()) => i128::from_str_radix(hex, 16),
        (_, Some(octal)) if octal.starts_with(|c: char| c.is_digit(8)) => i128::from_str_radix(octal, 8),
        _ => digits.parse::<i128>(),
    };
    let value = value.ok()?;
    i64::try_from(if negative { -value } else { value }).ok()
}

/// `50ms`; exact, to the nanosecond.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(at);
    let digits: u32 = match unit {
        "ns" => 0,
        "us" | "µs" => 3,
        "ms" => 6,
        "s" => 9,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let places = u32::try_from(fraction.len()).ok()?;
    if whole.is_empty()
        || whole.len() > 18
        || places > digits
        || (number.contains('.') && fraction.is_empty())
    {
        return None;
    }
    let part: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let nanos = whole.parse::<u64>().ok()?.checked_mul(10_u64.pow(digits))?;
    Some(Duration::from_nanos(nanos.checked_add(part * 10_u64.pow(digits - places))?))
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part =
            parts.next().filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

fn comparison(text: &str) -> Option<Expected> {
    let text = text.trim();
    let signs = [
        (">=", Comparison::GreaterOrEqual),
        ("<=", Comparison::LessOrEqual),
        ("!=", Comparison::NotEqual),
        (">", Comparison::Greater),
        ("<", Comparison::Less),
    ];
    let (sign, comparison) = signs.into_iter().find(|(sign, _)| text.starts_with(sign))?;
    Some(Expected::Compare(comparison, whole(text[sign.len()..].trim())?))
}
/// The help for a number that is out of range.
fn range(low: i64, high: i64) -> String {
    match (low, high) {
        (i64::MIN, _) => format!("a number up to {high}"),
        (_, i64::MAX) => format!("a number from {low}"),
        _ => format!("a number from {low} to {high}"),
    }
}
