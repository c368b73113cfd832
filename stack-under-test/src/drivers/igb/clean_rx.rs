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
use crate::skb::{BufId, Frag, HEAD_BYTES, IpSummed, Skb, SkbPool};

/// Buffers are lent anew when this many are missing.
const BUFFER_WRITE: u16 = 16;
/// Descriptors that a poll looks at for each packet of its budget: the largest frame takes five.
const MAX_DESCRIPTORS: u32 = 8;
/// Bytes that a buffer is lent with cleared.
const CLEARED: usize = 8;
/// The shortest frame that goes up, without CRC.
const MIN_FRAME: usize = 60;

/// What a descriptor says that was written back.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrittenBack {
    status: u32,
    /// 0 when nothing was written back.
    pub(super) len: usize,
    /// The tag that was taken off, if `status` says so.
    tag: u16,
}

impl WrittenBack {
    /// The descriptor's second word: status, length and tag are written at once.
    #[inline(always)]
    pub(super) fn of(word: u64) -> Self {
        Self { status: word as u32, len: usize::from((word >> 32) as u16), tag: (word >> 48) as u16 }
    }

    /// Whether it is a good frame that lies in this buffer alone and needs no padding.
    #[inline(always)]
    pub(super) fn is_whole(&self) -> bool {
        self.status & (RXD_EOP | RXD_FRAME_ERRORS) == RXD_EOP && (MIN_FRAME..=HEAD_BYTES).contains(&self.len)
    }

    /// The tag that was taken off.
    #[inline(always)]
    pub(super) fn tag(&self) -> Option<u16> {
        (self.status & RXD_VP != 0).then_some(self.tag)
    }

    /// `igb_rx_checksum`: the device's word for the checksum of layer 4, when it is taken (`rx_csum`), and whether to count a
    /// bad one. One of a 60-byte frame is not counted, since the device may have taken its padding for SCTP.
    #[inline(always)]
    pub(super) fn checksum(&self, rx_csum: bool) -> (IpSummed, bool) {
        let status = self.status;
        if !rx_csum || status & RXD_IXSM != 0 {
            return (IpSummed::None, false);
        }
        if status & (RXD_L4E | RXD_IPE) != 0 {
            return (IpSummed::None, self.len > MIN_FRAME);
        }
        (if status & (RXD_TCPCS | RXD_UDPCS) != 0 { IpSummed::Unnecessary } else { IpSummed::None }, false)
    }
}

impl Igb {
    /// Takes up to `budget` frames from the ring to `ctx.rx`, and lends new buffers. How many were taken.
    #[inline(always)]
    pub(super) fn clean_rx_irq(&mut self, ctx: &mut DriverCtx<'_>, q: usize, budget: u32) -> u32 {
        ctx.trace.function(0, "igb_clean_rx_irq");
        let mut queue = self.rx_queue(q);
        let (mut packets, mut bytes) = (0, 0);
        let mut descriptors = budget.saturating_mul(MAX_DESCRIPTORS);
        let mut taken = 0;
        while packets < budget && descriptors > 0 {
            if queue.rx.untold() >= BUFFER_WRITE {
                queue.tell(ctx);
            }
            let Some(written) = queue.written_back() else { break };
            if written.is_whole() && queue.is_plain() {
                let (frames, length) = queue.take_whole(ctx, q, (&written, budget - packets));
                if ctx.trace.is_on() {
                    let from = ctx.rx.len() - usize::from(frames);
                    (from..ctx.rx.len()).for_each(|n| trace_received(ctx, n));
                }
                packets += u32::from(frames);
                bytes += length;
                descriptors = descriptors.saturating_sub(u32::from(frames));
                if frames > 0 {
                    continue;
                }
            }
            if !queue.take_buffer(ctx, &written) {
                break;
            }
            descriptors -= 1;
            taken += 1;
            if taken >= BUFFER_WRITE || ctx.skbs.free_heads() > 0 {
                taken = 0;
                queue.lend(ctx, queue.rx.ring.unused());
            }
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
        queue.alloc_rx_buffers(ctx);
        ctx.skbs.mem.read_barrier();
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

    /// Lends the buffers that are missing in queue `q`, and tells the device. When memory is out, it is tried again with the
    /// next poll: the watchdog makes sure that there is one.
    pub(super) fn alloc_rx_buffers(&mut self, ctx: &mut DriverCtx<'_>, q: usize) {
        self.rx_queue(q).alloc_rx_buffers(ctx);
    }
}

/// One receive queue, with what its cleaning needs of the driver.
pub(super) struct RxQueue<'a> {
    pub(super) rx: &'a mut RxRing,
    pub(super) stats: &'a mut QueueStats,
    hw: &'a mut Hw,
    pub(super) rx_csum: bool,
    /// Tags are taken off.
    pub(super) strips: bool,
}

impl RxQueue<'_> {
    /// Whether every descriptor that can be is lent, and the next one begins a packet.
    #[inline(always)]
    fn is_plain(&self) -> bool {
        self.rx.ring.unused() == 0 && self.rx.skb.is_none() && !self.rx.discard
    }

    /// Takes up to `most` frames that are whole in one buffer, of which the device wrote the first back as `written`, and no more
    /// than it is to be told of at once. Gives how many there were, and their bytes.
    #[inline(always)]
    fn take_whole(
        &mut self,
        ctx: &mut DriverCtx<'_>,
        q: usize,
        (written, most): (&WrittenBack, u32),
    ) -> (u16, u32) {
        if most > 1 && self.has_another() {
            let most = most.min(u32::from(BUFFER_WRITE - self.rx.untold()));
            let taken = self.take_row(ctx, q, most as u16);
            if taken.0 > 0 {
                return taken;
            }
        }
        if self.take_one(ctx, q, written) { (1, written.len as u32) } else { (0, 0) }
    }

