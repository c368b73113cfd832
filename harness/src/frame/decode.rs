//! Bytes of the wire to fields: everything that a case can name, and everything that is wrong with the frame.
//!
//! pnet reads the headers. What it does not do - bounds, lengths, checksums - is checked here, before it is asked.

use super::field::{Field, Layer, Value, find};
use pnet::packet::Packet as _;
use pnet::packet::arp::ArpPacket;
use pnet::packet::ethernet::EthernetPacket;
use pnet::packet::icmp::IcmpPacket;
use pnet::packet::ip::IpNextHeaderProtocol;
use pnet::packet::ipv4::Ipv4Packet;
use pnet::packet::tcp::TcpPacket;
use pnet::packet::udp::UdpPacket;
use pnet::packet::util;
use pnet::util::MacAddr;
use std::fmt;
use std::net::Ipv4Addr;

/// Bytes of an Ethernet header.
pub const ETH_HEADER: usize = 14;
/// The shortest frame that a NIC sends, without the frame check sequence (IEEE 802.3 clause 4.2.3.3).
pub const ETH_MIN: usize = 60;
/// Bytes of the tag of a VLAN.
pub const VLAN_TAG: usize = 4;
/// The ethertype of a frame with such a tag.
pub const TAGGED: u16 = 0x8100;
/// More Fragments, as in the field `ipv4.flags` (RFC 791).
pub const IP_MF: u8 = 1;
/// Don't Fragment.
pub const IP_DF: u8 = 2;
/// The bit that must be zero.
pub const IP_RESERVED: u8 = 4;
/// Bytes of an ARP packet for IPv4 over Ethernet (RFC 826).
pub(super) const ARP_LENGTH: usize = 28;

/// Something that makes a frame malformed. A frame with one never matches a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The header that it is in.
    pub layer: Layer,
    /// The field that is wrong, where it is one.
    pub field: Option<&'static Field>,
    /// What is wrong, with the numbers.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(f, "{}: {}", field.name(), self.what),
            None => write!(f, "{}: {}", self.layer.name(), self.what),
        }
    }
}

/// The place of an IPv4 packet in its frame, and of a fragment in its datagram.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4View<'a> {
    /// Its header, options included.
    pub header: &'a [u8],
    /// What follows, up to the total length: the transport header and data, or a fragment of them.
    pub data: &'a [u8],
    /// The source address.
    pub src: Ipv4Addr,
    /// The destination address.
    pub dst: Ipv4Addr,
    /// Identification.
    pub id: u16,
    /// Type of service.
    pub tos: u8,
    /// Time to live.
    pub ttl: u8,
    /// The protocol of the data.
    pub protocol: u8,
    /// [`IP_MF`], [`IP_DF`] and [`IP_RESERVED`].
    pub flags: u8,
    /// Where the data stands in the datagram, in bytes.
    pub offset: usize,
}

impl Ipv4View<'_> {
    /// Whether it is only a part of a datagram.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.flags & IP_MF != 0 || self.offset != 0
    }
}

/// A frame, taken apart.
#[derive(Clone, Debug)]
pub struct Decoded<'a> {
    /// The whole frame.
    pub frame: &'a [u8],
    /// Its headers, outermost first. A later fragment has none beyond `ipv4`.
    pub layers: Vec<Layer>,
    /// The fields of those headers, in the order of the wire. `ipv4.frag_offset` is in bytes.
    pub fields: Vec<(&'static Field, Value)>,
    /// What the innermost header carries; padding is not part of it.
    pub payload: &'a [u8],
    /// The IPv4 packet, where the frame carries one whose header is whole.
    pub ipv4: Option<Ipv4View<'a>>,
    /// What is malformed.
    pub problems: Vec<Problem>,
    /// What is legal but unusual, such as padding that is not zero.
    pub notes: Vec<String>,
}

impl<'a> Decoded<'a> {
    /// The value of a field.
    #[must_use]
    pub fn get(&self, field: &Field) -> Option<&Value> {
        self.fields.iter().find(|(f, _)| f.layer == field.layer && f.key == field.key).map(|(_, v)| v)
    }

    /// The value of a field that is a number, by its header and key.
    #[must_use]
    pub fn number(&self, layer: Layer, key: &str) -> Option<u64> {
        self.fields.iter().find(|(f, _)| f.layer == layer && f.key == key).and_then(|(_, v)| match v {
            Value::Number(n) => Some(*n),
            _ => None,
        })
    }

    /// Whether the frame has this header.
    #[must_use]
    pub fn has(&self, layer: Layer) -> bool {
        self.layers.contains(&layer)
    }

    fn put(&mut self, layer: Layer, key: &str, value: Value) {
        if let Some(field) = find(layer, key) {
            self.fields.push((field, value));
        }
    }

