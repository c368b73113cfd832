//! Known deviations of a rig: tolerated where they are listed, and an error when they do not occur.

use super::check;
use super::datagrams::Datagrams;
use super::verdict::Failure;
use crate::case::KNOWN_DIFFERENCES;
use crate::case::model::{Action, CheckItem, Differs, Extent, Outcome, RigKind, Step, Trial, UDP_SEGMENTS};
use crate::case::rigs::Here;
use crate::frame::FrameSpec;
use crate::rig::Rig;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// The deviations of a trial that hold on this rig, and which of them occurred.
#[derive(Debug)]
pub struct Deviations<'t> {
    trial: &'t Trial,
    here: Here,
    /// QEMU's version, where there is one.
    qemu: Option<String>,
    listed: Vec<Listed<'t>>,
}

/// A deviation, and what came of it.
#[derive(Debug)]
struct Listed<'t> {
    differs: &'t Differs,
    occurred: bool,
    /// The values among those that are listed that came.
    came: BTreeSet<String>,
    /// The last value that came where it deviates, was not expected, and is not listed either.
    other: Option<String>,
}

impl Listed<'_> {
    /// It was to be `expected`, and `got` came: whether that is listed.
    fn takes(&mut self, (expected, got): (&str, &str)) -> bool {
        let is_listed = goes_so_far(&self.differs.extent, (expected, got));
        if is_listed {
            self.occurred = true;
            self.came.insert(got.to_owned());
        } else if matches!(self.differs.extent, Extent::Is(_)) {
            self.other = Some(got.to_owned());
        }
        is_listed
    }

    /// The values that are listed, and of which none came.
    fn missing(&self) -> Vec<&str> {
        let Extent::Is(values) = &self.differs.extent else { return Vec::new() };
        values.iter().filter(|value| !self.came.contains(*value)).map(String::as_str).collect()
    }

    /// What is said of a value that came in the place of those that are listed.
    fn wrong(&self) -> Option<String> {
        let (Extent::Is(values), Some(other)) = (&self.differs.extent, &self.other) else { return None };
        let field = self.differs.field.as_deref().unwrap_or("the step");
        Some(format!("of {field} {KNOWN_DIFFERENCES} lists {}, and {other} was seen", values.join(", ")))
    }
}

impl<'t> Deviations<'t> {
    /// Those of a trial that are about this rig, in the version that is here.
    #[must_use]
    pub fn of(trial: &'t Trial, rig: &dyn Rig) -> Self {
        let (kind, is_virtual) = (rig.kind(), rig.is_virtual());
        let place = Here { rig: kind, is_virtual, is_igb: rig.version("igb").is_some() };
        let here = |differs: &&Differs| {
            differs.rig == kind
                && !matches!(differs.extent, Extent::By(_))
                && differs.when.as_deref().is_none_or(|when| holds(when, |name| rig.version(name)))
        };
        let listed = |differs| Listed { differs, occurred: false, came: BTreeSet::new(), other: None };
        let listed = trial.differs.iter().filter(here).map(listed).collect();
        Self { trial, here: place, qemu: rig.version("qemu"), listed }
    }

    /// Whether a difference in this step and field, between what was expected and what came, is listed; if so, it has occurred.
    pub fn tolerates(&mut self, step: Option<&str>, field: &str, values: (&str, &str)) -> bool {
        let mut tolerated = false;
        for entry in self.listed.iter_mut().filter(|entry| is_about(entry.differs, step, field)) {
            tolerated |= entry.takes(values);
        }
        tolerated
    }

