//! `wireproof fuzz`: any use of the emulated NIC, and any device under the driver.

use super::args::duration;
use super::simulate::range;
use super::stop;
use crate::fuzz::campaign::{Failure, Plan, Tally};
use crate::fuzz::{Target, campaign, corpus};
use crate::report::output::{Output, complain};
use clap::Args;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

/// Where failing inputs are left, unless told otherwise.
const FAILED: &str = "target/wireproof/fuzz";

/// `wireproof fuzz`.
#[derive(Debug, Args)]
pub struct FuzzArgs {
    /// What is fuzzed
    #[arg(value_name = "TARGET")]
    pub target: Target,
    /// Run these inputs alone, and tell what they do
    #[arg(value_name = "INPUT", conflicts_with_all = ["seeds", "time"])]
    pub inputs: Vec<PathBuf>,
    /// The seeds, from the first to before the last
    #[arg(long, value_name = "A..B", default_value = "0..500", value_parser = range)]
    pub seeds: Range<u64>,
    /// For so long, and not only the seeds that were asked for
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub time: Option<Duration>,
    /// How many seeds run at once at most [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Inputs to start from: a folder with one for each target; none is no error
    #[arg(long, value_name = "DIR", default_value = corpus::FOLDER)]
    pub corpus: PathBuf,
    /// Leave here the inputs that showed most that was new
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Runs the inputs or the seeds. 1: one failed.
///
/// # Errors
/// When an input cannot be read, or nothing can be printed or written.
pub fn run(arguments: &FuzzArgs) -> io::Result<u8> {
    if !arguments.inputs.is_empty() {
        return replay(arguments.target, &arguments.inputs);
    }
    let stop = stop::on_signal();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let corpus = match corpus::read(&arguments.corpus, arguments.target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        result => result?,
    };
    let plan = Plan {
        target: arguments.target,
        seeds: if arguments.time.is_some() {
            arguments.seeds.start..u64::MAX
        } else {
            arguments.seeds.clone()
        },
        time: arguments.time,
        jobs: arguments.jobs.map_or(cores, usize::from),
        corpus: corpus.into_iter().map(|(_, input)| input).collect(),
    };
    let begun = Instant::now();
    // Panics are failures, and told as such.
    std::panic::set_hook(Box::new(|_| {}));
    let tally = campaign::run(&plan, stop, &|failure| tell(plan.target, failure));
    let _ = std::panic::take_hook();
    for failure in &tally.failures {
        tell(plan.target, failure);
    }
    if let Some(folder) = &arguments.keep {
        keep(folder, plan.target, &tally)?;
    }
    Output::new(io::stdout().lock()).put(&format!(
        "{}: {} seeds, {} inputs, {} failed: {} features, {} inputs showed a new one; at most {} MiB; {:.1} s\n",
        plan.target.name(),
        tally.seeds,
        tally.inputs,
        tally.failures.len(),
        tally.features.count(),
        tally.showed.len(),
        tally.memory >> 20,
        begun.elapsed().as_secs_f64()
    ))?;
    Ok(u8::from(!tally.failures.is_empty()))
}

/// Runs inputs from files. 1: one failed.
fn replay(target: Target, inputs: &[PathBuf]) -> io::Result<u8> {
    let mut out = Output::new(io::stdout().lock());
    let mut failed = false;
    for path in inputs {
        let read = fs::read(path);
        let input =
            read.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        let begun = Instant::now();
        let said = match target.run(&input) {
            Ok(features) => format!("ok, {} features", features.count()),
            Err(what) => {
                failed = true;
                format!("FAILED: {what}")
            }
        };
        out.put(&format!("{}: {said}, {:.1} ms\n", path.display(), begun.elapsed().as_secs_f64() * 1e3))?;
    }
    Ok(u8::from(failed))
}

/// Says what failed, and how to run it again.
fn tell(target: Target, failure: &Failure) {
    let Failure { seed, what, input } = failure;
    let name = format!("seed-{seed}");
    let again = match corpus::keep(Path::new(FAILED), target, &name, input) {
        Ok(path) => format!("wireproof fuzz {} {}", target.name(), path.display()),
        Err(error) => format!("wireproof fuzz {} --seeds {seed}..{} ({error})", target.name(), seed + 1),
    };
    complain(&format!("seed {seed}: {what}\nagain: {again}"));
}

/// Leaves the inputs that showed most.
fn keep(folder: &Path, target: Target, tally: &Tally) -> io::Result<()> {
    let mut best: Vec<_> = tally.showed.iter().collect();
    best.sort_by_key(|(new, _)| std::cmp::Reverse(*new));
    for (nth, (_, input)) in best.iter().take(KEPT_MAX).enumerate() {
        corpus::keep(folder, target, &format!("shows-{nth:02}"), input)?;
    }
    Ok(())
}

/// Inputs that `--keep` leaves at most.
const KEPT_MAX: usize = 40;
