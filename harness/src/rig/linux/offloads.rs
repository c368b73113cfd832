//! What `ethtool` can change of a device, found out on one that is thrown away.

use super::capability::with_device;
use super::command;
use super::wire::WireKind;
use crate::rig::CommandResult;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Features by the short names that `ethtool -K` takes, and by those that `ethtool -k` prints.
const NAMES: [(&str, &str); 12] = [
    ("rx", "rx-checksumming"),
    ("tx", "tx-checksumming"),
    ("sg", "scatter-gather"),
    ("tso", "tcp-segmentation-offload"),
    ("ufo", "udp-fragmentation-offload"),
    ("gso", "generic-segmentation-offload"),
    ("gro", "generic-receive-offload"),
    ("lro", "large-receive-offload"),
    ("rxvlan", "rx-vlan-offload"),
    ("txvlan", "tx-vlan-offload"),
    ("ntuple", "ntuple-filters"),
    ("rxhash", "receive-hashing"),
];

/// Why the device of such a wire cannot do what an `ethtool` command wants; `None`: it can. Features are read back, as ethtool does
/// not always say that it failed.
pub(super) fn missing(words: &[&str], wire: WireKind) -> Option<String> {
    let device = wire.device();
    if matches!(*words.get(1)?, "-K" | "--features" | "--offload") {
        let pairs = words.get(3..).unwrap_or_default().chunks_exact(2);
        return pairs.map(|pair| (pair[0], pair[1])).find_map(|(feature, wanted)| {
            if wire == WireKind::Veth && wanted == "on" && leaves_it_to_the_card(feature) {
                return Some(format!("{device} with `{feature} on` does not carry what a cable would"));
            }
            let name = NAMES.iter().find(|(short, _)| *short == feature).map_or(feature, |(_, long)| long);
            let set = format!("ethtool -K eth0 {feature} {wanted}");
            let is = tried(&[&set, "ethtool -k eth0"], wire)?;
            let holds = is.output.lines().any(|line| {
                let is = line.trim().strip_prefix(name).and_then(|rest| rest.strip_prefix(':'));
                is.is_some_and(|is| is.split_whitespace().next() == Some(wanted))
            });
            (!holds).then(|| format!("{device} cannot have `{feature} {wanted}`"))
        });
    }
    let result = tried(&[&words.join(" ")], wire)?;
    // What it does not understand is wrong on any device.
    let refused = result.status != 0 && !result.output.contains("bad command line");
    let why = result.output.lines().last().unwrap_or_default();
    refused.then(|| format!("{device} cannot do `{}` ({why})", words.join(" ")))
}

/// Features by which the kernel leaves work to a card that a veth never does: checksums, and cutting.
fn leaves_it_to_the_card(feature: &str) -> bool {
    matches!(feature, "tx" | "tso" | "ufo" | "tx-gso-list")
        || (feature.starts_with("tx-") && (feature.contains("checksum") || feature.ends_with("segmentation")))
}

/// What the last of some commands came to on a device that is thrown away; each list is tried once. `None`: it could not be tried.
fn tried(commands: &[&str], wire: WireKind) -> Option<CommandResult> {
    type Tried = BTreeMap<(bool, String), Option<CommandResult>>;
    static TRIED: Mutex<Tried> = Mutex::new(BTreeMap::new());
    let mut tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (wire == WireKind::Veth, commands.join("; "));
    if let Some(known) = tried.get(&key) {
        return known.clone();
    }
    let lists: Vec<Vec<_>> =
        commands.iter().map(|text| text.split(' ').map(str::to_owned).collect()).collect();
    let run = move || lists.iter().fold(None, |_, words| command::run(words).ok());
    let result = with_device(wire, run).ok().flatten();
    tried.insert(key, result.clone());
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::cutting("tso", true)]
    #[case::cutting_of_datagrams("tx-udp-segmentation", true)]
    #[case::checksums("tx", true)]
    #[case::cutting_in_software("gso", false)]
    #[case::pages("sg", false)]
    #[case::of_what_comes("rx", false)]
    fn what_a_veth_leaves_undone_is_known(#[case] feature: &str, #[case] left: bool) {
        assert_eq!(leaves_it_to_the_card(feature), left);
    }
}
