//! The command line.

use super::check::CheckArgs;
use super::fuzz::FuzzArgs;
use super::list::ListArgs;
use super::simulate::SimulateArgs;
use crate::case::model::RigKind;
use crate::report::progress::Format;
use crate::rig::linux::wire::WireKind;
use crate::rig::qemu::{Accel, ClockKind, Options};
use crate::run::governor::Governor;
use crate::run::rigs::With;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Where runs leave what they saw.
pub const DEFAULT_OUT: &str = "target/wireproof";
/// In real time, a case that itself waits for longer is skipped.
pub const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(10);
/// Where cases are.
pub const DEFAULT_CASES: &str = "cases";

/// Runs conformance cases against a network stack and its NIC driver, and judges them on the wire.
///
/// Exit status: 0 all passed; 1 a case failed, was inconclusive, or its rig died under it; 2 it could not be run as asked,
/// or nothing ran.
#[derive(Debug, Parser)]
#[command(name = "wireproof", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run cases
    Run(RunArguments),
    /// Run cases on two rigs, and show where results, frames, neighbours or counters differ
    Compare(CompareArguments),
    /// List the cases with what each covers and the rigs it can run on
    List(ListArgs),
    /// Read and validate cases, run nothing
    Check(CheckArgs),
    /// Show the last run of a case: ladder of frames, journey of each packet, counters
    Show(ShowArguments),
    /// Run two of our stacks over a wire that loses, reorders, duplicates and corrupts, by seed
    Simulate(SimulateArgs),
    /// Fuzz the emulated NIC, or the driver over a device that lies
    Fuzz(FuzzArgs),
    /// Tell what a rig needs, what of it is here, and the command that gets the rest
    Doctor(DoctorArguments),
}

/// `wireproof doctor`.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Only this rig
    #[arg(long, value_name = "NAME")]
    pub rig: Option<RigKind>,
    /// Also look at the ports of this lab, and send a frame through their cable each way (vfio and linux; as root)
    #[arg(long, value_name = "FILE", requires = "rig")]
    pub lab: Option<PathBuf>,
    /// Put back the ports of a lab that a run has left when it was killed; before anything else
    #[arg(long)]
    pub repair: bool,
}

/// What runs of trials are told, on one rig or on two.
#[derive(Debug, Args)]
pub struct TrialArguments {
    /// Case files, or folders of them
    #[arg(value_name = "PATH", default_value = DEFAULT_CASES)]
    pub paths: Vec<PathBuf>,
    /// The description of a lab, for rigs that need one
    #[arg(long, value_name = "FILE")]
    pub lab: Option<PathBuf>,
    /// The wire of the linux rig
    #[arg(long, value_name = "KIND", default_value = "auto")]
    pub wire: WireKind,
    /// On the qemu rig, boot a guest for each trial, in place of one for many
    #[arg(long)]
    pub isolate: bool,
    /// How the CPU of the qemu rig is had
    #[arg(long, value_name = "KIND", default_value = "tcg")]
    pub accel: Accel,
    /// How long the guest of the qemu rig may take to answer before it is taken to hang
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = patience)]
    pub patience: Duration,
    /// Only trials whose name contains this text
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// How many trials run at once at most on a rig; in real time fewer, while they make each other late [default: one for each
    /// core; 8 in real time]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Run a trial again, so often at most, that was inconclusive; each time is told
    #[arg(long, value_name = "N", default_value = "0", value_parser = clap::value_parser!(u8).range(..=100))]
    pub retries: u8,
    /// Where to leave what was seen
    #[arg(long, value_name = "DIR", default_value = DEFAULT_OUT)]
    pub out: PathBuf,
    /// How to print results
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
    /// In real time, skip cases that themselves wait for longer than this
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub max_wait: Duration,
}

impl TrialArguments {
    fn with(&self, lab: Option<PathBuf>, clock: ClockKind) -> With {
        let (isolated, accel, patience) = (self.isolate, self.accel, self.patience);
        With { wire: self.wire, lab, qemu: Options { isolated, accel, clock, patience } }
    }
}

