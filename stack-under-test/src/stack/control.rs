//! Commands: what `ip`, `tc`, `ethtool`, `sysctl` and `nft` change in the stack.

use super::Stack;
use crate::control::ip::Verb;
use crate::control::ip::addr::{AddrCommand, Broadcast};
use crate::control::ip::link::{LinkCommand, LinkSet};
use crate::control::ip::route::{RouteCommand, RouteSet};
use crate::control::ip::rule::{RuleAction as RuleWord, RuleCommand, RuleSet};
use crate::control::{Command, Refusal};
use crate::errno::Errno;
use crate::netdev::IfName;
use crate::route::{
    Address, NewRoute, OifId, Prefix, RT_TABLE_MAIN, RouteError, RouteQuery, RouteVerb, Rule, RuleAction,
    Scope,
};
use crate::time::Instant;
use crate::trace::Context;
use alloc::format;
use core::net::Ipv4Addr;

fn no_device(name: &str) -> Refusal {
    Refusal::new(Errno::ENODEV, format!("Cannot find device \"{name}\""))
}

/// What `ip` prints of an error.
pub(super) fn refused(error: RouteError) -> Refusal {
    let message = if error.message.is_empty() { error.errno.strerror() } else { error.message };
    Refusal::new(error.errno, message)
}

fn prefix(p: crate::control::value::Prefix) -> Prefix {
    Prefix::new(p.addr, p.len)
}

fn scope(word: crate::control::ip::addr::Scope) -> Scope {
    use crate::control::ip::addr::Scope as Word;
    match word {
        Word::Global => Scope::Global,
        Word::Site => Scope::Site,
        Word::Link => Scope::Link,
        Word::Host => Scope::Host,
    }
}

impl Stack {
    /// Does what a command says. One that resets the device returns at once; [`Stack::is_settled`] and
    /// [`Stack::carrier`] say when packets leave again.
    ///
    /// # Errors
    /// What the tool would print, and the error number behind it.
    pub fn control(&mut self, now: Instant, command: &Command) -> Result<(), Refusal> {
        self.enter(now, 0, Context::Process);
        self.commands += 1;
        self.tool_output.clear();
        let result = match command {
            Command::Link(command) => self.link_command(command),
            Command::Addr(command) => self.address_command(command),
            Command::Route(command) => self.route_command(command),
            Command::Rule(command) => self.rule_command(command),
            Command::Neigh(command) => self.neigh_command(command),
            Command::Qdisc(command) => self.qdisc_command(command),
            Command::Ethtool(command) => self.ethtool_command(command),
            Command::Sysctl(settings) => settings.iter().try_for_each(|setting| self.sysctl_write(setting)),
            Command::Nft(commands) => self.netfilter.apply(commands),
        };
        self.serve_wakeups();
        self.leave_process();
        result
    }

    /// The interface of this name.
    ///
    /// # Errors
    /// ENODEV, in the words of `ip`.
    pub(super) fn oif(&self, name: IfName) -> Result<OifId, Refusal> {
        self.fib.link_by_name(&name).ok_or_else(|| no_device(&name))
    }

    fn link_command(&mut self, command: &LinkCommand) -> Result<(), Refusal> {
        match command {
            LinkCommand::Set(set) => match self.oif(set.dev)? {
                OifId::ETH0 => self.link_set(set),
                OifId::LO => Err(Refusal::new(Errno::EOPNOTSUPP, "lo cannot be changed here")),
                vlan => self.vlan_set(vlan, set),
            },
            LinkCommand::AddVlan(vlan) => self.vlan_add(vlan),
            LinkCommand::Del { dev } => match self.oif(*dev)? {
                OifId::LO | OifId::ETH0 => Err(Refusal::new(Errno::EOPNOTSUPP, "Operation not supported")),
                vlan => {
                    self.vlan_del(vlan);
                    Ok(())
                }
            },
        }
    }

