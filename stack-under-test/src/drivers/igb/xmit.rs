//! Sending: `igb_xmit_frame`, `igb_tx_csum`, `igb_tx_map` of Linux 6.12.

use super::Igb;
use super::desc::{self, DATA_CMD, DCMD_EOP_RS, TUCMD_L4T_SCTP, TUCMD_L4T_TCP};
use super::ring::TxRing;
use crate::bus::{Bus, Direction};
use crate::drop_reason::DropReason;
use crate::netdev::{DriverCtx, NetdevTx};
use crate::skb::{IpSummed, Skb, SkbPool};
use crate::trace::Step;

/// The most bytes that one descriptor names.
const MAX_DATA_PER_TXD: u32 = 1 << 15;
/// Free descriptors that any packet is sure to fit into: 17 pieces and 4 (context, linear part, a gap of 2).
pub(super) const DESC_NEEDED: u16 = crate::skb::MAX_SKB_FRAGS as u16 + 4;
/// The shortest frame that the device pads.
const MIN_FRAME: usize = 17;

impl Igb {
    /// Sends `skb` on `queue` (modulo the number of queues): `igb_xmit_frame`. `more`: another packet for the same queue
    /// follows at once, so the device need not be told yet.
    ///
    /// The packet's linear part holds at least its Ethernet header; with [`IpSummed::Partial`], `network_header`,
    /// `csum_start` and `csum_offset` say where. It is dropped when the device is not up, or when it carries a list of
    /// fragments (igb has no `NETIF_F_FRAGLIST`).
    #[inline]
    pub fn xmit_frame(&mut self, ctx: &mut DriverCtx<'_>, skb: Skb, queue: u16, more: bool) -> NetdevTx {
        if ctx.trace.is_on() {
            ctx.trace.function(ctx.skbs[&skb].packet, "igb_xmit_frame");
        }
        let q = if queue < self.config.queue_pairs { queue } else { queue % self.config.queue_pairs };
        if !self.is_up() {
            ctx.skbs.drop(ctx.trace, skb, DropReason::DevReady);
            return NetdevTx::Ok;
        }
        if ctx.skbs[&skb].headlen() < MIN_FRAME && !pad(ctx.skbs, &skb) || ctx.skbs.has_frag_list(&skb) {
            ctx.skbs.drop(ctx.trace, skb, DropReason::DevHdr);
            return NetdevTx::Ok;
        }
        self.xmit_frame_ring(ctx, skb, q, more)
    }

    /// `igb_xmit_frame_ring`.
    #[inline]
    fn xmit_frame_ring(&mut self, ctx: &mut DriverCtx<'_>, skb: Skb, q: u16, more: bool) -> NetdevTx {
        let tx = &mut self.tx[usize::from(q)];
        let queue = &mut ctx.queues[usize::from(q)];
        let meta = &ctx.skbs[&skb];
        // Neither a linear part nor a piece is longer than a descriptor can name.
        const _: () = assert!(crate::skb::PAGE_BYTES <= MAX_DATA_PER_TXD as usize);
        if tx.ring.unused() < meta.nr_frags() as u16 + 1 + 3 {
            queue.stop();
            return NetdevTx::Busy(skb);
        }
        let bytes = meta.len;
        let partial = meta.ip_summed == IpSummed::Partial;

        let first = tx.ring.next_to_use;
        let start = if partial { tx_csum(tx, ctx.skbs, &skb, first) } else { first };
        let last = tx_map(tx, ctx.skbs, ctx.bus, &skb, (first, start), desc::olinfo(bytes, partial));
        if ctx.trace.is_on() {
            let packet = ctx.skbs[&skb].packet;
            ctx.trace.function(packet, "igb_tx_map");
            ctx.trace.step(packet, Step::Posted { queue: q, last_descriptor: last });
            ctx.trace.step(packet, Step::Queued("ring"));
        }

        queue.sent(bytes);
        tx.trans_start = ctx.now;
        let buffer = &mut tx.buffers[usize::from(first)];
        buffer.time_stamp = ctx.now;
        buffer.bytecount = bytes;
        buffer.skb = Some(skb);
        ctx.skbs.mem.write_barrier();
        buffer.next_to_watch = last;
        tx.ring.next_to_use = tx.ring.after(last);

        if tx.ring.unused() < DESC_NEEDED {
            // The device is not run while the driver is, so what is free now is what the second look would find.
            queue.stop();
        }
        if !more || queue.is_stopped() {
            self.hw.wr32(ctx.bus, tx.ring.tail, u32::from(tx.ring.next_to_use));
        }
        NetdevTx::Ok
    }
}

