//! Deviations that are listed: those that occur are no failures, and those that do not are.

use super::*;

#[rstest]
#[case::that_occurs_is_tolerated(8, Ok(()))]
#[case::that_does_not_occur_is_stale(7, Err("stale"))]
fn a_listed_deviation(#[case] port: u64, #[case] result: Result<(), &str>) {
    let mut trial = trial(vec![expect(7)]);
    trial.differs.push(Differs {
        rig: RigKind::Emu,
        when: None,
        seen: None,
        step: None,
        field: Some("udp.dst_port".to_owned()),
        extent: Extent::Any,
        everywhere: false,
        why: "made up".to_owned(),
    });
    let mut rig = Scripted::default().sends(MS, frame_to(port));
    match result {
        Ok(()) => passes(&mut rig, &trial),
        Err(with) => fails(&mut rig, &trial, with),
    }
}

/// An entry of QEMU's list about a counter that the trial states nothing of. What is injected is counted.
fn known(field: &str, extent: Extent) -> Differs {
    Differs {
        rig: RigKind::Emu,
        when: None,
        seen: Some("10.0.2".to_owned()),
        step: None,
        field: Some(field.to_owned()),
        extent,
        everywhere: false,
        why: "made up".to_owned(),
    }
}

#[rstest]
#[case::with_its_value(known("netdev.injected", Extent::Is(vec!["1".to_owned()])), Ok(()))]
#[case::with_another(
    known("netdev.injected", Extent::Is(vec!["2".to_owned()])),
    Err("fixtures/qemu-differences.yaml lists 2, and 1 was seen: correct that entry")
)]
#[case::with_its_value_and_another(
    known("netdev.injected", Extent::Is(vec!["1".to_owned(), "2".to_owned()])),
    Err("lists 2 in this trial, and it was never that")
)]
#[case::of_a_counter_that_did_not_move(known("netdev.other", Extent::Is(vec!["0".to_owned()])), Ok(()))]
#[case::without_a_value(
    known("netdev.injected", Extent::Any),
    Err("give the value that netdev.injected has")
)]
#[case::that_shows_anywhere(Differs { everywhere: true, ..known("netdev.injected", Extent::Times(2)) }, Ok(()))]
#[case::in_the_order_of_frames(known("frame", Extent::Any), Ok(()))]
fn a_known_difference_of_which_the_trial_states_nothing(
    #[case] entry: Differs,
    #[case] result: Result<(), &str>,
) {
    let inject = Action::Inject(Inject { frame: udp(7, b"x"), has_wrong_fcs: false, cut_to: usize::MAX });
    let mut trial = trial(vec![inject]);
    trial.differs.push(entry);
    match result {
        Ok(()) => passes(&mut Scripted::default(), &trial),
        Err(with) => fails(&mut Scripted::default(), &trial, with),
    }
}

/// What is injected is counted, and that counter is checked before and after.
fn counts_two_frames() -> Trial {
    let inject = || Action::Inject(Inject { frame: udp(7, b"x"), has_wrong_fcs: false, cut_to: usize::MAX });
    let check = |value| Action::Check(counter_is(value));
    trial(vec![inject(), check(8), inject(), check(9)])
}

#[rstest]
#[case::each_comes(&["1", "2"], Ok(()))]
#[case::one_never_comes(&["1", "2", "3"], Err("stale: of netdev.injected fixtures/qemu-differences.yaml lists 3 in this trial"))]
#[case::another_comes(&["1", "4"], Err("netdev injected: expected 9, it is 2; of netdev.injected fixtures/qemu-differences.yaml lists 1, 4, and 2 was seen"))]
fn each_of_the_values_that_are_listed_comes(#[case] values: &[&str], #[case] result: Result<(), &str>) {
    let mut trial = counts_two_frames();
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    trial.differs.push(known("netdev.injected", Extent::Is(values)));
    match result {
        Ok(()) => passes(&mut Scripted::default(), &trial),
        Err(with) => fails(&mut Scripted::default(), &trial, with),
    }
}
