//! Results as they come: a bar on a terminal, plain lines elsewhere, objects for `--format json`.

use super::{Tally, human, json, junit};
use crate::case::model::RigKind;
use crate::run::pool::Entry;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Instant;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// One object a line.
    Json,
}

/// Prints results as they come, and counts them.
pub struct Progress {
    format: Format,
    bar: ProgressBar,
    begin: Instant,
    entries: Vec<Entry>,
    tally: Tally,
}

impl Progress {
    /// For a run of so many trials. There is a bar only if people look at it.
    #[must_use]
    pub fn new(format: Format, trials: usize) -> Self {
        let people = format == Format::Human && io::stderr().is_terminal() && io::stdout().is_terminal();
        let bar = if people { ProgressBar::new(trials as u64) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        Self { format, bar, begin: Instant::now(), entries: Vec::new(), tally: Tally::default() }
    }

    /// Prints a result.
    ///
    /// # Errors
    /// When nobody reads it any more, or it cannot be written.
    pub fn tell(&mut self, entry: Entry) -> io::Result<()> {
        self.tally.add(&entry);
        let text = match self.format {
            Format::Human => human::lines(&entry, !self.bar.is_hidden()),
            Format::Json => json::line(&entry) + "\n",
        };
        self.bar.set_message(entry.name.clone());
        self.bar.inc(1);
        self.entries.push(entry);
        if text.is_empty() {
            return Ok(());
        }
        self.bar.suspend(|| io::stdout().write_all(text.as_bytes()))
    }

    /// Writes the JUnit file if one is wanted, and prints the summary for people.
    ///
    /// # Errors
    /// When either cannot be written.
    pub fn finish(self, rig: RigKind, junit_file: Option<&Path>) -> io::Result<Tally> {
        self.bar.finish_and_clear();
        if let Some(path) = junit_file {
            junit::write(path, rig, &self.entries)?;
        }
        if self.format == Format::Human {
            let mut out = io::stdout().lock();
            for line in self.tally.summary(self.begin.elapsed()) {
                writeln!(out, "{line}")?;
            }
            out.flush()?;
        }
        Ok(self.tally)
    }
}
