//! Interrupts over MSI-X, and NAPI: vector 0 has the causes that belong to no queue, vector n + 1 has queue pair n.

use super::Igb;
use super::regs::*;
use crate::bus::Bus;
use crate::netdev::DriverCtx;

/// The bit of vector 0 in EICR, EIMS and their kin.
const EIMS_OTHER: u32 = 1;

/// What became of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IrqResult {
    /// Whether it was for this device in this state (`IRQ_HANDLED`); what vector 0 is about is dealt with, and the next
    /// deadline is to be asked for anew.
    pub handled: bool,
    /// Schedule this NAPI: [`Igb::poll`] on the CPU that took the interrupt.
    pub napi: Option<u16>,
}

impl Igb {
    /// The bits of all vectors in use.
    fn eims_mask(&self) -> u32 {
        (1 << (self.config.queue_pairs + 1)) - 1
    }

    /// Which interrupts there are and where they go (`igb_configure_msix`).
    pub(super) fn configure_msix(&mut self, ctx: &mut DriverCtx<'_>) {
        // The device looks at the mode when IVAR is written: GPIE comes first.
        self.hw.wr32(ctx.bus, GPIE, GPIE_MSIX);
        self.hw.wr32(ctx.bus, IVAR_MISC, IVAR_VALID << 8);
        for q in 0..self.config.queue_pairs {
            let entry = u32::from(q + 1) | IVAR_VALID;
            self.hw.modify(ctx.bus, ivar(u32::from(q)), 0xFFFF, entry | entry << 8);
            self.vectors[usize::from(q)].set_dirty();
            self.write_itr(ctx, usize::from(q));
        }
    }

    /// `igb_irq_enable`.
    pub(super) fn irq_enable(&mut self, ctx: &mut DriverCtx<'_>) {
        self.hw.rd32(ctx.bus, TSICR);
        self.hw.rd32(ctx.bus, ICR);
        let mask = self.eims_mask();
        self.hw.modify(ctx.bus, EIAC, 0, mask);
        self.hw.modify(ctx.bus, EIAM, 0, mask);
        self.hw.wr32(ctx.bus, EIMS, mask);
        self.hw.wr32(ctx.bus, IMS, INT_LSC | INT_DOUTSYNC | INT_DRSTA);
    }

    /// `igb_irq_disable`.
    pub(super) fn irq_disable(&mut self, ctx: &mut DriverCtx<'_>) {
        let mask = self.eims_mask();
        self.hw.modify(ctx.bus, EIAM, mask, 0);
        self.hw.wr32(ctx.bus, EIMC, mask);
        self.hw.modify(ctx.bus, EIAC, mask, 0);
        self.hw.wr32(ctx.bus, IAM, 0);
        self.hw.wr32(ctx.bus, IMC, u32::MAX);
        self.flush(ctx);
    }

    /// An MSI-X message of `vector` came (`igb_msix_other`, `igb_msix_ring`).
    pub fn interrupt(&mut self, ctx: &mut DriverCtx<'_>, vector: u16) -> IrqResult {
        if vector == 0 && self.test_interrupt(ctx) {
            return IrqResult { handled: true, napi: None };
        }
        if !self.running() || vector > self.config.queue_pairs {
            return IrqResult { handled: false, napi: None };
        }
        let Some(napi) = vector.checked_sub(1) else {
            self.other_interrupt(ctx);
            return IrqResult { handled: true, napi: None };
        };
        self.write_itr(ctx, usize::from(napi));
        IrqResult { handled: true, napi: Some(napi) }
    }

    fn other_interrupt(&mut self, ctx: &mut DriverCtx<'_>) {
        let icr = self.hw.rd32(ctx.bus, ICR);
        if self.hw.removed {
            return self.advance(ctx);
        }
        if icr & INT_DRSTA != 0 {
            self.reset_requested = true;
        }
        if icr & INT_DOUTSYNC != 0 {
            self.stats.out_of_sync();
        }
        if icr & INT_LSC != 0 {
            self.link.get_status = true;
            if self.is_up() {
                self.watchdog_at = Some(ctx.now);
            }
        }
        self.hw.wr32(ctx.bus, EIMS, EIMS_OTHER);
    }

    /// The interval goes to the device when it was chosen anew (`igb_write_itr`).
    #[inline]
    fn write_itr(&mut self, ctx: &mut DriverCtx<'_>, napi: usize) {
        if let Some(value) = self.vectors[napi].take_value() {
            self.hw.wr32(ctx.bus, eitr(napi as u32 + 1), u32::from(value) | EITR_CNT_INGR);
        }
    }

    /// One NAPI poll (`igb_poll`): at most 128 completions of sent packets, and `budget` received ones, which go to
    /// `ctx.rx`. Less than `budget` means that all is done: call [`Igb::napi_complete`] then.
    #[inline(never)]
    pub fn poll(&mut self, ctx: &mut DriverCtx<'_>, napi: u16, budget: u32) -> u32 {
        let q = usize::from(napi);
        if !self.running() || q >= self.tx.len() {
            return 0;
        }
        ctx.trace.function(0, "igb_poll");
        let tx_done = self.clean_tx_irq(ctx, q);
        let received = self.clean_rx_irq(ctx, q, budget);
        if tx_done { received } else { budget }
    }

    /// The end of polling (`napi_complete_done`, `igb_ring_irq_enable`): chooses the interval, and lets the vector's
    /// interrupt come again.
    #[inline]
    pub fn napi_complete(&mut self, bus: &mut dyn Bus, napi: u16) {
        let Some(itr) = self.vectors.get_mut(usize::from(napi)) else { return };
        itr.update(self.link.speed == 1000, self.config.queue_pairs == 1);
        if self.is_up() {
            self.hw.wr32(bus, EIMS, 1 << (napi + 1));
        }
    }

    /// Makes the device send every queue's interrupt: whatever was lost comes again.
    pub(super) fn kick(&mut self, ctx: &mut DriverCtx<'_>) {
        let queues = self.eims_mask() & !EIMS_OTHER;
        self.hw.wr32(ctx.bus, EICS, queues);
    }
}
