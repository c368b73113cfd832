//! The igb driver, for the Intel 82576: Linux's in shape and names (6.12), driven from outside.
//!
//! Nothing here sleeps. Whatever waits (a reset, the PHY, the quiet time before a ring is freed) is a state with a deadline:
//! call [`Igb::timer`] when [`Igb::next_deadline`] is reached. Interrupts come in through [`Igb::interrupt`], which says
//! which NAPI to schedule; [`Igb::poll`] then does the work.
//!
//! The way of a packet: `xmit.rs` and `xmit_row.rs` (out), `clean_tx.rs` (completion), `clean_rx.rs` and `rx_row.rs` (in). The way of the device:
//! `reset.rs` (probe, down, reset), `configure.rs` (up), `filter.rs`, `vlan.rs` and `rss.rs` (which frames, to which queue), `phy.rs`, `pause.rs`
//! `watchdog.rs` and `rx_hang.rs` (link, hang, statistics). What an administrator sets and tries: `settings.rs`, `selftest/`.

mod clean_rx;
mod clean_tx;
mod configure;
mod desc;
mod filter;
mod hw;
pub mod ids;
mod interrupt;
mod itr;
mod pause;
mod phy;
mod regs;
mod reset;
mod ring;
mod rss;
mod rx_hang;
mod rx_row;
mod selftest;
mod settings;
mod stats;
#[cfg(test)]
mod tests;
mod tso;
mod vlan;
mod watchdog;
mod xmit;
mod xmit_row;

pub use hw::Fault;
pub use interrupt::IrqResult;
pub use pause::Pause;
pub use selftest::TESTS;

use crate::drop_reason::DropReason;
use crate::errno::Errno;
use crate::netdev::DriverCtx;
use crate::time::{Instant, earliest};
use alloc::vec::Vec;
use hw::Hw;
use itr::Itr;
use phy::Phy;
use reset::Phase;
use ring::{RxRing, TxRing};
use rx_hang::RxWatch;
use settings::{max_queue_pairs, ring_size};
use stats::{HwStats, QueueStats};

/// The smallest MTU in bytes (Linux's `ETH_MIN_MTU`).
pub const MIN_MTU: u32 = 68;
/// The largest MTU in bytes (igb's `MAX_STD_JUMBO_FRAME_SIZE`).
pub const MAX_MTU: u32 = 9216;
/// The fewest descriptors of a ring.
pub const MIN_RING: u16 = 64;
/// The most descriptors of a ring.
pub const MAX_RING: u16 = 4096;
/// The most queue pairs: the receive queues that Linux spreads over on an 82576.
pub const MAX_QUEUE_PAIRS: u16 = 8;

/// How the device is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The PCI device id; see [`ids`]. One that is not known is given up when it is probed.
    pub device: u16,
    /// Whether the machine delivers MSI-X messages. Without, there is one interrupt for all, and one queue pair.
    pub msix: bool,
    /// Of the one interrupt without MSI-X: it is a message of this device alone (MSI), not a line that is shared (INTx).
    pub msi: bool,
    /// The station address, or `None` for the one that the device read from its NVM.
    pub mac: Option<[u8; 6]>,
    /// Transmit descriptors a queue; made a multiple of 8 within [`MIN_RING`] and [`MAX_RING`].
    pub tx_ring: u16,
    /// Receive descriptors a queue; as for transmit.
    pub rx_ring: u16,
    /// Interrupt moderation as `ethtool -C rx-usecs` takes it: 0 off, 1 dynamic, 3 dynamic conservative (Linux's default),
    /// 10 to 10,000 microseconds.
    pub rx_usecs: u16,
    /// Queues in each direction, 1 to [`MAX_QUEUE_PAIRS`]; each pair has one MSI-X vector, after vector 0.
    pub queue_pairs: u16,
    /// The key of the receive hash.
    pub rss_key: [u8; 40],
}

impl Default for Config {
    fn default() -> Self {
        Self {
            device: ids::DEV_ID_82576,
            msix: true,
            msi: false,
            mac: None,
            tx_ring: 256,
            rx_ring: 256,
            rx_usecs: itr::CONSERVATIVE,
            queue_pairs: 1,
            rss_key: rss::KEY,
        }
    }
}

