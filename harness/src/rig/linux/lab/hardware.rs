//! What ethtool sets of a device: features, rings, coalescing, channels; read, and written back where it differs.

use super::program::{fails, output};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Words of `ethtool` with their values.
pub type Settings = BTreeMap<String, String>;

/// All of a device that `ethtool` can set and a case may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// `-k`: name to `on`, `off` or `off [requested on]`; only those that are not fixed.
    pub features: Settings,
    /// `-k`: those that cannot be changed.
    pub fixed: Settings,
    /// `-g`, the current ones.
    pub rings: Settings,
    /// `-c`.
    pub coalescing: Settings,
    /// `-l`, the current ones.
    pub channels: Settings,
}

/// Features that `ethtool -K` knows by another word than `-k` prints.
const SHORT: [(&str, &str); 11] = [
    ("rx-checksumming", "rx"),
    ("tx-checksumming", "tx"),
    ("scatter-gather", "sg"),
    ("tcp-segmentation-offload", "tso"),
    ("generic-segmentation-offload", "gso"),
    ("generic-receive-offload", "gro"),
    ("large-receive-offload", "lro"),
    ("rx-vlan-offload", "rxvlan"),
    ("tx-vlan-offload", "txvlan"),
    ("ntuple-filters", "ntuple"),
    ("receive-hashing", "rxhash"),
];

/// The word that changes a feature.
#[must_use]
pub fn word(feature: &str) -> &str {
    SHORT.iter().find(|(long, _)| *long == feature).map_or(feature, |(_, short)| short)
}

/// The feature that a word of `ethtool -K` changes.
#[must_use]
pub fn feature(word: &str) -> &str {
    SHORT.iter().find(|(_, short)| *short == word).map_or(word, |(long, _)| long)
}

impl Hardware {
    /// Reads a device of the namespace of the calling thread. What it does not have is empty.
    #[must_use]
    pub fn read(device: &str) -> Self {
        let ask = |what: &str| output(&["ethtool", what, device]).unwrap_or_default();
        let (features, fixed) = features(&ask("-k"));
        Self {
            features,
            fixed,
            rings: current(&ask("-g")),
            coalescing: coalescing(&ask("-c")),
            channels: current(&ask("-l")),
        }
    }

    /// Makes the device what this says, beginning from what it is `now`. Settings that are refused are tried once more, as one
    /// may stand in the way of another; what stays is found by reading again.
    pub fn write(&self, device: &str, now: &Self) {
        for (option, want, is) in [
            ("-L", &self.channels, &now.channels),
            ("-G", &self.rings, &now.rings),
            ("-C", &self.coalescing, &now.coalescing),
        ] {
            let changed = different(want, is);
            if !changed.is_empty() {
                let words = changed.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
                drop(fails(&["ethtool", option, device].into_iter().chain(words).collect::<Vec<_>>()));
            }
        }
        let mut is = now.features.clone();
        for _ in 0..3 {
            let changed = different(&self.features, &is);
            if changed.is_empty() {
                return;
            }
            for (name, value) in changed {
                drop(fails(&["ethtool", "-K", device, word(name), requested(value)]));
            }
            is = features(&output(&["ethtool", "-k", device]).unwrap_or_default()).0;
        }
    }

    /// What differs, as lines for people.
    #[must_use]
    pub fn differences(&self, now: &Self) -> Vec<String> {
        [
            (&self.features, &now.features, "feature"),
            (&self.rings, &now.rings, "ring"),
            (&self.coalescing, &now.coalescing, "coalescing"),
            (&self.channels, &now.channels, "channels"),
        ]
        .into_iter()
        .flat_map(|(want, is, what)| {
            different(want, is).into_iter().map(move |(name, value)| {
                let is = is.get(name).map_or("gone", String::as_str);
                format!("{what} {name} is {is}, was {value}")
            })
        })
        .collect()
    }
}

