//! Checksum insertion, VLAN insertion, TCP and UDP segmentation (chapters 7.2.4, 7.2.5, 7.4).

mod machine;

use machine::{Machine, data};
use nic_emu::Rule;
use rstest::rstest;

const EOP_IFCS_RS: u32 = 0x0B00_0000;
const IFCS: u32 = 0x0200_0000;
const VLE: u32 = 1 << 30;
const TSE: u32 = 1 << 31;
const IXSM: u32 = 1;
const TXSM: u32 = 2;
const TCP: u32 = 1 << 11;
const SCTP: u32 = 2 << 11;
const IPV4: u32 = 1 << 10;

/// A context descriptor for slot 0: MACLEN 14.
fn context(ip_length: u32, vlan: u32, command: u32, l4_length: u32, mss: u32) -> [u32; 4] {
    [vlan << 16 | 14 << 9 | ip_length, 0, 0x2020_0000 | command, mss << 16 | l4_length << 8]
}

fn ones_sum(bytes: &[u8]) -> u16 {
    let mut total = 0_u32;
    for pair in bytes.chunks(2) {
        total += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while total > 0xFFFF {
        total = (total >> 16) + (total & 0xFFFF);
    }
    total as u16
}

/// The one's complement sum of an IPv4 packet's pseudo-header and transport; 0xFFFF when right.
fn transport_sum(ip: &[u8]) -> u16 {
    let mut covered = ip[12..20].to_vec();
    covered.extend([0, ip[9]]);
    covered.extend(((ip.len() - 20) as u16).to_be_bytes());
    covered.extend(&ip[20..]);
    ones_sum(&covered)
}

/// IPv4 to 192.0.2.2 with the header checksum field as given.
fn headers(protocol: u8, total: u16, checksum: [u8; 2]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00, 0x45, 0];
    bytes.extend(total.to_be_bytes());
    bytes.extend([0xFF, 0xFF, 0x40, 0, 64, protocol, checksum[0], checksum[1], 192, 0, 2, 1, 192, 0, 2, 2]);
    bytes
}

/// The seed that a driver leaves: the folded sum of addresses, protocol and `length`, not inverted.
fn seed(protocol: u8, length: u16) -> [u8; 2] {
    let mut covered = vec![192, 0, 2, 1, 192, 0, 2, 2, 0, protocol];
    covered.extend(length.to_be_bytes());
    ones_sum(&covered).to_be_bytes()
}

fn tcp(flags: u8, seed: [u8; 2], payload: usize) -> Vec<u8> {
    let mut bytes = vec![0x10, 0, 0x20, 0, 0xFF, 0xFF, 0xFF, 0x00, 0, 0, 0, 7, 0x50, flags, 0xFA, 0xF0];
    bytes.extend([seed[0], seed[1], 0, 0]);
    bytes.extend((0..payload).map(|place| (place * 7) as u8));
    bytes
}

/// A packet in two buffers, cut after the headers.
fn send(machine: &mut Machine, context: [u32; 4], packet: &[u8], command: u32, options: u32, payload: usize) {
    machine.ram.put(0x8_0000, packet);
    machine.queue(context);
    machine.queue(data(0x8_0000, 54, IFCS | command, options, payload));
    machine.queue(data(0x8_0000 + 54, packet.len() - 54, EOP_IFCS_RS | command, 0, 0));
    machine.ring();
    machine.run();
}

#[test]
fn the_seed_in_the_field_is_summed_with_the_segment() {
    let mut machine = Machine::up();
    let mut packet = headers(6, 20 + 20 + 101, [0, 0]);
    packet.extend(tcp(0x18, seed(6, 121), 101));
    let total = packet.len();
    send(&mut machine, context(20, 0, TCP, 0, 0), &packet, 0, TXSM, total);
    let sent = &machine.out.frames[0].bytes;
    assert_eq!(transport_sum(&sent[14..]), 0xFFFF);
    assert_eq!(sent[24..26], [0, 0], "IXSM was not asked for");
    assert_eq!(machine.rules(), []);
}

#[rstest]
#[case::zero([0, 0])]
#[case::negative_zero([0xFF, 0xFF])]
fn the_ip_header_checksum_field_as_found_is_summed(#[case] field: [u8; 2]) {
    let mut machine = Machine::up();
    let mut packet = headers(6, 20 + 20 + 50, field);
    packet.extend(tcp(0x10, seed(6, 70), 50));
    let total = packet.len();
    send(&mut machine, context(20, 0, TCP | IPV4, 0, 0), &packet, 0, IXSM | TXSM, total);
    assert_eq!(ones_sum(&machine.out.frames[0].bytes[14..34]), 0xFFFF);
}

