//! The igb driver against a device that we did not write: QEMU's `-device igb`, reached through its test socket, with no
//! guest running.
//!
//! Needs `qemu-system-x86_64` 8 or newer; without it the tests are listed as ignored, with the reason in their kind, and with
//! `CI=true` they fail. No root and no network: the wire is a pair of unix sockets in a temporary directory.

#[path = "qemu_igb/machine.rs"]
mod machine;
#[path = "qemu_igb/memory.rs"]
mod memory;
#[path = "qemu_igb/qtest.rs"]
mod qtest;
#[path = "qemu_igb/rig.rs"]
mod rig;
#[path = "qemu_igb/trials.rs"]
mod trials;

use libtest_mimic::{Arguments, Failed, Trial};

type Body = fn() -> Result<(), String>;

const TRIALS: &[(&str, Body)] = &[
    ("the_link_comes_up_with_the_address_that_qemu_was_given", trials::link),
    ("a_frame_that_the_driver_sends_is_on_the_wire", trials::send),
    ("a_frame_from_the_wire_is_received", trials::receive),
    ("a_checksum_left_to_the_device_is_right_on_the_wire", trials::checksum),
    ("a_packet_in_pieces_arrives_whole", trials::pieces),
    ("a_large_packet_is_cut_by_the_device", trials::segmentation),
    ("a_jumbo_frame_is_received_in_pieces", trials::jumbo),
    ("more_packets_than_the_ring_has_descriptors_all_arrive", trials::burst),
    ("counters_of_device_and_driver_agree", trials::counters),
    ("stop_gives_all_memory_back_and_open_works_again", trials::stop_and_open),
];

fn main() {
    let arguments = Arguments::from_args();
    let missing = machine::why_missing();
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let trials = TRIALS.iter().map(|&(name, body)| match &missing {
        None => Trial::test(name, move || body().map_err(Failed::from)).with_kind("qemu"),
        Some(why) if ci => {
            let why = why.clone();
            Trial::test(name, move || Err(Failed::from(why))).with_kind("qemu")
        }
        Some(why) => {
            Trial::test(name, || Ok(())).with_kind(format!("skipped: {why}")).with_ignored_flag(true)
        }
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
