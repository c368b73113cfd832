//! What the NIC does wrong when it is asked to.

mod machine;

use machine::{BUFFERS, MAC, Machine, RX_RING, TX_RING, frame};
use nic_emu::{Config, DropReason, Fault, Rule, Which};
use rstest::rstest;

/// A machine that is up, with this fault armed.
fn armed(fault: Fault) -> Machine {
    let mut machine = Machine::up_with(Config::new(MAC, 0));
    machine.nic.arm_faults(&[fault]);
    machine
}

const SECOND: Which = Which::Nth(2);

fn reasons(machine: &Machine) -> Vec<DropReason> {
    machine.out.dropped.iter().map(|dropped| dropped.reason).collect()
}

#[test]
fn a_lost_write_back_leaves_dd_clear_and_gives_the_interrupt() {
    let mut machine = armed(Fault::LostWriteBack { queue: 0, which: Which::Nth(1) });
    machine.send(&frame(100));
    machine.run();
    assert_eq!(machine.ram.word(TX_RING + 12) & 1, 0);
    assert_eq!(machine.out.interrupts.len(), 1);
    machine.write(0x1524, 2);
    machine.send(&frame(100));
    machine.run();
    assert_eq!(machine.ram.word(TX_RING + 16 + 12) & 1, 1);
    assert_eq!(machine.out.frames.len(), 2);
}

#[test]
fn after_a_failed_fetch_the_queue_stands_still_until_it_is_enabled_anew() {
    let mut machine = armed(Fault::DescriptorFetchError { queue: 0, which: SECOND });
    machine.write(0xD0, 1 << 28);
    machine.send(&frame(100));
    machine.run();
    machine.send(&frame(100));
    machine.send(&frame(100));
    machine.run();
    assert_eq!(machine.out.frames.len(), 1);
    assert_ne!(machine.read(0xC0) & 1 << 28, 0, "DOUTSYNC");
    machine.write(0xE028, 0);
    machine.write(0xE028, 0x0201_0108);
    machine.tail = 0;
    machine.send(&frame(100));
    machine.run();
    assert_eq!((machine.out.frames.len(), machine.rules()), (2, vec![]));
}

#[test]
fn refused_data_loses_the_frame_and_completes_its_descriptor() {
    let mut machine = armed(Fault::RefusedDma { queue: 0, which: SECOND });
    for _ in 0..3 {
        machine.send(&frame(100));
    }
    machine.run();
    assert_eq!(machine.out.frames.len(), 2);
    assert_eq!(reasons(&machine), [DropReason::DmaFault]);
    assert_eq!(machine.ram.word(TX_RING + 16 + 12) & 1, 1);
    assert_eq!((machine.read(0x4080), machine.rules()), (2, vec![]));
}

#[rstest]
#[case::damaged(Fault::CorruptedReceivedFrame { which: SECOND }, DropReason::BadCrc, 3, 1)]
#[case::lost(Fault::LostReceivedFrame { which: SECOND }, DropReason::Cable, 2, 0)]
fn a_frame_on_its_way_in_is(
    #[case] fault: Fault,
    #[case] reason: DropReason,
    #[case] seen: u32,
    #[case] bad: u32,
) {
    let mut machine = armed(fault);
    for _ in 0..3 {
        machine.nic.receive(0, &frame(100));
    }
    machine.run();
    assert_eq!(reasons(&machine), [reason]);
    assert_eq!([machine.read(0x4074), machine.read(0x40D0), machine.read(0x4000)], [2, seen, bad]);
}

#[rstest]
#[case::damaged(Fault::CorruptedSentFrame { which: SECOND })]
#[case::lost(Fault::LostSentFrame { which: SECOND })]
fn a_frame_on_its_way_out_is_counted_and(#[case] fault: Fault) {
    let mut machine = armed(fault);
    for _ in 0..3 {
        machine.send(&frame(100));
    }
    machine.run();
    assert_eq!((machine.out.frames.len(), reasons(&machine)), (2, vec![DropReason::Cable]));
    assert_eq!(machine.read(0x4080), 3);
}

#[test]
fn a_card_that_is_gone_reads_all_ones_and_touches_nothing() {
    let mut machine = armed(Fault::Removal { at: 2_000 });
    machine.send(&frame(1500));
    machine.nic.receive(0, &frame(1500));
    machine.wait(3_000);
    machine.out = Default::default();
    let memory = machine.ram.bytes.clone();
    for offset in [0x0, 0x8, 0xC0, 0xE018, 0x1_F000] {
        machine.write(offset, 0);
        assert_eq!(machine.read(offset), u32::MAX);
    }
    machine.nic.receive(0, &frame(100));
    machine.nic.receive_with_bad_crc(0, &frame(100));
    machine.nic.set_link(true);
    machine.send(&frame(100));
    let rings = machine.ram.bytes.clone();
    machine.wait(10_000_000_000);
    assert!(machine.out.frames.is_empty() && machine.out.interrupts.is_empty());
    assert_eq!(machine.ram.bytes, rings);
    assert_eq!(memory[0x2000..0x3000], rings[0x2000..0x3000], "the receive ring");
    assert_eq!((reasons(&machine), machine.rules()), (vec![DropReason::Removed; 2], vec![]));
}

