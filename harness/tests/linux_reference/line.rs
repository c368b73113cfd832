//! A frame as a line, in the words of the recordings: addresses by who has them, identifications by their order, bytes by a hash.

use harness::frame::decode::{IP_DF, IP_MF, Ipv4View};
use harness::frame::{Layer, Value, decode};
use std::net::Ipv4Addr;

/// What the lines of one run count from.
#[derive(Debug, Default)]
pub struct Lines {
    ids: Vec<u16>,
    sequence: Option<u64>,
}

impl Lines {
    /// The next frame: its bytes without padding, and the line.
    pub fn of(&mut self, frame: &[u8]) -> String {
        let d = decode(frame);
        let number = |layer, key| d.number(layer, key).unwrap_or(0);
        let address = |layer, key: &str| {
            let found = d.fields.iter().find(|(field, _)| field.layer == layer && field.key == key);
            found.map_or("?", |(_, value)| if let Value::Ipv4(ip) = value { who(*ip) } else { "?" })
        };
        if d.has(Layer::Arp) {
            let what = if number(Layer::Arp, "op") == 1 { "request" } else { "reply" };
            let to = if frame.starts_with(&[0xff; 6]) { "all" } else { "one" };
            return format!(
                "arp {what} {} asks {} to {to}",
                address(Layer::Arp, "spa"),
                address(Layer::Arp, "tpa")
            );
        }
        let Some(ip) = d.ipv4 else { return "neither ARP nor IPv4".to_owned() };
        assert!(d.problems.is_empty(), "a malformed frame: {:?}", d.problems);
        let head = self.header(&ip);
        let ports = |layer| format!("{} {}", number(layer, "src_port"), number(layer, "dst_port"));
        let data = format!("data {} {:08x}", d.payload.len(), fnv(d.payload));
        let rest = if ip.offset > 0 {
            format!("data {} {:08x}", ip.data.len(), fnv(ip.data))
        } else if d.has(Layer::Udp) {
            let bytes = ip.data.get(8..).unwrap_or_default();
            format!("udp {} data {} {:08x}", ports(Layer::Udp), bytes.len(), fnv(bytes))
        } else {
            let sequence = number(Layer::Tcp, "seq");
            let sequence = sequence.wrapping_sub(*self.sequence.get_or_insert(sequence)) & 0xffff_ffff;
            let (flags, window) = (number(Layer::Tcp, "flags"), number(Layer::Tcp, "window"));
            let flags: String = "FSRPAUEC"
                .chars()
                .enumerate()
                .filter(|(bit, _)| flags >> bit & 1 == 1)
                .map(|(_, c)| c)
                .collect();
            let options = ip.data.get(20..ip.data.len() - d.payload.len()).unwrap_or_default();
            format!(
                "tcp {} {flags} seq {sequence} win {window} <{}> {data}",
                ports(Layer::Tcp),
                shown(options)
            )
        };
        format!("{head} {rest}")
    }

    fn header(&mut self, ip: &Ipv4View<'_>) -> String {
        let id = self.ids.iter().position(|id| *id == ip.id).unwrap_or_else(|| {
            self.ids.push(ip.id);
            self.ids.len() - 1
        });
        let flags = match (ip.flags & IP_DF != 0, ip.flags & IP_MF != 0) {
            (false, false) => "-",
            (true, false) => "df",
            (false, true) => "mf",
            (true, true) => "dfmf",
        };
        let length = ip.header.len() + ip.data.len();
        format!("ip {length} tos {} ttl {} id {id} {flags} at {}", ip.tos, ip.ttl, ip.offset)
    }
}

fn who(ip: Ipv4Addr) -> &'static str {
    match ip.octets() {
        [192, 0, 2, 1] => "sut",
        [192, 0, 2, 2] => "peer",
        _ => "other",
    }
}

/// FNV-1a, 32 bits.
fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The options of a TCP header; of timestamps only that they are there.
pub fn shown(mut options: &[u8]) -> String {
    let mut all = Vec::new();
    while let [kind, rest @ ..] = options {
        let length = rest.first().map_or(2, |length| usize::from(*length).max(2));
        let value = options.get(2..length).unwrap_or_default();
        options = match kind {
            0 => &[],
            1 => rest,
            _ => options.get(length..).unwrap_or_default(),
        };
        all.push(match (kind, value) {
            (0, _) => "eol".to_owned(),
            (1, _) => "nop".to_owned(),
            (2, [high, low]) => format!("mss {}", u16::from_be_bytes([*high, *low])),
            (3, [shift]) => format!("wscale {shift}"),
            (4, _) => "sackOK".to_owned(),
            (8, _) => "TS".to_owned(),
            (other, _) => format!("{other}"),
        });
    }
    all.join(",")
}
