//! Bringing the device up: filters, queues, rings and interrupts in the order of `igb_configure` and `igb_up`.

use super::Igb;
use super::regs::*;
use super::reset::{Phase, QUIET};
use crate::netdev::DriverCtx;

/// PTHRESH 8, HTHRESH 8; WTHRESH is 1 on an 82576 with MSI-X, else 4.
const RXDCTL: u32 = 8 | 8 << 8;
/// PTHRESH 8, HTHRESH 1; WTHRESH is 1 on an 82576 with MSI-X, else 16.
const TXDCTL: u32 = 8 | 1 << 8;

impl Igb {
    /// The largest frame with this MTU, with CRC and two VLAN tags.
    pub(super) fn max_frame(&self) -> u32 {
        self.mtu + 14 + 4 + 8
    }

    /// Everything up to the transmit queues, which stay disabled for the quiet time; restarts autonegotiation.
    pub(super) fn configure(&mut self, ctx: &mut DriverCtx<'_>) {
        self.hw.modify(ctx.bus, CTRL, CTRL_FRCSPD | CTRL_FRCDPX, CTRL_SLU);
        self.hw.modify(ctx.bus, CTRL_EXT, 0, CTRL_EXT_DRV_LOAD);
        self.flow_control.current = self.flow_control.requested;
        self.phy.set_up(ctx.now, self.flow_control.requested);
        self.configure_mac(ctx);
        self.phase = Phase::TxOff { until: ctx.now + QUIET };
        self.run_phy(ctx);
    }

    /// Filters, transmitter, receiver and hash, with all queues disabled.
    pub(super) fn configure_mac(&mut self, ctx: &mut DriverCtx<'_>) {
        self.set_rx_mode(ctx);
        self.restore_vlan(ctx);
        self.hw.wr32(ctx.bus, txq(0) + Q_DCTL, 0);
        let tctl = TCTL_PSP | TCTL_RTLC | TCTL_CT_15 | TCTL_EN | TCTL_COLD_63;
        self.hw.modify(ctx.bus, TCTL, TCTL_CT | TCTL_COLD, tctl);
        self.setup_mrqc(ctx);
        let rctl = RCTL_EN | RCTL_BAM | RCTL_SECRC | RCTL_LPE;
        self.hw.modify(ctx.bus, RCTL, RCTL_SBP | RCTL_BSIZE | RCTL_LBM | RCTL_MO, rctl);
        self.hw.wr32(ctx.bus, rxq(0) + Q_DCTL, 0);
        for q in 0..u32::from(self.config.queue_pairs) {
            self.hw.wr32(ctx.bus, txq(q) + Q_DCTL, 0);
        }
        self.flush(ctx);
    }

    /// The rings, their buffers and the interrupts; the device is up then.
    pub(super) fn up(&mut self, ctx: &mut DriverCtx<'_>) {
        for q in 0..self.config.queue_pairs {
            self.configure_tx_ring(ctx, q);
        }
        self.hw.modify(ctx.bus, RFCTL, RFCTL_LEF, RFCTL_IPV6_EX_DIS);
        for q in 0..self.config.queue_pairs {
            self.configure_rx_ring(ctx, q);
        }
        for q in 0..self.config.queue_pairs {
            self.alloc_rx_buffers(ctx, usize::from(q));
        }
        self.phase = Phase::Up;
        self.configure_interrupts(ctx);
        self.irq_enable(ctx);
        self.link.get_status = true;
        self.watchdog_at = Some(ctx.now);
        self.rx_watch.begin();
        if self.link.held_until.is_none() {
            self.wake_queues(ctx);
        }
    }

    /// Every queue may be sent on again (`netif_tx_wake_all_queues`).
    pub(super) fn wake_queues(&mut self, ctx: &mut DriverCtx<'_>) {
        for queue in ctx.queues.iter_mut().take(self.tx.len()) {
            queue.wake();
        }
    }

    /// How many descriptors are written back at once: with MSI-X an 82576 takes no more than one, else `usual`.
    fn wthresh(&self, usual: u32) -> u32 {
        let is_82576 = super::ids::mac_of(self.config.device).is_some_and(|mac| mac.name == "82576");
        if is_82576 && self.config.msix { 1 } else { usual }
    }

    pub(super) fn configure_tx_ring(&mut self, ctx: &mut DriverCtx<'_>, q: u16) {
        let base = txq(u32::from(q));
        let tx = &mut self.tx[usize::from(q)];
        tx.trans_start = ctx.now;
        let (dma, bytes) = (tx.ring.dma(ctx.skbs), tx.ring.bytes());
        self.hw.wr32(ctx.bus, base + Q_LEN, bytes);
        self.hw.wr32(ctx.bus, base + Q_BAL, dma as u32);
        self.hw.wr32(ctx.bus, base + Q_BAH, (dma >> 32) as u32);
        self.hw.wr32(ctx.bus, base + Q_HEAD, 0);
        self.hw.wr32(ctx.bus, base + Q_TAIL, 0);
        self.hw.wr32(ctx.bus, base + Q_DCTL, TXDCTL | self.wthresh(16) << 16 | DCTL_ENABLE);
    }

    pub(super) fn configure_rx_ring(&mut self, ctx: &mut DriverCtx<'_>, q: u16) {
        let base = rxq(u32::from(q));
        let ring = &self.rx[usize::from(q)].ring;
        let (dma, bytes) = (ring.dma(ctx.skbs), ring.bytes());
        self.hw.wr32(ctx.bus, base + Q_DCTL, 0);
        self.hw.wr32(ctx.bus, base + Q_BAL, dma as u32);
        self.hw.wr32(ctx.bus, base + Q_BAH, (dma >> 32) as u32);
        self.hw.wr32(ctx.bus, base + Q_LEN, bytes);
        self.hw.wr32(ctx.bus, base + Q_HEAD, 0);
        self.hw.wr32(ctx.bus, base + Q_TAIL, 0);
        self.setup_srrctl(ctx, q);
        let pool = u32::from(q & 7);
        let rsse = if self.config.queue_pairs > 1 { VMOLR_RSSE } else { 0 };
        let first = if pool == 0 { VMOLR_BAM | rsse } else { 0 };
        self.hw.modify(ctx.bus, vmolr(pool), VMOLR_BAM | VMOLR_RSSE, VMOLR_AUPE | first);
        self.hw.wr32(ctx.bus, base + Q_DCTL, RXDCTL | self.wthresh(4) << 16 | DCTL_ENABLE);
    }
}