    fn numbers(&mut self, layer: Layer, values: &[(&str, u64)]) {
        for (key, value) in values {
            self.put(layer, key, Value::Number(*value));
        }
    }

    fn problem(&mut self, layer: Layer, key: &str, what: String) {
        self.problems.push(Problem { layer, field: find(layer, key), what });
    }

    fn truncated(&mut self, layer: Layer, need: usize, have: usize) {
        self.problem(layer, "", format!("truncated: the header needs {need} bytes, {have} are there"));
    }
}

/// Takes a frame apart. It begins with the destination address and has no frame check sequence. Any bytes will do: what
/// is wrong with them is in [`Decoded::problems`].
#[must_use]
pub fn decode(frame: &[u8]) -> Decoded<'_> {
    let mut d = Decoded {
        frame,
        layers: Vec::new(),
        fields: Vec::new(),
        payload: frame,
        ipv4: None,
        problems: Vec::new(),
        notes: Vec::new(),
    };
    let Some(eth) = EthernetPacket::new(frame) else {
        d.truncated(Layer::Eth, ETH_HEADER, frame.len());
        return d;
    };
    d.layers.push(Layer::Eth);
    d.put(Layer::Eth, "dst", mac(eth.get_destination()));
    d.put(Layer::Eth, "src", mac(eth.get_source()));
    let ethertype = eth.get_ethertype().0;
    d.numbers(Layer::Eth, &[("type", ethertype.into())]);
    d.payload = frame.get(ETH_HEADER..).unwrap_or_default();
    let ethertype = if ethertype == TAGGED { vlan(&mut d) } else { ethertype };
    match ethertype {
        0x0800 => ipv4(&mut d),
        0x0806 => arp(&mut d),
        _ => {}
    }
    d
}

/// The tag of a VLAN (IEEE 802.1Q clause 9.6). Gives the ethertype behind it; 0 where the frame ends before that.
fn vlan(d: &mut Decoded<'_>) -> u16 {
    d.layers.push(Layer::Vlan);
    let Some(&[high, low, kind_high, kind_low]) = d.payload.first_chunk() else {
        d.truncated(Layer::Vlan, VLAN_TAG, d.payload.len());
        return 0;
    };
    let (tci, kind) = (u16::from_be_bytes([high, low]), u16::from_be_bytes([kind_high, kind_low]));
    let fields = [
        ("id", u64::from(tci & 0xfff)),
        ("priority", u64::from(tci >> 13)),
        ("dei", u64::from(tci >> 12 & 1)),
        ("type", u64::from(kind)),
    ];
    d.numbers(Layer::Vlan, &fields);
    d.payload = &d.payload[VLAN_TAG..];
    kind
}

fn mac(address: MacAddr) -> Value {
    Value::Mac(address.octets())
}

/// Looks at what follows a packet that ends before its frame does: padding of a short frame, and nothing else.
fn padding(d: &mut Decoded<'_>, layer: Layer, rest: &[u8]) {
    if rest.is_empty() {
        return;
    }
    // Padded before it was tagged, a frame is longer by the tag.
    let most = ETH_MIN + if d.has(Layer::Vlan) { VLAN_TAG } else { 0 };
    if d.frame.len() > most {
        let what = format!(
            "{} bytes follow the packet in a frame of {}: only a frame of {ETH_MIN} is padded",
            rest.len(),
            d.frame.len()
        );
        d.problem(layer, if layer == Layer::Ipv4 { "length" } else { "" }, what);
    } else if rest.iter().any(|b| *b != 0) {
        d.notes.push(format!("the padding of {} bytes is not zero", rest.len()));
    }
}

fn arp(d: &mut Decoded<'_>) {
    let bytes = d.payload;
    d.layers.push(Layer::Arp);
    let Some(p) = ArpPacket::new(bytes) else {
        return d.truncated(Layer::Arp, ARP_LENGTH, bytes.len());
    };
    let (htype, ptype) = (p.get_hardware_type().0, p.get_protocol_type().0);
    let (hlen, plen) = (p.get_hw_addr_len(), p.get_proto_addr_len());
    d.numbers(Layer::Arp, &[("op", p.get_operation().0.into())]);
    if hlen == 6 && plen == 4 {
        d.put(Layer::Arp, "sha", mac(p.get_sender_hw_addr()));
        d.put(Layer::Arp, "spa", Value::Ipv4(p.get_sender_proto_addr()));
        d.put(Layer::Arp, "tha", mac(p.get_target_hw_addr()));
        d.put(Layer::Arp, "tpa", Value::Ipv4(p.get_target_proto_addr()));
    }
    let described: [(&str, u64, u64); 4] = [
        ("htype", htype.into(), 1),
        ("ptype", ptype.into(), 0x0800),
        ("hlen", hlen.into(), 6),
        ("plen", plen.into(), 4),
    ];
    for (key, is, must) in described {
        d.numbers(Layer::Arp, &[(key, is)]);
        if is != must {
            d.problem(Layer::Arp, key, format!("is {is:#x}, ARP for IPv4 over Ethernet has {must:#x}"));
        }
    }
    d.payload = &[];
    padding(d, Layer::Arp, bytes.get(ARP_LENGTH..).unwrap_or_default());
}

