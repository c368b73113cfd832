//! The field that an entry of `differs:` is about: of a frame, of what a call gave, or a counter or state at the end.

use super::model::PORTS;
use super::problem::{Problem, choose};
use super::reader::{Fields, Read, Reader};
use super::yaml::Node;
use crate::frame::{FIELDS, Field};

/// What differs in a step besides the fields of frames: of a frame what it carries, when it came, whether it came at all; of a
/// call what it gave and how long it took; of a command whether it failed.
pub const OF_A_STEP: &[&str] =
    &["payload", "time", "frame", "value", "error", "address", "events", "ready", "option", "took", "status"];

/// Where counters and states are read; a key of that source follows after a dot.
pub const SOURCES: &[&str] =
    &["netdev", "snmp", "qdisc", "neigh", "ethtool", "softirqs", "interrupts", "nft", "skb"];

/// `field:` of an entry.
pub(super) fn differing(r: &mut Reader, node: &Node, entry: &Fields<'_>) -> Read<String> {
    let text = r.word(node)?.to_owned();
    if OF_A_STEP.contains(&text.as_str()) {
        if entry.get("step").is_some() {
            return Ok(text);
        }
        let problem = Problem::at(&node.span, format!("`{text}` of which step?"))
            .help("give the step a name with `as:`, and name it here: `step: NAME`");
        return Err(r.report(problem));
    }
    let of_a_source =
        text.split_once('.').is_some_and(|(source, key)| SOURCES.contains(&source) && !key.is_empty());
    let names: Vec<String> = FIELDS.iter().map(Field::name).collect();
    if of_a_source || names.contains(&text) {
        return Ok(text);
    }
    let known = names.iter().map(String::as_str).chain(OF_A_STEP.iter().copied());
    let problem = Problem::at(&node.span, format!("there is no field `{text}`"))
        .label("unknown field")
        .help(choose(&text, known))
        .and_help(
            "a field is named with its header or its source: `udp.dst_port`, `snmp.Udp.InErrors`, `neigh.192.0.2.2/state`",
        );
    Err(r.report(problem))
}

/// `qemu <= 10.0.2`, `virtual`
pub(super) fn condition(r: &mut Reader, node: &Node) -> Read<String> {
    let text = r.text(node)?;
    let words: Vec<_> = text.split_whitespace().collect();
    let signs = ["<", "<=", "=", "==", "!=", ">=", ">"];
    match words[..] {
        [_, sign, version] if signs.contains(&sign) && version.starts_with(|c: char| c.is_ascii_digit()) => {
            Ok(text.to_owned())
        }
        [port] if PORTS.contains(&port) => Ok(text.to_owned()),
        _ => r.wrong(
            node,
            "a condition",
            "such as `qemu <= 10.0.2` or `linux >= 6.18`, or one of `tap`, `veth`, `virtual`, `igb`",
        ),
    }
}

/// `10.0.2`
pub(super) fn version(r: &mut Reader, node: &Node) -> Read<String> {
    let text = node.text().unwrap_or_default();
    let is_version = text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if is_version {
        return Ok(text.to_owned());
    }
    r.wrong(
        node,
        "the version of QEMU that it was seen on",
        "such as `10.0.2`: the entry holds for every version, and is stale on one that does not deviate",
    )
}
