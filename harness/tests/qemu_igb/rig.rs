//! The driver on the machine: its bus, its memory, its interrupts, and real time.

use super::machine::{BAR0, MSI_WORDS, Machine};
use super::qtest::Qtest;
use stack_under_test::bus::{Bus, Direction};
use stack_under_test::drivers::igb::{Config, Igb};
use stack_under_test::netdev::{DriverCtx, NetdevQueue, NetdevTx};
use stack_under_test::skb::{PoolConfig, Skb, SkbPool};
use stack_under_test::time::Instant;
use stack_under_test::trace::Trace;
use std::time::{Duration, Instant as Clock};

/// Where the driver's memory begins in the guest's.
const DMA_AT: usize = 16 << 20;
/// Longer than autonegotiation (500 ms) and any reset, on a busy machine.
pub const LONG: Duration = Duration::from_secs(8);

/// Registers over the test socket; memory is the guest's own, so lending only keeps the books.
struct QtestBus<'a> {
    qtest: &'a mut Qtest,
    lent: &'a mut Vec<(u64, u32)>,
    region: std::ops::Range<u64>,
}

impl Bus for QtestBus<'_> {
    fn read32(&mut self, offset: u32) -> u32 {
        self.qtest.readl(BAR0 + offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.qtest.writel(BAR0 + offset, value);
    }

    fn dma_map(&mut self, addr: u64, len: u32, _: Direction) {
        assert!(
            len > 0 && self.region.start <= addr && addr + u64::from(len) <= self.region.end,
            "lent {addr:#x}+{len}"
        );
        self.lent.push((addr, len));
    }

    fn dma_unmap(&mut self, addr: u64, len: u32) {
        let at =
            self.lent.iter().position(|&lent| lent == (addr, len)).expect("only what is lent is taken back");
        self.lent.swap_remove(at);
    }
}

/// The driver, what it works with, and the machine.
pub struct Rig {
    pub igb: Igb,
    // Before the machine: it refers to the machine's memory.
    pub skbs: SkbPool,
    pub queues: Vec<NetdevQueue>,
    pub rx: Vec<Skb>,
    pub trace: Trace,
    pub lent: Vec<(u64, u32)>,
    /// The interrupts that came, by vector.
    pub interrupts: [u32; 2],
    pub machine: Machine,
    began: Clock,
}

impl Rig {
    /// A machine with the driver on it, probed and opened.
    pub fn start(config: Config) -> Result<Self, String> {
        let machine = Machine::start()?;
        let pool = PoolConfig::default();
        let skbs = SkbPool::new(machine.memory.region(DMA_AT, pool.bytes()), &pool);
        let mut rig = Self {
            igb: Igb::new(config),
            skbs,
            queues: vec![NetdevQueue::default()],
            rx: Vec::new(),
            trace: Trace::default(),
            lent: Vec::new(),
            interrupts: [0; 2],
            machine,
            began: Clock::now(),
        };
        rig.with(Igb::probe);
        rig.until("the probe", |rig| rig.igb.is_settled())?;
        rig.with(Igb::open).map_err(|error| format!("open: {error:?}"))?;
        Ok(rig)
    }

    /// As [`Rig::start`], and waits for the link.
    pub fn with_link(config: Config) -> Result<Self, String> {
        let mut rig = Self::start(config)?;
        rig.wait_for_link()?;
        Ok(rig)
    }

    /// Waits for the carrier.
    pub fn wait_for_link(&mut self) -> Result<(), String> {
        self.until("the link", |rig| rig.igb.is_up() && rig.igb.carrier())
    }

    /// Calls the driver.
    pub fn with<R>(&mut self, call: impl FnOnce(&mut Igb, &mut DriverCtx<'_>) -> R) -> R {
        let end = DMA_AT + PoolConfig::default().bytes();
        let mut bus = QtestBus {
            qtest: &mut self.machine.qtest,
            lent: &mut self.lent,
            region: DMA_AT as u64..end as u64,
        };
        let mut ctx = DriverCtx {
            now: Instant(self.began.elapsed().as_nanos() as u64),
            bus: &mut bus,
            skbs: &mut self.skbs,
            queues: &mut self.queues,
            trace: &mut self.trace,
            rx: &mut self.rx,
        };
        call(&mut self.igb, &mut ctx)
    }

    /// Serves interrupts and timers until `done`, or fails after [`LONG`].
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) -> Result<(), String> {
        let began = Clock::now();
        while !done(self) {
            if began.elapsed() > LONG {
                let fault = self.igb.last_fault();
                return Err(format!(
                    "waited {LONG:?} for {what}; last fault {fault:?}, interrupts {:?}",
                    self.interrupts
                ));
            }
            if !self.serve() {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        Ok(())
    }

    /// Serves what is pending; whether anything was.
    fn serve(&mut self) -> bool {
        let mut busy = false;
        for vector in 0..2 {
            if self.machine.memory.take_word(MSI_WORDS + 4 * usize::from(vector)) == 0 {
                continue;
            }
            busy = true;
            self.interrupts[usize::from(vector)] += 1;
            if let Some(napi) = self.with(|igb, ctx| igb.interrupt(ctx, vector)).napi {
                while self.with(|igb, ctx| igb.poll(ctx, napi, 64)) >= 64 {}
                self.with(|igb, ctx| igb.napi_complete(ctx.bus, napi));
            }
        }
        let now = Instant(self.began.elapsed().as_nanos() as u64);
        if self.igb.next_deadline().is_some_and(|at| at <= now) {
            self.with(Igb::timer);
            busy = true;
        }
        busy
    }

    /// A packet with these bytes, all of them linear.
    pub fn packet(&mut self, bytes: &[u8]) -> Skb {
        let skb = self.skbs.alloc().expect("memory for a packet");
        self.skbs.copy_in(&skb, bytes);
        skb
    }

    /// Sends a packet that must be taken.
    pub fn send(&mut self, skb: Skb) -> Result<(), String> {
        match self.with(|igb, ctx| igb.xmit_frame(ctx, skb, 0, false)) {
            NetdevTx::Ok => Ok(()),
            NetdevTx::Busy(_) => Err("the ring is full".into()),
        }
    }

    /// The next frame on the wire.
    pub fn frame(&mut self) -> Result<Vec<u8>, String> {
        let mut frame = None;
        self.until("a frame on the wire", |rig| {
            let mut buffer = vec![0; 1 << 16];
            frame = rig.machine.wire.recv(&mut buffer).ok().map(|n| {
                buffer.truncate(n);
                buffer
            });
            frame.is_some()
        })?;
        frame.ok_or_else(|| "no frame".into())
    }

    /// Puts a frame on the wire.
    pub fn inject(&mut self, frame: &[u8]) -> Result<(), String> {
        self.machine.wire.send(frame).map(drop).map_err(|error| format!("injecting: {error}"))
    }

    /// The next frame that the driver received: its bytes, and how many pieces lie beside its linear part.
    pub fn received(&mut self) -> Result<(Vec<u8>, usize), String> {
        self.until("a received frame", |rig| !rig.rx.is_empty())?;
        let skb = self.rx.remove(0);
        let mut bytes = vec![0; self.skbs[&skb].len()];
        self.skbs.copy_out(&skb, 0, &mut bytes);
        let pieces = self.skbs[&skb].nr_frags();
        self.skbs.consume(&mut self.trace, skb);
        Ok((bytes, pieces))
    }
}
