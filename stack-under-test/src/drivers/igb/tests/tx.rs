//! Sending: descriptors bit for bit, the tail, room in the ring, completions.

use super::*;
use crate::drivers::igb::Fault;
use crate::skb::{IpSummed, MAX_SKB_FRAGS};
use rstest::rstest;

/// Advanced data descriptor, DEXT, IFCS; with EOP and RS.
const DATA: u32 = 0x2230_0000;
const LAST: u32 = 0x2B30_0000;

#[test]
fn one_linear_packet_takes_one_descriptor() {
    let mut rig = Rig::up();
    let skb = rig.packet(60);
    let addr = rig.skbs.mem.bus_addr(rig.skbs.linear_offset(&skb));
    assert!(rig.xmit(skb, false));
    assert_eq!(rig.txd(0), [addr as u32, (addr >> 32) as u32, LAST | 60, 60 << 14]);
    assert_eq!(rig.bus.written, [(TDT, 1)]);
    assert!(rig.bus.lent.contains(&(addr, 60)));
}

#[rstest]
#[case::udp(6, 0x2020_0000)]
#[case::tcp(16, 0x2020_0800)]
#[case::sctp(8, 0x2020_1000)]
fn a_checksum_takes_a_context_descriptor_before(#[case] csum_offset: u16, #[case] command: u32) {
    let mut rig = Rig::up();
    let skb = rig.packet(74);
    let meta = &mut rig.skbs[&skb];
    meta.ip_summed = IpSummed::Partial;
    meta.network_header = meta.data_offset() + 14;
    meta.csum_start = meta.data_offset() + 34;
    meta.csum_offset = csum_offset;
    assert!(rig.xmit(skb, false));
    // IPLEN 20, MACLEN 14; no segmentation; the data descriptor asks for the checksum of layer 4.
    assert_eq!(rig.txd(0), [20 | 14 << 9, 0, command, 0]);
    assert_eq!(rig.txd(1)[2..], [LAST | 74, 74 << 14 | 1 << 9]);
    assert_eq!(rig.bus.written, [(TDT, 2)]);
    // Only the descriptor with the end reports; the context goes with it.
    rig.done(1);
    rig.poll();
    assert_eq!((rig.skbs.in_flight(), rig.igb.tx[0].has_work()), (0, false));
}

#[rstest]
#[case::with_a_checksum(IpSummed::Partial, [20 | 14 << 9 | 0xA064 << 16, 0, 0x2020_0800, 0], 1 << 9)]
#[case::without_one(IpSummed::None, [14 << 9 | 0xA064 << 16, 0, 0x2020_0000, 0], 0)]
fn a_tag_takes_a_context_descriptor_of_its_own(
    #[case] ip_summed: IpSummed,
    #[case] context: [u32; 4],
    #[case] options: u32,
) {
    let mut rig = Rig::up();
    for _ in 0..2 {
        let skb = rig.packet(74);
        let meta = &mut rig.skbs[&skb];
        (meta.vlan_tci, meta.ip_summed) = (Some(0xA064), ip_summed);
        meta.network_header = meta.data_offset() + 14;
        meta.csum_start = meta.data_offset() + 34;
        meta.csum_offset = 16;
        assert!(rig.xmit(skb, false));
    }
    // VLE, in each packet; PAYLEN does not count the tag.
    for first in [0, 2] {
        assert_eq!(rig.txd(first), context);
        assert_eq!(rig.txd(first + 1)[2..], [LAST | 1 << 30 | 74, 74 << 14 | options]);
    }
    rig.done(1);
    rig.done(3);
    rig.poll();
    assert_eq!((rig.skbs.in_flight(), rig.with(Igb::stats64).tx_bytes), (0, 148));
}

#[test]
fn pieces_take_a_descriptor_each_and_the_last_one_reports() {
    let mut rig = Rig::up();
    let skb = rig.packet(100);
    for len in [1000, 2000] {
        assert!(rig.skbs.copy_in_page(&skb, &std::vec![5; len]));
    }
    let pieces: Vec<u64> =
        rig.skbs.frags(&skb).iter().map(|f| rig.skbs.mem.bus_addr(rig.skbs.buf_offset(f.buf))).collect();
    assert!(rig.xmit(skb, false));
    assert_eq!(rig.txd(0)[2..], [DATA | 100, 3100 << 14]);
    assert_eq!(rig.txd(1), [pieces[0] as u32, (pieces[0] >> 32) as u32, DATA | 1000, 0]);
    assert_eq!(rig.txd(2), [pieces[1] as u32, (pieces[1] >> 32) as u32, LAST | 2000, 0]);
    rig.done(2);
    rig.poll();
    assert_eq!((rig.skbs.in_flight(), rig.bus.lent.len()), (0, 2 + 63));
    assert_eq!(rig.with(Igb::stats64).tx_bytes, 3100);
}

