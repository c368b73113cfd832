//! Real time: what comes too late, what the harness or the machine was late by, and the verdict of both.

use super::*;
use crate::run::lateness::{Late, decide};
use crate::run::select::smallest_tolerance;

/// How late who was, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Lateness {
    /// The reader, for each frame.
    reading: u64,
    /// The engine, in waking up.
    waking: u64,
    /// The machine, as its canaries have it.
    machine: u64,
}

const ON_TIME: Lateness = Lateness { reading: 0, waking: 0, machine: 0 };

fn reading(ms: u64) -> Lateness {
    Lateness { reading: ms, ..ON_TIME }
}

fn machine(ms: u64) -> Lateness {
    Lateness { machine: ms, ..ON_TIME }
}

/// The verdict on a trial in real time to which frames come, each at its millisecond.
fn verdict(trial: &Trial, frames: &[(u64, u64)], late: Lateness) -> &'static str {
    let mut rig = Scripted { oversleeps: Some(late.waking * MS), ..Scripted::default() };
    for (at, port) in frames {
        let (at, bytes) = (at * MS, frame_to(*port));
        rig.at(at, Event::Frame(SeenFrame { at, late: late.reading * MS, bytes, packet: None }));
    }
    judged(&mut rig, trial, late)
}

fn judged(rig: &mut Scripted, trial: &Trial, late: Lateness) -> &'static str {
    let (mut record, cancelled, unread) = (Record::default(), AtomicBool::new(false), Unread::default());
    let machine = |_| late.machine * MS;
    let mut engine = Engine::new(rig, trial, &mut record, &unread, &machine, &cancelled);
    let failure = match engine.run() {
        Ok(()) => None,
        Err(Stop::Failed(failure)) => Some(*failure),
        Err(other) => panic!("the script is wrong: {other:?}"),
    };
    let failing = failure.as_ref().map_or(0, |f| engine.all_late_since(f.excuse.since()));
    let late = Late { harness: engine.late_since(0), failing };
    decide(failure, late, smallest_tolerance(trial)).word()
}

#[rstest]
#[case::in_time(10, 10, ON_TIME, "pass")]
#[case::late_and_nobody_else_was(10, 11, ON_TIME, "fail")]
#[case::late_by_as_much_as_the_reader(10, 13, reading(3), "inconclusive")]
#[case::late_by_more_than_the_reader(10, 14, reading(3), "fail")]
#[case::late_by_as_much_as_the_machine(10, 17, machine(7), "inconclusive")]
#[case::late_by_more_than_the_machine(10, 18, machine(7), "fail")]
#[case::in_time_on_a_machine_that_was_late(10, 9, machine(300), "pass")]
#[case::in_time_and_read_within_the_bound(10, 9, reading(10), "pass")]
#[case::in_time_but_read_too_late_to_tell(10, 9, reading(11), "inconclusive")]
fn a_frame_that_is_due(
    #[case] within_ms: u64,
    #[case] came_ms: u64,
    #[case] late: Lateness,
    #[case] word: &str,
) {
    let within = Some(Duration::from_millis(within_ms));
    let trial = trial(vec![Action::Expect(Expect { within, ..expected(7) })]);
    assert_eq!(verdict(&trial, &[(came_ms, 7)], late), word);
}

#[rstest]
#[case::never(None, machine(100), "fail")]
#[case::never_on_a_machine_that_stood_still_all_the_time(None, machine(1000), "inconclusive")]
#[case::while_a_late_one_is_waited_for(Some(1040), machine(40), "inconclusive")]
#[case::when_nobody_waits_any_more(Some(1041), machine(40), "fail")]
fn a_frame_comes_after_its_second(#[case] came_ms: Option<u64>, #[case] late: Lateness, #[case] word: &str) {
    let frames: Vec<_> = came_ms.map(|ms| (ms, 7)).into_iter().collect();
    assert_eq!(verdict(&trial(vec![expect(7)]), &frames, late), word);
}

