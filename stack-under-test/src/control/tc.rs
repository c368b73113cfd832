//! `tc qdisc`: handles, parents, and the parameters of each kind of queueing discipline.

use super::GrammarError;
use super::tc_units;
use super::value;
use super::words::Words;
use crate::netdev::IfName;

/// `TC_H_ROOT`: the parent of a device's root qdisc.
pub const TC_H_ROOT: u32 = 0xffff_ffff;
/// How many values `skb->priority & TC_PRIO_MAX` has.
pub const PRIORITIES: usize = 16;
/// The band of each priority, as the kernel's `pfifo_fast` and tc's `prio` have it.
pub const PRIO2BAND: [u8; PRIORITIES] = [1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];

/// What to do with the qdisc at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QdiscVerb {
    /// Netlink flags CREATE and EXCL.
    Add,
    /// Netlink flags CREATE and REPLACE.
    Replace,
    /// No flags.
    Change,
    /// Take it away.
    Del,
}

/// Parameters of `tbf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TbfParams {
    /// Bytes a second.
    pub rate: u64,
    /// The size of the bucket in bytes.
    pub burst: u32,
    /// How many bytes may wait; `latency` was turned into it as tc does.
    pub limit: u32,
    /// The peak rate in bytes a second, and the size of its bucket (`mtu`).
    pub peak: Option<(u64, u32)>,
}

/// The kind of a qdisc, with what is given for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QdiscParams {
    /// Three bands.
    PfifoFast,
    /// First in first out, limited in packets; without a limit the device's queue length.
    Pfifo {
        /// Packets.
        limit: Option<u32>,
    },
    /// First in first out, limited in bytes; without a limit the queue length times a full frame.
    Bfifo {
        /// Bytes.
        limit: Option<u32>,
    },
    /// Bands in strict order.
    Prio {
        /// How many.
        bands: u32,
        /// The band of each priority.
        priomap: [u8; PRIORITIES],
    },
    /// A token bucket.
    Tbf(TbfParams),
    /// One qdisc for each transmit queue.
    Mq,
    /// None: straight to the driver.
    Noqueue,
}

impl QdiscParams {
    /// The name of the kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PfifoFast => "pfifo_fast",
            Self::Pfifo { .. } => "pfifo",
            Self::Bfifo { .. } => "bfifo",
            Self::Prio { .. } => "prio",
            Self::Tbf(_) => "tbf",
            Self::Mq => "mq",
            Self::Noqueue => "noqueue",
        }
    }
}

/// One command on a qdisc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QdiscCommand {
    /// What to do.
    pub verb: QdiscVerb,
    /// The interface.
    pub dev: IfName,
    /// [`TC_H_ROOT`], or major in the upper and minor in the lower 16 bits.
    pub parent: u32,
    /// The handle: major in the upper 16 bits; 0 when none was given.
    pub handle: u32,
    /// The kind and what is given for it; `None` only for [`QdiscVerb::Del`].
    pub params: Option<QdiscParams>,
}

const VERBS: [&str; 4] = ["add", "replace", "change", "del"];
const KINDS: [&str; 7] = ["pfifo_fast", "pfifo", "bfifo", "prio", "tbf", "mq", "noqueue"];
const HANDLE: &str = "a handle such as 1: (hexadecimal, up to ffff)";
const CLASS: &str = "a class such as 1:1 (hexadecimal)";

fn hex16(word: &str) -> Option<u32> {
    u16::from_str_radix(word, 16).ok().filter(|_| !word.starts_with('+')).map(u32::from)
}

fn handle(word: &str) -> Option<u32> {
    hex16(word.strip_suffix(':').unwrap_or(word)).map(|major| major << 16)
}

fn class(word: &str) -> Option<u32> {
    let (major, minor) = word.split_once(':')?;
    let minor = if minor.is_empty() { 0 } else { hex16(minor)? };
    Some(hex16(major)? << 16 | minor)
}

/// Reads what follows `tc`.
///
/// # Errors
/// At the word that is not supported.
pub fn parse(words: &mut Words<'_>) -> Result<QdiscCommand, GrammarError> {
    if words.next("qdisc")? != "qdisc" {
        return Err(words.unknown_last("tc object", &["qdisc"]));
    }
    let verb = match words.next("add, replace, change or del")? {
        "add" => QdiscVerb::Add,
        "replace" => QdiscVerb::Replace,
        "change" => QdiscVerb::Change,
        "del" | "delete" => QdiscVerb::Del,
        _ => return Err(words.unknown_last("tc qdisc command", &VERBS)),
    };
    let (mut dev, mut parent, mut own) = (IfName::default(), 0, 0);
    let mut params = None;
    while let Some(word) = words.peek() {
        words.next("")?;
        match word {
            "dev" => dev = words.value("an interface of the stack: eth0 or lo", value::interface)?,
            "root" | "parent" if parent != 0 => return Err(words.unsupported_last("one of root and parent")),
            "root" => parent = TC_H_ROOT,
            "parent" => parent = words.value(CLASS, class)?,
            "handle" => own = words.value(HANDLE, handle)?,
            "ingress" | "clsact" => return Err(words.unsupported_last("root or parent X:Y")),
            _ => {
                params = Some(kind(words, word)?);
                break;
            }
        }
    }
    words.finish("the end of the command")?;
    if dev.is_empty() {
        return Err(words.missing("dev eth0"));
    }
    if parent == 0 {
        return Err(words.missing("root or parent X:Y"));
    }
    if params.is_none() && verb != QdiscVerb::Del {
        return Err(words.missing("a kind: pfifo_fast, pfifo, bfifo, prio, tbf, mq or noqueue"));
    }
    Ok(QdiscCommand { verb, dev, parent, handle: own, params })
}

