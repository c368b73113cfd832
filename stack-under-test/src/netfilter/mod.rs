//! Netfilter: the five hooks of a packet's way, and nftables' tables, chains and rules behind them.
//!
//! A hook without a chain costs one test ([`Netfilter::has_chains`]). Nothing is allocated for a packet. The behaviour is
//! that of nf_tables in Linux 6.12; the error numbers were seen on 6.18.

mod apply;
pub mod list;
pub mod rule;

pub use rule::PacketView;

use crate::errno::Errno;
use crate::trace::{PacketId, Trace};
use alloc::string::String;
use alloc::vec::Vec;
use rule::{RuleVerdict, Statement};

/// Where on its way a packet is: `enum nf_inet_hooks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Hook {
    /// Received, not yet routed.
    PreRouting = 0,
    /// Received, for this host.
    LocalIn = 1,
    /// Received, for another.
    Forward = 2,
    /// Made here, routed.
    LocalOut = 3,
    /// About to leave.
    PostRouting = 4,
}

/// How many hooks there are.
pub const HOOKS: usize = 5;
/// How deep chains may jump: `NFT_JUMP_STACK_SIZE`.
pub const JUMP_STACK_SIZE: usize = 16;
/// How many rules a packet may meet at one base chain; a set of rules that needs more drops it.
pub const MAX_RULES_PER_PACKET: u32 = 1 << 20;

/// The family of a table; both see IPv4 packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv4, also when none is named.
    #[default]
    Ip,
    /// IPv4 and IPv6.
    Inet,
}

/// What a base chain is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainType {
    /// `filter`.
    Filter,
    /// `route`, on output only: a changed mark has the packet routed again.
    Route,
}

/// What becomes of a packet that reaches the end of a base chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// It passes.
    #[default]
    Accept,
    /// It is dropped.
    Drop,
}

/// Where a base chain hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseChain {
    /// What it is for.
    pub kind: ChainType,
    /// Its hook.
    pub hook: Hook,
    /// Chains with a lower number come first.
    pub priority: i32,
}

/// What a hook says to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Accept,
    /// It goes on, and must be routed again (`ip_route_me_harder`): a chain of type `route` changed its mark.
    Reroute,
    /// It is dropped, with `NETFILTER_DROP`; a local sender is told this error.
    Drop(Errno),
}

pub(crate) type ChainId = usize;

#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub family: Family,
    pub name: String,
    pub last_handle: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub table: (Family, String),
    pub name: String,
    pub base: Option<BaseChain>,
    pub policy: Policy,
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub handle: u64,
    pub statements: Vec<Statement<ChainId>>,
    pub comment: Option<String>,
    pub text: String,
}

/// All tables of a network namespace.
#[derive(Clone, Debug, Default)]
pub struct Netfilter {
    tables: Vec<Table>,
    chains: Vec<Option<Chain>>,
    hooks: [Vec<ChainId>; HOOKS],
    occupied: [bool; HOOKS],
}

impl Netfilter {
    /// Whether anything hangs at a hook; if not, [`Self::evaluate`] need not be called.
    #[inline]
    #[must_use]
    pub fn has_chains(&self, hook: Hook) -> bool {
        self.occupied[hook as usize]
    }

    /// `nf_hook_slow`: every base chain of the hook in order, until one drops the packet. Changes the mark and the
    /// priority in `packet`; the caller stores them back.
    pub fn evaluate(
        &mut self,
        trace: &mut Trace,
        id: PacketId,
        hook: Hook,
        packet: &mut PacketView<'_>,
    ) -> Verdict {
        if !self.has_chains(hook) {
            return Verdict::Accept;
        }
        trace.function(id, "nf_hook_slow");
        let mut verdict = Verdict::Accept;
        for at in 0..self.hooks[hook as usize].len() {
            let chain = self.hooks[hook as usize][at];
            let mark = packet.mark;
            if !self.do_chain(chain, packet) {
                return Verdict::Drop(Errno::EPERM);
            }
            let reroutes = self.chain(chain).base.is_some_and(|base| base.kind == ChainType::Route);
            if reroutes && packet.mark != mark {
                verdict = Verdict::Reroute;
            }
        }
        verdict
    }

    pub(crate) fn chain(&self, id: ChainId) -> &Chain {
        self.chains[id].as_ref().expect("a chain that is referred to exists")
    }

    pub(crate) fn chain_mut(&mut self, id: ChainId) -> &mut Chain {
        self.chains[id].as_mut().expect("a chain that is referred to exists")
    }

    /// Whether the packet passes a base chain.
    fn do_chain(&mut self, base: ChainId, packet: &mut PacketView<'_>) -> bool {
        let (mut chain, mut at) = (base, 0);
        let mut stack = [(0, 0); JUMP_STACK_SIZE];
        let mut depth = 0;
        let mut budget = MAX_RULES_PER_PACKET;
        loop {
            let Some(rule) = self.chain_mut(chain).rules.get_mut(at) else {
                if depth == 0 {
                    return self.chain(base).policy == Policy::Accept;
                }
                depth -= 1;
                (chain, at) = stack[depth];
                continue;
            };
            at += 1;
            budget -= 1;
            match rule.run(packet) {
                _ if budget == 0 => return false,
                RuleVerdict::Continue => {}
                RuleVerdict::Accept => return true,
                RuleVerdict::Drop => return false,
                RuleVerdict::Return => at = usize::MAX,
                RuleVerdict::Goto(to) => (chain, at) = (to, 0),
                RuleVerdict::Jump(to) => {
                    // Rules are validated when they are added: deeper jumps do not come here.
                    let Some(slot) = stack.get_mut(depth) else { return false };
                    *slot = (chain, at);
                    depth += 1;
                    (chain, at) = (to, 0);
                }
            }
        }
    }
}

impl Rule {
    fn run(&mut self, packet: &mut PacketView<'_>) -> RuleVerdict<ChainId> {
        for statement in &mut self.statements {
            match statement {
                Statement::Match(condition) if condition.holds(packet) => {}
                Statement::Match(_) => return RuleVerdict::Continue,
                Statement::Counter { packets, bytes } => {
                    *packets += 1;
                    *bytes += u64::from(packet.len);
                }
                Statement::SetMark(mark) => packet.mark = *mark,
                Statement::SetPriority(priority) => packet.priority = *priority,
                Statement::Verdict(verdict) => return verdict.clone(),
            }
        }
        RuleVerdict::Continue
    }
}

#[cfg(test)]
mod tests;
