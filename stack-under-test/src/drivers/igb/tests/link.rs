//! Link, interrupts, moderation, watchdog and counters.

use super::*;
use crate::drivers::igb::{Fault, IrqResult};
use crate::errno::Errno;
use rstest::rstest;

const SPURIOUS: IrqResult = IrqResult { handled: false, napi: None };

const BMSR_LINK: u16 = 1 << 2;
const ICR: u32 = 0x00C0;
const EIMS: u32 = 0x1524;
const EICS: u32 = 0x1520;
const EITR1: u32 = 0x1684;

/// Up, without a link.
fn without_link() -> Rig {
    let mut rig = Rig::new(Config { mac: Some(MAC), ..Config::default() });
    rig.bus.mii[1] &= !BMSR_LINK;
    rig.with(Igb::probe);
    rig.with(Igb::open).expect("it can be opened");
    rig.pass(Duration::from_millis(100));
    assert!(rig.igb.is_up() && !rig.igb.carrier());
    rig.bus.written.clear();
    rig
}

#[test]
fn autonegotiation_is_restarted_with_everything_advertised() {
    let mut rig = Rig::new(Config { mac: Some(MAC), ..Config::default() });
    rig.bus.mii[0] = 0x0800;
    rig.with(Igb::probe);
    rig.with(Igb::open).expect("it can be opened");
    rig.pass(Duration::from_millis(100));
    // 10 and 100 Mb/s and both kinds of pause; 1000 Mb/s full duplex; power on, AN on and restarted.
    assert_eq!((rig.bus.mii[4], rig.bus.mii[9], rig.bus.mii[0]), (0x0DE0, 0x0200, 0x1200));
    // Both pause: CTRL.RFCE and TFCE.
    assert_eq!(rig.bus.get(CTRL) >> 27 & 3, 3);
    assert_eq!(rig.igb.link_speed(), Some((1000, true)));
    // Each access is made with the PHY's bit in SW_FW_SYNC, and the semaphores are free again.
    let accesses = rig.bus.writes(MDIC).len();
    assert_eq!(rig.bus.writes(0x5B5C), [2, 0].repeat(accesses));
    assert_eq!((rig.bus.get(0x5B50), rig.bus.get(0x5B5C)), (0, 0));
}

#[test]
fn an_interrupt_tells_of_the_link() {
    let mut rig = without_link();
    rig.bus.mii[1] |= BMSR_LINK;
    rig.bus.regs.insert(ICR, 1 << 2);
    assert_eq!(rig.with(|igb, ctx| igb.interrupt(ctx, 0)), IrqResult { handled: true, napi: None });
    assert_eq!(rig.bus.writes(EIMS), [1]);
    rig.pass(Duration::ZERO);
    assert_eq!(
        (rig.igb.carrier(), rig.igb.take_carrier_change(), rig.igb.take_carrier_change()),
        (true, Some(true), None)
    );
}

#[test]
fn without_an_interrupt_the_watchdog_finds_the_link() {
    let mut rig = without_link();
    rig.bus.mii[1] |= BMSR_LINK;
    rig.pass(Duration::from_millis(1800));
    assert!(!rig.igb.carrier());
    rig.pass(Duration::from_millis(200));
    assert!(rig.igb.carrier());
}

#[test]
fn a_partner_that_cannot_receive_yet_is_waited_for_two_seconds_at_most() {
    let mut rig = without_link();
    rig.bus.mii[1] |= BMSR_LINK;
    rig.bus.mii[10] = 0;
    rig.pass(Duration::from_secs(2));
    assert!(!rig.igb.carrier());
    rig.pass(Duration::from_millis(1900));
    assert!(rig.igb.carrier());
}