/// The link as the driver last saw it.
#[derive(Debug, Default)]
struct Link {
    carrier: bool,
    changed: bool,
    /// In Mb/s; 0 without a link.
    speed: u16,
    full_duplex: bool,
    /// The PHY has to be asked: the device said that the link changed, or there is none.
    get_status: bool,
    /// The driver reset the device by itself, and does not tell that the link is away for it: until then, or until it is back.
    held_until: Option<Instant>,
}

/// One port of an 82576.
#[derive(Debug)]
pub struct Igb {
    hw: Hw,
    config: Config,
    mac: [u8; 6],
    mtu: u32,
    /// `IFF_PROMISC` and `IFF_ALLMULTI`.
    promisc: bool,
    all_multicast: bool,
    /// `NETIF_F_RXCSUM`: the device's word for checksums is taken.
    rx_csum: bool,
    vlans: vlan::Vlans,
    phase: Phase,
    want_up: bool,
    reset_requested: bool,
    /// The driver wants the reset itself, to get the device out of something: [`Igb::recover`].
    recovering: bool,
    /// Ring sizes changed: the rings' own memory is to be taken anew.
    resize: bool,
    /// How many queue pairs there are to be, after the next reset.
    new_queue_pairs: Option<u16>,
    /// The receive queue of each value of the hash's lower bits (RETA).
    indirection: [u8; rss::INDIRECTION],
    tx: Vec<TxRing>,
    rx: Vec<RxRing>,
    vectors: Vec<Itr>,
    queue_stats: Vec<QueueStats>,
    link: Link,
    phy: Phy,
    flow_control: pause::FlowControl,
    watchdog_at: Option<Instant>,
    watchdog_waits_for_phy: bool,
    /// An interrupt came, and ICR read all ones.
    icr_unread: bool,
    rx_watch: RxWatch,
    stats: HwStats,
    /// The self-test that is under way, and the results of the last.
    test: Option<selftest::SelfTest>,
    test_results: Option<[u64; TESTS.len()]>,
}

