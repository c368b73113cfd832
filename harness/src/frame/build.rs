//! Recipes to bytes: the frames that the peer sends to the system under test.
//!
//! What a recipe leaves out is what the peer would usually send. Lengths and checksums are computed, unless they are given
//! in order to send wrong ones.

use super::FrameSpec;
use super::decode::{ARP_LENGTH, ETH_HEADER, ETH_MIN, IP_MF, TAGGED, VLAN_TAG, decode};
use super::field::{Kind, Layer, Value, find};
use crate::case::model::topology;
use pnet::packet::arp::{ArpHardwareType, ArpOperation, MutableArpPacket};
use pnet::packet::ethernet::{EtherType, MutableEthernetPacket};
use pnet::packet::icmp::{IcmpCode, IcmpType, MutableIcmpPacket};
use pnet::packet::ip::IpNextHeaderProtocol;
use pnet::packet::ipv4::MutableIpv4Packet;
use pnet::packet::tcp::MutableTcpPacket;
use pnet::packet::udp::MutableUdpPacket;
use pnet::packet::util;
use pnet::util::MacAddr;
use std::net::Ipv4Addr;

const BROADCAST: [u8; 6] = [0xff; 6];

/// Why a recipe cannot be made into a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says it")]
pub enum BuildError {
    #[error("`{0}` must be given: {1}")]
    Missing(String, &'static str),
    #[error("`{0}` cannot be {1}: {2}")]
    Wrong(String, String, &'static str),
    #[error("a frame has one of `{}` and `{}`, not both", .0.name(), .1.name())]
    Conflict(Layer, Layer),
    #[error("the frame has {0} bytes, the wire carries {limit}", limit = topology::WIRE_BYTES)]
    TooLong(usize),
    #[error("an ICMP error quotes an IPv4 packet; the step that `quotes` names saw none")]
    NothingToQuote,
}

/// Makes a frame, padded to 60 bytes as a NIC would, without the frame check sequence.
///
/// `quoted` is the frame that `icmp: {quotes: NAME}` names. Its IP header and the first 8 bytes behind it become the payload
/// (RFC 792; RFC 1812 section 4.3.2.3 allows more).
///
/// # Errors
/// When the recipe leaves out what cannot be guessed, contradicts itself, or is longer than the wire carries.
pub fn build(spec: &FrameSpec, quoted: Option<&[u8]>) -> Result<Vec<u8>, BuildError> {
    let recipe = Recipe { spec };
    recipe.no_conflict()?;
    let (ethertype, body) = if spec.has(Layer::Arp) {
        (Some(0x0806), recipe.arp()?)
    } else if [Layer::Ipv4, Layer::Icmp, Layer::Udp, Layer::Tcp].iter().any(|l| spec.has(*l)) {
        (Some(0x0800), recipe.ipv4(quoted)?)
    } else {
        (None, recipe.payload())
    };
    let mut frame = vec![0; ETH_HEADER];
    let (ethertype, tag) = recipe.tag(ethertype)?;
    let ethertype = match (recipe.number(Layer::Eth, "type")?, ethertype) {
        (Some(given), _) => given,
        (None, Some(usual)) => usual,
        (None, None) => return Err(missing(Layer::Eth, "type", "the frame has no other header")),
    };
    if let Some(mut p) = MutableEthernetPacket::new(&mut frame) {
        p.set_destination(recipe.eth_dst());
        p.set_source(recipe.eth_src());
        p.set_ethertype(EtherType(ethertype));
    }
    frame.extend_from_slice(&tag);
    frame.extend_from_slice(&body);
    if frame.len() > topology::WIRE_BYTES {
        return Err(BuildError::TooLong(frame.len()));
    }
    frame.resize(frame.len().max(ETH_MIN), 0);
    Ok(frame)
}

/// An ARP reply (RFC 826): `of` has the address `ip`, told to `to`.
#[must_use]
pub fn arp_reply(of: [u8; 6], ip: Ipv4Addr, to: ([u8; 6], Ipv4Addr)) -> Vec<u8> {
    let mut frame = vec![0; ETH_MIN];
    if let Some(mut p) = MutableEthernetPacket::new(&mut frame) {
        p.set_destination(MacAddr::from(to.0));
        p.set_source(MacAddr::from(of));
        p.set_ethertype(EtherType(0x0806));
    }
    if let Some(mut p) = MutableArpPacket::new(&mut frame[ETH_HEADER..]) {
        arp_usual(&mut p);
        p.set_operation(ArpOperation(2));
        p.set_sender_hw_addr(MacAddr::from(of));
        p.set_sender_proto_addr(ip);
        p.set_target_hw_addr(MacAddr::from(to.0));
        p.set_target_proto_addr(to.1);
    }
    frame
}

/// What the automatic peer answers to a frame: ARP requests for the peer and the gateway, nothing else. It is the same
/// for everything that is malformed or addressed to somebody else: no answer.
#[must_use]
pub fn automatic_peer(frame: &[u8]) -> Option<Vec<u8>> {
    let d = decode(frame);
    if !d.has(Layer::Arp) || !d.problems.is_empty() || d.number(Layer::Arp, "op") != Some(1) {
        return None;
    }
    let value = |layer, key| find(layer, key).and_then(|f| d.get(f));
    let (Some(Value::Mac(sha)), Some(Value::Ipv4(spa))) =
        (value(Layer::Arp, "sha"), value(Layer::Arp, "spa"))
    else {
        return None;
    };
    let (Some(Value::Ipv4(tpa)), Some(Value::Mac(dst))) =
        (value(Layer::Arp, "tpa"), value(Layer::Eth, "dst"))
    else {
        return None;
    };
    let (mac, ip) = [(topology::PEER_MAC, topology::PEER_IP), (topology::GATEWAY_MAC, topology::GATEWAY_IP)]
        .into_iter()
        .find(|(_, ip)| ip == tpa)?;
    let tag = frame.get(12..12 + VLAN_TAG).filter(|_| d.has(Layer::Vlan));
    (*dst == BROADCAST || *dst == mac).then(|| {
        let mut reply = arp_reply(mac, ip, (*sha, *spa));
        // In the VLAN in which it was asked.
        reply.splice(12..12, tag.into_iter().flatten().copied());
        reply
    })
}

fn arp_usual(p: &mut MutableArpPacket<'_>) {
    p.set_hardware_type(ArpHardwareType(1));
    p.set_protocol_type(EtherType(0x0800));
    p.set_hw_addr_len(6);
    p.set_proto_addr_len(4);
}

fn missing(layer: Layer, key: &str, why: &'static str) -> BuildError {
    BuildError::Missing(format!("{}.{key}", layer.name()), why)
}

/// How many bits a number has on the wire.
fn bits(layer: Layer, key: &str) -> u8 {
    match find(layer, key).map(|f| f.kind) {
        Some(Kind::Number { bits } | Kind::Named { bits, .. }) => bits,
        _ => 8,
    }
}

/// The addresses and the protocol of the pseudo header, and whether the packet is a part of a datagram.
struct Around {
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: u8,
    fragment: bool,
}

impl Around {
    /// The checksum of a transport header; `skip` is the index of its own word.
    fn checksum(&self, segment: &[u8], skip: usize) -> u16 {
        util::ipv4_checksum(segment, skip, &[], &self.src, &self.dst, IpNextHeaderProtocol(self.protocol))
    }
}

struct Recipe<'a> {
    spec: &'a FrameSpec,
}

impl Recipe<'_> {
    fn no_conflict(&self) -> Result<(), BuildError> {
        use Layer::{Arp, Icmp, Ipv4, Tcp, Udp};
        [(Arp, Ipv4), (Arp, Icmp), (Arp, Udp), (Arp, Tcp), (Icmp, Udp), (Icmp, Tcp), (Udp, Tcp)]
            .into_iter()
            .find(|(a, b)| self.spec.has(*a) && self.spec.has(*b))
            .map_or(Ok(()), |(a, b)| Err(BuildError::Conflict(a, b)))
    }

