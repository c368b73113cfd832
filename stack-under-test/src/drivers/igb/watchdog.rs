//! What is done every two seconds while the device is up: link, statistics, hang (`igb_watchdog_task`, `dev_watchdog`).

use super::Igb;
use super::phy::Outcome;
use super::regs::*;
use crate::netdev::DriverCtx;
use crate::time::Duration;

/// Between two runs.
const EVERY: Duration = Duration::from_secs(2);
/// Until the link's speed is asked for again, of a register that cannot be read.
const SOON: Duration = Duration::from_millis(10);
/// A stopped queue that gets nothing done for this long is a transmit time-out (igb's `watchdog_timeo`).
const TX_TIMEOUT: Duration = Duration::from_secs(5);

impl Igb {
    /// Runs the watchdog when it is due; it goes on in [`Igb::run_phy`] when the PHY must be asked first.
    pub(super) fn watchdog(&mut self, ctx: &mut DriverCtx<'_>) {
        if !self.is_up() || self.watchdog_at.is_none_or(|at| at > ctx.now) {
            return;
        }
        self.watchdog_at = Some(ctx.now + EVERY);
        self.link.get_status |= self.link.carrier && self.lost_link(ctx);
        if !self.link.get_status {
            return self.watchdog_knows_link(ctx, true);
        }
        if self.phy.deadline().is_none() {
            self.phy.check_link(ctx.now);
            self.watchdog_waits_for_phy = true;
            self.run_phy(ctx);
        }
    }

    /// Whether the link is gone, and nobody said so: the interrupt may have been lost. Linux relies on that.
    fn lost_link(&mut self, ctx: &mut DriverCtx<'_>) -> bool {
        self.hw.try_rd32(ctx.bus, STATUS).is_some_and(|status| status & STATUS_LU == 0)
    }

    /// Goes on with what the PHY is asked.
    pub(super) fn run_phy(&mut self, ctx: &mut DriverCtx<'_>) {
        let Some(outcome) = self.phy.run(ctx.now, &mut self.hw, ctx.bus) else { return };
        if let Outcome::Link { pause } = outcome {
            self.link.get_status = false;
            self.flow_control.current = pause;
            self.force_mac_fc(ctx);
        }
        if core::mem::take(&mut self.watchdog_waits_for_phy) && self.is_up() {
            self.watchdog_knows_link(ctx, matches!(outcome, Outcome::Link { .. }));
        }
    }

    fn watchdog_knows_link(&mut self, ctx: &mut DriverCtx<'_>, link: bool) {
        ctx.trace.function(0, "igb_watchdog_task");
        let held = self.link.held_until.is_some();
        if link && (held || !self.link.carrier) {
            let Some(status) = self.hw.try_rd32(ctx.bus, STATUS) else {
                self.link.get_status = true;
                self.watchdog_at = Some(ctx.now + SOON);
                return;
            };
            self.link.speed = match status >> STATUS_SPEED_SHIFT & 3 {
                0 => 10,
                1 => 100,
                _ => 1000,
            };
            self.link.full_duplex = status & STATUS_FD != 0;
            self.link.held_until = None;
            self.set_carrier(true);
            if held {
                self.wake_queues(ctx);
            }
        } else if !link && self.link.carrier && !held {
            self.link.speed = 0;
            self.set_carrier(false);
        }
        self.update_stats(ctx);
        for q in 0..self.tx.len() {
            if !self.link.carrier && self.tx[q].has_work() {
                // The link went with packets in the ring: only a reset gets them out.
                self.stats.tx_timeout();
                return self.recover();
            }
            if self.tx_timed_out(ctx, q) {
                return self.tx_timeout(ctx);
            }
            self.tx[q].detect_hang = true;
        }
        if self.link.carrier && !self.reset_requested {
            self.watch_receive(ctx);
        }
        self.kick(ctx);
    }

    /// `dev_watchdog`: the queue is stopped, by the driver or by its byte limit (`netif_xmit_stopped`), with packets in it, and
    /// the driver took none for five seconds.
    fn tx_timed_out(&self, ctx: &DriverCtx<'_>, q: usize) -> bool {
        let tx = &self.tx[q];
        ctx.queues[q].is_stopped() && tx.has_work() && ctx.now > tx.trans_start + TX_TIMEOUT
    }

    /// `igb_tx_timeout`: counts, and resets the device. The driver's own watchdog calls it; so may the layer above.
    pub fn tx_timeout(&mut self, ctx: &mut DriverCtx<'_>) {
        if self.is_up() {
            self.stats.tx_timeout();
            self.recover();
            self.kick(ctx);
        }
    }
}
