//! `faults:` - each of them strikes during its trial, or the case is about something else than it says.

use super::outcome::show_time;
use super::verdict::Failure;
use crate::case::model::{Fault, Nanos, Trial};
use crate::rig::FaultCount;

/// The failure when a fault that the trial asks for has not struck by this time: the first of them, and the others. `counts` are in the
/// order of the trial's faults; a rig that does not tell gives none.
#[must_use]
pub fn missing(trial: &Trial, counts: &[FaultCount], now: Nanos) -> Option<Failure> {
    let mut idle = trial.faults.iter().zip(counts).filter(|(_, count)| count.struck == 0);
    let (first, count) = idle.next()?;
    let others = idle.map(|(fault, count)| message(fault, *count, now));
    Some(Failure::at(&first.at, message(first, *count, now)).with(others))
}

/// Which fault it is, and why it did not strike.
fn message(fault: &Fault, count: FaultCount, now: Nanos) -> String {
    format!("the fault `{}` did not strike: {}", fault.kind, why(fault, count, now))
}

fn why(fault: &Fault, FaultCount { seen, .. }: FaultCount, now: Nanos) -> String {
    let of = |name| fault.arguments.get(name).copied();
    let were = match seen {
        0 => "there were none".to_owned(),
        1 => "there was 1".to_owned(),
        n => format!("there were {n}"),
    };
    if let Some(nth) = of("nth") {
        return if u64::from(seen) < nth {
            format!("it is for number {nth} since the first step, and {were}")
        } else {
            "another fault of the case struck in its place".to_owned()
        };
    }
    if let Some(share) = of("per_mille") {
        return format!("it is for {share} of 1000 since the first step, {were}, and none was one of them");
    }
    let at = of("at_ns").unwrap_or(0);
    if now < at {
        return format!("it is for {}, and the last step ended at {}", show_time(at), show_time(now));
    }
    if let Some(span) = of("for_ns").filter(|_| of("register").is_some()) {
        let (from, to) = (show_time(at), show_time(at.saturating_add(span)));
        return format!("nobody read the register from {from} to {to}");
    }
    "the card was no longer there".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SECOND: Nanos = 1_000_000_000;

    fn trial(faults: &str) -> Trial {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("a.yaml");
        let case = format!("about: A case.\nrigs: [emu]\nfaults:\n{faults}\nsteps:\n  - wait: 1s\n");
        std::fs::write(&path, case).expect("it can be written");
        crate::case::load(&[path]).expect("the case is right").remove(0)
    }

    #[rstest]
    #[case::too_few_of_them(
        "{lost_write_back: {queue: 0, nth: 3}}",
        2,
        "`lost_write_back` did not strike: it is for number 3 since the first step, and there were 2"
    )]
    #[case::another_was_first(
        "{lost_write_back: {queue: 0, nth: 3}}",
        3,
        "`lost_write_back` did not strike: another fault of the case struck in its place"
    )]
    #[case::none_chosen(
        "{lost_sent_frame: {per_mille: 5, seed: 1}}",
        1,
        "`lost_sent_frame` did not strike: it is for 5 of 1000 since the first step, there was 1, and none was one of them"
    )]
    #[case::too_late(
        "{removal: {at_ns: 2000000000}}",
        0,
        "`removal` did not strike: it is for 2 s, and the last step ended at 1 s"
    )]
    #[case::never_read(
        "{all_ones: {register: STATUS, at_ns: 1000, for_ns: 1000}}",
        0,
        "`all_ones` did not strike: nobody read the register from 1 µs to 2 µs"
    )]
    #[case::pulled_out_before(
        "{link_flap: {at_ns: 1000, for_ns: 1000}}",
        0,
        "`link_flap` did not strike: the card was no longer there"
    )]
    fn a_fault_that_did_not_strike_is_told_with_the_reason(
        #[case] fault: &str,
        #[case] seen: u32,
        #[case] told: &str,
    ) {
        let trial = trial(&format!("  - {fault}"));
        let failure = missing(&trial, &[FaultCount { seen, struck: 0 }], SECOND).expect("it did not strike");
        assert_eq!(failure.message, format!("the fault {told}"));
        assert_eq!(failure.at.map(|at| (at.line, at.column)), Some((4, 6)));
        assert!(missing(&trial, &[FaultCount { seen, struck: 1 }], SECOND).is_none(), "it struck");
        assert!(missing(&trial, &[], SECOND).is_none(), "the rig does not tell");
    }

    #[test]
    fn the_first_is_pointed_at_and_the_others_are_listed() {
        let trial = trial(
            "  - removal: {at_ns: 0}\n  - link_flap: {at_ns: 1, for_ns: 1}\n  - slow_reset: {by_ns: 1, nth: 1}",
        );
        let counts = [1, 0, 0].map(|struck| FaultCount { seen: 0, struck });
        let failure = missing(&trial, &counts, SECOND).expect("two did not strike");
        assert_eq!(failure.at.map(|at| at.line), Some(5));
        assert_eq!(failure.details.len(), 1, "{:?}", failure.details);
        assert!(failure.details[0].contains("`slow_reset`"));
    }
}
