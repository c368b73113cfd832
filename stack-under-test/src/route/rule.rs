//! Policy rules: which packets look into which table.

use super::table::ROUTING_TOS;
use super::{Fib, FlowKey, OifId, Prefix, RT_TABLE_DEFAULT, RT_TABLE_LOCAL, RT_TABLE_MAIN, RouteError};
use crate::errno::Errno;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::ops::RangeInclusive;

/// What a rule does with a packet that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// `lookup`: look into this table, and go on with the next rule if nothing is found there.
    Lookup(u32),
    /// `unreachable`: ENETUNREACH (a route of that kind gives EHOSTUNREACH; measured on Linux 6.18).
    Unreachable,
    /// `prohibit`: EACCES.
    Prohibit,
    /// `blackhole`: EINVAL.
    Blackhole,
}

/// A policy rule. What is `None` or empty matches all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Rules are asked in ascending order of this.
    pub priority: u32,
    /// Matches what the other fields do not.
    pub not: bool,
    /// The source address; a packet without one yet has 0.0.0.0.
    pub from: Prefix,
    /// The destination address.
    pub to: Prefix,
    /// `fwmark`: value and mask.
    pub fwmark: Option<(u32, u32)>,
    /// The interface it came in on; for packets of this host, `lo`.
    pub iif: Option<OifId>,
    /// The interface that its socket is bound to.
    pub oif: Option<OifId>,
    /// The TOS; 0: any.
    pub tos: u8,
    /// The protocol of layer 4.
    pub ipproto: Option<u8>,
    /// The source port.
    pub sport: Option<RangeInclusive<u16>>,
    /// The destination port.
    pub dport: Option<RangeInclusive<u16>>,
    /// What to do.
    pub action: RuleAction,
}

impl Rule {
    /// A rule that matches all packets.
    #[must_use]
    pub fn new(priority: u32, action: RuleAction) -> Self {
        Self {
            priority,
            not: false,
            from: Prefix::ALL,
            to: Prefix::ALL,
            fwmark: None,
            iif: None,
            oif: None,
            tos: 0,
            ipproto: None,
            sport: None,
            dport: None,
            action,
        }
    }

    /// The rules that Linux starts with: local, main, default.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        [(0, RT_TABLE_LOCAL), (32766, RT_TABLE_MAIN), (32767, RT_TABLE_DEFAULT)]
            .map(|(priority, table)| Self::new(priority, RuleAction::Lookup(table)))
            .into()
    }

    fn selects(&self, key: &FlowKey, iif: OifId) -> bool {
        self.from.contains(key.src.unwrap_or(Ipv4Addr::UNSPECIFIED))
            && self.to.contains(key.dst)
            && self.fwmark.is_none_or(|(mark, mask)| (key.mark ^ mark) & mask == 0)
            && self.iif.is_none_or(|wanted| wanted == iif)
            && (self.oif.is_none() || self.oif == key.oif)
            && (self.tos == 0 || self.tos == key.tos & ROUTING_TOS)
            && self.ipproto.is_none_or(|protocol| protocol == key.protocol)
            && self.sport.as_ref().is_none_or(|ports| ports.contains(&key.sport))
            && self.dport.as_ref().is_none_or(|ports| ports.contains(&key.dport))
    }

    /// Whether the rule is for this packet: `fib_rule_match`.
    #[must_use]
    pub fn matches(&self, key: &FlowKey, iif: OifId) -> bool {
        self.selects(key, iif) != self.not
    }
}

impl Fib {
    /// The rules, in the order in which they are asked.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The priority that a rule without one gets: just before the second rule of the list (`fib_default_rule_pref`).
    #[must_use]
    pub fn default_rule_priority(&self) -> u32 {
        self.rules.get(1).map_or(0, |second| second.priority.saturating_sub(1))
    }

    /// `ip rule add`. From then on `local` and `main` are looked into one after the other, as the rules say.
    ///
    /// # Errors
    /// EEXIST if the same rule is there.
    pub fn add_rule(&mut self, rule: Rule) -> Result<(), RouteError> {
        if self.rules.contains(&rule) {
            return Err(RouteError::plain(Errno::EEXIST));
        }
        let at = self.rules.partition_point(|r| r.priority <= rule.priority);
        self.rules.insert(at, rule);
        self.rules_changed();
        Ok(())
    }

    /// `ip rule del`: removes the first rule for which `matches` holds.
    ///
    /// # Errors
    /// ENOENT if there is none.
    pub fn delete_rule(&mut self, matches: impl Fn(&Rule) -> bool) -> Result<(), RouteError> {
        let at = self.rules.iter().position(matches).ok_or(RouteError::plain(Errno::ENOENT))?;
        self.rules.remove(at);
        self.rules_changed();
        Ok(())
    }

    /// `ip rule flush`: removes all rules but that of priority 0.
    pub fn flush_rules(&mut self) {
        self.rules.retain(|rule| rule.priority == 0);
        self.rules_changed();
    }
}