    /// A number that is given, in the width of its place.
    fn number<T: TryFrom<u64>>(&self, layer: Layer, key: &str) -> Result<Option<T>, BuildError> {
        match self.spec.value(layer, key) {
            None => Ok(None),
            Some(Value::Number(n)) => {
                let fits = *n < 1 << bits(layer, key);
                let number = T::try_from(*n).ok().filter(|_| fits).map(Some);
                number.ok_or_else(|| {
                    BuildError::Wrong(format!("{}.{key}", layer.name()), n.to_string(), "it is too large")
                })
            }
            Some(other) => {
                Err(BuildError::Wrong(format!("{}.{key}", layer.name()), other.to_string(), "it is a number"))
            }
        }
    }

    fn mac(&self, layer: Layer, key: &str) -> Option<[u8; 6]> {
        match self.spec.value(layer, key) {
            Some(Value::Mac(m)) => Some(*m),
            _ => None,
        }
    }

    fn ip(&self, layer: Layer, key: &str) -> Option<Ipv4Addr> {
        match self.spec.value(layer, key) {
            Some(Value::Ipv4(a)) => Some(*a),
            _ => None,
        }
    }

    /// IPv4 or TCP options.
    fn options(&self, layer: Layer) -> Result<&[u8], BuildError> {
        match self.spec.value(layer, "options") {
            Some(Value::Bytes(b)) if b.len() > 40 || !b.len().is_multiple_of(4) => Err(BuildError::Wrong(
                format!("{}.options", layer.name()),
                format!("{} bytes", b.len()),
                "they are a multiple of 4 bytes, at most 40",
            )),
            Some(Value::Bytes(b)) => Ok(b),
            _ => Ok(&[]),
        }
    }

