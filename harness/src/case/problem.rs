//! What is wrong with a case, and where: shown as a compiler would.

use super::model::{Location, SourceFile};
use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents,
};
use std::collections::BTreeSet;
use std::fmt::{self, Display, Write as _};
use std::sync::Arc;

/// More problems than this are counted, not shown.
const SHOWN: usize = 25;
/// A message or help longer than this many characters is cut.
const LONGEST_MESSAGE: usize = 1_500;
/// Of a source line longer than this many bytes only a part is shown.
const LONGEST_LINE: usize = 200;
/// So many characters of a long line are shown before what is wrong, and so many from there on.
const SHOWN_BEFORE: usize = 30;
const SHOWN_AFTER: usize = 50;

/// A stretch of a file, from one byte to another.
#[derive(Clone, Debug)]
pub struct Span {
    /// The file.
    pub file: Arc<SourceFile>,
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// Line of the first byte, from 1.
    pub line: u32,
    /// Column of the first byte in characters, from 1.
    pub column: u32,
    /// Something here is known to be wrong already: what follows from it is not reported.
    pub spoilt: bool,
}

impl Span {
    /// A stretch whose line and column are counted from the text.
    #[must_use]
    pub fn of(file: &Arc<SourceFile>, start: usize, end: usize) -> Self {
        let mut start = start.min(file.text.len());
        while !file.text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &file.text[..start];
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before[begin..].chars().count() + 1;
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            file: Arc::clone(file),
            start,
            end: end.max(start),
            line: clamp(line),
            column: clamp(column),
            spoilt: false,
        }
    }

    /// Its beginning.
    #[must_use]
    pub fn location(&self) -> Location {
        Location { file: Arc::clone(&self.file), line: self.line, column: self.column }
    }

    /// What a label underlines: not more than the first line.
    fn underlined(&self) -> (usize, usize) {
        let end = self.end.min(self.file.text.len());
        let start = self.start.min(end);
        let text = self.file.text.get(start..end).unwrap_or("");
        (start, text.lines().next().map_or(0, |line| line.trim_end().len()))
    }

    /// The line that it begins in, shortened, if that or a line beside it, which would be shown too, is very long.
    fn excerpt(&self) -> Option<Excerpt> {
        let text = self.file.text.as_str();
        let start = self.start.min(text.len());
        let begin = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let before = text[..begin.saturating_sub(1)].bytes().rev().take_while(|b| *b != b'\n');
        let after = text[end..].bytes().skip(1).take_while(|b| *b != b'\n');
        let many = |count: usize| count > LONGEST_LINE;
        let limit = LONGEST_LINE + 1;
        if !many(end - begin) && !many(before.take(limit).count()) && !many(after.take(limit).count()) {
            return None;
        }
        let visible = |c: char| if c.is_control() { ' ' } else { c };
        let ahead: Vec<char> = text[begin..start].chars().rev().take(SHOWN_BEFORE).collect();
        let behind: String = text[start..end].chars().take(SHOWN_AFTER).map(visible).collect();
        let ahead_bytes: usize = ahead.iter().map(|c| c.len_utf8()).sum();
        let cut = |is_cut: bool| if is_cut { "…" } else { "" };
        let mut line = cut(begin + ahead_bytes < start).to_owned();
        line.extend(ahead.into_iter().rev().map(visible));
        let place = line.len();
        let rest = text[start..end].chars().nth(SHOWN_AFTER).is_some();
        line.push_str(&behind);
        let length = self.underlined().1.min(behind.trim_end().len());
        line.push_str(cut(rest));
        Some(Excerpt { span: self.clone(), line, place, length })
    }
}

/// A part of a very long line, around what is wrong.
#[derive(Clone, Debug)]
struct Excerpt {
    span: Span,
    /// With `…` where it was cut.
    line: String,
    /// Where in it is what is wrong, in bytes.
    place: usize,
    /// How many bytes of it are wrong.
    length: usize,
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.line.read_span(span, before, after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.span.file.path.display().to_string(),
            inner.data(),
            *inner.span(),
            self.span.line.saturating_sub(1) as usize,
            self.span.column.saturating_sub(1) as usize,
            inner.line_count(),
        )))
    }
}

