//! The frames of the system under test on both rigs: aligned, and compared field by field and in time.

use super::align::{Pair, align};
use super::freedom::Freedom;
use super::results::{Clocks, bytes};
use super::{Difference, Side};
use crate::case::model::{Action, Expect, Location, Nanos, Step, Tolerance, Trial};
use crate::frame::decode::Ipv4View;
use crate::frame::summary::summary;
use crate::frame::{Decoded, Field, FrameSpec, Layer, Value, decode};
use crate::run::outcome::{self, nanos, show_time};
use crate::run::record::{Explained, From, WireFrame};

/// A frame that is compared.
struct Seen<'r> {
    frame: &'r WireFrame,
    decoded: Decoded<'r>,
    /// What it is, without what is free.
    key: String,
    /// The step that matched it.
    step: Option<usize>,
}

/// The differences between the frames that a system under test sent on both rigs. What the automatic peer answered is left
/// out, and so is an acknowledgement without data that no step names.
pub fn compare(trial: &Trial, a: &Side, b: &Side, freedom: &mut Freedom) -> Vec<Difference> {
    let (x, y) = (seen(trial, a, freedom), seen(trial, b, freedom));
    let cost = |i: usize, j: usize| cost(&x[i], &y[j]);
    let pairs = align(x.len(), y.len(), cost);
    let both = Both { trial, sides: (a, b), clocks: Clocks::of(a, b) };
    let (mut found, mut last) = (Vec::new(), None);
    for pair in pairs {
        match pair {
            Pair::Both(i, j) => {
                let fields = both.fields((&x[i], &y[j]), freedom);
                found.extend(fields.into_iter().map(|f| both.difference(i, &x[i], f)));
                found.extend(both.time((&x[i], &y[j]), last).map(|f| both.difference(i, &x[i], f)));
                last = Some((x[i].frame.at, y[j].frame.at));
            }
            Pair::OnlyA(i) => found.push(both.difference(i, &x[i], alone(&x[i], true))),
            Pair::OnlyB(j) => found.push(both.difference(j, &y[j], alone(&y[j], false))),
        }
    }
    found
}

/// The frames of the system under test, in the order of the wire, and where a step leaves their order open in one of its own.
fn seen<'r>(trial: &Trial, side: &'r Side, freedom: &Freedom) -> Vec<Seen<'r>> {
    let mut all: Vec<Seen<'r>> = side
        .record
        .frames()
        .iter()
        .filter(|frame| frame.from == From::Sut && frame.explained != Explained::Automatic)
        .map(|frame| {
            let decoded = decode(&frame.bytes);
            let key = key(&decoded, freedom);
            let step = if let Explained::Step(i) = frame.explained { Some(i) } else { None };
            Seen { frame, decoded, key, step }
        })
        .filter(|seen| seen.step.is_some() || !is_pure_ack(&seen.decoded))
        .collect();
    for (index, step) in trial.steps.iter().enumerate() {
        if !matches!(step.action, Action::AnyOrder(_)) {
            continue;
        }
        let places: Vec<usize> = (0..all.len()).filter(|i| all[*i].step == Some(index)).collect();
        let (Some(first), Some(last)) = (places.first(), places.last()) else { continue };
        if last - first + 1 == places.len() {
            all[*first..=*last].sort_by(|a, b| a.key.cmp(&b.key));
        }
    }
    all
}

fn is_pure_ack(d: &Decoded<'_>) -> bool {
    d.number(Layer::Tcp, "flags") == Some(16) && d.payload.is_empty()
}

/// What a frame is, without what is free.
fn key(d: &Decoded<'_>, freedom: &Freedom) -> String {
    let mut key = String::new();
    for (field, value) in &d.fields {
        let shown = match (field.layer, field.key, value) {
            (_, "src_port" | "dst_port", Value::Number(port)) if freedom.is_ephemeral(*port) => {
                "*".to_owned()
            }
            (Layer::Ipv4, "id", _) | (_, "checksum", _) | (Layer::Tcp, "seq" | "options", _) => continue,
            _ => value.to_string(),
        };
        key += &format!("{} {shown} ", field.name());
    }
    key + &bytes(Some(d.payload))
}

