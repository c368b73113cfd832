//! What no standard fixes, and so may differ: ephemeral ports and the ids of fragmented datagrams are the same when one
//! stands for the other throughout; initial sequence numbers when they are as far apart throughout. Where large packets end is
//! free where a case speaks of their segments.

use crate::case::model::{Action, OptionValue, Syscall, Trial};
use crate::frame::{FrameSpec, Layer, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Ports that the kernel chooses of: `ip_local_port_range` as it is pinned.
const EPHEMERAL: std::ops::RangeInclusive<u64> = 32_768..=60_999;

/// A one-to-one mapping of what was met.
#[derive(Clone, Debug, Default)]
struct Bijection<T> {
    forward: BTreeMap<T, T>,
    back: BTreeMap<T, T>,
}

impl<T: Ord + Clone> Bijection<T> {
    /// Whether `a` stands for `b`; those that were never met do from now on.
    fn same(&mut self, a: T, b: T) -> bool {
        match (self.forward.get(&a), self.back.get(&b)) {
            (None, None) => {
                self.forward.insert(a.clone(), b.clone());
                self.back.insert(b, a);
                true
            }
            (Some(known), _) => *known == b,
            (None, Some(_)) => false,
        }
    }
}

/// What was met so far of what is free, in one comparison.
#[derive(Clone, Debug, Default)]
pub struct Freedom {
    /// Ports that a step names.
    named: BTreeSet<u64>,
    ports: Bijection<u64>,
    ids: Bijection<u64>,
    /// Large packets ended elsewhere, as the pace of the sender had it.
    boundaries: bool,
    /// How far the sequence numbers of a flow are apart, by its ports on the first rig.
    sequences: BTreeMap<(u64, u64), u32>,
}

impl Freedom {
    /// For a trial: the ports that its steps name are not free.
    #[must_use]
    pub fn of(trial: &Trial) -> Self {
        let mut named = BTreeSet::new();
        for step in &trial.steps {
            match &step.action {
                Action::Call(call) => named.extend(port_of(&call.call)),
                Action::Join(join) => named.extend(join.outcome.from.map(|a| u64::from(a.port()))),
                Action::Expect(expect) => ports_in(&expect.pattern, &mut named),
                Action::AnyOrder(expects) => expects.iter().for_each(|e| ports_in(&e.pattern, &mut named)),
                Action::Fragments(fragments) => ports_in(&fragments.pattern, &mut named),
                Action::Inject(inject) => ports_in(&inject.frame, &mut named),
                Action::Order(order) if order.of.key.ends_with("_port") => {
                    named.extend(order.is.iter().filter_map(number));
                }
                _ => {}
            }
        }
        Self { named, ..Self::default() }
    }

    /// Whether the kernel chose a port.
    #[must_use]
    pub fn is_ephemeral(&self, port: u64) -> bool {
        EPHEMERAL.contains(&port) && !self.named.contains(&port)
    }

    /// Whether two ports are the same, or stand for each other.
    pub fn same_port(&mut self, a: u64, b: u64) -> bool {
        if self.is_ephemeral(a) && self.is_ephemeral(b) { self.ports.same(a, b) } else { a == b }
    }

    /// Whether the flags of two segments are the same, but for a PSH that says where a large packet ended.
    pub fn same_flags_of_segments(&mut self, a: u64, b: u64) -> bool {
        const PSH: u64 = 8;
        self.boundaries |= (a ^ b) & PSH != 0;
        a | PSH == b | PSH
    }

    /// Whether a counter is of large packets that ended elsewhere.
    #[must_use]
    pub fn is_of_large_packets(&self, key: &str) -> bool {
        self.boundaries
            && matches!(
                key,
                "snmp.Ip.OutRequests"
                    | "snmp.Ip.OutTransmits"
                    | "snmp.IpExt.OutOctets"
                    | "ethtool.tx_tcp_seg_good"
            )
    }

    /// Whether a counter of a device that counts a large packet once is of packets that ended elsewhere.
    #[must_use]
    pub fn is_of_packets_counted_once(&self, key: &str) -> bool {
        self.boundaries
            && (matches!(key, "ethtool.tx_packets" | "ethtool.tx_bytes") || key.starts_with("sizes.tx_"))
    }

    /// Whether two ids of fragments are of datagrams that stand for each other.
    pub fn same_id(&mut self, a: u64, b: u64) -> bool {
        self.ids.same(a, b)
    }

    /// Whether two sequence numbers of a flow are as far apart as the first were.
    pub fn same_sequence(&mut self, flow: (u64, u64), a: u64, b: u64) -> bool {
        let apart = (b as u32).wrapping_sub(a as u32);
        *self.sequences.entry(flow).or_insert(apart) == apart
    }
}

fn number(value: &Value) -> Option<u64> {
    if let Value::Number(n) = value { Some(*n) } else { None }
}

fn port_of(call: &Syscall) -> Option<u64> {
    match call {
        Syscall::Bind { to, .. } | Syscall::Connect { to, .. } | Syscall::Sendto { to, .. } => {
            Some(u64::from(to.port()))
        }
        Syscall::Setsockopt { value: OptionValue::Number(n), .. } => u64::try_from(*n).ok(),
        _ => None,
    }
}

fn ports_in(spec: &FrameSpec, named: &mut BTreeSet<u64>) {
    let ports = spec
        .fields
        .iter()
        .filter(|f| matches!(f.field.layer, Layer::Udp | Layer::Tcp) && f.field.key.ends_with("_port"));
    named.extend(ports.filter_map(|f| number(&f.value)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ephemeral_port_stands_for_one_other_and_no_more() {
        let mut freedom = Freedom::default();
        assert!(freedom.same_port(40_000, 50_000));
        assert!(freedom.same_port(40_000, 50_000));
        assert!(!freedom.same_port(40_000, 50_001), "it stands for 50000");
        assert!(!freedom.same_port(40_001, 50_000), "50000 has its own");
        assert!(freedom.same_port(40_001, 50_001));
    }

    #[test]
    fn a_port_that_a_step_names_or_that_no_kernel_chooses_is_not_free() {
        let mut freedom = Freedom { named: BTreeSet::from([40_000]), ..Freedom::default() };
        assert!(!freedom.same_port(40_000, 50_000));
        assert!(!freedom.same_port(7, 8));
        assert!(!freedom.same_port(32_767, 32_768));
        assert!(freedom.same_port(7, 7));
    }

    #[test]
    fn sequence_numbers_stay_as_far_apart_as_they_were() {
        let mut freedom = Freedom::default();
        assert!(freedom.same_sequence((1, 2), 4_294_967_295, 10));
        assert!(freedom.same_sequence((1, 2), 0, 11));
        assert!(!freedom.same_sequence((1, 2), 1, 11));
    }

    #[test]
    fn large_packets_may_end_elsewhere_and_are_then_as_many_as_they_are() {
        let mut freedom = Freedom::default();
        assert!(freedom.same_flags_of_segments(0x10, 0x10));
        assert!(!freedom.is_of_large_packets("snmp.Ip.OutRequests"), "they ended at the same places");
        assert!(freedom.same_flags_of_segments(0x18, 0x10));
        assert!(freedom.is_of_large_packets("snmp.Ip.OutRequests"));
        assert!(!freedom.is_of_large_packets("snmp.Ip.InReceives"));
        assert!(!freedom.same_flags_of_segments(0x11, 0x10), "a FIN is no matter of large packets");
    }
}
