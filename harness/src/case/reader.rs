//! The typed reader: takes nodes apart, and says what is wrong where it stands.

use super::problem::{Problem, Problems, choose};
use super::shape::Key;
use super::yaml::{Kind, Node};

/// A problem was recorded; there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported;

/// Unknown keys of one mapping that are reported.
const UNKNOWN_KEYS: usize = 20;

/// What a reading function gives.
pub type Read<T> = Result<T, Reported>;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub struct Reader {
    /// All of it so far.
    pub problems: Problems,
    /// `included from …`, innermost last: added to each problem.
    pub included_from: Vec<String>,
    /// Whether a segment has named its ports: later ones may leave them out.
    pub has_flow: bool,
}

/// A mapping whose keys are known to be right.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'n> {
    /// The mapping.
    pub node: &'n Node,
    entries: &'n [(Node, Node)],
}

impl<'n> Fields<'n> {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(k, _)| k.text() == Some(key)).map(|(_, value)| value)
    }

    /// The key itself, to point at it.
    #[must_use]
    pub fn key(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(k, _)| k.text() == Some(key)).map(|(k, _)| k)
    }

    /// Its keys with their values.
    #[must_use]
    pub fn entries(&self) -> &'n [(Node, Node)] {
        self.entries
    }
}

impl Reader {
    /// Records a problem.
    pub fn report(&mut self, mut problem: Problem) -> Reported {
        for place in self.included_from.iter().rev() {
            problem = problem.and_help(place);
        }
        self.problems.push(problem);
        Reported
    }

    /// `expected …, found …`.
    pub fn wrong<T>(&mut self, node: &Node, wanted: &str, help: &str) -> Read<T> {
        let problem = Problem::at(&node.span, format!("expected {wanted}, found {}", node.describe()))
            .label(format!("not {wanted}"))
            .help(help);
        Err(self.report(problem))
    }

    /// A mapping whose keys are among these; all that is wrong with its keys is reported.
    pub fn fields<'n>(&mut self, node: &'n Node, what: &str, keys: &[&[Key]]) -> Read<Fields<'n>> {
        let known = || keys.iter().copied().flatten();
        let names = || known().map(|key| key.name);
        let Kind::Map(entries) = &node.kind else {
            let list: Vec<_> = names().collect();
            return self.wrong(node, "a mapping", &format!("`{what}` has these keys: {}", list.join(", ")));
        };
        let mut bad = None;
        let mut unknown = 0;
        for (key, _) in entries {
            let name = key.text().unwrap_or("");
            if unknown < UNKNOWN_KEYS && !names().any(|known| known == name) {
                let problem = Problem::at(&key.span, format!("`{what}` has no key {}", key.describe()))
                    .label("unknown key")
                    .help(choose(name, names()));
                bad = Some(self.report(problem));
                unknown += 1;
            }
        }
        for key in known().filter(|key| key.required) {
            if bad.is_none() && !entries.iter().any(|(k, _)| k.text() == Some(key.name)) {
                let problem = Problem::at(&node.span, format!("`{what}` lacks `{}:`", key.name))
                    .label("in here")
                    .help(format!("`{}:` {}", key.name, lower(key.about)));
                bad = Some(self.report(problem));
            }
        }
        bad.map_or(Ok(Fields { node, entries }), Err)
    }

    /// The value of a key that is known to be there.
    pub fn need<'n>(&mut self, fields: &Fields<'n>, key: &str) -> Read<&'n Node> {
        match fields.get(key) {
            Some(node) => Ok(node),
            None => Err(self.report(
                Problem::at(&fields.node.span, format!("`{key}:` is missing"))
                    .help(format!("add `{key}: …`")),
            )),
        }
    }

    /// A mapping with whatever keys.
    pub fn map<'n>(&mut self, node: &'n Node, help: &str) -> Read<&'n [(Node, Node)]> {
        if let Kind::Map(entries) = &node.kind { Ok(entries) } else { self.wrong(node, "a mapping", help) }
    }

    /// A list.
    pub fn list<'n>(&mut self, node: &'n Node, help: &str) -> Read<&'n [Node]> {
        if let Kind::List(items) = &node.kind { Ok(items) } else { self.wrong(node, "a list", help) }
    }

    /// Text: what YAML would take for a number, a truth value or nothing has to be quoted.
    pub fn text<'n>(&mut self, node: &'n Node) -> Read<&'n str> {
        match &node.kind {
            Kind::Scalar(s) if s.plain && not_text(&s.text) => {
                self.wrong(node, "a text", &format!("write it in quotes if text is meant: \"{}\"", s.text))
            }
            Kind::Scalar(s) => Ok(&s.text),
            _ => self.wrong(node, "a text", "write it in one piece, in quotes"),
        }
    }

    /// A name or other word.
    pub fn word<'n>(&mut self, node: &'n Node) -> Read<&'n str> {
        match &node.kind {
            Kind::Scalar(s)
                if !s.text.is_empty() && !s.text.chars().any(|c| c.is_whitespace() || c.is_control()) =>
            {
                Ok(&s.text)
            }
            _ => self.wrong(node, "a name", "one word without spaces"),
        }
    }

    /// One of some words.
    pub fn one_of(&mut self, node: &Node, words: &[&'static str]) -> Read<&'static str> {
        let text = node.text().unwrap_or("");
        if let Some(word) = words.iter().find(|word| **word == text) {
            return Ok(word);
        }
        let problem = Problem::at(&node.span, format!("{} is not known here", node.describe()))
            .label(if words.len() < 5 {
                format!("not one of: {}", words.join(", "))
            } else {
                "unknown".into()
            })
            .help(choose(text, words.iter().copied()));
        Err(self.report(problem))
    }

    /// A list of some words, none of them twice.
    pub fn some_of(&mut self, node: &Node, words: &[&'static str]) -> Read<Vec<&'static str>> {
        let items = self.list(node, &format!("write `[{}]`", words.first().unwrap_or(&"")))?;
        let mut found = Vec::new();
        for item in items {
            let word = self.one_of(item, words)?;
            if found.contains(&word) {
                return Err(self.report(
                    Problem::at(&item.span, format!("`{word}` stands twice"))
                        .label("again")
                        .help("name each once"),
                ));
            }
            found.push(word);
        }
        Ok(found)
    }

    /// A list of texts.
    pub fn texts(&mut self, node: &Node) -> Read<Vec<String>> {
        let items = self.list(node, "write `[one, two]`")?;
        let texts: Vec<_> = items.iter().map(|item| self.text(item).map(str::to_owned)).collect();
        texts.into_iter().collect()
    }

    /// A text, or a list of texts.
    pub fn lines(&mut self, node: &Node) -> Read<Vec<String>> {
        match node.kind {
            Kind::List(_) => self.texts(node),
            _ => Ok(vec![self.text(node)?.to_owned()]),
        }
    }
}

fn lower(about: &str) -> String {
    let mut chars = about.trim_end_matches('.').chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    format!("says {first}{}", chars.as_str())
}

/// What YAML's core schema reads as something else than text.
fn not_text(text: &str) -> bool {
    matches!(
        text,
        "" | "~" | "null" | "Null" | "NULL" | "true" | "True" | "TRUE" | "false" | "False" | "FALSE"
    ) || (text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && (text.parse::<f64>().is_ok() || text.starts_with("0x") || text.starts_with("0o")))
}
