//! Our stack with its igb driver, over a device that does nothing but take descriptors and mark them done.

use crate::{BURST, Subject};
use core::net::{Ipv4Addr, SocketAddrV4};
use stack_under_test::bus::{Bus, Direction};
use stack_under_test::dma::DmaMemory;
use stack_under_test::socket::Fd;
use stack_under_test::stack::{Config, Stack};
use stack_under_test::time::{Duration, Instant};
use std::cell::Cell;
use std::rc::Rc;

const BUS_BASE: u64 = 0x1000_0000;
const TDBAL: u32 = 0xe000;
const TDLEN: u32 = 0xe008;
const TDT: u32 = 0xe018;
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Registers that remember what was written; a link that is always up.
#[derive(Clone)]
struct Ports(Rc<[Cell<u32>]>);

/// The bytes of BAR 0.
const BAR_BYTES: usize = 0x2_0000;

impl Ports {
    fn new() -> Self {
        Self((0..BAR_BYTES / 4).map(|_| Cell::new(0)).collect())
    }

    fn get(&self, offset: u32) -> u32 {
        self.0[offset as usize / 4].get()
    }
}

impl Bus for Ports {
    fn read32(&mut self, offset: u32) -> u32 {
        const STATUS: u32 = 0x8;
        const EECD: u32 = 0x10;
        const MDIC: u32 = 0x20;
        const RAL0: u32 = 0x5400;
        const RAH0: u32 = 0x5404;
        match offset {
            STATUS => 0x8000_0683 & !0x0008_0000,
            EECD => 0x1310,
            MDIC => {
                let asked = self.get(MDIC);
                let data = match asked >> 16 & 0x1f {
                    1 => 0x796d,
                    5 => 0x45e1,
                    10 => 0x3c00,
                    _ => 0x1140,
                };
                asked & 0x0fff_0000 | 0x1000_0000 | data
            }
            RAL0 => 0x0000_0002,
            RAH0 => 0x8000_0100,
            0x4000..0x4200 => 0,
            0xc0 | 0x1580 => 0,
            _ => self.get(offset) & !(1 << 26),
        }
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.0[offset as usize / 4].set(value);
    }

    fn dma_map(&mut self, _: u64, _: u32, _: Direction) {}
    fn dma_unmap(&mut self, _: u64, _: u32) {}
}

pub struct Wireproof {
    stack: Stack,
    ports: Ports,
    fd: Fd,
    now: Instant,
    head: u32,
    sent: u64,
    to: SocketAddrV4,
}

impl Wireproof {
    pub fn new() -> Self {
        let config = Config::default();
        let ports = Ports::new();
        let memory = DmaMemory::zeroed(config.pool.bytes(), BUS_BASE);
        let mut stack = Stack::new(&config, memory, Box::new(ports.clone()));
        let mut now = Instant::ZERO;
        stack.start(now);
        let mut up = false;
        for _ in 0..100_000 {
            if stack.is_started() && !up {
                up = true;
                for command in [
                    "ip link set dev eth0 up",
                    "ip addr add 192.0.2.1/24 dev eth0",
                    "ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent",
                ] {
                    let words: Vec<&str> = command.split(' ').collect();
                    let command = stack_under_test::control::parse(&words).expect("a command");
                    stack.control(now, &command).expect("a stack that does it");
                }
            }
            if stack.carrier() {
                break;
            }
            now = stack.next_deadline().map_or(now + Duration::from_millis(1), |deadline| deadline.max(now));
            stack.run_timers(now);
        }
        assert!(stack.carrier(), "the driver brings the link up");
        let fd = stack.socket_udp().expect("a socket");
        let to = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), 9);
        Self { stack, ports, fd, now, head: 0, sent: 0, to }
    }
}

impl Subject for Wireproof {
    fn send(&mut self, payload: &[u8]) {
        let (now, fd, to) = (self.now, self.fd, Some(self.to));
        for _ in 0..BURST {
            let sent = self.stack.sendto(now, 0, fd, payload, to, Default::default());
            assert!(sent.is_ok());
        }
    }

    fn device(&mut self) {
        let (base, count) = (u64::from(self.ports.get(TDBAL)), self.ports.get(TDLEN) / 16);
        let tail = self.ports.get(TDT);
        let memory = self.stack.memory();
        let ring = memory.offset_of(base, count as usize * 16).expect("a ring in memory");
        while self.head != tail {
            let at = ring + self.head as usize * 16;
            let dw2 = memory.read_le32(at + 8);
            if dw2 >> 20 & 0xf == 3 && dw2 & 1 << 24 != 0 {
                let buffer = u64::from(memory.read_le32(at)) | u64::from(memory.read_le32(at + 4)) << 32;
                let from = memory.offset_of(buffer, 6).expect("a frame in memory");
                assert_eq!(memory.bytes(from, 6), PEER);
                self.sent += 1;
            }
            if dw2 & 1 << 27 != 0 {
                let dw3 = memory.read_le32(at + 12);
                memory.write_le32(at + 12, dw3 | 1);
            }
            self.head = (self.head + 1) % count;
        }
        self.now = self.now + Duration::from_micros(50);
    }

    fn clean(&mut self) {
        self.stack.interrupt(self.now, 1);
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn copied_bytes(&self) -> Option<u64> {
        Some(self.stack.copied_bytes())
    }
}
