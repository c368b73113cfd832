//! YAML text to a tree of nodes that know where they stand, by the event parser of serde-saphyr, with limits.

use super::model::SourceFile;
use super::problem::{Problem, Span};
use serde_saphyr::granit_parser::{self, ErrorKind, Event, Parser, ScalarStyle, ScanError};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// Collections inside of each other.
pub const DEPTH: usize = 64;
/// Nodes of a file, with its aliases expanded.
pub const NODES: usize = 100_000;
/// What a file weighs ([`Node::weight`]), with its aliases expanded.
pub const WEIGHT: usize = 8 << 20;
/// What a node weighs besides its text.
const NODE_WEIGHT: usize = 16;

/// A node with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// The three kinds of YAML nodes.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Text, or a number and the like.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Node, Node)>),
}

/// A scalar as it was written.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// Its text, after YAML's escapes.
    pub text: String,
    /// Not in quotes and not a block: may be a number.
    pub plain: bool,
    /// Where pieces of the text stand in the file: (offset in the text, byte in the file, whether it is there verbatim).
    pub origin: Vec<(usize, usize, bool)>,
}

impl Node {
    /// What it is, for messages: `a list`.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a mapping".into(),
            Kind::Scalar(s) if s.text.is_empty() && s.plain => "nothing".into(),
            Kind::Scalar(s) if s.text.chars().count() > 40 => "a long text".into(),
            Kind::Scalar(s) if s.plain => format!("`{}`", s.text),
            Kind::Scalar(s) => format!("the text {:?}", s.text),
        }
    }

    /// Its text, if it is a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Kind::Scalar(scalar) = &self.kind { Some(&scalar.text) } else { None }
    }

    /// How many nodes it is, itself included.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.kind {
            Kind::Scalar(_) => 1,
            Kind::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Kind::Map(entries) => 1 + entries.iter().map(|(k, v)| k.size() + v.size()).sum::<usize>(),
        }
    }

    /// What it takes to read and keep it: bytes of text, and a constant for each node.
    #[must_use]
    pub fn weight(&self) -> usize {
        NODE_WEIGHT
            + match &self.kind {
                Kind::Scalar(scalar) => scalar.text.len(),
                Kind::List(items) => items.iter().map(Self::weight).sum(),
                Kind::Map(entries) => entries.iter().map(|(k, v)| k.weight() + v.weight()).sum(),
            }
    }

    /// The stretch of the file where a part of its text stands; the whole node where that is not known.
    #[must_use]
    pub fn part(&self, from: usize, to: usize) -> Span {
        let Kind::Scalar(scalar) = &self.kind else { return self.span.clone() };
        let Some((text, byte, verbatim)) = scalar.origin.iter().rev().find(|(text, ..)| *text <= from) else {
            return self.span.clone();
        };
        let (start, end) =
            if *verbatim { (byte + from - text, byte + to - text) } else { (*byte, *byte + 1) };
        Span { spoilt: self.span.spoilt, ..Span::of(&self.span.file, start, end) }
    }
}

/// A collection that is not closed yet.
struct Open {
    span: Span,
    anchor: usize,
    kind: Collection,
}

enum Collection {
    List(Vec<Node>),
    Map { entries: Vec<(Node, Node)>, key: Option<Node>, seen: BTreeMap<String, u32> },
}

/// Reads a file of one document.
///
/// # Errors
/// What is not YAML, keys that stand twice, more than the limits allow.
pub fn parse(file: &Arc<SourceFile>) -> Result<Node, Vec<Problem>> {
    let mut options = granit_parser::Options::default();
    options.flow_nesting_limit = DEPTH;
    options.block_nesting_limit = DEPTH;
    options.set_emit_comments(false);
    let mut tree = Tree {
        file,
        open: Vec::new(),
        root: None,
        anchors: BTreeMap::new(),
        nodes: 0,
        weight: 0,
        problems: Vec::new(),
    };
    for event in Parser::new_from_str_with_options(&file.text, options) {
        let result = match event {
            Ok((event, span)) => tree.take(event, span),
            Err(error) => Err(syntax(file, &error)),
        };
        if let Err(problem) = result {
            tree.problems.push(problem);
            return Err(tree.problems);
        }
    }
    if !tree.problems.is_empty() {
        return Err(tree.problems);
    }
    tree.root.ok_or_else(|| {
        let span = Span::of(file, 0, 0);
        vec![Problem::at(&span, "the file is empty").help("a case has at least `about:` and `steps:`")]
    })
}

struct Tree<'f> {
    file: &'f Arc<SourceFile>,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: BTreeMap<usize, (Node, usize, usize)>,
    nodes: usize,
    weight: usize,
    problems: Vec<Problem>,
}

