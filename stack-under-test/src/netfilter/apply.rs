//! nft's commands on the tables, with nf_tables' errors.

use super::rule::{RuleSpec, RuleVerdict, Statement};
use super::{
    BaseChain, Chain, ChainId, ChainType, Family, Hook, JUMP_STACK_SIZE, Netfilter, Policy, Rule, Table,
};
use crate::control::Refusal;
use crate::control::nft::{ChainRef, ChainSpec, NftCommand, Place, TableRef};
use crate::errno::Errno;
use alloc::vec::Vec;

fn refused<T>(errno: Errno, what: &str) -> Result<T, Refusal> {
    Err(Refusal::new(errno, alloc::format!("Could not process rule: {what}")))
}

fn no_such<T>() -> Result<T, Refusal> {
    refused(Errno::ENOENT, "No such file or directory")
}

impl Netfilter {
    /// Does all commands, as one transaction: if one is refused, none takes effect.
    ///
    /// # Errors
    /// ENOENT for what does not exist, EEXIST for what `create` finds, EBUSY for a chain that is jumped to, EMLINK for
    /// jumps in a circle or deeper than 16, EOPNOTSUPP for a jump to a base chain or a changed hook.
    pub fn apply(&mut self, commands: &[NftCommand]) -> Result<(), Refusal> {
        let before = self.clone();
        let done = commands.iter().try_for_each(|command| self.apply_one(command));
        if done.is_err() {
            *self = before;
        }
        done
    }

    fn apply_one(&mut self, command: &NftCommand) -> Result<(), Refusal> {
        match command {
            NftCommand::AddTable { table, create } => self.add_table(table, *create),
            NftCommand::DeleteTable(table) => {
                let at = self.table(table)?;
                self.delete_table(at);
                Ok(())
            }
            NftCommand::FlushTable(table) => {
                self.table(table)?;
                for chain in self.chains.iter_mut().flatten().filter(|c| c.is_in(table)) {
                    chain.rules.clear();
                }
                Ok(())
            }
            NftCommand::FlushRuleset => {
                *self = Self::default();
                Ok(())
            }
            NftCommand::AddChain { chain, create, spec } => self.add_chain(chain, *create, spec),
            NftCommand::DeleteChain(chain) => self.delete_chain(chain),
            NftCommand::FlushChain(chain) => {
                let id = self.find(chain)?;
                self.chain_mut(id).rules.clear();
                Ok(())
            }
            NftCommand::AddRule { chain, place, rule } => self.add_rule(chain, *place, rule),
            NftCommand::DeleteRule { chain, handle } => {
                let id = self.find(chain)?;
                let at = self.rule_at(id, *handle)?;
                self.chain_mut(id).rules.remove(at);
                Ok(())
            }
        }
    }

    fn table(&self, table: &TableRef) -> Result<usize, Refusal> {
        let found = self.tables.iter().position(|t| t.family == table.family && t.name == table.name);
        found.map_or_else(no_such, Ok)
    }

    fn lookup(&self, chain: &ChainRef) -> Option<ChainId> {
        let is = |c: &Chain| c.is_in(&chain.table) && c.name == chain.name;
        self.chains.iter().position(|slot| slot.as_ref().is_some_and(is))
    }

    fn find(&self, chain: &ChainRef) -> Result<ChainId, Refusal> {
        self.table(&chain.table)?;
        self.lookup(chain).map_or_else(no_such, Ok)
    }

    fn rule_at(&self, chain: ChainId, handle: u64) -> Result<usize, Refusal> {
        self.chain(chain).rules.iter().position(|rule| rule.handle == handle).map_or_else(no_such, Ok)
    }

    fn handle(&mut self, table: &TableRef) -> Result<u64, Refusal> {
        let at = self.table(table)?;
        self.tables[at].last_handle += 1;
        Ok(self.tables[at].last_handle)
    }

