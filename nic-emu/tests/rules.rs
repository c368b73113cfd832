//! What a driver may not do, and that it is noted (README, "Rules").

mod machine;

use machine::{MAC, Machine, data, frame};
use nic_emu::{Config, Fault, Rule, Which};
use rstest::rstest;

const EOP_IFCS_RS: u32 = 0x0B00_0000;

#[rstest]
#[case::tdt_beyond_the_ring(0xE018, 32, Rule::TailBeyondRing)]
#[case::rdt_beyond_the_ring(0xC018, 32, Rule::TailBeyondRing)]
#[case::tdt_of_a_disabled_queue(0xE058, 1, Rule::DoorbellWhileDisabled)]
#[case::rdt_of_a_disabled_queue(0xC058, 1, Rule::DoorbellWhileDisabled)]
#[case::rdt_onto_the_head(0xC018, 0, Rule::TailMeetsHead)]
#[case::tdlen_of_a_running_queue(0xE008, 1024, Rule::RingChangedWhileEnabled)]
#[case::rdbal_of_a_running_queue(0xC000, 0x4000, Rule::RingChangedWhileEnabled)]
#[case::srrctl_of_a_running_queue(0xC00C, 0x0200_0401, Rule::RingChangedWhileEnabled)]
#[case::a_misaligned_base(0xE040, 0x1010, Rule::RingMisaligned)]
#[case::enabling_a_ring_of_no_length(0xE068, 1 << 25, Rule::RingLength)]
#[case::reserved_bit_of_rctl(0x100, 0x0400_8023, Rule::ReservedBit)]
#[case::reserved_bit_of_ivar(0x1704, 0x40, Rule::ReservedBit)]
#[case::a_register_that_is_not_there(0x1_F000, 0, Rule::UnknownRegister)]
#[case::another_phy(0x20, 1 << 27 | 7 << 21, Rule::PhyAccess)]
fn a_write(#[case] offset: u32, #[case] value: u32, #[case] rule: Rule) {
    let mut machine = Machine::up();
    machine.write(offset, value);
    machine.wait(100_000);
    let seen = machine.nic.take_observations();
    assert_eq!(seen.iter().map(|seen| seen.kind).collect::<Vec<_>>(), [rule]);
    assert!(!seen[0].text.is_empty());
}

#[rstest]
#[case::payload_length_does_not_match(data(0x8_0000, 100, EOP_IFCS_RS, 0, 101), Rule::LengthMismatch, 1)]
#[case::reserved_command_bit(data(0x8_0000, 100, EOP_IFCS_RS | 1 << 28, 0, 100), Rule::ReservedBit, 1)]
#[case::checksum_without_context(data(0x8_0000, 100, EOP_IFCS_RS, 2, 100), Rule::NoContext, 0)]
#[case::too_short(data(0x8_0000, 16, EOP_IFCS_RS, 0, 16), Rule::FrameLength, 0)]
#[case::too_long(data(0x8_0000, 9729, EOP_IFCS_RS, 0, 9729), Rule::FrameLength, 0)]
#[case::no_end_of_packet(data(0x8_0000, 100, 0x0200_0000, 0, 100), Rule::PacketUnfinished, 0)]
#[case::a_legacy_descriptor([0x8_0000, 0, 0x0B00_0064, 0], Rule::NotModelled, 0)]
#[case::an_unknown_type([0x8_0000, 0, 0x2B70_0064, 0], Rule::DescriptorType, 0)]
#[case::data_not_lent(data(0x20_0000, 100, EOP_IFCS_RS, 0, 100), Rule::DmaFault, 0)]
#[case::a_context_slot_that_is_not_there([0, 0, 0x2020_0000, 2 << 4], Rule::BadContext, 0)]
fn a_descriptor(#[case] words: [u32; 4], #[case] rule: Rule, #[case] sent: usize) {
    let mut machine = Machine::up();
    machine.queue(words);
    machine.ring();
    machine.run();
    assert_eq!(machine.rules(), [rule]);
    assert_eq!(machine.out.frames.len(), sent);
}

#[test]
fn a_descriptor_without_bytes_is_noted_and_passed_over() {
    let mut machine = Machine::up();
    machine.ram.put(0x8_0000, &frame(100));
    machine.queue(data(0x8_0000, 100, 0x0200_0000, 0, 100));
    machine.queue(data(0x9_0000, 0, EOP_IFCS_RS, 0, 0));
    machine.ring();
    machine.run();
    assert_eq!(machine.rules(), [Rule::ZeroLength]);
    assert_eq!(machine.out.frames[0].bytes, frame(100));
}

#[test]
fn the_doorbell_of_a_disabled_transmitter_is_noted() {
    let mut machine = Machine::up();
    machine.write(0x400, 8);
    machine.send(&frame(60));
    machine.run();
    assert!(machine.out.frames.is_empty());
    assert_eq!(machine.rules(), [Rule::DoorbellWhileDisabled]);
}

#[test]
fn a_ring_that_was_never_lent_is_noted() {
    let mut machine = Machine::up();
    machine.ram.lent = vec![(0x8_0000, 0x9_0000)];
    machine.send(&frame(60));
    machine.run();
    assert_eq!(machine.rules(), [Rule::DmaFault]);
}

#[test]
fn a_late_write_back_delays_those_behind_it() {
    let mut config = Config::new(MAC, 0);
    config.faults.push(Fault::LateWriteBack { queue: 0, which: Which::Nth(1), by_ns: 500_000 });
    let mut machine = Machine::up_with(config);
    let descriptors = [machine.send(&frame(60)), machine.send(&frame(60))];
    machine.wait(400_000);
    assert_eq!(machine.out.frames.len(), 2);
    assert_eq!(descriptors.map(|at| machine.ram.word(at + 12) & 1), [0, 0]);
    machine.run();
    assert_eq!(descriptors.map(|at| machine.ram.word(at + 12) & 1), [1, 1]);
}

/// No sequence of accesses and no memory content may stop the emulator.
#[test]
fn garbage_in_registers_and_memory_does_no_harm() {
    let mut number = 1_u64;
    let mut next = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        number >> 24
    };
    for round in 0..40 {
        let mut machine = Machine::up();
        for place in 0x1000..0x3000 {
            machine.ram.bytes[place] = next() as u8;
        }
        for _ in 0..400 {
            let base = [0, 0xC000, 0xE000, 0x1500, 0x5400, 0x3500][(next() % 6) as usize];
            let offset = base + (next() as u32 % 0x100) * 4;
            match next() % 4 {
                0 => _ = machine.read(offset),
                1 => {
                    let now = machine.nic.now();
                    machine.nic.receive(now, &frame((next() % 3000) as usize));
                }
                2 => machine.wait(next() % 100_000),
                // CTRL.RST would make all that follows dull.
                _ if offset != 0 && offset != 4 => machine.write(offset, next() as u32),
                _ => {}
            }
        }
        let end = machine.nic.now() + 100_000_000;
        machine.nic.step(end, &mut machine.ram, &mut machine.out);
        assert!(machine.nic.next_event().is_none_or(|at| at >= end), "round {round}");
    }
}
