//! Counters and states of the kernel, read inside the namespace.

use super::command;
use super::tap::DEVICE;
use crate::case::model::{RouteQuery, Source};
use crate::rig::{Reading, Readings, RigError};
use serde_json::Value;

/// Why this rig cannot read a source; `None`: it can.
#[must_use]
pub fn unavailable(source: &Source) -> Option<&'static str> {
    match source {
        Source::Ethtool => Some("neither a TAP nor a veth has the counters of a card"),
        Source::Softirqs => Some("/proc/softirqs counts for the whole machine"),
        Source::Interrupts => Some("/proc/interrupts counts for the whole machine, and a TAP has none"),
        Source::Skb => Some("Linux does not count packet buffers"),
        Source::Journey(_) => Some("only our own stack keeps a journey"),
        Source::Netdev
        | Source::Snmp
        | Source::Qdisc
        | Source::Nft
        | Source::TcpInfo(_)
        | Source::Neigh
        | Source::Route(_) => None,
    }
}

/// The program that a source is read with, if any.
#[must_use]
pub fn program(source: &Source) -> Option<&'static str> {
    match source {
        Source::Neigh | Source::Route(_) => Some("ip"),
        Source::Qdisc => Some("tc"),
        Source::Nft => Some("nft"),
        _ => None,
    }
}

/// Reads a source in the namespace of the calling thread. `TCP_INFO` is not here: see `tcp_info.rs`.
///
/// # Errors
/// [`RigError::Missing`] for a source that this rig does not have, or a program that is not there.
pub fn read(source: &Source) -> Result<Readings, RigError> {
    if let Some(why) = unavailable(source) {
        return Err(RigError::Missing(why.to_owned()));
    }
    match source {
        Source::Netdev => netdev(),
        Source::Snmp => {
            let mut all = snmp(&file("/proc/thread-self/net/snmp")?);
            all.extend(snmp(&file("/proc/thread-self/net/netstat")?));
            Ok(all)
        }
        Source::Neigh => Ok(neigh(&json(&["ip", "-j", "neigh", "show", "nud", "all"])?)),
        Source::Route(query) => route(query),
        Source::Qdisc => Ok(qdisc(&json(&["tc", "-s", "-j", "qdisc", "show", "dev", DEVICE])?)),
        Source::Nft => Ok(nft(&json(&["nft", "-j", "list", "ruleset"])?)),
        other => Err(RigError::Missing(format!("no such source: {other:?}"))),
    }
}

/// The statistics of eth0, by the names of `struct rtnl_link_stats64`; those of a device above it as `eth0.100/rx_packets`.
fn netdev() -> Result<Readings, RigError> {
    let mut readings = statistics(DEVICE)?;
    let devices = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    for name in devices.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        if name.starts_with(DEVICE) && name != DEVICE || name.starts_with("vlan") {
            let of_it = statistics(&name)?.into_iter();
            readings.extend(of_it.map(|(key, value)| (format!("{name}/{key}"), value)));
        }
    }
    Ok(readings)
}

fn statistics(device: &str) -> Result<Readings, RigError> {
    let folder = format!("/sys/class/net/{device}/statistics");
    let broken = |e: std::io::Error| RigError::Broken(format!("{folder}: {e}"));
    let mut readings = Readings::new();
    for entry in std::fs::read_dir(&folder).map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let text = std::fs::read_to_string(entry.path()).map_err(broken)?;
        if let Ok(number) = text.trim().parse() {
            readings.insert(entry.file_name().to_string_lossy().into_owned(), Reading::Number(number));
        }
    }
    Ok(readings)
}

fn file(path: &str) -> Result<String, RigError> {
    std::fs::read_to_string(path).map_err(|e| RigError::Broken(format!("{path}: {e}")))
}

/// Pairs of lines, `Udp: InDatagrams …` and `Udp: 1 …`.
fn snmp(text: &str) -> Readings {
    let mut readings = Readings::new();
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let mut names = names.split_whitespace();
        let Some(group) = names.next() else { continue };
        for (name, value) in names.zip(values.split_whitespace().skip(1)) {
            if let Ok(number) = value.parse() {
                readings.insert(format!("{}.{name}", group.trim_end_matches(':')), Reading::Number(number));
            }
        }
    }
    readings
}

/// Runs a program that prints JSON.
fn json(words: &[&str]) -> Result<Value, RigError> {
    let result = command::run(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())?;
    let broken = |why: String| RigError::Broken(format!("`{}`: {why}", words.join(" ")));
    match result.output.trim() {
        _ if result.status != 0 => Err(broken(result.output)),
        "" => Ok(Value::Array(Vec::new())),
        text => serde_json::from_str(text).map_err(|e| broken(e.to_string())),
    }
}

