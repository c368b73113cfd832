//! What ethtool sets of a device: features, rings, coalescing, channels, pauses, the table of RSS; read, and written back where it differs.

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
    /// `-a`; where pauses are negotiated, nothing but that, as the rest is the partner's affair.
    #[serde(default)]
    pub pauses: Settings,
    /// `-x`, the queues by the number of the first entry of a line; none of a device that never had a carrier, as its driver fills the
    /// table when it is first up.
    #[serde(default)]
    pub indirection: Settings,
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
        let ask = |what| ask(device, what);
        let (features, fixed) = features(&ask("-k"));
        Self {
            features,
            fixed,
            rings: current(&ask("-g")),
            coalescing: coalescing(&ask("-c")),
            channels: current(&ask("-l")),
            pauses: pauses(&ask("-a")),
            indirection: if had_carrier(device) { indirection(&ask("-x")) } else { Settings::new() },
        }
    }

    /// Makes the device what this says, beginning from what it is `now`. Settings that are refused are tried once more, as one
    /// may stand in the way of another; what stays is found by reading again.
    pub fn write(&self, device: &str, now: &Self) {
        let was_written = !different(&self.indirection, &now.indirection).is_empty();
        if was_written {
            // A table that was written forbids fewer queues than it names.
            drop(fails(&["ethtool", "-X", device, "default"]));
        }
        for (option, want, is) in [
            ("-L", &self.channels, &now.channels),
            ("-G", &self.rings, &now.rings),
            ("-C", &self.coalescing, &now.coalescing),
            ("-A", &self.pauses, &now.pauses),
        ] {
            let changed = different(want, is);
            if !changed.is_empty() {
                let words = changed.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
                drop(fails(&["ethtool", option, device].into_iter().chain(words).collect::<Vec<_>>()));
            }
        }
        if was_written {
            self.write_indirection(device);
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

    /// Makes the table what it was, with as many queues as then. The kernel's default is not that of every driver, which has its own
    /// with other queues, and on a device that is down not before it is up; that of igb has the queues in equal blocks, as weights do.
    fn write_indirection(&self, device: &str) {
        let differs = || !different(&self.indirection, &indirection(&ask(device, "-x"))).is_empty();
        if differs() {
            drop(fails(&["ethtool", "-X", device, "default"]));
        }
        if differs() {
            self.make_queues_anew(device);
        }
        let count = self.channels.get("combined").and_then(|count| count.parse().ok()).unwrap_or(0);
        if count > 0 && differs() {
            let words =
                ["ethtool", "-X", device, "weight"].into_iter().chain(std::iter::repeat_n("1", count));
            drop(fails(&words.collect::<Vec<_>>()));
        }
    }

    /// Has the driver make its queues anew, by giving it another number of them for a moment: their counters begin at 0. Where
    /// their number cannot be set, nothing happens.
    pub fn make_queues_anew(&self, device: &str) {
        let Some(count) = self.channels.get("combined") else { return };
        let other = if count == "1" { "2" } else { "1" };
        for number in [other, count] {
            drop(fails(&["ethtool", "-L", device, "combined", number]));
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
            (&self.pauses, &now.pauses, "pauses"),
            (&self.indirection, &now.indirection, "indirection table at"),
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

/// Whether a device of the namespace of the calling thread has had a carrier since its driver took it; where that is not known, it has.
fn had_carrier(device: &str) -> bool {
    let count = std::path::Path::new("/sys/class/net").join(device).join("carrier_up_count");
    std::fs::read_to_string(count).map_or(true, |count| count.trim() != "0")
}

fn ask(device: &str, what: &str) -> String {
    output(&["ethtool", what, device]).unwrap_or_default()
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

/// `Autonegotiate:  on`, and where that is off `RX:  off`, `TX:  on`.
fn pauses(text: &str) -> Settings {
    let value = |label: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(label))?;
        Some(line.trim().to_owned())
    };
    let is_negotiated = value("Autonegotiate:").is_some_and(|value| value == "on");
    [("autoneg", "Autonegotiate:"), ("rx", "RX:"), ("tx", "TX:")]
        .into_iter()
        .filter(|(name, _)| *name == "autoneg" || !is_negotiated)
        .filter_map(|(name, label)| Some((name.to_owned(), value(label)?)))
        .collect()
}

/// `    8:      0     1     2 …`, up to what follows the table.
fn indirection(text: &str) -> Settings {
    let lines = text.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines
        .take_while(|(entry, _)| entry.trim().parse::<u32>().is_ok())
        .map(|(entry, queues)| {
            (entry.trim().to_owned(), queues.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
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
    fn of_the_table_the_queues_are_read_and_no_key() {
        let text = "RX flow hash indirection table for eth0 with 4 RX ring(s):\n    0:      0     1\n    8:      2     3\n\
                    RSS hash key:\nOperation not supported\nRSS hash function:\n    toeplitz: on\n";
        assert_eq!(indirection(text), map(&[("0", "0 1"), ("8", "2 3")]));
        assert_eq!(indirection("Cannot get RX ring count: Operation not supported\n"), map(&[]));
    }

    #[test]
    fn pauses_that_are_negotiated_are_the_partners_affair() {
        let text = |autoneg| {
            format!("Pause parameters for eth0:\nAutonegotiate:\t{autoneg}\nRX:\t\toff\nTX:\t\ton\n")
        };
        assert_eq!(pauses(&text("on")), map(&[("autoneg", "on")]));
        assert_eq!(pauses(&text("off")), map(&[("autoneg", "off"), ("rx", "off"), ("tx", "on")]));
    }

    #[test]
    fn a_difference_is_told_with_both_values() {
        let was = Hardware { features: map(&[("tx-checksumming", "on")]), ..Hardware::default() };
        let is = Hardware { features: map(&[("tx-checksumming", "off")]), ..Hardware::default() };
        assert_eq!(was.differences(&is), ["feature tx-checksumming is off, was on"]);
        assert!(was.differences(&was).is_empty());
    }
}
