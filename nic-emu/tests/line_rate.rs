//! The cable's rate: at 1 Gbit/s a full frame occupies it for 12.304 µs, one of 64 bytes for 672 ns, and nothing idles while
//! the ring is not empty.

mod machine;

use machine::{Machine, RING, TX_RING, data, frame};
use rstest::rstest;

/// Sends for `ns` nanoseconds frames of `length` bytes without FCS, one more as soon as one is done, so many at once in the
/// ring. When each began.
fn send_for(ns: u64, length: usize, in_ring: u32) -> Vec<u64> {
    let mut machine = Machine::up();
    let buffer = 0x8_0000;
    machine.ram.put(buffer, &frame(length));
    let until = machine.nic.now() + ns;
    let (mut begun, mut clean) = (Vec::new(), 0);
    while machine.nic.now() < until {
        while clean != machine.tail && machine.ram.word(TX_RING + 16 * u64::from(clean) + 12) & 1 == 1 {
            clean = (clean + 1) % RING;
        }
        let tail = machine.tail;
        while (machine.tail + RING - clean) % RING < in_ring {
            machine.queue(data(buffer, length, 0x0B00_0000, 0, length));
        }
        if machine.tail != tail {
            machine.ring();
        }
        let at = machine.nic.next_event().expect("something is under way");
        machine.nic.step(at, &mut machine.ram, &mut machine.out);
        begun.extend(machine.out.frames.drain(..).map(|frame| frame.started));
        machine.out.interrupts.clear();
    }
    assert_eq!(machine.rules(), []);
    begun
}

#[rstest]
#[case::of_64_bytes(60, 672, 148_809)]
#[case::of_1518_bytes(1514, 12_304, 8_127)]
fn in_a_tenth_of_a_second_as_many_frames_leave_as_the_cable_takes(
    #[case] length: usize,
    #[case] slot: u64,
    #[case] frames: usize,
) {
    // At 1 Gbit/s: 1,488,095 frames of 64 bytes in a second, 81,274 of 1518.
    assert_eq!(frames as u64, 100_000_000 / slot);
    let begun = send_for(100_000_000, length, RING - 1);
    let gaps: Vec<_> = begun.windows(2).enumerate().filter(|(_, pair)| pair[1] - pair[0] != slot).collect();
    assert_eq!(gaps, [], "the cable idles");
    // The first begins when its descriptor and its data have come, the last has not ended.
    assert!((frames - 4..=frames + 1).contains(&begun.len()), "{} frames", begun.len());
}

#[test]
fn a_ring_of_one_frame_leaves_gaps() {
    let begun = send_for(1_000_000, 60, 1);
    assert!(
        begun.windows(2).all(|pair| pair[1] - pair[0] > 672),
        "descriptor and data fetch take longer than 672 ns"
    );
}
