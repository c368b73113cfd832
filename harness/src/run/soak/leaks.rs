//! What this process holds, out of `/proc`, and what of it grows from round to round.

use super::Finding;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// From how many rounds on memory that grows is told from memory that is not given back yet.
pub const MEMORY_ROUNDS: u64 = 13;
/// By how much memory must be more in each third of the rounds than it ever was in the one before, in KiB: an allocator's pieces come
/// and go (on `emu`, the whole suite has 75 to 140 MiB).
const MEMORY_SLACK: u64 = 1024;
/// How long what ends by itself may take to be gone.
const SETTLE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// What the process holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Open file descriptors, of which the next are a part.
    pub descriptors: u64,
    /// Sockets.
    pub sockets: u64,
    /// Its threads.
    pub threads: u64,
    /// Processes that it started, and that are there or were not waited for.
    pub processes: u64,
    /// Network namespaces that its threads are in or its descriptors hold.
    pub namespaces: u64,
    /// Memory that may not move, in KiB: what is mapped for DMA.
    pub pinned: u64,
    /// Its own memory that is there, in KiB.
    pub memory: u64,
}

impl Usage {
    /// What the calling process holds at this moment.
    #[must_use]
    pub fn now() -> Self {
        let links: Vec<_> =
            entries(Path::new("/proc/self/fd")).iter().filter_map(|path| link(path)).collect();
        let threads = entries(Path::new("/proc/self/task"));
        let held = links.iter().filter(|link| link.starts_with("net:")).cloned();
        let namespaces: BTreeSet<_> =
            threads.iter().filter_map(|task| link(&task.join("ns/net"))).chain(held).collect();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            // One of them was opened to look.
            descriptors: links.len() as u64,
            sockets: links.iter().filter(|link| link.starts_with("socket:")).count() as u64,
            threads: threads.len() as u64,
            processes: children(),
            namespaces: namespaces.len() as u64,
            pinned: kib(&status, "VmLck:") + kib(&status, "VmPin:"),
            memory: kib(&status, "RssAnon:"),
        }
    }

    /// The same once threads and processes that are about to end have done so: at most as many as `before`, or 2 s later.
    #[must_use]
    pub fn settled(before: Option<&Self>) -> Self {
        let deadline = Instant::now() + SETTLE;
        loop {
            let now = Self::now();
            let calm =
                |before: &Self| now.counts().iter().zip(before.counts()).all(|(now, was)| now.1 <= was.1);
            if before.is_none_or(calm) || Instant::now() >= deadline {
                return now;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// All that must not grow at all, with its name.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 6] {
        [
            ("file descriptors", self.descriptors),
            ("sockets", self.sockets),
            ("threads", self.threads),
            ("processes", self.processes),
            ("network namespaces", self.namespaces),
            ("KiB mapped for DMA or locked", self.pinned),
        ]
    }
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn link(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.display().to_string())
}

/// `RssAnon:   1234 kB`.
fn kib(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Processes whose parent is this one.
fn children() -> u64 {
    let own = std::process::id().to_string();
    let is_child = |path: &std::path::PathBuf| {
        let stat = fs::read_to_string(path.join("stat")).unwrap_or_default();
        // The name in parentheses may have blanks in it; the state and the parent follow it.
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)) == Some(own.as_str())
    };
    entries(Path::new("/proc")).iter().filter(|path| is_child(path)).count() as u64
}

/// What was held at the end of each round.
#[derive(Debug, Default)]
pub struct Ledger {
    rounds: Vec<Usage>,
}

impl Ledger {
    /// Takes what is held at the end of a round.
    pub fn add(&mut self, usage: Usage) {
        self.rounds.push(usage);
    }

    /// What grows. The first round may hold more than the beginning did, as it makes what all rounds use.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let [first, .., last] = &self.rounds[..] else { return Vec::new() };
        let rounds = self.rounds.len();
        let grown = first.counts().into_iter().zip(last.counts());
        let mut found: Vec<_> = grown
            .filter(|((_, was), (_, is))| is > was)
            .map(|((what, was), (_, is))| {
                leak(what, &format!("{was} after round 1, {is} after round {rounds}"))
            })
            .collect();
        found.extend(self.memory());
        found
    }

    fn memory(&self) -> Option<Finding> {
        if (self.rounds.len() as u64) < MEMORY_ROUNDS {
            return None;
        }
        // The first round fills what is kept for all.
        let memory: Vec<_> = self.rounds.iter().skip(1).map(|usage| usage.memory).collect();
        let third = memory.len() / 3;
        let parts = [&memory[..third], &memory[third..2 * third], &memory[memory.len() - third..]];
        let least = parts.map(|part| part.iter().min().copied().unwrap_or(0));
        let most = parts.map(|part| part.iter().max().copied().unwrap_or(0));
        let goes_on = least[1] > most[0] + MEMORY_SLACK && least[2] > most[1] + MEMORY_SLACK;
        goes_on.then(|| {
            let (rounds, early, late) = (self.rounds.len(), most[0], least[2]);
            leak(
                "memory",
                &format!("at most {early} KiB in the first third of {rounds} rounds, at least {late} KiB in the last"),
            )
        })
    }
}

fn leak(what: &str, why: &str) -> Finding {
    Finding { kind: "leak", what: what.to_owned(), why: why.to_owned() }
}