    /// The letters of a field that may be missing in this step.
    #[must_use]
    pub fn lacking(&self, step: Option<&str>, field: &str) -> String {
        let letters = |Listed { differs, .. }: &Listed<'_>| match &differs.extent {
            Extent::Lacks(letters) if is_about(differs, step, field) => Some(letters.clone()),
            _ => None,
        };
        self.listed.iter().filter_map(letters).collect()
    }

    /// What is listed of the cut of large packets of UDP.
    #[must_use]
    pub fn datagrams(&self) -> Option<Datagrams> {
        self.listed.iter().find_map(|entry| Datagrams::listed(entry.differs))
    }

    /// So many datagrams of large packets of UDP did not come: whether that is listed is known then.
    pub fn datagrams_missing(&mut self, count: u64) {
        let of_cuts = |entry: &&mut Listed<'_>| entry.differs.field.as_deref() == Some(UDP_SEGMENTS);
        for entry in self.listed.iter_mut().filter(of_cuts) {
            entry.takes(("", &count.to_string()));
        }
    }

    /// Whether none is listed for this rig.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// The deviations of QEMU of which the trial itself states nothing, each with its place in the list.
    pub fn unstated(&self) -> impl Iterator<Item = (usize, &'t Differs)> {
        let unstated = |(index, Listed { differs, .. }): (usize, &Listed<'t>)| {
            let is_judged = differs.seen.is_some() && !differs.everywhere;
            (is_judged && !is_stated(self.trial, differs, self.here)).then_some((index, *differs))
        };
        self.listed.iter().enumerate().filter_map(unstated)
    }

    /// What the deviation at this place is about had this value in the end.
    pub fn ended_at(&mut self, place: usize, value: &str) {
        if let Some(entry) = self.listed.get_mut(place) {
            entry.takes(("", value));
        }
    }

    /// What a failure says of values that are listed where others came. Empty: none did.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        self.listed.iter().filter_map(Listed::wrong).collect()
    }

    /// # Errors
    /// When a deviation that is listed, and that a run can see, did not occur, or not with each of its values: the list is stale.
    pub fn all_occurred(&self) -> Result<(), Failure> {
        let unstated: Vec<usize> = self.unstated().map(|(index, _)| index).collect();
        for (index, entry) in self.listed.iter().enumerate() {
            let differs = entry.differs;
            if entry.occurred {
                self.each_came(entry)?;
                continue;
            }
            if is_stated(self.trial, differs, self.here) {
                return Err(self.stale(entry));
            }
            if !unstated.contains(&index) {
                continue;
            }
            // In which order frames came, only a comparison sees.
            let is_seen = differs.field.as_deref() != Some("frame");
            if is_seen && matches!(differs.extent, Extent::Is(_)) {
                return Err(self.stale(entry));
            }
            // In a lab, what has no value is for a comparison, too.
            if is_seen && !matches!(differs.rig, RigKind::Vfio | RigKind::Linux) {
                return Err(Failure::new(format!(
                    "nothing in this trial shows whether QEMU deviates as it is listed ({}): give the value that {} has in it, or let the \
                     case state something of that",
                    differs.why.trim(),
                    differs.field.as_deref().unwrap_or("the step")
                )));
            }
        }
        Ok(())
    }

    fn stale(&self, entry: &Listed<'_>) -> Failure {
        let stale = stale(entry.differs, self.qemu.as_deref());
        Failure::new(entry.wrong().map_or(stale, |wrong| format!("{wrong}: correct that entry")))
    }

    /// # Errors
    /// Which of the values did not come.
    fn each_came(&self, entry: &Listed<'_>) -> Result<(), Failure> {
        let missing = entry.missing();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "stale: of {} {KNOWN_DIFFERENCES} lists {} in this trial, and it was never that: take it out of that entry",
            entry.differs.field.as_deref().unwrap_or("the step"),
            missing.join(", ")
        )))
    }
}

/// What is said of an entry that does not occur any more.
#[must_use]
pub fn stale(differs: &Differs, qemu: Option<&str>) -> String {
    let why = differs.why.trim();
    match (&differs.seen, qemu) {
        (Some(seen), Some(here)) => format!(
            "stale: on QEMU {seen} {} deviated here ({why}), and on this one, {here}, it does not: take the trial out of that entry of \
             {KNOWN_DIFFERENCES}",
            differs.field.as_deref().unwrap_or("the step")
        ),
        _ => {
            format!("stale: `differs` says that {} deviates here ({why}), and it did not", differs.rig.name())
        }
    }
}

/// Whether an entry is about this step and field.
fn is_about(differs: &Differs, step: Option<&str>, field: &str) -> bool {
    let same_step = differs.step.is_none() || differs.step.as_deref() == step;
    let same_field = match &differs.field {
        None => differs.step.is_some(),
        Some(listed) => names(listed, field),
    };
    same_step && same_field
}

