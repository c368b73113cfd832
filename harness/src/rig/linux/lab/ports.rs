//! The two ports as they are found: whether they may be taken, and all that is needed to put them back.

use super::file::Allowed;
use super::hardware::Hardware;
use super::program::{items, json, output};
use super::settings::{self, Values};
use crate::rig::vfio::of_qemu;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// A port as it was found, in the namespace where it was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u64,
    /// What kind of virtual device it is (`veth`); empty for a card.
    pub kind: String,
    /// Its driver.
    pub driver: String,
    /// The folder of the card in sysfs; empty for a virtual device.
    pub device: String,
    /// The address that is burnt in; of a device without one, the one that it has.
    pub permanent_mac: String,
    /// The address that it has.
    pub mac: String,
    /// In bytes.
    pub mtu: u64,
    /// The largest MTU; 0 where the driver does not say.
    pub max_mtu: u64,
    /// `txqueuelen`, in packets.
    pub queue: u64,
    /// `IFF_UP` and the like.
    pub flags: Vec<String>,
    /// Arguments of `ip addr add`, one address each.
    pub addresses: Vec<String>,
    /// Arguments of `ip -4 route add` and `ip -6 route add`, with the family in front.
    pub routes: Vec<String>,
    /// What ethtool can set.
    pub hardware: Hardware,
    /// Its sysctls: what is below its own folders of `/proc/sys/net/ipv4` and `ipv6`.
    pub sysctls: Values,
}

impl Found {
    /// Whether an administrator has set it up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.has("UP")
    }

    /// Whether it has a flag of `ip link`.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|is| is == flag)
    }

    /// Whether it is an igb that QEMU makes.
    #[must_use]
    pub fn is_of_qemu(&self) -> bool {
        self.driver == "igb" && of_qemu::version().is_some()
    }

    /// Whether it goes with its namespace, and does not fall back into the first one.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        !self.kind.is_empty()
    }
}

/// The folders of a port's own sysctls.
#[must_use]
pub fn sysctl_folders(name: &str) -> [String; 4] {
    ["ipv4/conf", "ipv6/conf", "ipv4/neigh", "ipv6/neigh"].map(|part| format!("/proc/sys/net/{part}/{name}"))
}

/// Looks at the ports of these names, in the namespace of the calling thread.
///
/// # Errors
/// Why one of them cannot be taken, and what would help.
pub fn survey(names: &[&str], allow: &[Allowed]) -> Result<Vec<Found>, String> {
    let links = json(&["ip", "-j", "-d", "addr", "show"])?;
    let defaults = defaults()?;
    let session = session();
    let take = |name: &str| {
        let link = find(&links, name)?;
        refuse(&links, link, name)?;
        let in_the_way = [
            (
                Allowed::DefaultRoute,
                defaults.iter().any(|d| d == name).then(|| "it carries a default route".to_owned()),
            ),
            (Allowed::Session, session.as_deref().and_then(|local| runs_over(link, local))),
            (Allowed::Address, used_address(link)),
        ];
        for (may, why) in in_the_way {
            if let Some(why) = why.filter(|_| !allow.contains(&may)) {
                let word = may.word();
                return Err(format!(
                    "port {name} is not taken: {why}. Is it the right one? If so, write `allow: [{word}]` into the file"
                ));
            }
        }
        Ok(found(link, name))
    };
    names.iter().map(|name| take(name)).collect()
}

fn find<'l>(links: &'l Value, name: &str) -> Result<&'l Value, String> {
    items(links).find(|link| link["ifname"] == name).ok_or_else(|| {
        let others: Vec<_> = items(links)
            .filter(|link| link["link_type"] == "ether")
            .filter_map(|link| link["ifname"].as_str())
            .collect();
        let are = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        format!("there is no port {name} in this network namespace; there are: {are}")
    })
}

