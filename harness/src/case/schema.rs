//! The JSON Schema of the language, for the completion of editors; made of the tables that the reader uses.

use super::shape::{CASE, Form, Key, STEPS};
use crate::frame::{FIELDS, Kind, Layer};
use serde_json::{Map, Value, json};

/// The schema as text, as `fixtures/case.schema.json` has it.
#[must_use]
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&schema()).unwrap_or_default();
    text.push('\n');
    text
}

/// The schema (JSON Schema, draft 2020-12).
#[must_use]
pub fn schema() -> Value {
    let mut definitions = Map::new();
    definitions.insert("variable".into(), json!({ "type": "string", "pattern": "^\\$\\{[^}]+\\}$" }));
    definitions.insert(
        "duration".into(),
        json!({ "type": "string", "pattern": "^([0-9.]+(ns|us|µs|ms|s)|.*\\$\\{.*)$" }),
    );
    definitions.insert(
        "steps".into(),
        json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/step" } }),
    );
    let mut steps = Map::new();
    for step in STEPS {
        steps.insert(step.name.into(), described(form(step.form), step.about));
    }
    definitions.insert(
        "step".into(),
        json!({
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": false,
            "properties": steps,
        }),
    );
    definitions.insert("frame".into(), mapping(super::shape::EXPECT));
    definitions.insert("payload".into(), payload());
    for layer in super::frames::LAYERS {
        definitions.insert(layer.name().into(), header(layer));
    }
    let Value::Object(mut root) = mapping(&[CASE]) else { return Value::Null };
    root.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("title".into(), json!("A case of wireproof"));
    root.insert("$defs".into(), Value::Object(definitions));
    Value::Object(root)
}

fn described(mut schema: Value, about: &str) -> Value {
    if let Value::Object(object) = &mut schema {
        object.insert("description".into(), json!(about));
    }
    schema
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn mapping(keys: &[&[Key]]) -> Value {
    let all = || keys.iter().copied().flatten();
    let properties: Map<String, Value> =
        all().map(|key| (key.name.to_owned(), described(form(key.form), key.about))).collect();
    let required: Vec<_> = all().filter(|key| key.required).map(|key| key.name).collect();
    json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties })
}

/// A value, or `${x}` in its place.
fn or_variable(schema: &Value) -> Value {
    json!({ "anyOf": [schema, reference("variable")] })
}

fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn some_of(words: &[&str]) -> Value {
    json!({ "type": "array", "uniqueItems": true, "items": { "enum": words } })
}

