//! `pfifo_fast`: three first-in-first-out bands in strict order, each as long as the device's transmit queue.

use super::QdiscCtx;
use crate::control::tc::{PRIO2BAND, PRIORITIES};
use crate::drop_reason::DropReason;
use crate::skb::{Skb, SkbQueue};

/// The three bands.
#[derive(Debug)]
pub(super) struct PfifoFast {
    bands: [SkbQueue; 3],
    band_len: u32,
}

impl PfifoFast {
    pub fn new(tx_queue_len: u32) -> Self {
        Self { bands: Default::default(), band_len: tx_queue_len }
    }

    /// Puts a packet into the band of its priority; gives it back when that is full.
    #[inline]
    pub fn enqueue(&mut self, cx: &mut QdiscCtx<'_>, skb: Skb) -> Result<(), Skb> {
        let priority = cx.skbs[&skb].priority as usize % PRIORITIES;
        let band = &mut self.bands[usize::from(PRIO2BAND[priority])];
        if band.len() >= self.band_len as usize {
            return Err(skb);
        }
        band.push_back(cx.skbs, skb);
        Ok(())
    }

    #[inline]
    pub fn dequeue(&mut self, cx: &mut QdiscCtx<'_>) -> Option<Skb> {
        self.bands.iter_mut().find_map(|band| band.pop_front(cx.skbs))
    }

    /// The queue that the next packet comes from.
    pub fn head(&self) -> Option<&SkbQueue> {
        self.bands.iter().find(|band| !band.is_empty())
    }

    /// `pfifo_fast_change_tx_queue_len`: the last packets of a band that became too short are dropped. How many, and their
    /// bytes.
    pub fn resize(&mut self, cx: &mut QdiscCtx<'_>, tx_queue_len: u32) -> (u32, u64) {
        self.band_len = tx_queue_len;
        let mut dropped = (0, 0);
        for band in &mut self.bands {
            let mut kept = SkbQueue::default();
            while let Some(skb) = band.pop_front(cx.skbs) {
                if kept.len() < tx_queue_len as usize {
                    kept.push_back(cx.skbs, skb);
                } else {
                    dropped.0 += 1;
                    dropped.1 += u64::from(super::stats::PacketInfo::of(cx.skbs, &skb).len);
                    cx.skbs.drop(cx.trace, skb, DropReason::QueuePurge);
                }
            }
            *band = kept;
        }
        dropped
    }

    pub fn purge(&mut self, cx: &mut QdiscCtx<'_>) {
        for band in &mut self.bands {
            cx.skbs.purge(cx.trace, band, DropReason::QueuePurge);
        }
    }
}
