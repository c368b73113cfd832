//! Whether a call gave what the case says.

use crate::case::model::{Nanos, Outcome, Ready, Tolerance};
use crate::rig::CallResult;
use std::time::Duration;

/// How far off a time may be where the case does not say: on a virtual rig the emulator's own latencies, in real time a
/// part of it and what a busy machine needs.
#[must_use]
pub fn slack(tolerance: Tolerance, delay: Duration, is_virtual: bool) -> Duration {
    match tolerance {
        Tolerance::Time(time) => time,
        Tolerance::Percent(part) => delay.mul_f64((part / 100.0).max(0.0)),
        Tolerance::Default if is_virtual => Duration::from_millis(1),
        Tolerance::Default => delay.mul_f64(0.125) + Duration::from_millis(20),
    }
}

/// Nanoseconds of a duration; what is longer than 584 years counts as that.
#[must_use]
pub fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

/// `12.304 µs`, `1.5 ms`, `3 s`: a time as people read it.
#[must_use]
pub fn show_time(time: Nanos) -> String {
    let text = format!("{:?}", Duration::from_nanos(time));
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    format!("{number} {unit}")
}

/// What of a call's result is not as the case says: one line each; empty when all is.
#[must_use]
pub fn differences(wanted: &Outcome, result: &CallResult, took: Nanos, is_virtual: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    match (result, &wanted.error) {
        (Ok(got), Some(error)) => wrong.push(format!("expected error {error}, it returned {}", got.value)),
        (Err(got), Some(error)) if got != error => {
            wrong.push(format!("expected error {error}, got error {got}"))
        }
        (Err(_), Some(_)) => {}
        (Err(got), None) => match wanted.returns {
            Some(value) => wrong.push(format!("expected it to return {value}, got error {got}")),
            None => wrong.push(format!("expected it to succeed, got error {got}")),
        },
        (Ok(got), None) => values(wanted, got, &mut wrong),
    }
    if let Some((delay, tolerance)) = wanted.after {
        let (delay, slack) = (nanos(delay), nanos(slack(tolerance, delay, is_virtual)));
        if off_by(wanted, took, is_virtual).is_some() {
            wrong.push(format!(
                "expected it to return after {} ± {}, it took {}",
                show_time(delay),
                show_time(slack),
                show_time(took)
            ));
        }
    }
    wrong
}

/// By how much a call returned before or after the time at which it may; `None`: it did when it should.
#[must_use]
pub fn off_by(wanted: &Outcome, took: Nanos, is_virtual: bool) -> Option<Nanos> {
    let (delay, tolerance) = wanted.after?;
    let (delay, slack) = (nanos(delay), nanos(slack(tolerance, delay, is_virtual)));
    Some(took.abs_diff(delay).saturating_sub(slack)).filter(|off| *off > 0)
}

fn values(wanted: &Outcome, got: &crate::rig::Returned, wrong: &mut Vec<String>) {
    if let Some(value) = wanted.returns
        && got.value != value
    {
        wrong.push(format!("expected it to return {value}, it returned {}", got.value));
    }
    if let Some(payload) = &wanted.payload {
        let bytes = got.payload.as_deref().unwrap_or_default();
        if *bytes != *payload.0 {
            wrong.push(payload_difference(&payload.0, bytes));
        }
    }
    if let Some(from) = wanted.from
        && got.address != Some(from)
    {
        let address = got.address.map_or_else(|| "no address".to_owned(), |a| a.to_string());
        wrong.push(format!("expected it to come from {from}, it came from {address}"));
    }
    if let Some(value) = wanted.value
        && got.option != Some(value)
    {
        let option = got.option.map_or_else(|| "nothing".to_owned(), |v| v.to_string());
        wrong.push(format!("expected the option to be {value}, it is {option}"));
    }
    if let Some(text) = &wanted.text
        && got.text.as_ref() != Some(text)
    {
        let is = got.text.as_deref().unwrap_or("nothing");
        wrong.push(format!("expected the option to be {text}, it is {is}"));
    }
    if let Some(ready) = &wanted.ready {
        let (expected, reported) = (show_ready(ready), show_ready(&got.ready));
        if expected != reported {
            wrong.push(format!("expected it to report {expected}, it reported {reported}"));
        }
    }
    if let Some(events) = &wanted.events {
        let (mut expected, mut reported) = (events.clone(), got.events.clone());
        expected.sort_unstable();
        reported.sort_unstable();
        if expected != reported {
            wrong.push(format!(
                "expected the events [{}], it reported [{}]",
                expected.join(", "),
                reported.join(", ")
            ));
        }
    }
}