/// The items of an array; of anything else none.
fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// `192.0.2.2/state` and `192.0.2.2/lladdr` out of `ip -j neigh`, of all devices but the loopback: `eth0` and the VLANs above it.
fn neigh(list: &Value) -> Readings {
    let mut readings = Readings::new();
    for entry in items(list).filter(|entry| entry["dev"] != "lo") {
        let Some(address) = entry["dst"].as_str() else { continue };
        let states: Vec<_> = items(&entry["state"]).filter_map(Value::as_str).collect();
        let state = if states.is_empty() { "NONE".to_owned() } else { states.join(",") };
        readings.insert(format!("{address}/state"), Reading::Text(state));
        if let Some(mac) = entry["lladdr"].as_str() {
            readings.insert(format!("{address}/lladdr"), Reading::Text(mac.to_owned()));
        }
    }
    readings
}

/// `via`, `dev` and `src` of `ip -j route get`; or `error`, the name of the error.
fn route(query: &RouteQuery) -> Result<Readings, RigError> {
    let mut words = ["ip", "-j", "route", "get"].map(str::to_owned).to_vec();
    words.push(query.to.to_string());
    let asked = [
        ("from", query.from.map(|from| from.to_string())),
        ("tos", query.tos.map(|tos| format!("{tos:#x}"))),
        ("mark", query.mark.map(|mark| mark.to_string())),
    ];
    for (name, value) in asked {
        words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
    }
    let result = command::run(&words)?;
    if result.status != 0 {
        let error = route_error(&result.output);
        return Ok(Readings::from([("error".to_owned(), Reading::Text(error))]));
    }
    let answer: Value = serde_json::from_str(&result.output)
        .map_err(|e| RigError::Broken(format!("`{}`: {e}", words.join(" "))))?;
    let keys = [("via", "gateway"), ("dev", "dev"), ("src", "prefsrc")];
    let found = keys.iter().filter_map(|(key, name)| {
        Some(((*key).to_owned(), Reading::Text(answer[0][name].as_str()?.to_owned())))
    });
    Ok(found.collect())
}

/// The name of the error that `ip` printed as `RTNETLINK answers: …`; what it is not known by, as it stands.
fn route_error(output: &str) -> String {
    let text = output.split("answers: ").nth(1).unwrap_or(output).lines().next().unwrap_or_default().trim();
    match text {
        "No route to host" => "EHOSTUNREACH",
        "Network is unreachable" => "ENETUNREACH",
        "Permission denied" => "EACCES",
        "Invalid argument" => "EINVAL",
        "Resource temporarily unavailable" => "EAGAIN",
        other => other,
    }
    .to_owned()
}

/// `root/packets` and `1:/packets` and the like, out of `tc -s -j qdisc show`.
fn qdisc(list: &Value) -> Readings {
    const NUMBERS: [&str; 7] = ["packets", "bytes", "drops", "overlimits", "requeues", "backlog", "qlen"];
    let mut readings = Readings::new();
    for entry in items(list) {
        let handle = entry["handle"].as_str().unwrap_or_default();
        let root = entry["root"].as_bool().unwrap_or(false).then_some("root");
        for place in root.into_iter().chain((!handle.is_empty()).then_some(handle)) {
            if let Some(kind) = entry["kind"].as_str() {
                readings.insert(format!("{place}/kind"), Reading::Text(kind.to_owned()));
            }
            for name in NUMBERS {
                if let Some(number) = entry[name].as_i64() {
                    readings.insert(format!("{place}/{name}"), Reading::Number(number));
                }
            }
        }
    }
    readings
}

/// `filter/output/0/packets` and the like: the counter of each rule by its place in its chain, out of `nft -j list ruleset`.
fn nft(ruleset: &Value) -> Readings {
    let mut readings = Readings::new();
    let mut places = std::collections::BTreeMap::<String, usize>::new();
    for rule in items(&ruleset["nftables"]).map(|item| &item["rule"]).filter(|rule| rule.is_object()) {
        let (Some(table), Some(chain)) = (rule["table"].as_str(), rule["chain"].as_str()) else { continue };
        let chain = format!("{table}/{chain}");
        let place = places.entry(chain.clone()).or_default();
        for counter in items(&rule["expr"]).map(|expression| &expression["counter"]) {
            for name in ["packets", "bytes"] {
                if let Some(number) = counter[name].as_i64() {
                    readings.insert(format!("{chain}/{place}/{name}"), Reading::Number(number));
                }
            }
        }
        *place += 1;
    }
    readings
}

#[cfg(test)]
mod tests;
