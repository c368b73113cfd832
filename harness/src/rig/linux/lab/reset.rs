//! Between two trials: the namespace of the port is made what it was after it was set up, and looked at whether it is.

use super::super::tap::DEVICE;
use super::cable;
use super::glance::Glance;
use super::hardware::Hardware;
use super::program::{fails, items, json, output};
use super::settings::{self, Values};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where commands of one call of `ip` stand: the `/run` of the namespace is its own.
const BATCH: &str = "/run/wireproof.batch";

/// What every reset does, whether it is needed or not: with its address, a device loses its neighbours, its routes and what
/// these have learned of the path's MTU.
const FORGET: [&str; 5] = [
    "addr flush dev eth0",
    "neigh flush dev eth0 nud all",
    "route flush cache",
    "tcp_metrics flush all",
    "addr add 192.0.2.1/24 broadcast 192.0.2.255 dev eth0",
];

/// What is looked at; a line about a device begins with its number, or with blanks.
const LOOK: [&str; 6] =
    ["link show", "addr show", "route show table all", "rule show", "neigh show nud all", "neigh show proxy"];

/// All of a namespace that a case may change.
#[derive(Clone, Debug)]
pub struct State {
    ip: Vec<String>,
    /// All devices, when it was looked at for the first time.
    links: Value,
    qdiscs: Vec<String>,
    ruleset: Vec<String>,
    hardware: Hardware,
    settings: Values,
    /// Of the same time as the rest.
    glance: Glance,
}

impl State {
    /// A state that was found to be the same is at a glance what it is now, if rules came and went.
    pub fn is_now(&mut self, glance: Glance) {
        self.glance = glance;
    }
}

/// Forgets what the kernel has learned, and looks at the namespace of the calling thread.
///
/// # Errors
/// When it cannot be looked at.
pub fn look() -> Result<State, String> {
    let mut settings = Values::new();
    for folder in ["/proc/sys/net/ipv4", "/proc/sys/net/core", "/sys/class/net/eth0/queues"] {
        settings.extend(settings::read(folder));
    }
    settings.extend(own_settings());
    let glance = Glance::take();
    Ok(State {
        ip: ip()?,
        links: json(&["ip", "-j", "link", "show"])?,
        qdiscs: all_qdiscs()?,
        ruleset: ruleset(),
        hardware: Hardware::read(DEVICE),
        settings,
        glance,
    })
}

/// As [`look`], at a namespace that was in a state before: a program is asked only where it can tell something new.
fn look_again(base: &State) -> Result<State, String> {
    let mut glance = Glance::take();
    if base.ruleset.is_empty() && !glance.same(&base.glance).ruleset {
        // Listing them takes long enough to do it once.
        drop(fails(&["nft", "flush", "ruleset"]));
        glance = Glance::take();
    }
    let same = glance.same(&base.glance);
    Ok(State {
        ip: ip()?,
        links: base.links.clone(),
        qdiscs: if same.qdiscs { base.qdiscs.clone() } else { all_qdiscs()? },
        ruleset: if same.ruleset { base.ruleset.clone() } else { ruleset() },
        hardware: if same.hardware { base.hardware.clone() } else { Hardware::read(DEVICE) },
        settings: settings::read_again(&base.settings),
        glance,
    })
}

/// Forgets what the kernel has learned, and what `ip` shows then.
fn ip() -> Result<Vec<String>, String> {
    // What it cannot forget is seen in what is there then.
    let text = batch(&["-4", "-d", "-force"], &[&FORGET[..], &LOOK].concat())
        .or_else(|_| batch(&["-4", "-d"], &LOOK))?;
    Ok(text.lines().filter(|line| !is_of_a_moment(line)).map(plain).collect())
}

fn all_qdiscs() -> Result<Vec<String>, String> {
    Ok(output(&["tc", "qdisc", "show"])?.lines().map(without_handle).collect())
}

/// Several commands of `ip` in one process; options are for all of them.
fn batch(options: &[&str], commands: &[&str]) -> Result<String, String> {
    std::fs::write(BATCH, commands.join("\n")).map_err(|e| format!("{BATCH}: {e}"))?;
    output(&[&["ip"], options, &["-batch", BATCH]].concat())
}

/// The settings of the device itself that sysfs has, and `ip` does not show.
fn own_settings() -> Values {
    const NAMES: [&str; 6] =
        ["gro_flush_timeout", "napi_defer_hard_irqs", "threaded", "proto_down", "ifalias", "netdev_group"];
    let read = |name: &str| {
        let path = format!("/sys/class/net/{DEVICE}/{name}");
        let text = std::fs::read_to_string(&path).ok()?;
        Some((path, text.trim_end().to_owned()))
    };
    NAMES.iter().filter_map(|name| read(name)).collect()
}

