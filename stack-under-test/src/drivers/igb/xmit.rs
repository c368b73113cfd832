//! Sending: `igb_xmit_frame`, `igb_tx_csum`, `igb_tx_map` of Linux 6.12.

use super::Igb;
use super::desc::{self, DATA_CMD, DCMD_EOP_RS, TUCMD_L4T_SCTP, TUCMD_L4T_TCP};
use super::ring::{Ring, TxRing};
use super::tso::{special, special_map};
use crate::bus::Bus;
use crate::drop_reason::DropReason;
use crate::netdev::{DriverCtx, NetdevTx};
use crate::skb::pool::NONE;
use crate::skb::{IpSummed, SkBuff, Skb, SkbPool};
use crate::trace::{PacketId, Step};

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
        if ctx.skbs[&skb].gso_size != 0 || ctx.skbs[&skb].vlan_tci.is_some() {
            return self.xmit_special(ctx, skb, queue, more);
        }
        if ctx.trace.is_on() {
            return self.xmit_frame_as::<true>(ctx, skb, queue, more);
        }
        self.xmit_frame_as::<false>(ctx, skb, queue, more)
    }

    /// [`Self::xmit_frame`] of a packet that is not large and has no VLAN tag beside it; without `TRACED` the journal is known to be off.
    #[inline(always)]
    pub(crate) fn xmit_frame_as<const TRACED: bool>(
        &mut self,
        ctx: &mut DriverCtx<'_>,
        skb: Skb,
        queue: u16,
        more: bool,
    ) -> NetdevTx {
        let mut packet = Packet::of(&ctx.skbs[&skb]);
        if TRACED {
            ctx.trace.function(packet.name, "igb_xmit_frame");
        }
        if !self.is_up() || packet.headlen < MIN_FRAME as u32 || packet.frag_list {
            if let Err(reason) = self.make_usual(ctx.skbs, &skb) {
                ctx.skbs.drop(ctx.trace, skb, reason);
                return NetdevTx::Ok;
            }
            packet = Packet::of(&ctx.skbs[&skb]);
        }
        let q = if queue < self.config.queue_pairs { queue } else { queue % self.config.queue_pairs };
        self.xmit_frame_ring::<TRACED, false>(ctx, skb, &packet, (q, more))
    }

    /// Pads a frame to what the device can pad (`skb_put_padto`), or says why the packet cannot be sent.
    #[cold]
    fn make_usual(&self, skbs: &mut SkbPool, skb: &Skb) -> Result<(), DropReason> {
        if !self.is_up() {
            return Err(DropReason::DevReady);
        }
        let (len, headlen) = (skbs[skb].len(), skbs[skb].headlen());
        let missing = MIN_FRAME.saturating_sub(len);
        let linear = headlen == len && skbs.tailroom(skb) >= missing;
        if headlen == 0 || skbs.has_frag_list(skb) || (missing > 0 && !linear) {
            return Err(DropReason::DevHdr);
        }
        skbs.put(skb, missing).fill(0);
        Ok(())
    }

    /// `igb_xmit_frame_ring`; with `LARGE` of a packet that the device is to cut, or to put a VLAN tag on.
    #[inline(always)]
    pub(super) fn xmit_frame_ring<const TRACED: bool, const LARGE: bool>(
        &mut self,
        ctx: &mut DriverCtx<'_>,
        skb: Skb,
        packet: &Packet,
        (q, more): (u16, bool),
    ) -> NetdevTx {
        let tx = &mut self.tx[usize::from(q)];
        let queue = &mut ctx.queues[usize::from(q)];
        // Neither a linear part nor a piece is longer than a descriptor can name.
        const _: () = assert!(crate::skb::PAGE_BYTES <= MAX_DATA_PER_TXD as usize);
        let unused = tx.ring.unused();
        if unused < packet.nr_frags + 1 + 3 {
            queue.stop();
            return NetdevTx::Busy(skb);
        }

        let first = tx.ring.next_to_use;
        let dma = ctx.skbs.mem.bus_addr(packet.data_at);
        let (mut bytecount, mut cut) = (packet.len, 0);
        let (start, last);
        if LARGE {
            let Some(tso) = special(ctx.skbs, &skb) else {
                ctx.skbs.drop(ctx.trace, skb, DropReason::SkbGsoSeg);
                return NetdevTx::Ok;
            };
            ctx.trace.function(packet.name, if tso.cuts() { "igb_tso" } else { "igb_tx_csum" });
            bytecount += tso.more_bytes();
            cut = super::ring::CUT;
            (start, last) = special_map(tx, ctx.skbs, ctx.bus, &skb, packet, (dma, &tso));
        } else {
            start = if packet.partial { tx_csum(tx, packet, first) } else { first };
            last = tx_map(tx, ctx.skbs, ctx.bus, &skb, packet, (start, dma));
        }
        let next = tx.ring.after(last);
        if TRACED && ctx.trace.is_on() {
            ctx.trace.function(packet.name, "igb_tx_map");
            ctx.trace.step(packet.name, Step::Posted { queue: q, last_descriptor: last });
            ctx.trace.step(packet.name, Step::Queued("ring"));
        }

        queue.sent(bytecount);
        tx.trans_start = ctx.now;
        let flags = cut | tx.flags();
        let buffer = &mut tx.buffers[usize::from(first)];
        buffer.begin(skb.into_slot(), (last, bytecount, flags), ctx.now);
        if !tx.direct {
            // What is lent for the linear part is kept where the packet begins, though a context descriptor may lie there.
            buffer.lend(ctx.bus, dma, packet.headlen);
        }
        tx.ring.next_to_use = next;

        if unused - packet.nr_frags - 1 - u16::from(start != first) < DESC_NEEDED {
            // The device is not run while the driver is, so what is free now is what the second look would find.
            queue.stop();
        }
        if !more || queue.is_stopped() {
            tx.told = next;
            ctx.skbs.mem.write_barrier();
            self.hw.wr32(ctx.bus, tx.ring.tail, u32::from(next));
        }
        NetdevTx::Ok
    }
}

