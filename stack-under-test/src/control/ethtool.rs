//! `ethtool`: offloads, coalescing, rings, channels, pause, the receive hash, and what it shows.

use super::GrammarError;
use super::value;
use super::words::{Words, unknown};
use crate::netdev::features;
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
    /// `txvlan`, `tx-vlan-offload`: the device puts VLAN tags on the wire.
    TxVlan,
    /// `rxvlan`, `rx-vlan-offload`: the device takes VLAN tags off.
    RxVlan,
    /// `rxhash`, `receive-hashing`: the device hashes what it receives.
    Rxhash,
    /// `lro`, `large-receive-offload`: the device merges what it receives.
    Lro,
    /// `ntuple`, `ntuple-filters`: the device chooses the queue by filters.
    Ntuple,
    /// One feature, by the kernel's own name.
    Named(&'static str),
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

/// What a command shows and does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// `-k`: the offloads.
    Features,
    /// `-c`: interrupt moderation.
    Coalesce,
    /// `-g`: descriptors in each ring.
    Rings,
    /// `-l`: queue pairs.
    Channels,
    /// `-a`: pause frames.
    Pause,
    /// `-x`: the indirection table of the receive hash.
    Rxfh,
    /// `-i`: the driver.
    Driver,
    /// `-d`: the registers.
    Registers,
    /// `-S`: the counters of the driver.
    Statistics,
}

/// How the indirection table of the receive hash is to be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indirection {
    /// `default`: as the kernel does it, one queue after the other.
    Default,
    /// `equal N`: over `queues` queues in turn, from `start` on.
    Equal {
        /// The first queue.
        start: u32,
        /// How many.
        queues: u32,
    },
    /// `weight W…`: a share for each queue, from `start` on.
    Weight {
        /// The first queue.
        start: u32,
        /// The share of each; not all are 0.
        weights: Vec<u32>,
    },
}

impl Indirection {
    /// The queue of entry `at` of `size`, on a device with `queues` receive queues (`fill_indir_table` of ethtool 6.1).
    #[must_use]
    pub fn queue(&self, at: usize, size: usize, queues: u16) -> u32 {
        match self {
            Self::Default => at as u32 % u32::from(queues.max(1)),
            Self::Equal { start, queues } => start.saturating_add(at as u32 % (*queues).max(1)),
            Self::Weight { start, weights } => {
                let sum: u64 = weights.iter().copied().map(u64::from).sum::<u64>().max(1);
                let mut part = 0;
                let is_mine = |&weight: &u32| {
                    part += u64::from(weight);
                    (at as u64) < size as u64 * part / sum
                };
                let queue = weights.iter().position(is_mine).unwrap_or(weights.len().saturating_sub(1));
                start.saturating_add(queue as u32)
            }
        }
    }
}