/// What no word of the file can allow.
fn refuse(links: &Value, link: &Value, name: &str) -> Result<(), String> {
    if link["link_type"] != "ether" {
        let kind = link["link_type"].as_str().unwrap_or("?");
        return Err(format!("port {name} is not taken: it is no Ethernet port (`{kind}`)"));
    }
    if let Some(master) = link["master"].as_str() {
        return Err(format!(
            "port {name} is not taken: it is a part of {master}; `ip link set {name} nomaster`"
        ));
    }
    // A veth names its other end in the same place, and that does not stand on it.
    let above = items(links).find(|other| other["link"] == name && kind(other) != "veth");
    match above.and_then(|other| other["ifname"].as_str()) {
        Some(above) => Err(format!("port {name} is not taken: {above} stands on it; `ip link del {above}`")),
        None => Ok(()),
    }
}

fn kind(link: &Value) -> &str {
    link["linkinfo"]["info_kind"].as_str().unwrap_or_default()
}

/// The devices of all default routes.
fn defaults() -> Result<Vec<String>, String> {
    let mut devices = Vec::new();
    for family in ["-4", "-6"] {
        // Without IPv6 in the kernel there are none.
        let routes = json(&["ip", family, "-j", "route", "show", "default"])
            .or_else(|why| if family == "-6" { Ok(Value::Null) } else { Err(why) })?;
        for route in items(&routes) {
            let hops = items(&route["nexthops"]).chain([route]);
            devices.extend(hops.filter_map(|hop| hop["dev"].as_str()).map(str::to_owned));
        }
    }
    Ok(devices)
}

/// The addresses of a port, each as `ip` has it.
fn addresses(link: &Value) -> impl Iterator<Item = &Value> {
    items(&link["addr_info"])
}

/// An address that somebody may be using: not one that IPv6 gives to every link.
fn used_address(link: &Value) -> Option<String> {
    let used = addresses(link).find(|address| address["scope"] != "link")?;
    Some(format!("it has the address {}", used["local"].as_str().unwrap_or("?")))
}

fn runs_over(link: &Value, local: &str) -> Option<String> {
    let address = local.split('%').next().unwrap_or(local);
    let mapped = address.strip_prefix("::ffff:").unwrap_or(address);
    addresses(link)
        .any(|own| own["local"] == address || own["local"] == mapped)
        .then(|| format!("the SSH session that started this runs over it ({address})"))
}

