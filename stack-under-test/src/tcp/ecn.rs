//! Explicit congestion notification (RFC 3168; `tcp_ecn_*` of Linux 6.12).

use super::segment::{RETRANS, TxSegment};
use super::sock::TcpSock;
use crate::stack::Stack;
use crate::wire::tcp::{ACK, CWR, ECE, SYN};

/// ECT(0) in the two lowest bits of the TOS.
pub(crate) const INET_ECN_ECT_0: u8 = 2;
const INET_ECN_CE: u8 = 3;

impl Stack {
    /// `tcp_ecn_send`: sets the flags of a segment that goes out; gives the codepoint of its IP header.
    pub(crate) fn tcp_ecn_send(&mut self, tp: &mut TcpSock, flags: &mut u8, segment: &TxSegment) -> u8 {
        let _ = self;
        if !tp.ecn_ok || segment.flags & SYN != 0 {
            return 0;
        }
        let mut ect = 0;
        // Only new data is marked: a retransmission or a plain ACK is not.
        if segment.len > 0 && segment.sacked & RETRANS == 0 && !super::seq::before(segment.seq, tp.snd_nxt) {
            ect = INET_ECN_ECT_0;
            if core::mem::take(&mut tp.ecn_queue_cwr) {
                *flags |= CWR;
            }
        }
        if tp.ecn_demand_cwr && *flags & ACK != 0 {
            *flags |= ECE;
        }
        ect
    }

    /// `tcp_ecn_check_ce`: how the IP header of received data was marked, the two lowest bits of its TOS.
    pub(crate) fn tcp_ecn_check_ce(&mut self, tp: &mut TcpSock, ecn: u8) {
        self.trace.function(0, "tcp_ecn_check_ce");
        if !tp.ecn_ok {
            return;
        }
        match ecn {
            0 if tp.ecn_seen => Self::tcp_enter_quickack_mode(tp, 2),
            0 => {}
            INET_ECN_CE => {
                if !tp.ecn_demand_cwr {
                    // The sender should know at once.
                    Self::tcp_enter_quickack_mode(tp, 2);
                    tp.ecn_demand_cwr = true;
                }
                tp.ecn_seen = true;
            }
            _ => tp.ecn_seen = true,
        }
    }

    /// `tcp_ecn_accept_cwr`: the peer reduced its window.
    pub(crate) fn tcp_ecn_accept_cwr(tp: &mut TcpSock, flags: u8, has_data: bool) {
        if flags & CWR != 0 {
            tp.ecn_demand_cwr = false;
            if has_data {
                tp.ack.now = true;
            }
        }
    }
}
