//! The commands that an administrator knows (`ip`, `tc`, `ethtool`, `sysctl`, `nft`), read into plain structs.
//!
//! Reading needs no stack: whoever checks a case calls [`parse`] before anything runs. What is not supported is refused
//! with the word that is to blame. The grammar is that of iproute2 6.1, ethtool 6.1, procps 4 and nftables 1.0.6.

pub mod ethtool;
pub mod ip;
pub mod nft;
pub mod sysctl;
pub mod sysctl_keys;
pub mod tc;
pub mod tc_units;
pub mod value;
pub mod words;

use crate::errno::Errno;
use alloc::string::String;
use alloc::vec::Vec;
use words::Words;

/// Why words are not a command that is supported here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrammarError {
    /// The index of the word that is to blame; the number of words when one is missing at the end.
    pub word: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub expected: String,
}

/// A command that was understood, but that the stack in its present state cannot do: what the tool would print, and the
/// error number behind it. All tools exit with a status other than zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error that Linux gives over netlink.
    pub errno: Errno,
    /// The text of the extended acknowledgement, or of `strerror(3)`.
    pub message: String,
}

impl Refusal {
    /// A refusal with Linux's text.
    #[must_use]
    pub fn new(errno: Errno, message: impl Into<String>) -> Self {
        Self { errno, message: message.into() }
    }
}

/// One command.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `ip link`.
    Link(ip::link::LinkCommand),
    /// `ip address`.
    Addr(ip::addr::AddrCommand),
    /// `ip route`.
    Route(ip::route::RouteCommand),
    /// `ip rule`.
    Rule(ip::rule::RuleCommand),
    /// `ip neighbour`.
    Neigh(ip::neigh::NeighCommand),
    /// `tc qdisc`.
    Qdisc(tc::QdiscCommand),
    /// `ethtool -K`, `-C`, `-G`, `-L`, `-A`.
    Ethtool(ethtool::EthtoolCommand),
    /// `sysctl -w`: all settings, in order.
    Sysctl(Vec<sysctl::Setting>),
    /// `nft`: all commands, in order; if one fails none takes effect.
    Nft(Vec<nft::NftCommand>),
}

const TOOLS: [&str; 5] = ["ip", "tc", "ethtool", "sysctl", "nft"];

/// Reads a command that is already split into words.
///
/// # Errors
/// When the words are not a command that is supported; the error points at the word.
pub fn parse(words: &[&str]) -> Result<Command, GrammarError> {
    let mut words = Words::new(words);
    let tool = words.next("a command: ip, tc, ethtool, sysctl or nft")?;
    match tool.rsplit('/').next().unwrap_or(tool) {
        "ip" => ip::parse(&mut words),
        "tc" => tc::parse(&mut words).map(Command::Qdisc),
        "ethtool" => ethtool::parse(&mut words).map(Command::Ethtool),
        "sysctl" => sysctl::parse(&mut words).map(Command::Sysctl),
        "nft" => nft::parse(&words).map(Command::Nft),
        _ => Err(words.unknown_last("command", &TOOLS)),
    }
}

#[cfg(test)]
mod tests;
