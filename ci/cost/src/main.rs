//! Sends bursts of 32 datagrams and prints what `ci/bench` needs beside the instructions that callgrind counts: packets
//! sent, allocations and copied bytes in steady state. `cost STACK BYTES BURSTS`, with STACK `wireproof` or `smoltcp`.
//!
//! Instructions are collected inside [`measured_send`] and [`measured_clean`] only (callgrind's `--toggle-collect`), so
//! that the device's own work, which lies between the two, is left out.

mod counting;
mod smol;
mod wireproof;

use counting::allocations;

/// Datagrams in a burst.
const BURST: usize = 32;
/// Bursts before anything is counted.
const WARM_UP: usize = 64;

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

#[unsafe(no_mangle)]
#[inline(never)]
fn measured_send(subject: &mut dyn Subject, payload: &[u8]) {
    subject.send(payload);
}

#[unsafe(no_mangle)]
#[inline(never)]
fn measured_clean(subject: &mut dyn Subject) {
    subject.clean();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [stack, bytes, bursts] = arguments.as_slice() else { panic!("cost wireproof|smoltcp BYTES BURSTS") };
    let payload = vec![0x5a; bytes.parse().expect("bytes of payload")];
    let bursts: usize = bursts.parse().expect("a number of bursts");
    let mut subject: Box<dyn Subject> = match stack.as_str() {
        "wireproof" => Box::new(wireproof::Wireproof::new()),
        "smoltcp" => Box::new(smol::Smoltcp::new(payload.len())),
        other => panic!("no stack is called {other}"),
    };
    for _ in 0..WARM_UP {
        subject.send(&payload);
        // The byte limit of the queue begins low: what it held back leaves with the completions.
        for _ in 0..BURST {
            subject.device();
            subject.clean();
        }
    }
    let (sent, allocated, copied) = (subject.sent(), allocations(), subject.copied_bytes());
    for _ in 0..bursts {
        measured_send(&mut *subject, &payload);
        subject.device();
        measured_clean(&mut *subject);
    }
    let (packets, allocated) = (subject.sent() - sent, allocations() - allocated);
    assert_eq!(packets, (bursts * BURST) as u64, "every datagram must have left");
    println!("packets {packets}");
    println!("allocations {allocated}");
    if let (Some(before), Some(after)) = (copied, subject.copied_bytes()) {
        println!(
            "copied_per_byte {:.3}",
            (after - before) as f64 / (packets as usize * payload.len()) as f64
        );
    }
}