/// The bytes that the descriptors from `i` on name, up to the end of the packet, and how many descriptors there are.
fn gathered(rig: &Rig, mut i: u16) -> (Vec<u8>, u16) {
    let (first, mut bytes) = (i, Vec::new());
    loop {
        let [low, high, command, _] = rig.txd(i);
        let len = (command & 0xFFFF) as usize;
        let at = rig.skbs.mem.offset_of(u64::from(low) | u64::from(high) << 32, len).expect("lent memory");
        bytes.extend_from_slice(rig.skbs.mem.bytes(at, len));
        i = rig.igb.tx[0].ring.after(i);
        if command & (LAST & !DATA) != 0 {
            return (bytes, (i + 64 - first) % 64);
        }
    }
}

/// A packet of `len` counting bytes that lies in pieces of these lengths, the first of them in its head.
fn in_pieces(rig: &mut Rig, lens: &[usize]) -> Skb {
    let skb = rig.packet(lens[0]);
    let mut from = lens[0];
    for len in &lens[1..] {
        let bytes: Vec<u8> = (from..from + len).map(|i| i as u8).collect();
        assert!(rig.skbs.copy_in_page(&skb, &bytes));
        from += len;
    }
    skb
}

#[test]
fn however_a_packet_is_split_the_device_is_given_its_bytes_in_their_order() {
    const LEN: usize = 80;
    let whole: Vec<u8> = (0..LEN as u8).collect();
    let mut rig = Rig::up();
    let two = (1..LEN).map(|a| std::vec![a, LEN - a]);
    let three = (1..LEN).flat_map(|a| (a + 1..LEN).map(move |b| std::vec![a, b - a, LEN - b]));
    let many = (1..=MAX_SKB_FRAGS).map(|n| {
        let mut lens = std::vec![LEN - n];
        lens.extend(std::iter::repeat_n(1, n));
        lens
    });
    for lens in two.chain(three).chain(many) {
        let skb = in_pieces(&mut rig, &lens);
        let first = rig.igb.tx[0].ring.next_to_use;
        assert!(rig.xmit(skb, false), "{lens:?}");
        let (bytes, count) = gathered(&rig, first);
        assert_eq!((bytes, usize::from(count)), (whole.clone(), lens.len()), "{lens:?}");
        rig.done((first + count - 1) % 64);
        rig.poll();
        assert_eq!((rig.skbs.in_flight(), rig.bus.lent.len()), (0, 2 + 63), "{lens:?}");
    }
}

#[rstest]
#[case::fourteen_bytes(14, 17)]
#[case::seventeen_bytes(17, 17)]
#[case::sixty_are_left_to_the_device(42, 42)]
fn a_frame_is_padded_to_what_the_device_can_pad(#[case] len: usize, #[case] sent: u32) {
    let mut rig = Rig::up();
    let skb = rig.packet(len);
    assert!(rig.xmit(skb, false));
    assert_eq!(rig.txd(0)[2..], [LAST | sent, sent << 14]);
}

#[test]
fn an_empty_packet_is_dropped() {
    let mut rig = Rig::up();
    let skb = rig.skbs.alloc().expect("memory");
    assert!(rig.skbs.copy_in_page(&skb, &[1; 100]));
    assert!(rig.xmit(skb, false));
    assert_eq!((rig.skbs.in_flight(), rig.bus.written.len()), (0, 0));
}

#[test]
fn memory_is_lent_until_the_device_is_done() {
    let mut rig = Rig::up();
    for len in [60, 70] {
        let skb = rig.packet(len);
        assert!(rig.xmit(skb, false));
    }
    rig.poll();
    assert_eq!((rig.bus.lent.len(), rig.skbs.in_flight()), (2 + 63 + 2, 2));
    // The second alone: the first is the older one, so nothing is done.
    rig.done(1);
    rig.poll();
    assert_eq!((rig.bus.lent.len(), rig.skbs.in_flight()), (2 + 63 + 2, 2));
    rig.done(0);
    rig.poll();
    assert_eq!((rig.bus.lent.len(), rig.skbs.in_flight()), (2 + 63, 0));
}

#[test]
fn the_tail_waits_while_more_follows() {
    let mut rig = Rig::up();
    grow_byte_limit(&mut rig);
    for more in [true, true, false] {
        let skb = rig.packet(60);
        assert!(rig.xmit(skb, more));
    }
    assert_eq!(rig.bus.written, [(TDT, 6)]);
}

