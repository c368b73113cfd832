//! Segments byte for byte; the checksums are added up by the definition of RFC 1071, apart from the stack's own code.

use super::*;
use crate::bus::{Bus, Direction};
use crate::dma::DmaMemory;
use crate::skb::GsoType;
use crate::stack::Config;
use alloc::boxed::Box;
use alloc::vec::Vec;
use rstest::rstest;

/// A machine without a device.
struct NoDevice;

impl Bus for NoDevice {
    fn read32(&mut self, _: u32) -> u32 {
        u32::MAX
    }
    fn write32(&mut self, _: u32, _: u32) {}
    fn dma_map(&mut self, _: u64, _: u32, _: Direction) {}
    fn dma_unmap(&mut self, _: u64, _: u32) {}
}

fn stack() -> Stack {
    let config = Config::default();
    let memory = DmaMemory::zeroed(config.pool.bytes(), 0x1000_0000);
    Stack::new(&config, memory, Box::new(NoDevice))
}

/// The one's complement sum, word by word.
fn ones_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

/// The sum of the pseudo-header, transport header and payload of an IPv4 packet without options: 0xFFFF when right.
fn transport_sum(ip: &[u8]) -> u16 {
    let mut covered = ip[12..20].to_vec();
    covered.extend([0, ip[9]]);
    covered.extend(((ip.len() - 20) as u16).to_be_bytes());
    covered.extend(&ip[20..]);
    ones_sum(&covered)
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 % 253) as u8).collect()
}

