//! Standard output and standard error as `wireproof` uses them: a reader that went away silences them and stops nothing, and
//! what no terminal should get is shown, not sent.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Write};

/// A writer that falls silent when its reader goes away.
#[derive(Debug)]
pub struct Output<W> {
    to: W,
    silent: bool,
}

impl<W: Write> Output<W> {
    /// One that writes there.
    pub fn new(to: W) -> Self {
        Self { to, silent: false }
    }

    /// Writes a text at once.
    ///
    /// # Errors
    /// When it cannot be written, as on a full disk. A reader that went away is no error: from then on nothing is written.
    pub fn put(&mut self, text: &str) -> io::Result<()> {
        if self.silent {
            return Ok(());
        }
        let written = self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush());
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.silent = true;
                Ok(())
            }
            written => written,
        }
    }
}

/// Writes a text to standard output, as it is; nobody reading it is no error.
///
/// # Errors
/// When it cannot be written, as on a full disk.
pub fn put(text: &str) -> io::Result<()> {
    Output::new(io::stdout().lock()).put(text)
}

/// Says on standard error what went wrong. When that cannot be written there is nobody left to tell.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "wireproof: {}", printable(text));
}

/// A text without what could command a terminal: control characters and marks that turn the direction of text, but for
/// line ends and tabs, are written as Rust escapes them.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(commands_a_terminal) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if commands_a_terminal(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

fn commands_a_terminal(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && !matches!(c, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Fails with this from the second time on.
    struct Ends(ErrorKind, usize);

    impl Write for Ends {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1 > 1 { Err(self.0.into()) } else { Ok(bytes.len()) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[rstest]
    #[case::a_reader_that_went_away(ErrorKind::BrokenPipe, None)]
    #[case::a_full_disk(ErrorKind::StorageFull, Some(ErrorKind::StorageFull))]
    fn only_a_reader_that_went_away_is_no_error(#[case] end: ErrorKind, #[case] error: Option<ErrorKind>) {
        let mut output = Output::new(Ends(end, 0));
        assert!(output.put("first").is_ok());
        assert_eq!(output.put("second").err().map(|e| e.kind()), error);
    }

    #[test]
    fn nothing_is_written_once_nobody_reads() {
        let mut output = Output::new(Ends(ErrorKind::BrokenPipe, 0));
        for text in ["first", "second", "third"] {
            assert!(output.put(text).is_ok());
        }
        assert_eq!(output.to.1, 2);
    }

    #[rstest]
    #[case::plain_text("a\n\tb → c", "a\n\tb → c")]
    #[case::a_colour("\u{1b}[31mred", "\\u{1b}[31mred")]
    #[case::a_carriage_return("pass\rFAIL", "pass\\rFAIL")]
    #[case::a_control_character_of_8_bits("\u{9b}2J", "\\u{9b}2J")]
    #[case::text_from_right_to_left("\u{202e}abc", "\\u{202e}abc")]
    fn nothing_commands_a_terminal(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(printable(text), shown);
    }
}