/// Rules of nftables; where there is no `nft`, no case can have made one.
fn ruleset() -> Vec<String> {
    let text = output(&["nft", "list", "ruleset"]).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A neighbour of the loopback device, which the kernel makes for a packet to this host, and forgets again.
fn is_of_a_moment(line: &str) -> bool {
    line.contains(" dev lo ") && line.contains("NOARP")
}

/// A line of `ip` without what has no meaning: numbers of namespaces, blanks at its end.
fn plain(line: &str) -> String {
    let mut words = line.trim_end().split(' ').peekable();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word == "link-netnsid" {
            words.next();
        } else {
            kept.push(word);
        }
    }
    kept.join(" ").trim_end().to_owned()
}

/// A line of `tc qdisc` without the handle and the count of users, which the kernel gives anew.
fn without_handle(line: &str) -> String {
    let words: Vec<_> = line.split_whitespace().collect();
    let counted = words.iter().position(|word| *word == "refcnt");
    let is_kept = |at: usize| at != 2 && counted.is_none_or(|c| at != c && at != c + 1);
    let kept: Vec<_> = words.iter().enumerate().filter(|(at, _)| is_kept(*at)).map(|(_, w)| *w).collect();
    kept.join(" ")
}

/// Makes the namespace of the calling thread what it was, and gives what that is at a glance.
///
/// # Errors
/// What is not as it was, line by line: the next trial would be judged by what this one has left.
pub fn reset(base: &State) -> Result<Glance, String> {
    let mut left = Vec::new();
    end_connections();
    for _ in 0..3 {
        find_device(base)?;
        let now = look_again(base)?;
        left = differences(base, &now);
        if left.is_empty() {
            return sockets().map(|()| now.glance);
        }
        repair(base, &now);
        // A card that was reset negotiates its link anew.
        cable::settle();
    }
    Err(format!("what a trial left in the lab could not be removed: {}", left.join("; ")))
}

/// The device must be there under its name: whatever it is called now, it has its number.
fn find_device(base: &State) -> Result<(), String> {
    let index = link(&base.links, DEVICE).and_then(|link| link["ifindex"].as_u64());
    if nix::net::if_::if_nametoindex(DEVICE).is_ok_and(|now| Some(u64::from(now)) == index) {
        return Ok(());
    }
    let links = json(&["ip", "-j", "link", "show"])?;
    let now = items(&links).find(|link| link["ifindex"].as_u64() == index);
    match now.and_then(|link| link["ifname"].as_str()) {
        Some(DEVICE) => Ok(()),
        Some(other) => {
            drop(fails(&["ip", "link", "del", "dev", DEVICE]));
            output(&["ip", "link", "set", "dev", other, "down"])?;
            output(&["ip", "link", "set", "dev", other, "name", DEVICE]).map(drop)
        }
        None => {
            Err("the port under test is gone from its namespace: a trial has deleted or moved it".to_owned())
        }
    }
}

fn link<'l>(links: &'l Value, name: &str) -> Option<&'l Value> {
    items(links).find(|link| link["ifname"] == name)
}

/// What is different, as lines for people.
fn differences(base: &State, now: &State) -> Vec<String> {
    let mut all = Vec::new();
    for (was, is) in [(&base.ip, &now.ip), (&base.qdiscs, &now.qdiscs), (&base.ruleset, &now.ruleset)] {
        let (extra, missing) = lines(was, is);
        all.extend(extra.into_iter().map(|line| format!("there is `{}`", line.trim())));
        all.extend(missing.into_iter().map(|line| format!("there is no `{}`", line.trim())));
    }
    all.extend(base.hardware.differences(&now.hardware));
    for (path, was) in &base.settings {
        match now.settings.get(path) {
            Some(is) if is == was => {}
            is => all.push(format!("{path} is `{}`, was `{was}`", is.map_or("gone", String::as_str))),
        }
    }
    all
}

/// Lines that are there now, and lines that were there, each as often as it is missing in the other.
fn lines<'s>(was: &'s [String], is: &'s [String]) -> (Vec<&'s str>, Vec<&'s str>) {
    let mut count = BTreeMap::<&str, i64>::new();
    for line in is {
        *count.entry(line).or_default() += 1;
    }
    for line in was {
        *count.entry(line).or_default() -= 1;
    }
    let some = |sign: i64| count.iter().filter(move |(_, n)| **n * sign > 0).map(|(line, _)| *line).collect();
    (some(1), some(-1))
}

/// What a line of `ip` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Link,
    Rule,
    Proxy,
    Neighbour,
    Route,
}

