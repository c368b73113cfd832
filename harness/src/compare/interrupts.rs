//! Interrupts held against what they tell of, on each rig by itself: how many there are is a matter of when a NIC may tell, and two
//! that both do it right need not agree. But each tells of something that came, and of what came alone one tells.
//!
//! ```text
//! bursts of frames sent  ≤  all that were taken;   taken by a vector  ≤  (frames + kicks) × times
//! ```
//!
//! `times` is 1, or what an entry of `differs:` says of the rig's NIC.

use super::watch::Traffic;
use super::{Difference, Side};
use crate::case::model::{Differs, Extent, Interrupts, Nanos, RigKind, Trial};
use crate::rig::Reading;

/// How often the watchdog of Linux's driver kicks each vector, and how late it may have done so before the first step.
const WATCHDOG: Nanos = 2_000_000_000;
const BEFORE: Nanos = 100_000_000;

/// A difference where either rig has interrupts of which nobody knows why, or lacks some. A NIC that is asked to misbehave (`faults:`)
/// may lose some, and send others.
pub fn compare(trial: &Trial, a: &Side, b: &Side) -> Option<Difference> {
    if !trial.faults.is_empty() || !a.observed.counts_interrupts() || !b.observed.counts_interrupts() {
        return None;
    }
    let judged = |side: &Side| {
        let taken = taken(side, trial.interrupts);
        broken(&taken, &side.observed.traffic, times(trial, side.rig)).map(|()| shown(&taken))
    };
    let (a, b) = (judged(a), judged(b));
    (a.is_err() || b.is_err()).then(|| Difference {
        what: "interrupts against frames".to_owned(),
        at: None,
        step: None,
        field: "interrupts".to_owned(),
        a: a.unwrap_or_else(|broken| broken),
        b: b.unwrap_or_else(|broken| broken),
        why: None,
        beyond: None,
    })
}

/// Interrupts by the vector of a queue pair, or the only one that there is. What belongs to no queue is compared as it is.
fn taken(side: &Side, kind: Interrupts) -> Vec<(String, u64)> {
    let is_only_one = kind != Interrupts::Msix;
    let of_a_queue = |(key, value): (&String, &Reading)| {
        let vector =
            key.strip_prefix("interrupts.").filter(|vector| is_only_one || vector.contains("TxRx"))?;
        let Reading::Number(count) = value else { return None };
        Some((vector.to_owned(), u64::try_from(*count).unwrap_or(0)))
    };
    side.observed.values.iter().filter_map(of_a_queue).filter(|(_, count)| *count > 0).collect()
}

fn shown(taken: &[(String, u64)]) -> String {
    match taken {
        [] => "none".to_owned(),
        taken => {
            taken.iter().map(|(vector, count)| format!("{count} of {vector}")).collect::<Vec<_>>().join(", ")
        }
    }
}

/// How many messages the NIC of a rig may send for one reason.
fn times(trial: &Trial, rig: RigKind) -> u64 {
    let of_this_rig = |entry: &&Differs| entry.rig == rig;
    let times = |entry: &Differs| if let Extent::Times(times) = entry.extent { Some(times) } else { None };
    trial.differs.iter().filter(of_this_rig).filter_map(times).max().unwrap_or(1)
}

/// Of what a vector takes.
const MOST: &str = "a vector takes at most one for each frame and each kick of the watchdog";
/// Of what all vectors take together.
const LEAST: &str = "there is at least one for each burst that was sent";

/// # Errors
/// The rule that these interrupts break, and the numbers that show it.
fn broken(taken: &[(String, u64)], traffic: &Traffic, times: u64) -> Result<(), String> {
    let kicks = traffic.kicks + (traffic.until + BEFORE) / WATCHDOG;
    let most = (traffic.frames + kicks) * times;
    if let Some((vector, count)) = taken.iter().find(|(_, count)| *count > most) {
        let listed = if times > 1 { format!(" × {times}, as it is listed,") } else { String::new() };
        let frames = traffic.frames;
        return Err(format!(
            "{count} of {vector} > ({frames} frames + {kicks} kicks){listed} = {most}, but {MOST}"
        ));
    }
    let all: u64 = taken.iter().map(|(_, count)| count).sum();
    if all < traffic.bursts {
        return Err(format!("{} < {} bursts, but {LEAST}", shown(taken), traffic.bursts));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::one_for_a_frame(&[1], (1, 1, 0, 0), 1, true)]
    #[case::one_for_a_burst(&[1], (9, 1, 0, 0), 1, true)]
    #[case::one_too_many(&[2], (1, 1, 0, 0), 1, false)]
    #[case::one_more_at_the_end_of_an_interval_as_it_is_listed(&[2], (1, 1, 0, 0), 2, true)]
    #[case::one_too_many_even_so(&[3], (1, 1, 0, 0), 2, false)]
    #[case::none_for_a_burst(&[2], (9, 3, 0, 0), 1, false)]
    #[case::one_for_a_kick(&[2], (1, 1, 1, 0), 1, true)]
    #[case::one_each_two_seconds(&[3], (1, 1, 0, 4_000_000_000), 1, true)]
    #[case::two_each_two_seconds(&[4], (1, 1, 0, 4_000_000_000), 1, false)]
    #[case::each_vector_by_itself(&[2, 2], (2, 1, 0, 0), 1, true)]
    #[case::bursts_over_all_vectors(&[1, 1], (2, 2, 0, 0), 1, true)]
    #[case::nothing_of_nothing(&[], (0, 0, 0, 0), 1, true)]
    fn interrupts_tell_of_what_came_and_no_more(
        #[case] counts: &[u64],
        #[case] (frames, bursts, kicks, until): (u64, u64, u64, Nanos),
        #[case] times: u64,
        #[case] right: bool,
    ) {
        let taken: Vec<_> = counts.iter().enumerate().map(|(i, n)| (format!("eth0-TxRx-{i}"), *n)).collect();
        let traffic = Traffic { frames, bursts, kicks, until, ..Traffic::default() };
        assert_eq!(broken(&taken, &traffic, times).is_ok(), right);
    }

    #[rstest]
    #[case::too_many(&[5], 1, "5 of eth0-TxRx-0 > (3 frames + 1 kicks) = 4, but a vector takes at most one")]
    #[case::too_many_even_so(&[9], 2, "9 of eth0-TxRx-0 > (3 frames + 1 kicks) × 2, as it is listed, = 8, but")]
    #[case::too_few(&[1], 1, "1 of eth0-TxRx-0 < 2 bursts, but there is at least one for each burst")]
    #[case::none(&[], 1, "none < 2 bursts, but")]
    fn the_rule_that_is_broken_is_told_with_its_numbers(
        #[case] counts: &[u64],
        #[case] times: u64,
        #[case] told: &str,
    ) {
        let taken: Vec<_> = counts.iter().enumerate().map(|(i, n)| (format!("eth0-TxRx-{i}"), *n)).collect();
        let traffic = Traffic { frames: 3, bursts: 2, kicks: 1, ..Traffic::default() };
        let said = broken(&taken, &traffic, times).expect_err("a rule is broken");
        assert!(said.starts_with(told), "{said}");
    }
}