/// What was asked for, where another feature stands in its way: `off [requested on]`.
fn requested(value: &str) -> &str {
    value.split_once("[requested ").map_or(value, |(_, wanted)| wanted.trim_end_matches(']'))
}

fn different<'w>(want: &'w Settings, is: &Settings) -> Vec<(&'w String, &'w String)> {
    want.iter().filter(|(name, value)| is.get(*name).is_some_and(|is| is != *value)).collect()
}

/// `tx-checksumming: on [fixed]`: those that can be changed, and those that cannot.
fn features(text: &str) -> (Settings, Settings) {
    let (mut free, mut fixed) = (Settings::new(), Settings::new());
    for (name, rest) in text.lines().skip(1).filter_map(|line| line.trim().split_once(": ")) {
        let (to, value) = match rest.strip_suffix("[fixed]") {
            Some(value) => (&mut fixed, value),
            None => (&mut free, rest),
        };
        to.insert(name.to_owned(), value.trim().to_owned());
    }
    (free, fixed)
}

/// `RX Mini:  256` below `Current hardware settings:`, as `rx-mini`.
fn current(text: &str) -> Settings {
    let lines = text.lines().skip_while(|line| !line.starts_with("Current hardware settings"));
    let pairs = lines.skip(1).filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.trim().to_lowercase().replace(' ', "-"), value.trim().to_owned()))
        .filter(|(_, value)| value.parse::<u32>().is_ok())
        .collect()
}

/// `rx-usecs: 3`, and `Adaptive RX: off  TX: off`.
fn coalescing(text: &str) -> Settings {
    let mut found = Settings::new();
    for (name, value) in text.lines().skip(1).filter_map(|line| line.split_once(':')) {
        if name == "Adaptive RX" {
            let values: Vec<_> = value.split_whitespace().filter(|w| matches!(*w, "on" | "off")).collect();
            let names = ["adaptive-rx", "adaptive-tx"].map(str::to_owned);
            found.extend(names.into_iter().zip(values.into_iter().map(str::to_owned)));
        } else if matches!(value.trim(), "on" | "off") || value.trim().parse::<u32>().is_ok() {
            found.insert(name.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn features_that_are_fixed_are_kept_apart() {
        let text = "Features for eth0:\nrx-checksumming: on\n\ttx-checksum-ipv4: off [fixed]\nlarge-receive-offload: off [requested on]\n";
        let (free, fixed) = features(text);
        assert_eq!(free, map(&[("rx-checksumming", "on"), ("large-receive-offload", "off [requested on]")]));
        assert_eq!(requested(&free["large-receive-offload"]), "on");
        assert_eq!(fixed, map(&[("tx-checksum-ipv4", "off")]));
    }

    #[test]
    fn of_rings_and_channels_the_current_ones_are_read() {
        let text = "Ring parameters for eth0:\nPre-set maximums:\nRX:\t\t4096\nRX Mini:\tn/a\nTX:\t\t4096\n\
                    Current hardware settings:\nRX:\t\t256\nRX Mini:\tn/a\nTX:\t\t512\nTX push:\toff\n";
        assert_eq!(current(text), map(&[("rx", "256"), ("tx", "512")]));
    }

    #[test]
    fn coalescing_has_words_of_its_own() {
        let text =
            "Coalesce parameters for eth0:\nAdaptive RX: off  TX: on\nstats-block-usecs: n/a\nrx-usecs: 3\n";
        assert_eq!(
            coalescing(text),
            map(&[("adaptive-rx", "off"), ("adaptive-tx", "on"), ("rx-usecs", "3")])
        );
    }

    #[test]
    fn a_difference_is_told_with_both_values() {
        let was = Hardware { features: map(&[("tx-checksumming", "on")]), ..Hardware::default() };
        let is = Hardware { features: map(&[("tx-checksumming", "off")]), ..Hardware::default() };
        assert_eq!(was.differences(&is), ["feature tx-checksumming is off, was on"]);
        assert!(was.differences(&was).is_empty());
    }
}
