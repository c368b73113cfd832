//! Taking the device down and resetting it (`igb_down`, `igb_reset`): the states of that, each with its deadline.

use super::hw::Fault;
use super::regs::*;
use super::{Igb, is_valid_ether_addr};
use crate::netdev::DriverCtx;
use crate::time::{Duration, Instant};

const MASTER_DISABLE_POLLS: u16 = 800;
const MASTER_DISABLE_EVERY: Duration = Duration::from_micros(100);
/// A second in all: a device that is not back by then is given up. Linux looks 10 times, and goes on regardless.
const RESET_POLLS: u16 = 1000;
const AUTO_READ_POLLS: u16 = 10;
const RESET_EVERY: Duration = Duration::from_millis(1);
/// How long a link may be away for a reset of the driver's own before that is told: autonegotiation takes 1 to 3 s.
const HOLD: Duration = Duration::from_secs(10);
/// The size of the receive packet buffer in KiB, after a reset.
const RXPBS_KB: u32 = 64;
/// The quiet time that Linux leaves before a reset, and between stopping a queue and setting it up (10 to 20 ms there).
pub(super) const QUIET: Duration = Duration::from_millis(10);

/// Where the device is between gone and up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not touched yet.
    Unprobed,
    /// Going down: the MAC is off, what it has begun gets done, until then.
    Quiesce { until: Instant },
    /// The device finishes its accesses to memory; polled next then, for the n-th time.
    MasterDisable { next: Instant, polls: u16 },
    /// Everything is off; the reset follows then.
    Settle { until: Instant },
    /// CTRL.RST is set; polled next then, for the n-th time.
    Reset { next: Instant, polls: u16 },
    /// Reset and quiet.
    Down,
    /// Configured, the transmit queues disabled; the rings are set up then.
    TxOff { until: Instant },
    /// The self-test has the device; it goes on then.
    Test { next: Instant },
    /// Running.
    Up,
    /// Given up; the last fault says why. Unless the device is gone, the next `ip link set up` or reset tries again.
    Failed,
}

impl Phase {
    /// When something is due.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Quiesce { until } | Self::Settle { until } | Self::TxOff { until } => Some(until),
            Self::MasterDisable { next, .. } | Self::Reset { next, .. } | Self::Test { next } => Some(next),
            Self::Unprobed | Self::Down | Self::Up | Self::Failed => None,
        }
    }
}

impl Igb {
    /// Goes on with what is under way, as far as no wait is needed.
    pub(super) fn advance(&mut self, ctx: &mut DriverCtx<'_>) {
        loop {
            if self.hw.removed && !matches!(self.phase, Phase::Unprobed | Phase::Failed) {
                self.give_up(ctx);
            }
            match self.phase {
                Phase::Quiesce { until } if until <= ctx.now => self.down_is_quiet(ctx),
                Phase::MasterDisable { next, polls } if next <= ctx.now => {
                    self.poll_master_disable(ctx, polls)
                }
                Phase::Settle { until } if until <= ctx.now => {
                    self.hw.modify(ctx.bus, CTRL, 0, CTRL_RST);
                    self.phase = Phase::Reset { next: ctx.now + RESET_EVERY, polls: 0 };
                }
                Phase::Reset { next, polls } if next <= ctx.now => self.poll_reset(ctx, polls),
                Phase::Test { next } if next <= ctx.now => self.run_test(ctx),
                Phase::TxOff { until } if until <= ctx.now => self.up(ctx),
                Phase::Failed if self.reset_requested => {
                    self.reset_requested = false;
                    // Of a device that is gone nothing can be reset.
                    if !self.hw.removed {
                        self.start_reset(ctx);
                    }
                }
                Phase::Up if self.reset_requested => {
                    self.reset_requested = false;
                    self.down(ctx);
                }
                _ => return,
            }
        }
    }

    /// The device needs a reset to go on: it follows, and nothing that waits above the rings is lost.
    pub(super) fn recover(&mut self) {
        self.reset_requested = true;
        self.recovering = true;
    }

    /// The link goes with the reset. Linux tells so at once, and its qdiscs are emptied (`dev_deactivate`), also when the driver resets
    /// the device to recover: there this driver stops the queues and keeps it to itself for [`HOLD`], if there was a link. The PHY cannot tell a
    /// pulled cable from a negotiation that is under way, so one that is pulled then is told of after that time.
    fn link_goes(&mut self, ctx: &mut DriverCtx<'_>) {
        let own = core::mem::take(&mut self.recovering) && self.link.carrier;
        if own && self.link.held_until.is_none() && self.hw.rd32(ctx.bus, STATUS) & STATUS_LU != 0 {
            self.link.held_until = Some(ctx.now + HOLD);
        }
        if !own || self.link.held_until.is_none() {
            self.link.held_until = None;
            self.set_carrier(false);
        }
    }

