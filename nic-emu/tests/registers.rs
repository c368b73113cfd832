//! Reset values, access kinds, and the register test of `ethtool -t` (chapter 8).

mod machine;

use machine::{MAC, Machine};
use nic_emu::{BAR_BYTES, Config, Rule};
use rstest::rstest;

#[rstest]
#[case::ctrl(0x0000, 0x0010_0209)]
#[case::ctrl_by_its_second_offset(0x0004, 0x0010_0209)]
#[case::status_without_link(0x0008, 0x8008_0681)]
#[case::ctrl_ext(0x0018, 0)]
#[case::vet(0x0038, 0x8100_8100)]
#[case::ledctl(0x0E00, 0x0706_8302)]
#[case::rctl(0x0100, 0)]
#[case::tctl(0x0400, 0xA404_00F8)]
#[case::tctl_ext(0x0404, 0x0001_0840)]
#[case::tipg(0x0410, 0x0060_1008)]
#[case::rxcsum(0x5000, 0x300)]
#[case::rlpml(0x5004, 0x2600)]
#[case::rxpbs(0x2404, 0x40)]
#[case::txpbs(0x3404, 0x28)]
#[case::dtxctl(0x3590, 0x44)]
#[case::gcr(0x5B00, 0x0685_0200)]
#[case::rxdctl_of_queue_0_enabled(0xC028, 0x0201_0000)]
#[case::rxdctl_of_queue_1(0xC068, 0x0001_0000)]
#[case::txdctl_of_queue_0_enabled(0xE028, 0x0200_0000)]
#[case::txdctl_of_queue_15(0xE3E8, 0)]
#[case::txctl(0xE014, 0x2A00)]
#[case::eecd_present_and_auto_read(0x0010, 0x1310)]
#[case::ral0_from_nvm(0x5400, 0x0000_0002)]
#[case::rah0_from_nvm(0x5404, 0x8000_0100)]
fn after_power_up(#[case] offset: u32, #[case] expected: u32) {
    let mut machine = Machine::cold();
    assert_eq!(machine.read(offset), expected, "{:?}", nic_emu::register_name(offset));
    assert_eq!(machine.rules(), []);
}

/// Linux's pattern test: four patterns under the write mask, compared under the mask.
#[rstest]
#[case::fcal(0x28, 1, 0, !0, !0)]
#[case::fcah(0x2C, 1, 0, 0xFFFF, !0)]
#[case::fct(0x30, 1, 0, 0xFFFF, !0)]
#[case::vet(0x38, 1, 0, !0, !0)]
#[case::rdbal(0x2800, 4, 0x100, 0xFFFF_FF80, !0)]
#[case::rdbah(0x2804, 4, 0x100, !0, !0)]
#[case::rdlen(0x2808, 4, 0x100, 0x000F_FFF0, 0x000F_FFFF)]
#[case::rdbal_of_4_to_15(0xC100, 12, 0x40, 0xFFFF_FF80, !0)]
#[case::rdbah_of_4_to_15(0xC104, 12, 0x40, !0, !0)]
#[case::rdlen_of_4_to_15(0xC108, 12, 0x40, 0x000F_FFF0, 0x000F_FFFF)]
#[case::rdt(0x2818, 4, 0x100, 0xFFFF, 0xFFFF)]
#[case::rdt_of_4_to_15(0xC118, 12, 0x40, 0xFFFF, 0xFFFF)]
#[case::fcrth(0x2168, 1, 0, 0xFFF0, 0xFFF0)]
#[case::fcttv(0x170, 1, 0, 0xFFFF, 0xFFFF)]
#[case::tipg(0x410, 1, 0, 0x3FFF_FFFF, 0x3FFF_FFFF)]
#[case::tdbal(0x3800, 4, 0x100, 0xFFFF_FF80, !0)]
#[case::tdbah(0x3804, 4, 0x100, !0, !0)]
#[case::tdlen(0x3808, 4, 0x100, 0x000F_FFF0, 0x000F_FFFF)]
#[case::tdbal_of_4_to_15(0xE100, 12, 0x40, 0xFFFF_FF80, !0)]
#[case::tdbah_of_4_to_15(0xE104, 12, 0x40, !0, !0)]
#[case::tdlen_of_4_to_15(0xE108, 12, 0x40, 0x000F_FFF0, 0x000F_FFFF)]
#[case::ral(0x5400, 16, 8, !0, !0)]
#[case::rah(0x5404, 16, 8, 0x83FF_FFFF, !0)]
#[case::ral_upper(0x54E0, 8, 8, !0, !0)]
#[case::rah_upper(0x54E4, 8, 8, 0x83FF_FFFF, !0)]
#[case::mta(0x5200, 128, 4, !0, !0)]
fn ethtool_pattern_test_passes(
    #[case] offset: u32,
    #[case] count: u32,
    #[case] stride: u32,
    #[case] mask: u32,
    #[case] write: u32,
) {
    let mut machine = Machine::cold();
    for queue in 0..16 {
        machine.write(0xC028 + 0x40 * queue, 1 << 25);
    }
    for index in 0..count {
        for pattern in [0x5A5A_5A5A, 0xA5A5_A5A5, 0, !0] {
            machine.write(offset + stride * index, pattern & write);
            let read = machine.read(offset + stride * index);
            assert_eq!(read & mask, pattern & write & mask, "{:#x}", offset + stride * index);
        }
    }
}

