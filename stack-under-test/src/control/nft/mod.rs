//! `nft`: tables, chains and rules, in the grammar of nftables 1.0.6.

mod lexer;
pub mod rule;
mod value;

use super::GrammarError;
use super::words::Words;
use crate::netfilter::rule::RuleSpec;
use crate::netfilter::{BaseChain, ChainType, Family, Hook, Policy};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use lexer::Tokens;

/// A table by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRef {
    /// Its family.
    pub family: Family,
    /// Its name.
    pub name: String,
}

/// A chain by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainRef {
    /// Its table.
    pub table: TableRef,
    /// Its name.
    pub name: String,
}

/// What stands in the braces behind a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainSpec {
    /// `type … hook … priority …`.
    pub base: Option<BaseChain>,
    /// `policy …`.
    pub policy: Option<Policy>,
}

/// Where in its chain a rule goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `add`: behind all.
    End,
    /// `insert`: before all.
    Start,
    /// `add … handle N`.
    AfterHandle(u64),
    /// `insert … handle N`.
    BeforeHandle(u64),
    /// `add … index N`, from 0.
    AfterIndex(usize),
    /// `insert … index N`, from 0.
    BeforeIndex(usize),
    /// `replace … handle N`.
    Replace(u64),
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NftCommand {
    /// `add table`, `create table`.
    AddTable {
        /// Which.
        table: TableRef,
        /// EEXIST when it is there.
        create: bool,
    },
    /// `delete table`, with all in it.
    DeleteTable(TableRef),
    /// `flush table`: all rules in it.
    FlushTable(TableRef),
    /// `flush ruleset`.
    FlushRuleset,
    /// `add chain`, `create chain`.
    AddChain {
        /// Which.
        chain: ChainRef,
        /// EEXIST when it is there.
        create: bool,
        /// Where it hangs.
        spec: ChainSpec,
    },
    /// `delete chain`, with its rules.
    DeleteChain(ChainRef),
    /// `flush chain`: its rules.
    FlushChain(ChainRef),
    /// `add rule`, `insert rule`, `replace rule`.
    AddRule {
        /// To which chain.
        chain: ChainRef,
        /// Where in it.
        place: Place,
        /// The rule.
        rule: RuleSpec,
    },
    /// `delete rule … handle N`.
    DeleteRule {
        /// In which chain.
        chain: ChainRef,
        /// Which.
        handle: u64,
    },
}

const VERBS: [&str; 6] = ["add", "create", "insert", "replace", "delete", "flush"];

/// Reads what follows `nft`: commands separated by `;`.
///
/// # Errors
/// At the word that is not supported.
pub fn parse(words: &Words<'_>) -> Result<Vec<NftCommand>, GrammarError> {
    let mut tokens = Tokens::new(words)?;
    let mut commands = Vec::new();
    loop {
        while tokens.take(";") {}
        if tokens.is_done() && !commands.is_empty() {
            return Ok(commands);
        }
        commands.push(command(&mut tokens)?);
        if !tokens.is_done() && !tokens.take(";") {
            tokens.next("")?;
            return Err(tokens.wrong("the end of the command"));
        }
    }
}

fn command(tokens: &mut Tokens) -> Result<NftCommand, GrammarError> {
    let verb = tokens.next("add, create, insert, replace, delete or flush")?;
    if !VERBS.contains(&verb.as_str()) {
        return Err(match verb.as_str() {
            "list" | "monitor" | "reset" | "export" => tokens.unsupported("a command that changes something"),
            _ => tokens.unknown("nft command", &VERBS),
        });
    }
    let object = tokens.next("table, chain or rule")?;
    match (verb.as_str(), object.as_str()) {
        ("flush", "ruleset") => {
            family(tokens)?;
            Ok(NftCommand::FlushRuleset)
        }
        ("add" | "create", "table") => {
            let table = table(tokens)?;
            Ok(NftCommand::AddTable { table, create: verb == "create" })
        }
        ("delete", "table") => table(tokens).map(NftCommand::DeleteTable),
        ("flush", "table") => table(tokens).map(NftCommand::FlushTable),
        ("add" | "create", "chain") => {
            let chain = chain(tokens)?;
            let spec = chain_spec(tokens)?;
            Ok(NftCommand::AddChain { chain, create: verb == "create", spec })
        }
        ("delete", "chain") => chain(tokens).map(NftCommand::DeleteChain),
        ("flush", "chain") => chain(tokens).map(NftCommand::FlushChain),
        ("delete", "rule") => {
            let chain = chain(tokens)?;
            tokens.expect("handle")?;
            let handle = tokens.number("the handle of a rule")?;
            Ok(NftCommand::DeleteRule { chain, handle })
        }
        ("add" | "insert" | "replace", "rule") => {
            let chain = chain(tokens)?;
            let place = place(tokens, &verb)?;
            let rule = rule::parse(tokens)?;
            Ok(NftCommand::AddRule { chain, place, rule })
        }
        (_, "set" | "map" | "element" | "flowtable" | "counter" | "quota" | "limit" | "ct") => {
            Err(tokens.unsupported("table, chain or rule"))
        }
        (_, "table" | "chain" | "rule") => Err(tokens.wrong("what this command works on (see nft(8))")),
        _ => Err(tokens.unknown("nft object", &["table", "chain", "rule", "ruleset"])),
    }
}

