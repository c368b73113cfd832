//! `journey.json`: the journeys of a trial, for people (Chrome's trace event format, which Perfetto and `about:tracing`
//! open) and for `wireproof show` (the `packets` and `alone` beside it), in one object.

use super::replace;
use crate::case::model::Nanos;
use crate::rig::journey::{Flow, Journey, Moment, Packet, What};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddrV4;
use std::path::Path;

/// Writes the journeys to a file, which is made anew. The same journeys give the same bytes.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, trial: &str, rig: &str, journey: &Journey) -> io::Result<()> {
    replace(path, text(trial, rig, journey).as_bytes())
}

/// The text of the file: an event, a packet or a moment per line.
#[must_use]
pub fn text(trial: &str, rig: &str, journey: &Journey) -> String {
    let packets = journey.packets.iter().map(|p| json!(StoredPacket::of(p)));
    let alone = journey.alone.iter().map(|m| json!(StoredMoment::of(m)));
    format!(
        "{{\"displayTimeUnit\":\"ns\",\"otherData\":{},\n\"traceEvents\":{},\n\"packets\":{},\n\"alone\":{}}}\n",
        json!({"trial": trial, "rig": rig}),
        lines(events(trial, rig, journey)),
        lines(packets),
        lines(alone)
    )
}

/// Reads back the `packets` and `alone` of a `journey.json`.
///
/// # Errors
/// When there is no such file, or it is not one of ours.
pub fn read(path: &Path) -> io::Result<Journey> {
    let stored: Stored = serde_json::from_slice(&std::fs::read(path)?)?;
    let mut names = Names::default();
    let packets = stored.packets.iter().map(|p| p.restore(&mut names)).collect::<Result<_, _>>()?;
    let alone = stored.alone.iter().map(|m| m.restore(&mut names)).collect::<Result<_, _>>()?;
    Ok(Journey { packets, alone })
}

fn lines(values: impl IntoIterator<Item = Value>) -> String {
    let values: Vec<_> = values.into_iter().map(|v| v.to_string()).collect();
    format!("[{}]", values.join(",\n"))
}

/// One process is the trial; each context of each CPU is a thread of it, and each packet an asynchronous event with its
/// stays in queues and rings nested in it.
fn events(trial: &str, rig: &str, journey: &Journey) -> Vec<Value> {
    let moments = journey.packets.iter().flat_map(|p| &p.moments).chain(&journey.alone);
    let threads: Vec<(u8, &str)> =
        moments.map(|m| (m.cpu, m.context)).collect::<BTreeSet<_>>().into_iter().collect();
    let tid = |m: &Moment| threads.iter().position(|t| *t == (m.cpu, m.context)).map_or(0, |i| i + 1);
    let mut events = vec![
        json!({"ph": "M", "pid": 1, "name": "process_name", "args": {"name": format!("{rig}: {trial}")}}),
    ];
    for (index, (cpu, context)) in threads.iter().enumerate() {
        let name = format!("CPU {cpu} {context}");
        events.push(
            json!({"ph": "M", "pid": 1, "tid": index + 1, "name": "thread_name", "args": {"name": name}}),
        );
    }
    for packet in &journey.packets {
        packet_events(packet, &tid, &mut events);
    }
    for moment in &journey.alone {
        let (name, ts) = (label(&moment.what), micros(moment.at));
        events.push(json!({"ph": "i", "s": "t", "pid": 1, "tid": tid(moment), "ts": ts, "name": name, "cat": "alone"}));
    }
    events
}

fn packet_events(packet: &Packet, tid: &impl Fn(&Moment) -> usize, events: &mut Vec<Value>) {
    let (Some(first), Some(last)) = (packet.moments.first(), packet.moments.last()) else { return };
    let id = packet.id;
    let mut span = |ph: &str, name: &str, moment: &Moment, args: Value| {
        let (ts, tid) = (micros(moment.at), tid(moment));
        events.push(json!({"ph": ph, "cat": "packet", "id": id, "pid": 1, "tid": tid, "ts": ts, "name": name, "args": args}));
    };
    let name = format!("packet {id}");
    let args = json!({"parent": packet.parent, "bytes": packet.total, "head": hex(&packet.head)});
    span("b", &name, first, args);
    let mut open: Vec<&str> = Vec::new();
    for moment in &packet.moments {
        match moment.what {
            What::Queued(queue) => {
                span("b", queue, moment, json!({}));
                open.push(queue);
            }
            What::Posted { queue, last_descriptor } => {
                span("b", "ring", moment, json!({"queue": queue, "last_descriptor": last_descriptor}));
                open.push("ring");
            }
            _ => {}
        }
        let left = match moment.what {
            What::Dequeued(queue) => Some(queue),
            What::Wire(_) => Some("ring"),
            _ => None,
        };
        if let Some(index) = left.and_then(|queue| open.iter().rposition(|o| *o == queue)) {
            span("e", open.remove(index), moment, json!({}));
        }
        if !matches!(moment.what, What::Queued(_) | What::Dequeued(_)) {
            span("n", &label(&moment.what), moment, json!({}));
        }
    }
    while let Some(queue) = open.pop() {
        span("e", queue, last, json!({}));
    }
    span("e", &name, last, json!({}));
    for moment in &packet.moments {
        let (name, ts) = (label(&moment.what), micros(moment.at));
        let args = json!({"packet": id});
        events.push(json!({"ph": "i", "s": "t", "pid": 1, "tid": tid(moment), "ts": ts, "name": name, "cat": "step", "args": args}));
    }
}

