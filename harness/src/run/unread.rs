//! Checks that a rig cannot make: found before the run, left out one by one, and counted with their reason.

use super::check;
use super::factory::RigFactory;
use crate::case::model::{Action, Check, CheckItem, Outcome, Trial};
use std::collections::{BTreeMap, BTreeSet};

/// Checks that were not made: how many, by the reason.
pub type SkippedChecks = BTreeMap<String, u32>;

/// The items of a trial's checks that are not looked at on a rig.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// By the index of the step, and of the item in it.
    items: BTreeSet<(usize, usize)>,
    reasons: SkippedChecks,
    /// The first reason that is about this rig or machine, not about what the case limits.
    first: Option<String>,
}

impl Unread {
    /// Those that `rigs:` limits to other rigs, and those that this rig or machine cannot read.
    #[must_use]
    pub fn of(trial: &Trial, factory: &dyn RigFactory) -> Self {
        let mut unread = Self::default();
        for (step, check) in checks(trial) {
            let limit = limited(check, factory);
            for (index, item) in check.items.iter().enumerate() {
                let why = limit.clone().or_else(|| factory.unreadable(item));
                let Some(why) = why else { continue };
                unread.items.insert((step, index));
                *unread.reasons.entry(why.clone()).or_default() += 1;
                if limit.is_none() {
                    unread.first.get_or_insert(why);
                }
            }
        }
        unread
    }

    /// Whether this item of the check in this step is left out.
    #[must_use]
    pub fn has(&self, step: usize, item: usize) -> bool {
        self.items.contains(&(step, item))
    }

    /// How many are left out, by the reason.
    #[must_use]
    pub fn reasons(&self) -> &SkippedChecks {
        &self.reasons
    }

    /// The items of a check that are looked at.
    pub fn left<'c>(&self, step: usize, check: &'c Check) -> impl Iterator<Item = &'c CheckItem> {
        check.items.iter().enumerate().filter(move |(item, _)| !self.has(step, *item)).map(|(_, item)| item)
    }

    /// Why the whole trial is left out: without what this rig cannot read, nothing in it is judged. `None`: something is.
    #[must_use]
    pub fn nothing_left(&self, trial: &Trial) -> Option<String> {
        let why = self.first.as_ref()?;
        let checked = checks(trial).any(|(step, check)| self.left(step, check).next().is_some());
        (!checked && !trial.steps.iter().any(|step| judges(&step.action)))
            .then(|| format!("nothing else would be judged: {why}"))
    }
}

/// The checks of a trial, each with the index of its step.
fn checks(trial: &Trial) -> impl Iterator<Item = (usize, &Check)> {
    trial.steps.iter().enumerate().filter_map(|(index, step)| match &step.action {
        Action::Check(check) => Some((index, check)),
        _ => None,
    })
}

/// Why a check is not for this rig at all, by the case itself.
fn limited(check: &Check, factory: &dyn RigFactory) -> Option<String> {
    let rigs = check.rigs.as_ref().filter(|_| !check::applies(check, factory.here()))?;
    Some(format!("the check is for {rigs}"))
}

/// Whether a step, checks aside, says what must come of something. That a call or a command succeeds is a means.
fn judges(action: &Action) -> bool {
    match action {
        Action::Expect(_) | Action::AnyOrder(_) | Action::Order(_) | Action::Fragments(_) => true,
        Action::Segments(_) | Action::Quiet(_) | Action::Conserve(_) => true,
        Action::Call(call) => call.outcome != Outcome::default(),
        Action::Join(join) => join.outcome != Outcome::default(),
        Action::Run(commands) => {
            commands.iter().any(|command| command.error.is_some() || !command.output.is_empty())
        }
        Action::PeerRun(_) => true,
        Action::App(app) => app.within.is_some(),
        Action::Sysfs { error, .. } => error.is_some(),
        Action::Link(_) | Action::Inject(_) => false,
        Action::Wait(_) | Action::Check(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::model::{RigKind, Source};
    use crate::rig::{Rig, RigError};
    use rstest::rstest;

    /// Reads nothing that is the NIC's own.
    struct NoNic;

    impl RigFactory for NoNic {
        fn kind(&self) -> RigKind {
            RigKind::Linux
        }
        fn missing(&self, _trial: &Trial) -> Option<String> {
            None
        }
        fn unreadable(&self, item: &CheckItem) -> Option<String> {
            (item.source == Source::Ethtool).then(|| "no counters of its own".to_owned())
        }
        fn create(&self, _trial: &Trial) -> Result<Box<dyn Rig>, RigError> {
            Err(RigError::Broken("it is never made".to_owned()))
        }
    }

    fn trial(steps: &str) -> Trial {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, format!("about: A case.\nsteps:\n{steps}")).expect("it can be written");
        crate::case::load(&[path]).expect("the case is right").remove(0)
    }

    const MIXED: &str = "  - check: {netdev: {tx_packets: 0}, ethtool: {tx_packets: 0, rx_packets: 0}}\n";
    const LIMITED: &str = "  - check: {rigs: [emu, qemu], skb: {in_flight: 0}}\n";
    const NIC: &str = "  - check: {ethtool: {tx_packets: 0}}\n";

    #[test]
    fn each_item_that_cannot_be_read_is_left_out_with_its_reason_and_the_rest_is_not() {
        let trial = trial(&format!("{MIXED}{LIMITED}"));
        let unread = Unread::of(&trial, &NoNic);
        let reasons = [("no counters of its own", 2), ("the check is for emu, qemu only", 1)];
        assert_eq!(*unread.reasons(), reasons.map(|(why, n)| (why.to_owned(), n)).into());
        let (_, check) = checks(&trial).next().expect("there is one");
        let left: Vec<_> = unread.left(0, check).map(|item| &item.source).collect();
        assert_eq!(left, [&Source::Netdev]);
    }

    #[rstest]
    #[case::only_what_cannot_be_read(NIC, true)]
    #[case::a_wait_judges_nothing("  - wait: 1ms\n  - check: {ethtool: {tx_packets: 0}}\n", true)]
    #[case::another_item_is_left(MIXED, false)]
    #[case::a_frame_is_expected("  - check: {ethtool: {tx_packets: 0}}\n  - expect: {udp: {}}\n", false)]
    #[case::it_must_be_quiet("  - check: {ethtool: {tx_packets: 0}}\n  - quiet: 1ms\n", false)]
    #[case::a_result_is_stated(
        "  - check: {ethtool: {tx_packets: 0}}\n  - socket: {as: s, type: udp}\n  - connect: {socket: s, to: \"192.0.2.2:7\", error: EACCES}\n",
        false
    )]
    #[case::the_case_itself_limits_all_of_it(LIMITED, false)]
    fn a_trial_is_left_out_when_nothing_else_would_be_judged(#[case] steps: &str, #[case] left_out: bool) {
        let trial = trial(steps);
        assert_eq!(Unread::of(&trial, &NoNic).nothing_left(&trial).is_some(), left_out);
    }
}
