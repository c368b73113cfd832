//! Two of our stacks, each with its driver on an emulated NIC, over a bad wire: `wireproof simulate` in small.

use harness::simulate::{Limits, hostile, seeds, throughput};
use std::sync::atomic::AtomicBool;

#[test]
fn every_byte_arrives_once_and_in_order_every_connection_ends_and_nothing_is_left() {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let limits = Limits { bytes: 6000, ..Limits::default() };
    let tally = seeds::run(0..2000, &limits, jobs, &AtomicBool::new(false));
    let failures: Vec<_> = tally.failures.iter().map(|(_, text)| text.as_str()).collect();
    assert!(failures.is_empty(), "{} of {} failed\n{}", failures.len(), tally.seeds, failures[0]);
    assert_eq!(tally.seeds, 2000);
    assert!(tally.connections > 2000 && tally.bytes > 2_000_000 && tally.errors > 100, "{tally:?}");
}

#[test]
fn a_seed_does_the_same_each_time() {
    for seed in [3, 12, 77] {
        let limits = Limits::default();
        assert_eq!(seeds::one(seed, &limits), seeds::one(seed, &limits));
    }
}

#[test]
fn throughput_over_loss_and_buffers() {
    insta::assert_snapshot!(throughput::table().expect("it is measured"));
}

#[test]
fn a_hostile_peer_makes_nothing_panic_hang_or_grow() {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let tally = hostile::fuzz::run(0..300, None, jobs, &AtomicBool::new(false));
    assert!(tally.failures.is_empty(), "again: wireproof simulate --hostile --seed …: {:?}", tally.failures);
    assert!(tally.seeds == 300 && tally.all.opened > 300, "it is listened to: {tally:?}");
}

#[test]
fn a_flood_of_syns_costs_bounded_memory_and_a_connection_lives_on() {
    let (told, exchanges) = hostile::flood::run(100_000).expect("it holds");
    assert_eq!(exchanges, 200);
    assert!(told.most.requests <= hostile::BACKLOG as usize, "{told:?}");
    assert!(told.most.skbs < 64 && told.most.timers < 200, "{told:?}");
}
