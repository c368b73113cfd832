//! `ip link`: `set` (up, down, MTU, address, length of the transmit queue, and which frames are listened to), `add` and `del` of
//! VLAN devices.

use super::abbreviated;
use crate::control::GrammarError;
use crate::control::value;
use crate::control::words::Words;
use crate::netdev::IfName;

/// One command on interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkCommand {
    /// `set`.
    Set(LinkSet),
    /// `add … type vlan …`.
    AddVlan(VlanAdd),
    /// `del`.
    Del {
        /// The interface.
        dev: IfName,
    },
}

/// A VLAN device that is to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VlanAdd {
    /// The interface that it is to be above.
    pub link: IfName,
    /// Its name.
    pub name: IfName,
    /// The number of its VLAN, 0 to 65,535 here; the kernel takes 0 to 4,094.
    pub id: u16,
}

/// What to set; the kernel does all of it or, for the first that it refuses, stops there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkSet {
    /// The interface.
    pub dev: IfName,
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
const COMMANDS: [&str; 5] = ["add", "set", "delete", "del", "show"];
const VLAN_NAME: &str = "the name of a VLAN device: eth0.N or vlanN";

/// Reads what follows `ip link`.
///
/// # Errors
/// At the word that is not supported.
pub fn parse(words: &mut Words<'_>) -> Result<LinkCommand, GrammarError> {
    match abbreviated(words.next("set, add or del")?, &COMMANDS) {
        Some("set") => set(words).map(LinkCommand::Set),
        Some("add") => add(words).map(LinkCommand::AddVlan),
        Some("delete" | "del") => {
            words.take("dev");
            let dev = super::interface(words)?;
            words.finish("the end of the command")?;
            Ok(LinkCommand::Del { dev })
        }
        _ => Err(words.unknown_last("ip link command", &["set", "add", "del"])),
    }
}

fn set(words: &mut Words<'_>) -> Result<LinkSet, GrammarError> {
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

/// `ip link add link eth0 name eth0.100 type vlan id 100`.
fn add(words: &mut Words<'_>) -> Result<VlanAdd, GrammarError> {
    let mut vlan = VlanAdd::default();
    loop {
        match words.next("link eth0, a name, or type vlan")? {
            "link" => vlan.link = words.value("the interface below: eth0", value::interface)?,
            "dev" | "name" => vlan.name = words.value(VLAN_NAME, vlan_name)?,
            "type" => break,
            word => match vlan_name(word) {
                Some(name) if vlan.name.is_empty() => vlan.name = name,
                _ => return Err(words.unknown_last("word", &["link", "name", "type"])),
            },
        }
    }
    if words.next("vlan")? != "vlan" {
        return Err(words.unsupported_last("vlan: no other kind of interface can be made"));
    }
    let mut id = None;
    while let Some(word) = words.peek() {
        words.next("")?;
        match word {
            "id" => id = Some(words.value("the number of a VLAN", vlan_id)?),
            "protocol" => {
                let is_8021q = |word: &str| word.eq_ignore_ascii_case("802.1q").then_some(());
                words.value("802.1Q", is_8021q)?;
            }
            _ => return Err(words.unknown_last("setting of a VLAN", &["id", "protocol"])),
        }
    }
    if vlan.link.is_empty() || vlan.name.is_empty() {
        let what = if vlan.link.is_empty() { "link eth0, before the type" } else { VLAN_NAME };
        return Err(words.missing(what));
    }
    vlan.id = id.ok_or_else(|| words.missing("id and the number of the VLAN"))?;
    Ok(vlan)
}

fn vlan_name(word: &str) -> Option<IfName> {
    value::interface(word).filter(|name| !matches!(&**name, "eth0" | "lo"))
}

fn vlan_id(word: &str) -> Option<u16> {
    value::number(word).and_then(|id| u16::try_from(id).ok())
}