/// `wireproof run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The trials, and how they run.
    #[command(flatten)]
    pub trials: TrialArguments,
    /// The rig to run on
    #[arg(long, value_name = "NAME", default_value = "emu")]
    pub rig: RigKind,
    /// Whom the clock of the stack follows, on the qemu rig: the harness, which skips what it waits for, or real time
    #[arg(long, value_name = "KIND", default_value = "virtual")]
    pub clock: ClockKind,
    /// Also write results to this file, for CI
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Repeat the suite until this time is over, twice at least, and tell of verdicts that change, counters that drift, and what
    /// leaks
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "junit")]
    pub soak: Option<Duration>,
}

impl RunArguments {
    /// What the rig is to be made with.
    #[must_use]
    pub fn with(&self) -> With {
        self.trials.with(self.trials.lab.clone(), self.clock)
    }
}

/// `wireproof compare`.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// The trials, and how they run, on one rig after the other.
    #[command(flatten)]
    pub trials: TrialArguments,
    /// The rigs to compare: given twice
    #[arg(long, value_name = "NAME", default_values = ["emu", "linux"])]
    pub rig: Vec<RigKind>,
}

impl CompareArguments {
    /// The two rigs.
    ///
    /// # Errors
    /// A sentence when they are not two.
    pub fn rigs(&self) -> Result<(RigKind, RigKind), String> {
        match self.rig[..] {
            [a, b] => Ok((a, b)),
            _ => Err(format!("compare needs two rigs, not {}: --rig emu --rig linux", self.rig.len())),
        }
    }

    /// What a rig is to be made with; a lab is for rigs that have one.
    #[must_use]
    pub fn with(&self, rig: RigKind) -> With {
        let lab = self.trials.lab.clone().filter(|_| matches!(rig, RigKind::Linux | RigKind::Vfio));
        self.trials.with(lab, ClockKind::Virtual)
    }

    /// Worker threads on a rig, as many as a run has there unless told otherwise.
    #[must_use]
    pub fn jobs_on(&self, rig: RigKind) -> usize {
        self.trials.jobs.map_or_else(|| Governor::usual_limit(rig), usize::from)
    }
}

/// `wireproof show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// A case by its name or its file, or one row of it: `ip/fragments[mtu=576,length=549]`
    pub case: String,
    /// The rig that it ran on
    #[arg(long, value_name = "NAME", default_value = "emu")]
    pub rig: RigKind,
    /// Where the run left what it saw
    #[arg(long, value_name = "DIR", default_value = DEFAULT_OUT)]
    pub out: PathBuf,
}

/// `500ms`, `10s`, `2m`, `8h`, or a number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("{unit:?} is no unit of time; use us, ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is not a time such as 500ms or 10s"))?;
    Duration::try_from_secs_f64(number * scale).map_err(|_| format!("{text:?} is too long a time"))
}

/// A time that a guest can do something in.
fn patience(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < LEAST_PATIENCE {
        return Err(format!(
            "in {text:?} no guest can answer; {LEAST_PATIENCE:?} is the least, and 10s the usual"
        ));
    }
    Ok(time)
}

/// The least that a guest may be given to answer: some answers take several milliseconds.
const LEAST_PATIENCE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[rstest]
    #[case::milliseconds("500ms", Some(Duration::from_millis(500)))]
    #[case::seconds("2.5s", Some(Duration::from_millis(2500)))]
    #[case::minutes("2m", Some(Duration::from_secs(120)))]
    #[case::a_bare_number("3", Some(Duration::from_secs(3)))]
    #[case::no_number("s", None)]
    #[case::hours("3h", Some(Duration::from_secs(10_800)))]
    #[case::no_unit_of_time("3d", None)]
    fn a_time_has_a_unit(#[case] text: &str, #[case] time: Option<Duration>) {
        assert_eq!(duration(text).ok(), time);
    }
}