impl Tree<'_> {
    fn take(&mut self, event: Event<'_>, at: granit_parser::Span) -> Result<(), Problem> {
        let span = self.span(at);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Problem::at(&span, "a second document begins here")
                    .help("a file is one case: remove the `---`"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.no_tag(tag.as_deref(), at)?;
                let node = scalar(text.into_owned(), style, span);
                self.put(node, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.no_tag(tag.as_deref(), at)?;
                self.begin(span, anchor, Collection::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.no_tag(tag.as_deref(), at)?;
                let kind = Collection::Map { entries: Vec::new(), key: None, seen: BTreeMap::new() };
                self.begin(span, anchor, kind)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let kind = match open.kind {
                    Collection::List(items) => Kind::List(items),
                    Collection::Map { entries, .. } => Kind::Map(entries),
                };
                let span = Span { end: span.end.max(open.span.end), ..open.span };
                self.put(Node { span, kind }, open.anchor)
            }
            Event::Alias(id) => {
                let Some((node, size, weight)) = self.anchors.get(&id) else {
                    return Err(Problem::at(&span, "an alias inside of what it stands for")
                        .help("write out what is meant"));
                };
                self.nodes += size;
                self.weight += weight;
                if self.nodes > NODES || self.weight > WEIGHT {
                    return Err(too_many(&span));
                }
                let node = node.clone();
                self.put(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn span(&self, at: granit_parser::Span) -> Span {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let end = self.file.text.len();
        Span {
            file: Arc::clone(self.file),
            start: at.start.byte_offset().unwrap_or(end),
            end: at.end.byte_offset().unwrap_or(end),
            line: number(at.start.line()),
            column: number(at.start.col() + 1),
            spoilt: false,
        }
    }

    fn no_tag(&self, tag: Option<&granit_parser::Tag>, at: granit_parser::Span) -> Result<(), Problem> {
        let Some(tag) = tag else { return Ok(()) };
        let span = self.span(at.tag_span().unwrap_or(at));
        Err(Problem::at(&span, format!("the tag `{}` means nothing here", tag.original()))
            .help("remove it; a text that begins with `!` is written in quotes"))
    }

    fn begin(&mut self, span: Span, anchor: usize, kind: Collection) -> Result<(), Problem> {
        if self.open.len() >= DEPTH {
            return Err(too_deep(&span));
        }
        self.open.push(Open { span, anchor, kind });
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        self.nodes += 1;
        self.weight += NODE_WEIGHT + node.text().map_or(0, str::len);
        if self.nodes > NODES || self.weight > WEIGHT {
            return Err(too_many(&node.span));
        }
        if anchor != 0 {
            let (size, weight) = (node.size(), node.weight());
            self.nodes += size;
            self.weight += weight;
            self.anchors.insert(anchor, (node.clone(), size, weight));
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Collection::List(items)) => items.push(node),
            Some(Collection::Map { entries, key, seen }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    if let Some(text) = node.text() {
                        match seen.entry(text.to_owned()) {
                            Entry::Vacant(entry) => {
                                entry.insert(node.span.line);
                            }
                            Entry::Occupied(first) => self.problems.push(
                                Problem::at(&node.span, format!("the key `{text}` stands twice"))
                                    .label("the second one")
                                    .help(format!(
                                        "the first one is on line {}; remove one of them",
                                        first.get()
                                    )),
                            ),
                        }
                    }
                    *key = Some(node);
                }
            },
        }
        Ok(())
    }
}

fn scalar(text: String, style: ScalarStyle, span: Span) -> Node {
    let quote = usize::from(matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted));
    let first = span.start + quote;
    let verbatim = span.file.text.get(first..first + text.len()) == Some(text.as_str());
    let origin = if verbatim { vec![(0, first, true)] } else { Vec::new() };
    Node { span, kind: Kind::Scalar(Scalar { text, plain: matches!(style, ScalarStyle::Plain), origin }) }
}

fn too_deep(span: &Span) -> Problem {
    Problem::at(span, format!("lists and mappings are nested more than {DEPTH} deep"))
        .help("a case needs fewer than 10; is a bracket not closed?")
}

fn too_many(span: &Span) -> Problem {
    Problem::at(span, format!("the file has more than {NODES} nodes or 8 MiB, aliases expanded"))
        .help("use `matrix:` and `repeat:`, or several files")
}

/// An error of the YAML parser, with what usually is the cause.
fn syntax(file: &Arc<SourceFile>, error: &ScanError) -> Problem {
    let offset = error.marker().byte_offset().unwrap_or(file.text.len());
    let span = Span::of(file, offset, offset + 1);
    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
        return too_deep(&span);
    }
    let begin = file.text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let line = file.text[begin..].lines().next().unwrap_or("");
    let indent = line.len() - line.trim_start().len();
    let said = format!("this is not YAML: {}", error.info());
    if let Some(tab) = line[..indent].find('\t') {
        return Problem::at(&Span::of(file, begin + tab, begin + tab + 1), said)
            .label("a tab")
            .help("YAML is indented with spaces, never with tabs");
    }
    let problem = Problem::at(&span, said);
    let step = line.trim_start().trim_start_matches("- ").trim_start();
    let colon = matches!(error.kind(), ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement);
    if step.starts_with("run:") || colon {
        return problem
            .help("`: ` and ` #` mean something to YAML: quote the text, as in `- run: \"nft add … : …\"`");
    }
    if step.contains(": >") {
        return problem.help("`>` means something to YAML: write a comparison such as `\">=1\"` in quotes");
    }
    if file.text[span.start..].trim().is_empty() {
        return problem.help("the file ends too early: is a quote or a bracket not closed?");
    }
    problem.help("is the indentation right, and each quote and bracket closed?")
}