/// What happened, in a few words.
#[must_use]
pub fn label(what: &What) -> String {
    match what {
        What::Function(name) => (*name).to_owned(),
        What::Queued(queue) => format!("into {queue}"),
        What::Dequeued(queue) => format!("out of {queue}"),
        What::Posted { queue, last_descriptor } => format!("ring {queue}, descriptor {last_descriptor}"),
        What::Wire(frame) => format!("wire, frame {frame}"),
        What::Consumed => "consumed".to_owned(),
        What::Dropped(reason) => format!("dropped: {reason}"),
        What::Refused(error) => format!("refused: {error}"),
    }
}

/// Microseconds, which the format counts in, to the nanosecond up to 2^53 ns (104 days).
fn micros(at: Nanos) -> Value {
    if at.is_multiple_of(1000) {
        return json!(at / 1000);
    }
    #[expect(clippy::cast_precision_loss, reason = "exact to 104 days; a trial lasts seconds")]
    let micros = at as f64 / 1000.0;
    json!(micros)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|d| d.len().is_multiple_of(2))?;
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok()).collect()
}

#[derive(Deserialize)]
struct Stored {
    packets: Vec<StoredPacket>,
    alone: Vec<StoredMoment>,
}

#[derive(Serialize, Deserialize)]
struct StoredPacket {
    id: u32,
    parent: Option<u32>,
    /// In hexadecimal.
    head: String,
    total: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flow: Option<StoredFlow>,
    moments: Vec<StoredMoment>,
}

#[derive(Serialize, Deserialize)]
struct StoredFlow {
    to: SocketAddrV4,
    /// The port.
    from: u16,
    protocol: u8,
}

#[derive(Serialize, Deserialize)]
struct StoredMoment {
    at: Nanos,
    cpu: u8,
    context: String,
    #[serde(flatten)]
    what: StoredWhat,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredWhat {
    Function(String),
    Queued(String),
    Dequeued(String),
    Posted { queue: u16, last_descriptor: u16 },
    Wire(u32),
    Consumed(bool),
    Dropped(String),
    Refused(String),
}

impl StoredPacket {
    fn of(packet: &Packet) -> Self {
        Self {
            id: packet.id,
            parent: packet.parent,
            head: hex(&packet.head),
            total: packet.total,
            flow: packet.flow.map(|f| StoredFlow {
                to: SocketAddrV4::new(f.daddr, f.dport),
                from: f.sport,
                protocol: f.protocol,
            }),
            moments: packet.moments.iter().map(StoredMoment::of).collect(),
        }
    }

    fn restore(&self, names: &mut Names) -> io::Result<Packet> {
        let head = unhex(&self.head).ok_or_else(|| io::Error::other("a packet's head is not hexadecimal"))?;
        let moments = self.moments.iter().map(|m| m.restore(names)).collect::<Result<_, _>>()?;
        let flow = self.flow.as_ref();
        let flow =
            flow.map(|f| Flow { daddr: *f.to.ip(), dport: f.to.port(), sport: f.from, protocol: f.protocol });
        Ok(Packet { id: self.id, parent: self.parent, head, total: self.total, flow, moments })
    }
}

impl StoredMoment {
    fn of(moment: &Moment) -> Self {
        let what = match moment.what {
            What::Function(name) => StoredWhat::Function(name.to_owned()),
            What::Queued(queue) => StoredWhat::Queued(queue.to_owned()),
            What::Dequeued(queue) => StoredWhat::Dequeued(queue.to_owned()),
            What::Posted { queue, last_descriptor } => StoredWhat::Posted { queue, last_descriptor },
            What::Wire(frame) => StoredWhat::Wire(frame),
            What::Consumed => StoredWhat::Consumed(true),
            What::Dropped(reason) => StoredWhat::Dropped(reason.to_owned()),
            What::Refused(ref error) => StoredWhat::Refused(error.clone()),
        };
        Self { at: moment.at, cpu: moment.cpu, context: moment.context.to_owned(), what }
    }

    fn restore(&self, names: &mut Names) -> io::Result<Moment> {
        let what = match &self.what {
            StoredWhat::Function(name) => What::Function(names.keep(name)?),
            StoredWhat::Queued(queue) => What::Queued(names.keep(queue)?),
            StoredWhat::Dequeued(queue) => What::Dequeued(names.keep(queue)?),
            StoredWhat::Posted { queue, last_descriptor } => {
                What::Posted { queue: *queue, last_descriptor: *last_descriptor }
            }
            StoredWhat::Wire(frame) => What::Wire(*frame),
            StoredWhat::Consumed(_) => What::Consumed,
            StoredWhat::Dropped(reason) => What::Dropped(names.keep(reason)?),
            StoredWhat::Refused(error) => What::Refused(error.clone()),
        };
        Ok(Moment { at: self.at, cpu: self.cpu, context: names.keep(&self.context)?, what })
    }
}

/// The names of a file, each kept once and for good: a journey names functions by `&'static str`.
#[derive(Default)]
struct Names(BTreeSet<&'static str>);

impl Names {
    /// More different names than any stack has functions: the file is not one of ours.
    const LIMIT: usize = 4096;

    fn keep(&mut self, name: &str) -> io::Result<&'static str> {
        if let Some(kept) = self.0.get(name) {
            return Ok(kept);
        }
        if self.0.len() >= Self::LIMIT || name.len() > 256 {
            return Err(io::Error::other("more names, or longer ones, than a journey has"));
        }
        let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
        self.0.insert(kept);
        Ok(kept)
    }
}

#[cfg(test)]
pub(crate) mod tests;