    /// The next descriptor, if it is lent and the device wrote it back: a length says so.
    #[inline(always)]
    fn written_back(&self) -> Option<WrittenBack> {
        let ring = &self.rx.ring;
        if ring.next_to_clean == ring.next_to_use {
            return None;
        }
        let written = WrittenBack::of(ring.descs.second(ring.next_to_clean));
        (written.len != 0).then_some(written)
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
                Ok(skb) => (rx.skb, rx.in_doubt) = (Some(skb), false),
                Err(_) => {
                    self.stats.alloc_failed += 1;
                    return false;
                }
            }
        }
        *slot = None;
        rx.ring.next_to_clean = rx.ring.after(rx.ring.next_to_clean);
        if !rx.direct {
            ctx.bus.dma_unmap(ctx.skbs.mem.bus_addr(ctx.skbs.head_offset(buf)), HEAD_BYTES as u32);
        }
        if !begins {
            self.continue_packet(ctx, buf, written.len);
        }
        true
    }

    /// A buffer that does not begin a packet: it is a further piece of one, or thrown away. One that begins as it was lent may hold what an
    /// earlier frame left ([`clear_header`]), or the zeros of this one: the device has summed up what came on the wire, so its word for the
    /// checksum is none for this memory, and whoever wants to rely on it computes it.
    #[inline(never)]
    fn continue_packet(&mut self, ctx: &mut DriverCtx<'_>, buf: BufId, len: usize) {
        let rx = &mut *self.rx;
        let head = ctx.skbs.mem.bytes(ctx.skbs.head_offset(buf), len.min(CLEARED));
        rx.in_doubt |= head.iter().all(|&byte| byte == 0);
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
        let meta = &mut ctx.skbs[&skb];
        let whole = WrittenBack { len: meta.len(), ..*written };
        let (ip_summed, wrong) = whole.checksum(self.rx_csum && !self.rx.in_doubt);
        self.stats.csum_err += u64::from(wrong);
        meta.ip_summed = ip_summed;
        meta.queue_mapping = q as u16;
        meta.tstamp = ctx.now;
        if self.strips {
            meta.vlan_tci = written.tag();
        }
        let bytes = meta.len;
        ctx.rx.push(skb);
        if ctx.trace.is_on() {
            trace_received(ctx, ctx.rx.len() - 1);
        }
        bytes
    }

    /// Lends the buffers that are missing, and tells the device of all that were lent.
    #[inline(always)]
    fn alloc_rx_buffers(&mut self, ctx: &mut DriverCtx<'_>) {
        let missing = self.rx.ring.unused();
        if missing > 0 {
            self.lend(ctx, missing);
        }
        if self.rx.told != self.rx.ring.next_to_use {
            self.tell(ctx);
        }
    }

    /// Lends up to `missing` buffers.
    #[inline(never)]
    fn lend(&mut self, ctx: &mut DriverCtx<'_>, missing: u16) {
        let rx = &mut *self.rx;
        let mut i = rx.ring.next_to_use;
        for _ in 0..missing {
            let Some(buf) = ctx.skbs.alloc_head() else {
                self.stats.alloc_failed += 1;
                break;
            };
            clear_header(ctx.skbs, buf);
            let dma = ctx.skbs.mem.bus_addr(ctx.skbs.head_offset(buf));
            if !rx.direct {
                ctx.bus.dma_map(dma, HEAD_BYTES as u32, Direction::FromDevice);
            }
            rx.ring.descs.write(i, desc::lent(dma));
            rx.buffers[usize::from(i)] = Some(buf);
            i = rx.ring.after(i);
        }
        rx.ring.next_to_use = i;
    }

    #[inline]
    fn tell(&mut self, ctx: &mut DriverCtx<'_>) {
        self.rx.told = self.rx.ring.next_to_use;
        ctx.skbs.mem.write_barrier();
        self.hw.wr32(ctx.bus, self.rx.ring.tail, u32::from(self.rx.told));
    }
}

/// Names the packet at `n` of those that were received, in the journal.
#[cold]
fn trace_received(ctx: &mut DriverCtx<'_>, n: usize) {
    ctx.skbs.mem.read_barrier();
    let skb = &ctx.rx[n];
    let packet = ctx.trace.made(ctx.skbs.linear(skb), ctx.skbs[skb].len());
    ctx.skbs[skb].packet = packet;
    ctx.trace.function(packet, "igb_clean_rx_irq");
}

/// What a buffer held before goes to no station of ours: a device that was refused the write of a frame does not know, says that the
/// frame is there, and an older one would be taken for it. (Linux lends buffers as they are.)
#[inline(always)]
pub(super) fn clear_header(skbs: &mut SkbPool, buf: BufId) {
    skbs.mem.write_le64(skbs.head_offset(buf), 0);
}

/// Adds a further buffer of a large frame. Takes the buffer over when it does.
fn add_rx_frag(ctx: &mut DriverCtx<'_>, skb: &Skb, buf: BufId, len: usize) -> bool {
    let added = ctx.skbs.add_frag(skb, Frag { buf, offset: 0, len: len as u16 });
    if added {
        ctx.skbs[skb].truesize += HEAD_BYTES as u32;
    }
    added
}
