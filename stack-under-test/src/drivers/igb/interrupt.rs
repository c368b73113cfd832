//! Interrupts over MSI-X, and NAPI: vector 0 has the causes that belong to no queue, vector n + 1 has queue pair n. Without MSI-X
//! there is one interrupt for all, and ICR says what it is about.

use super::Igb;
use super::ids;
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

    /// Which interrupts there are and where they go (`igb_up`).
    pub(super) fn configure_interrupts(&mut self, ctx: &mut DriverCtx<'_>) {
        if self.config.msix {
            return self.configure_msix(ctx);
        }
        // `igb_assign_vector`: both queues of the pair on the only interrupt.
        self.hw.modify(ctx.bus, ivar(0), 0xFFFF, IVAR_VALID | IVAR_VALID << 8);
        self.vectors[0].set_dirty();
        self.write_itr(ctx, 0);
    }

    /// `igb_configure_msix`.
    fn configure_msix(&mut self, ctx: &mut DriverCtx<'_>) {
        // The device looks at the mode when IVAR is written: GPIE comes first.
        self.hw.wr32(ctx.bus, GPIE, GPIE_MSIX);
        self.hw.wr32(ctx.bus, IVAR_MISC, IVAR_VALID << 8);
        let Some(mac) = ids::mac_of(self.config.device) else { return };
        for q in 0..self.config.queue_pairs {
            let entry = u32::from(q + 1) | IVAR_VALID;
            let (register, shift) = mac.ivar_of(u32::from(q));
            self.hw.modify(ctx.bus, ivar(register), 0xFFFF << shift, (entry | entry << 8) << shift);
            self.vectors[usize::from(q)].set_dirty();
            self.write_itr(ctx, usize::from(q));
        }
    }

    /// `igb_irq_enable`.
    pub(super) fn irq_enable(&mut self, ctx: &mut DriverCtx<'_>) {
        self.hw.rd32(ctx.bus, TSICR);
        self.hw.rd32(ctx.bus, ICR);
        if !self.config.msix {
            return self.irq_enable_again(ctx.bus);
        }
        let mask = self.eims_mask();
        self.hw.modify(ctx.bus, EIAC, 0, mask);
        self.hw.modify(ctx.bus, EIAM, 0, mask);
        self.hw.wr32(ctx.bus, EIMS, mask);
        self.hw.wr32(ctx.bus, IMS, INT_LSC | INT_DOUTSYNC | INT_DRSTA);
    }

    /// `igb_irq_disable`.
    pub(super) fn irq_disable(&mut self, ctx: &mut DriverCtx<'_>) {
        if self.config.msix {
            let mask = self.eims_mask();
            self.hw.modify(ctx.bus, EIAM, mask, 0);
            self.hw.wr32(ctx.bus, EIMC, mask);
            self.hw.modify(ctx.bus, EIAC, mask, 0);
        }
        self.hw.wr32(ctx.bus, IAM, 0);
        self.hw.wr32(ctx.bus, IMC, u32::MAX);
        self.flush(ctx);
    }

    /// An MSI-X message of `vector` came (`igb_msix_other`, `igb_msix_ring`), or without MSI-X the only interrupt, 0 (`igb_intr`).
    pub fn interrupt(&mut self, ctx: &mut DriverCtx<'_>, vector: u16) -> IrqResult {
        if vector == 0 && self.test_interrupt(ctx) {
            return IrqResult { handled: true, napi: None };
        }
        if !self.running() || vector > self.config.queue_pairs {
            return IrqResult { handled: false, napi: None };
        }
        if !self.config.msix {
            return self.intr(ctx);
        }
        let Some(napi) = vector.checked_sub(1) else {
            self.other_interrupt(ctx);
            return IrqResult { handled: true, napi: None };
        };
        self.write_itr(ctx, usize::from(napi));
        IrqResult { handled: true, napi: Some(napi) }
    }

    /// `igb_intr`: the read of ICR also masks (IAM). The line of INTx is shared with other devices: it is ours when ICR says that it is
    /// asserted. A message (`igb_intr_msi`) is always ours.
    fn intr(&mut self, ctx: &mut DriverCtx<'_>) -> IrqResult {
        let icr = self.hw.try_rd32(ctx.bus, ICR);
        let is_ours = self.config.msi || icr.is_none_or(|icr| icr & INT_ASSERTED != 0);
        if self.hw.removed || !is_ours {
            self.advance(ctx);
            return IrqResult { handled: self.hw.removed, napi: None };
        }
        self.write_itr(ctx, 0);
        if icr.is_none() {
            // What cannot be read is not acknowledged by that either, and no further interrupt would come.
            self.hw.wr32(ctx.bus, ICR, u32::MAX);
        }
        self.causes(ctx, icr);
        IrqResult { handled: true, napi: Some(0) }
    }

    fn other_interrupt(&mut self, ctx: &mut DriverCtx<'_>) {
        let icr = self.hw.try_rd32(ctx.bus, ICR);
        if self.hw.removed {
            return self.advance(ctx);
        }
        self.causes(ctx, icr);
        self.hw.wr32(ctx.bus, EIMS, EIMS_OTHER);
    }

    /// What belongs to no queue. Without ICR, which reads all ones, it may be the link; the watchdog has the interrupt come again then.
    fn causes(&mut self, ctx: &DriverCtx<'_>, icr: Option<u32>) {
        let again = core::mem::replace(&mut self.icr_unread, icr.is_none() && self.config.msix);
        let icr = icr.unwrap_or(if again { 0 } else { INT_LSC });
        if icr & INT_DRSTA != 0 {
            self.recover();
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
    }

    /// The interval goes to the device when it was chosen anew (`igb_write_itr`).
    #[inline]
    fn write_itr(&mut self, ctx: &mut DriverCtx<'_>, napi: usize) {
        if let Some(value) = self.vectors[napi].take_value() {
            let vector = if self.config.msix { napi as u32 + 1 } else { 0 };
            self.hw.wr32(ctx.bus, eitr(vector), u32::from(value) | EITR_CNT_INGR);
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
        if self.is_up() && !self.config.msix {
            self.irq_enable_again(bus);
        } else if self.is_up() {
            self.hw.wr32(bus, EIMS, 1 << (napi + 1));
        }
    }

    #[cold]
    fn irq_enable_again(&mut self, bus: &mut dyn Bus) {
        self.hw.wr32(bus, IMS, INT_ALL);
        self.hw.wr32(bus, IAM, INT_ALL);
    }

    /// Makes the device send every queue's interrupt: whatever was lost comes again. A message that was lost has masked its vector
    /// (EIAM), so they are enabled first; without MSI-X its cause stands, and only what was masked meanwhile is told of again. Linux
    /// does neither, and its queue stays deaf.
    pub(super) fn kick(&mut self, ctx: &mut DriverCtx<'_>) {
        if !self.config.msix {
            self.hw.wr32(ctx.bus, IMC, u32::MAX);
            self.irq_enable_again(ctx.bus);
            return self.hw.wr32(ctx.bus, ICS, INT_RXDMT0);
        }
        let all = self.eims_mask();
        self.hw.wr32(ctx.bus, EIMS, all);
        self.hw.wr32(ctx.bus, EICS, if self.icr_unread { all } else { all & !EIMS_OTHER });
    }
}
