//! Causes, masks, vectors, moderation (chapter 7.3).

mod machine;

use machine::{MAC, Machine, frame};
use nic_emu::{Config, Fault, Rule, Which};
use rstest::rstest;

#[test]
fn a_message_clears_its_cause_and_masks_its_vector() {
    let mut machine = Machine::up();
    machine.send(&frame(100));
    machine.run();
    assert_eq!(machine.read(0x1580), 0, "EICR by EIAC");
    assert_eq!(machine.read(0x1524), 1, "EIMS by EIAM");
    machine.send(&frame(100));
    machine.run();
    assert_eq!(machine.out.interrupts.len(), 1, "masked");
    assert_eq!(machine.read(0x1580), 2);
    machine.write(0x1524, 2);
    machine.run();
    assert_eq!(machine.out.interrupts.len(), 2, "the cause was kept");
}

#[test]
fn without_auto_clear_and_auto_mask_software_does_both() {
    let mut machine = Machine::up();
    machine.write(0x152C, 0);
    machine.write(0x1530, 0);
    machine.send(&frame(100));
    machine.run();
    assert_eq!(machine.read(0x1580), 2, "a read does not clear with MSI-X");
    assert_eq!(machine.read(0x1580), 2);
    machine.send(&frame(100));
    machine.run();
    assert_eq!(machine.out.interrupts.len(), 1, "the bit was still set");
    machine.write(0x1580, 2);
    machine.send(&frame(100));
    machine.run();
    assert_eq!(machine.out.interrupts.len(), 2);
}

#[test]
fn moderation_counts_microseconds_in_bits_14_to_2() {
    let mut machine = Machine::up_with(Config {
        latency: nic_emu::Latency { jitter_percent: 0, ..Default::default() },
        ..Config::new(MAC, 0)
    });
    machine.write(0x1684, 648);
    for _ in 0..2 {
        machine.write(0x1520, 2);
        machine.wait(10_000);
        machine.write(0x1524, 2);
    }
    machine.run();
    let at: Vec<u64> = machine.out.interrupts.iter().map(|message| message.at).collect();
    assert_eq!(at[1] - at[0], 162_000);
}

#[test]
fn a_write_with_cnt_ingr_leaves_the_running_interval_alone() {
    for (value, early) in [(56 | 1 << 31, false), (56, true)] {
        let mut machine = Machine::up();
        machine.write(0x1684, 648);
        machine.write(0x1520, 2);
        machine.wait(10_000);
        machine.write(0x1684, value);
        machine.write(0x1520, 2);
        machine.write(0x1524, 2);
        machine.wait(50_000);
        assert_eq!(machine.out.interrupts.len() == 2, early);
    }
}

/// Every cause that Linux's interrupt test raises.
#[test]
fn each_cause_raised_by_software_interrupts_when_enabled() {
    for bit in (0..31).filter(|bit| 0x77D4_FBFD_u32 >> bit & 1 == 1) {
        let mut machine = Machine::up();
        machine.write(0xD8, !0);
        machine.write(0xC8, 1 << bit);
        machine.run();
        assert_eq!(machine.out.interrupts.len(), 0, "cause {bit} masked");
        machine.write(0xD0, 1 << bit);
        machine.run();
        assert_eq!(machine.out.interrupts.len(), 1, "cause {bit}");
        assert_eq!(machine.out.interrupts[0].vector, 0);
        assert_eq!(machine.read(0xC0), 1 << bit | 1 << 31);
        assert_eq!(machine.read(0xC0), 0);
    }
}

#[rstest]
#[case::kept_when_nothing_is_asserted_and_something_is_enabled(4, false, 0x10)]
#[case::cleared_when_nothing_is_enabled(0, false, 0)]
#[case::cleared_when_asserted(0x10, false, 0)]
#[case::cleared_with_nsicr(4, true, 0)]
fn icr_read(#[case] enabled: u32, #[case] nsicr: bool, #[case] left: u32) {
    let mut machine = Machine::cold();
    machine.write(0x1514, u32::from(nsicr));
    machine.write(0xD0, enabled);
    machine.write(0xC8, 0x10);
    machine.read(0xC0);
    assert_eq!(machine.read(0xC0), left);
}

#[test]
fn without_msix_one_interrupt_stands_for_all_and_icr_masks_by_iam() {
    let mut machine = Machine::cold();
    machine.write(0xD0, 0x85);
    machine.write(0xE0, 0x85);
    machine.write(0xC8, 1);
    machine.run();
    assert_eq!(machine.out.interrupts.len(), 1);
    assert_eq!(machine.out.interrupts[0].vector, 0);
    assert_eq!(machine.read(0xC0) & (1 << 31 | 1), 1 << 31 | 1);
    assert_eq!(machine.read(0xD0), 0, "IMS");
}