/// What sending needs to know of a packet.
pub(super) struct Packet {
    pub(super) name: PacketId,
    pub(super) len: u32,
    pub(super) headlen: u32,
    pub(super) nr_frags: u16,
    /// Where the linear data begins in the DMA region.
    pub(super) data_at: usize,
    pub(super) partial: bool,
    frag_list: bool,
    /// The device is to cut it, or to put a VLAN tag on.
    special: bool,
    /// The lengths of the Ethernet and IP headers, and where the checksum goes; read when `partial`.
    maclen: u16,
    iplen: u16,
    csum_offset: u16,
}

impl Packet {
    #[inline(always)]
    pub(super) fn of(meta: &SkBuff) -> Self {
        Self {
            name: meta.packet,
            len: meta.len,
            headlen: u32::from(meta.tail - meta.data),
            nr_frags: u16::from(meta.nr_frags),
            data_at: meta.head_at + usize::from(meta.data),
            partial: meta.ip_summed == IpSummed::Partial,
            frag_list: meta.frag_list != NONE,
            special: meta.gso_size != 0 || meta.vlan_tci.is_some(),
            maclen: meta.network_header.wrapping_sub(meta.data),
            iplen: meta.csum_start.wrapping_sub(meta.network_header),
            csum_offset: meta.csum_offset,
        }
    }

    /// What the context of this packet's checksum depends on.
    #[inline(always)]
    fn context(&self) -> u64 {
        u64::from(self.maclen) | u64::from(self.iplen) << 16 | u64::from(self.csum_offset) << 32
    }

