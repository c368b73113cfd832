//! A host of our stack with its igb driver, over a device that does nothing but move frames between rings and a wire.

use core::net::Ipv4Addr;
use stack_under_test::bus::{Bus, Direction};
use stack_under_test::dma::DmaMemory;
use stack_under_test::skb::pool::PoolConfig;
use stack_under_test::stack::{Config, Stack};
use stack_under_test::time::{Duration, Instant};
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

pub const BUS_BASE: u64 = 0x1000_0000;
/// Registers of a ring, from its first one on.
const BAL: u32 = 0x00;
const LEN: u32 = 0x08;
const HEAD: u32 = 0x10;
const TAIL: u32 = 0x18;
pub const RX: u32 = 0xc000;
pub const TX: u32 = 0xe000;

/// Registers that remember what was written; a link that is always up. The device has the address 02:00:00:00:00:`id`.
#[derive(Clone)]
pub struct Ports {
    registers: Rc<[Cell<u32>]>,
    id: u8,
}

/// The bytes of BAR 0.
const BAR_BYTES: usize = 0x2_0000;

impl Ports {
    /// The registers of a device that was never touched.
    pub fn new(id: u8) -> Self {
        Self { registers: (0..BAR_BYTES / 4).map(|_| Cell::new(0)).collect(), id }
    }

    fn get(&self, offset: u32) -> u32 {
        self.registers[offset as usize / 4].get()
    }

    /// The bus address of a ring, and how many descriptors it has.
    pub fn ring(&self, ring: u32) -> (u64, u32) {
        (u64::from(self.get(ring + BAL)), self.get(ring + LEN) / 16)
    }

    /// The tail of a ring.
    pub fn tail(&self, ring: u32) -> u32 {
        self.get(ring + TAIL)
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
            RAH0 => 0x8000_0000 | u32::from(self.id) << 8,
            0x4000..0x4200 => 0,
            0xc0 | 0x1580 => 0,
            _ => self.get(offset) & !(1 << 26),
        }
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.registers[offset as usize / 4].set(value);
    }

    /// As on a machine without an IOMMU.
    fn dma_direct(&self) -> bool {
        true
    }

    fn dma_map(&mut self, _: u64, _: u32, _: Direction) {}
    fn dma_unmap(&mut self, _: u64, _: u32) {}
}

/// 192.0.2.`id`.
pub fn address(id: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, id)
}

pub struct Host {
    pub stack: Stack,
    pub now: Instant,
    /// Frames that the device has seen whole, and segments that it cut large ones into.
    pub sent: u64,
    ports: Ports,
    tx_head: u32,
    rx_head: u32,
    /// What the last context descriptor said.
    context: [u32; 4],
}

impl Host {
    /// A host that is up, and knows its neighbour.
    pub fn new(id: u8, neighbour: u8, pool: PoolConfig) -> Self {
        let config = Config { pool, seed: u64::from(id), ..Config::default() };
        let ports = Ports::new(id);
        let memory = DmaMemory::zeroed(config.pool.bytes(), BUS_BASE);
        let stack = Stack::new(&config, memory, Box::new(ports.clone()));
        let now = Instant::ZERO;
        let mut host = Self { stack, ports, now, tx_head: 0, rx_head: 0, sent: 0, context: [0; 4] };
        host.stack.start(now);
        let mut up = false;
        for _ in 0..100_000 {
            if host.stack.is_started() && !up {
                up = true;
                host.command("ip link set dev eth0 up");
                host.command(&format!("ip addr add {}/24 dev eth0", address(id)));
                host.command(&format!(
                    "ip neigh replace {} lladdr 02:00:00:00:00:{neighbour:02x} dev eth0 nud permanent",
                    address(neighbour)
                ));
            }
            if host.stack.carrier() {
                break;
            }
            let later = host.now + Duration::from_millis(1);
            host.now = host.stack.next_deadline().map_or(later, |deadline| deadline.max(host.now));
            host.stack.run_timers(host.now);
        }
        assert!(host.stack.carrier(), "the driver brings the link up");
        host
    }

    pub fn command(&mut self, words: &str) {
        let words: Vec<&str> = words.split(' ').collect();
        let command = stack_under_test::control::parse(&words).expect("a command");
        self.stack.control(self.now, &command).expect("a stack that does it");
    }

    /// Where a ring lies in the DMA region, and how many descriptors it has.
    fn ring(&mut self, ring: u32) -> (usize, u32) {
        let (base, count) = (u64::from(self.ports.get(ring + BAL)), self.ports.get(ring + LEN) / 16);
        (self.stack.memory().offset_of(base, count as usize * 16).expect("a ring in memory"), count)
    }

