//! `ip link set`: up, down, MTU, address, length of the transmit queue, and which frames are listened to.

use crate::control::GrammarError;
use crate::control::value;
use crate::control::words::Words;

/// What to set; the kernel does all of it or, for the first that it refuses, stops there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkSet {
    /// The interface.
    pub dev: &'static str,
    /// Up, or down.
    pub up: Option<bool>,
    /// The MTU in bytes.
    pub mtu: Option<u32>,
    /// The MAC address.
    pub address: Option<[u8; 6]>,
    /// The length of the transmit queue, in packets.
    pub txqueuelen: Option<u32>,
    /// `IFF_PROMISC`: every frame is taken.
    pub promisc: Option<bool>,
    /// `IFF_ALLMULTI`: every frame to a group is taken.
    pub allmulticast: Option<bool>,
    /// `IFF_MULTICAST`: the device can send to groups. Nothing in IPv4's way asks for it.
    pub multicast: Option<bool>,
}

const WORDS: [&str; 9] =
    ["up", "down", "mtu", "address", "txqueuelen", "promisc", "allmulticast", "multicast", "dev"];

/// Reads what follows `ip link`.
///
/// # Errors
/// At the word that is not supported.
pub fn parse(words: &mut Words<'_>) -> Result<LinkSet, GrammarError> {
    if words.next("set")? != "set" {
        return Err(words.unknown_last("ip link command", &["set"]));
    }
    let mut set = LinkSet::default();
    while let Some(word) = words.peek() {
        words.next("")?;
        match word {
            "dev" => set.dev = super::interface(words)?,
            "up" => set.up = Some(true),
            "down" => set.up = Some(false),
            "mtu" => set.mtu = Some(words.value("an MTU in bytes", value::number)?),
            "address" => {
                set.address = Some(words.value("a MAC address such as 02:00:00:00:00:01", value::mac)?)
            }
            "txqueuelen" | "qlen" | "txqlen" => {
                set.txqueuelen = Some(words.value("a number of packets", value::number)?);
            }
            "promisc" => set.promisc = Some(words.value("on or off", value::on_off)?),
            "allmulticast" => set.allmulticast = Some(words.value("on or off", value::on_off)?),
            "multicast" => set.multicast = Some(words.value("on or off", value::on_off)?),
            _ => match value::interface(word) {
                Some(dev) if set.dev.is_empty() => set.dev = dev,
                _ => return Err(words.unknown_last("setting", &WORDS)),
            },
        }
    }
    if set.dev.is_empty() {
        return Err(words.missing("dev eth0"));
    }
    Ok(set)
}
