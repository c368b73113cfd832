//! A peer that means harm: segments of all kinds with numbers near the right ones, and floods. Nothing panics, nothing grows
//! beyond its limit, nothing is lost.

use super::peer::{SYN_OPTIONS, Script};
use crate::entropy::Entropy;
use crate::errno::Errno;
use crate::socket::Fd;
use crate::time::Duration;
use alloc::vec::Vec;
use std::string::String;

fn any_flags(entropy: &mut Entropy) -> String {
    let letters = ["S", "F", "R", "P", "E", "W", ".", "."];
    letters.into_iter().filter(|letter| entropy.below(if *letter == "." { 2 } else { 5 }) == 0).collect()
}

/// Options that may be anything, but often say something.
fn any_options(entropy: &mut Entropy, our_isn: u32) -> Vec<u8> {
    match entropy.below(5) {
        0 => SYN_OPTIONS.to_vec(),
        1 => {
            let start = our_isn.wrapping_add(entropy.below(20_000));
            let mut bytes = alloc::vec![1, 1, 5, 10];
            bytes.extend_from_slice(&start.to_be_bytes());
            bytes.extend_from_slice(&start.wrapping_add(entropy.below(5000)).to_be_bytes());
            bytes
        }
        2 => (0..entropy.below(10) * 4).map(|_| entropy.next_u64() as u8).collect(),
        3 => {
            let mut bytes = alloc::vec![1, 1, 8, 10];
            bytes.extend_from_slice(&(entropy.next_u64() as u32).to_be_bytes());
            bytes.extend_from_slice(&(entropy.next_u64() as u32).to_be_bytes());
            bytes
        }
        _ => Vec::new(),
    }
}

fn near(entropy: &mut Entropy) -> u32 {
    match entropy.below(4) {
        0 => entropy.next_u64() as u32,
        1 => entropy.below(3),
        2 => entropy.below(70_000),
        _ => entropy.below(3000).wrapping_neg(),
    }
}

fn attack(seed: u64) {
    let mut entropy = Entropy::new(seed);
    let (mut s, fd) = Script::established();
    let mut open: Option<Fd> = Some(fd);
    for _ in 0..400 {
        let info = open.and_then(|fd| s.stack.tcp_info(fd).ok());
        let (rcv, snd) = info.map_or((0, 0), |info| (info.bytes_received as u32, info.bytes_acked as u32));
        let flags = any_flags(&mut entropy);
        let seq = (1 + rcv).wrapping_add(near(&mut entropy));
        let ack = snd.wrapping_add(near(&mut entropy));
        let options = any_options(&mut entropy, s.our_isn);
        let payload = alloc::vec![3; entropy.below(1400) as usize];
        let payload = &payload[..if entropy.below(2) == 0 { 0 } else { payload.len() }];
        s.send(&flags, seq, ack, entropy.next_u64() as u16, &options, payload);
        s.sent();
        if let Some(fd) = open {
            match entropy.below(40) {
                0 => {
                    let now = s.now;
                    s.stack.tcp_close(now, 0, fd).expect("it is open");
                    open = None;
                }
                1..=8 => {
                    let bytes = alloc::vec![1; entropy.below(20_000) as usize];
                    let _ = s.stack.tcp_send(s.now, 0, fd, &bytes, Default::default());
                }
                9..=14 => {
                    let _ = s.read(fd);
                }
                15 => {
                    let _ = s.stack.tcp_shutdown(s.now, 0, fd, false, true);
                }
                _ => {}
            }
        }
        if entropy.below(4) == 0 {
            let time = Duration::from_millis(u64::from(entropy.below(400)));
            s.pass(time);
        }
        let held = s.stack.skbs_in_flight();
        assert!(held < 200, "seed {seed}: {held} packets are held");
    }
    if let Some(fd) = open {
        s.stack.tcp_close(s.now, 0, fd).expect("it is open");
    }
    // The listener is the first socket of all; who was not accepted goes with it.
    s.stack.tcp_close(s.now, 0, Fd(3)).expect("it listens");
    s.pass(Duration::from_secs(3000));
    assert!(s.stack.tcp.is_idle(), "seed {seed}: something of TCP is left");
    assert_eq!(s.stack.skbs_in_flight(), 0, "seed {seed}: a packet was lost");
    assert_eq!(s.stack.skbs.free_pages(), 1024, "seed {seed}: a page was lost");
    assert_eq!(s.stack.skbs.free_heads(), 2048, "seed {seed}: a buffer was lost");
}

#[test]
fn segments_of_all_kinds_neither_panic_nor_stay() {
    for seed in 0..300 {
        attack(seed);
    }
}

#[test]
fn a_flood_of_syns_costs_bounded_memory_and_leaves_a_connection_alive() {
    let (mut s, fd) = Script::established();
    for n in 0..100_000_u32 {
        s.ports.0 = (n % 30_000) as u16 + 1;
        if s.ports.0 == 40_000 {
            continue;
        }
        s.send("S", n, 0, 512, SYN_OPTIONS, &[]);
        s.stack.test_wire = Some(Vec::new());
        assert!(s.stack.tcp.requests.len() <= 1, "the backlog is 1");
    }
    assert_eq!(s.stack.skbs_in_flight(), 0);
    s.ports.0 = 40_000;
    s.send("P.", 1, 1, 512, &[], &[9; 10]);
    assert_eq!(s.read(fd), Ok(10));
    assert_eq!(s.read(fd), Err(Errno::EAGAIN));
}
