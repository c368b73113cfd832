//! Received frames in a row, each whole in one buffer: what `igb_clean_rx_irq` does to each, with a new buffer in the ring for it
//! at once.

use super::clean_rx::{RxQueue, WrittenBack};
use super::desc;
use crate::bus::Direction;
use crate::netdev::DriverCtx;
use crate::skb::{HEAD_BYTES, PacketType};

impl RxQueue<'_> {
    /// Takes up to `most` frames from the ring to `ctx.rx`, up to the first that is not whole in one buffer and good, to the end
    /// of the ring, or as long as there is memory for a new one. Every descriptor but the one before the next to be read must be
    /// lent, and no packet be begun; the device is not told of the new buffers. Gives how many frames there were, and their
    /// bytes.
    #[inline(always)]
    pub(super) fn take_row(&mut self, ctx: &mut DriverCtx<'_>, q: usize, most: u16) -> (u16, u32) {
        let (first, direct) = (self.rx.ring.next_to_use, self.rx.direct);
        let room = (self.rx.ring.count - first).min(most + 1);
        let slots = &mut self.rx.buffers[usize::from(first)..][..usize::from(room)];
        let mut row = self.rx.ring.descs.row(first, slots);
        let Some((mut free, mut none)) = row.next() else { return (0, 0) };
        let (mut frames, mut bytes, mut csum_err) = (0, 0, 0);
        for (desc, slot) in row {
            let written = WrittenBack::of(desc.second());
            let Some(old) = *slot else { break };
            if !written.is_whole() {
                break;
            }
            let Some(built) = ctx.skbs.build_skb_for_another(old, written.len as u16) else { break };
            let (ip_summed, wrong) = written.checksum(self.rx_csum);
            built.meta.ip_summed = ip_summed;
            built.meta.queue_mapping = q as u16;
            built.meta.tstamp = ctx.now;
            if written.is_of_a_vlan() {
                built.meta.pkt_type = PacketType::OtherHost;
            }
            let (skb, buf, dma) = (built.skb, built.buf, built.dma);
            if !direct {
                let old = ctx.skbs.mem.bus_addr(ctx.skbs.head_offset(old));
                ctx.bus.dma_unmap(old, HEAD_BYTES as u32);
                ctx.bus.dma_map(dma, HEAD_BYTES as u32, Direction::FromDevice);
            }
            free.write(desc::lent(dma));
            *none = Some(buf);
            (free, none) = (desc, slot);
            ctx.rx.push(skb);
            frames += 1;
            bytes += written.len as u32;
            csum_err += u64::from(wrong);
        }
        *none = None;
        self.rx.ring.advance(frames);
        self.stats.csum_err += csum_err;
        (frames, bytes)
    }
}
