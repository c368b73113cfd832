//! What real time cost: how long trials took beyond their own waits, and how late the harness and the machine were.

use super::record::{From as Sender, Record};
use crate::case::model::Nanos;
use crate::rig::Delays;
use std::fmt::Write as _;
use std::time::Duration;

/// What real time cost one trial, or many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Of each trial: how long it took beyond the time that it let pass. That is set-up, commands, reading of counters, taking
    /// down.
    pub overhead: Vec<Nanos>,
    /// Of each frame of the system under test: by how much it was read too late.
    pub captured: Vec<Nanos>,
    /// Of each frame of the peer: by how much it was sent too late.
    pub injected: Vec<Nanos>,
    /// Of each trial: how late the harness was at worst, in whatever it did.
    pub harness: Vec<Nanos>,
    /// Of each trial: how late a thread of ordinary priority was at worst, on any CPU.
    pub machine: Vec<Nanos>,
}

impl Timing {
    /// Of one trial.
    #[must_use]
    pub fn of(record: &Record, overhead: Nanos, (harness, machine): (Nanos, Nanos)) -> Self {
        let (captured, injected): (Vec<_>, Vec<_>) =
            record.frames().iter().partition(|frame| frame.from == Sender::Sut);
        let late = |frames: Vec<&super::record::WireFrame>| frames.iter().map(|frame| frame.late).collect();
        Self {
            overhead: vec![overhead],
            captured: late(captured),
            injected: late(injected),
            harness: vec![harness],
            machine: vec![machine],
        }
    }

    /// Of one trial in virtual time, whose waits cost nothing, and for which nobody can be late.
    #[must_use]
    pub fn in_virtual_time(took: Nanos) -> Self {
        Self { overhead: vec![took], ..Self::default() }
    }

    /// That of more trials.
    pub fn add(&mut self, other: &Self) {
        self.overhead.extend(&other.overhead);
        self.captured.extend(&other.captured);
        self.injected.extend(&other.injected);
        self.harness.extend(&other.harness);
        self.machine.extend(&other.machine);
    }

    /// How late the harness was at worst.
    #[must_use]
    pub fn late(&self) -> Nanos {
        self.harness.iter().copied().max().unwrap_or(0)
    }

    /// It in two lines, of which virtual time has the first alone; nothing of a run whose trials took no time worth telling.
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        if self.overhead.is_empty() {
            return Vec::new();
        }
        let all = Delays::of(self.overhead.clone());
        let overhead = format!(
            "overhead beyond a trial's own waits: median {}, 99th percentile {}, worst {}",
            ms(all.median),
            ms(all.p99),
            ms(all.worst)
        );
        if self.harness.is_empty() {
            return vec![overhead];
        }
        let mut late = "late:".to_owned();
        let kinds = [
            ("captured", &self.captured),
            ("injected", &self.injected),
            ("the harness in a trial", &self.harness),
            ("the machine in a trial", &self.machine),
        ];
        for (what, delays) in kinds {
            let all = Delays::of(delays.clone());
            let comma = if late.ends_with(':') { "" } else { ";" };
            let (median, p99, worst) = (ms(all.median), ms(all.p99), ms(all.worst));
            let _ = write!(late, "{comma} {what} median {median}, 99th percentile {p99}, worst {worst}");
        }
        vec![overhead, late]
    }
}

/// Milliseconds to two places: what people compare.
fn ms(time: Nanos) -> String {
    format!("{:.2} ms", Duration::from_nanos(time).as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::record::{Explained, WireFrame};

    #[test]
    fn frames_of_both_sides_are_told_apart() {
        let mut record = Record::default();
        for (from, late) in [(Sender::Sut, 1), (Sender::Peer, 20), (Sender::AutomaticPeer, 30)] {
            let explained = Explained::Automatic;
            record.push(WireFrame { at: 0, late, from, bytes: Vec::new(), packet: None, explained });
        }
        let timing = Timing::of(&record, 5, (30, 7));
        assert_eq!((timing.captured.as_slice(), timing.injected.as_slice()), (&[1][..], &[20, 30][..]));
        assert_eq!(timing.late(), 30);
    }

    #[test]
    fn the_summary_is_over_all_trials_and_none_in_virtual_time() {
        assert!(Timing::default().summary().is_empty());
        let mut all = Timing::default();
        for overhead in [41_000_000, 20_000_000, 80_000_000] {
            all.add(&Timing::of(&Record::default(), overhead, (0, 2_000_000)));
        }
        let mut virtual_time = Timing::in_virtual_time(3_000_000);
        virtual_time.add(&Timing::in_virtual_time(5_000_000));
        let told =
            "overhead beyond a trial's own waits: median 3.00 ms, 99th percentile 5.00 ms, worst 5.00 ms";
        assert_eq!(virtual_time.summary(), [told]);
        let summary = all.summary();
        assert!(
            summary[0].ends_with("median 41.00 ms, 99th percentile 80.00 ms, worst 80.00 ms"),
            "{summary:?}"
        );
        assert!(summary[1].contains("the machine in a trial median 2.00 ms"), "{summary:?}");
    }
}
