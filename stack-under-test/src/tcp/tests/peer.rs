//! One stack and a peer that is a script: segments by hand, numbers relative to each side's first, and what comes back as
//! text in packetdrill's notation, with the milliseconds since the last thing that the script did.

use super::support::bare_stack;
use crate::route::{Address, OifId};
use crate::skb::PoolConfig;
use crate::socket::Fd;
use crate::stack::Stack;
use crate::tcp::options::ReceivedOptions;
use crate::time::{Duration, Instant};
use crate::wire::checksum::{Checksum, pseudo_header};
use crate::wire::ipv4::Ipv4;
use crate::wire::tcp::{ACK, CWR, ECE, FIN, PSH, RST, SYN, Tcp};
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use std::format;
use std::string::String;

pub(crate) const US: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The peer's first number.
const ISN: u32 = 0xffff_ff00;

/// `mss 1460,sackOK,nop,wscale 7`: a SYN's options without timestamps.
pub(crate) const SYN_OPTIONS: &[u8] = &[2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 0, 0];

pub(crate) struct Script {
    pub(crate) stack: Stack,
    pub(crate) now: Instant,
    since: Instant,
    pub(crate) our_isn: u32,
    pub(crate) ports: (u16, u16),
    pub(crate) last: Vec<Vec<u8>>,
}

fn flag_letters(flags: u8) -> String {
    [(SYN, 'S'), (FIN, 'F'), (RST, 'R'), (PSH, 'P'), (ECE, 'E'), (CWR, 'W'), (ACK, '.')]
        .into_iter()
        .filter_map(|(bit, letter)| (flags & bit != 0).then_some(letter))
        .collect()
}

impl Script {
    pub(crate) fn new() -> Self {
        let pool = PoolConfig { skbs: 2048, heads: 2048, pages: 1024, coherent_bytes: 4096 };
        let mut stack = bare_stack(1, pool);
        stack.dev.up = true;
        stack.fib.set_link_up(OifId::ETH0, true);
        stack.fib.add_address(Address::new(OifId::ETH0, US, 24)).expect("a first address");
        stack.test_wire = Some(Vec::new());
        let now = Instant::ZERO + Duration::from_millis(10_001);
        Self { stack, now, since: now, our_isn: 0, ports: (40_000, 8080), last: Vec::new() }
    }

    /// The peer sends a segment: flags as letters, numbers relative.
    pub(crate) fn send(&mut self, flags: &str, seq: u32, ack: u32, win: u16, options: &[u8], payload: &[u8]) {
        let bits = flags.chars().fold(0, |bits, letter| {
            bits | match letter {
                'S' => SYN,
                'F' => FIN,
                'R' => RST,
                'P' => PSH,
                'E' => ECE,
                'W' => CWR,
                _ => ACK,
            }
        });
        let header = Tcp {
            sport: self.ports.0,
            dport: self.ports.1,
            seq: ISN.wrapping_add(seq),
            ack: if bits & ACK == 0 { 0 } else { self.our_isn.wrapping_add(ack) },
            header_len: (20 + options.len()) as u8,
            flags: bits,
            window: win,
            urgent: 0,
        };
        let mut segment = alloc::vec![0; 20];
        header.write(&mut segment);
        segment.extend_from_slice(options);
        segment.extend_from_slice(payload);
        let mut sum = Checksum::starting_with(pseudo_header(PEER, US, 6, segment.len() as u16));
        sum.add(&segment);
        segment[16..18].copy_from_slice(&sum.finish().to_be_bytes());
        let mut packet = alloc::vec![0; 20];
        Ipv4::new(6, PEER, US, segment.len() as u16).write(&mut packet);
        packet.extend_from_slice(&segment);
        self.since = self.now;
        self.stack.test_packet(self.now, &packet);
    }

    /// A plain segment with a window of 512.
    pub(crate) fn ack(&mut self, seq: u32, ack: u32) {
        self.send(".", seq, ack, 512, &[], &[]);
    }

    /// What the stack sent since the script last looked.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        let packets = self.stack.test_wire.as_mut().map(core::mem::take).unwrap_or_default();
        let lines = packets.iter().map(|packet| self.line(packet)).collect();
        self.last = packets;
        lines
    }

    fn line(&mut self, packet: &[u8]) -> String {
        let ip = Ipv4::parse(packet).expect("a good IP header");
        let segment = &packet[20..];
        let mut sum = Checksum::starting_with(pseudo_header(ip.src, ip.dst, 6, segment.len() as u16));
        sum.add(segment);
        assert_eq!(sum.finish(), 0, "a good checksum");
        let tcp = Tcp::parse(segment).expect("a good TCP header");
        let len = segment.len() - usize::from(tcp.header_len);
        if tcp.flags & SYN != 0 {
            self.our_isn = tcp.seq;
        }
        let seq = tcp.seq.wrapping_sub(self.our_isn);
        let mut line = format!("{} {seq}:{}({len})", flag_letters(tcp.flags), seq.wrapping_add(len as u32));
        if tcp.flags & ACK != 0 {
            line += &format!(" ack {}", tcp.ack.wrapping_sub(ISN));
        }
        let options = ReceivedOptions::parse(&segment[20..usize::from(tcp.header_len)], false);
        for block in options.sacks() {
            let (start, end) = (block.start.wrapping_sub(ISN), block.end.wrapping_sub(ISN));
            line += &format!(" sack {start}:{end}");
        }
        line
    }

    /// Lets time pass; gives what was sent, with the milliseconds since the script last did something.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<(u64, String)> {
        let (end, mut out) = (self.now + time, Vec::new());
        let at = self.now.since(self.since).as_millis() as u64;
        out.extend(self.sent().into_iter().map(|line| (at, line)));
        loop {
            let due = self.stack.next_deadline().filter(|due| *due <= end);
            self.now = due.unwrap_or(end).max(self.now);
            self.stack.run_timers(self.now);
            let at = self.now.since(self.since).as_millis() as u64;
            out.extend(self.sent().into_iter().map(|line| (at, line)));
            if due.is_none() {
                return out;
            }
        }
    }

    pub(crate) fn did(&mut self) {
        self.since = self.now;
    }

    /// A listener on port 8080.
    pub(crate) fn listen(&mut self, backlog: i32) -> Fd {
        let listener = self.stack.socket_tcp().expect("a socket");
        self.stack.bind(listener, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 8080)).expect("a free port");
        self.stack.listen(listener, backlog).expect("a listener");
        listener
    }

    /// The connection that other cases begin with.
    pub(crate) fn established() -> (Self, Fd) {
        let mut script = Self::new();
        let listener = script.listen(1);
        script.send("S", 0, 0, 65_535, SYN_OPTIONS, &[]);
        assert_eq!(script.sent(), ["S. 0:0(0) ack 1"]);
        script.ack(1, 1);
        assert!(script.sent().is_empty());
        let (fd, peer) = script.stack.accept(script.now, listener).expect("a connection");
        assert_eq!(peer, SocketAddrV4::new(PEER, 40_000));
        (script, fd)
    }

    /// The application sends so many bytes.
    pub(crate) fn write(&mut self, fd: Fd, len: usize) -> usize {
        self.did();
        let bytes = alloc::vec![7; len];
        self.stack.tcp_send(self.now, 0, fd, &bytes, Default::default()).expect("room")
    }

    /// The application reads all there is.
    pub(crate) fn read(&mut self, fd: Fd) -> Result<usize, crate::errno::Errno> {
        let mut buffer = alloc::vec![0; 1 << 20];
        self.stack.tcp_recv(self.now, fd, &mut buffer, Default::default())
    }
}
