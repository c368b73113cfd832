//! Statistics: which counter moves, by how much, and how it is cleared (chapter 8.18).

mod machine;

use machine::{Machine, frame};
use rstest::rstest;

const SIZES: [u32; 6] = [64, 127, 255, 511, 1023, 1522];

/// Frame without FCS, and the bucket it belongs to.
#[rstest]
#[case::the_shortest(60, 64)]
#[case(61, 127)]
#[case(123, 127)]
#[case(124, 255)]
#[case(251, 255)]
#[case(252, 511)]
#[case(507, 511)]
#[case(508, 1023)]
#[case(1019, 1023)]
#[case(1020, 1522)]
#[case(1514, 1522)]
fn sizes_count_with_the_fcs(#[case] length: usize, #[case] bucket: u32) {
    let mut machine = Machine::up();
    machine.send(&frame(length));
    let now = machine.nic.now();
    machine.nic.receive(now, &frame(length));
    machine.run();
    for (place, size) in (0..).zip(SIZES) {
        let expected = u32::from(size == bucket);
        assert_eq!(machine.read(0x405C + 4 * place), expected, "PRC{size}");
        assert_eq!(machine.read(0x40D8 + 4 * place), expected, "PTC{size}");
    }
    let octets = length as u32 + 4;
    for (low, name) in [(0x4088, "GORC"), (0x4090, "GOTC"), (0x40C0, "TOR"), (0x40C8, "TOT")] {
        assert_eq!(machine.read(low), octets, "{name}L");
        assert_eq!(machine.read(low), octets, "{name}L is not cleared by its own read");
        assert_eq!(machine.read(low + 4), 0, "{name}H");
        assert_eq!(machine.read(low), 0, "{name}L is cleared with {name}H");
    }
    for (register, name) in [(0x4074, "GPRC"), (0x4080, "GPTC"), (0x40D0, "TPR"), (0x40D4, "TPT")] {
        assert_eq!([machine.read(register), machine.read(register)], [1, 0], "{name}");
    }
}

#[rstest]
#[case::unicast([2, 0, 0, 0, 0, 1], [0, 0, 0, 0])]
#[case::broadcast([0xFF; 6], [1, 0, 1, 0])]
#[case::multicast([1, 0, 0x5E, 0, 0, 1], [0, 1, 0, 1])]
fn destinations_are_told_apart(#[case] destination: [u8; 6], #[case] expected: [u32; 4]) {
    let mut machine = Machine::up();
    machine.set(0x100, 1 << 4);
    let mut bytes = frame(60);
    bytes[..6].copy_from_slice(&destination);
    machine.send(&bytes);
    let now = machine.nic.now();
    machine.nic.receive(now, &bytes);
    machine.run();
    let read = [0x4078, 0x407C, 0x40F4, 0x40F0].map(|register| machine.read(register));
    assert_eq!(read, expected, "BPRC MPRC BPTC MPTC");
}

#[test]
fn a_padded_frame_counts_as_64_bytes() {
    let mut machine = Machine::up();
    machine.send(&frame(42));
    machine.run();
    assert_eq!([machine.read(0x40D8), machine.read(0x4090)], [1, 64], "PTC64 GOTCL");
}

#[test]
fn a_frame_for_another_station_is_seen_but_not_received() {
    let mut machine = Machine::up();
    let mut bytes = frame(60);
    bytes[5] = 9;
    let now = machine.nic.now();
    machine.nic.receive(now, &bytes);
    machine.run();
    assert_eq!([machine.read(0x40D0), machine.read(0x40C0)], [1, 64], "TPR TORL");
    assert_eq!([machine.read(0x4074), machine.read(0x4088)], [0, 0], "GPRC GORCL");
}

#[test]
fn counters_cannot_be_written_and_reset_clears_them() {
    let mut machine = Machine::up();
    machine.write(0x4080, 77);
    assert_eq!(machine.read(0x4080), 0);
    machine.send(&frame(60));
    machine.run();
    machine.set(0, 1 << 26);
    machine.wait(1_000_000);
    assert_eq!(machine.read(0x4080), 0, "GPTC");
}
