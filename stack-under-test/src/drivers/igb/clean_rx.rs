//! Receiving: `igb_clean_rx_irq` and `igb_alloc_rx_buffers` of Linux 6.12.

use super::Igb;
use super::desc::{
    self, RXD_EOP, RXD_FRAME_ERRORS, RXD_IPE, RXD_IXSM, RXD_L4E, RXD_TCPCS, RXD_UDPCS, RXD_VP,
};
use super::hw::{Fault, Hw};
use super::ring::RxRing;
use super::stats::QueueStats;
use crate::bus::Direction;
use crate::drop_reason::DropReason;
use crate::netdev::DriverCtx;
use crate::skb::{BufId, Frag, HEAD_BYTES, IpSummed, Skb};

/// Buffers are lent anew when this many are missing.
const BUFFER_WRITE: u16 = 16;
/// Descriptors that a poll looks at for each packet of its budget: the largest frame takes five.
const MAX_DESCRIPTORS: u32 = 8;
/// The shortest frame that goes up, without CRC.
const MIN_FRAME: usize = 60;

/// What a descriptor says that was written back.
struct WrittenBack {
    status: u32,
    len: usize,
    /// The tag that was taken off, if `status` says so.
    tag: u16,
}

impl Igb {
    /// Takes up to `budget` frames from the ring to `ctx.rx`, and lends new buffers. How many were taken.
    #[inline(always)]
    pub(super) fn clean_rx_irq(&mut self, ctx: &mut DriverCtx<'_>, q: usize, budget: u32) -> u32 {
        ctx.trace.function(0, "igb_clean_rx_irq");
        let mut queue = self.rx_queue(q);
        let mut missing = queue.rx.ring.unused();
        let (mut packets, mut bytes) = (0, 0);
        let mut descriptors = budget.saturating_mul(MAX_DESCRIPTORS);
        while packets < budget && descriptors > 0 {
            if missing >= BUFFER_WRITE {
                queue.alloc_rx_buffers(ctx, missing);
                missing = 0;
            }
            let Some(written) = queue.written_back(ctx) else { break };
            if !queue.take_buffer(ctx, &written) {
                break;
            }
            missing += 1;
            descriptors -= 1;
            if written.status & RXD_EOP == 0 {
                continue;
            }
            queue.rx.discard = false;
            let Some(skb) = queue.rx.skb.take() else { continue };
            if written.status & RXD_FRAME_ERRORS != 0 {
                ctx.skbs.drop(ctx.trace, skb, DropReason::RxFrameError);
                continue;
            }
            bytes += queue.deliver(ctx, q, skb, &written);
            packets += 1;
        }
        if missing > 0 {
            queue.alloc_rx_buffers(ctx, missing);
        }
        if packets > 0 {
            queue.stats.rx_packets += u64::from(packets);
            queue.stats.rx_bytes += u64::from(bytes);
            self.vectors[q].rx.add(packets, bytes);
        }
        // A device that never ends a packet does not hold the CPU for ever.
        if descriptors == 0 { budget } else { packets }
    }

    #[inline(always)]
    fn rx_queue(&mut self, q: usize) -> RxQueue<'_> {
        RxQueue {
            rx: &mut self.rx[q],
            stats: &mut self.queue_stats[q],
            hw: &mut self.hw,
            rx_csum: self.rx_csum,
            strips: self.vlans.strip,
        }
    }

    /// Lends up to `missing` buffers of queue `q`, and tells the device. When memory is out, it is tried again with the next
    /// poll: the watchdog makes sure that there is one.
    pub(super) fn alloc_rx_buffers(&mut self, ctx: &mut DriverCtx<'_>, q: usize, missing: u16) {
        self.rx_queue(q).alloc_rx_buffers(ctx, missing);
    }
}

/// One receive queue, with what its cleaning needs of the driver.
struct RxQueue<'a> {
    rx: &'a mut RxRing,
    stats: &'a mut QueueStats,
    hw: &'a mut Hw,
    rx_csum: bool,
    /// Tags are taken off.
    strips: bool,
}

