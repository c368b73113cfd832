//! One register reads all ones, and the device is there; and the one interrupt without MSI-X.

use super::*;
use crate::drivers::igb::{Fault, IrqResult};
use rstest::rstest;

const ICR: u32 = 0x00C0;
const IMS: u32 = 0x00D0;

#[rstest]
#[case::ctrl(0x0000)]
#[case::status(0x0008)]
#[case::a_counter(0x4074)]
#[case::the_receive_head(0xC010)]
#[case::icr(ICR)]
fn a_sole_register_is_no_removal(#[case] register: u32) {
    let mut rig = Rig::up();
    rig.bus.ones = Some(register);
    rig.with(|igb, ctx| igb.interrupt(ctx, 0));
    rig.pass(Duration::from_secs(7));
    assert_eq!((rig.igb.faults(Fault::Removed), rig.igb.is_up(), rig.igb.carrier()), (0, true, true));
    assert_eq!((rig.bus.resets, rig.ethtool("rx_packets"), rig.ethtool("tx_dma_out_of_sync")), (1, 0, 0));
    rig.bus.gone = true;
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.igb.faults(Fault::Removed), 1);
}

#[test]
fn ones_are_not_written_back() {
    let mut rig = Rig::up();
    rig.bus.ones = Some(CTRL);
    rig.with(Igb::nway_reset);
    rig.pass(Duration::from_millis(60));
    assert!(!rig.igb.is_up(), "whether the reset is over cannot be read");
    rig.bus.ones = None;
    rig.pass(Duration::from_millis(60));
    assert!(rig.igb.is_up());
    // Master disable, reset, link up, VLAN tags, pause frames: each with what CTRL was before, and no other bits.
    let written = [0x5800_0044, 0x5C00_0040, 0x0000_0040, 0x4000_0040, 0x5800_0040];
    assert_eq!(rig.bus.writes(CTRL), written);
}

#[test]
fn an_interrupt_whose_causes_cannot_be_read_comes_again_with_the_watchdog() {
    let mut rig = Rig::up();
    rig.bus.ones = Some(ICR);
    rig.with(|igb, ctx| igb.interrupt(ctx, 0));
    rig.pass(Duration::ZERO);
    assert_eq!(rig.bus.writes(0x1520), [3], "EICS with the vector of the causes, besides that of the queue");
    rig.with(|igb, ctx| igb.interrupt(ctx, 0));
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.bus.writes(0x1520), [3], "not at once");
    rig.bus.ones = None;
    rig.with(|igb, ctx| igb.interrupt(ctx, 0));
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.bus.writes(0x1520), [3, 2]);
}

/// Up with one interrupt for all.
fn without_msix(msi: bool) -> Rig {
    let mut rig =
        Rig::new(Config { mac: Some(MAC), msix: false, msi, tx_ring: 64, rx_ring: 64, ..Config::default() });
    rig.with(Igb::probe);
    rig.with(Igb::open).expect("it can be opened");
    rig.pass(Duration::from_millis(100));
    rig.bus.written.clear();
    rig
}

#[rstest]
#[case::another_device_s_on_the_line(false, 1 << 7, false)]
#[case::ours_on_the_line(false, 1 << 31 | 1 << 7, true)]
#[case::a_message_is_ours(true, 0, true)]
#[case::what_cannot_be_read(false, u32::MAX, true)]
fn the_one_interrupt_is(#[case] msi: bool, #[case] icr: u32, #[case] ours: bool) {
    let mut rig = without_msix(msi);
    rig.bus.regs.insert(ICR, icr);
    let result = rig.with(|igb, ctx| igb.interrupt(ctx, 0));
    assert_eq!(result, IrqResult { handled: ours, napi: ours.then_some(0) });
    rig.with(|igb, ctx| igb.napi_complete(ctx.bus, 0));
    assert_eq!(rig.bus.writes(IMS), [0x5000_009D]);
    let acknowledged: &[u32] = if icr == u32::MAX { &[u32::MAX] } else { &[] };
    assert_eq!(rig.bus.writes(ICR), acknowledged);
}
