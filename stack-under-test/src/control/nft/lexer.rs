//! Words to the tokens of nft's lexer: punctuation stands alone, quotes hold a string together.

use crate::control::GrammarError;
use crate::control::words::{Words, unknown};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

#[derive(Clone, Debug)]
struct Token {
    text: String,
    word: usize,
}

/// The tokens of a command, and how far they were read.
#[derive(Debug)]
pub(super) struct Tokens {
    tokens: Vec<Token>,
    at: usize,
    words: usize,
}

const ALONE: [char; 7] = ['{', '}', ';', ',', '&', '|', '"'];

impl Tokens {
    /// Cuts the words that were not read yet.
    pub(super) fn new(words: &Words<'_>) -> Result<Self, GrammarError> {
        let mut tokens = Vec::new();
        let mut quoted: Option<Token> = None;
        for (word, text) in words.all().iter().enumerate().skip(words.at()) {
            if let Some(open) = &mut quoted {
                open.text.push(' ');
            }
            let mut rest = *text;
            while !rest.is_empty() {
                if let Some(open) = &mut quoted {
                    let end = rest.find('"').unwrap_or(rest.len());
                    open.text.push_str(&rest[..end]);
                    if end < rest.len() {
                        tokens.extend(quoted.take());
                    }
                    rest = rest.get(end + 1..).unwrap_or("");
                } else if let Some(after) = rest.strip_prefix('"') {
                    quoted = Some(Token { text: String::new(), word });
                    rest = after;
                } else {
                    let len = token_len(rest);
                    tokens.push(Token { text: rest[..len].to_string(), word });
                    rest = &rest[len..];
                }
            }
        }
        let words = words.all().len();
        match quoted {
            Some(open) => Err(GrammarError {
                word: open.word,
                message: "the quotes are not closed".to_string(),
                expected: "a closing \"".to_string(),
            }),
            None => Ok(Self { tokens, at: 0, words }),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    pub(super) fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(|token| token.text.as_str())
    }

    /// How many tokens were read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The tokens from `from` to what was read, as text.
    pub(super) fn text_from(&self, from: usize) -> String {
        let parts: Vec<&str> = self.tokens[from..self.at].iter().map(|token| token.text.as_str()).collect();
        parts.join(" ")
    }

    pub(super) fn next(&mut self, expected: &str) -> Result<String, GrammarError> {
        let Some(token) = self.tokens.get(self.at) else {
            return Err(GrammarError {
                word: self.words,
                message: "the command ends too early".to_string(),
                expected: expected.to_string(),
            });
        };
        self.at += 1;
        Ok(token.text.clone())
    }

    pub(super) fn take(&mut self, text: &str) -> bool {
        let is = self.peek() == Some(text);
        self.at += usize::from(is);
        is
    }

    pub(super) fn expect(&mut self, text: &str) -> Result<(), GrammarError> {
        if self.next(text)? == text { Ok(()) } else { Err(self.wrong(text)) }
    }

    pub(super) fn number<N: core::str::FromStr>(&mut self, expected: &str) -> Result<N, GrammarError> {
        let word = self.next(expected)?;
        word.parse().map_err(|_| self.wrong(expected))
    }

    fn last(&self) -> (&str, usize) {
        let token = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        token.map_or(("", self.words), |token| (&token.text, token.word))
    }

    /// The token that was just read is not what it should be.
    pub(super) fn wrong(&self, expected: &str) -> GrammarError {
        let (text, word) = self.last();
        GrammarError {
            word,
            message: format!("\"{text}\" is not {expected}"),
            expected: expected.to_string(),
        }
    }

    /// The token that was just read is nft's, but not supported.
    pub(super) fn unsupported(&self, instead: &str) -> GrammarError {
        let (text, word) = self.last();
        GrammarError {
            word,
            message: format!("\"{text}\" of nft is not supported"),
            expected: instead.to_string(),
        }
    }

    /// The token that was just read is none of `known`.
    pub(super) fn unknown(&self, what: &str, known: &[&str]) -> GrammarError {
        let (text, word) = self.last();
        unknown(word, what, text, known)
    }
}

/// How many bytes of `rest`, which is not empty, the first token has.
fn token_len(rest: &str) -> usize {
    if rest.starts_with(['!', '=', '<', '>']) {
        return if rest[1..].starts_with('=') { 2 } else { 1 };
    }
    if rest.starts_with(ALONE) {
        return 1;
    }
    let stop = |c: char| ALONE.contains(&c) || matches!(c, '!' | '=' | '<' | '>');
    rest.find(stop).unwrap_or(rest.len())
}
