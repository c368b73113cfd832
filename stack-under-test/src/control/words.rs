//! A cursor over the words of a command, and errors that point at one of them.

use super::GrammarError;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The words of a command, and how far they were read.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    words: &'a [&'a str],
    at: usize,
}

impl<'a> Words<'a> {
    /// At the first of `words`.
    #[must_use]
    pub fn new(words: &'a [&'a str]) -> Self {
        Self { words, at: 0 }
    }

    /// The index of the word that comes next.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// All words, those already read included.
    #[must_use]
    pub fn all(&self) -> &'a [&'a str] {
        self.words
    }

    /// The word that comes next, which stays.
    #[must_use]
    pub fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    /// Whether all words were read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.at >= self.words.len()
    }

    /// Takes the next word.
    ///
    /// # Errors
    /// When there is none: `expected` is what is missing.
    pub fn next(&mut self, expected: &str) -> Result<&'a str, GrammarError> {
        let word = self.peek().ok_or_else(|| self.missing(expected))?;
        self.at += 1;
        Ok(word)
    }

    /// Takes the next word if it is `word`.
    pub fn take(&mut self, word: &str) -> bool {
        let is = self.peek() == Some(word);
        self.at += usize::from(is);
        is
    }

    /// Takes the next word and reads it with `read`.
    ///
    /// # Errors
    /// When there is none, or `read` gives `None`: `expected` is what would be right.
    pub fn value<T>(
        &mut self,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, GrammarError> {
        let word = self.next(expected)?;
        read(word).ok_or_else(|| self.wrong_last(expected))
    }

    /// All words must have been read.
    ///
    /// # Errors
    /// At the first word that was not.
    pub fn finish(&self, expected: &str) -> Result<(), GrammarError> {
        self.peek().map_or(Ok(()), |word| {
            Err(self.error(self.at, format!("\"{word}\" is not understood here"), expected))
        })
    }

    /// An error at the word `at`.
    #[must_use]
    pub fn error(&self, at: usize, message: impl Into<String>, expected: impl Into<String>) -> GrammarError {
        GrammarError { word: at.min(self.words.len()), message: message.into(), expected: expected.into() }
    }

    /// A word is missing at the end.
    #[must_use]
    pub fn missing(&self, expected: &str) -> GrammarError {
        self.error(self.words.len(), "the command ends too early", expected)
    }

    /// The word that was just read is not what it should be.
    #[must_use]
    pub fn wrong_last(&self, expected: &str) -> GrammarError {
        let at = self.at.saturating_sub(1);
        self.error(at, format!("\"{}\" is not {}", self.words.get(at).unwrap_or(&""), expected), expected)
    }

    /// The word that was just read is none of `known`.
    #[must_use]
    pub fn unknown_last(&self, what: &str, known: &[&str]) -> GrammarError {
        let at = self.at.saturating_sub(1);
        unknown(at, what, self.words.get(at).unwrap_or(&""), known)
    }

    /// The word that was just read is known, but not supported: `instead` is what is.
    #[must_use]
    pub fn unsupported_last(&self, instead: &str) -> GrammarError {
        let at = self.at.saturating_sub(1);
        self.error(at, format!("\"{}\" is not supported", self.words.get(at).unwrap_or(&"")), instead)
    }
}

/// The word at `at` is none of `known`; names the nearest.
#[must_use]
pub fn unknown(at: usize, what: &str, word: &str, known: &[&str]) -> GrammarError {
    let message = match nearest(word, known.iter().copied()) {
        Some(near) => format!("unknown {what} \"{word}\"; did you mean \"{near}\"?"),
        None => format!("unknown {what} \"{word}\""),
    };
    GrammarError { word: at, message, expected: one_of(known) }
}

/// `a, b or c`.
#[must_use]
pub fn one_of(known: &[&str]) -> String {
    match known {
        [] => String::new(),
        [only] => (*only).to_string(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The one of `known` that `word` is most likely a slip of: at most a third of its letters differ.
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let limit = (word.chars().count() / 3).clamp(1, 6);
    known.map(|k| (distance(word, k), k)).filter(|&(d, _)| d <= limit).min_by_key(|&(d, _)| d).map(|(_, k)| k)
}

/// How many letters must be changed, added, removed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(80).collect(), b.chars().take(80).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i);
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = core::mem::replace(&mut last, row);
    }
    last[b.len()]
}
