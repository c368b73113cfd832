//! Segmentation by the device: context and data descriptors bit for bit, and what the headers say to the device. The
//! numbers are those of the facts about the device and of RFC 1071, added up by hand.

use super::*;
use crate::skb::IpSummed;
use rstest::rstest;

/// A packet from 192.0.2.1 to 192.0.2.2 with a transport header of `l4` and `payload` bytes in pages behind it. The
/// pseudo-header without protocol and length sums to 0x8404: C000 + 0201 + C000 + 0202 is 0x18403.
fn large(rig: &mut Rig, protocol: u8, l4: &[u8], mss: u16, payload: usize) -> Skb {
    let total = ((20 + l4.len() + payload) as u16).to_be_bytes();
    let mut bytes =
        std::vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, total[0], total[1], 0, 9, 0x40, 0];
    bytes.extend([64, protocol, 0x12, 0x34, 192, 0, 2, 1, 192, 0, 2, 2]);
    bytes.extend(l4);
    let skb = rig.skbs.alloc().expect("memory");
    rig.skbs.copy_in(&skb, &bytes);
    for page in std::vec![0xEE; payload].chunks(4096) {
        assert!(rig.skbs.copy_in_page(&skb, page));
    }
    let meta = &mut rig.skbs[&skb];
    meta.network_header = meta.data_offset() + 14;
    (meta.transport_header, meta.csum_start) = (meta.data_offset() + 34, meta.data_offset() + 34);
    meta.csum_offset = if protocol == 6 { 16 } else { 6 };
    (meta.gso_size, meta.gso_segs) = (mss, payload.div_ceil(usize::from(mss)) as u16);
    meta.ip_summed = IpSummed::Partial;
    skb
}

/// 32 bytes of TCP header, the checksum field holding `seed`.
fn tcp(seed: u16) -> [u8; 32] {
    let mut header = [0; 32];
    (header[12], header[13]) = (8 << 4, 0x18);
    header[16..18].copy_from_slice(&seed.to_be_bytes());
    header
}

const CONTEXT: u32 = 0x2020_0000;
const IPV4: u32 = 1 << 10;
const TCP: u32 = 1 << 11;
/// Data descriptor, DEXT, IFCS, TSE; with EOP and RS.
const DATA: u32 = 0xA230_0000;
const LAST: u32 = 0xAB30_0000;

#[test]
fn tcp_takes_a_context_and_the_payload_length() {
    let mut rig = Rig::up();
    // Seeded with the length of the whole: 32 + 5000 is 0x13A8, 0x8404 + 6 + 0x13A8 is 0x97B2.
    let skb = large(&mut rig, 6, &tcp(0x97B2), 1448, 5000);
    let head = rig.skbs.linear_offset(&skb);
    assert!(rig.xmit(skb, false));
    assert_eq!(rig.txd(0), [20 | 14 << 9, 0, CONTEXT | IPV4 | TCP, 1448 << 16 | 32 << 8]);
    // IXSM and TXSM; PAYLEN is what lies behind the headers.
    assert_eq!(rig.txd(1)[2..], [DATA | 66, 5000 << 14 | 3 << 8]);
    assert_eq!(rig.txd(2)[2..], [DATA | 4096, 0]);
    assert_eq!(rig.txd(3)[2..], [LAST | 904, 0]);
    assert_eq!(rig.bus.written, [(TDT, 4)]);
    let sent = rig.skbs.mem.bytes(head, 66);
    // Total length 0, a checksum of negative zero, and the seed without the length.
    assert_eq!(
        (&sent[16..18], &sent[24..26], &sent[50..52]),
        (&[0, 0][..], &[0xFF, 0xFF][..], &[0x84, 0x0A][..])
    );
}