#[test]
fn a_lost_link_is_reported_and_packets_in_the_ring_cost_a_reset() {
    let mut rig = Rig::up();
    let _ = rig.igb.take_carrier_change();
    let skb = rig.packet(100);
    assert!(rig.xmit(skb, false));
    rig.bus.mii[1] &= !BMSR_LINK;
    rig.bus.regs.insert(ICR, 1 << 2);
    rig.with(|igb, ctx| igb.interrupt(ctx, 0));
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.igb.take_carrier_change(), Some(false));
    assert_eq!((rig.bus.resets, rig.skbs.in_flight(), rig.igb.is_up()), (2, 0, true));
    assert_eq!(rig.ethtool("tx_timeout_count"), 1);
}

/// Up, and reset by the driver itself while the PHY has no link.
fn recovering() -> Rig {
    let mut rig = Rig::up();
    let _ = rig.igb.take_carrier_change();
    rig.with(Igb::tx_timeout);
    rig.bus.mii[1] &= !BMSR_LINK;
    rig.pass(Duration::from_secs(5));
    assert_eq!((rig.bus.resets, rig.igb.is_up()), (2, true));
    assert_eq!((rig.igb.carrier(), rig.igb.link_speed(), rig.queues[0].is_stopped()), (true, None, true));
    rig
}

#[test]
fn a_reset_of_the_driver_s_own_keeps_the_carrier_and_stops_the_queues_until_there_is_a_link() {
    let mut rig = recovering();
    rig.bus.mii[1] |= BMSR_LINK;
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.igb.take_carrier_change(), None);
    assert_eq!((rig.igb.link_speed(), rig.queues[0].is_stopped()), (Some((1000, true)), false));
}

#[rstest]
#[case::after_ten_seconds(|rig: &mut Rig| rig.pass(Duration::from_secs(5)))]
#[case::when_the_device_goes_down(|rig: &mut Rig| rig.with(Igb::stop))]
#[case::when_an_administrator_resets_it(|rig: &mut Rig| rig.with(Igb::nway_reset))]
#[case::when_the_device_is_gone(|rig: &mut Rig| { rig.bus.gone = true; rig.with(Igb::nway_reset); })]
fn a_link_that_does_not_come_back_is_told_of(#[case] then: fn(&mut Rig)) {
    let mut rig = recovering();
    then(&mut rig);
    assert_eq!((rig.igb.carrier(), rig.igb.take_carrier_change()), (false, Some(false)));
    rig.bus.mii[1] |= BMSR_LINK;
    rig.pass(Duration::from_secs(3));
    assert_eq!(rig.igb.carrier(), rig.igb.is_up());
}

#[test]
fn a_link_that_was_lost_before_the_reset_is_told_of_at_once() {
    let mut rig = Rig::up();
    let _ = rig.igb.take_carrier_change();
    rig.bus.has_link = false;
    rig.with(Igb::tx_timeout);
    rig.pass(Duration::ZERO);
    assert_eq!(rig.igb.take_carrier_change(), Some(false));
}

#[rstest]
#[case::mdic_that_is_never_ready(|bus: &mut FakeBus| bus.mdic_stuck = true, Fault::MdicTimeout)]
#[case::a_semaphore_that_is_held(|bus: &mut FakeBus| { bus.regs.insert(0x5B5C, 2 << 16); }, Fault::SemaphoreTimeout)]
fn a_phy_that_does_not_answer_means_no_link(#[case] spoil: fn(&mut FakeBus), #[case] fault: Fault) {
    let mut rig = Rig::new(Config { mac: Some(MAC), ..Config::default() });
    spoil(&mut rig.bus);
    rig.with(Igb::probe);
    rig.with(Igb::open).expect("it can be opened");
    rig.pass(Duration::from_secs(10));
    assert_eq!((rig.igb.is_up(), rig.igb.carrier()), (true, false));
    assert!(rig.igb.faults(fault) > 1, "asked again and again, each time with an end");
}

#[test]
fn a_reset_that_the_device_reports_is_made_up_for() {
    let mut rig = Rig::up();
    rig.bus.regs.insert(ICR, 1 << 30);
    rig.with(|igb, ctx| igb.interrupt(ctx, 0));
    assert!(!rig.igb.is_settled());
    rig.pass(Duration::from_millis(100));
    assert_eq!((rig.bus.resets, rig.igb.is_up(), rig.bus.get(RDT)), (2, true, 63));
}

