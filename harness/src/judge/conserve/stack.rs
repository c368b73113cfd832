//! What the counters of the stack must say of the frames on the wire.
//!
//! They hold where nothing is lost between the counter and the wire (no rule of netfilter, no full queue, no neighbour that
//! does not answer), and where no packet goes over the loopback: else a case names other groups.

use super::traffic::{Frame, Ip};
use super::{Equation, Moved, Traffic};
use std::collections::BTreeMap;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
/// Bytes of the headers of a datagram without options of IP.
const UDP_HEADERS: u64 = 28;
/// Bytes of an Ethernet header.
const ETHERNET: u64 = 14;

/// `/proc/net/snmp` and `netstat`.
#[must_use]
pub fn snmp(moved: &Moved, traffic: &Traffic) -> Vec<Equation> {
    let mut all = received(moved, traffic);
    all.extend(sent(moved, traffic));
    all
}

/// A counter, or the sum of several.
fn sum(moved: &Moved, names: &[&str]) -> (String, i64) {
    let is = names.iter().filter_map(|name| moved.get(*name)).sum();
    (format!("snmp {}", names.join(" + ")), is)
}

fn one<'f>(
    (counter, is): (String, i64),
    counts: &'static str,
    frames: impl IntoIterator<Item = &'f Frame>,
) -> Equation {
    Equation::new(counter, is, counts, frames, |_| 1)
}

/// `ip_rcv` counts each packet that is for this host by its frame, before it looks whether it is a good one; its bytes with the
/// padding of the frame (Linux 6.12: the packet is trimmed afterwards). GRO makes one packet of several segments with data:
/// of those only the marks of RFC 3168 are counted one by one.
fn received(moved: &Moved, traffic: &Traffic) -> Vec<Equation> {
    let marks = ["IpExt.InNoECTPkts", "IpExt.InECT0Pkts", "IpExt.InECT1Pkts", "IpExt.InCEPkts"];
    let marked = traffic.to_ip().filter(|frame| frame.begins_ipv4);
    let mut all = vec![one(sum(moved, &marks), "packets that came for this host and begin as IPv4", marked)];
    let with_data = traffic.to_ip().filter(|frame| frame.ip.is_some_and(|ip| ip.tcp_data > 0)).count();
    let is_hardware = traffic.device == super::traffic::Device::Hardware;
    let may_merge = with_data > 1 && is_hardware;
    if !may_merge {
        let counts = "packets of IPv4 that came for this host";
        all.push(one(sum(moved, &["Ip.InReceives"]), counts, traffic.to_ip()));
        let octets = |frame: &Frame| {
            let bytes = if is_hardware { frame.handed_up() } else { frame.bytes };
            i64::try_from(bytes - ETHERNET).unwrap_or(0)
        };
        let (counter, is) = sum(moved, &["IpExt.InOctets"]);
        let counts = "bytes behind their Ethernet headers, padding included";
        all.push(Equation::new(counter, is, counts, traffic.to_ip(), octets));
    }
    all
}

/// TCP counts its segments as they are on the wire, however large the packets were that it handed down, and those that it sends
/// again by themselves. A SYN-ACK that is sent again is in both counters; one that answers a SYN which crossed our own SYN is in
/// neither (Linux 6.12: it is that SYN, sent again by another way).
#[must_use]
pub fn tcp(moved: &Moved, traffic: &Traffic) -> Vec<Equation> {
    let (again, crossed) = syn_acks(traffic);
    let (counter, is) = sum(moved, &["Tcp.OutSegs", "Tcp.RetransSegs"]);
    let counter = match (again, crossed) {
        (0, 0) => counter,
        _ => format!("{counter} (less {again} SYN-ACK sent again, and {crossed} of a SYN that crossed ours)"),
    };
    let segments =
        traffic.taken().filter(|frame| frame.ip.is_some_and(|ip| ip.protocol == TCP && ip.offset == 0));
    vec![one((counter, is - again + crossed), "segments of TCP", segments)]
}

