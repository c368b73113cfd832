//! The driver against a scripted bus: registers in a map, a log of what was written, and the books of lent memory.
//!
//! Offsets and bits are written out here, from the register table of the datasheet's descendants, so that a slip in the
//! driver's own table shows.

mod all_ones;
mod bring_up;
mod link;
mod row;
mod rx;
mod selftest;
mod tso;
mod tx;

use super::{Config, Igb};
use crate::bus::{Bus, Direction};
use crate::dma::DmaMemory;
use crate::netdev::{DriverCtx, NetdevQueue, NetdevTx};
use crate::skb::{PoolConfig, Skb, SkbPool};
use crate::time::{Duration, Instant};
use crate::trace::Trace;
use std::collections::BTreeMap;
use std::vec::Vec;

const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const BUS_BASE: u64 = 0x1_2345_6000;
const CTRL: u32 = 0x0000;
const MDIC: u32 = 0x0020;
const TDT: u32 = 0xE018;
const RDT: u32 = 0xC018;

/// A device of which only what is written down here works.
struct FakeBus {
    regs: BTreeMap<u32, u32>,
    written: Vec<(u32, u32)>,
    reads: u32,
    lent: Vec<(u64, u32)>,
    /// The PHY's registers.
    mii: [u16; 32],
    /// All registers read all ones.
    gone: bool,
    /// A register that reads all ones.
    ones: Option<u32>,
    /// STATUS.LU.
    has_link: bool,
    /// STATUS.GIO_MASTER_ENABLE stays.
    master_stuck: bool,
    /// CTRL.RST stays.
    reset_stuck: bool,
    /// MDIC.READY does not come.
    mdic_stuck: bool,
    /// A register that keeps nothing.
    forgets: Option<u32>,
    resets: u32,
    /// The device reaches all memory.
    direct: bool,
}

impl FakeBus {
    fn new() -> Self {
        let mut mii = [0; 32];
        // BMSR with AN done and link, both sides with pause, partner's receiver ready.
        (mii[1], mii[5], mii[10]) = (0x796D, 0x45E1, 0x3C00);
        let mut regs = BTreeMap::from([(0x2404, 0x40), (0x0010, 1 << 9)]);
        regs.extend([(0x5400, 0x1200_5452), (0x5404, 0x8000_5634)]);
        Self {
            regs,
            written: Vec::new(),
            reads: 0,
            lent: Vec::new(),
            mii,
            gone: false,
            ones: None,
            has_link: true,
            master_stuck: false,
            reset_stuck: false,
            mdic_stuck: false,
            forgets: None,
            resets: 0,
            direct: false,
        }
    }

    fn get(&self, reg: u32) -> u32 {
        self.regs.get(&reg).copied().unwrap_or(0)
    }

    /// The values written to a register, in order.
    fn writes(&self, reg: u32) -> Vec<u32> {
        self.written.iter().filter(|&&(to, _)| to == reg).map(|&(_, value)| value).collect()
    }

    /// When a register was first written with a value that has these bits.
    fn first(&self, reg: u32, bits: u32) -> usize {
        self.written.iter().position(|&(to, value)| to == reg && value & bits == bits).expect("it is written")
    }
}

impl Bus for FakeBus {
    fn read32(&mut self, offset: u32) -> u32 {
        self.reads += 1;
        if self.gone || self.ones == Some(offset) {
            return u32::MAX;
        }
        match offset {
            CTRL if !self.reset_stuck => self.get(CTRL) & !(1 << 26),
            0x0008 => {
                let master = self.get(CTRL) & 4 == 0 || self.master_stuck;
                self.get(0x0008) | 0x81 | u32::from(self.has_link) << 1 | u32::from(master) << 19
            }
            MDIC if self.mdic_stuck => self.get(MDIC) & !(1 << 28),
            // Semaphore, causes and counters change when they are read.
            0x5B50 => self.regs.insert(0x5B50, self.get(0x5B50) | 1).unwrap_or(0),
            0x00C0 | 0x4000..0x4200 => self.regs.insert(offset, 0).unwrap_or(0),
            _ => self.get(offset),
        }
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.written.push((offset, value));
        if offset == 0x0008 || self.forgets == Some(offset) {
            return;
        }
        if offset == CTRL && value & 1 << 26 != 0 {
            self.resets += 1;
            self.regs.insert(CTRL, if self.reset_stuck { value } else { 0 });
            return;
        }
        let mut value = value;
        if offset == MDIC {
            let reg = (value >> 16 & 31) as usize;
            if value & 1 << 26 != 0 {
                self.mii[reg] = value as u16;
            }
            value = value & 0xFFFF_0000 | u32::from(self.mii[reg]) | 1 << 28;
        }
        self.regs.insert(offset, value);
    }

    fn dma_direct(&self) -> bool {
        self.direct
    }

    fn dma_map(&mut self, addr: u64, len: u32, _: Direction) {
        assert!(len > 0);
        self.lent.push((addr, len));
    }

    fn dma_unmap(&mut self, addr: u64, len: u32) {
        let at =
            self.lent.iter().position(|&lent| lent == (addr, len)).expect("only what is lent is taken back");
        self.lent.swap_remove(at);
    }
}