fn about(line: &str) -> About {
    let first = line.split([' ', '\t']).next().unwrap_or_default();
    if line.starts_with(' ') || (first.ends_with(':') && !line.contains('\t')) {
        About::Link
    } else if first.ends_with(':') {
        About::Rule
    } else if line.ends_with("proxy") {
        About::Proxy
    } else if line.contains(" lladdr ") || line.ends_with("FAILED") || line.ends_with("INCOMPLETE") {
        About::Neighbour
    } else {
        About::Route
    }
}

/// Undoes what is different; whether that was enough is looked at again.
fn repair(base: &State, now: &State) {
    let (extra, missing) = lines(&base.ip, &now.ip);
    let kinds: BTreeSet<_> = extra.iter().chain(&missing).map(|line| about(line)).collect();
    // A route goes with its device: routes that are missing come with it.
    if kinds.contains(&About::Link) {
        links(base, &json(&["ip", "-j", "link", "show"]).unwrap_or_default());
    }
    if kinds.contains(&About::Rule) {
        rules(&extra, &missing);
    }
    if kinds.contains(&About::Route) {
        drop(fails(&["ip", "-4", "route", "flush", "table", "all"]));
        loopback();
    }
    for line in extra.iter().filter(|line| matches!(about(line), About::Proxy | About::Neighbour)) {
        let words: Vec<_> = line.split_whitespace().collect();
        let proxy = if about(line) == About::Proxy { vec!["proxy"] } else { Vec::new() };
        let address = words.first().copied().unwrap_or_default();
        let device = words.iter().skip_while(|word| **word != "dev").nth(1).copied().unwrap_or(DEVICE);
        let command = ["ip", "neigh", "del"].into_iter().chain(proxy).chain([address, "dev", device]);
        drop(fails(&command.collect::<Vec<_>>()));
    }
    if base.qdiscs != now.qdiscs {
        qdiscs(now);
    }
    if base.ruleset != now.ruleset {
        drop(fails(&["nft", "flush", "ruleset"]));
    }
    base.hardware.write(DEVICE, &now.hardware);
    drop(settings::write_back(&base.settings, now.settings.clone()));
}

/// Rules of policy routing that came go, and those that went come.
fn rules(extra: &[&str], missing: &[&str]) {
    let preferences = |lines: &[&str]| -> Vec<String> {
        let rules = lines.iter().filter(|line| about(line) == About::Rule);
        rules.filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
    };
    for preference in preferences(extra) {
        drop(fails(&["ip", "-4", "rule", "del", "pref", &preference]));
    }
    for preference in preferences(missing) {
        let table = match preference.as_str() {
            "0" => "local",
            "32766" => "main",
            _ => "default",
        };
        let words = ["ip", "-4", "rule", "add", "pref", &preference, "lookup", table, "protocol", "kernel"];
        drop(fails(&words));
    }
}

/// Devices that were not there go; of those that were, what differs is set.
fn links(base: &State, now: &Value) {
    let numbers: BTreeSet<_> = items(&base.links).filter_map(|link| link["ifindex"].as_u64()).collect();
    for link in items(now).filter(|link| link["ifindex"].as_u64().is_some_and(|i| !numbers.contains(&i))) {
        drop(link["ifname"].as_str().and_then(|name| fails(&["ip", "link", "del", "dev", name])));
    }
    loopback();
    let (Some(was), Some(is)) = (link(&base.links, DEVICE), link(now, DEVICE)) else { return };
    let set = |words: &[&str]| {
        let command: Vec<_> = ["ip", "link", "set", "dev", DEVICE].iter().chain(words).copied().collect();
        drop(fails(&command));
    };
    let has = |link: &Value, flag: &str| items(&link["flags"]).any(|own| own == flag);
    for (key, word) in [("address", "address"), ("mtu", "mtu"), ("txqlen", "txqueuelen")] {
        if was[key] != is[key] {
            let value = was[key].as_str().map_or_else(|| was[key].to_string(), str::to_owned);
            set(&[word, &value]);
        }
    }
    for (flag, word, on) in [
        ("NOARP", "arp", false),
        ("MULTICAST", "multicast", true),
        ("PROMISC", "promisc", true),
        ("ALLMULTI", "allmulticast", true),
    ] {
        if has(was, flag) != has(is, flag) {
            set(&[word, if has(was, flag) == on { "on" } else { "off" }]);
        }
    }
    // It was given a queue of its own, or a state that only going down takes away.
    if !has(is, "UP") {
        set(&["up"]);
    }
}

/// The loopback, with the address that the kernel gives it.
fn loopback() {
    const ANEW: [&str; 4] = [
        "addr flush dev lo",
        "link set dev lo down",
        "link set dev lo mtu 65536 txqueuelen 1000",
        "link set dev lo up",
    ];
    drop(batch(&["-force"], &ANEW));
}

