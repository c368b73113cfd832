//! A recording: what was sent when, what the peer sent, the frames that left, and how the counters moved.

use std::collections::BTreeMap;

/// A datagram that was sent.
#[derive(Clone, Debug)]
pub struct Send {
    /// When, in microseconds since the first frame or call.
    pub at: u64,
    /// From this port.
    pub port: u16,
    /// IP_TOS.
    pub tos: u8,
    /// SO_PRIORITY, where it was set.
    pub priority: Option<u8>,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// A frame that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, in microseconds since the first.
    pub at: u64,
    /// Its bytes, without FCS.
    pub length: usize,
    /// What is in it.
    pub text: String,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    pub sends: Vec<Send>,
    /// Frames of the peer, and when they came.
    pub injects: Vec<(u64, Vec<u8>)>,
    pub frames: Vec<Line>,
    /// `ethtool.tx_bytes` and the like: how they moved.
    pub counters: BTreeMap<String, i64>,
}

impl Recording {
    /// Reads one.
    ///
    /// # Errors
    /// The line that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            all.line(line).ok_or_else(|| line.to_owned())?;
        }
        Ok(all)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let words: Vec<_> = line.split(' ').collect();
        match words.as_slice() {
            ["send", at, "from", port, "tos", tos, "priority", priority, kind, nth, "size", size] => {
                let (tos, nth, size) = (tos.parse().ok()?, nth.parse().ok()?, size.parse().ok()?);
                let payload = match *kind {
                    "counted" => counted(nth, size),
                    _ => mixed(nth, size, (port.parse::<usize>().ok()?.checked_sub(41_000)?, tos, priority)),
                };
                let priority = priority.parse().ok();
                self.sends.push(Send {
                    at: at.parse().ok()?,
                    port: port.parse().ok()?,
                    tos,
                    priority,
                    payload,
                });
            }
            ["counter", name, value] => {
                self.counters.insert((*name).to_owned(), value.parse().ok()?);
            }
            ["inject", at, hex] => {
                let byte = |i: usize| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok();
                self.injects.push((at.parse().ok()?, (0..hex.len() / 2).map(byte).collect::<Option<_>>()?));
            }
            ["frame", at, length, ..] => {
                let text = words.get(3..)?.join(" ");
                self.frames.push(Line { at: at.parse().ok()?, length: length.parse().ok()?, text });
            }
            _ => return None,
        }
        Some(())
    }
}

/// The payload of the recorded sender: seven digits, a zero, then bytes that step by seven, and by one more every 256.
fn counted(nth: usize, size: usize) -> Vec<u8> {
    let mut payload: Vec<_> = (0..size).map(|i| (i * 7 + (i >> 8) + nth) as u8).collect();
    let text = format!("{nth:07}\0");
    let length = text.len().min(size);
    payload[..length].copy_from_slice(&text.as_bytes()[..length]);
    payload
}

/// The payload of the sender that mixes priorities: which socket, round, type of service, priority.
fn mixed(round: usize, size: usize, (socket, tos, priority): (usize, u8, &str)) -> Vec<u8> {
    let mut payload = format!("i={socket:03} r={round:03} tos={tos} prio={priority}").into_bytes();
    payload.resize(size, 0);
    payload
}
