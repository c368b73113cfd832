//! `wireproof check [PATH…]` - reads and validates cases, runs nothing.

use super::CANNOT;
use crate::case::schema;
use crate::case::{Problems, load};
use crate::report::output::{printable, put};
use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

/// What `check` can be told.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Files or folders of cases.
    #[arg(value_name = "PATH", default_value = "cases")]
    pub paths: Vec<PathBuf>,
    /// Prints the JSON Schema of the case language instead.
    #[arg(long, hide = true)]
    pub schema: bool,
}

/// Reads all cases. Exit status 0 when each is right, 2 when one is wrong.
///
/// # Errors
/// When nothing can be printed.
pub fn run(args: &CheckArgs) -> io::Result<u8> {
    if args.schema {
        return put(&schema::text()).map(|()| 0);
    }
    match load(&args.paths) {
        Ok(trials) => {
            let cases: BTreeSet<_> = trials.iter().map(|trial| &trial.case).collect();
            let steps: usize = trials.iter().map(|trial| trial.steps.len()).sum();
            put(&format!("{} cases, {} trials, {steps} steps: all right\n", cases.len(), trials.len()))?;
            Ok(0)
        }
        Err(problems) => Ok(refuse(&problems)),
    }
}

/// Shows what is wrong with cases on stderr; the exit status of a bad case.
#[must_use]
pub fn refuse(problems: &Problems) -> u8 {
    let terminal = io::stderr().is_terminal();
    let text = problems.render(terminal);
    // With colours the text commands the terminal, and is meant to.
    let text = if terminal { text.into() } else { printable(&text) };
    let many = if problems.len() == 1 { "problem" } else { "problems" };
    let _ = writeln!(io::stderr(), "{text}{} {many}; nothing was run", problems.len());
    CANNOT
}
