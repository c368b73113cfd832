//! `sysctl -w`: settings of the kernel by key.

use super::GrammarError;
use super::sysctl_keys::{KEYS, Kind, is_known, known_near};
use super::words::Words;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// One setting, checked against the kind of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key with dots: `net.ipv4.ip_forward`.
    pub key: String,
    /// The value as it was written; numbers separated by one space.
    pub value: String,
}

impl Setting {
    /// The value's first number. The kind of the key says whether it has one.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        self.numbers().next()
    }

    /// All numbers of the value.
    pub fn numbers(&self) -> impl Iterator<Item = i64> + '_ {
        self.value.split_ascii_whitespace().map_while(|word| word.parse().ok())
    }
}

/// Reads what follows `sysctl`.
///
/// # Errors
/// At a word that is no setting, whose key is not known, or whose value its key does not take.
pub fn parse(words: &mut Words<'_>) -> Result<Vec<Setting>, GrammarError> {
    while let Some(option) = words.peek().filter(|word| word.starts_with('-')) {
        words.next("")?;
        if !matches!(option, "-w" | "--write" | "-q" | "--quiet" | "-wq" | "-qw") {
            return Err(words.unknown_last("option", &["-w", "-q"]));
        }
    }
    let mut settings = Vec::new();
    if words.is_done() {
        return Err(words.missing("key=value"));
    }
    while let Some(word) = words.peek() {
        words.next("")?;
        let Some((key, value)) = word.split_once('=') else {
            return Err(words.wrong_last("key=value, without spaces around the ="));
        };
        settings.push(setting(words, key.trim(), value.trim())?);
    }
    Ok(settings)
}

/// Dots for slashes; a slash first makes dots part of names, as sysctl(8) has it.
fn dotted(key: &str) -> String {
    let first = key.find(['.', '/']).map(|at| key.as_bytes()[at]);
    if first == Some(b'/') { key.replace('/', ".") } else { key.to_string() }
}

fn setting(words: &Words<'_>, key: &str, value: &str) -> Result<Setting, GrammarError> {
    let at = words.at() - 1;
    let key = dotted(key);
    let Some(entry) = KEYS.iter().find(|entry| is_known(entry, &key)) else {
        let message = format!("the stack has no sysctl \"{key}\"");
        return Err(words.error(at, message, known_near(&key)));
    };
    let written: Vec<&str> = value.split_ascii_whitespace().collect();
    let number = |word: &&str, min, max| word.parse::<i64>().is_ok_and(|n| (min..=max).contains(&n));
    let (right, expected) = match entry.kind {
        Kind::Int { min, max } => (
            written.len() == 1 && written.iter().all(|w| number(w, min, max)),
            format!("a number from {min} to {max}"),
        ),
        Kind::Ints { count } => (
            written.len() == count && written.iter().all(|w| number(w, 0, i64::from(i32::MAX))),
            format!("{count} numbers"),
        ),
        Kind::Word { one_of } => (one_of.contains(&value), super::words::one_of(one_of)),
    };
    if !right {
        return Err(words.error(at, format!("{key} does not take \"{value}\""), expected));
    }
    Ok(Setting { key, value: written.join(" ") })
}
