//! Receiving: buffers lent and taken back, frames of one and of many, and a device that lies.

use super::*;
use crate::drivers::igb::Fault;
use crate::skb::IpSummed;
use rstest::rstest;

const DD: u32 = 1;
const EOP: u32 = 1 << 1;

fn frame(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 3) as u8).collect()
}

fn bytes(rig: &mut Rig) -> Vec<u8> {
    let skb = rig.rx.remove(0);
    let mut bytes = std::vec![0; rig.skbs[&skb].len()];
    rig.skbs.copy_out(&skb, 0, &mut bytes);
    rig.skbs.consume(&mut rig.trace, skb);
    bytes
}

#[test]
fn a_frame_goes_up_with_its_buffer_taken_back() {
    let mut rig = Rig::up();
    rig.receive(0, &frame(100), DD | EOP);
    assert_eq!((rig.poll(), rig.bus.lent.len()), (1, 2 + 63));
    assert_eq!(bytes(&mut rig), frame(100));
    let stats = rig.with(Igb::stats64);
    assert_eq!((stats.rx_packets, stats.rx_bytes), (1, 100));
    // A new buffer is lent in the free slot, with nothing left of what was written back.
    assert_eq!(rig.bus.writes(RDT), [0]);
    let at = rig.igb.rx[0].ring.at(63);
    assert_eq!((rig.skbs.mem.read_le32(at + 8), rig.skbs.mem.read_le32(at + 12)), (0, 0));
}

#[test]
fn a_frame_over_many_descriptors_is_one_packet() {
    let mut rig = Rig::up();
    let whole = frame(2048 + 2048 + 900);
    rig.receive(0, &whole[..2048], DD);
    rig.receive(1, &whole[2048..4096], DD);
    assert_eq!(rig.poll(), 0);
    rig.receive(2, &whole[4096..], DD | EOP);
    assert_eq!((rig.poll(), rig.rx.len()), (1, 1));
    assert_eq!(bytes(&mut rig), whole);
    assert_eq!((rig.skbs.in_flight(), rig.skbs.free_heads()), (0, 600 - 63));
}

#[test]
fn a_short_frame_is_padded_to_60() {
    let mut rig = Rig::up();
    rig.receive(0, &frame(42), DD | EOP);
    rig.poll();
    let mut padded = frame(42);
    padded.resize(60, 0);
    assert_eq!(bytes(&mut rig), padded);
    assert_eq!(rig.with(Igb::stats64).rx_bytes, 60);
}

#[rstest]
#[case::nothing_was_checked(0, 100, IpSummed::None, 0)]
#[case::udp_is_right(1 << 4, 100, IpSummed::Unnecessary, 0)]
#[case::tcp_is_right(1 << 5, 100, IpSummed::Unnecessary, 0)]
#[case::only_ip_was_checked(1 << 6, 100, IpSummed::None, 0)]
#[case::layer_4_is_wrong(1 << 5 | 1 << 29, 100, IpSummed::None, 1)]
#[case::ip_is_wrong(1 << 5 | 1 << 30, 100, IpSummed::None, 1)]
#[case::wrong_in_the_shortest_frame_is_not_counted(1 << 5 | 1 << 29, 60, IpSummed::None, 0)]
#[case::to_be_ignored(1 << 2 | 1 << 5, 100, IpSummed::None, 0)]
fn the_device_s_word_for_the_checksum(
    #[case] status: u32,
    #[case] len: usize,
    #[case] summed: IpSummed,
    #[case] csum_err: u64,
) {
    let mut rig = Rig::up();
    rig.receive(0, &frame(len), DD | EOP | status);
    rig.poll();
    let skb = rig.rx.remove(0);
    assert_eq!(rig.skbs[&skb].ip_summed, summed);
    assert_eq!(rig.ethtool("rx_queue_0_csum_err"), csum_err);
}

