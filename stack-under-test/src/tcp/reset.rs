//! Segments that no full socket sends: resets and bare ACKs (`tcp_v4_send_reset`, `tcp_v4_send_ack`, Linux 6.12).

use super::hash::Tuple;
use super::input::Incoming;
use super::options::OutOptions;
use super::sock::TcpSock;
use crate::mib::Counter;
use crate::route::{FlowKey, RouteKind};
use crate::stack::Stack;
use crate::wire::ipv4::IPPROTO_TCP;
use crate::wire::tcp::{ACK, HEADER_BYTES, RST, Tcp};

/// An ACK for a request or a record of TIME-WAIT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BareAck {
    pub(crate) tuple: Tuple,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) window: u16,
    /// What is echoed, where timestamps were agreed on.
    pub(crate) ts_recent: Option<u32>,
    /// What is added to the clock of its own.
    pub(crate) tsoffset: u32,
}

impl Stack {
    /// `tcp_v4_send_reset`: the answer to a segment that belongs to nothing (RFC 9293, section 3.10.7.1).
    pub(crate) fn tcp_send_reset(&mut self, seg: &Incoming) {
        if seg.has(RST) || self.fib.addr_type(seg.daddr) != RouteKind::Local {
            return;
        }
        self.trace.function(seg.packet, "tcp_v4_send_reset");
        let (seq, ack, flags) = if seg.has(ACK) { (seg.ack, 0, RST) } else { (0, seg.end_seq, RST | ACK) };
        let tuple = seg.tuple();
        let header = Tcp {
            sport: tuple.lport,
            dport: tuple.rport,
            seq,
            ack,
            header_len: HEADER_BYTES as u8,
            flags,
            window: 0,
            urgent: 0,
        };
        self.mib.inc(Counter::TcpOutRsts);
        self.tcp_send_unicast_reply(&tuple, &header, &OutOptions::default());
    }

    /// `tcp_v4_send_ack`.
    #[inline(always)]
    pub(crate) fn tcp_send_bare_ack(&mut self, ack: &BareAck) {
        self.trace.function(0, "tcp_v4_send_ack");
        let now_ms = self.tcp_time_stamp().wrapping_add(ack.tsoffset);
        let options =
            OutOptions { tstamp: ack.ts_recent.map(|recent| (now_ms, recent)), ..OutOptions::default() };
        let header = Tcp {
            sport: ack.tuple.lport,
            dport: ack.tuple.rport,
            seq: ack.seq,
            ack: ack.ack,
            header_len: (HEADER_BYTES + options.len()) as u8,
            flags: ACK,
            window: ack.window,
            urgent: 0,
        };
        self.tcp_send_unicast_reply(&ack.tuple, &header, &options);
    }

    /// `ip_send_unicast_reply`.
    #[inline(always)]
    fn tcp_send_unicast_reply(&mut self, tuple: &Tuple, header: &Tcp, options: &OutOptions) {
        let key = FlowKey {
            dst: tuple.raddr,
            src: Some(tuple.laddr),
            protocol: IPPROTO_TCP,
            sport: tuple.lport,
            dport: tuple.rport,
            ..FlowKey::default()
        };
        let Ok(route) = self.route_output(&key) else { return };
        self.mib.inc(Counter::TcpOutSegs);
        let flow = self.tcp_bare_flow(tuple, &route, 0);
        let packet = self.trace.made(&[], 0);
        if let Ok(skb) = self.tcp_make_skb(&flow, header, options, &[], packet) {
            let len = self.skbs[&skb].len();
            let _ = self.ip_local_out_by(skb, &flow.dst, len);
        }
    }

    /// `tcp_send_active_reset`: we give a connection up.
    pub(crate) fn tcp_send_active_reset(&mut self, tp: &mut TcpSock) {
        self.trace.function(0, "tcp_send_active_reset");
        self.mib.inc(Counter::TcpOutRsts);
        let seq = tp.snd_nxt_for_ack();
        self.tcp_send_plain(tp, seq, ACK | RST);
    }
}
