//! A piece of the byte stream that waits to be sent or acknowledged: what Linux keeps in an skb and its control block.
//!
//! It has no headers and no linear buffer: it refers to the pages that the application's bytes were copied into. Each
//! transmission makes a packet of its own that refers to the same pages ([`super::transmit`]).

use crate::skb::{BufId, Frag, MAX_SKB_FRAGS, SkbPool};
use crate::trace::PacketId;
use crate::wire::tcp::{FIN, PSH, SYN};

/// Selectively acknowledged (`TCPCB_SACKED_ACKED`).
pub(crate) const SACKED_ACKED: u8 = 0x01;
/// Sent again, and that is under way (`TCPCB_SACKED_RETRANS`).
pub(crate) const SACKED_RETRANS: u8 = 0x02;
/// Taken for lost (`TCPCB_LOST`).
pub(crate) const LOST: u8 = 0x04;
/// Was sent again at some time (`TCPCB_EVER_RETRANS`).
pub(crate) const EVER_RETRANS: u8 = 0x80;
/// `TCPCB_RETRANS`.
pub(crate) const RETRANS: u8 = SACKED_RETRANS | EVER_RETRANS;

/// What Linux charges for a packet of the stream before any bytes: `SKB_TRUESIZE` of the small slab.
pub(crate) const SEGMENT_TRUESIZE: u32 = 960;

/// One packet of the write queue or the retransmission queue.
#[derive(Clone, Debug)]
pub(crate) struct TxSegment {
    pub(crate) seq: u32,
    /// The number behind the last byte, SYN and FIN included.
    pub(crate) end_seq: u32,
    pub(crate) flags: u8,
    pub(crate) sacked: u8,
    /// MSG_EOR: nothing is put behind it.
    pub(crate) eor: bool,
    /// Into how many segments it was cut when last sent (`tcp_gso_segs`); 0: not settled yet.
    pub(crate) pcount: u32,
    /// When it was last sent, in microseconds; 0: never.
    pub(crate) mstamp: u64,
    /// Bytes of payload.
    pub(crate) len: u32,
    nr_frags: u8,
    frags: [Frag; MAX_SKB_FRAGS],
    pub(crate) packet: PacketId,
}

impl TxSegment {
    pub(crate) fn new(seq: u32, flags: u8, packet: PacketId) -> Self {
        let control = u32::from(flags & (SYN | FIN) != 0);
        Self {
            seq,
            end_seq: seq.wrapping_add(control),
            flags,
            sacked: 0,
            eor: false,
            pcount: control,
            mstamp: 0,
            len: 0,
            nr_frags: 0,
            frags: [Frag::EMPTY; MAX_SKB_FRAGS],
            packet,
        }
    }

    #[inline]
    pub(crate) fn frags(&self) -> &[Frag] {
        &self.frags[..usize::from(self.nr_frags)]
    }

    #[inline]
    pub(crate) fn truesize(&self) -> u32 {
        SEGMENT_TRUESIZE + self.len
    }

    /// Whether bytes at `offset` of `buf` can be put behind what is here.
    #[inline]
    pub(crate) fn has_room(&self, buf: BufId, offset: u16) -> bool {
        self.continues(buf, offset) || usize::from(self.nr_frags) < MAX_SKB_FRAGS
    }

    #[inline]
    fn continues(&self, buf: BufId, offset: u16) -> bool {
        self.frags().last().is_some_and(|last| last.buf == buf && last.offset + last.len == offset)
    }

    /// Puts a piece behind what is here; takes a reference where none is held to that page for the piece before. The
    /// caller has asked [`Self::has_room`].
    #[inline]
    pub(crate) fn append(&mut self, pool: &mut SkbPool, frag: Frag) {
        self.len += u32::from(frag.len);
        self.end_seq = self.end_seq.wrapping_add(u32::from(frag.len));
        if self.continues(frag.buf, frag.offset) {
            self.frags[usize::from(self.nr_frags) - 1].len += frag.len;
            return;
        }
        pool.get_buf(frag.buf);
        self.frags[usize::from(self.nr_frags)] = frag;
        self.nr_frags += 1;
    }

    /// Gives the pages back.
    #[inline]
    pub(crate) fn free(self, pool: &mut SkbPool) {
        self.put_frags(pool);
    }