    fn link_set(&mut self, set: &LinkSet) -> Result<(), Refusal> {
        if let Some(mtu) = set.mtu {
            let (igb, mut ctx) = self.driver();
            igb.change_mtu(&mut ctx, mtu).map_err(|errno| {
                let bound = if mtu < crate::drivers::igb::MIN_MTU {
                    "less than device minimum"
                } else {
                    "greater than device maximum"
                };
                Refusal::new(errno, format!("mtu {bound}"))
            })?;
            self.path_mtus.device_mtu(mtu, self.dev.mtu);
            self.dev.mtu = mtu;
            self.dev.qdisc.set_mtu(mtu);
            self.fib.set_link_mtu(OifId::ETH0, mtu);
            self.vlans_follow_mtu(mtu);
        }
        if let Some(address) = set.address {
            let (igb, mut ctx) = self.driver();
            igb.set_mac(&mut ctx, address)
                .map_err(|errno| Refusal::new(errno, "Cannot assign requested address"))?;
            self.dev.set_mac(address);
            for oif in self.interfaces() {
                self.neigh_ifdown(oif);
            }
        }
        if set.promisc.is_some() || set.allmulticast.is_some() {
            let (igb, mut ctx) = self.driver();
            igb.set_rx_flags(&mut ctx, set.promisc, set.allmulticast);
        }
        if let Some(length) = set.txqueuelen {
            self.dev.tx_queue_len = length;
            let (qdisc, mut cx) = self.qdisc();
            qdisc.set_tx_queue_len(&mut cx, length);
        }
        match set.up {
            Some(true) => self.link_up(),
            Some(false) => {
                self.link_down();
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// `dev_open`.
    ///
    /// # Errors
    /// What the driver says.
    pub(crate) fn link_up(&mut self) -> Result<(), Refusal> {
        if self.dev.up {
            return Ok(());
        }
        let (igb, mut ctx) = self.driver();
        igb.open(&mut ctx).map_err(|errno| Refusal::new(errno, errno.strerror()))?;
        self.dev.set_mac(self.dev.igb.mac());
        self.dev.up = true;
        self.fib.set_link_up(OifId::ETH0, true);
        self.follow_carrier();
        self.vlans_follow_link(true);
        Ok(())
    }

    /// `dev_close`.
    fn link_down(&mut self) {
        if !core::mem::replace(&mut self.dev.up, false) {
            return;
        }
        self.set_active(false);
        let (igb, mut ctx) = self.driver();
        igb.stop(&mut ctx);
        self.fib.set_link_up(OifId::ETH0, false);
        self.neigh_ifdown(OifId::ETH0);
        self.vlans_follow_link(false);
        self.follow_carrier();
    }

    fn address_command(&mut self, command: &AddrCommand) -> Result<(), Refusal> {
        let set = match command {
            AddrCommand::Flush { dev } => {
                let dev = self.oif(*dev)?;
                self.fib.flush_addresses(dev);
                return Ok(());
            }
            AddrCommand::Set(set) => set,
        };
        let dev = self.oif(set.dev)?;
        if set.verb == Verb::Del {
            return self.fib.delete_address(dev, prefix(set.local)).map_err(refused);
        }
        let mut address = Address::new(dev, set.local.addr, set.local.len);
        let ones = if set.local.len == 0 { u32::MAX } else { !(u32::MAX << (32 - u32::from(set.local.len))) };
        address.broadcast = set.broadcast.map(|word| match word {
            Broadcast::Ones => Ipv4Addr::from_bits(set.local.addr.to_bits() | ones),
            Broadcast::Zeros => Ipv4Addr::from_bits(set.local.addr.to_bits() & !ones),
            Broadcast::Addr(addr) => addr,
        });
        if let Some(word) = set.scope {
            address.scope = scope(word);
        }
        match self.fib.add_address(address) {
            Err(error) if error.errno == Errno::EEXIST && set.verb == Verb::Replace => Ok(()),
            result => result.map_err(refused),
        }
    }

    fn route_command(&mut self, command: &RouteCommand) -> Result<(), Refusal> {
        match command {
            RouteCommand::Set(set) if set.verb == Verb::Del => {
                self.fib.delete_route(&route_query(set, self.route_device(set)?)).map_err(refused)
            }
            RouteCommand::Set(set) => {
                let verb = match set.verb {
                    Verb::Add => RouteVerb::Add,
                    Verb::Append => RouteVerb::Append,
                    Verb::Prepend => RouteVerb::Prepend,
                    Verb::Change => RouteVerb::Change,
                    Verb::Replace | Verb::Del => RouteVerb::Replace,
                };
                self.fib.add_route(verb, &new_route(set, self.route_device(set)?)).map_err(refused)
            }
            RouteCommand::Flush(flush) => {
                if flush.cache {
                    self.path_mtus = crate::ip::pmtu::PathMtus::default();
                    return Ok(());
                }
                let dev = flush.dev.map(|dev| self.oif(dev)).transpose()?;
                let to = flush.to.map(prefix);
                let table = flush.table.or(Some(RT_TABLE_MAIN));
                self.fib.flush_routes(|route| {
                    table.is_none_or(|t| t == route.table)
                        && dev.is_none_or(|d| route.dev == Some(d))
                        && to.is_none_or(|to| to == route.to)
                });
                Ok(())
            }
        }
    }

    fn rule_command(&mut self, command: &RuleCommand) -> Result<(), Refusal> {
        let set = match command {
            RuleCommand::Flush => {
                self.fib.flush_rules();
                return Ok(());
            }
            RuleCommand::Set(set) => set,
        };
        let device = |dev: Option<IfName>| dev.map(|dev| self.oif(dev)).transpose();
        let devices = (device(set.iif)?, device(set.oif)?);
        let rule = policy_rule(set, devices, self.fib.default_rule_priority());
        if set.verb != Verb::Del {
            return self.fib.add_rule(rule).map_err(refused);
        }
        let matches = |other: &Rule| is_meant(set, &rule, other);
        self.fib.delete_rule(matches).map_err(refused)
    }

    fn qdisc_command(&mut self, command: &crate::control::tc::QdiscCommand) -> Result<(), Refusal> {
        if self.oif(command.dev)? != OifId::ETH0 {
            let message = format!("only eth0 can have a qdisc here, not {}", command.dev);
            return Err(Refusal::new(Errno::EOPNOTSUPP, message));
        }
        let (qdisc, mut cx) = self.qdisc();
        qdisc.apply(&mut cx, command)
    }

    fn route_device(&self, set: &RouteSet) -> Result<Option<OifId>, Refusal> {
        set.dev.map(|dev| self.oif(dev)).transpose()
    }
}

fn new_route(set: &RouteSet, dev: Option<OifId>) -> NewRoute {
    NewRoute {
        to: prefix(set.to),
        kind: set.kind.unwrap_or_default(),
        gateway: set.via,
        dev,
        prefsrc: set.src,
        metric: set.metric.unwrap_or(0),
        table: set.table,
        tos: set.tos.unwrap_or(0),
        mtu: set.mtu.unwrap_or(0),
        mtu_lock: set.mtu_lock,
        scope: set.scope.map(scope),
        protocol: set.protocol,
        onlink: set.onlink,
    }
}

fn route_query(set: &RouteSet, dev: Option<OifId>) -> RouteQuery {
    RouteQuery {
        to: prefix(set.to),
        kind: set.kind,
        gateway: set.via,
        dev,
        prefsrc: set.src,
        metric: set.metric,
        table: set.table,
        tos: set.tos.unwrap_or(0),
        scope: set.scope.map(scope),
        protocol: set.protocol,
    }
}

fn policy_rule(set: &RuleSet, (iif, oif): (Option<OifId>, Option<OifId>), default_priority: u32) -> Rule {
    let action = match set.action {
        None => RuleAction::Lookup(RT_TABLE_MAIN),
        Some(RuleWord::Table(table)) => RuleAction::Lookup(table),
        Some(RuleWord::Unreachable) => RuleAction::Unreachable,
        Some(RuleWord::Blackhole) => RuleAction::Blackhole,
        Some(RuleWord::Prohibit) => RuleAction::Prohibit,
    };
    Rule {
        not: set.invert,
        from: set.from.map_or(Prefix::ALL, prefix),
        to: set.to.map_or(Prefix::ALL, prefix),
        fwmark: set.fwmark,
        iif,
        oif,
        tos: set.tos.unwrap_or(0),
        ipproto: set.ipproto,
        sport: set.sport.map(|(low, high)| low..=high),
        dport: set.dport.map(|(low, high)| low..=high),
        ..Rule::new(set.preference.unwrap_or(default_priority), action)
    }
}

/// `rule_find`: whether `ip rule del` means the rule `other`. What the command does not say may be anything, `not` included.
fn is_meant(set: &RuleSet, asked: &Rule, other: &Rule) -> bool {
    let prefix = |asked: Prefix, other: Prefix| asked.len() == 0 || asked == other;
    (set.preference.is_none() || asked.priority == other.priority)
        && (set.action.is_none() || asked.action == other.action)
        && prefix(asked.from, other.from)
        && prefix(asked.to, other.to)
        && (asked.tos == 0 || asked.tos == other.tos)
        && (asked.fwmark.is_none() || asked.fwmark == other.fwmark)
        && (asked.iif.is_none() || asked.iif == other.iif)
        && (asked.oif.is_none() || asked.oif == other.oif)
        && (asked.ipproto.is_none() || asked.ipproto == other.ipproto)
        && (asked.sport.is_none() || asked.sport == other.sport)
        && (asked.dport.is_none() || asked.dport == other.dport)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control;
    use alloc::vec::Vec;
    use rstest::rstest;

    fn command(text: &str) -> RuleSet {
        let words: Vec<&str> = text.split(' ').collect();
        match control::parse(&words) {
            Ok(Command::Rule(RuleCommand::Set(set))) => set,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// Each was tried on Linux 6.18.
    #[rstest]
    #[case::by_its_priority("priority 100", true)]
    #[case::by_another_priority("priority 101", false)]
    #[case::by_one_selector("fwmark 7", true)]
    #[case::by_another_mark("fwmark 8", false)]
    #[case::by_its_destination("to 198.51.100.0/24", true)]
    #[case::by_a_shorter_prefix("to 198.51.100.0/23", false)]
    #[case::by_a_selector_it_does_not_have("dport 7", false)]
    #[case::by_its_table("lookup 100", true)]
    #[case::by_another_table("lookup 101", false)]
    #[case::by_all_of_it("not to 198.51.100.0/24 fwmark 7 priority 100 lookup 100", true)]
    #[case::without_its_not("to 198.51.100.0/24 fwmark 7 priority 100 lookup 100", true)]
    fn a_rule_is_deleted_by_what_the_command_says(#[case] deletion: &str, #[case] is_it: bool) {
        let there = command("ip rule add not to 198.51.100.0/24 fwmark 7 priority 100 lookup 100");
        let there = policy_rule(&there, (None, None), 0);
        let set = command(&format!("ip rule del {deletion}"));
        let asked = policy_rule(&set, (None, None), 0);
        assert_eq!(is_meant(&set, &asked, &there), is_it);
    }
}
