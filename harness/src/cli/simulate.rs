//! `wireproof simulate`: two of our stacks over a bad wire, by seed.

use super::stop;
use crate::report::output::{Output, complain};
use crate::simulate::hostile::fuzz;
use crate::simulate::plan::DEFAULT_BYTES;
use crate::simulate::{Limits, seeds};
use clap::Args;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

/// `wireproof simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The seeds, from the first to before the last
    #[arg(long, value_name = "A..B", default_value = "0..2000", value_parser = range)]
    pub seeds: Range<u64>,
    /// Only this seed; tells what it chooses
    #[arg(long, value_name = "N", conflicts_with = "seeds", value_parser = clap::value_parser!(u64).range(..u64::MAX))]
    pub seed: Option<u64>,
    /// Percent of frames that are lost, instead of what the seed chooses
    #[arg(long, value_name = "PERCENT", value_parser = permille)]
    pub loss: Option<u32>,
    /// The most bytes that one side of a connection sends
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BYTES)]
    pub bytes: u64,
    /// Instead of a second stack, a peer that breaks every rule
    #[arg(long, conflicts_with_all = ["loss", "bytes"])]
    pub hostile: bool,
    /// With --hostile: for so long, and not only the seeds that were asked for
    #[arg(long = "for", value_name = "TIME", value_parser = super::args::duration, requires = "hostile")]
    pub time: Option<Duration>,
    /// How many seeds run at once at most [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
}

/// `A..B`.
pub(super) fn range(text: &str) -> Result<Range<u64>, String> {
    let parsed =
        text.split_once("..").and_then(|(a, b)| Some(a.trim().parse().ok()?..b.trim().parse().ok()?));
    parsed
        .filter(|seeds| seeds.start < seeds.end)
        .ok_or_else(|| format!("{text:?} is no range such as 0..2000"))
}

/// Percent with at most one place, in thousandths.
fn permille(text: &str) -> Result<u32, String> {
    let percent: f64 = text.parse().map_err(|_| format!("{text:?} is no percentage such as 2.5"))?;
    if (0.0..=100.0).contains(&percent) {
        Ok((percent * 10.0).round() as u32)
    } else {
        Err(format!("{text} is not between 0 and 100"))
    }
}

/// Runs the seeds. 1: one failed.
///
/// # Errors
/// When nothing can be printed.
pub fn run(arguments: &SimulateArgs) -> io::Result<u8> {
    let stop = stop::on_signal();
    let limits = Limits { loss: arguments.loss, bytes: arguments.bytes };
    let range = arguments.seed.map_or_else(|| arguments.seeds.clone(), |seed| seed..seed.saturating_add(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.map_or(cores, usize::from);
    let begun = Instant::now();
    if arguments.hostile {
        return hostile(range, arguments.time, jobs, stop);
    }
    let tally = seeds::run(range, &limits, jobs, stop);
    for (_, failure) in &tally.failures {
        complain(failure);
    }
    let mut out = Output::new(io::stdout().lock());
    if let Some(seed) = arguments.seed {
        out.put(&crate::simulate::plan(seed, &limits).to_string())?;
    }
    out.put(&format!(
        "{} seeds, {} failed: {} connections, {} bytes, {} ends with the error that was asked for; {:.1} s\n",
        tally.seeds,
        tally.failures.len(),
        tally.connections,
        tally.bytes,
        tally.errors,
        begun.elapsed().as_secs_f64()
    ))?;
    Ok(u8::from(!tally.failures.is_empty()))
}

/// The seeds of a hostile peer. 1: one failed.
fn hostile(
    mut seeds: Range<u64>,
    time: Option<Duration>,
    jobs: usize,
    stop: &std::sync::atomic::AtomicBool,
) -> io::Result<u8> {
    if time.is_some() {
        seeds.end = u64::MAX;
    }
    let begun = Instant::now();
    let tally = fuzz::run(seeds, time, jobs, stop);
    for (seed, what) in &tally.failures {
        complain(&format!("seed {seed}: {what}\nagain: wireproof simulate --hostile --seed {seed}"));
    }
    let mut out = Output::new(io::stdout().lock());
    let all = &tally.all;
    out.put(&format!(
        "{} seeds, {} failed: {} frames sent, {} segments came back, {} connections; {:.1} s\nat most: {:?}\n",
        tally.seeds,
        tally.failures.len(),
        all.sent,
        all.answered,
        all.opened,
        begun.elapsed().as_secs_f64(),
        all.most
    ))?;
    Ok(u8::from(!tally.failures.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::some("3..7", Some(3..7))]
    #[case::none_of_them("7..7", None)]
    #[case::no_range("7", None)]
    fn seeds_are_a_range(#[case] text: &str, #[case] seeds: Option<Range<u64>>) {
        assert_eq!(range(text).ok(), seeds);
    }

    #[rstest]
    #[case::whole("3", Some(30))]
    #[case::a_tenth("0.1", Some(1))]
    #[case::too_much("101", None)]
    #[case::a_word("much", None)]
    fn loss_is_in_percent(#[case] text: &str, #[case] loss: Option<u32>) {
        assert_eq!(permille(text).ok(), loss);
    }
}