#[test]
fn the_nic_counts_what_its_faults_could_strike_and_struck() {
    let mut machine = Machine::up_with(Config::new(MAC, 0));
    machine.nic.arm_faults(&[
        Fault::LostSentFrame { which: SECOND },
        Fault::LostWriteBack { queue: 1, which: SECOND },
        Fault::AllOnes { register: 8, at: 1_000_000, for_ns: 1_000_000 },
        Fault::Removal { at: 5_000_000 },
    ]);
    for _ in 0..3 {
        machine.send(&frame(100));
    }
    machine.wait(500_000);
    let counts =
        |machine: &Machine| machine.nic.fault_counts().map(|c| (c.seen, c.struck)).collect::<Vec<_>>();
    assert_eq!(counts(&machine), [(3, 1), (0, 0), (0, 0), (0, 0)]);
    machine.wait(1_000_000);
    assert_eq!(counts(&machine)[2], (0, 0), "nobody has read it");
    assert_eq!((machine.read(8), machine.read(8)), (u32::MAX, u32::MAX));
    machine.wait(10_000_000);
    assert_eq!(counts(&machine), [(3, 1), (0, 0), (0, 2), (0, 1)]);
}

#[test]
fn a_slow_reset_is_over_later() {
    let mut machine = armed(Fault::SlowReset { which: Which::Nth(1), by_ns: 5_000_000 });
    machine.set(0, 1 << 26);
    machine.wait(5_900_000);
    assert_ne!(machine.read(0) & 1 << 26, 0);
    machine.write(0x38, 0);
    assert_eq!(machine.rules(), [Rule::AccessDuringReset]);
    machine.wait(100_000);
    assert_eq!(machine.read(0) & 1 << 26, 0);
}

/// Sends this many frames to the machine, one after the other.
fn receive(machine: &mut Machine, count: usize) {
    for _ in 0..count {
        let now = machine.nic.now();
        machine.nic.receive(now, &frame(100));
        machine.run();
    }
}

/// DD of each of the first receive descriptors.
fn done(machine: &Machine, count: u64) -> Vec<bool> {
    (0..count).map(|index| machine.ram.word(RX_RING + 16 * index + 8) & 1 != 0).collect()
}

#[test]
fn a_lost_receive_write_back_leaves_dd_clear_and_moves_the_head() {
    let mut machine = armed(Fault::LostReceiveWriteBack { queue: 0, which: SECOND });
    receive(&mut machine, 3);
    assert_eq!(done(&machine, 3), [true, false, true]);
    assert_eq!((machine.read(0xC010), machine.read(0x4104)), (3, 3));
}

#[test]
fn a_late_receive_write_back_holds_up_those_behind_it() {
    let fault = Fault::LateReceiveWriteBack { queue: 0, which: SECOND, by_ns: 1_000_000 };
    let mut machine = armed(fault);
    for _ in 0..3 {
        machine.nic.receive(machine.nic.now(), &frame(100));
    }
    machine.wait(500_000);
    assert_eq!((done(&machine, 3), machine.read(0xC010)), (vec![true, false, false], 1));
    machine.wait(600_000);
    assert_eq!((done(&machine, 3), machine.read(0xC010)), (vec![true, true, true], 3));
}

#[test]
fn refused_received_data_leaves_the_buffer_and_completes_its_descriptor() {
    let mut machine = armed(Fault::RefusedReceiveDma { queue: 0, which: SECOND });
    receive(&mut machine, 3);
    let received = |nth: u64| machine.ram.word(BUFFERS + 2048 * nth);
    assert_ne!((received(0), received(2)), (0, 0));
    assert_eq!((received(1), done(&machine, 3)), (0, vec![true; 3]));
    assert_eq!(machine.rules(), []);
}

#[rstest]
#[case::status(0x0008)]
#[case::a_counter_that_reading_clears(0x4074)]
#[case::a_queue_s_second_offset(0x2810)]
fn one_register_reads_all_ones_for_a_time_and_keeps_its_value(#[case] register: u32) {
    let mut machine = Machine::up();
    receive(&mut machine, 2);
    let value = machine.nic.peek32(register);
    machine.nic.arm_faults(&[Fault::AllOnes { register, at: 1000, for_ns: 1000 }]);
    machine.wait(1500);
    assert_eq!((machine.read(register), machine.read(0x00D0) == u32::MAX), (u32::MAX, false));
    machine.wait(1000);
    assert_eq!(machine.read(register), value);
}
