//! Frames: the fields that a case gives, and whether they can be one frame.

use super::model::Payload;
use super::problem::{Problem, choose};
use super::reader::{Fields, Read, Reader};
use super::value::{Patterns, whole};
use super::yaml::{Kind, Node};
use crate::frame::field::{FIELDS, Field, Kind as FieldKind, Layer, Value, find};
use crate::frame::tcp::notation;
use crate::frame::{FieldSpec, FrameSpec};

/// The layers, outermost first.
pub const LAYERS: [Layer; 7] =
    [Layer::Eth, Layer::Vlan, Layer::Arp, Layer::Ipv4, Layer::Icmp, Layer::Udp, Layer::Tcp];

/// What a frame is given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is expected.
    Expect,
    /// It is injected: may be wrong on purpose.
    Inject,
    /// The headers of the fragments of a datagram.
    Fragments,
}

/// Reads the headers and the payload of a step.
pub fn frame(
    r: &mut Reader,
    fields: &Fields<'_>,
    purpose: Purpose,
    patterns: &mut Patterns,
) -> Read<FrameSpec> {
    let mut spec = FrameSpec::default();
    let mut bad = None;
    for layer in LAYERS {
        if let Some(node) = fields.get(layer.name()) {
            spec.layers.push(layer);
            bad = header(r, node, layer, purpose, &mut spec).err().or(bad);
        }
    }
    if purpose != Purpose::Fragments
        && let Some(node) = fields.get("payload")
    {
        match r.payload(node, patterns) {
            Ok(payload) => spec.payload = Some(payload),
            Err(reported) => bad = Some(reported),
        }
    }
    if let Some(reported) = bad {
        return Err(reported);
    }
    if purpose != Purpose::Fragments && spec.layers.is_empty() && spec.payload.is_none() {
        let problem = Problem::at(&fields.node.span, "this says nothing of the frame")
            .help("name a header or the payload, such as `udp: {dst_port: 7}`");
        return Err(r.report(problem));
    }
    contradictions(r, fields, &spec, purpose)?;
    Ok(spec)
}

fn header(r: &mut Reader, node: &Node, layer: Layer, purpose: Purpose, spec: &mut FrameSpec) -> Read<()> {
    if layer == Layer::Tcp && matches!(node.kind, Kind::Scalar(_)) {
        return segment(r, node, purpose, spec);
    }
    let names = || FIELDS.iter().filter(move |field| field.layer == layer).map(|field| field.key);
    let list: Vec<_> = names().collect();
    let entries = r.map(node, &format!("`{}` has these fields: {}", layer.name(), list.join(", ")))?;
    let mut bad = None;
    for (key, value) in entries {
        let name = key.text().unwrap_or("");
        if layer == Layer::Icmp && name == "quotes" {
            bad = quotes(r, key, value, purpose, spec).err().or(bad);
            continue;
        }
        if layer == Layer::Tcp && name == "segment" {
            bad = segment(r, value, purpose, spec).err().or(bad);
            continue;
        }
        let Some(field) = find(layer, name) else {
            let problem =
                Problem::at(&key.span, format!("`{}` has no field {}", layer.name(), key.describe()))
                    .label("unknown field")
                    .help(choose(name, names()));
            bad = Some(r.report(problem));
            continue;
        };
        match field_value(r, field, value) {
            Ok(v) => spec.fields.push(FieldSpec { field, value: v, at: value.span.location() }),
            Err(reported) => bad = Some(reported),
        }
    }
    bad.map_or(Ok(()), Err)
}

