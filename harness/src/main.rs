//! wireproof
use clap::Parser as _;

fn main() -> std::process::ExitCode {
    harness::cli::main(harness::cli::args::Arguments::parse())
}