#[rstest]
#[case::rctl_cleared(0x100, !0, 0)]
#[case::rctl_without_enable(0x100, 0x04CF_B0FE, 0x003F_FFFB)]
#[case::rctl_all(0x100, 0x04CF_B0FE, !0)]
#[case::tctl_cleared(0x400, !0, 0)]
fn ethtool_set_and_read_test_passes(#[case] offset: u32, #[case] mask: u32, #[case] write: u32) {
    let mut machine = Machine::cold();
    machine.write(offset, write & mask);
    assert_eq!(machine.read(offset) & mask, write & mask);
}

#[test]
fn status_does_not_change_by_writing_it() {
    let mut machine = Machine::cold();
    let before = machine.read(8);
    machine.write(8, before ^ 0x7FFF_F3FF | 1 << 10);
    assert_eq!(machine.read(8) & 0x7FFF_F3FF, before & 0x7FFF_F3FF);
}

#[test]
fn queues_0_to_3_have_two_sets_of_offsets() {
    let mut machine = Machine::cold();
    for queue in 0..4 {
        machine.write(0x2814 + 0x100 * queue, 0x1110 + queue);
        machine.write(0xE014 + 0x40 * queue, 0x2220 + queue);
        assert_eq!(machine.read(0xC014 + 0x40 * queue), 0x1110 + queue);
        assert_eq!(machine.read(0x3814 + 0x100 * queue), 0x2220 + queue);
    }
}

#[rstest]
#[case::outside_of_the_bar(BAR_BYTES, !0, Rule::AccessOutsideBar)]
#[case::not_aligned(0x102, !0, Rule::MisalignedAccess)]
#[case::where_no_register_is(0x1_F000, 0, Rule::UnknownRegister)]
fn a_read(#[case] offset: u32, #[case] value: u32, #[case] rule: Rule) {
    let mut machine = Machine::cold();
    assert_eq!(machine.read(offset), value);
    assert_eq!(machine.rules(), [rule]);
}

