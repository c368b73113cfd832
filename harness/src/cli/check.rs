//! `wireproof check [PATH…]` - reads and validates cases, runs nothing.

use crate::case::schema;
use crate::case::{Problems, load};
use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

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
#[must_use]
pub fn run(args: &CheckArgs) -> ExitCode {
    if args.schema {
        print!("{}", schema::text());
        return ExitCode::SUCCESS;
    }
    match load(&args.paths) {
        Ok(trials) => {
            let cases: BTreeSet<_> = trials.iter().map(|trial| &trial.case).collect();
            let steps: usize = trials.iter().map(|trial| trial.steps.len()).sum();
            println!("{} cases, {} trials, {steps} steps: all right", cases.len(), trials.len());
            ExitCode::SUCCESS
        }
        Err(problems) => refuse(&problems),
    }
}

/// Shows what is wrong with cases on stderr; the exit status of a bad case.
#[must_use]
pub fn refuse(problems: &Problems) -> ExitCode {
    eprint!("{}", problems.render(std::io::stderr().is_terminal()));
    let many = if problems.len() == 1 { "problem" } else { "problems" };
    eprintln!("{} {many}; nothing was run", problems.len());
    ExitCode::from(2)
}