/// Queue, register, bit position for receive; transmit is 8 higher.
#[rstest]
#[case(1, 0x1704, 0)]
#[case(7, 0x171C, 0)]
#[case(8, 0x1700, 16)]
#[case(15, 0x171C, 16)]
fn ivar_is_column_major(#[case] queue: u32, #[case] register: u32, #[case] shift: u32) {
    let mut machine = Machine::up();
    machine.write(register, 0x85 << (shift + 8));
    machine.write(0x1524, 1 << 5);
    let base = 0xE000 + 0x40 * queue;
    machine.write(base, 0x3000);
    machine.write(base + 8, 128);
    machine.write(base + 0x28, 1 << 25);
    machine.ram.put(0x8_0000, &frame(64));
    machine.ram.descriptor(0x3000, machine::data(0x8_0000, 64, 0x0B00_0000, 0, 64));
    machine.write(base + 0x18, 1);
    machine.run();
    assert_eq!(machine.out.frames[0].queue, queue as u16);
    assert_eq!(machine.out.interrupts.iter().map(|message| message.vector).collect::<Vec<_>>(), [5]);
}

#[test]
fn the_vector_map_is_checked() {
    let mut machine = Machine::cold();
    machine.write(0x1700, 0x0081);
    machine.write(0x1514, 0x10);
    machine.write(0x1700, 0x008B);
    assert_eq!(machine.rules(), [Rule::VectorMapping; 2]);
}

#[test]
fn faults_lose_one_interrupt_and_invent_another() {
    let mut config = Config::new(MAC, 0);
    config.faults.push(Fault::LostInterrupt { vector: 1, which: Which::Nth(1) });
    config.faults.push(Fault::SpuriousInterrupt { vector: 3, at: 3_000_000_000 });
    let mut machine = Machine::with(config);
    machine.reset();
    machine.bring_up();
    machine.wait(2_000_000_000);
    machine.out = Default::default();
    machine.send(&frame(64));
    machine.wait(100_000);
    assert!(machine.out.interrupts.is_empty());
    machine.write(0x1524, 2);
    machine.send(&frame(64));
    machine.wait(100_000);
    assert_eq!(machine.out.interrupts.len(), 1);
    machine.run();
    assert_eq!(machine.out.interrupts[1].vector, 3);
    assert_eq!(machine.out.interrupts[1].at, 3_000_000_000);
}

/// BAR 3: vector control of vector 1 is at 0x1C, the pending bits are at 0x2000.
#[test]
fn a_masked_vector_waits_and_is_pending() {
    let mut machine = Machine::up();
    machine.nic.write_msix(0x1C, 1);
    machine.send(&frame(100));
    machine.run();
    assert_eq!((machine.out.interrupts.len(), machine.nic.read_msix(0x2000)), (0, 2));
    machine.nic.write_msix(0x1C, 0);
    machine.run();
    assert_eq!((machine.out.interrupts.len(), machine.nic.read_msix(0x2000)), (1, 0));
}

#[test]
fn what_waits_for_a_masked_vector_can_be_forgotten() {
    let mut machine = Machine::up();
    machine.nic.write_msix(0x1C, 1);
    machine.send(&frame(100));
    machine.run();
    machine.write(0x5B68, 2);
    assert_eq!(machine.nic.read_msix(0x2000), 0);
    machine.nic.write_msix(0x1C, 0);
    machine.run();
    assert_eq!(machine.out.interrupts.len(), 0);
}

#[test]
fn the_table_holds_an_entry_for_each_vector() {
    let mut machine = Machine::cold();
    for word in 0..4 {
        machine.nic.write_msix(0x90 + 4 * word, 0xFEE0_0001);
        machine.nic.write_msix(0xA0 + 4 * word, 0xFEE0_0001);
    }
    let read = |offset: u32| [0, 4, 8, 12].map(|word| machine.nic.read_msix(offset + word));
    assert_eq!(read(0x90), [0xFEE0_0001, 0xFEE0_0001, 0xFEE0_0001, 1], "vector 9, the last");
    assert_eq!(read(0xA0), [0; 4], "beyond it");
}

#[test]
fn intx_is_asserted_until_its_cause_is_read() {
    let mut machine = Machine::up();
    machine.write(0x1514, 0);
    machine.write(0x1528, !0);
    machine.read(0x1580);
    machine.read(0xC0);
    machine.write(0xD0, 0x5000_009D);
    assert!(!machine.nic.is_intx_asserted());
    machine.send(&frame(100));
    machine.run();
    assert!(machine.nic.is_intx_asserted());
    assert_eq!(machine.out.interrupts.iter().map(|message| message.vector).collect::<Vec<_>>(), [0]);
    assert_ne!(machine.read(0xC0) & (1 << 31 | 1), 0, "INT_ASSERTED, TXDW");
    assert!(!machine.nic.is_intx_asserted());
}