#[test]
fn reset_takes_its_time_and_gives_reset_values() {
    let mut machine = Machine::up();
    machine.write(0x38, 0x1234);
    machine.set(0x0, 1 << 26);
    assert_ne!(machine.read(0) & 1 << 26, 0, "CTRL.RST while at work");
    assert_eq!(machine.read(0x10) & 1 << 9, 0, "AUTO_RD");
    assert_eq!(machine.rules(), [], "CTRL and EECD may be polled");
    machine.read(0x38);
    machine.write(0x38, 0x1111);
    assert_eq!(machine.rules(), [Rule::AccessDuringReset; 2]);
    machine.wait(1_000_000);
    assert_eq!(machine.read(0), 0x0010_0209);
    assert_eq!(machine.read(0x38), 0x8100_8100);
    assert_eq!(machine.read(0xE028), 0x0200_0000);
    machine.wait(20_000_000);
    assert_ne!(machine.read(0x10) & 1 << 9, 0, "AUTO_RD");
    assert_ne!(machine.read(0x1010) & 1 << 18, 0, "CFG_DONE");
    assert_eq!(machine.read(0x5400), 2);
    assert_eq!(machine.rules(), []);
}

#[test]
fn linux_bring_up_breaks_no_rule() {
    let mut machine = Machine::up();
    assert_eq!(machine.nic.take_observations(), []);
}

#[test]
fn nvm_words_add_up_and_hold_the_address() {
    let mut machine = Machine::cold();
    let mut word = |address: u32| {
        machine.write(0x14, address << 2 | 1);
        assert_eq!(machine.read(0x14) & 2, 0, "not at once");
        machine.wait(20_000);
        assert_eq!(machine.read(0x14) & 2, 2);
        (machine.read(0x14) >> 16) as u16
    };
    assert_eq!([word(0), word(1), word(2)], [0x0002, 0x0000, 0x0100]);
    assert_eq!((0..0x40).map(&mut word).fold(0, u16::wrapping_add), 0xBABA);
}

#[test]
fn a_word_written_to_the_nvm_is_read_back() {
    let mut machine = Machine::cold();
    machine.write(0x102C, 0xBEEF_0000 | 0x50 << 2 | 1);
    assert_eq!(machine.read(0x102C) & 2, 0, "not at once");
    machine.wait(20_000);
    assert_eq!(machine.read(0x102C) & 3, 2);
    machine.write(0x14, 0x50 << 2 | 1);
    machine.wait(20_000);
    assert_eq!(machine.read(0x14) >> 16, 0xBEEF);
    assert_eq!(machine.rules(), []);
    machine.write(0x14, 0x100 << 2 | 1);
    machine.wait(20_000);
    assert_eq!((machine.read(0x14) >> 16, machine.rules()), (0xFFFF, vec![Rule::NvmAccess]));
}

#[test]
fn the_serial_interface_of_the_nvm_is_granted_to_who_asks() {
    let mut machine = Machine::cold();
    machine.set(0x10, 1 << 6);
    assert_ne!(machine.read(0x10) & 1 << 7, 0, "GNT");
    machine.write(0x10, 0);
    assert_eq!(machine.read(0x10), 0x1300, "neither REQ nor GNT");
}

#[test]
fn the_semaphore_is_free_once() {
    let mut machine = Machine::cold();
    assert_eq!([machine.read(0x5B50), machine.read(0x5B50)], [0, 1]);
    machine.write(0x5B50, 2);
    assert_eq!([machine.read(0x5B50), machine.read(0x5B50)], [2, 3]);
}

#[test]
fn master_disable_waits_for_dma_under_way() {
    let mut machine = Machine::up();
    machine.send(&machine::frame(1500));
    machine.wait(700);
    machine.set(0, 1 << 2);
    assert_ne!(machine.read(8) & 1 << 19, 0, "data is on the bus");
    machine.wait(10_000);
    assert_eq!(machine.read(8) & 1 << 19, 0);
    machine.send(&machine::frame(1500));
    machine.run();
    assert_eq!(machine.out.frames.len(), 1);
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_may_not() {
    let run = |seed| {
        let mut machine = Machine::up_with(Config::new(MAC, seed));
        for _ in 0..8 {
            machine.send(&machine::frame(64));
        }
        machine.run();
        machine.out
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
