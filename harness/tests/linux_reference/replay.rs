//! The calls and the peer's frames of a recording, at their times, on our stack and driver and the emulated NIC.

use super::line::Lines;
use super::recording::{Line, Recording, Send};
use harness::case::model::{
    Command, Location, OptionValue, Payload, SocketKind, Source, SourceFile, Syscall,
};
use harness::rig::emu::EmuRig;
use harness::rig::{Event, Reading, Rig as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The sources whose counters are held against those of the recording.
const SOURCES: [(&str, Source); 5] = [
    ("ethtool", Source::Ethtool),
    ("netdev", Source::Netdev),
    ("snmp", Source::Snmp),
    ("softirqs", Source::Softirqs),
    ("qdisc", Source::Qdisc),
];
/// How long it goes on at least after the last frame that was recorded; else as long again as until then.
const AFTERWARDS_US: u64 = 2_000_000;

/// What came of it.
#[derive(Debug, Default)]
pub struct Replayed {
    pub frames: Vec<Line>,
    pub counters: BTreeMap<String, i64>,
}

/// A rig on which time passes and frames are kept.
pub struct Run {
    pub rig: EmuRig,
    /// Frames that left, and when in nanoseconds.
    pub frames: Vec<(u64, Vec<u8>)>,
    before: BTreeMap<String, i64>,
    calls: u32,
    pending: BTreeSet<u32>,
}

impl Run {
    /// A machine after these commands; counters count from now on.
    pub fn new(commands: &[&str]) -> Self {
        let rig = EmuRig::without_faults().expect("it comes up");
        let mut run =
            Self { rig, frames: Vec::new(), before: BTreeMap::new(), calls: 0, pending: BTreeSet::new() };
        for command in commands {
            let file = SourceFile { path: "replay".into(), text: String::new() };
            let at = Location { file: Arc::new(file), line: 1, column: 1 };
            // A tab stands in a value, and parts none.
            let words = command.split(' ').map(|word| word.replace('\t', " ")).collect();
            let command = Command { words, error: None, output: Vec::new(), at };
            let result = run.rig.command(&command).expect("the rig lives");
            assert_eq!(result.status, 0, "{:?}: {}", command.words, result.output);
        }
        run.before = run.read();
        run
    }

    /// All counters; those of queues summed up.
    fn read(&mut self) -> BTreeMap<String, i64> {
        let mut all = BTreeMap::new();
        for (name, source) in &SOURCES {
            for (key, reading) in self.rig.read(source).expect("it can be read") {
                let Reading::Number(number) = reading else { continue };
                let key: Vec<_> = key.split('_').collect();
                let key = match key.as_slice() {
                    [way, "queue", _, rest @ ..] => format!("{way}_queues_{}", rest.join("_")),
                    _ => key.join("_"),
                };
                *all.entry(format!("{name}.{key}")).or_default() += number;
            }
        }
        all.retain(|key, _| !key.starts_with("softirqs.") || !key.contains('/'));
        all
    }

    /// How the counters moved.
    pub fn moved(&mut self) -> BTreeMap<String, i64> {
        let now = self.read();
        let moved = now
            .into_iter()
            .map(|(key, value)| (key.clone(), value - self.before.get(&key).copied().unwrap_or(0)));
        moved.filter(|(_, moved)| *moved != 0).collect()
    }

    /// Makes a call; where it blocks, it ends by itself.
    pub fn call(&mut self, call: &Syscall) {
        self.calls += 1;
        self.pending.insert(self.calls);
        self.rig.start(self.calls, Some(0), call).expect("the rig lives");
    }

    /// Lets time pass up to a time in nanoseconds, or the next frame or return; `false`: it is that time.
    pub fn advance(&mut self, until: u64) -> bool {
        match self.rig.advance(until).expect("the rig lives") {
            Some(Event::Frame(frame)) => self.frames.push((frame.at, frame.bytes)),
            Some(Event::Returned { call, .. }) => {
                self.pending.remove(&call);
            }
            Some(Event::OfPeer(_)) => {}
            None => return false,
        }
        true
    }

    /// Lets time pass.
    pub fn until(&mut self, at: u64) {
        while self.advance(at) {}
    }

    /// A frame of the peer arrives, padded as a card pads it: QEMU's does not.
    pub fn inject(&mut self, frame: &[u8]) {
        let mut frame = frame.to_vec();
        frame.resize(frame.len().max(60), 0);
        self.rig.inject(&frame).expect("it takes it");
    }

    /// Whether no call blocks.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Lets time pass until no call blocks any more.
    fn until_they_return(&mut self) {
        let bound = self.rig.now() + 1_000_000_000;
        while !self.pending.is_empty() && self.advance(bound) {}
    }
}

/// Runs a recording after these commands.
pub fn run(recorded: &Recording, commands: &[&str]) -> Replayed {
    let mut run = Run::new(commands);
    open(&mut run, &recorded.sends);
    let begin = run.rig.now();
    let nanos = |at: u64| begin + at * 1000;
    let (mut sends, mut injects) = (recorded.sends.iter().peekable(), recorded.injects.iter().peekable());
    loop {
        let send = sends.peek().map(|send| send.at);
        let inject = injects.peek().map(|(at, _)| *at);
        match (send, inject) {
            (Some(send), inject) if inject.is_none_or(|inject| send <= inject) => {
                run.until_they_return();
                run.until(nanos(send));
                sends.next().into_iter().for_each(|send| sendto(&mut run, send));
                let over: Vec<_> = recorded.sends.iter().map(|send| send.port).collect();
                close_those_that_are_done(&mut run, &over, over.len() - sends.len());
            }
            (_, Some(inject)) => {
                run.until(nanos(inject));
                injects.next().into_iter().for_each(|(_, bytes)| run.inject(bytes));
            }
            (_, None) => break,
        }
    }
    if recorded.sends.is_empty() {
        let to = "192.0.2.2:5002".parse().expect("an address");
        run.call(&Syscall::Connect { socket: "c".into(), to });
    }
    run.until_they_return();
    let last = recorded.frames.last().map_or(0, |frame| frame.at);
    run.until(nanos(last.max(run.rig.now().saturating_sub(begin) / 1000)) + 1000 * AFTERWARDS_US.max(last));
    let counters = run.moved();
    let first = run.frames.first().map_or(0, |(at, _)| *at);
    let mut lines = Lines::default();
    let line = |(at, bytes): &(u64, Vec<u8>)| {
        let text = lines.of(bytes);
        Line { at: (at - first) / 1000, length: bytes.len(), text }
    };
    Replayed { frames: run.frames.iter().map(line).collect(), counters }
}

/// The sockets that datagrams are sent from; without datagrams one for a connection.
fn open(run: &mut Run, sends: &[Send]) {
    let mut ports = BTreeSet::new();
    for send in sends.iter().filter(|send| ports.insert(send.port)) {
        let name = send.port.to_string();
        run.call(&Syscall::Socket { name: name.clone(), kind: SocketKind::Udp, nonblocking: false });
        let to = format!("192.0.2.1:{}", send.port).parse().expect("an address");
        run.call(&Syscall::Bind { socket: name.clone(), to });
        let options = [
            ("IPPROTO_IP", "IP_TOS", Some(send.tos).filter(|tos| *tos > 0)),
            ("SOL_SOCKET", "SO_PRIORITY", send.priority),
        ];
        for (level, option, value) in options {
            let Some(value) = value else { continue };
            run.call(&Syscall::Setsockopt {
                socket: name.clone(),
                level: level.into(),
                name: option.into(),
                value: OptionValue::Number(value.into()),
            });
        }
    }
    if sends.is_empty() {
        run.call(&Syscall::Socket { name: "c".into(), kind: SocketKind::Tcp, nonblocking: false });
        let to = "192.0.2.1:42000".parse().expect("an address");
        run.call(&Syscall::Bind { socket: "c".into(), to });
    }
    run.until_they_return();
}

/// The recorded sender ends when it has sent: a port that sends nothing any more is closed. The one that mixes sends in rounds.
fn close_those_that_are_done(run: &mut Run, ports: &[u16], sent: usize) {
    let (before, after) = ports.split_at(sent);
    if let Some(port) = before.last().filter(|port| !after.contains(port)) {
        run.until_they_return();
        run.call(&Syscall::Close { socket: port.to_string() });
    }
}

fn sendto(run: &mut Run, send: &Send) {
    let to = "192.0.2.2:5001".parse().expect("an address");
    let payload = Payload(send.payload.clone().into());
    run.call(&Syscall::Sendto { socket: send.port.to_string(), to, payload, flags: Vec::new() });
}