    fn add_table(&mut self, table: &TableRef, create: bool) -> Result<(), Refusal> {
        match self.table(table) {
            Ok(_) if create => refused(Errno::EEXIST, "File exists"),
            Ok(_) => Ok(()),
            Err(_) => {
                self.tables.push(Table { family: table.family, name: table.name.clone(), last_handle: 0 });
                Ok(())
            }
        }
    }

    fn delete_table(&mut self, at: usize) {
        let table = self.tables.remove(at);
        for slot in &mut self.chains {
            if slot.as_ref().is_some_and(|c| c.table.0 == table.family && c.table.1 == table.name) {
                *slot = None;
            }
        }
        self.rebuild_hooks();
    }

    fn add_chain(&mut self, chain: &ChainRef, create: bool, spec: &ChainSpec) -> Result<(), Refusal> {
        self.table(&chain.table)?;
        if let Some(id) = self.lookup(chain) {
            if create {
                return refused(Errno::EEXIST, "File exists");
            }
            let there = self.chain_mut(id);
            if spec.base.is_some_and(|base| there.base != Some(base)) {
                return refused(Errno::EOPNOTSUPP, "Operation not supported");
            }
            match spec.policy {
                Some(_) if there.base.is_none() => {
                    return refused(Errno::EOPNOTSUPP, "Operation not supported");
                }
                Some(policy) => there.policy = policy,
                None => {}
            }
            return Ok(());
        }
        if spec.base.is_some_and(|base| base.kind == ChainType::Route && base.hook != Hook::LocalOut)
            || (spec.base.is_none() && spec.policy.is_some())
        {
            return refused(Errno::EOPNOTSUPP, "Operation not supported");
        }
        self.handle(&chain.table)?;
        let made = Chain {
            table: (chain.table.family, chain.table.name.clone()),
            name: chain.name.clone(),
            base: spec.base,
            policy: spec.policy.unwrap_or_default(),
            rules: Vec::new(),
        };
        let id = self.chains.iter().position(Option::is_none).unwrap_or_else(|| {
            self.chains.push(None);
            self.chains.len() - 1
        });
        self.chains[id] = Some(made);
        if let Some(base) = spec.base {
            self.hang(id, base);
        }
        Ok(())
    }

    fn hang(&mut self, id: ChainId, base: BaseChain) {
        let list = &self.hooks[base.hook as usize];
        let before = |&other: &ChainId| self.chain(other).base.is_some_and(|b| b.priority < base.priority);
        let at = list.iter().take_while(|id| before(id)).count();
        self.hooks[base.hook as usize].insert(at, id);
        self.occupied[base.hook as usize] = true;
    }

    fn rebuild_hooks(&mut self) {
        for (list, occupied) in self.hooks.iter_mut().zip(&mut self.occupied) {
            list.retain(|&id| self.chains[id].is_some());
            *occupied = !list.is_empty();
        }
    }

    fn delete_chain(&mut self, chain: &ChainRef) -> Result<(), Refusal> {
        let id = self.find(chain)?;
        let others = self.chains.iter().enumerate().filter(|&(other, _)| other != id);
        let used = others.filter_map(|(_, slot)| slot.as_ref()).flat_map(Chain::targets).any(|to| to == id);
        if used {
            return refused(Errno::EBUSY, "Device or resource busy");
        }
        self.chains[id] = None;
        self.rebuild_hooks();
        Ok(())
    }

    fn add_rule(&mut self, chain: &ChainRef, place: Place, spec: &RuleSpec) -> Result<(), Refusal> {
        let id = self.find(chain)?;
        let count = self.chain(id).rules.len();
        let index = |index: usize| if index < count { Ok(index) } else { no_such() };
        let (at, replaces) = match place {
            Place::End => (count, false),
            Place::Start => (0, false),
            Place::AfterHandle(handle) => (self.rule_at(id, handle)? + 1, false),
            Place::BeforeHandle(handle) => (self.rule_at(id, handle)?, false),
            Place::Replace(handle) => (self.rule_at(id, handle)?, true),
            Place::AfterIndex(i) => (index(i)? + 1, false),
            Place::BeforeIndex(i) => (index(i)?, false),
        };
        let statements = self.resolve(&chain.table, spec)?;
        let handle = self.handle(&chain.table)?;
        let rule = Rule { handle, statements, comment: spec.comment.clone(), text: spec.text.clone() };
        let rules = &mut self.chain_mut(id).rules;
        if replaces {
            rules[at] = rule;
        } else {
            rules.insert(at, rule);
        }
        self.validate()
    }