    /// [`Self::free`] of a packet that is taken out of its queue, and not moved for that.
    #[inline]
    pub(crate) fn put_frags(&self, pool: &mut SkbPool) {
        for frag in self.frags() {
            pool.put_buf(frag.buf);
        }
    }

    /// `tcp_fragment`: cuts the packet behind `len` bytes; gives the second part. PSH and FIN go with it.
    pub(crate) fn split(&mut self, pool: &mut SkbPool, len: u32, mss: u32) -> Self {
        let mut rest = self.clone();
        rest.seq = self.seq.wrapping_add(len);
        rest.len = self.len - len;
        rest.nr_frags = 0;
        self.end_seq = rest.seq;
        self.len = len;
        self.flags &= !(FIN | PSH);
        rest.flags &= !SYN;
        self.eor = false;
        let (pieces, count) = (self.frags, self.nr_frags);
        self.nr_frags = 0;
        let mut left = len as usize;
        for frag in &pieces[..usize::from(count)] {
            let here = left.min(usize::from(frag.len));
            left -= here;
            if here > 0 {
                self.frags[usize::from(self.nr_frags)] = Frag { len: here as u16, ..*frag };
                self.nr_frags += 1;
            }
            if here < usize::from(frag.len) {
                if here > 0 {
                    pool.get_buf(frag.buf);
                }
                rest.frags[usize::from(rest.nr_frags)] =
                    Frag { offset: frag.offset + here as u16, len: frag.len - here as u16, ..*frag };
                rest.nr_frags += 1;
            }
        }
        self.set_segments(mss);
        rest.set_segments(mss);
        rest
    }

    /// `tcp_trim_head`: the first `len` bytes were acknowledged.
    pub(crate) fn trim_head(&mut self, pool: &mut SkbPool, len: u32, mss: u32) {
        let len = len.min(self.len);
        let rest = {
            let (flags, eor) = (self.flags, self.eor);
            let mut rest = self.split(pool, len, mss);
            (rest.flags, rest.eor) = (flags & !SYN, eor);
            rest
        };
        core::mem::replace(self, rest).free(pool);
    }

    /// `skb_shift`: moves up to `max` bytes of `next` behind what is here; gives how many.
    pub(crate) fn pull_from(&mut self, pool: &mut SkbPool, next: &mut Self, max: u32, mss: u32) -> u32 {
        let mut moved = 0;
        while moved < max
            && let Some(&first) = next.frags().first()
            && self.has_room(first.buf, first.offset)
        {
            let take = u32::from(first.len).min(max - moved);
            self.append(pool, Frag { len: take as u16, ..first });
            next.trim_head(pool, take, mss);
            moved += take;
        }
        moved
    }

    /// `tcp_set_skb_tso_segs`: into how many segments of `mss` it is to be cut.
    #[inline]
    pub(crate) fn set_segments(&mut self, mss: u32) -> u32 {
        self.pcount = if self.len <= mss { 1 } else { self.len.div_ceil(mss.max(1)) };
        self.pcount
    }
}

/// The page that a socket's bytes are copied into, one send behind another: `sk_page_frag`.
#[derive(Debug, Default)]
pub(crate) struct PageFrag {
    page: Option<(BufId, u16)>,
}

impl PageFrag {
    /// The page, and where it is free from; takes a new one when the old one is full. `None` when memory is out.
    #[inline(always)]
    pub(crate) fn refill(&mut self, pool: &mut SkbPool) -> Option<(BufId, u16)> {
        match self.page {
            Some((buf, offset)) if usize::from(offset) < crate::skb::PAGE_BYTES => Some((buf, offset)),
            _ => {
                self.release(pool);
                self.page = Some((pool.alloc_page()?, 0));
                self.page
            }
        }
    }

    /// `len` bytes of it were used.
    #[inline]
    pub(crate) fn advance(&mut self, len: u16) {
        if let Some((_, offset)) = &mut self.page {
            *offset += len;
        }
    }

    pub(crate) fn release(&mut self, pool: &mut SkbPool) {
        if let Some((buf, _)) = self.page.take() {
            pool.put_buf(buf);
        }
    }
}
