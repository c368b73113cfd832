//! What `ethtool` sets of rings, queues and interrupts: `igb_set_ringparam`, `igb_set_channels`, `igb_set_coalesce` (Linux 6.12).

use super::itr::{self, Itr};
use super::reset::Phase;
use super::stats::QueueStats;
use super::{Igb, MAX_QUEUE_PAIRS, MAX_RING, MIN_RING, ids, rss};
use crate::errno::Errno;
use crate::netdev::DriverCtx;

impl Igb {
    /// Sets the sizes of all rings in descriptors, as `ethtool -G` does: rounded up to a multiple of 8 within [`MIN_RING`]
    /// and [`MAX_RING`]. A device that is up goes down and up again.
    pub fn set_ringparam(&mut self, ctx: &mut DriverCtx<'_>, tx: u16, rx: u16) {
        ctx.trace.function(0, "igb_set_ringparam");
        let (tx, rx) = (ring_size(tx), ring_size(rx));
        if (tx, rx) != (self.config.tx_ring, self.config.rx_ring) {
            (self.config.tx_ring, self.config.rx_ring) = (tx, rx);
            self.resize = true;
            self.reset_requested = self.want_up;
            self.advance(ctx);
        }
    }

    /// Negotiates the link anew (`igb_nway_reset`): a device that is up goes down and up again.
    pub fn nway_reset(&mut self, ctx: &mut DriverCtx<'_>) {
        ctx.trace.function(0, "igb_nway_reset");
        self.reset_requested = self.want_up;
        self.advance(ctx);
    }

    /// The sizes of the rings in descriptors: transmit, receive.
    #[must_use]
    pub fn ringparam(&self) -> (u16, u16) {
        (self.config.tx_ring, self.config.rx_ring)
    }

    /// The most queue pairs that this device can have here (`igb_max_channels`).
    #[must_use]
    pub fn max_queue_pairs(&self) -> u16 {
        if self.config.msix { max_queue_pairs(self.config.device) } else { 1 }
    }

    /// Sets the number of queue pairs (`igb_set_channels`): a device that is up goes down and up again, with counters of
    /// queues that begin at 0 and an indirection table that spreads evenly.
    ///
    /// # Errors
    /// `EINVAL` for 0, and beyond [`Igb::max_queue_pairs`].
    pub fn set_channels(&mut self, ctx: &mut DriverCtx<'_>, queue_pairs: u16) -> Result<(), Errno> {
        if !(1..=self.max_queue_pairs()).contains(&queue_pairs) {
            return Err(Errno::EINVAL);
        }
        ctx.trace.function(0, "igb_set_channels");
        self.new_queue_pairs = Some(queue_pairs);
        if matches!(self.phase, Phase::Unprobed | Phase::Down | Phase::Failed) {
            self.free_rings(ctx);
            self.apply_queue_pairs();
        }
        if !matches!(self.phase, Phase::Unprobed | Phase::Down) {
            self.reset_requested = self.want_up && !self.hw.removed;
            self.advance(ctx);
        }
        Ok(())
    }

    /// `igb_reinit_queues`, once nothing uses the queues.
    pub(super) fn apply_queue_pairs(&mut self) {
        let Some(queue_pairs) = self.new_queue_pairs.take() else { return };
        if queue_pairs == self.config.queue_pairs {
            return;
        }
        self.config.queue_pairs = queue_pairs;
        self.vectors = alloc::vec![Itr::new(self.config.rx_usecs); usize::from(queue_pairs)];
        self.queue_stats = alloc::vec![QueueStats::default(); usize::from(queue_pairs)];
        self.indirection = rss::spread(queue_pairs);
    }

    /// Sets the interrupt moderation as `ethtool -C rx-usecs` does (see [`super::Config::rx_usecs`]); in effect with the next
    /// interrupt.
    ///
    /// # Errors
    /// `EINVAL` for 2, 4 to 9, and above 10,000.
    pub fn set_coalesce(&mut self, rx_usecs: u32) -> Result<(), Errno> {
        let usecs = u16::try_from(rx_usecs).map_err(|_| Errno::EINVAL)?;
        if usecs == 2 || usecs > 10_000 || (itr::LAST_MODE < usecs && usecs < 10) {
            return Err(Errno::EINVAL);
        }
        self.config.rx_usecs = usecs;
        self.vectors.fill(Itr::new(usecs));
        Ok(())
    }

    /// Interrupt moderation, as [`super::Config::rx_usecs`].
    #[must_use]
    pub fn coalesce(&self) -> u32 {
        u32::from(self.config.rx_usecs)
    }

    /// Queues in each direction; queue `n` has NAPI `n` and MSI-X vector `n + 1`. Those that were asked for last, also when the
    /// device is still being reset for it.
    #[must_use]
    pub fn queue_pairs(&self) -> u16 {
        self.new_queue_pairs.unwrap_or(self.config.queue_pairs)
    }
}

/// The most queue pairs of a device.
pub(super) fn max_queue_pairs(device: u16) -> u16 {
    ids::mac_of(device).map_or(1, |mac| mac.max_rss_queues).min(MAX_QUEUE_PAIRS)
}

/// A ring of about so many descriptors that there can be.
pub(super) fn ring_size(asked: u16) -> u16 {
    asked.clamp(MIN_RING, MAX_RING).next_multiple_of(8)
}
