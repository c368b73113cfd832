//! Which segments merge, and what the packet that goes up says.

use super::*;
use crate::bus::{Bus, Direction};
use crate::dma::DmaMemory;
use crate::stack::Config;
use crate::trace::Step;
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
    let mut stack = Stack::new(&config, memory, Box::new(NoDevice));
    stack.trace.set_on(true);
    stack
}

/// A segment of 198.51.100.1:80, from sequence number 1000 on; what a test changes is changed before the IP checksum.
#[derive(Clone)]
struct Frame {
    seq: u32,
    id: u16,
    flags: u8,
    payload: usize,
    df: bool,
    ttl: u8,
    tos: u8,
    ack: u32,
    window: u16,
    options: Vec<u8>,
    sport: u16,
    padding: usize,
    bad_checksum: bool,
}

const FIRST: u32 = 1000;
const ACK: u8 = 0x10;

/// The `n`th of segments with 100 bytes each.
fn nth(n: u32) -> Frame {
    Frame {
        seq: FIRST + 100 * n,
        id: 7 + n as u16,
        flags: ACK,
        payload: 100,
        df: true,
        ttl: 64,
        tos: 0,
        ack: 5,
        window: 500,
        options: Vec::new(),
        sport: 80,
        padding: 0,
        bad_checksum: false,
    }
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

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let tcp_len = 20 + self.options.len();
        let total = ((20 + tcp_len + self.payload) as u16).to_be_bytes();
        let id = self.id.to_be_bytes();
        let df = if self.df { 0x40 } else { 0 };
        let mut ip = alloc::vec![0x45, self.tos, total[0], total[1], id[0], id[1], df, 0, self.ttl, 6, 0, 0];
        ip.extend([198, 51, 100, 1, 192, 0, 2, 1]);
        let check = (!ones_sum(&ip)).to_be_bytes();
        ip[10..12].copy_from_slice(&check);
        let mut tcp = Vec::new();
        tcp.extend(self.sport.to_be_bytes());
        tcp.extend([0x13, 0x88]);
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.extend([(tcp_len as u8 / 4) << 4, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0, 0, 0, 0]);
        tcp.extend(&self.options);
        tcp.extend((0..self.payload).map(|i| (self.seq as usize + i) as u8));
        let mut covered = ip[12..20].to_vec();
        covered.extend([0, 6]);
        covered.extend((tcp.len() as u16).to_be_bytes());
        covered.extend(&tcp);
        let check = if self.bad_checksum { [0xBA, 0xD0] } else { (!ones_sum(&covered)).to_be_bytes() };
        tcp[16..18].copy_from_slice(&check);
        let mut frame = alloc::vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        frame.extend(ip);
        frame.extend(tcp);
        frame.resize(frame.len() + self.padding, 0);
        frame
    }
}

fn come_in(stack: &mut Stack, frame: &Frame) {
    let bytes = frame.bytes();
    let skb = stack.skbs.alloc().expect("memory");
    stack.skbs.copy_in(&skb, &bytes);
    stack.skbs[&skb].packet = stack.trace.made(&bytes, bytes.len());
    stack.napi_gro_receive(skb);
}

/// How many packets went up so far.
fn went_up(stack: &mut Stack) -> usize {
    let events = stack.trace.take();
    events.iter().filter(|event| event.step == Step::Function("netif_receive_skb")).count()
}

#[test]
fn segments_in_a_row_become_one_packet() {
    let mut stack = stack();
    for n in 0..5 {
        come_in(&mut stack, &nth(n));
    }
    assert_eq!(went_up(&mut stack), 0);
    stack.gro_seal(0);
    let held = stack.gro.held.remove(0);
    let mut all = alloc::vec![0; stack.skbs[&held.skb].len()];
    stack.skbs.copy_out(&held.skb, 0, &mut all);
    // 20 + 20 + 500 is 0x21C; the first frame's identification; the header sums up.
    assert_eq!((&all[16..20], ones_sum(&all[14..34])), (&[0x02, 0x1C, 0, 7][..], 0xFFFF));
    assert_eq!(all[38..42], FIRST.to_be_bytes());
    let expected: Vec<u8> = (0..500).map(|i| (1000 + i) as u8).collect();
    assert_eq!(all[54..], expected);
    let meta = &stack.skbs[&held.skb];
    assert_eq!((meta.gso_size, meta.gso_segs, meta.gso_type), (100, 5, GsoType::TCPV4));
    assert_eq!((meta.ip_summed, meta.nr_frags()), (IpSummed::Unnecessary, 4));
    stack.skbs.consume(&mut stack.trace, held.skb);
    assert_eq!(stack.skbs.in_flight(), 0);
}