#[test]
fn a_udp_checksum_of_zero_is_sent_as_all_ones() {
    let mut machine = Machine::up();
    let mut packet = headers(17, 20 + 8 + 20, [0, 0]);
    packet.extend([0, 1, 0, 2, 0, 28, 0, 0]);
    packet.resize(62, 0);
    let rest = ones_sum(&[&seed(17, 28)[..], &packet[34..42]].concat());
    packet[60..62].copy_from_slice(&(!rest).to_be_bytes());
    packet[40..42].copy_from_slice(&seed(17, 28));
    let total = packet.len();
    send(&mut machine, context(20, 0, 0, 0, 0), &packet, 0, TXSM, total);
    assert_eq!(machine.out.frames[0].bytes[40..42], [0xFF, 0xFF]);
}

#[test]
fn sctp_gets_its_crc32c() {
    let mut machine = Machine::up();
    let mut packet = headers(132, 20 + 12 + 20, [0, 0]);
    packet.extend([0; 12]);
    packet.extend(b"12345678901234567890");
    let total = packet.len();
    send(&mut machine, context(20, 0, SCTP, 0, 0), &packet, 0, TXSM, total);
    let sent = machine.out.frames[0].bytes[34..].to_vec();
    // A bitwise CRC32c with the polynomial in its normal, not reflected, form.
    let mut crc = u32::MAX;
    for byte in packet[34..].iter() {
        crc ^= u32::from(byte.reverse_bits()) << 24;
        for _ in 0..8 {
            crc = crc << 1 ^ if crc >> 31 == 1 { 0x1EDC_6F41 } else { 0 };
        }
    }
    assert_eq!(sent[8..12], (!crc).reverse_bits().to_le_bytes());
}

#[test]
fn a_tag_of_the_context_is_inserted_after_the_addresses() {
    let mut machine = Machine::up();
    let packet = machine::frame(100);
    machine.ram.put(0x8_0000, &packet);
    machine.queue(context(0, 0x2005, 0, 0, 0));
    machine.queue(data(0x8_0000, 100, EOP_IFCS_RS | VLE, 0, 100));
    machine.ring();
    machine.run();
    let sent = &machine.out.frames[0].bytes;
    assert_eq!(sent[12..16], [0x81, 0x00, 0x20, 0x05]);
    assert_eq!([&sent[..12], &sent[16..]].concat(), packet);
}

#[test]
fn tcp_segmentation_edits_each_header() {
    let mut machine = Machine::up();
    let payload = 2 * 1000 + 500;
    let mut packet = headers(6, 0, [0xFF, 0xFF]);
    packet.extend(tcp(0x99, seed(6, 0), payload));
    send(&mut machine, context(20, 0, TCP | IPV4, 20, 1000), &packet, TSE, IXSM | TXSM, payload);
    let frames: Vec<&[u8]> = machine.out.frames.iter().map(|sent| &sent.bytes[..]).collect();
    assert_eq!(frames.iter().map(|sent| sent.len()).collect::<Vec<_>>(), [1054, 1054, 554]);
    let mut sequence = 0xFFFF_FF00_u32;
    for (place, sent) in frames.iter().enumerate() {
        let ip = &sent[14..];
        assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), ip.len());
        assert_eq!(u16::from_be_bytes([ip[4], ip[5]]), 0xFFFF_u16.wrapping_add(place as u16));
        assert_eq!(ip[6..8], [0x40, 0]);
        assert_eq!(ones_sum(&ip[..20]), 0xFFFF);
        assert_eq!(transport_sum(ip), 0xFFFF);
        assert_eq!(u32::from_be_bytes(ip[24..28].try_into().unwrap()), sequence);
        sequence = sequence.wrapping_add(1000);
    }
    // CWR, ACK, PSH, FIN: the first keeps CWR, only the last has PSH and FIN.
    assert_eq!(frames.iter().map(|sent| sent[47]).collect::<Vec<_>>(), [0x90, 0x10, 0x19]);
    let joined = frames.iter().flat_map(|sent| &sent[54..]).copied().collect::<Vec<_>>();
    assert_eq!(joined, packet[54..]);
    assert_eq!(
        [machine.read(0x40F8), machine.read(0x40FC), machine.read(0x4080)],
        [1, 0, 3],
        "TSCTC TSCTFC GPTC"
    );
    assert_eq!(machine.rules(), []);
}

