//! wireproof

use clap::Parser;
use harness::cli::{check, list};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "wireproof", version, about)]
enum Arguments {
    /// Reads and validates cases, runs nothing.
    Check(check::CheckArgs),
    /// The cases with what each covers and the rigs that it can run on.
    List(list::ListArgs),
}

fn main() -> ExitCode {
    match Arguments::parse() {
        Arguments::Check(args) => check::run(&args),
        Arguments::List(args) => list::run(&args),
    }
}
