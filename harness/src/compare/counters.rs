//! Neighbours and counters at the end of a trial, held against each other.

use super::freedom::Freedom;
use super::{Difference, Side};
use crate::case::model::RigKind;
use crate::rig::Reading;
use std::collections::{BTreeMap, BTreeSet};

/// What of a qdisc is compared: the rest says how busy the machine was.
const QDISC: [&str; 4] = ["packets", "bytes", "drops", "kind"];

/// The differences between the counters and neighbours of both.
#[must_use]
pub fn compare(a: &Side, b: &Side, freedom: &Freedom) -> Vec<Difference> {
    let both = a.observed.counts_interrupts() && b.observed.counts_interrupts();
    // What a device counts is held against what the same one counts: two drivers on one port.
    let one_port = [a.rig, b.rig].iter().all(|rig| matches!(rig, RigKind::Vfio | RigKind::Linux));
    let (a, b) = (named(&a.observed.values), named(&b.observed.values));
    let keys: BTreeSet<&String> = a
        .keys()
        .chain(b.keys())
        .filter(|key| one_port || !key.starts_with("ethtool."))
        .filter(|key| is_compared(key) && !freedom.is_of_large_packets(key))
        .filter(|key| both || !key.starts_with("interrupts."))
        .collect();
    let differs = |key: &String| {
        let (x, y) = (shown(key, a.get(key)), shown(key, b.get(key)));
        (x != y).then(|| Difference {
            what: if key.starts_with("neigh.") { "a neighbour" } else { "a counter" }.to_owned(),
            at: None,
            step: None,
            field: key.clone(),
            a: x,
            b: y,
            why: None,
            beyond: None,
        })
    };
    keys.into_iter().filter_map(differs).collect()
}

fn is_compared(key: &str) -> bool {
    match key.split_once('.') {
        // The handle `0:` is that of a root without one, and `root` is it.
        Some(("qdisc", rest)) => {
            !rest.starts_with("0:/") && rest.rsplit('/').next().is_some_and(|k| QDISC.contains(&k))
        }
        // Settings and states among the counters.
        Some(("snmp", rest)) => !matches!(
            rest,
            "Ip.Forwarding"
                | "Ip.DefaultTTL"
                | "Tcp.RtoAlgorithm"
                | "Tcp.RtoMin"
                | "Tcp.RtoMax"
                | "Tcp.MaxConn"
                | "Tcp.CurrEstab"
        ),
        _ => true,
    }
}

/// The values with qdiscs by a name that both kernels give: a handle that the kernel chose (from 8000: on) is the first, the
/// second and so on of those.
fn named(values: &BTreeMap<String, Reading>) -> BTreeMap<String, Reading> {
    let chosen = |key: &str| {
        let (major, rest) = key.strip_prefix("qdisc.")?.split_once(":/")?;
        (u16::from_str_radix(major, 16).ok()? >= 0x8000).then(|| (major.to_owned(), rest.to_owned()))
    };
    let majors: BTreeSet<String> = values.keys().filter_map(|key| Some(chosen(key)?.0)).collect();
    let name = |key: &String| {
        let Some((major, rest)) = chosen(key) else { return key.clone() };
        let nth = majors.iter().position(|m| *m == major).unwrap_or_default() + 1;
        format!("qdisc.chosen{nth}:/{rest}")
    };
    values.iter().map(|(key, value)| (name(key), value.clone())).collect()
}

/// A value; a counter that is not there counts 0.
fn shown(key: &str, value: Option<&Reading>) -> String {
    match value {
        Some(Reading::Number(n)) => n.to_string(),
        Some(Reading::Text(text)) => text.clone(),
        None if key.starts_with("snmp.") || key.starts_with("netdev.") => "0".to_owned(),
        None => "absent".to_owned(),
    }
}