#[test]
fn the_tail_does_not_wait_when_the_queue_stops() {
    let mut rig = Rig::up();
    // The byte limit starts at zero: the first packet passes it.
    let skb = rig.packet(60);
    assert!(rig.xmit(skb, true));
    assert!(rig.queues[0].is_stopped() && !rig.queues[0].is_stopped_by_driver());
    assert_eq!(rig.bus.written, [(TDT, 1)]);
    rig.done(0);
    rig.poll();
    assert!(!rig.queues[0].is_stopped() && rig.queues[0].take_schedule());
}

/// One packet of 9,706 bytes through, so that the byte limit lets small ones pass; it takes descriptors 0 to 2.
fn grow_byte_limit(rig: &mut Rig) {
    let skb = rig.packet(1514);
    assert!(rig.skbs.copy_in_page(&skb, &[0; 4096]) && rig.skbs.copy_in_page(&skb, &[0; 4096]));
    assert!(rig.xmit(skb, false));
    let last = rig.igb.tx[0].ring.next_to_use - 1;
    rig.done(last);
    rig.poll();
    rig.bus.written.clear();
}

#[test]
fn the_queue_stops_without_room_for_the_largest_packet_and_wakes_at_42() {
    let mut rig = Rig::up();
    grow_byte_limit(&mut rig);
    let mut sent = 0;
    while !rig.queues[0].is_stopped() {
        let skb = rig.packet(60);
        assert!(rig.xmit(skb, true));
        sent += 1;
    }
    // 63 can be used; with 20 free it stops.
    assert_eq!((sent, rig.igb.tx[0].ring.unused(), rig.queues[0].is_stopped_by_driver()), (43, 20, true));
    assert_eq!(rig.bus.written, [(TDT, 46)]);
    // 41 free: not yet. 42: now.
    (3..24).for_each(|i| rig.done(i));
    rig.poll();
    assert_eq!((rig.igb.tx[0].ring.unused(), rig.queues[0].is_stopped_by_driver()), (41, true));
    rig.done(24);
    rig.poll();
    assert_eq!((rig.igb.tx[0].ring.unused(), rig.queues[0].is_stopped_by_driver()), (42, false));
    assert!(rig.queues[0].take_schedule());
    assert_eq!(rig.ethtool("tx_queue_0_restart"), 1);
}

#[test]
fn a_packet_without_room_is_given_back() {
    let mut rig = Rig::up();
    for _ in 0..60 {
        let skb = rig.packet(60);
        assert!(rig.xmit(skb, true));
    }
    let skb = rig.packet(60);
    assert!(!rig.xmit(skb, false));
    assert!(rig.queues[0].is_stopped_by_driver());
}

#[test]
fn indices_wrap_and_nothing_is_lost() {
    let mut rig = Rig::up();
    for n in 0..500_u16 {
        let skb = rig.packet(60);
        assert!(rig.xmit(skb, false));
        rig.done(n % 64);
        rig.poll();
    }
    assert_eq!(rig.with(Igb::stats64).tx_packets, 500);
    assert_eq!(rig.skbs.in_flight(), 0);
    assert_eq!(rig.bus.writes(TDT)[62..66], [63, 0, 1, 2]);
}

#[test]
fn a_poll_cleans_128_packets_and_asks_for_another() {
    let mut rig = Rig::up();
    rig.with(|igb, ctx| igb.set_ringparam(ctx, 256, 64));
    rig.pass(Duration::from_millis(100));
    for i in 0..150 {
        let skb = rig.packet(60);
        assert!(rig.xmit(skb, false));
        rig.done(i);
    }
    assert_eq!((rig.poll(), rig.skbs.in_flight()), (64, 22));
    assert_eq!((rig.poll(), rig.skbs.in_flight()), (0, 0));
}

#[rstest]
#[case::stuck(0, 3028, true, 1)]
#[case::only_paused(1 << 4, 3028, false, 0)]
#[case::paused_and_stopped_by_the_byte_limit(1 << 4, 0, false, 1)]
fn a_ring_that_does_not_move_gets_the_device_reset(
    #[case] status: u32,
    #[case] byte_limit: u64,
    #[case] hangs: bool,
    #[case] timeouts: u32,
) {
    let mut rig = Rig::up();
    rig.queues[0].set_limit_min(byte_limit);
    rig.bus.regs.insert(0x0008, status);
    let skb = rig.packet(60);
    assert!(rig.xmit(skb, false));
    for _ in 0..5 {
        rig.pass(Duration::from_secs(2));
        // The kick of the watchdog brings the interrupt.
        assert!(rig.bus.written.contains(&(0x1520, 2)));
        rig.poll();
    }
    assert_eq!((rig.igb.faults(Fault::TxHang) > 0, rig.bus.resets), (hangs, 1 + timeouts));
    assert_eq!(rig.ethtool("tx_timeout_count"), u64::from(timeouts));
    assert!(rig.igb.is_up() && rig.skbs.in_flight() == 1 - timeouts as usize);
}