fn family(tokens: &mut Tokens) -> Result<Family, GrammarError> {
    let family = match tokens.peek() {
        Some("ip") => Family::Ip,
        Some("inet") => Family::Inet,
        Some("ip6" | "arp" | "bridge" | "netdev") => {
            tokens.next("")?;
            return Err(tokens.unsupported("the family ip or inet"));
        }
        _ => return Ok(Family::Ip),
    };
    tokens.next("")?;
    Ok(family)
}

fn name(tokens: &mut Tokens, expected: &str) -> Result<String, GrammarError> {
    let name = tokens.next(expected)?;
    let right = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '\\'));
    if right && name != "rt" { Ok(name) } else { Err(tokens.wrong(expected)) }
}

fn table(tokens: &mut Tokens) -> Result<TableRef, GrammarError> {
    let family = family(tokens)?;
    Ok(TableRef { family, name: name(tokens, "the name of a table")? })
}

fn chain(tokens: &mut Tokens) -> Result<ChainRef, GrammarError> {
    let table = table(tokens)?;
    Ok(ChainRef { table, name: name(tokens, "the name of a chain")? })
}

fn place(tokens: &mut Tokens, verb: &str) -> Result<Place, GrammarError> {
    let by_handle = tokens.take("handle") || tokens.take("position");
    if by_handle {
        let handle = tokens.number("the handle of a rule")?;
        return Ok(match verb {
            "add" => Place::AfterHandle(handle),
            "insert" => Place::BeforeHandle(handle),
            _ => Place::Replace(handle),
        });
    }
    if verb == "replace" {
        tokens.next("handle N")?;
        return Err(tokens.wrong("handle N"));
    }
    if tokens.take("index") {
        let index = tokens.number("the index of a rule, from 0")?;
        return Ok(if verb == "add" { Place::AfterIndex(index) } else { Place::BeforeIndex(index) });
    }
    Ok(if verb == "add" { Place::End } else { Place::Start })
}

fn chain_spec(tokens: &mut Tokens) -> Result<ChainSpec, GrammarError> {
    let mut spec = ChainSpec::default();
    if !tokens.take("{") {
        return Ok(spec);
    }
    loop {
        while tokens.take(";") {}
        match tokens.next("type, policy or }")?.as_str() {
            "}" => return Ok(spec),
            "type" => spec.base = Some(base_chain(tokens)?),
            "policy" => {
                spec.policy = Some(match tokens.next("accept or drop")?.as_str() {
                    "accept" => Policy::Accept,
                    "drop" => Policy::Drop,
                    _ => return Err(tokens.wrong("accept or drop")),
                });
            }
            "comment" => {
                tokens.next("a comment in quotes")?;
            }
            _ => return Err(tokens.unknown("part of a chain", &["type", "policy", "comment"])),
        }
        tokens.expect(";")?;
    }
}

fn base_chain(tokens: &mut Tokens) -> Result<BaseChain, GrammarError> {
    let kind = match tokens.next("filter or route")?.as_str() {
        "filter" => ChainType::Filter,
        "route" => ChainType::Route,
        "nat" => return Err(tokens.unsupported("filter or route")),
        _ => return Err(tokens.unknown("type of chain", &["filter", "route"])),
    };
    tokens.expect("hook")?;
    let hook = match tokens.next("prerouting, input, forward, output or postrouting")?.as_str() {
        "prerouting" => Hook::PreRouting,
        "input" => Hook::LocalIn,
        "forward" => Hook::Forward,
        "output" => Hook::LocalOut,
        "postrouting" => Hook::PostRouting,
        "ingress" | "egress" => {
            return Err(tokens.unsupported("prerouting, input, forward, output or postrouting"));
        }
        _ => {
            return Err(tokens.unknown("hook", &["prerouting", "input", "forward", "output", "postrouting"]));
        }
    };
    tokens.expect("priority")?;
    Ok(BaseChain { kind, hook, priority: priority(tokens, hook)? })
}

const PRIORITY: &str = "a number, or raw, mangle, dstnat, filter, security or srcnat, with + N or - N";

fn priority(tokens: &mut Tokens, hook: Hook) -> Result<i32, GrammarError> {
    let word = tokens.next(PRIORITY)?;
    let signed = if word == "-" { alloc::format!("-{}", tokens.next(PRIORITY)?) } else { word.to_string() };
    if let Ok(number) = signed.parse() {
        return Ok(number);
    }
    let split = word.find(['+', '-']).unwrap_or(word.len());
    let base = match &word[..split] {
        "raw" => -300,
        "mangle" => -150,
        "filter" => 0,
        "security" => 50,
        "dstnat" if hook == Hook::PreRouting => -100,
        "srcnat" if hook == Hook::PostRouting => 100,
        "dstnat" | "srcnat" => return Err(tokens.wrong("a priority that this hook has")),
        _ => {
            return Err(
                tokens.unknown("priority", &["raw", "mangle", "dstnat", "filter", "security", "srcnat"])
            );
        }
    };
    let mut offset = word[split..].to_string();
    if offset.is_empty() && matches!(tokens.peek(), Some("+" | "-")) {
        offset = tokens.next(PRIORITY)?;
    }
    if matches!(offset.as_str(), "+" | "-") {
        offset.push_str(&tokens.next(PRIORITY)?);
    }
    match offset.as_str() {
        "" => Ok(base),
        offset => {
            offset.parse::<i32>().ok().and_then(|n| base.checked_add(n)).ok_or_else(|| tokens.wrong(PRIORITY))
        }
    }
}