#[test]
fn dma_out_of_sync_is_counted() {
    let mut rig = Rig::up();
    rig.bus.regs.insert(ICR, 1 << 28);
    rig.with(|igb, ctx| igb.interrupt(ctx, 0));
    assert_eq!(rig.ethtool("tx_dma_out_of_sync"), 1);
}

#[test]
fn a_queue_vector_schedules_its_napi_and_completion_arms_it_again() {
    let mut rig = Rig::up();
    assert_eq!(rig.with(|igb, ctx| igb.interrupt(ctx, 1)), IrqResult { handled: true, napi: Some(0) });
    assert_eq!(rig.bus.written, []);
    assert_eq!(rig.poll(), 0);
    assert_eq!(rig.bus.written, []);
    rig.with(|igb, ctx| igb.napi_complete(ctx.bus, 0));
    assert_eq!(rig.bus.written, [(EIMS, 2)]);
    assert_eq!(rig.with(|igb, ctx| igb.interrupt(ctx, 2)), SPURIOUS);
}

#[test]
fn the_watchdog_kicks_every_two_seconds_so_that_a_lost_interrupt_comes_again() {
    let mut rig = Rig::up();
    rig.pass(Duration::from_secs(10));
    assert_eq!(rig.bus.writes(EICS), [2; 5]);
}

#[test]
fn the_interval_is_written_when_it_changes() {
    let mut rig = Rig::up();
    for _ in 0..3 {
        rig.with(|igb, ctx| igb.interrupt(ctx, 1));
        rig.poll();
        rig.with(|igb, ctx| igb.napi_complete(ctx.bus, 0));
    }
    // From 162 µs to 49 µs with the first poll, and no further.
    assert_eq!(rig.bus.writes(EITR1), [1 << 31 | 196]);
    assert_eq!(rig.igb.set_coalesce(100), Ok(()));
    rig.with(|igb, ctx| igb.interrupt(ctx, 1));
    assert_eq!(rig.bus.writes(EITR1), [1 << 31 | 196, 1 << 31 | 400]);
}

#[rstest]
#[case(2)]
#[case(9)]
#[case(10_001)]
#[case(70_000)]
fn some_intervals_are_refused(#[case] rx_usecs: u32) {
    assert_eq!(Igb::new(Config::default()).set_coalesce(rx_usecs), Err(Errno::EINVAL));
}

#[test]
fn counters_that_clear_when_read_are_folded() {
    let mut rig = Rig::up();
    for value in [5, 7] {
        rig.bus.regs.extend([(0x4000, value), (0x4088, 1000), (0x408C, 1), (0x40A4, 1)]);
        rig.pass(Duration::from_secs(2));
    }
    let stats = rig.with(Igb::stats64);
    assert_eq!((stats.rx_crc_errors, stats.rx_length_errors, stats.rx_errors), (12, 2, 14));
    assert_eq!(rig.ethtool("rx_bytes"), 2000);
}

#[test]
fn without_a_link_the_device_goes_on_counting() {
    let mut rig = without_link();
    rig.bus.regs.insert(0x4000, 5);
    assert_eq!(rig.with(Igb::stats64).rx_crc_errors, 0);
    assert_eq!(rig.bus.get(0x4000), 5);
}

/// `fixtures/igb-statistics.txt`: what Linux 6.12's igb printed with four queue pairs.
#[test]
fn ethtool_s_has_linux_s_names_in_linux_s_order() {
    let mut rig = Rig::new(Config { mac: Some(MAC), queue_pairs: 4, ..Config::default() });
    let names: Vec<_> = rig.with(Igb::ethtool_stats).into_iter().map(|(name, _)| name).collect();
    let linux = include_str!("../../../../../fixtures/igb-statistics.txt");
    assert_eq!(names, linux.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>());
}
