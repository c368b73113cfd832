//! Frames for the tests of this crate: of another hand (computed from the RFCs with a few lines of Python), and specs from a
//! short notation.

use super::{FieldSpec, FrameSpec, Kind, Layer, Value, build, field};
use crate::case::model::{Location, Payload, SourceFile};
use std::sync::Arc;

/// A place in a file that is not there.
pub fn nowhere() -> Location {
    let text = "steps:\n  - expect: {udp: {dst_port: 7}, payload: \"hello\"}\n".to_owned();
    Location { file: Arc::new(SourceFile { path: "cases/udp/one.yaml".into(), text }), line: 2, column: 5 }
}

fn value(kind: Kind, text: &str) -> Value {
    let named = |names: &[(&str, u64)]| names.iter().find(|(n, _)| *n == text).map(|(_, v)| *v);
    match kind {
        Kind::Mac => {
            let bytes: Vec<_> = text.split(':').map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
            Value::Mac(bytes.try_into().unwrap())
        }
        Kind::Ipv4 => Value::Ipv4(text.parse().unwrap()),
        Kind::Bytes => Value::Bytes(text.bytes().collect()),
        Kind::Named { names, .. } | Kind::Flags { names } => {
            Value::Number(named(names).unwrap_or_else(|| text.parse().unwrap()))
        }
        Kind::Number { .. } => Value::Number(text.parse().unwrap()),
    }
}

/// `udp: {dst_port: 7}; ipv4: {ttl: 64}` as a spec.
pub fn spec(text: &str, payload: Option<&[u8]>) -> FrameSpec {
    let mut spec = FrameSpec { payload: payload.map(|p| Payload(p.into())), ..FrameSpec::default() };
    for part in text.split(';').map(str::trim).filter(|p| !p.is_empty()) {
        let (name, fields) = part.split_once(": {").unwrap();
        let layer = [Layer::Eth, Layer::Vlan, Layer::Arp, Layer::Ipv4, Layer::Icmp, Layer::Udp, Layer::Tcp]
            .into_iter()
            .find(|l| l.name() == name)
            .unwrap();
        spec.layers.push(layer);
        for given in fields.trim_end_matches('}').split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (key, text) = given.split_once(": ").unwrap();
            let field = field::find(layer, key).unwrap();
            spec.fields.push(FieldSpec { field, value: value(field.kind, text), at: nowhere() });
        }
    }
    spec
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// 192.0.2.1:4000 to 192.0.2.2:7, "hello", DF.
pub fn udp_hello() -> Vec<u8> {
    bytes(UDP)
}

/// 192.0.2.1:40000 to 192.0.2.2:8080, SYN with an MSS of 1460.
pub fn tcp_syn() -> Vec<u8> {
    bytes(TCP)
}

/// The system under test asks for the peer (the figure of RFC 826 with our addresses).
pub fn arp_request() -> Vec<u8> {
    let mut frame =
        bytes("ffffffffffff02000000000108060001080006040001020000000001c0000201000000000000c0000202");
    frame.resize(60, 0);
    frame
}

/// The peer pings the system under test.
pub fn icmp_echo() -> Vec<u8> {
    build(&spec("icmp: {type: echo_request, id: 7, seq: 3}", Some(b"ping")), None).unwrap()
}

const UDP: &str = "020000000002020000000001080045000021000040004011b6c8c0000201c00002020fa00007000d285768656c6c\
    6f00000000000000000000000000";
const TCP: &str = "02000000000202000000000108004500002c000040004006b6c8c0000201c00002029c401f900000000000000000\
    6002ffff58520000020405b40000";
