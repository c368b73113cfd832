//! The corpus of `wireproof fuzz` is run again, and some seeds: what was found once is not found again.

use harness::fuzz::campaign::{self, Failure, Plan};
use harness::fuzz::{Target, corpus};
use rstest::rstest;
use std::path::Path;
use std::sync::atomic::AtomicBool;

fn kept(target: Target) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(corpus::FOLDER);
    corpus::read(&folder, target).expect("the corpus can be read")
}

#[rstest]
#[case::of_the_emulator(Target::Emulator)]
#[case::of_the_driver(Target::Driver)]
fn every_input_of_the_corpus_passes(#[case] target: Target) {
    let inputs = kept(target);
    assert!(inputs.len() >= 4, "{} inputs", inputs.len());
    for (path, input) in inputs {
        let features = target.run(&input).unwrap_or_else(|what| panic!("{}: {what}", path.display()));
        assert!(features.count() > 10, "{} does nothing", path.display());
    }
}

#[rstest]
#[case::of_the_emulator(Target::Emulator)]
#[case::of_the_driver(Target::Driver)]
fn some_seeds_pass_and_show_more_than_the_corpus(#[case] target: Target) {
    let plan = Plan {
        target,
        seeds: 0..12,
        time: None,
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        corpus: kept(target).into_iter().map(|(_, input)| input).collect(),
    };
    let hangs = |failure: &Failure| eprintln!("seed {} hangs: {}", failure.seed, failure.what);
    let tally = campaign::run(&plan, &AtomicBool::new(false), &hangs);
    assert!(
        tally.failures.is_empty(),
        "again: wireproof fuzz {} --seeds …: {:?}",
        target.name(),
        tally.failures
    );
    assert!(
        tally.inputs > 400 && tally.features.count() > 300,
        "{} of {}",
        tally.features.count(),
        tally.inputs
    );
}

#[test]
fn an_input_does_the_same_each_time() {
    for target in [Target::Emulator, Target::Driver] {
        for (_, input) in kept(target) {
            assert_eq!(target.run(&input), target.run(&input));
        }
    }
}
