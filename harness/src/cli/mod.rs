//! The commands of `wireproof`.

pub mod args;
pub mod check;
pub mod doctor;
pub mod list;
pub mod run;
pub mod show;
mod stop;

use args::{Arguments, Command};
use std::io;
use std::process::ExitCode;

/// It could not be done as asked.
pub const CANNOT: u8 = 2;

/// Does what the command line says, and gives the exit status. Nobody reading the output any more is no error.
#[must_use]
pub fn main(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::List(arguments) => return list::run(&arguments),
        Command::Check(arguments) => return check::run(&arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Doctor { rig } => doctor::run(rig),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wireproof: {error}");
            ExitCode::from(CANNOT)
        }
    }
}
