//! A frame in one line, as tcpdump would say it.

use super::decode::{Decoded, IP_DF, IP_MF, Ipv4View};
use super::field::{Field, Layer, find};
use super::tcp::{Bases, Segment, show as show_segment};
use std::fmt::Write as _;

/// One line about a frame: `ARP who-has …`, `192.0.2.1:4000 > 192.0.2.2:7 UDP 5`, with what is malformed at the end.
#[must_use]
pub fn summary(d: &Decoded<'_>) -> String {
    relative(d, &Bases { seq: Some(0), ..Bases::default() })
}

/// As [`summary()`], with the sequence numbers of a TCP segment counted from these.
#[must_use]
pub fn relative(d: &Decoded<'_>, bases: &Bases) -> String {
    let mut line = String::new();
    if let Some(id) = d.number(Layer::Vlan, "id") {
        let _ = write!(line, "vlan {id} ");
    }
    line += &match (d.layers.last(), &d.ipv4) {
        (Some(Layer::Arp), _) => arp(d),
        (Some(Layer::Icmp), Some(ip)) => format!("{} > {} {}", ip.src, ip.dst, icmp(d)),
        (Some(layer @ (Layer::Udp | Layer::Tcp)), Some(ip)) => {
            let port = |key| d.number(*layer, key).map_or_else(|| "?".to_owned(), |n| n.to_string());
            let what = if *layer == Layer::Udp { format!("UDP {}", d.payload.len()) } else { tcp(d, bases) };
            format!("{}:{} > {}:{} {what}", ip.src, port("src_port"), ip.dst, port("dst_port"))
        }
        (_, Some(ip)) => {
            format!("{} > {} {} {}", ip.src, ip.dst, show(d, Layer::Ipv4, "protocol"), d.payload.len())
        }
        (Some(Layer::Ipv4), None) => "IPv4".to_owned(),
        _ if d.layers.is_empty() => format!("{} bytes, no Ethernet header", d.frame.len()),
        _ => {
            let layer = if d.has(Layer::Vlan) { Layer::Vlan } else { Layer::Eth };
            format!("ethertype {} {}", show(d, layer, "type"), d.payload.len())
        }
    };
    if let Some(ip) = d.ipv4.filter(Ipv4View::is_fragment) {
        let mf = if ip.flags & IP_MF == 0 { "" } else { " MF" };
        let df = if ip.flags & IP_DF == 0 { "" } else { " DF" };
        let _ = write!(line, " frag id={} off={} len={}{df}{mf}", ip.id, ip.offset, ip.data.len());
    }
    for problem in &d.problems {
        let _ = write!(line, " [{problem}]");
    }
    line
}

/// The value of a field as a case would write it; `?` where the frame ends before it.
fn show(d: &Decoded<'_>, layer: Layer, key: &str) -> String {
    let field: Option<&Field> = find(layer, key);
    field.and_then(|f| d.get(f).map(|v| f.show(v))).unwrap_or_else(|| "?".to_owned())
}

fn arp(d: &Decoded<'_>) -> String {
    let (spa, tpa) = (show(d, Layer::Arp, "spa"), show(d, Layer::Arp, "tpa"));
    match d.number(Layer::Arp, "op") {
        Some(1) if spa == tpa => format!("ARP announcement of {spa}"),
        Some(1) => format!("ARP who-has {tpa} tell {spa}"),
        Some(2) => format!("ARP reply {spa} is-at {}", show(d, Layer::Arp, "sha")),
        Some(n) => format!("ARP op {n}"),
        None => "ARP".to_owned(),
    }
}

fn icmp(d: &Decoded<'_>) -> String {
    let kind = show(d, Layer::Icmp, "type");
    let number = |key| d.number(Layer::Icmp, key);
    match (number("id"), number("seq"), number("mtu")) {
        (Some(id), Some(seq), _) => format!("ICMP {kind} id={id} seq={seq} {}", d.payload.len()),
        (_, _, Some(mtu)) => format!("ICMP {kind} fragmentation needed mtu={mtu}"),
        _ => format!("ICMP {kind} code={}", show(d, Layer::Icmp, "code")),
    }
}

/// The segment in packetdrill's notation; what the numbers count from is 0 where nobody knows.
fn tcp(d: &Decoded<'_>, bases: &Bases) -> String {
    match Segment::of(d) {
        Some(segment) => format!("TCP {}", show_segment(&segment, bases)),
        None => "TCP".to_owned(),
    }
}
