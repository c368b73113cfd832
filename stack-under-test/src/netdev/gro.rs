//! Generic receive offload: segments of one TCP connection that come in one after the other go up as one packet
//! (`napi_gro_receive`, `dev_gro_receive`, `inet_gro_receive`, `tcp_gro_receive` of Linux 6.12).
//!
//! A packet is held until one comes that ends it, and no longer than the poll that took it in. What merges refers to the
//! buffers of the frames: nothing is copied. Linux goes on with a list of packets when the pieces are full; here the packet
//! is handed up then.

use super::features::Features;
use crate::skb::pool::SKB_DESCRIPTION_BYTES;
use crate::skb::{Frag, GsoType, IpSummed, MAX_SKB_FRAGS, Skb, SkbPool};
use crate::stack::Stack;
use crate::wire::checksum::{Checksum, checksum, checksum_with};
use crate::wire::ethernet::HEADER_BYTES as ETH_BYTES;
use crate::wire::ipv4::IPPROTO_TCP;
use alloc::vec::Vec;

/// `MAX_GRO_SKBS`: packets that are held at a time.
const HELD_MAX: usize = 8;
/// `GRO_LEGACY_MAX_SIZE`: a packet with its link header stays below, in bytes.
const SIZE_MAX: usize = 65_536;
const IP_BYTES: usize = 20;
/// Where the TCP header begins: IP options are not merged.
const TCP_AT: usize = ETH_BYTES + IP_BYTES;
const DF: u16 = 0x4000;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const URG: u8 = 0x20;
const CWR: u8 = 0x80;

/// The headers of a TCP segment without IP options, at the start of a frame.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Bytes of all headers.
    headers: usize,
    /// Bytes behind them.
    payload: usize,
    flags: u8,
    seq: u32,
    id: u16,
    /// The IP header's flags.
    frag: u16,
    /// The frame is as long as the IP header says: nothing pads it.
    whole: bool,
}

/// A packet that waits for more of its connection.
#[derive(Debug)]
pub(crate) struct Held {
    skb: Skb,
    /// Its headers, which begin as those of the first frame; its payload is that of all frames.
    first: Segment,
    /// Frames in it.
    count: u16,
    /// The payload of the first frame, which no other passes.
    mss: usize,
    /// All frames have the same identification.
    fixed_id: bool,
}

/// The packets that the running poll holds: `napi->gro_hash`, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Gro {
    held: Vec<Held>,
}

/// The headers of a frame of TCP without any options.
type Headers = [u8; TCP_AT + 20];

