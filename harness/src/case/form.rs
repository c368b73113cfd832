//! What a value of the language can look like.

use super::shape::Key;
use crate::frame::Layer;

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Text.
    Text,
    /// A name without spaces.
    Name,
    /// A whole number between two.
    Number(i64, i64),
    /// `true` or `false`.
    Boolean,
    /// `50ms`.
    Duration,
    /// `20ms` or `15%`.
    Tolerance,
    /// `192.0.2.2`.
    Address,
    /// `192.0.2.2:7`.
    Endpoint,
    /// A string, `{pattern, length}` or `{hex}`.
    Payload,
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// A list of some words.
    SomeOf(&'static [&'static str]),
    /// `all`, or a list of some words.
    AllOrSome(&'static [&'static str]),
    /// A list of sockets, each with its events.
    Ready,
    /// A list of rigs, or a mapping with a reason.
    Rigs,
    /// A list of texts.
    Texts,
    /// A text, or a list of texts.
    Lines,
    /// The name of an error.
    Errno,
    /// A value for a socket option: a number, a symbol or text.
    OptionValue,
    /// The fields of a header.
    Header(Layer),
    /// `{NAME: T}`.
    After,
    /// A list of steps.
    Steps,
    /// A list of frames.
    Frames,
    /// A list of the values of a field.
    Values,
    /// A mapping with these keys.
    Keys(&'static [&'static [Key]]),
    /// A list of mappings with these keys.
    ListOf(&'static [&'static [Key]]),
    /// A mapping from names to lists.
    Matrix,
    /// A list of faults.
    Faults,
    /// A mapping from counters to what they must be.
    Counters,
    /// A mapping to mappings from counters to what they must be.
    Groups,
    /// A mapping from names to what they are in the row.
    Row,
    /// A mapping from queues to durations.
    Spent,
    /// A list of durations.
    Durations,
    /// A program: a text, or a mapping with these keys.
    Program(&'static [&'static [Key]]),
    /// One command, or a list of them, each a text or a mapping with `error:`.
    Commands,
    /// A socket, and fields of its TCP_INFO with what they must be.
    TcpInfo,
}
