//! Transmit: doorbell to cable, write-back, interrupt (chapter 7.2).

mod machine;

use machine::{Machine, data, frame};
use nic_emu::Rule;
use rstest::rstest;

#[test]
fn a_frame_reaches_the_cable_then_its_descriptor_is_done_and_interrupts() {
    let mut machine = Machine::up();
    let before = machine.nic.now();
    let at = machine.send(&frame(1514));
    assert!(machine.out.frames.is_empty(), "a write only records");
    machine.run();
    let sent = &machine.out.frames[0];
    assert_eq!(sent.bytes, frame(1514));
    assert!(sent.started > before);
    assert_eq!(sent.at - sent.started, (8 + 1514 + 4) * 8);
    assert_eq!((sent.queue, sent.last_descriptor), (0, 0));
    assert_eq!(machine.ram.word(at + 12) & 1, 1, "DD");
    assert_eq!(machine.out.interrupts.len(), 1);
    assert_eq!(machine.out.interrupts[0].vector, 1);
    assert_eq!(machine.read(0xE010), 1, "TDH");
    assert_eq!(machine.rules(), []);
}

#[test]
fn frames_follow_each_other_at_the_rate_of_the_cable() {
    let mut machine = Machine::up();
    for _ in 0..10 {
        machine.send(&frame(1514));
    }
    machine.run();
    let starts: Vec<u64> = machine.out.frames.iter().map(|sent| sent.started).collect();
    assert_eq!(starts.len(), 10);
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == 12_304), "{starts:?}");
}

#[rstest]
#[case::padded_when_tctl_psp_is_set(0x0103_F0FA, 60)]
#[case::not_padded_when_it_is_clear(0x0103_F0F2, 42)]
fn a_short_frame_is(#[case] tctl: u32, #[case] length: usize) {
    let mut machine = Machine::up();
    machine.write(0x400, tctl);
    machine.send(&frame(42));
    machine.run();
    assert_eq!(machine.out.frames[0].bytes.len(), length);
}

#[test]
fn a_packet_of_three_buffers_is_put_together() {
    let mut machine = Machine::up();
    let whole = frame(300);
    machine.ram.put(0x8_0000, &whole[..100]);
    machine.ram.put(0x9_0001, &whole[100..150]);
    machine.ram.put(0xA_0003, &whole[150..]);
    machine.queue(data(0x8_0000, 100, 0x0200_0000, 0, 300));
    machine.queue(data(0x9_0001, 50, 0x0200_0000, 0, 0));
    let last = machine.queue(data(0xA_0003, 150, 0x0B00_0000, 0, 0));
    machine.ring();
    machine.run();
    assert_eq!(machine.out.frames[0].bytes, whole);
    assert_eq!(machine.out.frames[0].last_descriptor, 2);
    assert_eq!(machine.ram.word(last + 12) & 1, 1);
    assert_eq!(machine.rules(), []);
}

#[test]
fn data_is_read_after_the_doorbell() {
    let mut machine = Machine::up();
    machine.send(&frame(100));
    machine.ram.lent = vec![(0x1000, 0x1200)];
    machine.run();
    assert!(machine.out.frames.is_empty());
    assert_eq!(machine.rules(), [Rule::DmaFault]);
}

#[test]
fn without_link_completion_stops_when_the_packet_buffer_of_40_kib_is_full() {
    let mut machine = Machine::up();
    machine.nic.set_link(false);
    for _ in 0..31 {
        machine.send(&frame(1514));
    }
    machine.run();
    assert!(machine.out.frames.is_empty());
    assert_eq!(machine.read(0xE010), 40 * 1024 / 1514, "TDH");
    machine.nic.set_link(true);
    machine.run();
    assert_eq!(machine.out.frames.len(), 31);
}