fn qdiscs(now: &State) {
    for device in [DEVICE, "lo"] {
        let on_it =
            |kind: &str| now.qdiscs.iter().any(|q| q.starts_with(&format!("qdisc {kind} dev {device} ")));
        for kind in ["ingress", "clsact"] {
            if on_it(kind) {
                drop(fails(&["tc", "qdisc", "del", "dev", device, kind]));
            }
        }
        drop(fails(&["tc", "qdisc", "del", "dev", device, "root"]));
    }
    // Where the default is pfifo_fast, this does nothing.
    drop(cable::default_qdisc());
}

/// Sockets of the namespace of the calling thread, but for connections that linger as TCP has it.
fn sockets() -> Result<(), String> {
    for kind in ["udp", "udplite", "raw", "icmp", "packet"] {
        let text = std::fs::read_to_string(format!("/proc/thread-self/net/{kind}")).unwrap_or_default();
        let count = text.lines().skip(1).count();
        if count > 0 {
            return Err(format!("a trial left {count} {kind} sockets in the lab"));
        }
    }
    Ok(())
}

/// Ends connections that linger, while their neighbour is still known and may be told. Where the kernel cannot, a new namespace
/// forgets them, which takes ten times as long.
fn end_connections() {
    let text = std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap_or_default();
    if text.lines().count() > 1 {
        drop(fails(&["ss", "--kill", "--all", "--tcp", "--numeric", "--no-header"]));
    }
}

/// Whether the kernel under test keeps something that only a new namespace forgets: tokens for ICMP errors that were spent
/// (`inet_peer`), fragments that wait for the others, connections that linger.
#[must_use]
pub fn lingers() -> bool {
    let read =
        |name: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
    let fragments =
        read("sockstat").lines().any(|l| l.starts_with("FRAG:") && !l.starts_with("FRAG: inuse 0"));
    fragments || read("tcp").lines().count() > 1 || icmp_errors(&read("snmp")) > 0
}

/// ICMP errors that were sent, out of `/proc/net/snmp`.
fn icmp_errors(snmp: &str) -> u64 {
    const ERRORS: [&str; 5] =
        ["OutDestUnreachs", "OutTimeExcds", "OutParmProbs", "OutSrcQuenchs", "OutRedirects"];
    let mut lines = snmp.lines().filter(|line| line.starts_with("Icmp: "));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let pairs = names.split_whitespace().zip(values.split_whitespace());
    pairs.filter(|(name, _)| ERRORS.contains(name)).filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::an_address("    inet 192.0.2.1/24 scope global eth0", About::Link)]
    #[case::a_device("3: eth0@if2: <BROADCAST,UP> mtu 1500 qdisc pfifo_fast", About::Link)]
    #[case::a_rule("32766:\tfrom all lookup main", About::Rule)]
    #[case::a_route("unreachable 1.2.3.0/24 table 7", About::Route)]
    #[case::a_neighbour("192.0.2.2 dev eth0 lladdr 02:00:00:00:00:02 PERMANENT", About::Neighbour)]
    #[case::a_neighbour_that_failed("192.0.2.9 dev eth0 FAILED", About::Neighbour)]
    #[case::a_proxy("192.0.2.77 dev eth0 proxy", About::Proxy)]
    fn a_line_says_what_it_is_about(#[case] line: &str, #[case] is: About) {
        assert_eq!(about(line), is);
    }

    #[test]
    fn what_came_and_what_went_is_told_apart() {
        let text = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
        let (was, is) = (text(&["a", "b", "b"]), text(&["b", "c"]));
        assert_eq!(lines(&was, &is), (vec!["c"], vec!["a", "b"]));
    }

    #[test]
    fn a_qdisc_is_the_same_under_another_handle() {
        let line = "qdisc pfifo_fast 8001: dev eth0 root refcnt 2 bands 3";
        assert_eq!(without_handle(line), "qdisc pfifo_fast dev eth0 root bands 3");
    }

    #[test]
    fn the_number_of_a_namespace_means_nothing() {
        assert_eq!(
            plain("    link/ether 02:00 brd ff:ff link-netnsid 0 promiscuity 0 "),
            "    link/ether 02:00 brd ff:ff promiscuity 0"
        );
    }

    #[test]
    fn icmp_errors_are_counted_and_echo_replies_are_not() {
        let text = "Icmp: InMsgs OutMsgs OutDestUnreachs OutTimeExcds OutEchoReps\nIcmp: 9 9 2 1 6\n";
        assert_eq!(icmp_errors(text), 3);
    }
}
