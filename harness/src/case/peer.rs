//! A real peer as a trial has it: what the wire to it does, the programs that run there, and applications on our side.

use super::model::Outcome;
use std::net::SocketAddrV4;
use std::time::Duration;

/// What a wire does to frames in each direction, each in parts of a million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impairment {
    /// It loses so many.
    pub loss: u32,
    /// It lets others overtake so many.
    pub reorder: u32,
    /// It gives so many twice.
    pub duplicate: u32,
    /// Which frames these are.
    pub seed: u64,
}

/// A program at a real peer, and what it must give.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerRun {
    /// The words; the first is the program.
    pub words: Vec<String>,
    /// The file of the trial's folder that takes its standard output.
    pub stdout: Option<String>,
    /// What it must print.
    pub prints: Option<String>,
    /// A name, when later steps run meanwhile.
    pub background: Option<String>,
    /// By when it must have ended.
    pub within: Duration,
    /// Its exit status.
    pub returns: i64,
}

/// An application, and what it must give.
#[derive(Clone, Debug, PartialEq)]
pub struct AppStep {
    /// Which.
    pub application: Application,
    /// A name, when later steps run meanwhile.
    pub background: Option<String>,
    /// By when it must have ended; `None`: it runs until the trial ends.
    pub within: Option<Duration>,
    /// What it must give.
    pub outcome: Outcome,
}

/// An application of the harness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Application {
    /// Serves the files of the trial's folder by HTTP/1.0.
    HttpServer {
        /// The port.
        port: u16,
    },
    /// Downloads a file by HTTP/1.0.
    HttpGet(HttpGet),
}

/// `http_get: {from: …, to: …}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGet {
    /// The server.
    pub server: SocketAddrV4,
    /// The path, from `/` on.
    pub path: String,
    /// The file of the trial's folder that takes the page.
    pub to: String,
}
