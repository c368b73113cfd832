//! Received packets that follow one another become one (`tcp_try_coalesce`, `skb_try_coalesce`, Linux 6.12): less memory is
//! charged, and the charge stays until the last byte of all of them is read.

use super::sock::TcpSock;
use crate::mib::Counter;
use crate::skb::pool::{RX_DATA_END, SKB_DESCRIPTION_BYTES};
use crate::skb::{MAX_SKB_FRAGS, Skb};
use crate::stack::Stack;
use crate::trace::Step;

/// A packet with payload, out of order or waiting for the application.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) skb: Skb,
    pub(crate) seq: u32,
    /// The number behind the last byte, FIN included.
    pub(crate) end_seq: u32,
    pub(crate) fin: bool,
    /// The number of the first byte of the packet's data: less than `seq` when the front was known already.
    pub(crate) data_seq: u32,
    /// What the socket is charged with, in bytes.
    pub(crate) truesize: u32,
    /// `nr_frags` on Linux: the pieces of the packet, and the packets that were put behind it.
    pub(crate) frags: u8,
    /// The last packet that was put behind it, or itself.
    pub(crate) last: u32,
}

impl Received {
    /// The number behind the last byte of payload.
    pub(crate) fn payload_end(&self) -> u32 {
        self.end_seq.wrapping_sub(u32::from(self.fin))
    }
}

impl Stack {
    /// A packet that came, before anything of it is known.
    #[inline]
    pub(crate) fn tcp_received(&self, skb: Skb, seq: u32, end_seq: u32, fin: bool) -> Received {
        let meta = &self.skbs[&skb];
        // What IP put together of fragments takes no more.
        let frags = if self.skbs.has_frag_list(&skb) { MAX_SKB_FRAGS } else { meta.nr_frags() };
        let (truesize, last) = (meta.truesize.max(1), skb.slot());
        Received { skb, seq, end_seq, fin, data_seq: seq, truesize, frags: frags as u8, last }
    }

    /// `tcp_try_coalesce`: puts `from` behind the payload of `to`, and gives what the socket is charged for it. A few bytes are
    /// copied into the room behind `to`; of others the buffers go over, and their descriptions are not charged any more.
    ///
    /// # Errors
    /// With the packet, when it cannot be put there.
    pub(crate) fn tcp_try_coalesce(&mut self, to: &mut Received, from: Received) -> Result<u32, Received> {
        // Neither may have been cut.
        if to.end_seq != from.data_seq || from.seq != from.data_seq || to.fin || !self.is_whole(to) {
            return Err(from);
        }
        self.trace.function(self.skbs[&from.skb].packet, "tcp_try_coalesce");
        let len = self.skbs[&from.skb].len();
        let delta = if len <= self.rx_tailroom(to) {
            let mut bytes = [0; RX_DATA_END];
            let bytes = &mut bytes[..len];
            self.skbs.copy_out(&from.skb, 0, bytes);
            self.skbs.copied_bytes += len as u64;
            self.skbs.put(&to.skb, len).copy_from_slice(bytes);
            self.skbs.consume(&mut self.trace, from.skb);
            0
        } else {
            let frags = to.frags + from.frags + 1;
            if usize::from(frags) > MAX_SKB_FRAGS || self.skbs[&from.skb].headlen() == 0 {
                return Err(from);
            }
            to.frags = frags;
            // Its journey ends here; its buffer goes when all is read.
            self.trace.step(self.skbs[&from.skb].packet, Step::Consumed);
            self.skbs.append(&to.skb, to.last, from.skb);
            to.last = from.last;
            from.truesize.saturating_sub(SKB_DESCRIPTION_BYTES)
        };
        (to.end_seq, to.fin) = (from.end_seq, from.fin);
        to.truesize += delta;
        self.mib.inc(Counter::TcpExtRcvCoalesce);
        Ok(delta)
    }

    /// Whether the end of a packet is the end of its data.
    fn is_whole(&self, part: &Received) -> bool {
        part.payload_end().wrapping_sub(part.data_seq) as usize == self.skbs[&part.skb].len()
    }

    /// `skb_tailroom` of a buffer of igb's.
    fn rx_tailroom(&self, part: &Received) -> usize {
        let meta = &self.skbs[&part.skb];
        if part.frags > 0 {
            0
        } else {
            RX_DATA_END.saturating_sub(usize::from(meta.data_offset()) + meta.headlen())
        }
    }

    /// `tcp_queue_rcv`: what is in order goes behind what waits for the application. A FIN alone takes no room.
    #[inline(always)]
    pub(crate) fn tcp_queue_rcv(&mut self, tp: &mut TcpSock, part: Received) {
        let part = match tp.receive_queue.back_mut() {
            Some(tail) => match self.tcp_try_coalesce(tail, part) {
                Ok(delta) => {
                    tp.rmem_alloc += delta;
                    return;
                }
                Err(part) => part,
            },
            None => part,
        };
        if part.payload_end() == part.seq {
            return self.skbs.consume(&mut self.trace, part.skb);
        }
        tp.rmem_alloc += part.truesize;
        tp.receive_queue.push_back(part);
    }
}

#[cfg(test)]
mod tests;