/// Whether a deviation explains that this came where that was expected.
#[must_use]
pub fn goes_so_far(extent: &Extent, (expected, got): (&str, &str)) -> bool {
    match extent {
        Extent::Any => true,
        // How many interrupts there may be a comparison judges against frames, and what a device counts by them; what a check says of
        // either holds.
        Extent::Times(_) | Extent::By(_) => false,
        Extent::Is(values) => values.iter().any(|value| value == got),
        Extent::Lacks(letters) => {
            // `-` stands for no letter at all.
            let (mut there, mut missing) = (got.chars().filter(|c| *c != '-').peekable(), false);
            for letter in expected.chars() {
                if there.next_if_eq(&letter).is_none() {
                    if !letters.contains(letter) {
                        return false;
                    }
                    missing = true;
                }
            }
            missing && there.next().is_none()
        }
    }
}

/// Whether a field that is listed, perhaps without the source before it, or with a `*` for a part of it, is this one.
#[must_use]
pub fn names(listed: &str, field: &str) -> bool {
    if let Some((begin, end)) = listed.split_once('*') {
        return field.strip_prefix(begin).is_some_and(|rest| rest.ends_with(end));
    }
    field == listed || field.ends_with(&format!(".{listed}"))
}

/// Whether the case itself states something of what an entry lists, so that a run can see whether it occurs: the step as a
/// whole (no `field:`), a field that a pattern gives or what a call must give, a counter or state that a check asks for.
/// What it does not state only a comparison sees. `here` is the entry's rig.
#[must_use]
pub fn is_stated(trial: &Trial, entry: &Differs, here: Here) -> bool {
    let Some(field) = entry.field.as_ref().filter(|field| *field != UDP_SEGMENTS) else { return true };
    let steps = trial.steps.iter().filter(|step| {
        entry.step.is_none() || entry.step == step.name || entry.step.as_deref() == background(step)
    });
    let valued = matches!(entry.extent, Extent::Is(_));
    steps.into_iter().any(|step| match &step.action {
        // Which equation an entry without a value is about is not known.
        Action::Conserve(groups) if valued && is_in_an_equation(field) => {
            groups.iter().filter_map(|group| group.source()).any(|source| {
                field.strip_prefix(check::source_name(&source)).is_some_and(|rest| rest.starts_with('.'))
            })
        }
        action => states(action, field, here),
    })
}

/// Whether `conserve` has an equation for a counter of a queue: there is none for what the driver counts besides packets and bytes.
fn is_in_an_equation(field: &str) -> bool {
    !["_csum_err", "_alloc_failed", "_restart"].iter().any(|end| field.ends_with(end))
}

fn background(step: &Step) -> Option<&str> {
    if let Action::Call(call) = &step.action { call.background.as_deref() } else { None }
}

/// Whether a step says what a field must be.
fn states(action: &Action, field: &str, here: Here) -> bool {
    let pattern = |spec: &FrameSpec| {
        spec.fields.iter().any(|f| names(field, &f.field.name()))
            || spec.tcp.is_some() && field == "tcp.flags"
            || field == "payload" && spec.payload.is_some()
    };
    match action {
        Action::Expect(expect) => pattern(&expect.pattern) || field == "time" && expect.after.is_some(),
        Action::AnyOrder(expects) => expects.iter().any(|e| pattern(&e.pattern)),
        Action::Fragments(fragments) => pattern(&fragments.pattern) || field == "payload",
        Action::Segments(_) => field == "tcp.flags",
        Action::Order(order) => names(field, &order.of.name()),
        Action::Call(call) => outcome(&call.outcome, field),
        Action::Join(join) => outcome(&join.outcome, field),
        Action::Check(check) => {
            let is = |item: &CheckItem| {
                names(field, &format!("{}.{}", check::source_name(&item.source), item.key))
            };
            check::applies(check, here) && check.items.iter().any(is)
        }
        _ => false,
    }
}

/// Whether it is said what a call must give.
fn outcome(outcome: &Outcome, field: &str) -> bool {
    match field {
        // Success or an error is always meant.
        "error" => true,
        "value" => outcome.returns.is_some(),
        "payload" => outcome.payload.is_some(),
        "address" => outcome.from.is_some(),
        "events" => outcome.events.is_some(),
        "ready" => outcome.ready.is_some(),
        "option" => outcome.value.is_some(),
        "took" => outcome.after.is_some(),
        _ => false,
    }
}