/// Writes the context descriptor for a checksum at `i`, and gives the index after it. A packet whose offsets contradict
/// each other gets a checksum at the wrong place, as on Linux, but nothing beyond it is touched.
#[inline]
fn tx_csum(tx: &mut TxRing, skbs: &mut SkbPool, skb: &Skb, i: u16) -> u16 {
    let meta = &skbs[skb];
    let l4t = match meta.csum_offset {
        16 => TUCMD_L4T_TCP,
        8 => TUCMD_L4T_SCTP,
        _ => 0,
    };
    let maclen = u32::from(meta.network_header.wrapping_sub(meta.data)) & 0x7F;
    let iplen = u32::from(meta.csum_start.wrapping_sub(meta.network_header)) & 0x1FF;
    desc::write_csum_context(&mut skbs.mem, tx.ring.at(i), maclen, iplen, l4t);
    tx.ring.after(i)
}

/// Lends the packet's bytes and writes a data descriptor for each piece, from `start` on; gives the index of the last.
/// What is lent for the linear part is kept at `first`, where the packet begins, even when a context descriptor lies there.
#[inline]
fn tx_map(
    tx: &mut TxRing,
    skbs: &mut SkbPool,
    bus: &mut dyn Bus,
    skb: &Skb,
    (first, start): (u16, u16),
    olinfo: u32,
) -> u16 {
    let len = skbs[skb].headlen() as u32;
    let dma = skbs.mem.bus_addr(skbs.linear_offset(skb));
    lend(tx, bus, first, dma, len);
    let (mut i, mut dma, mut len, mut olinfo) = (start, dma, len, olinfo);
    for n in 0..skbs[skb].nr_frags() {
        let frag = skbs.frags(skb)[n];
        if frag.len == 0 {
            continue;
        }
        desc::write_data(&mut skbs.mem, tx.ring.at(i), dma, DATA_CMD | len, olinfo);
        olinfo = 0;
        i = tx.ring.after(i);
        dma = skbs.mem.bus_addr(skbs.buf_offset(frag.buf) + usize::from(frag.offset));
        len = u32::from(frag.len);
        lend(tx, bus, i, dma, len);
    }
    desc::write_data(&mut skbs.mem, tx.ring.at(i), dma, DATA_CMD | DCMD_EOP_RS | len, olinfo);
    i
}

#[inline]
fn lend(tx: &mut TxRing, bus: &mut dyn Bus, i: u16, dma: u64, len: u32) {
    bus.dma_map(dma, len, Direction::ToDevice);
    let buffer = &mut tx.buffers[usize::from(i)];
    buffer.dma = dma;
    buffer.len = len;
}

/// Makes a frame as long as the device needs it to pad the rest (`skb_put_padto`). `false` when there is no room, or no
/// linear data at all.
#[cold]
fn pad(skbs: &mut SkbPool, skb: &Skb) -> bool {
    let (len, headlen) = (skbs[skb].len(), skbs[skb].headlen());
    if headlen == 0 || (len < MIN_FRAME && (headlen != len || skbs.tailroom(skb) < MIN_FRAME - len)) {
        return false;
    }
    if len < MIN_FRAME {
        skbs.put(skb, MIN_FRAME - len).fill(0);
    }
    true
}
