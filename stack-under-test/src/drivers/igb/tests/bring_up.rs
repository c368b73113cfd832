//! Probe, open, stop, and a device that does not play along.

use super::*;
use crate::drivers::igb::Fault;
use crate::drop_reason::DropReason;
use crate::errno::Errno;
use crate::trace::Step;
use rstest::rstest;

const RST: u32 = 1 << 26;

#[test]
fn probe_masks_interrupts_and_stops_the_device_before_it_resets_it() {
    let mut rig = Rig::new(Config::default());
    rig.with(Igb::probe);
    rig.pass(Duration::from_millis(50));
    let order = [
        rig.bus.first(0x1528, 0),
        rig.bus.first(CTRL, 1 << 2),
        rig.bus.first(0x0400, 1 << 3),
        rig.bus.first(CTRL, RST),
        rig.bus.first(0x5400, 0x1200_5452),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!((rig.igb.is_probed(), rig.igb.is_up()), (true, false));
    assert_eq!(rig.igb.mac(), [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
}

#[test]
fn the_first_10_ms_belong_to_the_device() {
    let mut rig = Rig::new(Config::default());
    rig.with(Igb::probe);
    rig.pass(Duration::from_micros(9_900));
    assert_eq!(rig.bus.resets, 0);
    rig.pass(Duration::from_micros(200));
    assert_eq!(rig.bus.resets, 1);
}

#[rstest]
#[case::a_device_that_goes_on_mastering_is_reset_after_80_ms(|bus: &mut FakeBus| bus.master_stuck = true,
    Fault::MasterDisableTimeout, true)]
#[case::an_nvm_that_is_not_read_is_tolerated(|bus: &mut FakeBus| { bus.regs.remove(&0x0010); },
    Fault::AutoReadTimeout, true)]
#[case::a_reset_without_end_is_not(|bus: &mut FakeBus| bus.reset_stuck = true, Fault::ResetTimeout, false)]
#[case::no_address_is_not(|bus: &mut FakeBus| { bus.regs.remove(&0x5400); bus.regs.remove(&0x5404); },
    Fault::InvalidMac, false)]
#[case::a_group_address_is_not(|bus: &mut FakeBus| { bus.regs.insert(0x5400, 1); }, Fault::InvalidMac, false)]
fn a_wait_ends_and_has_a_name(#[case] spoil: fn(&mut FakeBus), #[case] fault: Fault, #[case] goes_on: bool) {
    let mut rig = Rig::new(Config::default());
    spoil(&mut rig.bus);
    rig.with(Igb::probe);
    rig.pass(Duration::from_millis(1_150));
    assert_eq!((rig.igb.faults(fault), rig.igb.last_fault()), (1, Some(fault)));
    assert_eq!(rig.igb.is_probed(), goes_on);
    assert_eq!(rig.with(Igb::open).err(), (!goes_on).then_some(Errno::EIO));
}

#[test]
fn open_programs_rings_and_interrupts() {
    let mut rig = Rig::new(Config { mac: Some(MAC), ..Config::default() });
    rig.with(Igb::probe);
    rig.with(Igb::open).expect("it can be opened while the probe is under way");
    assert!(!rig.igb.is_up());
    rig.pass(Duration::from_millis(100));
    assert!(rig.igb.is_up());
    let ring = |rig: &Rig, bal: u32| u64::from(rig.bus.get(bal)) | u64::from(rig.bus.get(bal + 4)) << 32;
    assert!(
        rig.bus.lent.contains(&(ring(&rig, 0xE000), 4096))
            && rig.bus.lent.contains(&(ring(&rig, 0xC000), 4096))
    );
    // 256 descriptors, one of which is never given.
    let registers = [0xE008, 0xE028, 0xC008, 0xC00C, 0xC028, RDT].map(|reg| rig.bus.get(reg));
    assert_eq!(registers, [4096, 0x0201_0108, 4096, 0x0200_0402, 0x0201_0808, 255]);
    // Address (of pool 0), RCTL (EN, LPE, BAM, VFE, SECRC), TCTL (EN, PSP, CT 15, COLD 63, RTLC), link up, driver loaded.
    assert_eq!((rig.bus.get(0x5400), rig.bus.get(0x5404)), (0x0000_0002, 0x8004_0100));
    assert_eq!((rig.bus.get(0x0100), rig.bus.get(0x0400)), (0x0404_8022, 0x0103_F0FA));
    assert_eq!((rig.bus.get(CTRL) & 1 << 6, rig.bus.get(0x0018)), (1 << 6, 1 << 28));
    // Vector 1 for both queues, vector 0 for the rest, and GPIE first.
    assert_eq!((rig.bus.get(0x1700), rig.bus.get(0x1740)), (0x8181, 0x8000));
    assert!(rig.bus.first(0x1514, 0xC000_0011) < rig.bus.first(0x1740, 0));
    let registers = [0x152C, 0x1530, 0x1524, 0x00D0].map(|reg| rig.bus.get(reg));
    // EIMS was written once more when the link came up: a message that was lost would have masked its vector.
    assert_eq!(registers, [3, 3, 3, 0x5000_0004]);
    // Enabled last, and after the tail of the receive ring.
    assert!(rig.bus.first(RDT, 255) < rig.bus.first(0x1524, 3));
}