/// Whether a condition such as `qemu <= 10.0.2` holds. Of what has no version here it never does.
#[must_use]
pub fn holds(when: &str, version: impl Fn(&str) -> Option<String>) -> bool {
    let mut words = when.split_whitespace();
    let (Some(name), operator, wanted) = (words.next(), words.next(), words.next()) else { return false };
    let Some(here) = version(name) else { return false };
    let (Some(operator), Some(wanted)) = (operator, wanted) else { return true };
    let order = compare(&here, wanted);
    match operator {
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        ">" => order == Ordering::Greater,
        ">=" => order != Ordering::Less,
        "==" | "=" => order == Ordering::Equal,
        "!=" => order != Ordering::Equal,
        _ => false,
    }
}

/// Compares versions number by number; `10.0` equals `10.0.0`.
fn compare(a: &str, b: &str) -> Ordering {
    let numbers = |text: &str| -> Vec<u64> {
        text.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok()).collect()
    };
    let (a, b) = (numbers(a), numbers(b));
    (0..a.len().max(b.len()))
        .map(|i| a.get(i).unwrap_or(&0).cmp(b.get(i).unwrap_or(&0)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::older("qemu <= 10.0.2", "9.2.1", true)]
    #[case::the_same("qemu <= 10.0.2", "10.0.2", true)]
    #[case::newer("qemu <= 10.0.2", "10.1.0", false)]
    #[case::fewer_numbers("kernel == 6.18", "6.18.0", true)]
    #[case::more_digits("kernel < 6.9", "6.18.44", false)]
    #[case::any_version("qemu", "8.0.0", true)]
    fn a_condition_compares_versions_by_number(
        #[case] when: &str,
        #[case] here: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(holds(when, |_| Some(here.to_owned())), expected);
    }

    #[rstest]
    #[case::one_of_them("P.", ".", "PF", true)]
    #[case::both("FP.", ".", "PF", true)]
    #[case::all_there_is("P", "-", "P", true)]
    #[case::one_that_is_not_listed("FP.", ".", "P", false)]
    #[case::one_too_many(".", "P.", "P", false)]
    #[case::another_in_its_place("P.", "F.", "P", false)]
    #[case::nothing("P.", "P.", "P", false)]
    fn letters_may_be_missing_where_they_are_listed(
        #[case] expected: &str,
        #[case] got: &str,
        #[case] letters: &str,
        #[case] tolerated: bool,
    ) {
        assert_eq!(goes_so_far(&Extent::Lacks(letters.to_owned()), (expected, got)), tolerated);
    }

    #[rstest]
    #[case::that_value("46", true)]
    #[case::another("64", false)]
    fn a_value_is_the_one_that_is_listed(#[case] got: &str, #[case] tolerated: bool) {
        assert_eq!(goes_so_far(&Extent::Is(vec!["46".to_owned()]), ("60", got)), tolerated);
    }

    #[rstest]
    #[case::itself("ethtool.rx_bytes", "ethtool.rx_bytes", true)]
    #[case::without_its_source("rx_bytes", "ethtool.rx_bytes", true)]
    #[case::any_end("interrupts.eth0-TxRx-*", "interrupts.eth0-TxRx-3", true)]
    #[case::any_queue("ethtool.rx_queue_*_bytes", "ethtool.rx_queue_0_bytes", true)]
    #[case::the_sum_of_all("ethtool.rx_queue_*_bytes", "ethtool.rx_queue_*_bytes", true)]
    #[case::another_counter_of_a_queue("ethtool.rx_queue_*_bytes", "ethtool.rx_queue_0_packets", false)]
    #[case::another("ethtool.rx_bytes", "ethtool.tx_bytes", false)]
    fn a_star_stands_for_a_part_of_a_field(#[case] listed: &str, #[case] field: &str, #[case] is_it: bool) {
        assert_eq!(names(listed, field), is_it);
    }

    #[test]
    fn a_condition_on_what_is_not_here_does_not_hold() {
        assert!(!holds("qemu >= 1.0", |_| None));
    }
}
