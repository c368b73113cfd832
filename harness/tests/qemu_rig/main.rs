//! The qemu rig when things go wrong, as whoever runs the program sees it: what died is told as what it is, the rest of the run goes on,
//! and nothing is left.
//!
//! Needs `qemu-system-x86_64` with igb; without it the tests are ignored with the reason, and with `CI=true` they fail.

mod accidents;
mod cpus;
mod ends;
mod machine;
mod run;
mod soak;
mod times;

use harness::rig::qemu::program;
use libtest_mimic::{Arguments, Failed, Trial};

type Outcome = Result<(), Failed>;
type Test = fn() -> Outcome;

const POWERLESS: &str = "a_user_without_any_right_runs_it";

/// All tests; those of QEMUs that are no good need none.
const TESTS: &[(&str, Test)] = &[
    ("a_panic_is_told_with_registers_and_calls", accidents::panic),
    ("a_page_fault_is_told_with_its_address", accidents::page_fault),
    ("a_stack_that_overflows_is_told_as_such", accidents::recursion),
    ("a_triple_fault_is_told_as_such", accidents::triple_fault),
    ("a_guest_that_hangs_is_given_up_within_its_deadline", accidents::hang),
    ("a_guest_that_takes_no_nmi_is_looked_at_from_outside", accidents::deaf),
    ("a_guest_that_floods_the_channel_is_not_listened_to", accidents::flood),
    ("a_qemu_that_is_killed_in_a_trial_is_told_as_such", ends::qemu_killed),
    ("a_qemu_that_is_stopped_is_told_as_that", ends::qemu_stopped),
    ("a_guest_that_goes_wrong_nowhere_is_refused", machine::nobody_goes_wrong),
    ("an_interrupted_run_leaves_no_qemu", ends::interrupted),
    ("a_run_that_is_killed_leaves_no_qemu", ends::killed),
    ("a_case_that_asks_for_one_cpu_has_one", cpus::one),
    ("each_of_four_cpus_sends_and_has_its_own_vector", cpus::each_works),
    ("as_many_cpus_as_a_case_can_name_boot", cpus::many),
    ("a_panic_on_another_cpu_is_told_with_its_number", cpus::panic),
    ("a_page_fault_on_another_cpu_is_told_with_its_number", cpus::page_fault),
    ("a_stack_of_another_cpu_that_overflows_is_told_as_such", cpus::recursion),
    ("another_cpu_that_hangs_is_told_with_its_number", cpus::hang),
    ("a_triple_fault_of_another_cpu_is_told_as_such", cpus::triple_fault),
    ("an_interrupt_at_another_cpu_than_its_own_is_found_out", cpus::astray),
    ("work_for_a_cpu_that_is_not_there_is_found_out", cpus::beyond),
    (POWERLESS, ends::powerless),
    ("an_image_that_is_none_is_refused_before_the_run", machine::no_image),
    ("a_qemu_in_a_script_ends_with_it", machine::wrapped),
    ("a_guest_that_hangs_does_not_keep_an_interrupted_run", ends::interrupted_in_a_wait),
    ("acceleration_is_tried_and_not_believed", machine::acceleration),
    ("a_soak_of_what_is_right_finds_nothing", soak::right),
    ("a_soak_with_the_same_accident_each_time_finds_nothing", soak::same_accident),
    ("a_soak_tells_of_trials_that_end_otherwise", soak::changes),
    ("real_time_is_a_choice_and_takes_its_time", times::real),
    ("the_suite_passes_in_real_time_where_the_machine_is_in_time", times::sample),
    ("a_guest_sends_its_first_frame_in_little_time", times::first_frame),
    ("a_trial_in_a_guest_that_is_there_costs_little", times::overhead),
];

const WITHOUT_QEMU: &[(&str, Test)] = &[
    ("a_qemu_that_is_missing_is_told_with_what_gets_it", machine::missing),
    ("a_qemu_without_igb_is_told_with_what_gets_one", machine::too_old),
    ("a_qemu_of_before_igb_that_has_one_is_refused", machine::old_with_igb),
    ("a_qemu_that_hangs_at_its_version_leaves_nothing", machine::hangs_at_version),
    ("a_qemu_that_ends_in_order_is_no_triple_fault", machine::ends_in_order),
    ("kvm_that_cannot_run_the_guest_is_told_once", machine::kvm_in_vain),
    ("a_qemu_that_ends_at_once_fails_what_runs", machine::ends_at_once),
    ("a_qemu_that_hangs_at_start_is_given_up", machine::hangs_at_start),
    ("a_guest_without_time_to_answer_is_refused", machine::no_patience),
    ("real_time_is_refused_on_a_rig_that_has_no_choice", times::refused),
];

fn main() {
    let arguments = Arguments::from_args();
    let missing = program::find().err();
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let with = TESTS.iter().map(|&(name, test)| match &missing {
        Some(why) if ci => {
            let why = why.clone();
            Trial::test(name, move || Err(Failed::from(why)))
        }
        Some(why) => Trial::test(name, test).with_ignored_flag(true).with_kind(format!("skipped: {why}")),
        None if name == POWERLESS && !nix::unistd::geteuid().is_root() => Trial::test(name, test)
            .with_ignored_flag(true)
            .with_kind("skipped: only root can become somebody else"),
        None => Trial::test(name, test),
    });
    let without = WITHOUT_QEMU.iter().map(|&(name, test)| Trial::test(name, test));
    libtest_mimic::run(&arguments, with.chain(without).collect()).exit();
}
