//! The driver alone: packets that are there go to the ring and are cleaned, frames that came are taken from it. What the loop around
//! it costs is counted with it.

use crate::counting::{Counted, allocations, begin, measured};
use crate::host::{BUS_BASE, Ports, RX, TX};
use stack_under_test::dma::DmaMemory;
use stack_under_test::drivers::igb::{Config, Igb};
use stack_under_test::netdev::{DriverCtx, NetdevQueue, NetdevTx};
use stack_under_test::skb::pool::PoolConfig;
use stack_under_test::skb::{IpSummed, Skb, SkbPool};
use stack_under_test::time::{Duration, Instant};
use stack_under_test::trace::Trace;

/// Packets in a burst.
const BURST: usize = 32;
/// Bursts before anything is counted: the ring is passed through several times.
const WARM_UP: usize = 64;
/// A datagram of 18 bytes: the smallest frame, without its FCS.
const FRAME: usize = 60;
/// DD, EOP and "checksum of UDP is right", in the status of a received frame.
const RECEIVED: u32 = 1 | 1 << 1 | 1 << 4;

/// A driver that is up, on a device that remembers registers.
struct Driver {
    igb: Igb,
    bus: Ports,
    skbs: SkbPool,
    queues: Vec<NetdevQueue>,
    trace: Trace,
    rx: Vec<Skb>,
    now: Instant,
    tx_head: u32,
    rx_head: u32,
}

impl Driver {
    fn up() -> Self {
        let pool = PoolConfig::default();
        let mut driver = Self {
            igb: Igb::new(Config::default()),
            bus: Ports::new(1),
            skbs: SkbPool::new(DmaMemory::zeroed(pool.bytes(), BUS_BASE), &pool),
            queues: vec![NetdevQueue::default()],
            trace: Trace::default(),
            rx: Vec::new(),
            now: Instant::ZERO,
            tx_head: 0,
            rx_head: 0,
        };
        driver.with(Igb::probe);
        driver.with(Igb::open).expect("it can be opened");
        while !driver.igb.carrier() {
            let next = driver.igb.next_deadline().expect("something is due until there is carrier");
            driver.now = driver.now.max(next);
            driver.with(Igb::timer);
        }
        driver.queues[0].set_limit_min(1 << 20);
        driver
    }

    #[inline(always)]
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

    /// A datagram whose checksum the device is to add up.
    fn packet(&mut self) -> Skb {
        let skb = self.skbs.alloc().expect("memory for a packet");
        self.skbs.copy_in(&skb, &[0x5a; FRAME]);
        let meta = &mut self.skbs[&skb];
        let start = meta.data_offset();
        meta.ip_summed = IpSummed::Partial;
        (meta.network_header, meta.csum_start, meta.csum_offset) = (start + 14, start + 34, 6);
        skb
    }

    /// The device has sent what lies in the ring.
    fn sent(&mut self) {
        let (ring, count) = self.bus.ring(TX);
        let ring = self.skbs.mem.offset_of(ring, count as usize * 16).expect("a ring in memory");
        while self.tx_head != self.bus.tail(TX) {
            let at = ring + self.tx_head as usize * 16 + 12;
            let word = self.skbs.mem.read_le32(at);
            self.skbs.mem.write_le32(at, word | 1);
            self.tx_head = (self.tx_head + 1) % count;
        }
    }

    /// The device received a burst.
    fn received(&mut self) {
        let (ring, count) = self.bus.ring(RX);
        let ring = self.skbs.mem.offset_of(ring, count as usize * 16).expect("a ring in memory");
        for _ in 0..BURST {
            let at = ring + self.rx_head as usize * 16;
            self.skbs.mem.write_le32(at + 8, RECEIVED);
            self.skbs.mem.write_le32(at + 12, FRAME as u32);
            self.rx_head = (self.rx_head + 1) % count;
        }
        self.now = self.now + Duration::from_micros(50);
    }

    fn poll(&mut self) -> u32 {
        let taken = self.with(|igb, ctx| igb.poll(ctx, 0, 64));
        self.igb.napi_complete(&mut self.bus, 0);
        taken
    }
}

/// Bursts of the smallest packets from the driver's entry to the doorbell, and their completions.
pub fn transmit(bursts: usize) {
    let mut driver = Driver::up();
    let mut packets: Vec<Skb> = Vec::with_capacity(BURST);
    for burst in 0..WARM_UP + bursts {
        (0..BURST).for_each(|_| packets.push(driver.packet()));
        let counted = if burst < WARM_UP { Counted::No } else { Counted::Yes };
        if burst == WARM_UP {
            begin();
        }
        measured(counted, &mut || {
            let mut row = packets.drain(..);
            let taken = driver.with(|igb, ctx| igb.xmit_frames(ctx, 0, false, &mut |_, _| row.next()));
            assert!(matches!(taken, NetdevTx::Ok));
        });
        driver.sent();
        measured(counted, &mut || _ = driver.poll());
        assert_eq!(driver.skbs.in_flight(), 0, "all are cleaned");
    }
    println!("units {}\nallocations {}", bursts * BURST, allocations());
}

/// Bursts of the smallest frames from their descriptors to the packets that go up, with new buffers in the ring.
pub fn receive(bursts: usize) {
    let mut driver = Driver::up();
    for burst in 0..WARM_UP + bursts {
        driver.received();
        if burst == WARM_UP {
            begin();
        }
        let counted = if burst < WARM_UP { Counted::No } else { Counted::Yes };
        let mut taken = 0;
        measured(counted, &mut || taken = driver.poll());
        assert_eq!(taken as usize, BURST);
        for skb in driver.rx.drain(..) {
            driver.skbs.consume(&mut driver.trace, skb);
        }
    }
    println!("units {}\nallocations {}", bursts * BURST, allocations());
}