#[test]
fn the_end_of_the_poll_hands_up_what_is_held() {
    let mut stack = stack();
    come_in(&mut stack, &nth(0));
    come_in(&mut stack, &nth(1));
    stack.napi_gro_flush();
    assert_eq!((went_up(&mut stack), stack.skbs.in_flight()), (1, 0));
}

/// Two segments that merge, changed in the second.
#[rstest]
#[case::the_next_bytes(|_: &mut Frame| {}, 1)]
#[case::a_gap(|f: &mut Frame| f.seq += 1, 2)]
#[case::bytes_that_came_before(|f: &mut Frame| f.seq -= 100, 2)]
#[case::another_acknowledgement(|f: &mut Frame| f.ack += 1, 2)]
#[case::another_window(|f: &mut Frame| f.window += 1, 2)]
#[case::another_time_to_live(|f: &mut Frame| f.ttl -= 1, 2)]
#[case::another_type_of_service(|f: &mut Frame| f.tos = 3, 2)]
#[case::no_df(|f: &mut Frame| f.df = false, 2)]
#[case::an_identification_that_jumps(|f: &mut Frame| f.id += 1, 2)]
#[case::the_same_identification_with_df(|f: &mut Frame| f.id -= 1, 1)]
#[case::options(|f: &mut Frame| f.options = alloc::vec![1, 1, 1, 1], 2)]
#[case::another_port(|f: &mut Frame| f.sport = 81, 2)]
#[case::a_longer_segment(|f: &mut Frame| f.payload = 101, 2)]
#[case::a_shorter_segment(|f: &mut Frame| f.payload = 99, 1)]
#[case::push(|f: &mut Frame| f.flags |= PSH, 1)]
#[case::fin(|f: &mut Frame| f.flags |= FIN, 1)]
#[case::rst(|f: &mut Frame| f.flags |= RST, 2)]
#[case::ece(|f: &mut Frame| f.flags |= 0x40, 2)]
#[case::cwr(|f: &mut Frame| f.flags |= CWR, 2)]
#[case::nothing_but_an_acknowledgement(|f: &mut Frame| f.payload = 0, 2)]
#[case::padding_behind_it(|f: &mut Frame| f.padding = 3, 2)]
#[case::a_wrong_checksum(|f: &mut Frame| f.bad_checksum = true, 2)]
fn only_the_next_segment_of_the_same_kind_merges(#[case] change: fn(&mut Frame), #[case] packets: usize) {
    let mut stack = stack();
    come_in(&mut stack, &nth(0));
    let mut second = nth(1);
    change(&mut second);
    come_in(&mut stack, &second);
    stack.napi_gro_flush();
    assert_eq!((went_up(&mut stack), stack.skbs.in_flight()), (packets, 0));
}

/// What ends a packet goes up at once, with it.
#[rstest]
#[case::push(PSH, 100, 1)]
#[case::fin(FIN, 100, 1)]
#[case::a_short_segment(0, 99, 1)]
#[case::a_full_segment_does_not(0, 100, 0)]
fn the_last_segment_ends_the_packet(#[case] flags: u8, #[case] payload: usize, #[case] packets: usize) {
    let mut stack = stack();
    come_in(&mut stack, &nth(0));
    come_in(&mut stack, &Frame { flags: ACK | flags, payload, ..nth(1) });
    assert_eq!(went_up(&mut stack), packets);
    stack.napi_gro_flush();
}

#[test]
fn eighteen_frames_fill_a_packet() {
    let mut stack = stack();
    for n in 0..20 {
        come_in(&mut stack, &nth(n));
    }
    assert_eq!(went_up(&mut stack), 1, "one linear part and 17 pieces");
    stack.napi_gro_flush();
    assert_eq!((went_up(&mut stack), stack.skbs.in_flight()), (1, 0));
}

#[test]
fn eight_connections_are_held() {
    let mut stack = stack();
    for port in 0..9 {
        come_in(&mut stack, &Frame { sport: 80 + port, ..nth(0) });
    }
    assert_eq!((went_up(&mut stack), stack.gro.held.len()), (1, 8));
    come_in(&mut stack, &Frame { sport: 88, ..nth(1) });
    assert_eq!(went_up(&mut stack), 0, "the newest is still there");
    stack.napi_gro_flush();
}

#[test]
fn switched_off_every_frame_goes_up_by_itself() {
    let mut stack = stack();
    let asked = [(crate::control::ethtool::Feature::Gro, false)];
    assert!(stack.dev.features.change(&asked).is_ok());
    come_in(&mut stack, &nth(0));
    come_in(&mut stack, &nth(1));
    assert_eq!(went_up(&mut stack), 2);
}