#[test]
fn udp_is_cut_with_a_header_of_eight_bytes() {
    let mut rig = Rig::up();
    // 8 + 2500 is 0x9CC, 0x8404 + 0x11 + 0x9CC is 0x8DE1.
    let skb = large(&mut rig, 17, &[0x0F, 0xA0, 0, 7, 0x09, 0xCC, 0x8D, 0xE1], 1000, 2500);
    let head = rig.skbs.linear_offset(&skb);
    assert!(rig.xmit(skb, false));
    assert_eq!(rig.txd(0), [20 | 14 << 9, 0, CONTEXT | IPV4, 1000 << 16 | 8 << 8]);
    assert_eq!(rig.txd(1)[2..], [DATA | 42, 2500 << 14 | 3 << 8]);
    assert_eq!(rig.skbs.mem.bytes(head + 40, 2), [0x84, 0x15]);
}

#[test]
fn the_wire_is_what_is_counted() {
    let mut rig = Rig::up();
    let skb = large(&mut rig, 6, &tcp(0x97B2), 1448, 5000);
    assert!(rig.xmit(skb, false));
    // 5,066 bytes, and three more times 66 bytes of headers.
    let under_way = -rig.queues[0].bql_available();
    assert_eq!(under_way, 5066 + 3 * 66);
    rig.done(3);
    rig.poll();
    let stats = rig.with(Igb::stats64);
    assert_eq!((stats.tx_packets, stats.tx_bytes), (4, 5066 + 3 * 66));
    assert_eq!((rig.ethtool("tx_queue_0_packets"), rig.ethtool("tx_queue_0_bytes")), (4, 5066 + 3 * 66));
    assert_eq!((rig.skbs.in_flight(), rig.bus.lent.len()), (0, 2 + 63));
}

/// The device's context slot holds what segmentation left: a packet that only needs a checksum writes its own again.
#[test]
fn a_checksum_after_it_takes_a_new_context() {
    let mut rig = Rig::up();
    let mut contexts = 0;
    for is_large in [false, false, true, false] {
        let skb = large(&mut rig, 6, &tcp(0x97B2), 1448, 5000);
        if !is_large {
            rig.skbs.trim(&skb, 100);
            rig.skbs[&skb].gso_size = 0;
        }
        let first = rig.igb.tx[0].ring.next_to_use;
        assert!(rig.xmit(skb, false));
        contexts += u32::from(rig.txd(first)[2] & 0xF << 20 == 2 << 20);
        rig.done(rig.igb.tx[0].ring.next_to_use - 1);
        rig.poll();
    }
    assert_eq!(contexts, 3, "for the first, the large one, and the one behind it");
}

#[rstest]
#[case::of_another_protocol(1, 32, IpSummed::Partial)]
#[case::with_a_header_beyond_the_linear_part(6, 16, IpSummed::Partial)]
#[case::without_a_seed(6, 32, IpSummed::None)]
fn a_packet_that_the_device_cannot_cut_is_dropped(
    #[case] protocol: u8,
    #[case] l4: usize,
    #[case] summed: IpSummed,
) {
    let mut rig = Rig::up();
    let skb = large(&mut rig, protocol, &tcp(0)[..l4], 1000, 3000);
    rig.skbs[&skb].ip_summed = summed;
    assert!(rig.xmit(skb, false));
    assert_eq!((rig.skbs.in_flight(), rig.bus.written.len()), (0, 0));
}

#[test]
fn without_room_it_is_given_back_untouched() {
    let mut rig = Rig::up();
    for _ in 0..60 {
        let skb = rig.packet(60);
        assert!(rig.xmit(skb, true));
    }
    let skb = large(&mut rig, 6, &tcp(0x97B2), 1448, 5000);
    let NetdevTx::Busy(skb) = rig.with(|igb, ctx| igb.xmit_frame(ctx, skb, 0, false)) else {
        panic!("no room")
    };
    let data = rig.skbs.linear(&skb);
    assert_eq!((&data[16..18], &data[50..52]), (&[0x13, 0xBC][..], &[0x97, 0xB2][..]));
    rig.skbs.consume(&mut rig.trace, skb);
}
