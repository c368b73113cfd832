//! The way up of a TCP segment that GRO lets pass, as one: its headers are read and verified once. A packet that is not plain (a
//! hook has chains, the frame is for another station, something is wrong, routing was not asked the same before) goes the
//! usual way, through GRO and `netif_receive_skb`, and has the same effects there. Linux's early demultiplexing saves such
//! work, too.

use crate::mib::Counter;
use crate::netfilter::Hook;
use crate::route::OifId;
use crate::route::remembered::Received;
use crate::skb::{IpSummed, PacketType, Skb};
use crate::stack::Stack;
use crate::tcp::input::Incoming;
use crate::tcp::options::ReceivedOptions;
use crate::wire::checksum::{checksum, checksum_with};
use crate::wire::ethernet::{ETH_P_IP, HEADER_BYTES as ETH_BYTES};
use crate::wire::ipv4::{HEADER_BYTES as IP_BYTES, IPPROTO_TCP};
use crate::wire::tcp::{FIN, HEADER_BYTES as TCP_BYTES, PSH, RST, SYN, Tcp, URG};
use core::net::Ipv4Addr;

/// "Don't fragment", in the IP header.
const DF: u16 = 0x4000;
/// Where the TCP header begins in the frame.
const TCP_AT: usize = ETH_BYTES + IP_BYTES;

impl Stack {
    /// Reads a frame, if it is a TCP segment that GRO neither merges nor holds: without IP options, no fragment, not padded,
    /// its checksums right, and with a flag that ends a run or without payload. `None` for any other, and for one that has to
    /// go the usual way.
    #[inline(always)]
    pub(crate) fn tcp_v4_early_parse(&self, skb: &Skb) -> Option<Incoming> {
        let meta = &self.skbs[skb];
        let bytes = self.skbs.linear(skb);
        let frame = bytes.first_chunk::<{ TCP_AT + TCP_BYTES }>()?;
        let ip: &[u8; IP_BYTES] = frame[ETH_BYTES..].first_chunk()?;
        if bytes.len() != meta.len() || frame[12..15] != [0x08, 0, 0x45] || ip[9] != IPPROTO_TCP {
            return None;
        }
        let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        let fragment = u16::from_be_bytes([ip[6], ip[7]]) & !DF;
        if total != bytes.len() - ETH_BYTES || fragment != 0 || checksum(ip) != 0 {
            return None;
        }
        let (words, flags) = (frame[TCP_AT + 12] >> 4, frame[TCP_AT + 13]);
        let headers = TCP_AT + usize::from(words) * 4;
        if headers < TCP_AT + TCP_BYTES || headers > bytes.len() {
            return None;
        }
        if headers != bytes.len() && flags & (URG | PSH | RST | SYN | FIN) == 0 {
            return None;
        }
        // The addresses of the pseudo-header lie just before the TCP header.
        let words = u16::from(IPPROTO_TCP) + (bytes.len() - TCP_AT) as u16;
        if meta.ip_summed == IpSummed::None && checksum_with(&bytes[TCP_AT - 8..], words) != 0 {
            return None;
        }
        let word = |at: usize| u32::from_be_bytes([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]]);
        let (src, dst) = (Ipv4Addr::from_bits(word(12)), Ipv4Addr::from_bits(word(16)));
        let question = Received { generation: self.fib.generation(), src, dst, tos: ip[1], iif: OifId::ETH0 };
        let chains = self.netfilter.has_chains(Hook::PreRouting) | self.netfilter.has_chains(Hook::LocalIn);
        if chains || frame[..6] != self.dev.mac() || !self.routes.is_local(&question) {
            return None;
        }
        // Not read before: what is read of a frame that is looked at closely has to be put aside meanwhile.
        let header = Tcp::of(frame[TCP_AT..].first_chunk()?);
        let payload_len = (bytes.len() - headers) as u32;
        let control = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        let mut seg = Incoming {
            header,
            options: ReceivedOptions::default(),
            saddr: src,
            daddr: dst,
            payload_len,
            gso_size: u32::from(meta.gso_size),
            end_seq: header.seq.wrapping_add(payload_len).wrapping_add(control),
            ack: header.ack,
            packet: meta.packet,
            ecn: ip[1] & 3,
        };
        seg.options.read(&bytes[TCP_AT + TCP_BYTES..headers], flags & SYN != 0);
        Some(seg)
    }

    /// Takes a frame that [`Self::tcp_v4_early_parse`] has read.
    #[inline(always)]
    pub(crate) fn tcp_v4_early_rcv(&mut self, skb: Skb, seg: &Incoming) {
        let now = self.now;
        let meta = &mut self.skbs[&skb];
        let (len, segs) = (meta.len() - ETH_BYTES, meta.gso_segs.max(1));
        meta.network_header = meta.data + ETH_BYTES as u16;
        meta.transport_header = meta.data + TCP_AT as u16;
        meta.data += TCP_AT as u16 + u16::from(seg.header.header_len);
        meta.len = seg.payload_len;
        meta.protocol = ETH_P_IP;
        meta.pkt_type = PacketType::Host;
        meta.tstamp = now;
        self.count_early(len, usize::from(segs), seg.ecn);
        if self.trace.is_on() {
            for name in ["netif_receive_skb", "ip_rcv", "ip_rcv_finish", "ip_local_deliver", "tcp_v4_rcv"] {
                self.trace.function(seg.packet, name);
            }
        }
        self.tcp_v4_demux(skb, seg, OifId::ETH0.0);
    }

    /// What the layers count that were passed.
    #[inline(always)]
    fn count_early(&mut self, len: usize, segs: usize, ecn: u8) {
        let marked = match ecn {
            0 => Counter::IpExtInNoEctPkts,
            1 => Counter::IpExtInEct1Pkts,
            2 => Counter::IpExtInEct0Pkts,
            _ => Counter::IpExtInCePkts,
        };
        self.mib.inc(Counter::IpInReceives);
        self.mib.add(Counter::IpExtInOctets, len);
        self.mib.add(marked, segs);
        self.mib.inc(Counter::IpInDelivers);
        self.mib.inc(Counter::TcpInSegs);
    }
}
