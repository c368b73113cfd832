//! Runs one measurement, and prints what `ci/bench` needs beside the instructions that callgrind counts: how many units were
//! done, allocations, copied bytes.
//!
//! - `cost STACK datagrams BYTES BURSTS`: bursts of 32 datagrams of this length.
//! - `cost STACK bulk BYTES [IDLE]`: one TCP connection, both ends counted, checksums in software; with IDLE connections and
//!   IDLE listeners on each host beside it.
//! - `cost STACK sender BYTES`: the same, the sender alone, which leaves checksums and segmentation to the device.
//! - `cost wireproof transmit BURSTS`, `receive BURSTS`: the driver alone, in bursts of 32 of the smallest packets.
//! - `cost STACK connections COUNT`: open, 1 KB, close; both ends, checksums in software.
//! - `cost wireproof five COUNT`: the same in five frames, by applications that ask for it.
//!
//! STACK is `wireproof` or `smoltcp`. Instructions are collected inside [`counting::measured`] only (callgrind's
//! `--toggle-collect`), so that the device's own work, which lies between, is left out.

mod counting;
mod driver;
mod host;
mod smol;
mod smol_stream;
mod stream;
mod wireproof;

use counting::{Counted, allocations, measured};

/// Datagrams in a burst.
const BURST: usize = 32;
/// Bursts before anything is counted.
const WARM_UP: usize = 64;
/// Bytes that a connection carries before anything is counted: by then its windows are open.
const WARM_UP_BYTES: usize = 8 << 20;
/// Connections before anything is counted.
const WARM_UP_CONNECTIONS: usize = 64;
/// Switched off for a comparison with checksums in software; what depends on them goes with them.
const IN_SOFTWARE: &str = "tx off rx off tso off";
/// What the sender leaves to the device.
const OFFLOADED: &str = "tx on rx on sg on tso on gso on";

/// One end of a ring, and the stack above it.
trait Subject {
    /// Sends one burst of datagrams with this payload: from the socket to the doorbell.
    fn send(&mut self, payload: &[u8]);
    /// What the device does: takes what lies in the ring and reports it as sent.
    fn device(&mut self);
    /// What comes back up: the descriptors are cleaned, the memory is free again.
    fn clean(&mut self);
    /// Datagrams that the device has seen whole.
    fn sent(&self) -> u64;
    /// Bytes that the stack copied, where it counts them.
    fn copied_bytes(&self) -> Option<u64>;
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ours = match words.first() {
        Some(&"wireproof") => true,
        Some(&"smoltcp") => false,
        _ => panic!("cost wireproof|smoltcp datagrams|bulk|sender|connections …"),
    };
    let number = |word: &str| word.parse::<usize>().expect("a number");
    match words[1..] {
        ["datagrams", bytes, bursts] => datagrams(ours, number(bytes), number(bursts)),
        ["bulk", bytes] => bulk(ours, number(bytes), 0),
        ["bulk", bytes, idle] => bulk(ours, number(bytes), number(idle)),
        ["sender", bytes] => sender(ours, number(bytes)),
        ["transmit", bursts] if ours => driver::transmit(number(bursts)),
        ["receive", bursts] if ours => driver::receive(number(bursts)),
        ["connections", count] => connections(ours, number(count), stream::Pair::open_send_close),
        ["five", count] if ours => connections(ours, number(count), stream::Pair::open_send_close_in_five),
        _ => panic!("datagrams BYTES BURSTS, bulk BYTES [IDLE], sender BYTES, connections COUNT, five COUNT"),
    }
}

fn datagrams(ours: bool, bytes: usize, bursts: usize) {
    let payload = vec![0x5a; bytes];
    let mut subject: Box<dyn Subject> =
        if ours { Box::new(wireproof::Wireproof::new()) } else { Box::new(smol::Smoltcp::new(bytes)) };
    for _ in 0..WARM_UP {
        subject.send(&payload);
        // The byte limit of the queue begins low: what it held back leaves with the completions.
        for _ in 0..BURST {
            subject.device();
            subject.clean();
        }
    }
    counting::begin();
    let (sent, copied) = (subject.sent(), subject.copied_bytes());
    for _ in 0..bursts {
        measured(Counted::Yes, &mut || subject.send(&payload));
        subject.device();
        measured(Counted::Yes, &mut || subject.clean());
    }
    let packets = subject.sent() - sent;
    assert_eq!(packets, (bursts * BURST) as u64, "every datagram must have left");
    println!("units {packets}");
    println!("allocations {}", allocations());
    if let (Some(before), Some(after)) = (copied, subject.copied_bytes()) {
        println!("copied_per_byte {:.3}", (after - before) as f64 / (packets as usize * bytes) as f64);
    }
}

fn counting_bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn bulk(ours: bool, bytes: usize, idle: usize) {
    if ours {
        our_transfer(IN_SOFTWARE, Counted::Yes, bytes, idle);
    } else {
        let mut pair = smol_stream::Pair::new(true, Counted::Yes, idle);
        pair.connect();
        pair.transfer(&counting_bytes(WARM_UP_BYTES));
        counting::begin();
        pair.transfer(&counting_bytes(bytes));
        println!("units {bytes}\nallocations {}", allocations());
    }
}

fn sender(ours: bool, bytes: usize) {
    if ours {
        our_transfer(OFFLOADED, Counted::No, bytes, 0);
    } else {
        let mut pair = smol_stream::Pair::new(false, Counted::No, 0);
        pair.connect();
        pair.transfer(&counting_bytes(WARM_UP_BYTES));
        counting::begin();
        pair.transfer(&counting_bytes(bytes));
        println!("units {bytes}\nallocations {}", allocations());
    }
}

fn our_transfer(offloads: &str, server_counts: Counted, bytes: usize, idle: usize) {
    let mut pair = stream::Pair::new(offloads, server_counts);
    pair.add_idle(u16::try_from(idle).expect("as many ports"));
    let ends = pair.connect();
    pair.transfer(ends, &counting_bytes(WARM_UP_BYTES));
    let (copied, frames) = (pair.copied_bytes(), pair.frames());
    counting::begin();
    pair.transfer(ends, &counting_bytes(bytes));
    println!("units {bytes}");
    println!("allocations {}", allocations());
    println!("frames {}", pair.frames() - frames);
    println!("copied_per_byte {:.3}", (pair.copied_bytes() - copied) as f64 / bytes as f64);
}

fn connections(ours: bool, count: usize, one: fn(&mut stream::Pair, &[u8])) {
    let payload = counting_bytes(1024);
    let frames = if ours {
        let mut pair = stream::Pair::new(IN_SOFTWARE, Counted::Yes);
        (0..WARM_UP_CONNECTIONS).for_each(|_| one(&mut pair, &payload));
        counting::begin();
        let before = pair.frames();
        (0..count).for_each(|_| one(&mut pair, &payload));
        pair.frames() - before
    } else {
        let mut pair = smol_stream::Pair::new(true, Counted::Yes, 0);
        (0..WARM_UP_CONNECTIONS).for_each(|_| pair.open_send_close(&payload));
        counting::begin();
        let before = pair.frames();
        (0..count).for_each(|_| pair.open_send_close(&payload));
        pair.frames() - before
    };
    println!("units {count}\nallocations {}\nframes {frames}", allocations());
}