#[rstest]
#[case::on_time(1000, ON_TIME, "pass")]
#[case::too_late(1150, ON_TIME, "fail")]
#[case::too_late_by_what_was_late(1150, machine(5), "inconclusive")]
#[case::too_late_by_more(1150, machine(4), "fail")]
#[case::too_early(850, ON_TIME, "fail")]
#[case::too_early_for_the_first_was_read_late(850, reading(5), "inconclusive")]
#[case::on_time_but_read_too_late_to_tell(1000, reading(146), "inconclusive")]
fn a_frame_a_second_after_another(#[case] gap_ms: u64, #[case] late: Lateness, #[case] word: &str) {
    let first = Expect { name: Some("first".to_owned()), ..expected(7) };
    let after =
        After { step: "first".to_owned(), delay: Duration::from_secs(1), tolerance: Tolerance::Default };
    let second = Expect { after: Some(after), ..expected(8) };
    let trial = trial(vec![Action::Expect(first), Action::Expect(second)]);
    assert_eq!(verdict(&trial, &[(1, 7), (1 + gap_ms, 8)], late), word);
}

#[rstest]
#[case::on_time(ON_TIME, "fail")]
#[case::late_by_what_every_trial_bears(machine(5), "fail")]
#[case::late_by_more(machine(6), "inconclusive")]
#[case::read_late_by_more(reading(6), "inconclusive")]
fn another_frame_than_the_one_expected(#[case] late: Lateness, #[case] word: &str) {
    assert_eq!(verdict(&trial(vec![expect(7)]), &[(1, 8)], late), word);
    let quiet = trial(vec![Action::Quiet(Duration::from_millis(10))]);
    assert_eq!(verdict(&quiet, &[(1, 8)], late), word);
    let unexplained = trial(vec![expect(7), Action::Wait(Duration::from_millis(10))]);
    assert_eq!(verdict(&unexplained, &[(1, 7), (2, 8)], late), word);
}

#[rstest]
#[case::in_time(145, ON_TIME, "pass")]
#[case::too_late(147, ON_TIME, "fail")]
#[case::too_late_by_what_was_late(147, machine(2), "inconclusive")]
#[case::too_late_by_more(149, machine(2), "fail")]
fn a_call_that_blocks(#[case] took_ms: u64, #[case] late: Lateness, #[case] word: &str) {
    let mut rig = Scripted { oversleeps: Some(0), ..Scripted::default() };
    rig.calls.push_back((Ok(Returned::default()), took_ms * MS, Vec::new()));
    let tolerance = Tolerance::Time(Duration::from_millis(46));
    let after = Some((Duration::from_millis(100), tolerance));
    let trial = trial(vec![call(Outcome { after, ..Outcome::default() }, None)]);
    assert_eq!(judged(&mut rig, &trial, late), word);
}

#[test]
fn a_command_that_fails_is_explained_by_no_lateness() {
    assert_eq!(verdict(&trial(vec![command("refused", None)]), &[], machine(5_000)), "fail");
}

#[rstest]
#[case::at_once(1, "fail")]
#[case::in_as_long_as_every_trial_bears(5, "fail")]
#[case::in_longer(6, "inconclusive")]
fn a_counter_that_is_wrong_was_read(#[case] reading_ms: u64, #[case] word: &str) {
    let reads_for = reading_ms * MS;
    let mut rig = Scripted { oversleeps: Some(0), reads_for, ..Scripted::default() };
    assert_eq!(judged(&mut rig, &trial(vec![Action::Check(counter_is(99))]), ON_TIME), word);
}

#[test]
fn a_wait_that_was_too_long_counts_against_what_follows() {
    let within = Some(Duration::from_millis(5));
    let steps =
        || vec![Action::Wait(Duration::from_millis(20)), Action::Expect(Expect { within, ..expected(7) })];
    let woke = |ms| Lateness { waking: ms, ..ON_TIME };
    assert_eq!(verdict(&trial(steps()), &[(26, 7)], woke(5)), "pass");
    assert_eq!(verdict(&trial(steps()), &[(27, 7)], woke(6)), "inconclusive");
}