/// A packet with link header, from 192.0.2.1 to 192.0.2.2, identification 0xFFFF, DF, its payload in pages; the seed has the
/// length of the whole (addresses: 0x8404, see RFC 9293 for the rest).
fn large(stack: &mut Stack, tcp_flags: Option<u8>, mss: u16, len: usize) -> Skb {
    let l4_len = if tcp_flags.is_some() { 32 } else { 8 } + len;
    let protocol = if tcp_flags.is_some() { 6 } else { 17 };
    let total = ((20 + l4_len) as u16).to_be_bytes();
    let mut bytes = alloc::vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0x10, total[0], total[1]];
    bytes.extend([0xFF, 0xFF, 0x40, 0, 64, protocol, 0xBE, 0xEF, 192, 0, 2, 1, 192, 0, 2, 2]);
    let mut seed = 0x8404 + u32::from(protocol) + l4_len as u32;
    seed = (seed & 0xFFFF) + (seed >> 16);
    let seed = (seed as u16).to_be_bytes();
    match tcp_flags {
        Some(flags) => {
            bytes.extend([0x10, 0, 0x20, 0, 0xFF, 0xFF, 0xFC, 0x18, 0, 0, 0, 7, 0x80, flags, 0xFA, 0xF0]);
            bytes.extend([seed[0], seed[1], 0, 0, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
        }
        None => {
            let l4_len = (l4_len as u16).to_be_bytes();
            bytes.extend([0x0F, 0xA0, 0, 7, l4_len[0], l4_len[1], seed[0], seed[1]]);
        }
    }
    let skb = stack.skbs.alloc().expect("memory");
    stack.skbs.copy_in(&skb, &bytes);
    for page in payload(len).chunks(4096) {
        assert!(stack.skbs.copy_in_page(&skb, page));
    }
    let meta = &mut stack.skbs[&skb];
    meta.mac_header = meta.data_offset();
    meta.network_header = meta.data_offset() + 14;
    (meta.transport_header, meta.csum_start) = (meta.data_offset() + 34, meta.data_offset() + 34);
    meta.csum_offset = if tcp_flags.is_some() { 16 } else { 6 };
    (meta.gso_size, meta.gso_segs) = (mss, len.div_ceil(usize::from(mss)) as u16);
    meta.gso_type = if tcp_flags.is_some() { GsoType::TCPV4 } else { GsoType::UDP_L4 };
    meta.ip_summed = IpSummed::Partial;
    skb
}

/// The bytes of all segments, and who vouches for each one's checksum.
fn cut(stack: &mut Stack, skb: Skb, features: Features) -> Vec<(Vec<u8>, IpSummed)> {
    let mut list = stack.skb_gso_segment(skb, features).expect("it can be cut");
    let mut out = Vec::new();
    while let Some(segment) = list.pop_front(&mut stack.skbs) {
        let mut bytes = alloc::vec![0; stack.skbs[&segment].len()];
        stack.skbs.copy_out(&segment, 0, &mut bytes);
        assert_eq!(stack.skbs[&segment].gso_size, 0);
        out.push((bytes, stack.skbs[&segment].ip_summed));
        stack.skbs.consume(&mut stack.trace, segment);
    }
    assert_eq!(stack.skbs.in_flight(), 0);
    out
}

#[test]
fn tcp_segments_are_whole_packets() {
    let mut stack = stack();
    // CWR, ACK, PSH, FIN.
    let skb = large(&mut stack, Some(0x99), 1000, 2500);
    let segments = cut(&mut stack, skb, Features::default());
    let frames: Vec<&[u8]> = segments.iter().map(|(bytes, _)| &bytes[..]).collect();
    assert_eq!(frames.iter().map(|frame| frame.len()).collect::<Vec<_>>(), [1066, 1066, 566]);
    assert_eq!(frames.iter().map(|frame| frame[47]).collect::<Vec<_>>(), [0x90, 0x10, 0x19]);
    // 0xFFFFFC18 + 1000 is 0 modulo 2^32; the identification wraps, too. Total lengths: 20 + 32 + payload.
    let expected = [(0x041C_u16, 0xFFFF_u16, 0xFFFF_FC18_u32), (0x041C, 0, 0), (0x0228, 1, 1000)];
    for (frame, (total, id, seq)) in frames.iter().zip(expected) {
        assert_eq!((&frame[16..18], &frame[18..20]), (&total.to_be_bytes()[..], &id.to_be_bytes()[..]));
        assert_eq!(frame[38..42], seq.to_be_bytes());
        assert_eq!(
            (&frame[20..24], &frame[54..66]),
            (&[0x40, 0, 64, 6][..], &[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8][..])
        );
        assert_eq!((ones_sum(&frame[14..34]), transport_sum(&frame[14..])), (0xFFFF, 0xFFFF));
    }
    let joined: Vec<u8> = frames.iter().flat_map(|frame| frame[66..].to_vec()).collect();
    assert_eq!(joined, payload(2500));
}

#[rstest]
// 0x8404 + 6, and the length of each: 32 + 1000 is 0x408, 32 + 500 is 0x214.
#[case::tcp(Some(0x10), 50, &[0x8812, 0x8812, 0x861E])]
// 0x8404 + 17; 8 + 1000 is 0x3F0, 8 + 500 is 0x1FC.
#[case::udp(None, 40, &[0x8805, 0x8805, 0x8611])]
fn a_checksum_that_is_left_to_the_device_is_seeded_with_the_segments_length(
    #[case] tcp_flags: Option<u8>,
    #[case] at: usize,
    #[case] seeds: &[u16],
) {
    let mut stack = stack();
    let skb = large(&mut stack, tcp_flags, 1000, 2500);
    let segments = cut(&mut stack, skb, Features::SG.with(Features::HW_CSUM));
    assert!(segments.iter().all(|(_, summed)| *summed == IpSummed::Partial));
    let got: Vec<u16> =
        segments.iter().map(|(bytes, _)| u16::from_be_bytes([bytes[at], bytes[at + 1]])).collect();
    assert_eq!(got, seeds);
}

#[test]
fn udp_segments_are_datagrams() {
    let mut stack = stack();
    let skb = large(&mut stack, None, 1000, 2001);
    let segments = cut(&mut stack, skb, Features::SG);
    // UDP lengths 8 + payload, and identifications that count on.
    let expected = [(0x03F0_u16, 0xFFFF_u16), (0x03F0, 0), (9, 1)];
    assert_eq!(segments.len(), 3);
    for ((frame, _), (length, id)) in segments.iter().zip(expected) {
        assert_eq!((&frame[38..40], &frame[18..20]), (&length.to_be_bytes()[..], &id.to_be_bytes()[..]));
        assert_eq!(transport_sum(&frame[14..]), 0xFFFF);
        assert_eq!(usize::from(u16::from_be_bytes([frame[16], frame[17]])), frame.len() - 14);
    }
}

#[test]
fn a_packet_without_a_seed_gets_whole_checksums() {
    let mut stack = stack();
    let skb = large(&mut stack, Some(0x10), 1000, 2500);
    stack.skbs[&skb].ip_summed = IpSummed::None;
    for (frame, _) in cut(&mut stack, skb, Features::default()) {
        assert_eq!(transport_sum(&frame[14..]), 0xFFFF);
    }
}

#[test]
fn the_payload_is_not_copied() {
    let mut stack = stack();
    let skb = large(&mut stack, Some(0x10), 1448, 60_000);
    let copied = stack.skbs.copied_bytes;
    assert_eq!(cut(&mut stack, skb, Features::SG.with(Features::HW_CSUM)).len(), 42);
    assert_eq!(stack.skbs.copied_bytes, copied);
}

#[test]
fn each_segment_is_charged_to_the_socket_until_it_is_freed() {
    let mut stack = stack();
    stack.skbs.charges.push(Default::default());
    let skb = large(&mut stack, Some(0x10), 1000, 2500);
    stack.skbs[&skb].truesize = 3000;
    stack.skbs.set_owner_w(&skb, 0);
    let mut list = stack.skb_gso_segment(skb, Features::IGB).expect("it can be cut");
    // A small head (960 bytes on Linux 6.12) and the payload for each.
    assert_eq!(stack.skbs.charges[0].wmem, 3 * 960 + 2500);
    let first = list.pop_front(&mut stack.skbs).expect("three segments");
    stack.skbs.consume(&mut stack.trace, first);
    assert_eq!(stack.skbs.charges[0].wmem, 2 * 960 + 1500);
    stack.skbs.purge(&mut stack.trace, &mut list, crate::drop_reason::DropReason::QueuePurge);
    assert_eq!(stack.skbs.charges[0].wmem, 0);
}