    /// The ethertype of the frame, and the bytes of the tag between it and what it carries, where it is one of a VLAN.
    fn tag(&self, inner: Option<u16>) -> Result<(Option<u16>, Vec<u8>), BuildError> {
        const V: Layer = Layer::Vlan;
        if !self.spec.has(V) {
            return Ok((inner, Vec::new()));
        }
        let id: u16 = self.number(V, "id")?.ok_or_else(|| missing(V, "id", "0 is a priority alone"))?;
        let priority: u16 = self.number(V, "priority")?.unwrap_or(0);
        let dei: u16 = self.number(V, "dei")?.unwrap_or(0);
        let kind = self.number(V, "type")?.or(inner);
        let kind = kind.ok_or_else(|| missing(V, "type", "the frame has no other header"))?;
        let tci = priority << 13 | dei << 12 | id;
        Ok((Some(TAGGED), [tci.to_be_bytes(), kind.to_be_bytes()].concat()))
    }

    fn payload(&self) -> Vec<u8> {
        self.spec.payload.as_ref().map(|p| p.0.to_vec()).unwrap_or_default()
    }

    fn is_arp_request(&self) -> bool {
        self.spec.value(Layer::Arp, "op") == Some(&Value::Number(1))
    }

    fn eth_dst(&self) -> MacAddr {
        let usual = if self.is_arp_request() { BROADCAST } else { topology::SUT_MAC };
        MacAddr::from(self.mac(Layer::Eth, "dst").unwrap_or(usual))
    }

    fn eth_src(&self) -> MacAddr {
        let usual = self.mac(Layer::Arp, "sha").unwrap_or(topology::PEER_MAC);
        MacAddr::from(self.mac(Layer::Eth, "src").unwrap_or(usual))
    }

    fn arp(&self) -> Result<Vec<u8>, BuildError> {
        const A: Layer = Layer::Arp;
        let op = self.number(A, "op")?.ok_or_else(|| missing(A, "op", "request and reply are both usual"))?;
        let mut bytes = vec![0; ARP_LENGTH];
        if let Some(mut p) = MutableArpPacket::new(&mut bytes) {
            arp_usual(&mut p);
            if let Some(n) = self.number(A, "htype")? {
                p.set_hardware_type(ArpHardwareType(n));
            }
            if let Some(n) = self.number(A, "ptype")? {
                p.set_protocol_type(EtherType(n));
            }
            if let Some(n) = self.number(A, "hlen")? {
                p.set_hw_addr_len(n);
            }
            if let Some(n) = self.number(A, "plen")? {
                p.set_proto_addr_len(n);
            }
            p.set_operation(ArpOperation(op));
            p.set_sender_hw_addr(self.mac(A, "sha").map_or(self.eth_src(), MacAddr::from));
            p.set_sender_proto_addr(self.ip(A, "spa").unwrap_or(topology::PEER_IP));
            let target = if op == 1 { [0; 6] } else { topology::SUT_MAC };
            p.set_target_hw_addr(MacAddr::from(self.mac(A, "tha").unwrap_or(target)));
            p.set_target_proto_addr(self.ip(A, "tpa").unwrap_or(topology::SUT_IP));
        }
        bytes.extend_from_slice(&self.payload());
        Ok(bytes)
    }

