//! Results as they come: a bar on a terminal, plain lines elsewhere, objects for `--format json`.

use super::output::Output;
use super::{Tally, human, json, junit};
use crate::case::model::RigKind;
use crate::run::pool::Entry;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal as _};
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
    output: Output<io::Stdout>,
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
        let output = Output::new(io::stdout());
        Self { format, bar, begin: Instant::now(), entries: Vec::new(), tally: Tally::default(), output }
    }

    /// Prints a result, as long as somebody reads it.
    ///
    /// # Errors
    /// When it cannot be written.
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
        self.bar.suspend(|| self.output.put(&text))
    }

    /// Prints the summary for people, and writes the JUnit file if one is wanted. Gives the counts, and the first thing that
    /// could not be written.
    pub fn finish(mut self, rig: RigKind, junit_file: Option<&Path>) -> (Tally, io::Result<()>) {
        self.bar.finish_and_clear();
        let mut written = Ok(());
        if self.format == Format::Human {
            let lines = self.tally.summary(self.begin.elapsed());
            written = self.output.put(&(lines.join("\n") + "\n"));
        }
        if let Some(path) = junit_file {
            written = written.and(junit::write(path, rig, &self.entries));
        }
        (self.tally, written)
    }
}
