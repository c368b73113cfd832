//! The shape of what a case says of a real peer.

use super::shape::{Form, Key, StepShape, key, must, step};

/// `peer:`
pub const PEER: &[Key] = &[
    key(
        "arp",
        Form::OneOf(&["auto", "manual"]),
        "Whether it answers ARP requests for itself and the gateway.",
    ),
    key(
        "buffers",
        Form::OneOf(BUFFERS),
        "`igb`: the case states windows and counters that hold where a socket is charged for a segment as for one that an igb \
         received. On Linux that takes a TAP; elsewhere the case is skipped.",
    ),
    key(
        "kind",
        Form::OneOf(PEERS),
        "`scripted`: the steps say what it does. `linux`: the Linux kernel is at the other end, in real time, and `peer_run:` starts \
         programs there; frames that no step explains are no failure, and `expect:` passes over those that do not fit.",
    ),
];
/// What a socket is charged with for a segment.
pub const BUFFERS: &[&str] = &["igb"];
/// What a peer can be.
pub const PEERS: &[&str] = &["scripted", "linux"];
/// `wire:`
pub const WIRE: &[Key] = &[
    key("loss", Form::Tolerance, "How many frames it loses: `1%`."),
    key("reorder", Form::Tolerance, "How many it lets three others overtake."),
    key("duplicate", Form::Tolerance, "How many it gives twice."),
    key("seed", Form::Number(0, i64::MAX), "Which frames these are."),
];
/// `peer_run:`
pub const PEER_RUN: StepShape = step(
    "peer_run",
    Form::Program(&[&[
        must("run", Form::Text, "The program with its arguments; no shell reads them."),
        key("stdout", Form::Name, "The file in the folder of the trial that takes what it prints."),
        key("prints", Form::Text, "Text that must be in what it prints."),
        key("returns", Form::Number(0, 255), "Its exit status; default 0."),
        key("within", Form::Duration, "By when it must have ended; default 30 s."),
        key(
            "background",
            Form::Name,
            "A name: later steps run meanwhile, until `join`, or until the trial ends.",
        ),
    ]]),
    "Runs a program at a real peer. It works in a folder of the trial, and ends with it.",
);
/// `http_server:`
pub const HTTP_SERVER: StepShape = step(
    "http_server",
    Form::Keys(&[&[must("port", Form::Number(1, 65_535), "The port.")]]),
    "On the sockets of the system under test, serves the files of the trial's folder by HTTP/1.0, until the trial ends.",
);
/// `http_get:`
pub const HTTP_GET: StepShape = step(
    "http_get",
    Form::Keys(&[&[
        must(
            "from",
            Form::Text,
            "The page: `http://192.0.2.2:8000/file`. While the connection is refused, it tries again for 10 s.",
        ),
        must("to", Form::Name, "The file in the folder of the trial that takes it."),
        key("returns", Form::Number(0, i64::MAX), "How many bytes it must have."),
        key("error", Form::Text, "The error that it must give: `ECONNRESET`, `HTTP 404`."),
        key("within", Form::Duration, "By when it must have ended; default 30 s."),
        key(
            "background",
            Form::Name,
            "A name: later steps run meanwhile, until `join`, or until the trial ends.",
        ),
    ]]),
    "On the sockets of the system under test, downloads a page by HTTP/1.0.",
);