/// What it costs to pair two frames: nothing when they are the same, never when they are of different kinds.
fn cost(a: &Seen<'_>, b: &Seen<'_>) -> Option<u32> {
    if a.key == b.key {
        return Some(0);
    }
    if a.decoded.layers != b.decoded.layers {
        return None;
    }
    let differ = |layer: Layer, keys: &[&str]| {
        keys.iter().filter(|k| a.decoded.number(layer, k) != b.decoded.number(layer, k)).count() as u32
    };
    let address = |d: &Decoded<'_>| d.ipv4.map(|ip| (ip.src, ip.dst));
    let kind = differ(Layer::Arp, &["op"]) + differ(Layer::Icmp, &["type", "code"]);
    let flow = differ(Layer::Udp, &["dst_port"])
        + differ(Layer::Ipv4, &["frag_offset"])
        + u32::from(address(&a.decoded) != address(&b.decoded))
        + u32::from(a.decoded.payload != b.decoded.payload);
    (kind == 0).then_some(1 + flow.min(2))
}

/// The field, both values, and of a time how far it is beyond what is allowed.
type Found = (String, String, String, Option<Nanos>);

fn alone(seen: &Seen<'_>, is_a: bool) -> Found {
    let here = format!("at {}: {}", show_time(seen.frame.at), summary(&seen.decoded));
    let (a, b) = if is_a { (here, "no such frame".to_owned()) } else { ("no such frame".to_owned(), here) };
    ("frame".to_owned(), a, b, None)
}

struct Both<'t> {
    trial: &'t Trial,
    sides: (&'t Side, &'t Side),
    clocks: Clocks,
}

impl Both<'_> {
    fn step(&self, seen: &Seen<'_>) -> Option<&Step> {
        self.trial.steps.get(seen.step?)
    }

    fn difference(&self, index: usize, seen: &Seen<'_>, (field, a, b, beyond): Found) -> Difference {
        let step = self.step(seen);
        let at: Option<Location> = step.map(|step| step.at.clone());
        let what = format!("frame {} ({})", index + 1, summary(&seen.decoded));
        Difference { what, at, step: step.and_then(|s| s.name.clone()), field, a, b, why: None, beyond }
    }

    /// The fields in which two frames differ.
    fn fields(&self, (a, b): (&Seen<'_>, &Seen<'_>), freedom: &mut Freedom) -> Vec<Found> {
        let mut found = Vec::new();
        let is_fragment = |seen: &Seen<'_>| seen.decoded.ipv4.as_ref().is_some_and(Ipv4View::is_fragment);
        let fragments = is_fragment(a) && is_fragment(b);
        let flow = |seen: &Seen<'_>| {
            let port = |key| seen.decoded.number(Layer::Tcp, key).unwrap_or(0);
            (port("src_port"), port("dst_port"))
        };
        let names: Vec<&'static Field> = both_fields(&a.decoded, &b.decoded);
        for field in names {
            let (x, y) = (a.decoded.get(field), b.decoded.get(field));
            let same = match (field.layer, field.key, x, y) {
                (Layer::Ipv4, "id", Some(Value::Number(x)), Some(Value::Number(y))) => {
                    self.same_id((a, b), fragments, (*x, *y), freedom)
                }
                (Layer::Udp, "checksum", Some(Value::Number(x)), Some(Value::Number(y))) => {
                    (*x == 0) == (*y == 0)
                }
                // Whether it is right was looked at by the decoder.
                (_, "checksum", Some(_), Some(_)) => true,
                (_, "src_port" | "dst_port", Some(Value::Number(x)), Some(Value::Number(y))) => {
                    freedom.same_port(*x, *y)
                }
                (Layer::Tcp, "seq", Some(Value::Number(x)), Some(Value::Number(y))) => {
                    freedom.same_sequence(flow(a), *x, *y)
                }
                (Layer::Tcp, "flags", Some(Value::Number(x)), Some(Value::Number(y)))
                    if self.is_of_segments(a) && self.is_of_segments(b) =>
                {
                    freedom.same_flags_of_segments(*x, *y)
                }
                (Layer::Tcp, "options", Some(Value::Bytes(x)), Some(Value::Bytes(y))) => {
                    without_timestamps(x) == without_timestamps(y)
                }
                (_, _, x, y) => x == y,
            };
            if !same {
                let show = |v: Option<&Value>| v.map_or_else(|| "absent".to_owned(), |v| field.show(v));
                found.push((field.name(), show(x), show(y), None));
            }
        }
        if a.decoded.payload != b.decoded.payload {
            let show = |seen: &Seen<'_>| bytes(Some(seen.decoded.payload));
            found.push(("payload".to_owned(), show(a), show(b), None));
        }
        found
    }

    /// Whether a `segments` step took the frame: where the large packets ended that it was cut from is left open.
    fn is_of_segments(&self, seen: &Seen<'_>) -> bool {
        self.step(seen).is_some_and(|step| matches!(step.action, Action::Segments(_)))
    }

    /// Ids are free, but fragments of one datagram have one, and where the case speaks of ids, 0 is 0.
    fn same_id(
        &self,
        (a, b): (&Seen<'_>, &Seen<'_>),
        fragments: bool,
        (x, y): (u64, u64),
        freedom: &mut Freedom,
    ) -> bool {
        if fragments {
            return freedom.same_id(x, y);
        }
        let named = [a, b].iter().any(|seen| self.step(seen).is_some_and(speaks_of_ids));
        !named || (x == 0) == (y == 0)
    }

    /// Whether the time since the frame before it, or since what the harness did last, is the same within tolerance.
    fn time(&self, (a, b): (&Seen<'_>, &Seen<'_>), last: Option<(Nanos, Nanos)>) -> Option<Found> {
        let (x, y) = (&self.sides.0.observed.actions, &self.sides.1.observed.actions);
        let done = |actions: &[Nanos], at: Nanos| actions.partition_point(|action| *action <= at);
        // What was done before the frame on both: between them a frame and an action may have changed places.
        let before = done(x, a.frame.at).min(done(y, b.frame.at));
        let action = before.checked_sub(1).and_then(|i| Some((*x.get(i)?, *y.get(i)?)));
        let origin = match (action, last) {
            (Some(action), Some(last)) if action.0 < last.0 || action.1 < last.1 => last,
            (Some(action), _) => action,
            (None, last) => last.unwrap_or((0, 0)),
        };
        let since_a = a.frame.at.saturating_sub(origin.0);
        let since_b = b.frame.at.saturating_sub(origin.1);
        let allowed = self
            .clocks
            .slack(since_a.max(since_b))
            .max(self.step(a).map_or(0, stated))
            .saturating_add(a.frame.late)
            .saturating_add(b.frame.late);
        let apart = since_a.abs_diff(since_b);
        (apart > allowed).then(|| {
            let shown = |since| format!("{} after what was before it", show_time(since));
            ("time".to_owned(), shown(since_a), shown(since_b), Some(apart - allowed))
        })
    }
}

