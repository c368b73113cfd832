//! `wireproof run`.

use super::args::{DEFAULT_MAX_WAIT, DEFAULT_OUT, RunArguments};
use super::soak::Suite;
use super::{CANNOT, places};
use crate::case;
use crate::report::again::Again;
use crate::report::output::complain;
use crate::report::progress::Progress;
use crate::rig::qemu::ClockKind;
use crate::run::governor::Governor;
use crate::run::pool::{self, Options};
use crate::run::soak::leaks::Usage;
use crate::run::{RigFactory, TrialReport, Verdict, artifacts, rigs};
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

/// Reads the cases, runs those that the filter lets through, and tells how they ended.
///
/// # Errors
/// When no case failed, and results cannot be printed or kept.
pub fn run(arguments: &RunArguments) -> io::Result<u8> {
    // Before all else: reading many cases takes its time, and a rig may start threads and have something to take down.
    let cancelled = super::stop::on_signal();
    let before = Usage::now();
    let trials = match case::load(&arguments.trials.paths) {
        Ok(trials) => trials,
        Err(problems) => return Ok(super::check::refuse(&problems)),
    };
    let factory = match rigs::factory(arguments.rig, &arguments.with()) {
        Ok(factory) => factory,
        Err(why) => return Ok(cannot(&format!("rig {}: {why}", arguments.rig.name()))),
    };
    let wanted = arguments.trials.filter.as_deref().unwrap_or_default();
    let chosen: Vec<_> = trials.iter().filter(|trial| trial.name().contains(wanted)).collect();
    if chosen.is_empty() {
        let all = trials.len();
        return Ok(cannot(&format!("no trial of {all} has {wanted:?} in its name; nothing ran")));
    }
    if let Some(why) = factory.objection(&chosen) {
        return Ok(cannot(&why));
    }
    if let Err(why) = places::writable(&arguments.trials.out, arguments.junit.as_deref()) {
        return Ok(cannot(&why));
    }
    factory.notes().iter().for_each(|note| complain(note));
    let again = again(arguments);
    let options = Options {
        jobs: jobs(arguments, factory.as_ref()),
        max_wait: arguments.trials.max_wait,
        retries: arguments.trials.retries.into(),
        cancelled,
        again: &again,
    };
    if let Some(time) = arguments.soak {
        let suite = Suite { factory, all: &trials, chosen: &chosen, options, before };
        return super::soak::run(arguments, time, suite);
    }
    let mut progress = Progress::new(arguments.trials.format, chosen.len());
    // What cannot be kept or printed changes no verdict: the run goes on to its end, and says so then.
    let trouble: Mutex<Option<io::Error>> = Mutex::new(None);
    let note = |result: io::Result<()>| {
        if let (Err(error), Ok(mut trouble)) = (result, trouble.lock()) {
            trouble.get_or_insert(error);
        }
    };
    let keep = |trial: &case::model::Trial, report: &mut TrialReport| {
        if !matches!(report.verdict, Verdict::Skip(_)) {
            note(artifacts::write(&arguments.trials.out, arguments.rig, trial, report, &again).map(drop));
        }
        None
    };
    pool::run(factory.as_ref(), &trials, &chosen, options, &keep, &mut |entry| note(progress.tell(entry)));
    let (tally, written) = progress.finish(arguments.rig, arguments.junit.as_deref());
    note(written);
    if tally.ran() + tally.not_run == 0 {
        complain("nothing ran");
    }
    let status =
        if cancelled.load(Ordering::Relaxed) { 1.max(tally.exit_status()) } else { tally.exit_status() };
    match trouble.into_inner().ok().flatten() {
        Some(error) if status == 1 => {
            complain(&error.to_string());
            Ok(status)
        }
        Some(error) => Err(error),
        None => Ok(status),
    }
}

/// How to run one trial again, as this run runs it.
fn again(arguments: &RunArguments) -> Again {
    let mut again = Again::this_program();
    if arguments.trials.out != Path::new(DEFAULT_OUT) {
        again = again.with("--out", &arguments.trials.out.display().to_string());
    }
    if arguments.clock == ClockKind::Real {
        again = again.with("--clock", "real");
    }
    if arguments.trials.max_wait != DEFAULT_MAX_WAIT {
        again = again.with("--max-wait", &format!("{}us", arguments.trials.max_wait.as_micros()));
    }
    again
}

fn cannot(why: &str) -> u8 {
    complain(why);
    CANNOT
}

fn jobs(arguments: &RunArguments, factory: &dyn RigFactory) -> usize {
    let asked = arguments.trials.jobs.map_or_else(|| Governor::usual_limit(factory.kind()), usize::from);
    let most = factory.at_once().unwrap_or(asked);
    if arguments.trials.jobs.is_some() && asked > most {
        complain(&format!("--jobs {asked} is {most} here: there is one port under test"));
    }
    asked.min(most)
}