    fn protocol(&self) -> Result<u8, BuildError> {
        let usual = [(Layer::Icmp, 1), (Layer::Tcp, 6), (Layer::Udp, 17)]
            .into_iter()
            .find_map(|(layer, n)| self.spec.has(layer).then_some(n));
        self.number(Layer::Ipv4, "protocol")?
            .or(usual)
            .ok_or_else(|| missing(Layer::Ipv4, "protocol", "the packet has no other header"))
    }

    fn ipv4(&self, quoted: Option<&[u8]>) -> Result<Vec<u8>, BuildError> {
        const I: Layer = Layer::Ipv4;
        let flags: u8 = self.number(I, "flags")?.unwrap_or(0);
        let offset: u32 = self.number(I, "frag_offset")?.unwrap_or(0);
        if !offset.is_multiple_of(8) || offset > 0x1fff * 8 {
            let what = "it is a multiple of 8, at most 65528";
            return Err(BuildError::Wrong("ipv4.frag_offset".to_owned(), offset.to_string(), what));
        }
        let around = Around {
            src: self.ip(I, "src").unwrap_or(topology::PEER_IP),
            dst: self.ip(I, "dst").unwrap_or(topology::SUT_IP),
            protocol: self.protocol()?,
            fragment: flags & IP_MF != 0 || offset != 0,
        };
        let data = if self.spec.has(Layer::Udp) {
            self.udp(&around)?
        } else if self.spec.has(Layer::Icmp) {
            self.icmp(quoted)?
        } else if self.spec.has(Layer::Tcp) {
            self.tcp(&around)?
        } else {
            self.payload()
        };
        let options = self.options(I)?;
        let header = 20 + options.len();
        let total = header + data.len();
        let mut bytes = vec![0; header];
        bytes[20..].copy_from_slice(options);
        if let Some(mut p) = MutableIpv4Packet::new(&mut bytes) {
            let tos: u8 = self.number(I, "tos")?.unwrap_or(0);
            let words = u8::try_from(header / 4).unwrap_or(15);
            p.set_version(self.number(I, "version")?.unwrap_or(4));
            p.set_header_length(self.number(I, "ihl")?.unwrap_or(words));
            p.set_dscp(tos >> 2);
            p.set_ecn(tos & 3);
            let computed = u16::try_from(total).map_err(|_| BuildError::TooLong(total + ETH_HEADER));
            p.set_total_length(self.number(I, "length")?.map_or(computed, Ok)?);
            p.set_identification(self.number(I, "id")?.unwrap_or(0));
            p.set_flags(flags);
            p.set_fragment_offset(u16::try_from(offset / 8).unwrap_or(u16::MAX));
            p.set_ttl(self.number(I, "ttl")?.unwrap_or(64));
            p.set_next_level_protocol(IpNextHeaderProtocol(around.protocol));
            p.set_source(around.src);
            p.set_destination(around.dst);
        }
        let sum = self.number(I, "checksum")?.unwrap_or_else(|| util::checksum(&bytes, 5));
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend_from_slice(&data);
        Ok(bytes)
    }

