//! Two stacks over a wire that loses, reorders, duplicates and corrupts by seed: every byte arrives once and in order, every
//! connection ends, and nothing is left.

use super::wire::{Faults, HOSTS, Link};
use crate::errno::Errno;
use crate::mib::Counter;
use crate::socket::{Fd, SocketOption};
use crate::stack::Stack;
use crate::tcp::recvmsg::TcpRecvFlags;
use crate::tcp::sendmsg::TcpSendFlags;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use rstest::rstest;

/// One side of a connection that sends and receives at once.
struct Side {
    fd: Fd,
    sent: usize,
    received: Vec<u8>,
    closed: bool,
    ended: bool,
}

fn byte(side: usize, at: usize) -> u8 {
    (at.wrapping_mul(31) >> 3) as u8 ^ (side as u8 * 0x55) ^ at as u8
}

impl Side {
    fn new(fd: Fd) -> Self {
        Self { fd, sent: 0, received: Vec::new(), closed: false, ended: false }
    }

    /// Sends and reads what can be.
    fn work(&mut self, link: &mut Link, nth: usize, total: usize, chunk: usize) -> Result<(), Errno> {
        let (now, stack) = (link.now, &mut link.ends[nth]);
        while self.sent < total {
            let bytes: Vec<u8> =
                (self.sent..(self.sent + chunk).min(total)).map(|at| byte(nth, at)).collect();
            match stack.tcp_send(now, 0, self.fd, &bytes, TcpSendFlags::default()) {
                Ok(n) => self.sent += n,
                Err(Errno::EAGAIN) => break,
                Err(errno) => return Err(errno),
            }
        }
        if self.sent == total && !self.closed {
            stack.tcp_shutdown(now, 0, self.fd, false, true)?;
            self.closed = true;
        }
        let mut buffer = [0; 3000];
        while !self.ended {
            match stack.tcp_recv(now, self.fd, &mut buffer, TcpRecvFlags::default()) {
                Ok(0) => self.ended = true,
                Ok(n) => self.received.extend_from_slice(&buffer[..n]),
                Err(Errno::EAGAIN) => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

/// Opens a connection from the second host to the first.
pub(super) fn open(link: &mut Link) -> [Fd; 2] {
    let listener = link.ends[0].socket_tcp().expect("a socket");
    link.ends[0].bind(listener, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 80)).expect("a free port");
    link.ends[0].listen(listener, 8).expect("a listener");
    let client = link.ends[1].socket_tcp().expect("a socket");
    let to = SocketAddrV4::new(HOSTS[0], 80);
    assert_eq!(link.ends[1].tcp_connect(link.now, 0, client, to), Err(Errno::EINPROGRESS));
    let end = link.now + Duration::from_secs(300);
    loop {
        if let Ok((fd, _)) = link.ends[0].accept(link.now, listener) {
            link.ends[0].close(listener).expect("it was there");
            return [fd, client];
        }
        assert!(link.step(end), "nobody came");
    }
}

/// The settings that a seed stands for: each mix of options is some seed's.
fn settings(link: &mut Link, seed: u64) {
    for stack in &mut link.ends {
        let tcp = &mut stack.sysctl.tcp;
        tcp.timestamps = seed & 1 == 0;
        tcp.sack = seed & 2 == 0;
        tcp.window_scaling = seed & 4 == 0;
        tcp.congestion_control = if seed & 8 == 0 { "reno" } else { "cubic" };
        tcp.ecn = u8::from(seed & 16 == 0);
    }
}

fn transfer(seed: u64, faults: Faults, totals: [usize; 2], chunk: usize) -> Link {
    let mut link = Link::new(seed, faults, Duration::from_millis(5));
    settings(&mut link, seed);
    transfer_over(link, seed, totals, chunk)
}

fn transfer_over(mut link: Link, seed: u64, totals: [usize; 2], chunk: usize) -> Link {
    let fds = open(&mut link);
    let mut sides = fds.map(Side::new);
    let end = link.now + Duration::from_secs(3600);
    while !sides.iter().all(|side| side.ended && side.closed) {
        for (nth, side) in sides.iter_mut().enumerate() {
            if let Err(errno) = side.work(&mut link, nth, totals[nth], chunk) {
                panic!("seed {seed}: side {nth} got {errno:?} at {:?}", link.now);
            }
        }
        assert!(link.step(end), "seed {seed}: nothing happens any more; received {:?}", {
            sides.each_ref().map(|side| side.received.len())
        });
    }
    for (nth, side) in sides.iter().enumerate() {
        let from = 1 - nth;
        assert_eq!(side.received.len(), totals[from], "seed {seed}");
        assert!(
            side.received.iter().enumerate().all(|(at, got)| *got == byte(from, at)),
            "seed {seed}: the bytes of side {from} are not what was sent"
        );
    }
    for (nth, fd) in fds.into_iter().enumerate() {
        let now = link.now;
        link.ends[nth].tcp_close(now, 0, fd).expect("it is open");
    }
    link.pass(Duration::from_secs(1000));
    for stack in &mut link.ends {
        assert_eq!(stack.skbs_in_flight(), 0, "seed {seed}: a packet was lost");
        assert_eq!(stack.skbs.free_pages(), 1024, "seed {seed}: a page was lost");
        assert!(stack.tcp.is_idle(), "seed {seed}: something of TCP is left");
        assert_eq!(stack.next_deadline(), None, "seed {seed}: a timer is left");
    }
    link
}

#[rstest]
#[case::a_clean_wire(Faults::default())]
#[case::one_of_a_hundred_lost(Faults { loss: 10, ..Faults::default() })]
#[case::one_of_ten_lost(Faults { loss: 100, ..Faults::default() })]
#[case::reordered(Faults { reorder: 200, ..Faults::default() })]
#[case::duplicated(Faults { duplicate: 100, ..Faults::default() })]
#[case::all_at_once(Faults { loss: 30, duplicate: 30, reorder: 100, corrupt: 20 })]
fn every_byte_arrives_once_and_in_order(#[case] faults: Faults) {
    for seed in 0..64 {
        let chunk = [1, 100, 1460, 5000, 70_000][seed as usize % 5];
        let total = if chunk == 1 { 2000 } else { 200_000 };
        transfer(seed, faults, [total, total / 3], chunk);
    }
}

// While nobody listens, a packet goes from TCP to the device by a shorter way.
#[rstest]
#[case::a_clean_wire(Faults::default())]
#[case::all_at_once(Faults { loss: 30, duplicate: 30, reorder: 100, corrupt: 20 })]
fn what_is_sent_does_not_depend_on_the_journal(#[case] faults: Faults) {
    for seed in 0..32 {
        let [silent, journaled] = [false, true].map(|on| {
            let mut link = Link::new(seed, faults, Duration::from_millis(5));
            settings(&mut link, seed);
            link.ends.iter_mut().for_each(|stack| stack.trace.set_on(on));
            transfer_over(link, seed, [20_000, 3_000], 1460)
        });
        assert_eq!(silent.log.len(), journaled.log.len(), "seed {seed}");
        assert!(silent.log == journaled.log, "seed {seed}");
        for counter in Counter::ALL {
            let counts =
                [&silent, &journaled].map(|link| link.ends.each_ref().map(|end| end.mib.get(*counter)));
            assert_eq!(counts[0], counts[1], "seed {seed}: {counter:?}");
        }
    }
}

fn option(stack: &mut Stack, fd: Fd, option: SocketOption, value: i32) {
    stack.setsockopt(fd, option, value).expect("an option that can be set");
}

fn default_ttl(stack: &mut Stack) {
    let command = crate::control::parse(&["sysctl", "-w", "net.ipv4.ip_default_ttl=3"]).expect("a command");
    stack.control(Instant::ZERO, &command).expect("a command that is done");
}

// The headers of a connection are put together once: until something changes that stands in them.
#[rstest]
#[case::the_time_to_live(|stack: &mut Stack, fd: Fd| option(stack, fd, SocketOption::IpTtl, 3), 8, 3)]
#[case::the_type_of_service(|stack: &mut Stack, fd: Fd| option(stack, fd, SocketOption::IpTos, 0x10), 1, 0x10)]
#[case::whether_to_fragment(|stack: &mut Stack, fd: Fd| option(stack, fd, SocketOption::IpMtuDiscover, 0), 6, 0)]
#[case::the_default_time_to_live(|stack: &mut Stack, _: Fd| default_ttl(stack), 8, 3)]
fn a_change_shows_in_the_next_segment(
    #[case] change: fn(&mut Stack, Fd),
    #[case] at: usize,
    #[case] value: u8,
) {
    let mut link = Link::new(0, Faults::default(), Duration::from_millis(5));
    let [_, client] = open(&mut link);
    let seen = [false, true].map(|changed| {
        if changed {
            change(&mut link.ends[1], client);
        }
        let sent = link.ends[1].tcp_send(link.now, 0, client, b"hello", TcpSendFlags::default());
        assert_eq!(sent, Ok(5));
        link.pass(Duration::from_secs(1));
        link.log.iter().rfind(|(_, from, _)| *from == 1).map(|(_, _, packet)| packet[at] == value)
    });
    assert_eq!(seen, [Some(false), Some(true)]);
}
