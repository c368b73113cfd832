//! `wireproof run`.

use super::CANNOT;
use super::args::RunArguments;
use crate::case::{self, model::RigKind};
use crate::report::progress::Progress;
use crate::run::pool::{self, Options};
use crate::run::{RigFactory, TrialReport, Verdict, artifacts, rigs};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

/// Reads the cases, runs those that the filter lets through, and tells how they ended.
///
/// # Errors
/// When results cannot be printed or kept.
pub fn run(arguments: &RunArguments) -> io::Result<u8> {
    let trials = match case::load(&arguments.paths) {
        Ok(trials) => trials,
        Err(problems) => {
            let _ = super::check::refuse(&problems);
            return Ok(CANNOT);
        }
    };
    let factory = match rigs::factory(arguments.rig) {
        Ok(factory) => factory,
        Err(why) => {
            eprintln!("wireproof: rig {}: {why}", arguments.rig.name());
            return Ok(CANNOT);
        }
    };
    if arguments.lab.is_some() {
        eprintln!("wireproof: rig {} has no lab to describe; --lab is for vfio", arguments.rig.name());
        return Ok(CANNOT);
    }
    let wanted = arguments.filter.as_deref().unwrap_or_default();
    let chosen: Vec<_> = trials.iter().filter(|trial| trial.name().contains(wanted)).collect();
    if chosen.is_empty() {
        eprintln!("wireproof: no trial of {} has {wanted:?} in its name; nothing ran", trials.len());
        return Ok(CANNOT);
    }
    let cancelled = super::stop::on_signal();
    let options =
        Options { jobs: jobs(arguments, factory.as_ref()), max_wait: arguments.max_wait, cancelled };
    let mut progress = Progress::new(arguments.format, chosen.len());
    let trouble: Mutex<Option<io::Error>> = Mutex::new(None);
    let note = |result: io::Result<()>| {
        if let (Err(error), Ok(mut trouble)) = (result, trouble.lock()) {
            cancelled.store(true, Ordering::Relaxed);
            trouble.get_or_insert(error);
        }
    };
    let keep = |trial: &case::model::Trial, report: &mut TrialReport| {
        if !matches!(report.verdict, Verdict::Skip(_)) {
            note(artifacts::write(&arguments.out, arguments.rig, trial, report).map(drop));
        }
    };
    pool::run(factory.as_ref(), &trials, &chosen, options, &keep, &mut |entry| note(progress.tell(entry)));
    if let Some(error) = trouble.into_inner().ok().flatten() {
        return Err(error);
    }
    let tally = progress.finish(arguments.rig, arguments.junit.as_deref())?;
    if tally.ran() == 0 {
        eprintln!("wireproof: nothing ran");
    }
    Ok(if cancelled.load(Ordering::Relaxed) { 1.max(tally.exit_status()) } else { tally.exit_status() })
}

/// In real time trials one after the other, unless told otherwise: they would make each other late.
fn jobs(arguments: &RunArguments, factory: &dyn RigFactory) -> usize {
    match arguments.jobs {
        Some(jobs) => usize::from(jobs),
        None if factory.kind() == RigKind::Emu => std::thread::available_parallelism().map_or(1, usize::from),
        None => 1,
    }
}
