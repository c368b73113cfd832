//! The stack against whatever may come from the wire: nothing panics, nothing is lost, nothing grows without end.

use super::{Config, Stack};
use crate::bus::{Bus, Direction};
use crate::dma::DmaMemory;
use crate::entropy::Entropy;
use crate::errno::Errno;
use crate::route::{Address, OifId};
use crate::skb::PoolConfig;
use crate::time::{Duration, Instant};
use crate::wire::arp::Arp;
use crate::wire::checksum::checksum;
use crate::wire::ipv4::Ipv4;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

const US: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A machine without a device: the frames of these tests do not come through one.
struct NoDevice;

impl Bus for NoDevice {
    fn read32(&mut self, _: u32) -> u32 {
        0
    }
    fn write32(&mut self, _: u32, _: u32) {}
    fn dma_map(&mut self, _: u64, _: u32, _: Direction) {}
    fn dma_unmap(&mut self, _: u64, _: u32) {}
}

fn stack() -> Stack {
    let pool = PoolConfig { skbs: 512, heads: 512, pages: 64, coherent_bytes: 4096 };
    let config = Config { pool, ..Config::default() };
    let mut stack = Stack::new(&config, DmaMemory::zeroed(pool.bytes(), 0x1000_0000), Box::new(NoDevice));
    stack.dev.set_mac(OUR_MAC);
    stack.dev.up = true;
    stack.fib.set_link_up(OifId::ETH0, true);
    // A fifth of the memory that there is here, as 4 MiB are of the usual.
    stack.sysctl.ipfrag_high_thresh = 100 * 2304;
    stack.fib.add_address(Address::new(OifId::ETH0, US, 24)).expect("a first address");
    stack
}

impl Stack {
    /// A frame comes in, as from the driver's poll.
    fn frame(&mut self, now: Instant, frame: &[u8]) {
        self.advance_clock(now);
        let Some(head) = self.skbs.alloc_head() else { panic!("buffers were lost") };
        let at = self.skbs.buf_offset(head);
        self.skbs.mem.bytes_mut(at, frame.len()).copy_from_slice(frame);
        let skb = self.skbs.build_skb(head, 0, frame.len()).expect("descriptions were lost");
        self.netif_receive_skb(skb);
        self.do_softirq();
        self.settle();
    }
}

/// Time passes, with everything that becomes due on the way.
fn pass(stack: &mut Stack, now: Instant, time: Duration) {
    let end = now + time;
    while let Some(due) = stack.next_deadline().filter(|due| *due <= end) {
        stack.run_timers(due.max(now));
    }
    stack.run_timers(end);
}

/// Takes all datagrams that wait, and errors that are in the way.
fn drain(stack: &mut Stack, now: Instant, fd: crate::socket::Fd) {
    while stack.recvfrom(now, fd, &mut [0; 64], Default::default()) != Err(Errno::EAGAIN) {}
}

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [OUR_MAC, PEER_MAC].concat();
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn packet(ip: &Ipv4, payload: &[u8]) -> Vec<u8> {
    let mut bytes = alloc::vec![0; 20];
    ip.write(&mut bytes);
    bytes.extend_from_slice(payload);
    ethernet(0x0800, &bytes)
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len() as u16).to_be_bytes();
    [&[0, 9, 0, 7, length[0], length[1], 0, 0], payload].concat()
}

fn icmp(kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0, 0, 0, 5, 0], body].concat();
    let sum = checksum(&message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    message
}

/// One good frame of each kind that the stack acts on.
fn good_frames() -> Vec<Vec<u8>> {
    let ip = |protocol, payload: &[u8]| Ipv4::new(protocol, PEER, US, payload.len() as u16);
    let quoted = {
        let mut bytes = alloc::vec![0; 20];
        Ipv4::new(17, US, PEER, 12).write(&mut bytes);
        [&bytes[..], &[0, 7, 0, 9, 0, 12, 0, 0]].concat()
    };
    let datagram = udp(b"hello");
    let echo = icmp(8, 0, b"ping");
    let unreachable = icmp(3, 3, &quoted);
    let too_big = icmp(3, 4, &quoted);
    let first = Ipv4 { mf: true, id: 5, ..ip(17, &[0; 32]) };
    let last = Ipv4 { fragment_offset: 32, id: 5, ..ip(17, &[0; 9]) };
    alloc::vec![
        packet(&ip(17, &datagram), &datagram),
        packet(&ip(1, &echo), &echo),
        packet(&ip(1, &unreachable), &unreachable),
        packet(&ip(1, &too_big), &too_big),
        packet(&first, &udp(&[1; 24])),
        packet(&last, &[2; 9]),
        packet(&ip(6, &[0; 20]), &[0; 20]),
        Arp::request(PEER_MAC, PEER, US).frame(None).to_vec(),
        Arp::reply(PEER_MAC, PEER, OUR_MAC, US).frame(Some(OUR_MAC)).to_vec(),
    ]
}

/// Puts the header checksum right again, so that not every change ends there.
fn mend(frame: &mut [u8]) {
    let Some(header) = frame.get_mut(14..34).filter(|header| header[0] == 0x45) else { return };
    header[10..12].fill(0);
    let sum = checksum(header).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
}

fn damaged(entropy: &mut Entropy, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = frames[entropy.below(frames.len() as u32) as usize].clone();
    for _ in 0..entropy.below(4) {
        let at = entropy.below(frame.len() as u32) as usize;
        frame[at] = entropy.next_u64() as u8;
    }
    if entropy.below(2) == 0 {
        mend(&mut frame);
    }
    match entropy.below(6) {
        0 => frame.truncate(entropy.below(frame.len() as u32 + 1) as usize),
        1 => frame.resize(frame.len() + entropy.below(40) as usize, 0),
        _ => {}
    }
    frame
}

#[test]
fn a_flood_of_damaged_frames_neither_panics_nor_stays() {
    let mut stack = stack();
    let fd = stack.socket_udp().expect("a socket");
    stack.bind(fd, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 7)).expect("a free port");
    let (frames, mut entropy) = (good_frames(), Entropy::new(82_576));
    let (mut now, mut most) = (Instant::ZERO, 0);
    for round in 0..200_000_u32 {
        stack.frame(now, &damaged(&mut entropy, &frames));
        now = now + Duration::from_micros(500);
        most = most.max(stack.skbs_in_flight());
        if round % 16 == 0 {
            drain(&mut stack, now, fd);
            stack.run_timers(now);
        }
    }
    assert!(most < 400, "{most} packets were held at once");
    // After a minute nobody waits for a fragment any more.
    pass(&mut stack, now, Duration::from_secs(60));
    drain(&mut stack, now, fd);
    assert_eq!(stack.skbs_in_flight(), 0, "a packet was lost");
    assert_eq!(stack.skbs.free_heads(), 512, "a buffer was lost");
    assert!(stack.mib.get(crate::mib::Counter::UdpInDatagrams) > 100, "some of it must have been good");
    assert!(stack.mib.get(crate::mib::Counter::IpInHdrErrors) > 100, "some of it must have been bad");
}

#[test]
fn every_prefix_of_a_good_frame_is_dropped_with_a_reason() {
    for good in good_frames() {
        for len in 0..good.len() {
            let mut stack = stack();
            stack.trace.set_on(true);
            stack.frame(Instant::ZERO, &good[..len]);
            // A first fragment may wait, and an answer may be under way; the time of both runs out.
            pass(&mut stack, Instant::ZERO, Duration::from_secs(60));
            assert_eq!(stack.skbs_in_flight(), 0, "{len} bytes of {good:02x?}");
        }
    }
}