    /// Whether it goes out as it lies there, in one descriptor, while slot 0 of the queue holds `context`.
    #[inline(always)]
    pub(super) fn is_plain(&self, context: u64) -> bool {
        !self.special
            && !self.frag_list
            && self.nr_frags == 0
            && self.len >= MIN_FRAME as u32
            && (!self.partial || self.context() == context)
    }
}

/// Sees to it that slot 0 of the queue holds the context for this packet's checksum; gives where its data descriptors begin.
/// The device keeps the context until another is written, so that a run of packets of one kind needs it once (DPDK's igb
/// driver does the same; Linux writes one a packet).
#[inline(always)]
fn tx_csum(tx: &mut TxRing, packet: &Packet, i: u16) -> u16 {
    let context = packet.context();
    if tx.context == context {
        return i;
    }
    tx.context = context;
    write_csum_context(&mut tx.ring, context, i)
}

/// The layer-4 type by where the checksum lies.
pub(super) fn l4t(csum_offset: u16) -> u32 {
    match csum_offset {
        16 => TUCMD_L4T_TCP,
        8 => TUCMD_L4T_SCTP,
        _ => 0,
    }
}

/// Writes the context descriptor for a checksum at `i`, and gives the index after it. A packet whose offsets contradict
/// each other gets a checksum at the wrong place, as on Linux, but nothing beyond it is touched.
#[inline(never)]
fn write_csum_context(ring: &mut Ring, context: u64, i: u16) -> u16 {
    let [maclen, iplen, csum_offset] = [context, context >> 16, context >> 32].map(|part| part as u16);
    let l4t = l4t(csum_offset);
    let (maclen, iplen) = (u32::from(maclen & 0x7F), u32::from(iplen & 0x1FF));
    desc::write_csum_context(&mut ring.descs, i, maclen, iplen, l4t);
    ring.after(i)
}

/// Writes a data descriptor for each piece of a packet, from `start` on, and lends the pieces; gives the index of the last.
/// The linear part lies at the bus address `dma` and is lent by the caller.
#[inline(always)]
fn tx_map(
    tx: &mut TxRing,
    skbs: &mut SkbPool,
    bus: &mut dyn Bus,
    skb: &Skb,
    packet: &Packet,
    (start, dma): (u16, u64),
) -> u16 {
    let olinfo = desc::olinfo(packet.len, packet.partial);
    if packet.nr_frags != 0 {
        return tx_map_with(tx, skbs, bus, skb, (start, dma, packet.headlen, (DATA_CMD, olinfo)));
    }
    desc::write_data(&mut tx.ring.descs, start, dma, DATA_CMD | DCMD_EOP_RS | packet.headlen, olinfo);
    start
}

/// The rest of [`tx_map`] for a packet with pieces: each descriptor is written when it is known whether another follows.
/// Every descriptor has the command `cmd`, the first one `olinfo`.
#[inline(never)]
pub(super) fn tx_map_with(
    tx: &mut TxRing,
    skbs: &mut SkbPool,
    bus: &mut dyn Bus,
    skb: &Skb,
    (start, dma, len, (cmd, olinfo)): (u16, u64, u32, (u32, u32)),
) -> u16 {
    let (mut i, mut dma, mut len, mut olinfo) = (start, dma, len, olinfo);
    for n in 0..usize::from(skbs[skb].nr_frags) {
        let frag = skbs.frags(skb)[n];
        if frag.len == 0 {
            continue;
        }
        desc::write_data(&mut tx.ring.descs, i, dma, cmd | len, olinfo);
        olinfo = 0;
        i = tx.ring.after(i);
        dma = skbs.mem.bus_addr(skbs.buf_offset(frag.buf) + usize::from(frag.offset));
        len = u32::from(frag.len);
        if !tx.direct {
            tx.buffers[usize::from(i)].lend(bus, dma, len);
        }
    }
    desc::write_data(&mut tx.ring.descs, i, dma, cmd | DCMD_EOP_RS | len, olinfo);
    i
}