    /// The device takes what lies in the transmit ring and reports it as sent; the frames go to `wire`.
    pub fn transmit(&mut self, wire: &mut VecDeque<Vec<u8>>) {
        let (ring, count) = self.ring(TX);
        let tail = self.ports.get(TX + TAIL);
        let mut frame = Vec::new();
        while self.tx_head != tail {
            let memory = self.stack.memory();
            let at = ring + self.tx_head as usize * 16;
            let words = [0, 4, 8, 12].map(|word| memory.read_le32(at + word));
            self.tx_head = (self.tx_head + 1) % count;
            if words[2] >> 20 & 0xf != 3 {
                self.context = words;
                continue;
            }
            let from = u64::from(words[0]) | u64::from(words[1]) << 32;
            let len = (words[2] & 0xffff) as usize;
            let from = memory.offset_of(from, len).expect("a frame in memory");
            let begin = frame.len();
            frame.resize(begin + len, 0);
            memory.copy_out(from, &mut frame[begin..]);
            if words[2] & 1 << 27 != 0 {
                memory.write_le32(at + 12, words[3] | 1);
            }
            if words[2] & 1 << 24 != 0 {
                let frame = std::mem::take(&mut frame);
                let before = wire.len();
                if words[2] & 1 << 31 != 0 {
                    cut(&frame, self.context, wire)
                } else {
                    wire.push_back(frame)
                }
                self.sent += (wire.len() - before) as u64;
            }
        }
    }

    /// The device writes frames of the wire into buffers that are lent to it, as far as there are any. Their checksums are
    /// reported as right. Gives how many it wrote.
    pub fn receive(&mut self, wire: &mut VecDeque<Vec<u8>>) -> usize {
        const DONE: u32 = 1 | 1 << 1;
        const TCP_AND_IP_RIGHT: u32 = 1 << 5 | 1 << 6;
        let (ring, count) = self.ring(RX);
        let tail = self.ports.get(RX + TAIL);
        let before = wire.len();
        while self.rx_head != tail
            && let Some(frame) = wire.pop_front()
        {
            let memory = self.stack.memory();
            let at = ring + self.rx_head as usize * 16;
            let to = u64::from(memory.read_le32(at)) | u64::from(memory.read_le32(at + 4)) << 32;
            let to = memory.offset_of(to, 2048).expect("a buffer in memory");
            memory.copy_in(to, &frame);
            memory.write_le32(at + 12, frame.len() as u32);
            memory.write_le32(at + 8, DONE | TCP_AND_IP_RIGHT);
            self.rx_head = (self.rx_head + 1) % count;
        }
        self.ports.registers[(RX + HEAD) as usize / 4].set(self.rx_head);
        before - wire.len()
    }

    /// Whether a timer is due, or work was left for later.
    pub fn is_due(&mut self) -> bool {
        self.stack.next_deadline().is_some_and(|deadline| deadline <= self.now)
    }
}

/// Segmentation as the 82576 does it, but for the checksum of TCP, which nobody looks at.
fn cut(frame: &[u8], context: [u32; 4], wire: &mut VecDeque<Vec<u8>>) {
    let (ip, tcp) = ((context[0] >> 9 & 0x7f) as usize, (context[0] & 0x1ff) as usize);
    let tcp = ip + tcp;
    let headers = tcp + (context[3] >> 8 & 0xff) as usize;
    let mss = (context[3] >> 16) as usize;
    let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let id = word(ip + 4);
    let seq = u32::from(word(tcp + 4)) << 16 | u32::from(word(tcp + 6));
    let segments = (frame.len() - headers).div_ceil(mss);
    for (n, payload) in frame[headers..].chunks(mss).enumerate() {
        let mut segment = frame[..headers].to_vec();
        segment.extend(payload);
        let len = (segment.len() - ip) as u16;
        segment[ip + 2..ip + 4].copy_from_slice(&len.to_be_bytes());
        segment[ip + 4..ip + 6].copy_from_slice(&id.wrapping_add(n as u16).to_be_bytes());
        segment[ip + 10..ip + 12].fill(0);
        let sum = stack_under_test::wire::checksum::checksum(&segment[ip..tcp]);
        segment[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
        let seq = seq.wrapping_add((n * mss) as u32);
        segment[tcp + 4..tcp + 8].copy_from_slice(&seq.to_be_bytes());
        if n + 1 != segments {
            // FIN and PSH are those of the last one.
            segment[tcp + 13] &= !0x09;
        }
        wire.push_back(segment);
    }
}