fn names_to(values: &Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

fn form(form: Form) -> Value {
    let text = json!({ "type": "string" });
    let counter = json!({ "type": ["integer", "string"] });
    match form {
        Form::Text | Form::Name | Form::Address | Form::Endpoint | Form::Tolerance | Form::Errno => text,
        Form::Number(i64::MIN, _) => or_variable(&json!({ "type": "integer" })),
        Form::Number(low, high) => {
            or_variable(&json!({ "type": "integer", "minimum": low, "maximum": high }))
        }
        Form::Boolean => or_variable(&json!({ "type": "boolean" })),
        Form::Duration => reference("duration"),
        Form::Payload => reference("payload"),
        Form::OneOf(words) => or_variable(&json!({ "enum": words })),
        Form::SomeOf(words) => some_of(words),
        Form::AllOrSome(words) => json!({ "anyOf": [{ "const": "all" }, some_of(words)] }),
        Form::Rigs => {
            json!({ "anyOf": [some_of(super::shape::RIGS), mapping(&[super::shape::LIMIT])] })
        }
        Form::Ready => {
            let mut one = names_to(&some_of(super::epoll::EPOLL_REPORTED));
            if let Value::Object(one) = &mut one {
                one.insert("minProperties".into(), json!(1));
                one.insert("maxProperties".into(), json!(1));
            }
            list(&one)
        }
        Form::Texts => list(&text),
        Form::Lines => json!({ "anyOf": [text, list(&text)] }),
        Form::OptionValue => json!({ "type": ["integer", "string"] }),
        Form::Header(Layer::Tcp) => json!({ "anyOf": [{ "type": "string" }, reference("tcp")] }),
        Form::Header(layer) => reference(layer.name()),
        Form::After => {
            json!({ "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": reference("duration") })
        }
        Form::Steps => reference("steps"),
        Form::Frames => list(&reference("frame")),
        Form::Values => json!({ "type": "array", "minItems": 1 }),
        Form::Keys(keys) => mapping(keys),
        Form::Program(keys) => json!({ "anyOf": [text, mapping(keys)] }),
        Form::ListOf(keys) => list(&mapping(keys)),
        Form::Matrix => names_to(&json!({ "type": "array", "minItems": 1 })),
        Form::Faults => {
            let mut one = mapping(&[super::faults::FAULT]);
            one["minProperties"] = json!(1);
            one["maxProperties"] = json!(1);
            list(&one)
        }
        Form::Counters => names_to(&counter),
        Form::Groups => names_to(&json!({ "anyOf": [names_to(&counter), { "const": "absent" }] })),
        Form::Row => json!({ "type": "object" }),
        Form::Spent => names_to(&reference("duration")),
        Form::Durations => list(&reference("duration")),
        Form::Commands => {
            let one = json!({ "anyOf": [text, mapping(&[super::shape::COMMAND])] });
            json!({ "anyOf": [one, { "type": "array", "minItems": 1, "items": one }] })
        }
        Form::TcpInfo => {
            let mut fields = Map::new();
            fields.insert("socket".into(), described(text, "The socket, by its name."));
            fields.extend(super::symbols::TCP_INFO.iter().map(|name| ((*name).to_owned(), counter.clone())));
            json!({ "type": "object", "additionalProperties": false, "required": ["socket"], "properties": fields })
        }
    }
}

fn payload() -> Value {
    json!({ "anyOf": [
        { "type": "string" },
        {
            "type": "object",
            "additionalProperties": false,
            "required": ["pattern", "length"],
            "properties": {
                "pattern": { "enum": ["counting", "zero"], "description": "Byte i is i modulo 256, or 0." },
                "length": or_variable(&json!({ "type": "integer", "minimum": 0, "maximum": super::shape::PAYLOAD })),
            },
        },
        {
            "type": "object",
            "additionalProperties": false,
            "required": ["hex"],
            "properties": { "hex": { "type": "string", "description": "The bytes, in hexadecimal." } },
        },
    ] })
}

fn header(layer: Layer) -> Value {
    let mut properties = Map::new();
    for field in FIELDS.iter().filter(|field| field.layer == layer) {
        let schema = match field.kind {
            Kind::Number { bits } => number(bits),
            Kind::Named { bits, names } => {
                let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
                json!({ "anyOf": [{ "enum": names }, number(bits)] })
            }
            Kind::Flags { names } => {
                let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
                json!({ "type": "array", "uniqueItems": true, "items": { "enum": names } })
            }
            Kind::Mac | Kind::Ipv4 | Kind::Bytes => json!({ "type": "string" }),
        };
        properties.insert(field.key.into(), described(schema, field.about));
    }
    if layer == Layer::Tcp {
        let about = "The segment in packetdrill's notation, where other fields are given beside it.";
        properties.insert("segment".into(), json!({ "type": "string", "description": about }));
    }
    if layer == Layer::Icmp {
        let about = "The earlier named `expect` whose packet an injected error quotes.";
        properties.insert("quotes".into(), json!({ "type": "string", "description": about }));
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn number(bits: u8) -> Value {
    or_variable(&json!({ "type": "integer", "minimum": 0, "maximum": (1_u64 << bits.min(62)) - 1 }))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schema_in_the_repository_is_that_of_the_reader() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/case.schema.json");
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            stored == super::text(),
            "fixtures/case.schema.json is stale: cargo run -- check --schema > fixtures/case.schema.json"
        );
    }
}
