//! `ethtool`: offloads, coalescing, rings, channels and pause.

use super::GrammarError;
use super::value;
use super::words::{Words, unknown};
use alloc::vec::Vec;

/// An offload, by ethtool's short name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// `rx`, `rx-checksumming`: the device verifies checksums.
    Rx,
    /// `tx`, `tx-checksumming`: the device fills checksums in.
    Tx,
    /// `sg`, `scatter-gather`: the device gathers a packet from pieces.
    Sg,
    /// `tso`, `tcp-segmentation-offload`: the device cuts TCP.
    Tso,
    /// `gso`, `generic-segmentation-offload`: large packets are cut as late as possible.
    Gso,
    /// `gro`, `generic-receive-offload`: received packets are merged.
    Gro,
    /// `tx-udp-segmentation`: the device cuts UDP.
    TxUdpSegmentation,
    /// `rxhash`, `receive-hashing`: the device hashes what it receives.
    Rxhash,
}

/// Settings of interrupt moderation; `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coalesce {
    /// Microseconds between interrupts for received packets.
    pub rx_usecs: Option<u32>,
    /// Microseconds between interrupts for packets that were sent.
    pub tx_usecs: Option<u32>,
    /// The driver chooses by the load.
    pub adaptive_rx: Option<bool>,
    /// The driver chooses by the load.
    pub adaptive_tx: Option<bool>,
}

/// One command; numbers that are `None` stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EthtoolCommand {
    /// `-K`: switch offloads on or off, in order.
    Features(Vec<(Feature, bool)>),
    /// `-k`: list the offloads.
    ShowFeatures,
    /// `-C`: interrupt moderation.
    Coalesce(Coalesce),
    /// `-G`: descriptors in each ring.
    Rings {
        /// Of a receive ring.
        rx: Option<u32>,
        /// Of a transmit ring.
        tx: Option<u32>,
    },
    /// `-L`: queue pairs.
    Channels {
        /// Pairs of a receive and a transmit queue.
        combined: u32,
    },
    /// `-A`: pause frames.
    Pause {
        /// Agree with the other end.
        autoneg: Option<bool>,
        /// Heed them.
        rx: Option<bool>,
        /// Send them.
        tx: Option<bool>,
    },
}

const FEATURES: [(&str, Feature); 15] = [
    ("rx", Feature::Rx),
    ("rx-checksumming", Feature::Rx),
    ("tx", Feature::Tx),
    ("tx-checksumming", Feature::Tx),
    ("sg", Feature::Sg),
    ("scatter-gather", Feature::Sg),
    ("tso", Feature::Tso),
    ("tcp-segmentation-offload", Feature::Tso),
    ("gso", Feature::Gso),
    ("generic-segmentation-offload", Feature::Gso),
    ("gro", Feature::Gro),
    ("generic-receive-offload", Feature::Gro),
    ("tx-udp-segmentation", Feature::TxUdpSegmentation),
    ("rxhash", Feature::Rxhash),
    ("receive-hashing", Feature::Rxhash),
];

fn on_off(word: &str) -> Option<bool> {
    match word {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

const OPTIONS: [&str; 6] = ["-k", "-K", "-C", "-G", "-L", "-A"];

/// Reads what follows `ethtool`.
///
/// # Errors
/// At the word that is not supported.
pub fn parse(words: &mut Words<'_>) -> Result<EthtoolCommand, GrammarError> {
    let option = words.next("an option: -k, -K, -C, -G, -L or -A")?;
    let at = words.at() - 1;
    let read: fn(&mut Words<'_>) -> Result<EthtoolCommand, GrammarError> = match option {
        "-K" | "--features" | "--offload" => features,
        "-k" | "--show-features" | "--show-offload" => show_features,
        "-C" | "--coalesce" => coalesce,
        "-G" | "--set-ring" => rings,
        "-L" | "--set-channels" => channels,
        "-A" | "--pause" => pause,
        _ => return Err(unknown(at, "ethtool option", option, &OPTIONS)),
    };
    words.value("eth0", |word| (word == "eth0").then_some(()))?;
    if words.is_done() && !matches!(option, "-k" | "--show-features" | "--show-offload") {
        return Err(words.missing("what to set, such as tso on (for -K) or combined 4 (for -L)"));
    }
    read(words)
}

fn show_features(words: &mut Words<'_>) -> Result<EthtoolCommand, GrammarError> {
    words.finish("the end of the command")?;
    Ok(EthtoolCommand::ShowFeatures)
}

fn features(words: &mut Words<'_>) -> Result<EthtoolCommand, GrammarError> {
    let mut list = Vec::new();
    while let Some(word) = words.peek() {
        words.next("")?;
        let Some(&(_, feature)) = FEATURES.iter().find(|(name, _)| *name == word) else {
            return Err(words.unknown_last("feature", &FEATURES.map(|(name, _)| name)));
        };
        list.push((feature, words.value("on or off", on_off)?));
    }
    Ok(EthtoolCommand::Features(list))
}

fn coalesce(words: &mut Words<'_>) -> Result<EthtoolCommand, GrammarError> {
    let mut set = Coalesce::default();
    while let Some(word) = words.peek() {
        words.next("")?;
        match word {
            "rx-usecs" => set.rx_usecs = Some(words.value("microseconds", value::number)?),
            "tx-usecs" => set.tx_usecs = Some(words.value("microseconds", value::number)?),
            "adaptive-rx" => set.adaptive_rx = Some(words.value("on or off", on_off)?),
            "adaptive-tx" => set.adaptive_tx = Some(words.value("on or off", on_off)?),
            _ => {
                return Err(words.unknown_last(
                    "coalescing parameter",
                    &["rx-usecs", "tx-usecs", "adaptive-rx", "adaptive-tx"],
                ));
            }
        }
    }
    Ok(EthtoolCommand::Coalesce(set))
}

fn rings(words: &mut Words<'_>) -> Result<EthtoolCommand, GrammarError> {
    let (mut rx, mut tx) = (None, None);
    while let Some(word) = words.peek() {
        words.next("")?;
        match word {
            "rx" => rx = Some(words.value("a number of descriptors", value::number)?),
            "tx" => tx = Some(words.value("a number of descriptors", value::number)?),
            _ => return Err(words.unknown_last("ring", &["rx", "tx"])),
        }
    }
    Ok(EthtoolCommand::Rings { rx, tx })
}

fn channels(words: &mut Words<'_>) -> Result<EthtoolCommand, GrammarError> {
    match words.next("combined N")? {
        "combined" => {}
        "rx" | "tx" | "other" => return Err(words.unsupported_last("combined N: queues come in pairs")),
        _ => return Err(words.unknown_last("kind of channel", &["combined"])),
    }
    let combined = words.value("a number of queue pairs", value::number)?;
    words.finish("the end of the command")?;
    Ok(EthtoolCommand::Channels { combined })
}

fn pause(words: &mut Words<'_>) -> Result<EthtoolCommand, GrammarError> {
    let (mut autoneg, mut rx, mut tx) = (None, None, None);
    while let Some(word) = words.peek() {
        words.next("")?;
        let to = match word {
            "autoneg" => &mut autoneg,
            "rx" => &mut rx,
            "tx" => &mut tx,
            _ => return Err(words.unknown_last("pause parameter", &["autoneg", "rx", "tx"])),
        };
        *to = Some(words.value("on or off", on_off)?);
    }
    Ok(EthtoolCommand::Pause { autoneg, rx, tx })
}
