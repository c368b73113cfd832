//! Packets and frames in a row do to the device and to the books what one after the other does.

use super::*;
use crate::skb::IpSummed;
use rstest::rstest;

const DD: u32 = 1;
const EOP: u32 = 1 << 1;

/// A datagram of which the device adds up the checksum.
fn partial(rig: &mut Rig, len: usize) -> Skb {
    let skb = rig.packet(len);
    let meta = &mut rig.skbs[&skb];
    meta.ip_summed = IpSummed::Partial;
    meta.network_header = meta.data_offset() + 14;
    meta.csum_start = meta.data_offset() + 34;
    meta.csum_offset = 6;
    skb
}

/// Packets of every kind: plain, with a checksum, with pieces, too short.
fn mixed(rig: &mut Rig) -> Vec<Skb> {
    let pieces = rig.packet(100);
    assert!(rig.skbs.copy_in_page(&pieces, &[5; 1000]));
    let short = rig.packet(15);
    let mut packets = std::vec![rig.packet(60), partial(rig, 70), partial(rig, 71), pieces, short];
    packets.extend((0..3).map(|n| partial(rig, 80 + n)));
    packets.push(rig.packet(90));
    packets
}

/// What the device sees of a ring, and who is where.
#[derive(Debug, PartialEq)]
struct Seen {
    descriptors: Vec<[u32; 4]>,
    tail: Option<u32>,
    lent: usize,
    allowed: i64,
    stopped: bool,
}

fn seen(rig: &Rig) -> Seen {
    let queue = &rig.queues[0];
    Seen {
        descriptors: (0..64).map(|i| rig.txd(i)).collect(),
        tail: rig.bus.writes(TDT).last().copied(),
        lent: rig.bus.lent.len(),
        allowed: queue.bql_available(),
        stopped: queue.is_stopped(),
    }
}

#[rstest]
#[case::without_limit(1 << 20, 0)]
#[case::passing_the_byte_limit(200, 0)]
#[case::over_the_end_of_the_ring(1 << 20, 60)]
fn a_row_leaves_the_ring_as_one_after_the_other_does(#[case] limit: u64, #[case] before: u16) {
    let rigs = [false, true].map(|in_a_row| {
        let mut rig = Rig::up();
        rig.queues[0].set_limit_min(limit);
        for n in 0..before {
            let skb = rig.packet(60);
            assert!(rig.xmit(skb, false));
            rig.done(n);
            rig.poll();
        }
        let packets = mixed(&mut rig);
        let count = packets.len();
        if in_a_row {
            assert_eq!(rig.xmit_row(packets), 0);
        } else {
            for (n, skb) in packets.into_iter().enumerate() {
                assert!(rig.xmit(skb, n + 1 < count));
            }
        }
        rig
    });
    let [one_by_one, in_a_row] = rigs.map(|mut rig| {
        let seen = seen(&rig);
        (0..64).for_each(|i| rig.done(i));
        rig.poll();
        assert_eq!((rig.skbs.in_flight(), rig.bus.lent.len()), (0, 2 + 63));
        (seen, rig.with(Igb::stats64))
    });
    assert_eq!(one_by_one, in_a_row);
}

#[test]
fn the_device_is_told_once_of_a_row() {
    let mut rig = Rig::up();
    rig.queues[0].set_limit_min(1 << 20);
    let packets = (0..10).map(|_| rig.packet(60)).collect();
    assert_eq!(rig.xmit_row(packets), 0);
    assert_eq!(rig.bus.written, [(TDT, 10)]);
}

#[test]
fn a_row_ends_where_the_driver_stops_the_queue() {
    let mut rig = Rig::up();
    rig.queues[0].set_limit_min(1 << 20);
    let packets = (0..60).map(|_| rig.packet(60)).collect();
    // 63 can be used; with 20 free it stops.
    assert_eq!((rig.xmit_row(packets), rig.queues[0].is_stopped_by_driver()), (60 - 43, true));
    assert_eq!(rig.bus.written, [(TDT, 43)]);
}

#[test]
fn a_device_that_reaches_all_memory_is_not_told_of_packets() {
    let mut rig = Rig::up_on(FakeBus { direct: true, ..FakeBus::new() });
    rig.queues[0].set_limit_min(1 << 20);
    let packets = mixed(&mut rig);
    assert_eq!(rig.xmit_row(packets), 0);
    (0..5).for_each(|i| rig.receive(i, &[i as u8; 80], DD | EOP));
    (0..64).for_each(|i| rig.done(i));
    assert_eq!((rig.poll(), rig.bus.lent.len()), (5, 2));
    for skb in core::mem::take(&mut rig.rx) {
        rig.skbs.consume(&mut rig.trace, skb);
    }
    assert_eq!((rig.skbs.in_flight(), rig.skbs.free_heads()), (0, 600 - 63));
}

#[test]
fn frames_come_in_over_the_end_of_the_ring_whatever_lies_between() {
    let mut rig = Rig::up();
    let mut came = Vec::new();
    for round in 0..40_u16 {
        // Good, damaged, over two buffers, good, good.
        let at = |n: u16| (round * 6 + n) % 64;
        rig.receive(at(0), &[round as u8; 100], DD | EOP);
        rig.receive(at(1), &[0xEE; 100], DD | EOP | 1 << 31);
        rig.receive(at(2), &[round as u8; 2048], DD);
        rig.receive(at(3), &[round as u8; 10], DD | EOP);
        rig.receive(at(4), &[round as u8; 101], DD | EOP);
        rig.receive(at(5), &[round as u8; 102], DD | EOP);
        assert_eq!((rig.poll(), rig.bus.lent.len()), (4, 2 + 63));
        for skb in core::mem::take(&mut rig.rx) {
            let mut bytes = std::vec![0; rig.skbs[&skb].len()];
            rig.skbs.copy_out(&skb, 0, &mut bytes);
            assert!(bytes.iter().all(|&byte| byte == round as u8));
            came.push(bytes.len());
            rig.skbs.consume(&mut rig.trace, skb);
        }
    }
    assert_eq!(came, [100, 2058, 101, 102].repeat(40));
    assert_eq!((rig.skbs.in_flight(), rig.skbs.free_heads()), (0, 600 - 63));
    assert_eq!(rig.with(Igb::stats64).rx_packets, 160);
}

#[test]
fn each_frame_of_a_row_has_its_own_name_in_the_journal() {
    let mut rig = Rig::up();
    rig.trace.set_on(true);
    (0..3).for_each(|i| rig.receive(i, &[7; 80], DD | EOP));
    rig.poll();
    let names: Vec<u32> = rig.rx.iter().map(|skb| rig.skbs[skb].packet).collect();
    assert_eq!(names, [1, 2, 3]);
}