/// The local address of the SSH session that this process runs in. sudo takes the variable away: then one of the processes that
/// started it has it.
fn session() -> Option<String> {
    let local = |text: &str| text.split_whitespace().nth(2).map(str::to_owned);
    if let Ok(own) = std::env::var("SSH_CONNECTION") {
        return local(&own);
    }
    let mut pid = std::os::unix::process::parent_id();
    for _ in 0..64 {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let variables = environment.split(|byte| *byte == 0);
        let found = variables.filter_map(|v| v.strip_prefix(b"SSH_CONNECTION=")).next();
        if let Some(connection) = found {
            return local(&String::from_utf8_lossy(connection));
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        pid = parent.trim().parse().ok().filter(|parent| *parent > 1)?;
    }
    None
}

/// All that is needed to put it back.
fn found(link: &Value, name: &str) -> Found {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let mac = text(&link["address"]);
    let permanent = text(&link["permaddr"]);
    // ethtool works by the namespace, whatever sysfs the calling thread sees.
    let about = output(&["ethtool", "-i", name]).unwrap_or_default();
    let line =
        |key: &str| about.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default().trim().to_owned();
    Found {
        name: name.to_owned(),
        index: number(&link["ifindex"]),
        kind: kind(link).to_owned(),
        driver: line("driver:"),
        device: if kind(link).is_empty() { device(name) } else { String::new() },
        permanent_mac: if permanent.is_empty() { mac.clone() } else { permanent },
        mac,
        mtu: number(&link["mtu"]),
        max_mtu: number(&link["max_mtu"]),
        queue: number(&link["txqlen"]),
        flags: items(&link["flags"]).map(text).collect(),
        addresses: addresses(link).filter_map(address).collect(),
        routes: routes(name),
        hardware: Hardware::read(name),
        sysctls: sysctl_folders(name).iter().flat_map(|folder| settings::read(folder)).collect(),
    }
}

/// The folder of the card behind a port, in sysfs; empty where there is none.
pub fn device(name: &str) -> String {
    let link = Path::new("/sys/class/net").join(name).join("device");
    std::fs::canonicalize(link).map_or_else(|_| String::new(), |path| path.display().to_string())
}

/// An address as `ip addr add` takes it. What the network or the kernel itself gave comes again by itself.
fn address(own: &Value) -> Option<String> {
    let by_itself = own["dynamic"] == true || own["temporary"] == true || own["protocol"] == "kernel_ll";
    let six = own["family"] == "inet6";
    if by_itself || (six && own["scope"] == "link") {
        return None;
    }
    let local = own["local"].as_str()?;
    let mut words = match own["address"].as_str() {
        Some(peer) => format!("{local} peer {peer}/{}", own["prefixlen"]),
        None => format!("{local}/{}", own["prefixlen"]),
    };
    for (key, word) in [("broadcast", "broadcast"), ("scope", "scope"), ("label", "label")] {
        if let Some(value) = own[key].as_str().filter(|_| !(six && key == "label")) {
            words += &format!(" {word} {value}");
        }
    }
    if let Some(metric) = own["metric"].as_u64() {
        words += &format!(" metric {metric}");
    }
    if own["noprefixroute"] == true {
        words += " noprefixroute";
    }
    if six {
        words += " nodad";
    }
    Some(words)
}

/// The routes over a port that are not there by themselves once its addresses are.
fn routes(name: &str) -> Vec<String> {
    ["-4", "-6"]
        .into_iter()
        .flat_map(|family| {
            let text = output(&["ip", family, "-o", "route", "show", "table", "all", "dev", name]);
            let own = |line: &str| {
                let by_itself = line.contains("proto kernel") || line.contains("proto ra");
                let states = ["linkdown", "dead", "offload", "rt_offload", "pref", "medium"];
                let words: Vec<_> = line.split_whitespace().filter(|w| !states.contains(w)).collect();
                (!by_itself && !words.is_empty()).then(|| format!("{family} {}", words.join(" ")))
            };
            text.unwrap_or_default().lines().filter_map(own).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn port() -> Value {
        json!({"ifname": "p0", "link_type": "ether", "link": "p1", "linkinfo": {"info_kind": "veth"},
            "addr_info": [{"family": "inet", "local": "198.51.100.7", "prefixlen": 24,
                "broadcast": "198.51.100.255", "scope": "global", "label": "p0"},
                {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"}]})
    }

    #[rstest]
    #[case::the_address_itself("198.51.100.7", true)]
    #[case::mapped_into_ipv6("::ffff:198.51.100.7", true)]
    #[case::of_the_link("fe80::1%p0", true)]
    #[case::another("198.51.100.8", false)]
    fn a_session_is_found_by_its_local_address(#[case] local: &str, #[case] found: bool) {
        assert_eq!(runs_over(&port(), local).is_some(), found);
    }

    #[test]
    fn an_address_is_what_ip_addr_add_takes_and_that_of_the_link_comes_by_itself() {
        let all: Vec<_> = addresses(&port()).filter_map(address).collect();
        assert_eq!(all, ["198.51.100.7/24 broadcast 198.51.100.255 scope global label p0"]);
        assert!(used_address(&port()).is_some_and(|why| why.contains("198.51.100.7")));
    }

    #[rstest]
    #[case::a_bridge_port(json!({"ifname": "p0", "link_type": "ether", "master": "br0"}), json!([]), "part of br0")]
    #[case::no_ethernet(json!({"ifname": "p0", "link_type": "none"}), json!([]), "no Ethernet")]
    #[case::a_vlan_on_it(port(),
        json!([{"ifname": "p0.5", "link": "p0", "linkinfo": {"info_kind": "vlan"}}]), "p0.5 stands on it")]
    fn what_stands_in_the_way_is_told(#[case] link: Value, #[case] links: Value, #[case] words: &str) {
        let why = refuse(&links, &link, "p0").expect_err("it is refused");
        assert!(why.contains(words), "{why}");
    }

    #[test]
    fn the_other_end_of_a_veth_does_not_stand_on_it() {
        let links = json!([{"ifname": "p1", "link": "p0", "linkinfo": {"info_kind": "veth"}}]);
        assert_eq!(refuse(&links, &port(), "p0"), Ok(()));
    }
}