/// The fields of either frame, in the order of the wire.
fn both_fields(a: &Decoded<'_>, b: &Decoded<'_>) -> Vec<&'static Field> {
    let mut fields: Vec<&'static Field> = a.fields.iter().map(|(field, _)| *field).collect();
    fields.extend(b.fields.iter().map(|(field, _)| *field).filter(|field| a.get(field).is_none()));
    fields
}

/// How far apart two times may be that are both as a step says.
fn stated(step: &Step) -> Nanos {
    let tolerance = |expect: &Expect| match expect.after.as_ref().map(|after| (after.tolerance, after.delay))
    {
        None | Some((Tolerance::Default, _)) => 0,
        Some((tolerance, delay)) => 2 * nanos(outcome::slack(tolerance, delay, false)),
    };
    match &step.action {
        Action::Expect(expect) => tolerance(expect),
        Action::AnyOrder(expects) => expects.iter().map(tolerance).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether the pattern of a step gives an id.
fn speaks_of_ids(step: &Step) -> bool {
    let gives = |spec: &FrameSpec| spec.value(Layer::Ipv4, "id").is_some();
    match &step.action {
        Action::Expect(expect) => gives(&expect.pattern),
        Action::AnyOrder(expects) => expects.iter().any(|e| gives(&e.pattern)),
        Action::Fragments(fragments) => gives(&fragments.pattern),
        Action::Order(order) => order.of.layer == Layer::Ipv4 && order.of.key == "id",
        _ => false,
    }
}

/// The options of a TCP header with the values of a timestamp (RFC 7323) blanked.
fn without_timestamps(options: &[u8]) -> Vec<u8> {
    let (mut bytes, mut at) = (options.to_vec(), 0);
    while at < bytes.len() {
        let length = match bytes[at] {
            0 => break,
            1 => 1,
            _ => usize::from(bytes.get(at + 1).copied().unwrap_or(2)).max(2),
        };
        if bytes[at] == 8 {
            let end = (at + length).min(bytes.len());
            bytes[(at + 2).min(end)..end].fill(0);
        }
        at += length;
    }
    bytes
}