impl RxQueue<'_> {
    /// The next descriptor, if it is lent and the device wrote it back: a length says so.
    #[inline(always)]
    fn written_back(&self, ctx: &DriverCtx<'_>) -> Option<WrittenBack> {
        let ring = &self.rx.ring;
        if ring.next_to_clean == ring.next_to_use {
            return None;
        }
        // Status, length and tag are written at once.
        let word = ctx.skbs.mem.read_le64(ring.at(ring.next_to_clean) + 8);
        let len = usize::from((word >> 32) as u16);
        if len == 0 {
            return None;
        }
        ctx.skbs.mem.read_barrier();
        Some(WrittenBack { status: word as u32, len, tag: (word >> 48) as u16 })
    }

    /// Takes the descriptor's buffer back, and adds it to the packet that it belongs to. `false`, and nothing taken, when
    /// there is no description for a packet: the next poll tries again.
    #[inline(always)]
    fn take_buffer(&mut self, ctx: &mut DriverCtx<'_>, written: &WrittenBack) -> bool {
        let rx = &mut *self.rx;
        let slot = &mut rx.buffers[usize::from(rx.ring.next_to_clean)];
        let Some(buf) = *slot else { return false };
        let fits = written.len <= HEAD_BYTES;
        let begins = rx.skb.is_none() && fits && !rx.discard;
        if begins {
            match ctx.skbs.build_skb(buf, 0, written.len) {
                Ok(skb) => rx.skb = Some(skb),
                Err(_) => {
                    self.stats.alloc_failed += 1;
                    return false;
                }
            }
        }
        *slot = None;
        rx.ring.next_to_clean = rx.ring.after(rx.ring.next_to_clean);
        ctx.bus.dma_unmap(ctx.skbs.mem.bus_addr(ctx.skbs.head_offset(buf)), HEAD_BYTES as u32);
        if !begins {
            self.continue_packet(ctx, buf, written.len);
        }
        true
    }

    /// A buffer that does not begin a packet: it is a further piece of one, or thrown away.
    #[inline(never)]
    fn continue_packet(&mut self, ctx: &mut DriverCtx<'_>, buf: BufId, len: usize) {
        let rx = &mut *self.rx;
        let added = !rx.discard
            && len <= HEAD_BYTES
            && rx.skb.as_ref().is_some_and(|skb| add_rx_frag(ctx, skb, buf, len));
        if added {
            return;
        }
        ctx.skbs.put_buf(buf);
        if !rx.discard {
            rx.discard = true;
            self.hw.fault(Fault::RxDescriptor);
            if let Some(skb) = rx.skb.take() {
                ctx.skbs.drop(ctx.trace, skb, DropReason::RxFrameError);
            }
        }
    }

    /// Finishes a frame and hands it up; gives its length.
    #[inline(always)]
    fn deliver(&mut self, ctx: &mut DriverCtx<'_>, q: usize, skb: Skb, written: &WrittenBack) -> u32 {
        let len = ctx.skbs[&skb].len();
        if len < MIN_FRAME {
            // A frame this short lies in one buffer, which has room.
            ctx.skbs.put(&skb, MIN_FRAME - len).fill(0);
        }
        if ctx.trace.is_on() {
            let packet = ctx.trace.made(ctx.skbs.linear(&skb), ctx.skbs[&skb].len());
            ctx.skbs[&skb].packet = packet;
            ctx.trace.function(packet, "igb_clean_rx_irq");
        }
        let meta = &mut ctx.skbs[&skb];
        meta.ip_summed = self.rx_checksum(written.status, meta.len());
        meta.queue_mapping = q as u16;
        meta.tstamp = ctx.now;
        if written.status & RXD_VP != 0 && self.strips {
            meta.vlan_tci = Some(written.tag);
        }
        let bytes = meta.len;
        ctx.rx.push_back(ctx.skbs, skb);
        bytes
    }

    /// `igb_rx_checksum`: the device's word for the checksum of layer 4. A bad one of a 60-byte frame is not counted, since
    /// the device may have taken its padding for SCTP.
    #[inline(always)]
    fn rx_checksum(&mut self, status: u32, len: usize) -> IpSummed {
        if !self.rx_csum || status & RXD_IXSM != 0 {
            return IpSummed::None;
        }
        if status & (RXD_L4E | RXD_IPE) != 0 {
            if len != MIN_FRAME {
                self.stats.csum_err += 1;
            }
            return IpSummed::None;
        }
        if status & (RXD_TCPCS | RXD_UDPCS) != 0 { IpSummed::Unnecessary } else { IpSummed::None }
    }

    /// Lends up to `missing` buffers, and tells the device.
    #[inline(always)]
    fn alloc_rx_buffers(&mut self, ctx: &mut DriverCtx<'_>, missing: u16) {
        let rx = &mut *self.rx;
        let start = rx.ring.next_to_use;
        let mut i = start;
        for _ in 0..missing {
            let Some(buf) = ctx.skbs.alloc_head() else {
                self.stats.alloc_failed += 1;
                break;
            };
            let dma = ctx.skbs.mem.bus_addr(ctx.skbs.head_offset(buf));
            ctx.bus.dma_map(dma, HEAD_BYTES as u32, Direction::FromDevice);
            desc::write_rx(&mut ctx.skbs.mem, rx.ring.at(i), dma);
            rx.buffers[usize::from(i)] = Some(buf);
            i = rx.ring.after(i);
        }
        rx.ring.next_to_use = i;
        if i != start {
            ctx.skbs.mem.write_barrier();
            self.hw.wr32(ctx.bus, rx.ring.tail, u32::from(i));
        }
    }
}

/// Adds a further buffer of a large frame. Takes the buffer over when it does.
fn add_rx_frag(ctx: &mut DriverCtx<'_>, skb: &Skb, buf: BufId, len: usize) -> bool {
    let added = ctx.skbs.add_frag(skb, Frag { buf, offset: 0, len: len as u16 });
    if added {
        ctx.skbs[skb].truesize += HEAD_BYTES as u32;
    }
    added
}
