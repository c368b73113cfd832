//! The last answers of routing: while nothing changed that they depend on, the same question has the same answer. Linux keeps
//! such answers in its next hops (`nh_rth_input`, `nh_pcpu_rth_output`).

use super::output::FlowKey;
use super::{Fib, OifId, RouteKind, RouteResult};
use core::net::Ipv4Addr;

/// What the answer for a received packet depends on, while there are no policy rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// That of [`Fib`].
    pub(crate) generation: u32,
    pub(crate) src: Ipv4Addr,
    pub(crate) dst: Ipv4Addr,
    pub(crate) iif: OifId,
    pub(crate) tos: u8,
}

/// One answer for what came in, and two for what goes out (with a source that was asked for, and without): packets come in
/// runs of one flow.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    local: Option<Received>,
    output: [Option<(u64, FlowKey, RouteResult)>; 2],
}

impl Remembered {
    /// Whether the same was asked last, and the answer was that the packet is for this host and no other.
    #[inline(always)]
    pub(crate) fn is_local(&self, question: &Received) -> bool {
        self.local.as_ref() == Some(question)
    }

    /// That was the answer.
    pub(crate) fn keep_local(&mut self, question: Received) {
        self.local = Some(question);
    }

    /// What was said of a packet of this host, if it was asked last, under this generation of everything. Without policy
    /// rules (`rules`) neither ports nor mark matter.
    #[inline(always)]
    pub(crate) fn output(&self, generation: u64, key: &FlowKey, rules: bool) -> Option<&RouteResult> {
        let (at, last, route) = self.output[usize::from(key.src.is_some())].as_ref()?;
        let same = *at == generation
            && last.dst == key.dst
            && last.src == key.src
            && last.tos == key.tos
            && last.oif == key.oif
            && last.protocol == key.protocol
            && last.dont_route == key.dont_route;
        (same && (!rules || last == key)).then_some(route)
    }

    /// Keeps what was said of a packet of this host to one other.
    pub(crate) fn keep_output(&mut self, generation: u64, key: &FlowKey, route: &RouteResult) {
        if route.kind == RouteKind::Unicast {
            self.output[usize::from(key.src.is_some())] = Some((generation, *key, *route));
        }
    }
}

impl Fib {
    /// Whether rules were ever changed: then the answer depends on all that a packet has.
    #[inline]
    pub(crate) fn has_rules(&self) -> bool {
        self.custom_rules
    }
}