impl Igb {
    /// A driver for one device, which it does not touch before [`Igb::probe`]. Values of `config` out of range are brought
    /// into it.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let most = if config.msix { max_queue_pairs(config.device) } else { 1 };
        let queue_pairs = config.queue_pairs.clamp(1, most);
        let config = Config {
            tx_ring: ring_size(config.tx_ring),
            rx_ring: ring_size(config.rx_ring),
            queue_pairs,
            ..config
        };
        Self {
            hw: Hw::default(),
            config,
            mac: config.mac.unwrap_or_default(),
            mtu: 1500,
            promisc: false,
            all_multicast: false,
            rx_csum: true,
            vlans: vlan::Vlans::default(),
            phase: Phase::Unprobed,
            want_up: false,
            reset_requested: false,
            recovering: false,
            resize: false,
            new_queue_pairs: None,
            indirection: rss::spread(queue_pairs),
            tx: Vec::new(),
            rx: Vec::new(),
            vectors: alloc::vec![Itr::new(config.rx_usecs); usize::from(queue_pairs)],
            queue_stats: alloc::vec![QueueStats::default(); usize::from(queue_pairs)],
            link: Link::default(),
            phy: Phy::default(),
            flow_control: pause::FlowControl::default(),
            watchdog_at: None,
            watchdog_waits_for_phy: false,
            icr_unread: false,
            rx_watch: RxWatch::default(),
            stats: HwStats::default(),
            test: None,
            test_results: None,
        }
    }

    /// Finds the device and resets it (facts of Linux 6.12 `igb_probe`). It goes on in [`Igb::timer`]; [`Igb::is_probed`]
    /// says when it is done.
    pub fn probe(&mut self, ctx: &mut DriverCtx<'_>) {
        if ids::mac_of(self.config.device).is_none() {
            self.hw.fault(Fault::UnknownDevice);
            self.phase = Phase::Failed;
        }
        if self.phase == Phase::Unprobed {
            self.irq_disable(ctx);
            self.start_reset(ctx);
            self.advance(ctx);
        }
    }

    /// Brings the device up (`igb_open`): takes ring memory now, and goes on in [`Igb::timer`]. May be called while the
    /// probe is under way.
    ///
    /// # Errors
    /// `ENOMEM` without memory for the rings, `ENODEV` when the device is gone or was not probed, `EIO` when the probe
    /// has failed. One whose last reset did not end is reset again.
    pub fn open(&mut self, ctx: &mut DriverCtx<'_>) -> Result<(), Errno> {
        if self.hw.removed || self.phase == Phase::Unprobed {
            return Err(Errno::ENODEV);
        }
        let found = ids::mac_of(self.config.device).is_some() && is_valid_ether_addr(self.mac);
        if self.phase == Phase::Failed && !found {
            return Err(Errno::EIO);
        }
        if self.test_opens() {
            return Ok(());
        }
        self.want_up = true;
        if self.phase == Phase::Failed {
            self.start_reset(ctx);
            self.advance(ctx);
        }
        if self.phase == Phase::Down {
            if let Err(error) = self.alloc_rings(ctx) {
                self.want_up = false;
                return Err(error);
            }
            self.configure(ctx);
            self.advance(ctx);
        }
        if self.hw.removed { Err(Errno::ENODEV) } else { Ok(()) }
    }

    /// Takes the device down (`igb_close`). Packets in the ring are sent for 10 ms more, then the device is reset, and what
    /// is left is dropped with [`DropReason::DevReset`] once it let go of memory; this goes on in [`Igb::timer`].
    pub fn stop(&mut self, ctx: &mut DriverCtx<'_>) {
        self.end_test(ctx);
        self.tell_carrier();
        self.want_up = false;
        if self.running() || matches!(self.phase, Phase::TxOff { .. }) {
            self.down(ctx);
        }
        self.advance(ctx);
    }

    /// Sets the MTU in bytes (`igb_change_mtu`); a device that is up goes down and up again.
    ///
    /// # Errors
    /// `EINVAL` outside of [`MIN_MTU`] to [`MAX_MTU`].
    pub fn change_mtu(&mut self, ctx: &mut DriverCtx<'_>, mtu: u32) -> Result<(), Errno> {
        if !(MIN_MTU..=MAX_MTU).contains(&mtu) {
            return Err(Errno::EINVAL);
        }
        if self.mtu != mtu {
            self.mtu = mtu;
            self.reset_requested = self.want_up;
            self.advance(ctx);
        }
        Ok(())
    }

    /// Whether the device's word for received checksums is taken (`ethtool -K rx`). No reset is needed (`igb_set_features`).
    pub fn set_rx_csum(&mut self, on: bool) {
        self.rx_csum = on;
    }

    /// Sets the station address (`igb_set_mac`).
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` when it is zero or a group address.
    pub fn set_mac(&mut self, ctx: &mut DriverCtx<'_>, mac: [u8; 6]) -> Result<(), Errno> {
        if !is_valid_ether_addr(mac) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        self.mac = mac;
        self.config.mac = Some(mac);
        if self.is_probed() {
            self.write_rar0(ctx);
        }
        Ok(())
    }

    /// Whether the probe is done: the device was reset, and its address is known.
    #[must_use]
    pub fn is_probed(&self) -> bool {
        is_valid_ether_addr(self.mac) && !matches!(self.phase, Phase::Unprobed | Phase::Failed)
    }

    /// Whether packets can be sent and received.
    #[inline]
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up)
    }

    /// Whether nothing is under way: the device is up, or down, or given up.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Unprobed | Phase::Up | Phase::Down | Phase::Failed)
            && !self.reset_requested
            && self.test.is_none()
    }

    /// Whether the device is given up: it is gone, or its last reset did not end.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.phase == Phase::Failed
    }

    /// Whether there is a link (`netif_carrier_ok`). While the driver resets the device by itself, the link is away and this stays
    /// as it was, so that what waits above is not dropped.
    #[must_use]
    pub fn carrier(&self) -> bool {
        self.link.carrier
    }

    /// The new state of the carrier, once after each change.
    pub fn take_carrier_change(&mut self) -> Option<bool> {
        core::mem::take(&mut self.link.changed).then_some(self.link.carrier)
    }

    /// The speed in Mb/s and whether the link is full duplex; `None` without a link.
    #[must_use]
    pub fn link_speed(&self) -> Option<(u16, bool)> {
        (self.link.carrier && self.link.held_until.is_none())
            .then_some((self.link.speed, self.link.full_duplex))
    }

    /// The station address; zero before the probe found one.
    #[must_use]
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// The MTU in bytes.
    #[must_use]
    pub fn mtu(&self) -> u32 {
        self.mtu
    }

    /// How often `fault` happened.
    #[must_use]
    pub fn faults(&self, fault: Fault) -> u32 {
        self.hw.faults(fault)
    }

    /// The latest fault.
    #[must_use]
    pub fn last_fault(&self) -> Option<Fault> {
        self.hw.last_fault()
    }

    /// When [`Igb::timer`] is to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.reset_requested && self.phase == Phase::Up {
            return Some(Instant::ZERO);
        }
        let link = earliest(self.watchdog_at, self.link.held_until);
        earliest(self.phase.deadline(), earliest(self.phy.deadline(), link))
    }

    /// Does what is due at `ctx.now`.
    pub fn timer(&mut self, ctx: &mut DriverCtx<'_>) {
        self.advance(ctx);
        self.run_phy(ctx);
        self.watchdog(ctx);
        if self.link.held_until.is_some_and(|until| until <= ctx.now) {
            self.tell_carrier();
            if self.is_up() {
                self.wake_queues(ctx);
            }
        }
        self.advance(ctx);
    }

    /// Whether the rings are worked on: up, or in the quiet time of going down.
    #[inline]
    fn running(&self) -> bool {
        matches!(self.phase, Phase::Up | Phase::Quiesce { .. })
    }

    /// A lost link that was kept from the layer above is told now.
    fn tell_carrier(&mut self) {
        if self.link.held_until.take().is_some() {
            self.set_carrier(false);
        }
    }

    fn set_carrier(&mut self, carrier: bool) {
        self.link.changed |= self.link.carrier != carrier;
        self.link.carrier = carrier;
    }

    /// Takes memory for the rings, unless they are there; with the sizes of the configuration.
    fn alloc_rings(&mut self, ctx: &mut DriverCtx<'_>) -> Result<(), Errno> {
        for q in 0..u32::from(self.config.queue_pairs) {
            if self.tx.len() <= q as usize {
                let tx = TxRing::new(ctx.skbs, ctx.bus, self.config.tx_ring, q);
                self.tx.extend(tx);
            }
            if self.rx.len() <= q as usize {
                let rx = RxRing::new(ctx.skbs, ctx.bus, self.config.rx_ring, q);
                self.rx.extend(rx);
            }
        }
        let pairs = usize::from(self.config.queue_pairs);
        if self.tx.len() == pairs && self.rx.len() == pairs {
            return Ok(());
        }
        self.free_rings(ctx);
        Err(Errno::ENOMEM)
    }

    /// Empties the rings; the device must have let go of them.
    fn clean_rings(&mut self, ctx: &mut DriverCtx<'_>) {
        let trace = &mut *ctx.trace;
        let mut lost = |skbs: &mut crate::skb::SkbPool, skb| skbs.drop(trace, skb, DropReason::DevReset);
        for ring in &mut self.tx {
            ring.clean(ctx.skbs, ctx.bus, &mut lost);
        }
        for ring in &mut self.rx {
            ring.clean(ctx.skbs, ctx.bus, &mut lost);
        }
        for queue in ctx.queues.iter_mut().take(self.tx.len()) {
            queue.reset();
        }
    }

    /// Gives the rings' own memory back; they must be clean.
    fn free_rings(&mut self, ctx: &mut DriverCtx<'_>) {
        for ring in self.tx.drain(..) {
            ring.free(ctx.skbs, ctx.bus);
        }
        for ring in self.rx.drain(..) {
            ring.free(ctx.skbs, ctx.bus);
        }
    }
}

/// `is_valid_ether_addr`: neither zero nor a group address.
fn is_valid_ether_addr(mac: [u8; 6]) -> bool {
    mac != [0; 6] && mac[0] & 1 == 0
}