    /// A first fragment does not know its datagram: its `udp.length` must be given, and its checksum is 0 (none) if it is not.
    fn udp(&self, around: &Around) -> Result<Vec<u8>, BuildError> {
        const U: Layer = Layer::Udp;
        let mut bytes = vec![0; 8];
        bytes.extend_from_slice(&self.payload());
        let total = bytes.len();
        let length: u16 = match self.number(U, "length")? {
            Some(given) => given,
            None if around.fragment => {
                return Err(missing(U, "length", "a fragment does not know how long its datagram is"));
            }
            None => u16::try_from(total).map_err(|_| BuildError::TooLong(total))?,
        };
        let src = self.number(U, "src_port")?.ok_or_else(|| missing(U, "src_port", "no port is usual"))?;
        let dst = self.number(U, "dst_port")?.ok_or_else(|| missing(U, "dst_port", "no port is usual"))?;
        if let Some(mut p) = MutableUdpPacket::new(&mut bytes) {
            p.set_source(src);
            p.set_destination(dst);
            p.set_length(length);
        }
        let sum: u16 = match self.number(U, "checksum")? {
            Some(given) => given,
            None if around.fragment => 0,
            // As a receiver that believes the length computes it.
            None => match around.checksum(&bytes[..usize::from(length).clamp(8, total)], 3) {
                0 => 0xffff,
                sum => sum,
            },
        };
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        Ok(bytes)
    }

    /// An echo request of identifier 1, sequence number 1, unless given; an error where it quotes.
    fn icmp(&self, quoted: Option<&[u8]>) -> Result<Vec<u8>, BuildError> {
        const C: Layer = Layer::Icmp;
        let payload = match (&self.spec.quotes, &self.spec.payload) {
            (Some(_), Some(_)) => {
                let what = "an ICMP error that quotes has no other payload";
                return Err(BuildError::Wrong("payload".to_owned(), "given".to_owned(), what));
            }
            (Some(_), None) => quote(quoted.ok_or(BuildError::NothingToQuote)?)?,
            (None, _) => self.payload(),
        };
        let usual = if self.spec.quotes.is_some() { 3 } else { 8 };
        let kind: u8 = self.number(C, "type")?.unwrap_or(usual);
        let mut bytes = vec![0; 8];
        bytes.extend_from_slice(&payload);
        if let Some(mut p) = MutableIcmpPacket::new(&mut bytes) {
            p.set_icmp_type(IcmpType(kind));
            p.set_icmp_code(IcmpCode(self.number(C, "code")?.unwrap_or(0)));
        }
        let echo = u16::from(matches!(kind, 0 | 8));
        let id: u16 = self.number(C, "id")?.unwrap_or(echo);
        let seq: u16 = self.number(C, "seq")?.unwrap_or(echo);
        bytes[4..6].copy_from_slice(&id.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.number(C, "mtu")?.unwrap_or(seq).to_be_bytes());
        let sum = self.number(C, "checksum")?.unwrap_or_else(|| util::checksum(&bytes, 1));
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        Ok(bytes)
    }

    fn tcp(&self, around: &Around) -> Result<Vec<u8>, BuildError> {
        const T: Layer = Layer::Tcp;
        let options = self.options(T)?;
        let header = 20 + options.len();
        let mut bytes = vec![0; header];
        bytes[20..].copy_from_slice(options);
        let src = self.number(T, "src_port")?.ok_or_else(|| missing(T, "src_port", "no port is usual"))?;
        let dst = self.number(T, "dst_port")?.ok_or_else(|| missing(T, "dst_port", "no port is usual"))?;
        if let Some(mut p) = MutableTcpPacket::new(&mut bytes) {
            p.set_source(src);
            p.set_destination(dst);
            p.set_sequence(self.number(T, "seq")?.unwrap_or(0));
            p.set_acknowledgement(self.number(T, "ack")?.unwrap_or(0));
            p.set_data_offset(
                self.number(T, "data_offset")?.unwrap_or(u8::try_from(header / 4).unwrap_or(15)),
            );
            p.set_flags(self.number(T, "flags")?.unwrap_or(0x10));
            p.set_window(self.number(T, "window")?.unwrap_or(0xffff));
            p.set_urgent_ptr(self.number(T, "urgent")?.unwrap_or(0));
        }
        bytes.extend_from_slice(&self.payload());
        let sum: u16 = match self.number(T, "checksum")? {
            Some(given) => given,
            None => around.checksum(&bytes, 8),
        };
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        Ok(bytes)
    }
}

/// The IP header and the first 8 bytes of data of the packet in a frame (RFC 792).
fn quote(frame: &[u8]) -> Result<Vec<u8>, BuildError> {
    let ip = decode(frame).ipv4.ok_or(BuildError::NothingToQuote)?;
    let mut bytes = ip.header.to_vec();
    bytes.extend_from_slice(&ip.data[..ip.data.len().min(8)]);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