#[inline(always)]
fn be16(bytes: &Headers, at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline(always)]
fn be32(bytes: &Headers, at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl Segment {
    /// Reads the headers of a frame; `None` when it is not TCP over IPv4 without options, a fragment, or wrong.
    #[inline]
    fn of(linear: &[u8], len: usize) -> Option<Self> {
        let frame: &Headers = linear.first_chunk()?;
        if frame[12..15] != [0x08, 0, 0x45] || frame[ETH_BYTES + 9] != IPPROTO_TCP {
            return None;
        }
        let headers = TCP_AT + usize::from(frame[TCP_AT + 12] >> 4) * 4;
        if headers < TCP_AT + 20 || headers > linear.len() || checksum(&frame[ETH_BYTES..TCP_AT]) != 0 {
            return None;
        }
        let frag = be16(frame, ETH_BYTES + 6);
        if frag & !DF != 0 {
            return None;
        }
        Some(Self {
            headers,
            payload: len - headers,
            flags: frame[TCP_AT + 13],
            seq: be32(frame, TCP_AT + 4),
            id: be16(frame, ETH_BYTES + 4),
            frag,
            whole: usize::from(be16(frame, ETH_BYTES + 2)) == len - ETH_BYTES,
        })
    }
}

/// Whether two frames are of one connection: link header, addresses, ports.
#[inline(always)]
fn same_flow(a: &[u8], b: &[u8]) -> bool {
    let (Some(a), Some(b)) = (a.first_chunk(), b.first_chunk()) else { return false };
    let (a, b): (&Headers, &Headers) = (a, b);
    // Addresses and ports lie behind one another.
    a[ETH_BYTES + 12..TCP_AT + 4] == b[ETH_BYTES + 12..TCP_AT + 4] && a[..ETH_BYTES] == b[..ETH_BYTES]
}

/// Makes a piece of another packet one of this packet, beside it.
#[inline]
fn merge_piece(skbs: &mut SkbPool, skb: &Skb, piece: Frag) {
    skbs.get_buf(piece.buf);
    let added = skbs.add_frag(skb, piece);
    debug_assert!(added, "the caller counted the pieces");
}

impl Stack {
    /// `napi_gro_receive`: takes a frame from the driver, and hands it up now, later, or as a part of another.
    #[inline(never)]
    pub(crate) fn napi_gro_receive(&mut self, skb: Skb) {
        self.trace_skb::<true>(&skb, "napi_gro_receive");
        if !self.dev.has(Features::GRO) {
            return self.netif_receive_skb(skb);
        }
        self.trace_skb::<true>(&skb, "dev_gro_receive");
        if self.gro.held.is_empty()
            && self.skbs[&skb].vlan_tci.is_none()
            && let Some(seg) = &self.tcp_v4_early_parse(&skb)
        {
            // There is nothing to merge with, and nothing to hold.
            self.trace_skb::<true>(&skb, "tcp_gro_receive");
            return self.tcp_v4_early_rcv(skb, seg);
        }
        self.dev_gro_receive(skb);
    }

    #[inline(never)]
    fn dev_gro_receive(&mut self, skb: Skb) {
        match Segment::of(self.skbs.linear(&skb), self.skbs[&skb].len()) {
            Some(segment) => self.tcp_gro_receive(skb, &segment),
            None if self.vlan_untag_frame(&skb) => self.dev_gro_receive(skb),
            None => self.netif_receive_skb(skb),
        }
    }

    /// `tcp_gro_receive`, and what `dev_gro_receive` does with its answer.
    #[inline(always)]
    fn tcp_gro_receive(&mut self, skb: Skb, segment: &Segment) {
        self.trace_skb::<true>(&skb, "tcp_gro_receive");
        let (found, good, merges) = self.gro_judge(&skb, segment);
        if good {
            let meta = &mut self.skbs[&skb];
            if meta.ip_summed == IpSummed::None {
                meta.ip_summed = IpSummed::Unnecessary;
            }
        }
        let ends = segment.flags & (URG | PSH | RST | SYN | FIN) != 0;
        if let Some(at) = found {
            if merges {
                let short = segment.payload < self.gro.held[at].mss;
                self.gro_merge(at, skb, segment);
                if short || ends {
                    self.gro_complete(at);
                }
                return;
            }
            // Whatever is not a part of the held packet comes behind it.
            self.gro_complete(at);
        }
        if !good || ends || segment.payload == 0 {
            return self.netif_receive_skb(skb);
        }
        self.hold(skb, segment);
    }

    fn hold(&mut self, skb: Skb, segment: &Segment) {
        if self.gro.held.len() >= HELD_MAX {
            self.gro_complete(0);
        }
        self.gro.held.push(Held { skb, first: *segment, count: 1, mss: segment.payload, fixed_id: false });
    }

    /// Which held packet a segment belongs to, whether it may be merged at all, and whether it continues that packet.
    #[inline(always)]
    fn gro_judge(&self, skb: &Skb, segment: &Segment) -> (Option<usize>, bool, bool) {
        let frame = self.skbs.linear(skb);
        let tag = self.skbs[skb].vlan_tci;
        let found = self.gro.held.iter().position(|held| {
            same_flow(self.skbs.linear(&held.skb), frame) && self.skbs[&held.skb].vlan_tci == tag
        });
        let good = segment.whole && self.gro_checksum_ok(skb, frame);
        let merges = good && found.is_some_and(|at| self.gro_fits(&self.gro.held[at], skb, frame, segment));
        (found, good, merges)
    }

    /// `skb_gro_checksum_validate`: what the device did not vouch for is added up; a wrong one is not merged.
    #[inline(always)]
    fn gro_checksum_ok(&self, skb: &Skb, frame: &[u8]) -> bool {
        let meta = &self.skbs[skb];
        if meta.ip_summed != IpSummed::None {
            return true;
        }
        // The addresses of the pseudo-header lie just before the TCP header.
        let words = u16::from(IPPROTO_TCP) + (meta.len() - TCP_AT) as u16;
        match frame.get(TCP_AT - 8..) {
            Some(bytes) if frame.len() == meta.len() => checksum_with(bytes, words) == 0,
            _ => self.gro_checksum_pieces(skb, words),
        }
    }

    #[inline(never)]
    fn gro_checksum_pieces(&self, skb: &Skb, words: u16) -> bool {
        let mut sum = Checksum::starting_with(words);
        self.skbs.for_each_run(skb, TCP_AT - 8, &mut |run| sum.add(run));
        sum.finish() == 0
    }

    /// Whether a segment continues a packet: the next bytes, the same acknowledgement, window, options, flags, TTL, TOS and DF, an
    /// identification that counts on (or with DF stays), not longer than the first, and room for it.
    #[inline(always)]
    fn gro_fits(&self, held: &Held, skb: &Skb, b: &[u8], segment: &Segment) -> bool {
        let a = self.skbs.linear(&held.skb);
        let first = &held.first;
        let (Some(x), Some(y)) = (a.first_chunk(), b.first_chunk()) else { return false };
        let (x, y): (&Headers, &Headers) = (x, y);
        let later = segment.id.wrapping_sub(first.id);
        let fixed = held.fixed_id || (held.count == 1 && segment.frag & DF != 0 && later == 0);
        let ip = x[ETH_BYTES + 1] == y[ETH_BYTES + 1]
            && x[ETH_BYTES + 8] == y[ETH_BYTES + 8]
            && first.frag == segment.frag
            && later == if fixed { 0 } else { held.count };
        let flags = (first.flags ^ segment.flags) & !(CWR | FIN | PSH) == 0 && segment.flags & CWR == 0;
        // Acknowledgement and offset; window; options.
        let tcp = x[TCP_AT + 8..TCP_AT + 13] == y[TCP_AT + 8..TCP_AT + 13]
            && x[TCP_AT + 14..TCP_AT + 16] == y[TCP_AT + 14..TCP_AT + 16]
            && a[TCP_AT + 20..first.headers] == b[TCP_AT + 20..segment.headers];
        let pieces = self.skbs[&held.skb].nr_frags() + 1 + self.skbs[skb].nr_frags();
        ip && flags
            && tcp
            && (1..=held.mss).contains(&segment.payload)
            && first.seq.wrapping_add(first.payload as u32) == segment.seq
            && self.skbs[&held.skb].len() + segment.payload < SIZE_MAX
            && pieces <= MAX_SKB_FRAGS
    }

    /// `skb_gro_receive`: the payload of `skb` becomes pieces of the held packet, which takes over FIN and PSH.
    fn gro_merge(&mut self, at: usize, skb: Skb, segment: &Segment) {
        let truesize = self.skbs[&skb].truesize.saturating_sub(SKB_DESCRIPTION_BYTES);
        let held = &mut self.gro.held[at];
        held.fixed_id |= held.count == 1 && held.first.id == segment.id;
        held.first.payload += segment.payload;
        held.count += 1;
        let meta = &self.skbs[&skb];
        if meta.headlen() == segment.headers + segment.payload {
            let piece = Frag {
                buf: meta.head,
                offset: meta.data_offset() + segment.headers as u16,
                len: segment.payload as u16,
            };
            merge_piece(&mut self.skbs, &held.skb, piece);
        } else {
            for piece in self.skbs.pieces(&skb, segment.headers, segment.payload) {
                merge_piece(&mut self.skbs, &held.skb, piece);
            }
        }
        self.skbs[&held.skb].truesize += truesize;
        self.skbs.linear_mut(&held.skb)[TCP_AT + 13] |= segment.flags & (FIN | PSH);
        self.skbs.consume(&mut self.trace, skb);
    }

    /// `napi_gro_complete`: hands a held packet up.
    fn gro_complete(&mut self, at: usize) {
        self.gro_seal(at);
        let Held { skb, .. } = self.gro.held.remove(at);
        self.netif_receive_skb(skb);
    }

    /// `inet_gro_complete`, `tcp_gro_complete`: a held packet that something merged into becomes a large one.
    fn gro_seal(&mut self, at: usize) {
        let Held { skb, count, mss, .. } = &self.gro.held[at];
        if *count > 1 {
            let total = (self.skbs[skb].len() - ETH_BYTES) as u16;
            let frame = self.skbs.linear_mut(skb);
            let cwr = frame[TCP_AT + 13] & CWR != 0;
            let ip = &mut frame[ETH_BYTES..TCP_AT];
            ip[2..4].copy_from_slice(&total.to_be_bytes());
            ip[10..12].fill(0);
            let check = checksum(ip).to_be_bytes();
            ip[10..12].copy_from_slice(&check);
            let meta = &mut self.skbs[skb];
            (meta.gso_size, meta.gso_segs) = (*mss as u16, *count);
            meta.gso_type = if cwr { GsoType::TCPV4.with(GsoType::TCP_ECN) } else { GsoType::TCPV4 };
            meta.ip_summed = IpSummed::Unnecessary;
        }
    }

    /// `napi_gro_flush`: the poll is over, and what is held goes up, the oldest first.
    #[inline(always)]
    pub(crate) fn napi_gro_flush(&mut self) {
        if !self.gro.held.is_empty() {
            self.napi_gro_flush_all();
        }
    }

    #[inline(never)]
    fn napi_gro_flush_all(&mut self) {
        while !self.gro.held.is_empty() {
            self.gro_complete(0);
        }
    }
}

#[cfg(test)]
mod tests;
