//! What a run on the qemu rig can choose.

use crate::case::problem::nearest;
use guest::protocol::Wrong;
use std::time::Duration;

/// How long an answer may take, in real time, unless told. The most that is asked for at once takes some hundredths of it.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How the CPU is to be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Accel {
    /// KVM where it boots the guest, and TCG where it does not.
    Auto,
    /// QEMU's translator, which works everywhere.
    #[default]
    Tcg,
    /// The kernel's virtual machine.
    Kvm,
}

/// Whom the stack's clock follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ClockKind {
    /// The harness, which sets it: a minute of back-off costs nothing.
    #[default]
    Virtual,
    /// The clock on the wall.
    Real,
}

/// The choices of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// A boot of its own for each trial.
    pub isolated: bool,
    /// How the CPU is had.
    pub accel: Accel,
    /// Whom the stack's clock follows.
    pub clock: ClockKind,
    /// How long the guest may take to answer, in real time.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { isolated: false, accel: Accel::Tcg, clock: ClockKind::Virtual, patience: PATIENCE }
    }
}

/// For tests of the rig: `WIREPROOF_GUEST_GOES_WRONG=hang@udp/one_datagram` has the guest go wrong at the first system call of the trial
/// of that name; with `hang:2@…` on CPU 2, where otherwise on CPU 0.
const VARIABLE: &str = "WIREPROOF_GUEST_GOES_WRONG";

/// A trial in which the guest is to go wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accident {
    /// How.
    wrong: Wrong,
    /// On which CPU.
    cpu: u8,
    /// The name of the trial.
    trial: String,
}

impl Accident {
    /// The one that the environment asks for.
    ///
    /// # Errors
    /// When what it asks for is none.
    pub fn asked_for() -> Result<Option<Self>, String> {
        std::env::var(VARIABLE).ok().map(|text| Self::read(&text)).transpose()
    }

    fn read(text: &str) -> Result<Self, String> {
        let kinds = "panic, page-fault, triple-fault, hang, deaf, recursion, flood, astray";
        let wanted = || {
            format!(
                "{VARIABLE} is {text:?}, not KIND@TRIAL or KIND:CPU@TRIAL, with one of these kinds: {kinds}"
            )
        };
        let (kind, trial) = text.split_once('@').ok_or_else(wanted)?;
        let (kind, cpu) = kind.split_once(':').unwrap_or((kind, "0"));
        let cpu = cpu.parse().map_err(|_| wanted())?;
        let wrong = match kind {
            "panic" => Wrong::Panic,
            "page-fault" => Wrong::PageFault,
            "triple-fault" => Wrong::TripleFault,
            "hang" => Wrong::Hang,
            "deaf" => Wrong::Deaf,
            "recursion" => Wrong::Recursion,
            "flood" => Wrong::Flood,
            "astray" => Wrong::Astray,
            _ => return Err(wanted()),
        };
        Ok(Self { wrong, cpu, trial: trial.to_owned() })
    }

    /// Why it befalls nobody: none of these trials, each with as many CPUs as its guest has, is the one, or that CPU is not there. `None`: it
    /// befalls one.
    #[must_use]
    pub fn misses<'n>(&self, trials: impl IntoIterator<Item = (&'n str, u8)>) -> Option<String> {
        let Self { cpu, trial, .. } = self;
        let mut names = Vec::new();
        for (name, cpus) in trials {
            if name == trial {
                let has = format!(
                    "{VARIABLE} names CPU {cpu}, and the guest of {trial} has {cpus}, counted from 0"
                );
                return (*cpu >= cpus).then_some(has);
            }
            names.push(name);
        }
        let near = nearest(trial, names.iter().copied()).map(|near| format!("; did you mean {near:?}?"));
        let near = near.unwrap_or_default();
        Some(format!(
            "{VARIABLE} names the trial {trial:?}, and none of the {} that run has that name{near}",
            names.len()
        ))
    }

    /// How the guest is to go wrong in this trial, and on which CPU. `None`: it is not.
    #[must_use]
    pub fn of(&self, trial: &str) -> Option<(Wrong, u8)> {
        (self.trial == trial).then_some((self.wrong, self.cpu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn an_accident_befalls_one_trial_and_a_word_that_is_none_is_refused() {
        let accident = Accident::read("page-fault@a/b[x=1]").unwrap();
        assert_eq!(accident.of("a/b[x=1]"), Some((Wrong::PageFault, 0)));
        assert_eq!(accident.of("a/b[x=2]"), None);
        assert!(Accident::read("sleep@a/b").unwrap_err().contains("page-fault, triple-fault"));
        assert_eq!(Accident::read("hang:3@c").unwrap().of("c"), Some((Wrong::Hang, 3)));
        assert!(Accident::read("panic").is_err());
        assert!(Accident::read("hang:last@c").is_err());
    }

    #[rstest]
    #[case::the_trial("hang@a/b[x=1]", None)]
    #[case::a_cpu_of_it("hang:1@a/b[x=1]", None)]
    #[case::a_cpu_that_it_has_not("hang:2@a/b[x=1]", Some("names CPU 2, and the guest of a/b[x=1] has 2"))]
    #[case::another_trial("hang@a/c", Some("the trial \"a/c\", and none of the 2 that run has that name"))]
    #[case::a_slip("hang@a/b[x=2]", Some("did you mean \"a/b[x=1]\"?"))]
    fn an_accident_that_befalls_nobody_is_told(#[case] text: &str, #[case] told: Option<&str>) {
        let said = Accident::read(text).unwrap().misses([("other", 1), ("a/b[x=1]", 2)]);
        match told {
            None => assert_eq!(said, None),
            Some(told) => assert!(said.as_ref().is_some_and(|said| said.contains(told)), "{said:?}"),
        }
    }
}