/// What the device says of the checksum, it says of the frame on the wire.
#[rstest]
#[case::every_buffer_was_written(&[9; 900], &[9; 3], IpSummed::Unnecessary)]
#[case::a_middle_one_begins_as_it_was_lent(&[0; 8], &[9; 3], IpSummed::None)]
#[case::zeros_behind_the_beginning_are_data(&[9, 0, 0, 0, 0, 0, 0, 0, 0], &[9; 3], IpSummed::Unnecessary)]
#[case::the_last_is_shorter_than_what_was_cleared(&[9; 900], &[0; 3], IpSummed::None)]
fn of_a_frame_in_many_buffers_the_checksum_is_believed_when_each_was_written(
    #[case] second: &[u8],
    #[case] third: &[u8],
    #[case] summed: IpSummed,
) {
    let mut rig = Rig::up();
    let mut middle = frame(2048);
    middle[..second.len()].copy_from_slice(second);
    rig.receive(0, &frame(2048), DD);
    rig.receive(1, &middle, DD);
    rig.receive(2, third, DD | EOP | 1 << 5);
    // The doubt is about that frame alone.
    rig.receive(3, &frame(2048), DD);
    rig.receive(4, &[9; 100], DD | EOP | 1 << 5);
    assert_eq!((rig.poll(), rig.rx.len()), (2, 2));
    let words: Vec<_> = rig.rx.iter().map(|skb| rig.skbs[skb].ip_summed).collect();
    assert_eq!(words, [summed, IpSummed::Unnecessary]);
}

#[test]
fn a_damaged_frame_is_dropped() {
    let mut rig = Rig::up();
    rig.receive(0, &frame(100), DD | EOP | 1 << 31);
    rig.receive(1, &frame(90), DD | EOP);
    assert_eq!((rig.poll(), bytes(&mut rig).len(), rig.skbs.in_flight()), (1, 90, 0));
}

#[test]
fn a_length_beyond_the_buffer_is_not_believed() {
    let mut rig = Rig::up();
    rig.write_back(0, DD, 0xFFFF);
    rig.write_back(1, DD | EOP, 2049);
    rig.receive(2, &frame(80), DD | EOP);
    assert_eq!((rig.poll(), bytes(&mut rig).len()), (1, 80));
    assert_eq!((rig.igb.faults(Fault::RxDescriptor), rig.skbs.free_heads()), (1, 600 - 63));
}

#[test]
fn a_packet_without_end_is_thrown_away() {
    let mut rig = Rig::up();
    for i in 0..40 {
        rig.write_back(i, DD, 2048);
    }
    rig.write_back(40, DD | EOP, 2048);
    rig.receive(41, &frame(80), DD | EOP);
    assert_eq!((rig.poll(), bytes(&mut rig).len()), (1, 80));
    assert_eq!((rig.igb.faults(Fault::RxDescriptor), rig.skbs.in_flight()), (1, 0));
    assert_eq!(rig.skbs.free_heads(), 600 - 63);
}

#[test]
fn a_poll_ends_though_no_packet_does() {
    let mut rig = Rig::up();
    (0..40).for_each(|i| rig.write_back(i, DD, 2048));
    // With a budget of two packets: eight descriptors each, and there is more to do.
    assert_eq!(rig.with(|igb, ctx| igb.poll(ctx, 0, 2)), 2);
    assert_eq!(rig.igb.rx[0].ring.next_to_clean, 16);
}

#[test]
fn a_poll_takes_no_more_than_its_budget() {
    let mut rig = Rig::up();
    (0..10).for_each(|i| rig.receive(i, &frame(60 + usize::from(i)), DD | EOP));
    assert_eq!(rig.with(|igb, ctx| igb.poll(ctx, 0, 4)), 4);
    assert_eq!((rig.rx.len(), rig.poll(), rig.rx.len()), (4, 6, 10));
}

#[test]
fn buffers_are_lent_anew_in_batches() {
    let mut rig = Rig::up();
    (0..40).for_each(|i| rig.receive(i, &frame(60), DD | EOP));
    rig.poll();
    // 16 at a time, and the rest at the end of the poll: the tail ends one before the next descriptor to be read.
    assert_eq!(rig.bus.writes(RDT), [15, 31, 39]);
}

#[test]
fn without_memory_it_receives_until_the_ring_is_dry_and_goes_on_when_there_is_some() {
    let mut rig = Rig::up();
    let mut hoard: Vec<_> = std::iter::from_fn(|| rig.skbs.alloc_head()).collect();
    (0..63).for_each(|i| rig.receive(i, &frame(60), DD | EOP));
    assert_eq!(rig.poll(), 63);
    assert!(rig.ethtool("rx_queue_0_alloc_failed") > 0);
    assert_eq!((rig.bus.writes(RDT).len(), rig.bus.lent.len()), (0, 2));
    hoard.drain(..).for_each(|buf| rig.skbs.put_buf(buf));
    // No frame, no interrupt: the watchdog's kick brings the poll.
    rig.pass(Duration::from_secs(2));
    assert!(rig.bus.written.contains(&(0x1520, 2)));
    rig.poll();
    assert_eq!((rig.bus.lent.len(), rig.bus.writes(RDT)), (2 + 63, std::vec![62]));
}