/// `[s: EPOLLIN, c: EPOLLIN EPOLLOUT]`: what `epoll_wait` reports, in its order.
#[must_use]
pub fn show_ready(ready: &[Ready]) -> String {
    format!("[{}]", ready.iter().map(Ready::shown).collect::<Vec<_>>().join(", "))
}

/// Where two payloads part.
fn payload_difference(wanted: &[u8], got: &[u8]) -> String {
    if wanted.len() != got.len() {
        return format!("expected {} bytes, got {}", wanted.len(), got.len());
    }
    let at = wanted.iter().zip(got).position(|(a, b)| a != b).unwrap_or(0);
    format!("the bytes differ from byte {at} on: expected {:#04x}, got {:#04x}", wanted[at], got[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::Returned;
    use rstest::rstest;

    #[rstest]
    #[case::nanoseconds(7, "7 ns")]
    #[case::microseconds(12_304, "12.304 µs")]
    #[case::milliseconds(1_500_000, "1.5 ms")]
    #[case::seconds(3_000_000_000, "3 s")]
    fn a_time_is_shown_with_its_unit(#[case] time: Nanos, #[case] text: &str) {
        assert_eq!(show_time(time), text);
    }

    #[rstest]
    #[case::an_error_where_success_was_expected(Outcome::default(), Err("EPERM".into()), false)]
    #[case::success_where_an_error_was_expected(
        Outcome { error: Some("EPERM".into()), ..Outcome::default() }, Ok(Returned::default()), false)]
    #[case::another_error(
        Outcome { error: Some("EPERM".into()), ..Outcome::default() }, Err("EACCES".into()), false)]
    #[case::the_error(
        Outcome { error: Some("EPERM".into()), ..Outcome::default() }, Err("EPERM".into()), true)]
    #[case::any_value(Outcome::default(), Ok(Returned { value: 9, ..Returned::default() }), true)]
    #[case::another_value(
        Outcome { returns: Some(3), ..Outcome::default() }, Ok(Returned { value: 9, ..Returned::default() }), false)]
    #[case::the_text(
        Outcome { text: Some("cubic".into()), ..Outcome::default() },
        Ok(Returned { text: Some("cubic".into()), ..Returned::default() }), true)]
    #[case::another_text(
        Outcome { text: Some("cubic".into()), ..Outcome::default() },
        Ok(Returned { text: Some("reno".into()), ..Returned::default() }), false)]
    fn a_result_holds_only_when_it_is_as_the_case_says(
        #[case] wanted: Outcome,
        #[case] result: CallResult,
        #[case] holds: bool,
    ) {
        assert_eq!(differences(&wanted, &result, 0, true).is_empty(), holds);
    }

    #[rstest]
    #[case::exactly(1_000_000_000, true)]
    #[case::at_the_edge(1_001_000_000, true)]
    #[case::too_late(1_001_000_001, false)]
    #[case::too_early(998_999_999, false)]
    fn the_default_tolerance_in_virtual_time_is_a_millisecond(#[case] took: Nanos, #[case] holds: bool) {
        let wanted =
            Outcome { after: Some((Duration::from_secs(1), Tolerance::Default)), ..Outcome::default() };
        assert_eq!(differences(&wanted, &Ok(Returned::default()), took, true).is_empty(), holds);
    }

    #[test]
    fn the_default_tolerance_in_real_time_is_an_eighth_and_20_ms() {
        assert_eq!(slack(Tolerance::Default, Duration::from_secs(1), false), Duration::from_millis(145));
    }
}