#[test]
fn wthresh_gathers_write_backs_until_enough_or_the_interval_is_over() {
    let mut machine = Machine::up();
    machine.write(0x1684, 100 << 2);
    machine.write(0xE028, 0x0200_0108 | 3 << 16);
    let descriptors = [machine.send(&frame(60)), machine.send(&frame(60))];
    machine.wait(20_000);
    assert_eq!(descriptors.map(|at| machine.ram.word(at + 12) & 1), [0, 0], "2 of 3");
    let third = machine.send(&frame(60));
    machine.wait(20_000);
    assert_eq!([descriptors[0], descriptors[1], third].map(|at| machine.ram.word(at + 12) & 1), [1, 1, 1]);
    let fourth = machine.send(&frame(60));
    machine.wait(90_000);
    assert_eq!(machine.ram.word(fourth + 12) & 1, 0);
    machine.wait(20_000);
    assert_eq!(machine.ram.word(fourth + 12) & 1, 1, "100 us of EITR");
}

#[test]
fn only_descriptors_with_rs_are_written_back() {
    let mut machine = Machine::up();
    machine.ram.put(0x8_0000, &frame(60));
    let quiet = machine.queue(data(0x8_0000, 60, 0x0300_0000, 0, 60));
    let told = machine.queue(data(0x8_0000, 60, 0x0B00_0000, 0, 60));
    machine.ring();
    machine.run();
    assert_eq!([quiet, told].map(|at| machine.ram.word(at + 12) & 1), [0, 1]);
    assert_eq!(machine.out.frames.len(), 2);
}

#[test]
fn head_write_back_names_the_first_descriptor_that_is_not_done() {
    let mut machine = Machine::up();
    machine.write(0xE028, 0);
    machine.write(0xE038, 0x3001);
    machine.write(0xE028, 0x0200_0108);
    let at = machine.send(&frame(60));
    machine.run();
    assert_eq!(machine.ram.word(0x3000), 1);
    assert_eq!(machine.ram.word(at + 12) & 1, 0);
    assert_eq!(machine.out.interrupts.len(), 1);
}

#[test]
fn the_ring_wraps() {
    let mut machine = Machine::up();
    for round in 0..100 {
        machine.send(&frame(60 + round));
        if round % 7 == 0 {
            machine.run();
        }
    }
    machine.run();
    let lengths = machine.out.frames.iter().map(|sent| sent.bytes.len());
    assert_eq!(lengths.collect::<Vec<_>>(), (60..160).collect::<Vec<_>>());
    assert_eq!(machine.rules(), []);
}

#[test]
fn a_reset_loses_what_is_in_the_nic() {
    let mut machine = Machine::up();
    for _ in 0..5 {
        machine.send(&frame(1514));
    }
    machine.wait(9_000);
    machine.set(0, 1 << 26);
    machine.run();
    assert!(machine.out.frames.is_empty());
    assert!(!machine.out.dropped.is_empty());
    assert!(machine.out.dropped.iter().all(|lost| lost.reason == nic_emu::DropReason::Reset));
    assert_eq!(machine.read(0xE010), 0, "TDH");
}

/// The packet buffer is full of 27 frames, and the descriptor of the next waits on the chip. What is fetched beyond it does not
/// see that memory is changed.
#[rstest]
#[case::as_soon_as_there_is_one(8 | 1 << 8, 1, true)]
#[case::not_before_there_are_hthresh(8 | 3 << 8, 2, false)]
#[case::when_there_are_hthresh(8 | 3 << 8, 3, true)]
#[case::not_without_pthresh(1 << 8, 3, false)]
fn descriptors_are_fetched_ahead(#[case] thresholds: u32, #[case] given: usize, #[case] fetched: bool) {
    let mut machine = Machine::up();
    machine.nic.set_link(false);
    machine.write(0xE028, 0);
    machine.write(0xE028, thresholds | 1 << 25);
    for _ in 0..28 {
        machine.send(&frame(1514));
        machine.wait(100_000);
    }
    let first = machine.send(&frame(100));
    for _ in 1..given {
        machine.send(&frame(100));
    }
    machine.wait(1_000_000);
    let buffer = u64::from(machine.ram.word(first));
    machine.ram.descriptor(first, data(buffer, 80, 0x0B00_0000, 0, 80));
    machine.nic.set_link(true);
    machine.run();
    let length = machine.out.frames[28].bytes.len();
    assert_eq!(length, if fetched { 100 } else { 80 });
}
