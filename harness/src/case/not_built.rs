//! What the language has and this version does not: refused where it stands, so that no case is misread.

use super::problem::{Problem, Span};

/// The problem with a part of the language that is not built yet.
#[must_use]
pub fn not_built(span: &Span, what: &str) -> Problem {
    Problem::at(span, format!("{what} is not built yet"))
        .label("not built yet")
        .help("TCP sockets, packetdrill's notation (`tcp: \"…\"`), `segments` and `tcp_info` come with TCP")
}
