//! Where a run is not as it was recorded, and which of that is listed.

use super::recording::{Line, Recording};
use super::replay::Replayed;
use std::collections::BTreeSet;
use std::fmt;

/// One thing that is not as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `counter softirqs.NET_RX`, `frame 3`, `padding`, …
    pub what: String,
    pub linux: String,
    pub ours: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}\n    linux {}\n    ours  {}", self.what, self.linux, self.ours)
    }
}

/// A line of the list: `SETS | WHAT | LINUX | OURS | WHY`, where sets are parted by commas, a `*` ends what may go on in any
/// way, and a value may be `*`.
#[derive(Clone, Debug)]
pub struct Listed {
    sets: Vec<String>,
    pub what: String,
    linux: String,
    ours: String,
}

impl Listed {
    pub fn parse(line: &str) -> Self {
        let parts: Vec<_> = line.split('|').map(str::trim).collect();
        let [sets, what, linux, ours, why] = parts.as_slice() else { panic!("five parts: {line}") };
        assert!(why.len() > 10, "a reason: {line}");
        let sets = sets.split(',').map(|set| set.trim().to_owned()).collect();
        Self { sets, what: (*what).to_owned(), linux: (*linux).to_owned(), ours: (*ours).to_owned() }
    }

    pub fn is_about(&self, set: &str) -> bool {
        self.sets.iter().any(|pattern| fits(pattern, set))
    }

    pub fn allows(&self, difference: &Difference) -> bool {
        fits(&self.what, &difference.what)
            && fits(&self.linux, &difference.linux)
            && fits(&self.ours, &difference.ours)
    }
}

fn fits(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == text, |begin| text.starts_with(begin))
}

/// Sets whose times mean something: those of a timer, of a rate, or of virtual time.
fn is_timed(set: &str) -> bool {
    ["c-arp", "d-tbf", "f-"].iter().any(|begin| set.starts_with(begin))
}

/// Sets whose order says nothing. Of several queues, which one a datagram takes is random at each boot, and QEMU serves them in an
/// order of its own; without a rate, what waits in a qdisc is a matter of how fast machine and device are.
fn is_unordered(set: &str) -> bool {
    ["e-L", "e-smp2", "d-pfifo_fast-direct", "d-prio-direct"].iter().any(|begin| set.starts_with(begin))
}

/// Frames without what depends on their order, sorted.
fn any_order(frames: &[Line]) -> Vec<Line> {
    let without_id = |frame: &Line| {
        let words: Vec<_> = frame.text.split(' ').collect();
        let id = words.iter().position(|word| *word == "id").map_or(usize::MAX, |at| at + 1);
        let kept = words.iter().enumerate().filter(|(at, _)| *at != id).map(|(_, word)| *word);
        Line { at: 0, length: frame.length, text: kept.collect::<Vec<_>>().join(" ") }
    };
    let mut lines: Vec<_> = frames.iter().map(without_id).collect();
    lines.sort_by(|a, b| a.text.cmp(&b.text));
    lines
}

/// All of them. Of counters only those are held that the recording has a source for.
pub fn differences(set: &str, linux: &Recording, ours: &Replayed) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut tell = |what: String, linux: String, ours: String| {
        let difference = Difference { what, linux, ours };
        if !found.contains(&difference) {
            found.push(difference);
        }
    };
    if linux.frames.len() != ours.frames.len() {
        tell("number of frames".into(), linux.frames.len().to_string(), ours.frames.len().to_string());
    }
    let (theirs, own) = if is_unordered(set) {
        (any_order(&linux.frames), any_order(&ours.frames))
    } else {
        (linux.frames.clone(), ours.frames.clone())
    };
    for (nth, (a, b)) in theirs.iter().zip(&own).enumerate() {
        if a.text != b.text {
            tell(format!("frame {nth}"), a.text.clone(), b.text.clone());
        }
        match (a.length, b.length) {
            (a, b) if a == b => {}
            (a, 60) if a < 60 => tell("padding".into(), a.to_string(), "60".into()),
            (a, b) => tell(format!("length of frame {nth}"), a.to_string(), b.to_string()),
        }
        // Ticks of 4 ms, timers that are late by up to an eighth, and a machine that was emulated.
        let slack = 20_000 + a.at / 8;
        if is_timed(set) && a.at.abs_diff(b.at) > slack {
            tell(format!("time of frame {nth}"), format!("{} µs", a.at), format!("{} µs", b.at));
        }
    }
    let whole = linux.counters.keys().any(|name| name.starts_with("softirqs."));
    let names: BTreeSet<_> = linux.counters.keys().chain(ours.counters.keys()).collect();
    for name in names {
        let (a, b) = (linux.counters.get(name).copied(), ours.counters.get(name).copied());
        // A recorded root is under its own name, not under its handle too.
        let is_of_a_handle = name.starts_with("qdisc.") && !name.starts_with("qdisc.root/");
        if a.unwrap_or(0) != b.unwrap_or(0) && (a.is_some() || whole && !is_of_a_handle) {
            let shown = |value: Option<i64>| value.unwrap_or(0).to_string();
            tell(format!("counter {name}"), shown(a), shown(b));
        }
    }
    found
}