fn ipv4(d: &mut Decoded<'_>) {
    let bytes = d.payload;
    d.layers.push(Layer::Ipv4);
    let Some(p) = Ipv4Packet::new(bytes) else {
        return d.truncated(Layer::Ipv4, 20, bytes.len());
    };
    let (ihl, length) = (usize::from(p.get_header_length()) * 4, usize::from(p.get_total_length()));
    ipv4_fields(d, &p);
    if p.get_version() != 4 {
        d.problem(Layer::Ipv4, "version", format!("is {}, an IPv4 packet has 4", p.get_version()));
    }
    if ihl < 20 || ihl > bytes.len() {
        let what = format!("says {ihl} bytes of header; 20 is the least, {} are there", bytes.len());
        return d.problem(Layer::Ipv4, "ihl", what);
    }
    let header = &bytes[..ihl];
    if ihl > 20 {
        d.put(Layer::Ipv4, "options", Value::Bytes(header[20..].to_vec()));
    }
    let sum = util::checksum(header, 5);
    if sum != p.get_checksum() {
        d.problem(Layer::Ipv4, "checksum", format!("is {:#06x}, right is {sum:#06x}", p.get_checksum()));
    }
    if length < ihl || length > bytes.len() {
        let what = format!("says {length} bytes; the header has {ihl}, the frame carries {}", bytes.len());
        d.problem(Layer::Ipv4, "length", what);
    } else {
        padding(d, Layer::Ipv4, &bytes[length..]);
    }
    let data = &bytes[ihl..length.clamp(ihl, bytes.len())];
    let view = Ipv4View {
        header,
        data,
        src: p.get_source(),
        dst: p.get_destination(),
        id: p.get_identification(),
        tos: p.get_dscp() << 2 | p.get_ecn(),
        ttl: p.get_ttl(),
        protocol: p.get_next_level_protocol().0,
        flags: p.get_flags(),
        offset: usize::from(p.get_fragment_offset()) * 8,
    };
    d.payload = data;
    d.ipv4 = Some(view);
    fragment_rules(d, &view);
    if view.offset == 0 {
        transport(d, &view);
    }
}

fn ipv4_fields(d: &mut Decoded<'_>, p: &Ipv4Packet<'_>) {
    d.numbers(
        Layer::Ipv4,
        &[
            ("version", p.get_version().into()),
            ("ihl", p.get_header_length().into()),
            ("tos", (p.get_dscp() << 2 | p.get_ecn()).into()),
            ("length", p.get_total_length().into()),
            ("id", p.get_identification().into()),
            ("flags", p.get_flags().into()),
            ("frag_offset", u64::from(p.get_fragment_offset()) * 8),
            ("ttl", p.get_ttl().into()),
            ("protocol", p.get_next_level_protocol().0.into()),
            ("checksum", p.get_checksum().into()),
        ],
    );
    d.put(Layer::Ipv4, "src", Value::Ipv4(p.get_source()));
    d.put(Layer::Ipv4, "dst", Value::Ipv4(p.get_destination()));
}

/// RFC 791 section 3.1: the reserved bit is zero, all fragments but the last carry a multiple of 8 bytes, and no datagram
/// is longer than 65,535 bytes.
fn fragment_rules(d: &mut Decoded<'_>, ip: &Ipv4View<'_>) {
    if ip.flags & IP_RESERVED != 0 {
        d.problem(Layer::Ipv4, "flags", "the reserved bit is set".to_owned());
    }
    if ip.flags & IP_MF != 0 && (ip.data.is_empty() || !ip.data.len().is_multiple_of(8)) {
        let what = format!("a fragment with MF carries {} bytes, not a multiple of 8", ip.data.len());
        d.problem(Layer::Ipv4, "length", what);
    }
    let end = ip.header.len() + ip.offset + ip.data.len();
    if end > 65_535 {
        let what = format!(
            "{} and {} bytes of data make a datagram of {end}, more than 65535",
            ip.offset,
            ip.data.len()
        );
        d.problem(Layer::Ipv4, "frag_offset", what);
    }
}

fn transport<'a>(d: &mut Decoded<'a>, ip: &Ipv4View<'a>) {
    match ip.protocol {
        1 => icmp(d, ip),
        6 => tcp(d, ip),
        17 => udp(d, ip),
        _ => {}
    }
}