/// A segment in packetdrill's notation.
fn segment(r: &mut Reader, node: &Node, purpose: Purpose, spec: &mut FrameSpec) -> Read<()> {
    let text = r.text(node)?;
    let tcp = match notation::parse(text, node.span.location()) {
        Ok(tcp) => tcp,
        Err(wrong) => {
            let problem = Problem::at(&node.part(wrong.from, wrong.to), wrong.message);
            return Err(r.report(problem.label("here").help(wrong.help)));
        }
    };
    let incomplete = match tcp.ports {
        None if !r.has_flow => Some("no segment before this one named its ports"),
        Some((None, _) | (_, None)) if purpose == Purpose::Inject => {
            Some("an injected segment needs its ports")
        }
        _ => None,
    };
    r.has_flow = true;
    if let Some(what) = incomplete {
        let problem = Problem::at(&node.span, what).label("between which ports?");
        return Err(r.report(problem.help("write them once: `40000 > 8080 S 0:0(0)`; `*` expects any port")));
    }
    spec.tcp = Some(Box::new(tcp));
    Ok(())
}

fn quotes(r: &mut Reader, key: &Node, value: &Node, purpose: Purpose, spec: &mut FrameSpec) -> Read<()> {
    if purpose != Purpose::Inject {
        let problem = Problem::at(&key.span, "`quotes` is for `inject` alone")
            .help("it says which frame of the system under test an injected ICMP error quotes");
        return Err(r.report(problem));
    }
    spec.quotes = Some(r.word(value)?.to_owned());
    Ok(())
}

/// A value of a field, by the field's kind.
pub fn field_value(r: &mut Reader, field: &'static Field, node: &Node) -> Read<Value> {
    match field.kind {
        FieldKind::Number { bits } => number(r, field, node, bits, &[]),
        FieldKind::Named { bits, names } => number(r, field, node, bits, names),
        FieldKind::Flags { names } => flags(r, field, node, names),
        FieldKind::Mac => Ok(Value::Mac(r.mac(node)?)),
        FieldKind::Ipv4 => Ok(Value::Ipv4(r.address(node)?)),
        FieldKind::Bytes => Ok(Value::Bytes(r.hex(node)?)),
    }
}

fn number(
    r: &mut Reader,
    field: &Field,
    node: &Node,
    bits: u8,
    names: &'static [(&'static str, u64)],
) -> Read<Value> {
    let text = node.text().unwrap_or("");
    if let Some((_, value)) = names.iter().find(|(name, _)| *name == text) {
        return Ok(Value::Number(*value));
    }
    if whole(text).is_none() && !names.is_empty() && node.text().is_some() {
        let problem =
            Problem::at(&node.span, format!("{} is no value of `{}`", node.describe(), field.name()))
                .label("unknown name")
                .help(choose(text, names.iter().map(|(name, _)| *name)))
                .and_help("or a number");
        return Err(r.report(problem));
    }
    let most = (1_i64 << bits.min(62)) - 1;
    let value = r.number(node, i64::MIN, i64::MAX)?;
    if !(0..=most).contains(&value) {
        let problem = Problem::at(&node.span, format!("{value} is not a value of `{}`", field.name()))
            .label(format!("it has {bits} bits"))
            .help(format!("a number from 0 to {most}"));
        return Err(r.report(problem));
    }
    Ok(Value::Number(value.unsigned_abs()))
}

fn flags(r: &mut Reader, field: &Field, node: &Node, names: &'static [(&'static str, u64)]) -> Read<Value> {
    let items = r.list(node, &format!("write `[{}]`, or `[]` for none", names[0].0))?;
    let mut value = 0;
    for item in items {
        let text = item.text().unwrap_or("");
        let Some((_, bit)) = names.iter().find(|(name, _)| *name == text) else {
            let problem =
                Problem::at(&item.span, format!("{} is no flag of `{}`", item.describe(), field.name()))
                    .label("unknown flag")
                    .help(choose(text, names.iter().map(|(name, _)| *name)));
            return Err(r.report(problem));
        };
        if value & bit != 0 {
            return Err(r.report(
                Problem::at(&item.span, format!("`{text}` stands twice"))
                    .label("again")
                    .help("name each flag once"),
            ));
        }
        value |= bit;
    }
    Ok(Value::Number(value))
}

