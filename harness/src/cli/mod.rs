//! The commands of `wireproof`.

pub mod args;
pub mod check;
pub mod compare;
pub mod doctor;
pub mod fuzz;
pub mod list;
mod places;
pub mod run;
pub mod show;
pub mod simulate;
mod soak;
pub mod stop;

use crate::case::model::RigKind;
use crate::report::output::complain;
use crate::rig::linux::rights;
use args::{Arguments, Command};
use std::process::ExitCode;

/// It could not be done as asked.
pub const CANNOT: u8 = 2;

/// Does what the command line says, and gives the exit status. Nobody reading the output any more is no error. To be called while the
/// process has one thread.
#[must_use]
pub fn main(arguments: Arguments) -> ExitCode {
    if needs_namespaces(&arguments.command) {
        // Why it cannot is told where the rig is asked for.
        let _ = rights::enter();
    }
    let done = match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(CANNOT)
        }
    }
}

/// Whether a command has to do with the linux rig, or may have the kernel as a peer.
fn needs_namespaces(command: &Command) -> bool {
    match command {
        // The ports of a lab are those of the machine.
        // On emu for cases with a real peer.
        Command::Run(arguments) => {
            matches!(arguments.rig, RigKind::Linux | RigKind::Emu) && arguments.trials.lab.is_none()
        }
        Command::Compare(arguments) => {
            let may = |rig: &RigKind| matches!(rig, RigKind::Linux | RigKind::Emu);
            arguments.rig.iter().any(may) && arguments.trials.lab.is_none()
        }
        Command::Doctor(arguments) => {
            let may = arguments.rig.is_none_or(|rig| rig == RigKind::Linux);
            may && arguments.lab.is_none() && !arguments.repair
        }
        Command::List(_) | Command::Check(_) | Command::Show(_) | Command::Simulate(_) | Command::Fuzz(_) => {
            false
        }
    }
}
