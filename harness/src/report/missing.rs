//! Which packet a failure is about, and its journey as text: the one that should have been on the wire, or that a call made.

use super::ladder::seconds;
use crate::capture::journal::label;
use crate::case::model::Nanos;
use crate::frame::{FrameSpec, Layer, Value};
use crate::judge::pattern::excerpt;
use crate::rig::journey::{Flow, Journey, Packet, What};
use std::fmt::Write as _;

/// The protocol numbers of IP.
const ICMP: u64 = 1;
const UDP: u64 = 17;
/// The bit of `ipv4.flags`: more fragments.
const MF: u64 = 1;

/// Where a packet came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// An application's datagram.
    Udp,
    /// ARP itself.
    Arp,
    /// An ICMP message of the stack.
    Icmp,
    /// The wire.
    Received,
}

impl Origin {
    fn of(packet: &Packet) -> Option<Self> {
        packet.moments.iter().find_map(|moment| match moment.what {
            What::Function("udp_sendmsg") => Some(Self::Udp),
            What::Function("arp_send") => Some(Self::Arp),
            What::Function("icmp_push_reply") => Some(Self::Icmp),
            What::Function("igb_clean_rx_irq" | "netif_receive_skb") => Some(Self::Received),
            _ => None,
        })
    }
}

/// The packet that should have been on the wire: one that is not there and is what the pattern wants, as far as its ports,
/// addresses, protocol and payload are known. Rather one that was dropped than one still on its way; of several, the last.
/// For an ICMP message that was never made, the last frame received that was dropped.
#[must_use]
pub fn missing_packet<'j>(journey: &'j Journey, wanted: &FrameSpec) -> Option<&'j Packet> {
    let absent = || journey.packets.iter().filter(|p| !reached_the_wire(p, journey));
    let own = absent().filter(|p| is_wanted(p, journey, wanted)).max_by_key(|p| guilt(p));
    own.or_else(|| {
        let received = |p: &&Packet| Origin::of(p) == Some(Origin::Received) && guilt(p) == Guilt::Lost;
        wanted.has(Layer::Icmp).then(|| absent().rev().find(received)).flatten()
    })
}

/// The packet that a call made of these bytes at this time or later, if that was dropped or refused.
#[must_use]
pub fn packet_of_call<'j>(journey: &'j Journey, since: Nanos, payload: &[u8]) -> Option<&'j Packet> {
    let made = |p: &&Packet| {
        Origin::of(p) == Some(Origin::Udp)
            && p.moments.first().is_some_and(|m| m.at >= since)
            && carries(p, payload)
    };
    journey.packets.iter().filter(made).find(|p| guilt(p) == Guilt::Lost && !reached_the_wire(p, journey))
}

/// How likely it is that a packet that is not on the wire was to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Guilt {
    /// It went somewhere else, or the call was made anew.
    Elsewhere,
    /// It is on its way.
    UnderWay,
    /// It was dropped, or its call failed.
    Lost,
}

fn guilt(packet: &Packet) -> Guilt {
    match end(packet) {
        Some(What::Dropped(_)) => Guilt::Lost,
        Some(What::Refused(error)) if error != "EAGAIN" => Guilt::Lost,
        Some(_) => Guilt::Elsewhere,
        None => Guilt::UnderWay,
    }
}

/// How a packet's way ended. That it was dropped says more than that its call failed of it.
fn end(packet: &Packet) -> Option<&What> {
    let last = |wanted: fn(&What) -> bool| packet.moments.iter().rev().map(|m| &m.what).find(|w| wanted(w));
    last(|w| matches!(w, What::Dropped(_)))
        .or_else(|| last(|w| matches!(w, What::Refused(_))))
        .or_else(|| last(|w| matches!(w, What::Consumed)))
}

/// What an application, or the stack, made of bytes of its own: a fragment's whole datagram.
fn root<'j>(mut packet: &'j Packet, journey: &'j Journey) -> &'j Packet {
    // A packet is made after its parent, so this ends.
    while let Some(parent) = packet.parent.filter(|parent| packet.total == 0 && *parent < packet.id) {
        let Some(found) = journey.packets.get(parent as usize - 1) else { return packet };
        packet = found;
    }
    packet
}

