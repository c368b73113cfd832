//! What `nft list ruleset` shows: chains, rules and their counters.

use super::rule::Statement;
use super::{BaseChain, Chain, Family, Netfilter, Policy};
use alloc::string::String;
use alloc::vec::Vec;

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainListing {
    /// The family of its table.
    pub family: Family,
    /// The name of its table.
    pub table: String,
    /// Its name.
    pub chain: String,
    /// Its hook, if it has one.
    pub base: Option<BaseChain>,
    /// What becomes of packets at the end of a base chain.
    pub policy: Policy,
    /// Its rules, in order.
    pub rules: Vec<RuleListing>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleListing {
    /// Its handle, as `nft -a` shows it.
    pub handle: u64,
    /// Its text, as it was written.
    pub text: String,
    /// Its comment.
    pub comment: Option<String>,
    /// Packets and bytes of its first counter.
    pub counter: Option<(u64, u64)>,
}

impl Netfilter {
    /// All chains, in the order in which they lie; their rules with counters.
    #[must_use]
    pub fn list(&self) -> Vec<ChainListing> {
        self.chains.iter().flatten().map(Chain::listing).collect()
    }

    /// Packets and bytes of the rule `index` (from 0) of a chain.
    #[must_use]
    pub fn counter(&self, table: &str, chain: &str, index: usize) -> Option<(u64, u64)> {
        let is = |c: &&Chain| c.table.1 == table && c.name == chain;
        self.chains.iter().flatten().find(is)?.rules.get(index)?.counter()
    }

    /// Packets and bytes of the first rule with this comment.
    #[must_use]
    pub fn counter_by_comment(&self, comment: &str) -> Option<(u64, u64)> {
        let mut rules = self.chains.iter().flatten().flat_map(|chain| &chain.rules);
        rules.find(|rule| rule.comment.as_deref() == Some(comment))?.counter()
    }
}

impl Chain {
    fn listing(&self) -> ChainListing {
        let rule = |rule: &super::Rule| RuleListing {
            handle: rule.handle,
            text: rule.text.clone(),
            comment: rule.comment.clone(),
            counter: rule.counter(),
        };
        ChainListing {
            family: self.table.0,
            table: self.table.1.clone(),
            chain: self.name.clone(),
            base: self.base,
            policy: self.policy,
            rules: self.rules.iter().map(rule).collect(),
        }
    }
}

impl super::Rule {
    fn counter(&self) -> Option<(u64, u64)> {
        self.statements.iter().find_map(|statement| match statement {
            Statement::Counter { packets, bytes } => Some((*packets, *bytes)),
            _ => None,
        })
    }
}