fn kind(words: &mut Words<'_>, word: &str) -> Result<QdiscParams, GrammarError> {
    Ok(match word {
        "pfifo_fast" => QdiscParams::PfifoFast,
        "mq" => QdiscParams::Mq,
        "noqueue" => QdiscParams::Noqueue,
        "pfifo" => QdiscParams::Pfifo { limit: fifo(words, "a number of packets")? },
        "bfifo" => QdiscParams::Bfifo { limit: fifo(words, "a size such as 1600 or 10kb")? },
        "prio" => prio(words)?,
        "tbf" => tbf(words)?,
        _ => return Err(words.unknown_last("qdisc", &KINDS)),
    })
}

fn fifo(words: &mut Words<'_>, expected: &str) -> Result<Option<u32>, GrammarError> {
    let mut limit = None;
    while words.take("limit") {
        limit = Some(words.value(expected, tc_units::size)?);
    }
    words.finish("limit N")?;
    Ok(limit)
}

fn prio(words: &mut Words<'_>) -> Result<QdiscParams, GrammarError> {
    let (mut bands, mut priomap) = (3, PRIO2BAND);
    while let Some(word) = words.peek() {
        words.next("")?;
        match word {
            "bands" => bands = words.value("a number of bands", value::number)?,
            "priomap" => {
                let mut at = 0;
                while let Some(band) = words.peek().and_then(value::number) {
                    words.next("")?;
                    let band = u8::try_from(band).ok().filter(|&b| u32::from(b) < bands && at < PRIORITIES);
                    let Some(band) = band else {
                        return Err(words.wrong_last("a band below the number of bands, at most 16 of them"));
                    };
                    priomap[at] = band;
                    at += 1;
                }
                if at == 0 {
                    return Err(words.missing("up to 16 bands, one for each priority"));
                }
            }
            _ => return Err(words.unknown_last("parameter of prio", &["bands", "priomap"])),
        }
    }
    Ok(QdiscParams::Prio { bands, priomap })
}

/// `BYTES` or `BYTES/CELL`; the size of a cell only mattered to kernels before 3.8.
fn size_and_cell(word: &str) -> Option<u32> {
    match word.split_once('/') {
        Some((bytes, cell)) => {
            value::number(cell).filter(|cell| cell.is_power_of_two())?;
            tc_units::size(bytes)
        }
        None => tc_units::size(word),
    }
}

const TBF: [&str; 7] = ["rate", "burst", "limit", "latency", "peakrate", "mtu", "minburst"];

fn tbf(words: &mut Words<'_>) -> Result<QdiscParams, GrammarError> {
    let (mut rate, mut burst, mut limit, mut latency) = (None, None, None, None);
    let (mut peakrate, mut mtu) = (None, None);
    while let Some(word) = words.peek() {
        words.next("")?;
        match word {
            "limit" | "latency" if limit.is_some() || latency.is_some() => {
                return Err(words.error(
                    words.at() - 1,
                    "limit and latency exclude each other",
                    "one of them",
                ));
            }
            "rate" => rate = Some(words.value("a rate such as 100kbit or 1mbit", tc_units::rate)?),
            "burst" | "buffer" | "maxburst" => {
                burst = Some(words.value("a size such as 1600 or 10kb", size_and_cell)?);
            }
            "limit" => limit = Some(words.value("a size such as 1600 or 10kb", tc_units::size)?),
            "latency" => latency = Some(words.value("a time such as 50ms", tc_units::time)?),
            "peakrate" => peakrate = Some(words.value("a rate such as 100kbit or 1mbit", tc_units::rate)?),
            "mtu" | "minburst" => mtu = Some(words.value("a size such as 1514", size_and_cell)?),
            _ => return Err(words.unknown_last("parameter of tbf", &TBF)),
        }
    }
    let rate = rate.filter(|&rate| rate > 0).ok_or_else(|| words.missing("rate RATE, above zero"))?;
    let burst = burst.filter(|&burst| burst > 0).ok_or_else(|| words.missing("burst BYTES, above zero"))?;
    let peak = match (peakrate, mtu) {
        (Some(_), None) => return Err(words.missing("mtu BYTES, which goes with peakrate")),
        (Some(peak), Some(mtu)) => Some((peak, mtu)),
        (None, _) => None,
    };
    let within = |rate: u64, room: u32| {
        latency.map(|us| (u128::from(rate) * u128::from(us) / 1_000_000).saturating_add(u128::from(room)))
    };
    let by_latency =
        within(rate, burst).into_iter().chain(peak.and_then(|(rate, mtu)| within(rate, mtu))).min();
    let limit = limit.or(by_latency.map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX)));
    let limit = limit.ok_or_else(|| words.missing("limit BYTES or latency TIME"))?;
    Ok(QdiscParams::Tbf(TbfParams { rate, burst, limit, peak }))
}