#[test]
fn buffers_come_back_only_after_the_reset_and_are_dropped_by_name() {
    let mut rig = Rig::up();
    rig.trace.set_on(true);
    let skb = rig.packet(100);
    rig.skbs[&skb].packet = 7;
    assert!(rig.xmit(skb, false));
    rig.with(Igb::stop);
    assert!(!rig.igb.is_up() && !rig.igb.carrier() && rig.queues[0].is_stopped());
    // Down to the last moment before the reset, everything stays lent.
    rig.bus.reset_stuck = true;
    rig.pass(Duration::from_millis(22));
    assert_eq!((rig.bus.resets, rig.skbs.in_flight()), (2, 1));
    assert_eq!(rig.bus.lent.len(), 2 + 63 + 1);
    rig.bus.reset_stuck = false;
    rig.bus.regs.insert(CTRL, 0);
    rig.pass(Duration::from_millis(2));
    assert_eq!((rig.bus.lent.len(), rig.skbs.in_flight(), rig.skbs.free_heads()), (0, 0, 600));
    assert!(rig.trace.take().iter().any(|e| e.packet == 7 && e.step == Step::Dropped(DropReason::DevReset)));
    assert!(rig.igb.is_settled() && rig.queues[0].bql_available() == 0);
}

#[test]
fn what_completes_in_the_quiet_time_is_sent_not_dropped() {
    let mut rig = Rig::up();
    let skb = rig.packet(100);
    assert!(rig.xmit(skb, false));
    rig.with(Igb::stop);
    rig.pass(Duration::from_millis(5));
    rig.done(0);
    rig.poll();
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.with(Igb::stats64).tx_packets, 1);
}

#[test]
fn it_opens_again_after_a_stop() {
    let mut rig = Rig::up();
    rig.with(Igb::stop);
    rig.with(Igb::open).expect("open while it goes down");
    rig.pass(Duration::from_millis(100));
    assert!(rig.igb.is_up() && rig.igb.carrier() && !rig.queues[0].is_stopped());
    assert_eq!(rig.bus.get(RDT), 63);
}

#[rstest]
#[case::below(67, Err(Errno::EINVAL), 1500)]
#[case::smallest(68, Ok(()), 68)]
#[case::the_last_of_one_buffer(1510, Ok(()), 1510)]
#[case::the_first_jumbo(1511, Ok(()), 1511)]
#[case::largest(9216, Ok(()), 9216)]
#[case::above(9217, Err(Errno::EINVAL), 1500)]
fn an_mtu_is_taken_between_68_and_9216(
    #[case] mtu: u32,
    #[case] verdict: Result<(), Errno>,
    #[case] then: u32,
) {
    let mut rig = Rig::up();
    assert_eq!(rig.with(|igb, ctx| igb.change_mtu(ctx, mtu)), verdict);
    rig.pass(Duration::from_millis(100));
    assert_eq!((rig.igb.mtu(), rig.igb.is_up(), rig.igb.carrier()), (then, true, true));
    // The device is told the size of frames: one buffer of 1,536 bytes, or a jumbo frame.
    assert_eq!(rig.bus.get(0x5004), if then > 1510 { 0x2600 } else { 1536 });
    assert_eq!(rig.bus.resets, if verdict.is_ok() { 2 } else { 1 });
}

#[test]
fn without_memory_for_rings_nothing_is_kept() {
    let mut rig = Rig::new(Config { mac: Some(MAC), tx_ring: 4096, rx_ring: 4096, ..Config::default() });
    rig.with(Igb::probe);
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.with(Igb::open), Err(Errno::ENOMEM));
    assert_eq!(rig.bus.lent.len(), 0);
    rig.with(|igb, ctx| igb.set_ringparam(ctx, 70, 1));
    assert_eq!(rig.igb.ringparam(), (72, 64));
    assert_eq!(rig.with(Igb::open), Ok(()));
}

#[test]
fn a_device_that_is_pulled_out_is_left_alone() {
    let mut rig = Rig::up();
    let skb = rig.packet(100);
    assert!(rig.xmit(skb, false));
    rig.bus.gone = true;
    rig.pass(Duration::from_secs(3));
    assert_eq!(
        (rig.igb.last_fault(), rig.igb.carrier(), rig.igb.is_up()),
        (Some(Fault::Removed), false, false)
    );
    assert_eq!((rig.bus.lent.len(), rig.skbs.in_flight()), (0, 0));
    let (reads, writes) = (rig.bus.reads, rig.bus.written.len());
    rig.with(Igb::stop);
    let skb = rig.packet(100);
    assert!(rig.xmit(skb, false));
    assert_eq!(rig.with(Igb::open), Err(Errno::ENODEV));
    rig.pass(Duration::from_secs(10));
    assert_eq!((rig.bus.reads, rig.bus.written.len(), rig.skbs.in_flight()), (reads, writes, 0));
}

#[test]
fn one_register_of_all_ones_does_not_mean_that_it_is_gone() {
    let mut rig = Rig::up();
    rig.bus.regs.insert(0x4000, u32::MAX);
    assert_eq!(rig.with(Igb::stats64).rx_crc_errors, 0, "not in two seconds");
    assert!(rig.igb.is_up());
}

#[test]
fn an_address_is_set_only_when_it_is_one_of_a_station() {
    let mut rig = Rig::up();
    assert_eq!(rig.with(|igb, ctx| igb.set_mac(ctx, [1, 0, 0, 0, 0, 1])), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(rig.with(|igb, ctx| igb.set_mac(ctx, [2, 3, 4, 5, 6, 7])), Ok(()));
    assert_eq!((rig.bus.get(0x5400), rig.bus.get(0x5404), rig.igb.mac()[5]), (0x0504_0302, 0x8004_0706, 7));
}
