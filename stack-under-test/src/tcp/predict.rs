//! Header prediction: which segments go the short way of `tcp_rcv_established` (Van Jacobson's; Linux 6.12).
//!
//! This stack takes the same steps for all of them, so that prediction decides only how they are counted: `TCPHPAcks`,
//! `TCPHPHits`, `TCPPureAcks`.

use super::input::Incoming;
use super::seq::after;
use super::sock::TcpSock;
use super::transmit::TSTAMP_BYTES;
use crate::skb::PAGE_BYTES;
use crate::wire::tcp::{ACK, HEADER_BYTES, PSH};

/// `pred_flags`: the header that is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Predicted {
    header_len: u8,
    /// The field as it stands in the header, not scaled.
    window: u16,
}

impl TcpSock {
    /// `tcp_fast_path_on`: the header of the next segment is expected to be like this one's.
    pub(crate) fn fast_path_on(&mut self) {
        self.pred_flags = u8::try_from(self.tcp_header_len).ok().map(|header_len| Predicted {
            header_len,
            window: (self.snd_wnd >> self.rx_opt.snd_wscale).min(0xffff) as u16,
        });
    }

    /// `tcp_fast_path_check`: the same, unless there is something that the long way has to look after.
    pub(crate) fn fast_path_check(&mut self) {
        if self.out_of_order.is_empty()
            && self.rcv_wnd > 0
            && self.rmem_alloc < self.options.rcvbuf
            && self.urg_data.is_none()
        {
            self.fast_path_on();
        }
    }

    /// Whether a segment, whose timestamps were taken, is the one that was expected.
    pub(crate) fn is_predicted(&mut self, seg: &Incoming, truesize: u32) -> bool {
        let header = &seg.header;
        let Some(expected) = self.pred_flags else { return false };
        let alike = expected == Predicted { header_len: header.header_len, window: header.window }
            && header.flags & !PSH == ACK
            && seg.seq() == self.rcv_nxt
            && !after(seg.ack, self.snd_nxt);
        let timestamps = self.tcp_header_len < HEADER_BYTES as u32 + TSTAMP_BYTES
            || (self.rx_opt.saw_tstamp
                && self.rx_opt.rcv_tsval.wrapping_sub(self.rx_opt.ts_recent) as i32 >= 0);
        alike && timestamps && (seg.payload_len == 0 || truesize <= self.settle_forward_alloc())
    }

    /// `sk_forward_alloc`: what is left of the pages that the socket has been granted. Pages are granted as they are needed, and
    /// given back as soon as a whole one is free (`sk_mem_charge`, `sk_mem_uncharge`); here when it is asked for.
    pub(crate) fn settle_forward_alloc(&mut self) -> u32 {
        let page = PAGE_BYTES as u32;
        let held = self.rmem_alloc + self.wmem_queued;
        if held == self.mem_charged {
            return self.forward_alloc;
        }
        if let Some(freed) = self.mem_charged.checked_sub(held).filter(|freed| *freed > 0) {
            self.forward_alloc += freed;
            if self.forward_alloc >= page {
                self.forward_alloc %= page;
            }
        } else {
            let more = held - self.mem_charged;
            self.forward_alloc = match self.forward_alloc.checked_sub(more) {
                Some(left) => left,
                None => (page - (more - self.forward_alloc) % page) % page,
            };
        }
        self.mem_charged = held;
        self.forward_alloc
    }

    /// `sk_rmem_schedule`: pages for a packet, before it is known what it will be charged with.
    pub(crate) fn rmem_schedule(&mut self, truesize: u32) {
        let left = self.settle_forward_alloc();
        if let Some(missing) = truesize.checked_sub(left) {
            self.forward_alloc += missing.next_multiple_of(PAGE_BYTES as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tcp::tests::support::idle_sock;
    use rstest::rstest;

    // Pages are granted as they are needed, and given back when a whole one is free (`sk_mem_schedule`, `sk_mem_reclaim`).
    #[rstest]
    #[case::nothing_is_held(0, 0, 0)]
    #[case::one_small_frame(704, 0, 3392)]
    #[case::both_ways(704, 1060, 2332)]
    #[case::exactly_a_page(4096, 0, 0)]
    #[case::a_little_more(4096, 1, 4095)]
    fn what_is_left_of_the_pages_takes_the_next_packet(
        #[case] received: u32,
        #[case] queued: u32,
        #[case] left: u32,
    ) {
        let mut tp = idle_sock();
        (tp.rmem_alloc, tp.wmem_queued) = (received, queued);
        assert_eq!(tp.settle_forward_alloc(), left);
    }

    // A packet that was put into the room behind another is charged with nothing: its pages are there for the next, until some of
    // what is held is freed.
    #[test]
    fn pages_stay_for_a_packet_that_took_none() {
        let mut tp = idle_sock();
        for (held, left) in [(2304, 1792), (2304, 5888), (2304, 5888)] {
            if tp.settle_forward_alloc() < 2304 {
                tp.rmem_schedule(2304);
            }
            tp.rmem_alloc = held;
            assert_eq!(tp.settle_forward_alloc(), left);
        }
        tp.rmem_alloc = 0;
        assert_eq!(tp.settle_forward_alloc(), 0);
    }
}
