//! The self-test against a bus where registers keep what is written, and nothing else works.

use super::Rig;
use crate::drivers::igb::TESTS;
use crate::time::Duration;

/// No word of the NVM comes, no cause interrupts, no frame comes back; the registers are memory, and pass.
#[test]
fn each_test_finds_what_does_not_work() {
    let mut rig = Rig::up();
    rig.with(|igb, ctx| igb.diag_test(ctx, true));
    assert!(!rig.igb.is_settled());
    rig.pass(Duration::from_secs(5));
    assert_eq!(rig.igb.self_test(), Some([0, 2, 4, 13, 0]), "{TESTS:?}");
    assert!(rig.igb.is_up(), "it was up before");
    assert_eq!(rig.skbs.in_flight(), 0);
}

#[test]
fn a_register_that_does_not_keep_a_pattern_is_named() {
    let mut rig = Rig::up();
    rig.bus.forgets = Some(0x0410);
    rig.with(|igb, ctx| igb.diag_test(ctx, true));
    rig.pass(Duration::from_secs(5));
    assert_eq!(rig.igb.self_test().map(|results| results[0]), Some(0x0410));
}

#[test]
fn online_the_link_alone_is_looked_at() {
    let mut rig = Rig::up();
    let resets = rig.bus.resets;
    rig.with(|igb, ctx| igb.diag_test(ctx, false));
    assert_eq!((rig.igb.self_test(), rig.bus.resets), (Some([0; 5]), resets));
    assert!(rig.igb.is_settled());
}
