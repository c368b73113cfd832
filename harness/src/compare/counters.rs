//! Neighbours and counters at the end of a trial, held against each other.

use super::freedom::Freedom;
use super::ways::{Known, counts_cut_packets_once, known};
use super::{Difference, Side};
use crate::case::model::{RigKind, Trial};
use crate::rig::Reading;
use std::collections::{BTreeMap, BTreeSet};

/// What of a qdisc is compared: the rest says how busy the machine was.
const QDISC: [&str; 4] = ["packets", "bytes", "drops", "kind"];

/// The differences between the counters and neighbours of both. One that a NIC is known for is marked with the reason when it is as
/// large as the frames make it (see [`super::ways`]).
#[must_use]
pub fn compare(trial: &Trial, sides: (&Side, &Side), freedom: &Freedom) -> Vec<Difference> {
    let (a, b) = sides;
    let both = a.observed.counts_interrupts() && b.observed.counts_interrupts();
    let once = counts_cut_packets_once(trial, sides);
    let second = b.rig.name();
    let is_held = |key: &str| is_held(key, sides);
    let (a, b) = (named(&a.observed.values), named(&b.observed.values));
    let keys: BTreeSet<&String> = a
        .keys()
        .chain(b.keys())
        .filter(|key| is_held(key))
        .filter(|key| is_compared(key) && !freedom.is_of_large_packets(key))
        .filter(|key| !once || !freedom.is_of_packets_counted_once(key))
        .filter(|key| both || !key.starts_with("interrupts."))
        .collect();
    let differs = |key: &String| {
        let (x, y) = (a.get(key), b.get(key));
        let (what, why) = judge(&known(trial, sides, key), key, (x, y), second)?;
        let (a, b) = (shown(key, x), shown(key, y));
        Some(Difference { what, at: None, step: None, field: key.clone(), a, b, why, beyond: None })
    };
    keys.into_iter().filter_map(differs).collect()
}

/// Whether two rigs are such that this is held against each other: of what devices count, not all is.
pub(super) fn is_held(key: &str, (a, b): (&Side, &Side)) -> bool {
    let devices = counters_of_devices_are_comparable(a.rig, b.rig);
    let has_sizes = |side: &Side| side.observed.values.keys().any(|key| key.starts_with("sizes."));
    match key.split_once('.') {
        Some(("ethtool", _)) => devices,
        Some(("sizes", _)) => devices && has_sizes(a) && has_sizes(b),
        _ => true,
    }
}

/// What devices count is held against each other where our driver has both; and two drivers' where they have one port.
fn counters_of_devices_are_comparable(a: RigKind, b: RigKind) -> bool {
    let linux = [a, b].contains(&RigKind::Linux);
    !linux || [a, b].iter().all(|rig| matches!(rig, RigKind::Vfio | RigKind::Linux))
}

/// What a counter is to people, and why it differs if it does as it must. `None`: it does not differ, and need not. `second` is the
/// name of the second rig.
fn judge(
    known: &Known<'_>,
    key: &str,
    (a, b): (Option<&Reading>, Option<&Reading>),
    second: &str,
) -> Option<(String, Option<String>)> {
    let what = if key.starts_with("neigh.") { "a neighbour" } else { "a counter" };
    let (Some(Reading::Number(x)), Some(Reading::Number(y)), false) = (a, b, known.why.is_empty()) else {
        return (shown(key, a) != shown(key, b)).then(|| (what.to_owned(), None));
    };
    if y - x == known.more {
        let whys = || known.why.iter().map(|(why, _)| *why).collect::<Vec<_>>().join("; ");
        return (known.more != 0).then(|| (what.to_owned(), Some(whys())));
    }
    let terms = known.why.iter().map(|(why, off)| format!("{off:+}: {why}")).collect::<Vec<_>>().join("; ");
    let must = x + known.more;
    Some((format!("{what} that by the frames must be {must} on {second} ({terms})"), None))
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
