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