/// A driver and what it works with.
struct Rig {
    igb: Igb,
    bus: FakeBus,
    skbs: SkbPool,
    queues: Vec<NetdevQueue>,
    trace: Trace,
    rx: Vec<Skb>,
    now: Instant,
}

/// A queue whose byte limit begins at zero, as Linux's does.
fn queue_without_least_limit() -> NetdevQueue {
    let mut queue = NetdevQueue::default();
    queue.set_limit_min(0);
    queue
}

impl Rig {
    fn new(config: Config) -> Self {
        let pool = PoolConfig { skbs: 512, heads: 600, pages: 32, coherent_bytes: 64 * 1024 };
        Self {
            igb: Igb::new(config),
            bus: FakeBus::new(),
            skbs: SkbPool::new(DmaMemory::zeroed(pool.bytes(), BUS_BASE), &pool),
            queues: (0..config.queue_pairs).map(|_| queue_without_least_limit()).collect(),
            trace: Trace::default(),
            rx: Vec::new(),
            now: Instant::ZERO,
        }
    }

    /// Up with a link, and the log empty. Rings of 64.
    fn up() -> Self {
        Self::up_on(FakeBus::new())
    }

    fn up_on(bus: FakeBus) -> Self {
        let mut rig = Self::new(Config { mac: Some(MAC), tx_ring: 64, rx_ring: 64, ..Config::default() });
        rig.bus = bus;
        rig.with(Igb::probe);
        rig.with(Igb::open).expect("it can be opened");
        rig.pass(Duration::from_millis(100));
        assert!(rig.igb.is_up() && rig.igb.carrier());
        rig.bus.written.clear();
        rig
    }

    fn with<R>(&mut self, call: impl FnOnce(&mut Igb, &mut DriverCtx<'_>) -> R) -> R {
        let mut ctx = DriverCtx {
            now: self.now,
            bus: &mut self.bus,
            skbs: &mut self.skbs,
            queues: &mut self.queues,
            trace: &mut self.trace,
            rx: &mut self.rx,
        };
        call(&mut self.igb, &mut ctx)
    }

    /// Lets time pass, from deadline to deadline.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut calls = 0;
        while let Some(at) = self.igb.next_deadline().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.with(Igb::timer);
            calls += 1;
            assert!(
                calls < 10_000,
                "the driver asks for the same moment again and again: {:?}",
                self.igb.phase
            );
        }
        self.now = end;
    }

    /// A packet of `len` counting bytes.
    fn packet(&mut self, len: usize) -> Skb {
        let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let skb = self.skbs.alloc().expect("memory for a packet");
        self.skbs.copy_in(&skb, &bytes);
        skb
    }

    /// Sends a packet; whether it was taken.
    fn xmit(&mut self, skb: Skb, more: bool) -> bool {
        match self.with(|igb, ctx| igb.xmit_frame(ctx, skb, 0, more)) {
            NetdevTx::Ok => true,
            NetdevTx::Busy(skb) => {
                self.skbs.consume(&mut self.trace, skb);
                false
            }
        }
    }

    /// Sends packets in a row; how many were left.
    fn xmit_row(&mut self, packets: Vec<Skb>) -> usize {
        let mut row = packets.into_iter();
        let sent = self.with(|igb, ctx| igb.xmit_frames(ctx, 0, false, &mut |_, _| row.next()));
        let mut left = 0;
        let given_back = match sent {
            NetdevTx::Ok => None,
            NetdevTx::Busy(skb) => Some(skb),
        };
        for skb in given_back.into_iter().chain(row) {
            self.skbs.consume(&mut self.trace, skb);
            left += 1;
        }
        left
    }

    /// The four words of a transmit descriptor.
    fn txd(&self, i: u16) -> [u32; 4] {
        let at = self.igb.tx[0].ring.at(i);
        [0, 4, 8, 12].map(|word| self.skbs.mem.read_le32(at + word))
    }

    /// The device is done with the descriptor.
    fn done(&mut self, i: u16) {
        let at = self.igb.tx[0].ring.at(i) + 12;
        let word = self.skbs.mem.read_le32(at);
        self.skbs.mem.write_le32(at, word | 1);
    }

    /// The device wrote `bytes` into the buffer of receive descriptor `i`.
    fn receive(&mut self, i: u16, bytes: &[u8], status: u32) {
        let at = self.igb.rx[0].ring.at(i);
        let addr = u64::from(self.skbs.mem.read_le32(at)) | u64::from(self.skbs.mem.read_le32(at + 4)) << 32;
        let offset = self.skbs.mem.offset_of(addr, bytes.len()).expect("a buffer in the region");
        self.skbs.mem.bytes_mut(offset, bytes.len()).copy_from_slice(bytes);
        self.write_back(i, status, bytes.len() as u32);
    }

    /// The device writes a receive descriptor back.
    fn write_back(&mut self, i: u16, status: u32, length: u32) {
        let at = self.igb.rx[0].ring.at(i);
        self.skbs.mem.write_le32(at + 12, length);
        self.skbs.mem.write_le32(at + 8, status);
    }

    fn poll(&mut self) -> u32 {
        self.with(|igb, ctx| igb.poll(ctx, 0, 64))
    }

    fn ethtool(&mut self, name: &str) -> u64 {
        let stats = self.with(Igb::ethtool_stats);
        stats.into_iter().find(|(known, _)| known == name).expect("a counter of this name").1
    }
}