/// Finds what cannot be one frame.
fn contradictions(r: &mut Reader, fields: &Fields<'_>, spec: &FrameSpec, purpose: Purpose) -> Read<()> {
    together(r, fields, spec)?;
    let upper = spec.layers.iter().rev().find(|layer| matches!(layer, Layer::Icmp | Layer::Udp | Layer::Tcp));
    let (wanted_type, under) = match (spec.has(Layer::Arp), upper) {
        (true, _) => (Some(0x0806), Layer::Arp),
        (false, Some(layer)) => (Some(0x0800), *layer),
        (false, None) if spec.has(Layer::Ipv4) => (Some(0x0800), Layer::Ipv4),
        (false, None) => (None, Layer::Eth),
    };
    if spec.has(Layer::Vlan) {
        says(r, fields, spec, "eth.type", Some(0x8100), Layer::Vlan)?;
        says(r, fields, spec, "vlan.type", wanted_type, under)?;
    } else {
        says(r, fields, spec, "eth.type", wanted_type, under)?;
    }
    let protocol = match upper {
        Some(Layer::Icmp) => Some(1),
        Some(Layer::Tcp) => Some(6),
        Some(Layer::Udp) => Some(17),
        _ => None,
    };
    says(r, fields, spec, "ipv4.protocol", protocol, *upper.unwrap_or(&Layer::Ipv4))?;
    icmp_parts(r, fields, spec)?;
    segment_payload(r, fields, spec)?;
    for given in &spec.fields {
        if let Some((message, help)) = impossible(given, spec, purpose) {
            let span = &place(fields, given).span;
            return Err(r.report(Problem::at(span, message).label("cannot be").help(help)));
        }
    }
    Ok(())
}

fn value_of<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Kind::Map(entries) = &node.kind else { return None };
    entries.iter().find(|(k, _)| k.text() == Some(key)).map(|(_, value)| value)
}

/// Layers that exclude each other.
fn together(r: &mut Reader, fields: &Fields<'_>, spec: &FrameSpec) -> Read<()> {
    let ip = [Layer::Ipv4, Layer::Icmp, Layer::Udp, Layer::Tcp];
    let upper = [Layer::Icmp, Layer::Udp, Layer::Tcp];
    let mut pair = None;
    if spec.has(Layer::Arp) {
        pair = ip.iter().find(|layer| spec.has(**layer)).map(|layer| ("arp", layer.name()));
        if spec.payload.is_some() {
            pair = pair.or(Some(("arp", "payload")));
        }
    }
    let mut found = upper.iter().filter(|layer| spec.has(**layer));
    if let (Some(one), Some(two)) = (found.next(), found.next()) {
        pair = pair.or(Some((one.name(), two.name())));
    }
    let Some((one, two)) = pair else { return Ok(()) };
    let place = fields.key(two).unwrap_or(fields.node);
    let problem = Problem::at(&place.span, format!("a frame cannot have both `{one}` and `{two}`"))
        .label(format!("`{one}` stands here too"))
        .help("keep one of them; several frames are several steps");
    Err(r.report(problem))
}

/// A field that says which header follows must agree with the headers that are named.
fn says(
    r: &mut Reader,
    fields: &Fields<'_>,
    spec: &FrameSpec,
    name: &str,
    wanted: Option<u64>,
    layer: Layer,
) -> Read<()> {
    let Some(given) = spec.fields.iter().find(|given| given.field.name() == name) else { return Ok(()) };
    let (Value::Number(number), Some(wanted)) = (&given.value, wanted) else { return Ok(()) };
    if *number == wanted {
        return Ok(());
    }
    let shown = given.field.show(&given.value);
    let problem =
        Problem::at(&place(fields, given).span, format!("`{name}: {shown}` contradicts `{}:`", layer.name()))
            .label(format!("with `{}:` it is {}", layer.name(), given.field.show(&Value::Number(wanted))))
            .help("leave it out: the header that is named implies it");
    Err(r.report(problem))
}

