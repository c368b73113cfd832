//! Receive side scaling: the key of the hash, and which queue each value of it goes to (`igb_setup_mrqc`, `igb_set_rxfh`;
//! Linux 6.12).

use super::Igb;
use super::regs::*;
use crate::errno::Errno;
use crate::netdev::DriverCtx;

/// Entries of the indirection table.
pub(super) const INDIRECTION: usize = 128;

/// The key of the verification suite that Microsoft publishes for RSS, so that hashes can be compared with it. Linux draws one
/// at random each boot.
pub(super) const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
    0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
    0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// The table that the driver begins with: each queue has a run of it.
pub(super) fn spread(queues: u16) -> [u8; INDIRECTION] {
    core::array::from_fn(|entry| (entry * usize::from(queues) / INDIRECTION) as u8)
}

impl Igb {
    /// The receive hash, and how it spreads over the queues (`igb_setup_mrqc`).
    pub(super) fn setup_mrqc(&mut self, ctx: &mut DriverCtx<'_>) {
        for (register, word) in (0..).zip(self.config.rss_key.as_chunks().0) {
            self.hw.wr32(ctx.bus, RSSRK + 4 * register, u32::from_le_bytes(*word));
        }
        self.write_reta(ctx);
        self.hw.modify(ctx.bus, RXCSUM, 0, RXCSUM_PCSD | RXCSUM_CRCOFLD);
        self.hw.wr32(ctx.bus, MRQC, MRQC_RSS);
    }

    /// `igb_write_rss_indir_tbl`.
    fn write_reta(&mut self, ctx: &mut DriverCtx<'_>) {
        for (register, entries) in (0..).zip(self.indirection.as_chunks().0) {
            self.hw.wr32(ctx.bus, RETA + 4 * register, u32::from_le_bytes(*entries));
        }
    }

    /// The receive queue of each of the 128 values that the lower bits of the hash can have (`ethtool -x`).
    #[must_use]
    pub fn indirection(&self) -> &[u8] {
        &self.indirection
    }

    /// Gives each value of the hash's lower bits a receive queue (`igb_set_rxfh`), at once and without a reset.
    ///
    /// # Errors
    /// `EINVAL` when an entry names a queue that is not in use.
    pub fn set_indirection(
        &mut self,
        ctx: &mut DriverCtx<'_>,
        queue_of: impl Fn(usize) -> u16,
    ) -> Result<(), Errno> {
        ctx.trace.function(0, "igb_set_rxfh");
        let queues = self.queue_pairs();
        if (0..INDIRECTION).any(|entry| queue_of(entry) >= queues) {
            return Err(Errno::EINVAL);
        }
        self.indirection = core::array::from_fn(|entry| queue_of(entry) as u8);
        if self.is_up() {
            self.write_reta(ctx);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn three_queues_share_the_table_by_runs() {
        let table = spread(3);
        let first = |queue| table.iter().position(|&entry| entry == queue);
        assert_eq!((first(0), first(1), first(2), first(3)), (Some(0), Some(43), Some(86), None));
    }
}
