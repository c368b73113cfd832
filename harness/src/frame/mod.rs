//! Frames as cases speak of them: fields with names, what a pattern wants of them, and what was on the wire.

pub mod build;
pub mod decode;
pub mod field;
pub mod summary;
pub mod tcp;

pub use build::{BuildError, automatic_peer, build};
pub use decode::{Decoded, Problem, decode};
pub use field::{FIELDS, Field, Kind, Layer, Value};

use crate::case::model::{Location, Payload};

/// A frame as a case gives it: a pattern when expecting, a recipe when injecting.
#[derive(Clone, Debug, Default)]
pub struct FrameSpec {
    /// The layers that it names, outermost first; a layer may be named without any field.
    pub layers: Vec<Layer>,
    /// The fields that it gives, in the order of the file.
    pub fields: Vec<FieldSpec>,
    /// `payload:` - what the innermost layer carries.
    pub payload: Option<Payload>,
    /// `icmp: {quotes: NAME}` - the packet that an injected ICMP error quotes: that of an earlier named `expect`.
    pub quotes: Option<String>,
    /// `tcp: "…"` - the segment in packetdrill's notation, besides fields that are given by name.
    pub tcp: Option<Box<tcp::TcpSpec>>,
}

/// One field that a case gives.
#[derive(Clone, Debug)]
pub struct FieldSpec {
    /// Which.
    pub field: &'static Field,
    /// Its value.
    pub value: Value,
    /// Where it stands.
    pub at: Location,
}

impl FrameSpec {
    /// The value that it gives to a field, by its full name (`udp.dst_port`).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|f| f.field.name() == name).map(|f| &f.value)
    }

    /// The value that it gives to a field, by its header and key.
    #[must_use]
    pub fn value(&self, layer: Layer, key: &str) -> Option<&Value> {
        self.fields.iter().find(|f| f.field.layer == layer && f.field.key == key).map(|f| &f.value)
    }

    /// Whether it names a layer.
    #[must_use]
    pub fn has(&self, layer: Layer) -> bool {
        self.layers.contains(&layer)
    }
}

#[cfg(test)]
pub(crate) mod fixtures;