/// The checksum that a transport header must have (RFC 768, RFC 9293 section 3.1); `skip` is the index of its own word.
pub(crate) fn transport_checksum(data: &[u8], skip: usize, ip: &Ipv4View<'_>) -> u16 {
    util::ipv4_checksum(data, skip, &[], &ip.src, &ip.dst, IpNextHeaderProtocol(ip.protocol))
}

/// Whether a UDP checksum is right: 0 is none, and a sum of 0 is sent as all ones (RFC 768). Gives the right one if not.
pub(crate) fn udp_checksum_wrong(sent: u16, segment: &[u8], ip: &Ipv4View<'_>) -> Option<u16> {
    let sum = match transport_checksum(segment, 3, ip) {
        0 => 0xffff,
        sum => sum,
    };
    (sent != 0 && sent != sum).then_some(sum)
}

fn udp<'a>(d: &mut Decoded<'a>, ip: &Ipv4View<'a>) {
    d.layers.push(Layer::Udp);
    let Some(p) = UdpPacket::new(ip.data) else {
        return d.truncated(Layer::Udp, 8, ip.data.len());
    };
    let (length, sent) = (usize::from(p.get_length()), p.get_checksum());
    d.numbers(
        Layer::Udp,
        &[
            ("src_port", p.get_source().into()),
            ("dst_port", p.get_destination().into()),
            ("length", length as u64),
            ("checksum", sent.into()),
        ],
    );
    d.payload = &ip.data[8..];
    if ip.is_fragment() {
        if length <= ip.data.len() {
            let what = format!("says {length} bytes, its first fragment alone carries {}", ip.data.len());
            d.problem(Layer::Udp, "length", what);
        }
        return;
    }
    if length != ip.data.len() {
        d.problem(Layer::Udp, "length", format!("says {length} bytes, the packet carries {}", ip.data.len()));
    }
    let covered = &ip.data[..length.clamp(8, ip.data.len())];
    d.payload = &covered[8..];
    if let Some(sum) = udp_checksum_wrong(sent, covered, ip) {
        d.problem(Layer::Udp, "checksum", format!("is {sent:#06x}, right is {sum:#06x}"));
    }
}

fn icmp<'a>(d: &mut Decoded<'a>, ip: &Ipv4View<'a>) {
    d.layers.push(Layer::Icmp);
    let header = ip.data.get(..8);
    let (Some(p), Some(header)) = (IcmpPacket::new(ip.data), header) else {
        return d.truncated(Layer::Icmp, 8, ip.data.len());
    };
    let (kind, code) = (p.get_icmp_type().0, p.get_icmp_code().0);
    let word = |at: usize| u64::from(u16::from_be_bytes([header[at], header[at + 1]]));
    d.numbers(
        Layer::Icmp,
        &[("type", kind.into()), ("code", code.into()), ("checksum", p.get_checksum().into())],
    );
    match (kind, code) {
        (0 | 8, _) => d.numbers(Layer::Icmp, &[("id", word(4)), ("seq", word(6))]),
        (3, 4) => d.numbers(Layer::Icmp, &[("mtu", word(6))]),
        _ => {}
    }
    d.payload = &ip.data[8..];
    let sum = util::checksum(ip.data, 1);
    if !ip.is_fragment() && sum != p.get_checksum() {
        d.problem(Layer::Icmp, "checksum", format!("is {:#06x}, right is {sum:#06x}", p.get_checksum()));
    }
}

fn tcp<'a>(d: &mut Decoded<'a>, ip: &Ipv4View<'a>) {
    d.layers.push(Layer::Tcp);
    let Some(p) = TcpPacket::new(ip.data) else {
        return d.truncated(Layer::Tcp, 20, ip.data.len());
    };
    let offset = usize::from(p.get_data_offset()) * 4;
    d.numbers(
        Layer::Tcp,
        &[
            ("src_port", p.get_source().into()),
            ("dst_port", p.get_destination().into()),
            ("seq", p.get_sequence().into()),
            ("ack", p.get_acknowledgement().into()),
            ("data_offset", p.get_data_offset().into()),
            ("flags", p.get_flags().into()),
            ("window", p.get_window().into()),
            ("checksum", p.get_checksum().into()),
            ("urgent", p.get_urgent_ptr().into()),
        ],
    );
    if offset < 20 || offset > p.packet().len() {
        let what = format!("says {offset} bytes of header; 20 is the least, {} are there", ip.data.len());
        d.problem(Layer::Tcp, "data_offset", what);
        d.payload = &ip.data[20..];
    } else {
        d.put(Layer::Tcp, "options", Value::Bytes(ip.data[20..offset].to_vec()));
        d.payload = &ip.data[offset..];
    }
    let sum = transport_checksum(ip.data, 8, ip);
    if !ip.is_fragment() && sum != p.get_checksum() {
        d.problem(Layer::Tcp, "checksum", format!("is {:#06x}, right is {sum:#06x}", p.get_checksum()));
    }
}

#[cfg(test)]
mod tests;