/// One command; numbers that are `None` stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EthtoolCommand {
    /// `-K`: switch offloads on or off, in order.
    Features(Vec<(Feature, bool)>),
    /// Shows something.
    Show(Show),
    /// `-r`: the link is negotiated anew.
    Negotiate,
    /// `-t`: the driver's self-test.
    Test {
        /// All of it, for which the device is taken out of service; else the link alone.
        offline: bool,
    },
    /// `-X`: where the receive hash sends packets.
    Rxfh(Indirection),
    /// `-C`: interrupt moderation.
    Coalesce(Coalesce),
    /// `-G`: descriptors in each ring.
    Rings {
        /// Of a receive ring.
        rx: Option<u32>,
        /// Of a transmit ring.
        tx: Option<u32>,
    },
    /// `-L`: queues.
    Channels {
        /// Queues that only receive.
        rx: Option<u32>,
        /// Queues that only send.
        tx: Option<u32>,
        /// Vectors for anything else.
        other: Option<u32>,
        /// Pairs of a receive and a transmit queue.
        combined: Option<u32>,
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

const FEATURES: [(&str, Feature); 25] = [
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
    ("txvlan", Feature::TxVlan),
    ("tx-vlan-offload", Feature::TxVlan),
    ("tx-vlan-hw-insert", Feature::TxVlan),
    ("rxvlan", Feature::RxVlan),
    ("rx-vlan-offload", Feature::RxVlan),
    ("rx-vlan-hw-parse", Feature::RxVlan),
    ("rxhash", Feature::Rxhash),
    ("receive-hashing", Feature::Rxhash),
    ("lro", Feature::Lro),
    ("large-receive-offload", Feature::Lro),
    ("ntuple", Feature::Ntuple),
    ("ntuple-filters", Feature::Ntuple),
];

const OPTIONS: [&str; 18] = [
    "-k", "-K", "-c", "-C", "-g", "-G", "-l", "-L", "-a", "-A", "-x", "-X", "-i", "-d", "-S", "-r", "-t",
    "--test",
];

/// What an option shows, if it shows something.
fn shown(option: &str) -> Option<Show> {
    Some(match option {
        "-k" | "--show-features" | "--show-offload" => Show::Features,
        "-c" | "--show-coalesce" => Show::Coalesce,
        "-g" | "--show-ring" => Show::Rings,
        "-l" | "--show-channels" => Show::Channels,
        "-a" | "--show-pause" => Show::Pause,
        "-x" | "--show-rxfh-indir" | "--show-rxfh" => Show::Rxfh,
        "-i" | "--driver" => Show::Driver,
        "-d" | "--register-dump" => Show::Registers,
        "-S" | "--statistics" => Show::Statistics,
        _ => return None,
    })
}

/// Reads what follows `ethtool`.
///
/// # Errors
/// At the word that is not supported.
pub fn parse(words: &mut Words<'_>) -> Result<EthtoolCommand, GrammarError> {
    let option =
        words.next("an option: -k, -K, -c, -C, -g, -G, -l, -L, -a, -A, -x, -X, -i, -d, -S, -r or -t")?;
    let at = words.at() - 1;
    let shown = shown(option);
    let read: fn(&mut Words<'_>) -> Result<EthtoolCommand, GrammarError> = match option {
        "-K" | "--features" | "--offload" => features,
        "-C" | "--coalesce" => coalesce,
        "-G" | "--set-ring" => rings,
        "-L" | "--set-channels" => channels,
        "-A" | "--pause" => pause,
        "-X" | "--set-rxfh-indir" | "--rxfh" => rxfh,
        "-t" | "--test" => test,
        _ if shown.is_some() || matches!(option, "-r" | "--negotiate") => features,
        _ => return Err(unknown(at, "ethtool option", option, &OPTIONS)),
    };
    words.value("eth0", |word| (word == "eth0").then_some(()))?;
    if let Some(show) = shown {
        words.finish("the end of the command")?;
        return Ok(EthtoolCommand::Show(show));
    }
    if matches!(option, "-r" | "--negotiate") {
        words.finish("the end of the command")?;
        return Ok(EthtoolCommand::Negotiate);
    }
    if words.is_done() && !matches!(option, "-t" | "--test") {
        return Err(words.missing("what to set, such as tso on (for -K) or combined 4 (for -L)"));
    }
    read(words)
}

fn test(words: &mut Words<'_>) -> Result<EthtoolCommand, GrammarError> {
    let mode = match words.peek() {
        None => "offline",
        Some(_) => words.next("")?,
    };
    if !matches!(mode, "offline" | "online") {
        return Err(words.unknown_last("kind of test", &["offline", "online"]));
    }
    words.finish("the end of the command")?;
    Ok(EthtoolCommand::Test { offline: mode == "offline" })
}

fn rxfh(words: &mut Words<'_>) -> Result<EthtoolCommand, GrammarError> {
    let mut table = None;
    let mut first = 0;
    while let Some(word) = words.peek() {
        words.next("")?;
        match word {
            "start" => first = words.value("a receive queue", value::number)?,
            "equal" => {
                let queues = words
                    .value("a number of receive queues", |word| value::number(word).filter(|&n| n > 0))?;
                table = Some(Indirection::Equal { start: 0, queues });
            }
            "weight" => table = Some(Indirection::Weight { start: 0, weights: weights(words)? }),
            "default" => table = Some(Indirection::Default),
            "hkey" | "hfunc" | "context" | "delete" => {
                return Err(words.unsupported_last("equal N, weight W…, start N or default: igb has one key"));
            }
            _ => return Err(words.unknown_last("word", &["equal", "weight", "start", "default"])),
        }
    }
    match &mut table {
        Some(Indirection::Equal { start, .. } | Indirection::Weight { start, .. }) => *start = first,
        Some(Indirection::Default) if first == 0 => {}
        _ => return Err(words.missing("equal N or weight W…")),
    }
    table.map(EthtoolCommand::Rxfh).ok_or_else(|| words.missing("equal N, weight W… or default"))
}

fn weights(words: &mut Words<'_>) -> Result<Vec<u32>, GrammarError> {
    let mut list: Vec<u32> = Vec::new();
    while let Some(weight) = words.peek().and_then(value::number) {
        words.next("")?;
        list.push(weight);
    }
    if list.iter().all(|&weight| weight == 0) {
        return Err(words.missing("a weight for each receive queue, not all of them 0"));
    }
    Ok(list)
}

fn features(words: &mut Words<'_>) -> Result<EthtoolCommand, GrammarError> {
    let mut list = Vec::new();
    while let Some(word) = words.peek() {
        words.next("")?;
        let group = FEATURES.iter().find(|(name, _)| *name == word).map(|(_, feature)| *feature);
        let Some(feature) = group.or_else(|| features::named(word).map(Feature::Named)) else {
            return Err(words.unknown_last("feature", &FEATURES.map(|(name, _)| name)));
        };
        list.push((feature, words.value("on or off", value::on_off)?));
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
            "adaptive-rx" => set.adaptive_rx = Some(words.value("on or off", value::on_off)?),
            "adaptive-tx" => set.adaptive_tx = Some(words.value("on or off", value::on_off)?),
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
    let (mut rx, mut tx, mut other, mut combined) = (None, None, None, None);
    while let Some(word) = words.peek() {
        words.next("")?;
        let to = match word {
            "rx" => &mut rx,
            "tx" => &mut tx,
            "other" => &mut other,
            "combined" => &mut combined,
            _ => return Err(words.unknown_last("kind of channel", &["combined", "rx", "tx", "other"])),
        };
        *to = Some(words.value("a number of queues", value::number)?);
    }
    Ok(EthtoolCommand::Channels { rx, tx, other, combined })
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
        *to = Some(words.value("on or off", value::on_off)?);
    }
    Ok(EthtoolCommand::Pause { autoneg, rx, tx })
}

#[cfg(test)]
mod tests {
    use super::Indirection;
    use alloc::vec;
    use alloc::vec::Vec;
    use rstest::rstest;

    /// By hand: ethtool gives entry i to the first queue whose share of the table ends beyond i.
    #[rstest]
    #[case::in_turn(Indirection::Equal { start: 0, queues: 2 }, &[0, 1, 0, 1, 0, 1, 0, 1])]
    #[case::from_another_queue_on(Indirection::Equal { start: 2, queues: 2 }, &[2, 3, 2, 3, 2, 3, 2, 3])]
    #[case::three_to_one(Indirection::Weight { start: 0, weights: vec![3, 1] }, &[0, 0, 0, 0, 0, 0, 1, 1])]
    #[case::nothing_for_the_first(Indirection::Weight { start: 0, weights: vec![0, 1, 1] }, &[1, 1, 1, 1, 2, 2, 2, 2])]
    #[case::the_kernels_choice(Indirection::Default, &[0, 1, 2, 0, 1, 2, 0, 1])]
    fn a_table_is_filled_as_ethtool_does(#[case] how: Indirection, #[case] expected: &[u32]) {
        let table: Vec<u32> = (0..8).map(|at| how.queue(at, 8, 3)).collect();
        assert_eq!(table, expected);
    }
}