fn is_wanted(packet: &Packet, journey: &Journey, wanted: &FrameSpec) -> bool {
    let packet = root(packet, journey);
    let protocol = match wanted.value(Layer::Ipv4, "protocol") {
        Some(Value::Number(protocol)) => Some(*protocol),
        _ => None,
    };
    let only = |layer| {
        wanted.layers.iter().all(|l| matches!(l, Layer::Eth | Layer::Vlan | Layer::Ipv4) || *l == layer)
    };
    match Origin::of(packet) {
        Some(Origin::Arp) => wanted.has(Layer::Arp),
        Some(Origin::Icmp) => only(Layer::Icmp) && (wanted.has(Layer::Icmp) || protocol == Some(ICMP)),
        Some(Origin::Udp) => {
            only(Layer::Udp)
                && protocol.is_none_or(|protocol| protocol == UDP)
                && packet.flow.is_none_or(|flow| goes_there(&flow, wanted))
                && (is_of_a_fragment(wanted)
                    || wanted.payload.as_ref().is_none_or(|payload| carries(packet, &payload.0)))
        }
        Some(Origin::Received) | None => false,
    }
}

fn goes_there(flow: &Flow, wanted: &FrameSpec) -> bool {
    let port = |key, port: u16| match wanted.value(Layer::Udp, key) {
        Some(Value::Number(wanted)) => port == 0 || *wanted == u64::from(port),
        _ => true,
    };
    let address = match wanted.value(Layer::Ipv4, "dst") {
        Some(Value::Ipv4(wanted)) => *wanted == flow.daddr,
        _ => true,
    };
    address && port("dst_port", flow.dport) && port("src_port", flow.sport)
}

/// Then the payload of the pattern is a part of the packet's.
fn is_of_a_fragment(wanted: &FrameSpec) -> bool {
    let number = |key| match wanted.value(Layer::Ipv4, key) {
        Some(Value::Number(number)) => *number,
        _ => 0,
    };
    number("frag_offset") != 0 || number("flags") & MF != 0
}

fn carries(packet: &Packet, payload: &[u8]) -> bool {
    let known = packet.head.len().min(payload.len());
    packet.total as usize == payload.len() && packet.head[..known] == payload[..known]
}

/// Whether a packet, or one that was made out of it, was on the wire.
fn reached_the_wire(packet: &Packet, journey: &Journey) -> bool {
    let sent = |p: &Packet| p.moments.iter().any(|m| matches!(m.what, What::Wire(_)));
    // A packet is made after its parent, so one pass finds all that come from it.
    let mut family = vec![packet.id];
    journey.packets.iter().any(|p| {
        let kin = p.id == packet.id || p.parent.is_some_and(|parent| family.contains(&parent));
        if kin {
            family.push(p.id);
        }
        kin && sent(p)
    })
}

/// The journey of one packet: where it ended, then step by step.
#[must_use]
pub fn packet_text(packet: &Packet, journey: &Journey) -> String {
    let place = packet.moments.iter().rev().find_map(|m| match m.what {
        What::Function(name) | What::Queued(name) => Some(name),
        What::Posted { .. } => Some("the ring"),
        _ => None,
    });
    let place = place.unwrap_or("no function");
    let end = match end(packet) {
        Some(What::Dropped(reason)) => format!("was dropped after {place}: {reason}"),
        Some(What::Refused(error)) => format!("was refused after {place}: {error}"),
        _ if reached_the_wire(packet, journey) => "reached the wire".to_owned(),
        Some(_) => format!("was consumed after {place}"),
        None => format!("was still under way when the trial ended, last seen at {place}"),
    };
    let flow = packet.flow.map(|flow| format!(", to {}:{}", flow.daddr, flow.dport)).unwrap_or_default();
    let mut text =
        format!("packet {} ({} bytes, {}{flow}) {end}\n", packet.id, packet.total, excerpt(&packet.head));
    for moment in &packet.moments {
        let (time, what) = (seconds(moment.at), label(&moment.what));
        let _ = writeln!(text, "{time:>18}  CPU {} {:<8} {what}", moment.cpu, moment.context);
    }
    text
}

#[cfg(test)]
mod tests;
