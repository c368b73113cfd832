//! A capture as the text of a snapshot: a line per frame, with every field that the emulator fixes.
//!
//! The emulator is deterministic, so values stay as they are (seed 0 makes ids and ports). Times are rounded to the
//! microsecond, so that a nanosecond more of device latency is not a difference; payloads are a length, their first bytes and a hash.

use super::pattern::excerpt;
use crate::capture::{Capture, CapturedFrame, Direction};
use crate::frame::decode::Decoded;
use crate::frame::{Kind, Layer, Value, decode};
use std::fmt::Write as _;

/// The text: time in microseconds, `>` from the system under test or `<` to it, then each header with its fields.
#[must_use]
pub fn snapshot(capture: &Capture) -> String {
    let mut text = String::new();
    for frame in &capture.frames {
        line(frame, &mut text);
    }
    text
}

fn line(frame: &CapturedFrame, text: &mut String) {
    let arrow = if frame.direction == Direction::Outbound { '>' } else { '<' };
    let micros = frame.at.saturating_add(500) / 1000;
    let d = decode(&frame.bytes);
    let _ = write!(text, "{micros:>12} {arrow}");
    for layer in &d.layers {
        let fields: Vec<_> = d
            .fields
            .iter()
            .filter(|(field, _)| field.layer == *layer && !derived(*layer, field.key))
            .map(|(field, value)| match (field.kind, value) {
                (Kind::Flags { .. }, value) => {
                    format!("{}={}", field.key, field.show(value).replace(' ', ""))
                }
                (_, Value::Bytes(bytes)) if bytes.is_empty() => format!("{}=none", field.key),
                (_, value) => format!("{}={}", field.key, field.show(value)),
            })
            .collect();
        let _ = write!(text, " {}({})", layer.name(), fields.join(" "));
    }
    let _ = writeln!(text, "{}", rest(&d));
}

/// What is verified anyhow: it would only repeat the rest of the line.
fn derived(layer: Layer, key: &str) -> bool {
    match layer {
        Layer::Ipv4 => matches!(key, "version" | "ihl" | "length" | "checksum"),
        Layer::Arp => matches!(key, "htype" | "ptype" | "hlen" | "plen"),
        Layer::Udp | Layer::Icmp => matches!(key, "length" | "checksum"),
        Layer::Tcp => matches!(key, "data_offset" | "checksum"),
        Layer::Eth | Layer::Vlan => false,
    }
}

/// FNV-1a, 32 bits: tells payloads apart that begin alike.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn rest(d: &Decoded<'_>) -> String {
    let mut text = String::new();
    if !d.payload.is_empty() {
        let (length, head, hash) = (d.payload.len(), excerpt(d.payload), fnv1a(d.payload));
        let _ = write!(text, " payload({length} bytes: {head} {hash:08x})");
    }
    for problem in &d.problems {
        let _ = write!(text, " malformed({problem})");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv1a() {
        // The test vector "foobar" of the authors of FNV.
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn a_line_has_what_the_emulator_fixes() {
        insta::assert_snapshot!(snapshot(&crate::report::ladder::tests::capture()), @r#"
             12 > eth(dst=ff:ff:ff:ff:ff:ff src=02:00:00:00:00:01 type=arp) arp(op=request sha=02:00:00:00:00:01 spa=192.0.2.1 tha=00:00:00:00:00:00 tpa=192.0.2.2)
             12 < eth(dst=02:00:00:00:00:01 src=02:00:00:00:00:02 type=arp) arp(op=reply sha=02:00:00:00:00:02 spa=192.0.2.2 tha=02:00:00:00:00:01 tpa=192.0.2.1)
             25 > eth(dst=02:00:00:00:00:02 src=02:00:00:00:00:01 type=ipv4) ipv4(tos=0 id=0 flags=[DF] frag_offset=0 ttl=64 protocol=udp src=192.0.2.1 dst=192.0.2.2) udp(src_port=4000 dst_port=7) payload(5 bytes: "hello" 4f9f2cab)
             37 < eth(dst=02:00:00:00:00:01 src=02:00:00:00:00:02 type=ipv4) ipv4(tos=0 id=9 flags=[MF] frag_offset=1480 ttl=64 protocol=udp src=192.0.2.2 dst=192.0.2.1) payload(16 bytes: hex 00000000000000000000000000000000 69691905)
        1000000 > eth(dst=02:00:00:00:00:02 src=02:00:00:00:00:01 type=ipv4) ipv4(tos=0 id=0 flags=[DF] frag_offset=0 ttl=64 protocol=tcp src=192.0.2.1 dst=192.0.2.2) tcp(src_port=40000 dst_port=8080 seq=0 ack=0 flags=[SYN] window=65535 urgent=0 options=020405b4)
        1000012 < eth(dst=02:00:00:00:00:01 src=02:00:00:00:00:02 type=ipv4) ipv4(tos=0 id=0 flags=[] frag_offset=0 ttl=64 protocol=icmp src=192.0.2.2 dst=192.0.2.1) icmp(type=echo_request code=0 id=7 seq=3) payload(4 bytes: "ping" 165df089)
        1000025 > eth(dst=02:00:00:00:00:02 src=02:00:00:00:00:01 type=ipv4) ipv4(tos=0 id=0 flags=[DF] frag_offset=0 ttl=64 protocol=udp src=192.0.2.1 dst=192.0.2.2) udp(src_port=4000 dst_port=7) payload(5 bytes: "iello" b28dc714) malformed(udp.checksum: is 0x2857, right is 0x2757)
        "#);
    }
}