    /// Turns the MAC off (`igb_down`); the reset follows after the quiet time.
    pub(super) fn down(&mut self, ctx: &mut DriverCtx<'_>) {
        self.hw.modify(ctx.bus, RCTL, RCTL_EN, 0);
        self.link_goes(ctx);
        for queue in ctx.queues.iter_mut().take(self.tx.len()) {
            queue.stop();
        }
        self.hw.modify(ctx.bus, TCTL, TCTL_EN, 0);
        self.flush(ctx);
        self.watchdog_at = None;
        self.watchdog_waits_for_phy = false;
        self.phase = Phase::Quiesce { until: ctx.now + QUIET };
    }

    fn down_is_quiet(&mut self, ctx: &mut DriverCtx<'_>) {
        self.irq_disable(ctx);
        self.update_stats(ctx);
        self.link.speed = 0;
        self.start_reset(ctx);
    }

    /// Asks the device to finish its accesses to memory: the first step of a reset.
    pub(super) fn start_reset(&mut self, ctx: &mut DriverCtx<'_>) {
        self.phy.cancel();
        self.hw.modify(ctx.bus, CTRL, 0, CTRL_GIO_MASTER_DISABLE);
        self.phase = Phase::MasterDisable { next: ctx.now, polls: 0 };
    }

    fn poll_master_disable(&mut self, ctx: &mut DriverCtx<'_>, polls: u16) {
        let busy = self.hw.rd32(ctx.bus, STATUS) & STATUS_GIO_MASTER_ENABLE != 0;
        if busy && polls < MASTER_DISABLE_POLLS {
            self.phase = Phase::MasterDisable { next: ctx.now + MASTER_DISABLE_EVERY, polls: polls + 1 };
            return;
        }
        if busy {
            self.hw.fault(Fault::MasterDisableTimeout);
        }
        self.hw.wr32(ctx.bus, IMC, u32::MAX);
        self.hw.wr32(ctx.bus, RCTL, 0);
        self.hw.wr32(ctx.bus, TCTL, TCTL_PSP);
        self.flush(ctx);
        self.phase = Phase::Settle { until: ctx.now + QUIET };
    }

    fn poll_reset(&mut self, ctx: &mut DriverCtx<'_>, polls: u16) {
        let in_reset = self.hw.rd32(ctx.bus, CTRL) & CTRL_RST != 0;
        let eecd = self.hw.try_rd32(ctx.bus, EECD);
        let is_read = |eecd| eecd & EECD_AUTO_RD != 0;
        let read = !in_reset && eecd.is_some_and(is_read) && self.has_mac(ctx);
        if in_reset && self.link.held_until.is_some_and(|until| ctx.now < until) {
            // What waits above the rings can wait as long as the carrier is kept.
            self.phase = Phase::Reset { next: ctx.now + RESET_EVERY, polls };
            return;
        }
        // The polls for the NVM begin when the reset is over, after all of those for it.
        let (polls, most) = match in_reset {
            true => (polls, RESET_POLLS),
            false => (polls.max(RESET_POLLS), RESET_POLLS + AUTO_READ_POLLS),
        };
        if (in_reset || !read) && polls + 1 < most {
            self.phase = Phase::Reset { next: ctx.now + RESET_EVERY, polls: polls + 1 };
            return;
        }
        if in_reset {
            self.hw.fault(Fault::ResetTimeout);
            // Linux goes on regardless, and resets it again at the next occasion.
            let wanted = self.want_up || self.test.as_ref().is_some_and(|test| test.was_up());
            self.give_up(ctx);
            self.want_up = wanted;
            return;
        }
        if !read {
            self.hw.fault(Fault::AutoReadTimeout);
        }
        self.is_reset(ctx);
    }

