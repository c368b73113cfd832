//! `${…}` in a tree of nodes: the topology and the row of the matrix, before anything is typed.

use super::model::topology;
use super::problem::{Problem, Problems, choose};
use super::yaml::{Kind, Node, Scalar};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// Bytes that the `${…}` of one row can make of themselves.
const MADE: usize = 4 << 20;

/// What `${…}` can stand for in one row.
#[derive(Debug, Default)]
pub struct Variables {
    made: Cell<usize>,
    row: Vec<(String, Node)>,
    used: RefCell<BTreeSet<String>>,
}

/// The topology's variables with their values.
#[must_use]
pub fn topology() -> Vec<(&'static str, String)> {
    let mac = |m: [u8; 6]| m.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    vec![
        ("sut.ip", topology::SUT_IP.to_string()),
        ("sut.mac", mac(topology::SUT_MAC)),
        ("peer.ip", topology::PEER_IP.to_string()),
        ("peer.mac", mac(topology::PEER_MAC)),
        ("gateway.ip", topology::GATEWAY_IP.to_string()),
        ("gateway.mac", mac(topology::GATEWAY_MAC)),
    ]
}

impl Variables {
    /// The topology, and a row of a matrix.
    #[must_use]
    pub fn new(row: Vec<(String, Node)>) -> Self {
        Self { row, ..Self::default() }
    }

    /// Says that a variable matters, though no `${…}` names it: `when:` does.
    pub fn mark_used(&self, name: &str) {
        self.used.borrow_mut().insert(name.to_owned());
    }

    /// Whether anything asked for a variable.
    #[must_use]
    pub fn was_used(&self, name: &str) -> bool {
        self.used.borrow().contains(name)
    }

    /// The value of a variable of the matrix.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.row.iter().find(|(key, _)| key == name).map(|(_, node)| node)
    }

    /// The names of the matrix's variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.row.iter().map(|(name, _)| name.as_str())
    }

    fn value(&self, name: &str) -> Option<Value> {
        if let Some((_, value)) = topology().into_iter().find(|(key, _)| *key == name) {
            return Some(Value::Text(value));
        }
        self.mark_used(name);
        self.get(name).cloned().map(Value::Node)
    }

    /// The tree with every `${…}` replaced. What cannot be replaced stays, and is a problem.
    pub fn apply(&self, node: &Node, problems: &mut Problems) -> Node {
        let kind = match &node.kind {
            Kind::Scalar(scalar) if scalar.text.contains("${") => return self.scalar(node, scalar, problems),
            Kind::Scalar(scalar) => Kind::Scalar(scalar.clone()),
            Kind::List(items) => Kind::List(items.iter().map(|item| self.apply(item, problems)).collect()),
            Kind::Map(entries) => Kind::Map(
                entries.iter().map(|(k, v)| (self.apply(k, problems), self.apply(v, problems))).collect(),
            ),
        };
        Node { span: node.span.clone(), kind }
    }

    fn scalar(&self, node: &Node, scalar: &Scalar, problems: &mut Problems) -> Node {
        let mut out = Scalar { text: String::new(), plain: scalar.plain, origin: Vec::new() };
        let mut at = 0;
        while let Some(found) = scalar.text[at..].find("${") {
            let begin = at + found;
            push_verbatim(&mut out, node, &scalar.text, at, begin);
            let Some(length) = scalar.text[begin..].find('}') else {
                let span = node.part(begin, scalar.text.len());
                problems.push(Problem::at(&span, "`${` without its `}`").help("write `${name}`"));
                return spoilt(node);
            };
            let end = begin + length + 1;
            let name = &scalar.text[begin + 2..end - 1];
            let Some(value) = self.value(name) else {
                let known: Vec<_> = topology().into_iter().map(|(key, _)| key).collect();
                let known = self.names().chain(known);
                problems.push(
                    Problem::at(&node.part(begin, end), format!("there is no `${{{name}}}`"))
                        .label("not known")
                        .help(choose(name, known)),
                );
                return spoilt(node);
            };
            let alone = begin == 0 && end == scalar.text.len();
            self.made.set(self.made.get() + value.weight());
            if self.made.get() > MADE {
                let message = format!("the `${{…}}` of one row make more than {} MiB", MADE >> 20);
                problems.push(
                    Problem::at(&node.part(begin, end), message)
                        .help("shorten the values that stand for them, or use them less often"),
                );
                return spoilt(node);
            }
            match value {
                Value::Node(value) if alone => return standing_for(node, value),
                Value::Text(text) if alone => out.text = text,
                Value::Text(text) => push_value(&mut out, node, begin, &text),
                Value::Node(value) => match value.text() {
                    Some(text) => push_value(&mut out, node, begin, text),
                    None => problems.push(
                        Problem::at(
                            &node.part(begin, end),
                            format!("`{name}` is {} and cannot be part of a text", value.describe()),
                        )
                        .help("use it alone, or make the values of the matrix texts or numbers"),
                    ),
                },
            }
            if alone {
                out.plain = true;
            }
            at = end;
        }
        push_verbatim(&mut out, node, &scalar.text, at, scalar.text.len());
        Node { span: node.span.clone(), kind: Kind::Scalar(out) }
    }
}

/// A node that could not be replaced: what follows from that is not reported.
fn spoilt(node: &Node) -> Node {
    let mut node = node.clone();
    node.span.spoilt = true;
    node
}

/// A value of the topology or of the matrix.
enum Value {
    Text(String),
    Node(Node),
}

impl Value {
    fn weight(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Node(node) => node.weight(),
        }
    }
}

/// A value of the matrix where it is used: a scalar is spoken of there, a collection where it stands.
fn standing_for(place: &Node, value: Node) -> Node {
    match value.kind {
        Kind::Scalar(scalar) => {
            Node { span: place.span.clone(), kind: Kind::Scalar(Scalar { origin: Vec::new(), ..scalar }) }
        }
        kind => Node { span: value.span, kind },
    }
}

fn push_verbatim(out: &mut Scalar, node: &Node, text: &str, from: usize, to: usize) {
    if from < to {
        if let Kind::Scalar(Scalar { origin, .. }) = &node.kind
            && let Some((_, byte, true)) = origin.first()
        {
            out.origin.push((out.text.len(), byte + from, true));
        }
        out.text.push_str(&text[from..to]);
    }
}

fn push_value(out: &mut Scalar, node: &Node, begin: usize, value: &str) {
    if let Kind::Scalar(Scalar { origin, .. }) = &node.kind
        && let Some((_, byte, true)) = origin.first()
    {
        out.origin.push((out.text.len(), byte + begin, false));
    }
    out.text.push_str(value);
}
