//! Datagrams of our stack, over a device that does nothing but take descriptors and mark them done.

use crate::host::{Host, address};
use crate::{BURST, Subject};
use core::net::SocketAddrV4;
use stack_under_test::skb::pool::PoolConfig;
use stack_under_test::socket::Fd;
use stack_under_test::time::Duration;
use std::collections::VecDeque;

const PEER: [u8; 6] = [2, 0, 0, 0, 0, 2];

pub struct Wireproof {
    host: Host,
    wire: VecDeque<Vec<u8>>,
    fd: Fd,
    to: SocketAddrV4,
}

impl Wireproof {
    pub fn new() -> Self {
        let mut host = Host::new(1, 2, PoolConfig::default());
        let fd = host.stack.socket_udp().expect("a socket");
        Self { host, wire: VecDeque::new(), fd, to: SocketAddrV4::new(address(2), 9) }
    }
}

impl Subject for Wireproof {
    fn send(&mut self, payload: &[u8]) {
        let (now, fd, to) = (self.host.now, self.fd, Some(self.to));
        for _ in 0..BURST {
            let sent = self.host.stack.sendto(now, 0, fd, payload, to, Default::default());
            assert!(sent.is_ok());
        }
    }

    fn device(&mut self) {
        self.host.transmit(&mut self.wire);
        for frame in self.wire.drain(..) {
            assert_eq!(frame[..6], PEER);
        }
        self.host.now = self.host.now + Duration::from_micros(50);
    }

    fn clean(&mut self) {
        self.host.stack.interrupt(self.host.now, 1);
    }

    fn sent(&self) -> u64 {
        self.host.sent
    }

    fn copied_bytes(&self) -> Option<u64> {
        Some(self.host.stack.copied_bytes())
    }
}