    /// The device is reset and has let go of all memory: empties the rings, and goes on to up or down.
    fn is_reset(&mut self, ctx: &mut DriverCtx<'_>) {
        self.hw.wr32(ctx.bus, IMC, u32::MAX);
        self.hw.rd32(ctx.bus, ICR);
        self.clean_rings(ctx);
        if !self.find_mac(ctx) {
            self.hw.fault(Fault::InvalidMac);
            return self.give_up(ctx);
        }
        self.init_hw(ctx);
        self.phase = Phase::Down;
        self.reset_requested = false;
        self.recovering = false;
        if self.test_after_reset(ctx) {
            return;
        }
        if core::mem::take(&mut self.resize) || self.new_queue_pairs.is_some() || !self.want_up {
            self.free_rings(ctx);
        }
        self.apply_queue_pairs();
        if self.want_up && self.alloc_rings(ctx).is_ok() {
            return self.configure(ctx);
        }
        if core::mem::take(&mut self.want_up) {
            self.hw.fault(Fault::RingMemory);
        }
        self.hw.modify(ctx.bus, CTRL_EXT, CTRL_EXT_DRV_LOAD, 0);
    }

    /// The device is gone or broken: nothing of it is touched any more, and all memory is taken back.
    fn give_up(&mut self, ctx: &mut DriverCtx<'_>) {
        self.set_carrier(false);
        self.link.held_until = None;
        self.link.speed = 0;
        self.phy.cancel();
        self.watchdog_at = None;
        self.watchdog_waits_for_phy = false;
        self.want_up = false;
        self.reset_requested = false;
        self.recovering = false;
        self.test_given_up();
        for queue in ctx.queues.iter_mut().take(self.tx.len()) {
            queue.stop();
        }
        self.clean_rings(ctx);
        self.free_rings(ctx);
        self.apply_queue_pairs();
        self.phase = Phase::Failed;
    }

    /// Whether the station address can be read, where it has to be.
    fn has_mac(&mut self, ctx: &mut DriverCtx<'_>) -> bool {
        let mut has = |reg| self.hw.try_rd32(ctx.bus, reg).is_some();
        self.config.mac.is_some() || is_valid_ether_addr(self.mac) || has(RAL0) && has(RAH0)
    }

    /// The configured address, or the one that the device read from its NVM when it was probed. Whether there is a valid one.
    fn find_mac(&mut self, ctx: &mut DriverCtx<'_>) -> bool {
        if let Some(mac) = self.config.mac {
            self.mac = mac;
        } else if !is_valid_ether_addr(self.mac) {
            let [a, b, c, d] = self.hw.rd32(ctx.bus, RAL0).to_le_bytes();
            let [e, f, _, _] = self.hw.rd32(ctx.bus, RAH0).to_le_bytes();
            self.mac = [a, b, c, d, e, f];
        }
        is_valid_ether_addr(self.mac) && !self.hw.removed
    }

    /// Filters, flow control and statistics as they are to be after a reset (`igb_init_hw`).
    fn init_hw(&mut self, ctx: &mut DriverCtx<'_>) {
        let bus = &mut *ctx.bus;
        let rars = super::ids::mac_of(self.config.device).map_or(16, |mac| mac.rar_entries);
        for (first, count) in [(VFTA, 128), (ral(1), 30), (ral(16), 2 * (rars - 16)), (MTA, 128), (UTA, 128)]
        {
            for i in 0..count {
                self.hw.wr32(bus, first + 4 * i, 0);
            }
        }
        self.hw.wr32(bus, FCT, 0x8808);
        self.hw.wr32(bus, FCAH, 0x0100);
        self.hw.wr32(bus, FCAL, 0x00C2_8001);
        self.hw.wr32(bus, FCTTV, 0xFFFF);
        let rx_kb = self.hw.try_rd32(bus, RXPBS).unwrap_or(RXPBS_KB) & 0x7F;
        let high = (rx_kb << 10).saturating_sub(self.max_frame() + super::filter::JUMBO_FRAME) & !15;
        self.hw.wr32(bus, FCRTL, high.saturating_sub(16) | FCRTL_XONE);
        self.hw.wr32(bus, FCRTH, high);
        self.write_rar0(ctx);
        self.clear_stats(ctx);
        self.hw.wr32(ctx.bus, VET, 0x8100);
        self.hw.wr32(ctx.bus, WUC, 0);
    }

    /// Writes the station address into the first receive address.
    pub(super) fn write_rar0(&mut self, ctx: &mut DriverCtx<'_>) {
        let [a, b, c, d, e, f] = self.mac;
        self.hw.wr32(ctx.bus, RAL0, u32::from_le_bytes([a, b, c, d]));
        self.hw.wr32(ctx.bus, RAH0, u32::from_le_bytes([e, f, 0, 0]) | RAH_POOL_1 | RAH_AV);
    }

    /// A read makes the writes before it arrive.
    pub(super) fn flush(&mut self, ctx: &mut DriverCtx<'_>) {
        self.hw.rd32(ctx.bus, STATUS);
    }
}