#[rstest]
#[case::exactly_two_segments(2000, &[1054, 1054])]
#[case::a_sole_segment(700, &[754])]
fn segments_of(#[case] payload: usize, #[case] lengths: &[usize]) {
    let mut machine = Machine::up();
    let mut packet = headers(6, 0, [0xFF, 0xFF]);
    packet.extend(tcp(0x19, seed(6, 0), payload));
    send(&mut machine, context(20, 0, TCP | IPV4, 20, 1000), &packet, TSE, IXSM | TXSM, payload);
    assert_eq!(machine.out.frames.iter().map(|sent| sent.bytes.len()).collect::<Vec<_>>(), lengths);
    assert_eq!(machine.out.frames.last().unwrap().bytes[47], 0x19);
}

#[test]
fn sixty_four_kib_are_segmented_though_the_packet_buffer_holds_forty() {
    let mut machine = Machine::up();
    let payload = 45 * 1448;
    let mut packet = headers(6, 0, [0xFF, 0xFF]);
    packet.extend(tcp(0x18, seed(6, 0), payload));
    machine.ram.put(0x8_0000, &packet);
    machine.queue(context(20, 0, TCP | IPV4, 20, 1448));
    machine.queue(data(0x8_0000, 32768, IFCS | TSE, IXSM | TXSM, payload));
    machine.queue(data(0x8_0000 + 32768, packet.len() - 32768, EOP_IFCS_RS | TSE, 0, 0));
    machine.ring();
    machine.run();
    assert_eq!(machine.out.frames.len(), 45);
    let starts: Vec<u64> = machine.out.frames.iter().map(|sent| sent.started).collect();
    assert!(starts.windows(2).skip(1).all(|pair| pair[1] - pair[0] == (1448 + 54 + 24) * 8));
    assert_eq!(machine.rules(), []);
}

#[test]
fn udp_segmentation_makes_datagrams() {
    let mut machine = Machine::up();
    let mut packet = headers(17, 0, [0xFF, 0xFF]);
    packet.extend([0, 1, 0, 2, 0, 0]);
    packet.extend(seed(17, 0));
    packet.extend((0..250).map(|place| place as u8));
    send(&mut machine, context(20, 0, IPV4, 8, 100), &packet, TSE, IXSM | TXSM, 250);
    let frames = &machine.out.frames;
    assert_eq!(frames.iter().map(|sent| sent.bytes.len()).collect::<Vec<_>>(), [142, 142, 92]);
    for sent in frames {
        let ip = &sent.bytes[14..];
        assert_eq!(usize::from(u16::from_be_bytes([ip[24], ip[25]])), ip.len() - 20);
        assert_eq!(transport_sum(ip), 0xFFFF);
    }
}

#[rstest]
#[case::tse_without_txsm(TSE, IXSM, TCP | IPV4, 1000, Rule::SegmentationWithoutChecksum)]
#[case::tse_of_ipv4_without_ixsm(TSE, TXSM, TCP | IPV4, 1000, Rule::SegmentationWithoutChecksum)]
#[case::tse_of_ipv6_with_ixsm(TSE, TXSM | IXSM, TCP, 1000, Rule::SegmentationWithoutChecksum)]
#[case::mss_of_zero(TSE, TXSM | IXSM, TCP | IPV4, 0, Rule::BadContext)]
#[case::reserved_l4t(TSE, TXSM | IXSM, 3 << 11 | IPV4, 1000, Rule::BadContext)]
fn segmentation_that_cannot_be_done_is_noted_and_counted(
    #[case] command: u32,
    #[case] options: u32,
    #[case] tucmd: u32,
    #[case] mss: u32,
    #[case] rule: Rule,
) {
    let mut machine = Machine::up();
    let mut packet = headers(6, 0, [0xFF, 0xFF]);
    packet.extend(tcp(0x18, seed(6, 0), 2000));
    send(&mut machine, context(20, 0, tucmd, 20, mss), &packet, command, options, 2000);
    assert_eq!(machine.rules(), [rule]);
    assert!(machine.out.frames.is_empty());
    assert_eq!(machine.read(0x40FC), 1, "TSCTFC");
    assert_eq!(machine.read(0xE010), 3, "the ring goes on");
}