/// How many SYN-ACKs were on the wire before, and how many were a SYN on the wire before.
fn syn_acks(traffic: &Traffic) -> (i64, i64) {
    let mut seen = BTreeMap::new();
    let (mut again, mut crossed) = (0, 0);
    for (connection, has_ack) in traffic.taken().filter_map(|frame| frame.ip?.syn) {
        match seen.insert(connection, has_ack) {
            Some(true) if has_ack => again += 1,
            Some(false) if has_ack => crossed += 1,
            _ => {}
        }
    }
    (again, crossed)
}

/// UDP and ICMP count datagrams, IP each packet that it hands to a neighbour: every fragment, but a large packet of TCP once.
fn sent(moved: &Moved, traffic: &Traffic) -> Vec<Equation> {
    let sent = datagrams_whole(traffic);
    let with =
        |wanted: fn(&Ip) -> bool| sent.iter().filter(move |frame| frame.ip.is_some_and(|ip| wanted(&ip)));
    let udp = with(|ip| ip.protocol == UDP && ip.offset == 0);
    let icmp = with(|ip| ip.protocol == ICMP && ip.offset == 0);
    let mut all = vec![
        one(sum(moved, &["Icmp.OutMsgs"]), "messages of ICMP (the first fragment of each)", icmp),
        one(sum(moved, &["Ip.FragCreates"]), "fragments", with(|ip| ip.is_fragment)),
        one(sum(moved, &["Udp.OutDatagrams"]), "datagrams of UDP (the first fragment of each)", udp),
    ];
    if moved.contains_key("Ip.OutTransmits") && with(|ip| ip.tcp_data > 0).next().is_none() {
        all.push(one(sum(moved, &["Ip.OutTransmits"]), "packets of IPv4", with(|_| true)));
        let octets = |frame: &Frame| frame.ip.map_or(0, |ip| i64::try_from(ip.octets).unwrap_or(0));
        let (counter, is) = sum(moved, &["IpExt.OutOctets"]);
        all.push(Equation::new(counter, is, "bytes of packets of IPv4", with(|_| true), octets));
    }
    all
}

/// The frames that were sent, as IP had them: those that a large datagram of UDP_SEGMENT was cut into are one, with one header.
fn datagrams_whole(traffic: &Traffic) -> Vec<Frame> {
    let mut all: Vec<Frame> = Vec::new();
    let mut large = BTreeMap::new();
    for frame in traffic.taken() {
        let key = frame.whole.zip(frame.ip.filter(|ip| ip.protocol == UDP && !ip.is_fragment));
        let before = key.and_then(|(whole, _)| large.insert(whole, all.len()));
        match (before.and_then(|at| all.get_mut(at)?.ip.as_mut()), key) {
            (Some(first), Some((whole, ip))) => {
                first.octets += ip.octets.saturating_sub(UDP_HEADERS);
                large.extend(before.map(|at| (whole, at)));
            }
            _ => all.push(frame.clone()),
        }
    }
    all
}

/// `tc -s qdisc`: the root counts each packet that it hands to the driver, a large one as its segments with a header for each.
/// A NIC that cannot be seen to lose a frame has them all on its wire.
#[must_use]
pub fn qdisc(moved: &Moved, traffic: &Traffic) -> Vec<Equation> {
    let counter = |name: &str| moved.get(&format!("root/{name}")).copied();
    let mut all = Vec::new();
    if let Some(packets) = counter("packets") {
        all.push(one(("qdisc root packets".to_owned(), packets), "the frames sent", traffic.taken()));
    }
    if let Some(bytes) = counter("bytes") {
        let queued = |frame: &Frame| i64::try_from(frame.queued()).unwrap_or(i64::MAX);
        let counts = "bytes of the frames sent, without padding and FCS";
        all.push(Equation::new("qdisc root bytes", bytes, counts, traffic.taken(), queued));
    }
    all
}