/// A payload has the length that the notation says.
fn segment_payload(r: &mut Reader, fields: &Fields<'_>, spec: &FrameSpec) -> Read<()> {
    let (Some(tcp), Some(payload)) = (&spec.tcp, &spec.payload) else { return Ok(()) };
    let (said, given) = (tcp.length as usize, payload.0.len());
    if said == given {
        return Ok(());
    }
    let node = fields.get("payload").unwrap_or(fields.node);
    let problem = Problem::at(&node.span, format!("a payload of {given} bytes, but the segment has {said}"));
    Err(r.report(problem.label("not as long").help("make the two the same, or leave `payload:` out")))
}

/// Where the value of a field stands.
fn place<'n>(fields: &Fields<'n>, given: &FieldSpec) -> &'n Node {
    let header = fields.get(given.field.layer.name());
    header.and_then(|node| value_of(node, given.field.key)).unwrap_or(fields.node)
}

/// Fields of ICMP that belong to different types.
fn icmp_parts(r: &mut Reader, fields: &Fields<'_>, spec: &FrameSpec) -> Read<()> {
    let Some(Value::Number(kind)) = spec.get("icmp.type") else { return Ok(()) };
    let echo = matches!(kind, 0 | 8);
    let wrong = spec.fields.iter().find(|given| match given.field.name().as_str() {
        "icmp.id" | "icmp.seq" => matches!(kind, 3 | 5 | 11 | 12),
        "icmp.mtu" => *kind != 3,
        _ => false,
    });
    if let Some(given) = wrong {
        let problem = Problem::at(
            &place(fields, given).span,
            format!("an ICMP message of this type has no `{}`", given.field.key),
        )
        .label("not in this type")
        .help("`id` and `seq` are those of an echo, `mtu` that of `dest_unreachable`");
        return Err(r.report(problem));
    }
    if echo && spec.quotes.is_some() {
        let key = fields.get("icmp").unwrap_or(fields.node);
        let problem = Problem::at(&key.span, "an echo quotes no packet")
            .help("an ICMP error does: `dest_unreachable`, `time_exceeded`, …");
        return Err(r.report(problem));
    }
    Ok(())
}

/// Values that no frame can have, with what would be right.
fn impossible(given: &FieldSpec, spec: &FrameSpec, purpose: Purpose) -> Option<(String, String)> {
    let number = if let Value::Number(n) = given.value { n } else { 0 };
    let payload = spec.payload.as_ref().map(|Payload(bytes)| bytes.len() as u64);
    match (given.field.name().as_str(), &given.value) {
        ("ipv4.frag_offset", _) if number % 8 != 0 => Some((
            format!("the fragment offset {number} is not a multiple of 8"),
            format!("it is in bytes; {} or {}", number / 8 * 8, number / 8 * 8 + 8),
        )),
        ("ipv4.frag_offset", _) if number > 65_528 => {
            Some((format!("the fragment offset {number} does not fit"), "at most 65528 bytes".into()))
        }
        ("ipv4.options", Value::Bytes(bytes)) if bytes.len() % 4 != 0 || bytes.len() > 40 => Some((
            format!("{} bytes of options", bytes.len()),
            "a multiple of 4 bytes, at most 40; pad with 00".into(),
        )),
        ("ipv4.length", _) if purpose == Purpose::Expect && number < 20 => {
            Some((format!("an IPv4 packet of {number} bytes"), "its header alone has 20".into()))
        }
        ("udp.length", _)
            if purpose == Purpose::Expect && payload.is_some_and(|bytes| bytes + 8 != number) =>
        {
            Some((
                format!("`udp.length` is {number}, but the payload makes it {}", payload.unwrap_or(0) + 8),
                "leave it out: lengths are always verified".into(),
            ))
        }
        _ => None,
    }
}