impl SourceCode for SourceFile {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.text.read_span(span, before, after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.path.display().to_string(),
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    message: String,
    place: Option<Span>,
    excerpt: Option<Box<Excerpt>>,
    label: String,
    help: Option<String>,
}

impl Problem {
    /// Something wrong that has no place in a file.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: printable(&message.into()),
            place: None,
            excerpt: None,
            label: "here".into(),
            help: None,
        }
    }

    /// Something wrong at a place.
    #[must_use]
    pub fn at(span: &Span, message: impl Into<String>) -> Self {
        Self { place: Some(span.clone()), excerpt: span.excerpt().map(Box::new), ..Self::new(message) }
    }

    /// What stands under the source line.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = printable(&label.into());
        self
    }

    /// What would be right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(printable(&help.into()));
        self
    }

    /// One more line of help.
    #[must_use]
    pub fn and_help(mut self, more: &str) -> Self {
        let help = self.help.take().map_or_else(String::new, |help| help + "\n");
        self.help = Some(help + &printable(more));
        self
    }

    /// Whether it says what would be right.
    #[must_use]
    pub fn has_help(&self) -> bool {
        self.help.is_some()
    }

    /// Where it is, if it is in a file.
    #[must_use]
    pub fn place(&self) -> Option<Location> {
        self.place.as_ref().map(Span::location)
    }

    /// Whether it only follows from another problem.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.place.as_ref().is_some_and(|span| span.spoilt)
    }

    /// Two problems with the same key are one.
    fn key(&self) -> (Option<(std::path::PathBuf, usize)>, String) {
        let place = self.place.as_ref().map(|span| (span.file.path.clone(), span.start));
        (place, self.message.clone())
    }
}

/// Control characters are shown, not sent to the terminal; a text without end is cut.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        if at >= LONGEST_MESSAGE {
            out.push('…');
            break;
        }
        if c.is_control() && c != '\n' { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        match &self.excerpt {
            Some(excerpt) => Some(&**excerpt as &dyn SourceCode),
            None => Some(&*self.place.as_ref()?.file as &dyn SourceCode),
        }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (start, length) = match &self.excerpt {
            Some(excerpt) => (excerpt.place, excerpt.length),
            None => self.place.as_ref()?.underlined(),
        };
        Some(Box::new(std::iter::once(LabeledSpan::new(Some(self.label.clone()), start, length))))
    }
}

/// All that is wrong with the cases that were read; never empty when it is an error.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    seen: BTreeSet<(Option<(std::path::PathBuf, usize)>, String)>,
}

impl Problems {
    /// Adds one, unless it follows from another or the same is there already: another row or another including file may meet it again.
    pub fn push(&mut self, problem: Problem) {
        if !problem.follows() && self.seen.insert(problem.key()) {
            self.list.push(problem);
        }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// As text for a terminal, with or without colour.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(110).with_links(false);
        let mut out = String::new();
        for problem in self.list.iter().take(SHOWN) {
            if handler.render_report(&mut out, problem).is_err() {
                let _ = writeln!(out, "{problem}");
            }
            out.push('\n');
        }
        if self.list.len() > SHOWN {
            let _ = writeln!(out, "… and {} more problems", self.list.len() - SHOWN);
        }
        out
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

/// `did you mean …`, when a name is near one of those that exist.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, of the first 64 characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let changed = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// `did you mean X? There are A, B, C`: the help for a name that does not exist.
#[must_use]
pub fn choose<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let list = known.join(", ");
    match nearest(name, known.iter().copied()) {
        Some(near) if known.len() > 40 => format!("did you mean `{near}`?"),
        Some(near) => format!("did you mean `{near}`? There are: {list}"),
        None if known.is_empty() => "there are none".into(),
        None => format!("there are: {list}"),
    }
}