    fn resolve(&self, table: &TableRef, spec: &RuleSpec) -> Result<Vec<Statement<ChainId>>, Refusal> {
        let target = |name: &alloc::string::String| {
            let id = self.find(&ChainRef { table: table.clone(), name: name.clone() })?;
            match self.chain(id).base {
                Some(_) => refused(Errno::EOPNOTSUPP, "Operation not supported"),
                None => Ok(id),
            }
        };
        let mut statements = Vec::with_capacity(spec.statements.len());
        for statement in &spec.statements {
            statements.push(match statement {
                Statement::Match(condition) => Statement::Match(condition.clone()),
                Statement::Counter { packets, bytes } => {
                    Statement::Counter { packets: *packets, bytes: *bytes }
                }
                Statement::SetMark(mark) => Statement::SetMark(*mark),
                Statement::SetPriority(priority) => Statement::SetPriority(*priority),
                Statement::Verdict(verdict) => Statement::Verdict(match verdict {
                    RuleVerdict::Accept => RuleVerdict::Accept,
                    RuleVerdict::Drop => RuleVerdict::Drop,
                    RuleVerdict::Return => RuleVerdict::Return,
                    RuleVerdict::Continue => RuleVerdict::Continue,
                    RuleVerdict::Jump(to) => RuleVerdict::Jump(target(to)?),
                    RuleVerdict::Goto(to) => RuleVerdict::Goto(target(to)?),
                }),
            });
        }
        Ok(statements)
    }

    /// `nft_table_validate`: no way from a base chain is a circle or passes more than 16 chains.
    fn validate(&self) -> Result<(), Refusal> {
        let mut levels = alloc::vec![Level::Unknown; self.chains.len()];
        for &base in self.hooks.iter().flatten() {
            if self.level(base, &mut levels, 0).is_none_or(|level| level > JUMP_STACK_SIZE) {
                return refused(Errno::EMLINK, "Too many links");
            }
        }
        Ok(())
    }

    /// How many chains the longest way from `id` passes, itself included; `None` for a circle or too many.
    fn level(&self, id: ChainId, levels: &mut [Level], above: usize) -> Option<usize> {
        match levels[id] {
            Level::Open => return None,
            Level::Known(level) => return Some(level),
            Level::Unknown if above > JUMP_STACK_SIZE => return None,
            Level::Unknown => levels[id] = Level::Open,
        }
        let mut deepest = 0;
        for to in self.chain(id).targets() {
            deepest = deepest.max(self.level(to, levels, above + 1)?);
        }
        levels[id] = Level::Known(deepest + 1);
        Some(deepest + 1)
    }
}

#[derive(Clone, Copy)]
enum Level {
    Unknown,
    Open,
    Known(usize),
}

impl Chain {
    fn is_in(&self, table: &TableRef) -> bool {
        self.table.0 == table.family && self.table.1 == table.name
    }

    fn targets(&self) -> impl Iterator<Item = ChainId> + '_ {
        self.rules.iter().flat_map(|rule| &rule.statements).filter_map(|statement| match statement {
            Statement::Verdict(RuleVerdict::Jump(to) | RuleVerdict::Goto(to)) => Some(*to),
            _ => None,
        })
    }
}

impl Family {
    /// nft's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Inet => "inet",
        }
    }
}

impl Policy {
    /// nft's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
        }
    }
}
