//! `__skb_gso_segment`: what the device cannot cut is cut here, just above the driver (Linux 6.12, `net/core/gso.c`,
//! `inet_gso_segment`, `tcp_gso_segment`, `__udp_gso_segment`).
//!
//! Each segment is a whole packet: lengths, identification, sequence number, flags, and its checksum, which is left to the
//! device or added up.

use super::features::Features;
use crate::skb::{IpSummed, Skb, SkbQueue};
use crate::stack::Stack;
use crate::wire::checksum::{Checksum, checksum, checksum_of_two, fold, header_checksum, pseudo_header};
use crate::wire::ipv4::{IPPROTO_TCP, IPPROTO_UDP};
use core::net::Ipv4Addr;

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;
/// Bytes of a UDP header.
const UDP_BYTES: usize = 8;

/// A large packet, as the segments that are made of it need it.
struct Large {
    udp: bool,
    saddr: Ipv4Addr,
    daddr: Ipv4Addr,
    id: u16,
    /// Where the IP header begins, from the start of the data.
    l3: usize,
    /// Bytes of the IP header.
    ip_bytes: usize,
    /// Where the payload begins, from the start of the data.
    header_len: usize,
    /// The segment size.
    mss: usize,
    /// The checksum field, and the length that was summed into it when it is a seed.
    seed: Option<(u16, usize)>,
    /// TCP: the sequence number of the first byte.
    seq: u32,
    /// UDP: the sender wants no checksum.
    no_check: bool,
}

impl Large {
    fn l4(&self) -> usize {
        self.l3 + self.ip_bytes
    }

    /// Reads the headers of a packet that begins with its link or IP header; `None` when it cannot be cut.
    fn of(stack: &Stack, skb: &Skb) -> Option<Self> {
        let meta = &stack.skbs[skb];
        let data = stack.skbs.linear(skb);
        let l3 = usize::from(meta.network_header.checked_sub(meta.data_offset())?);
        let ip = data.get(l3..)?;
        let ip_bytes = usize::from(ip.first()? & 0xf) * 4;
        let l4 = ip.get(ip_bytes..).filter(|_| ip_bytes >= 20)?;
        let udp = match ip[9] {
            IPPROTO_TCP => false,
            IPPROTO_UDP => true,
            _ => return None,
        };
        let (l4_bytes, field) = if udp { (UDP_BYTES, 6) } else { (usize::from(l4.get(12)? >> 4) * 4, 16) };
        if l4.len() < l4_bytes || (!udp && l4_bytes < 20) {
            return None;
        }
        let [field, ..] = [u16::from_be_bytes([l4[field], l4[field + 1]])];
        let partial = meta.ip_summed == IpSummed::Partial;
        let address = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]);
        Some(Self {
            udp,
            saddr: address(12),
            daddr: address(16),
            id: u16::from_be_bytes([ip[4], ip[5]]),
            l3,
            ip_bytes,
            header_len: l3 + ip_bytes + l4_bytes,
            mss: usize::from(meta.gso_size),
            seed: partial.then(|| (field, meta.len() - l3 - ip_bytes)),
            seq: u32::from_be_bytes([l4[4], l4[5], l4[6], l4[7]]),
            no_check: udp && field == 0 && !partial,
        })
    }

    /// The seed of a segment whose transport header and payload have `len` bytes: the packet's own, with another length;
    /// one that carries no seed gets a new one.
    fn seed(&self, len: usize) -> u16 {
        match self.seed {
            Some((seed, was)) => fold(u64::from(seed) + u64::from(!fold(was as u64)) + u64::from(len as u16)),
            None => {
                let protocol = if self.udp { IPPROTO_UDP } else { IPPROTO_TCP };
                pseudo_header(self.saddr, self.daddr, protocol, len as u16)
            }
        }
    }
}

impl Stack {
    /// Cuts a large packet into packets of `gso_size` bytes of payload, for a device with `features`. The packet is gone
    /// then.
    ///
    /// # Errors
    /// With the packet, when memory is out, or when its headers are not those of TCP or UDP over IPv4.
    pub(crate) fn skb_gso_segment(&mut self, skb: Skb, features: Features) -> Result<SkbQueue, Skb> {
        let packet = self.skbs[&skb].packet;
        self.trace.function(packet, "__skb_gso_segment");
        let Some(large) = Large::of(self, &skb) else { return Err(skb) };
        self.trace.function(packet, if large.udp { "__udp_gso_segment" } else { "tcp_gso_segment" });
        self.trace.function(packet, "skb_segment");
        let gather = features.contains(Features::SG);
        let Some(mut cut) = self.skbs.skb_segment(&skb, large.header_len, large.mss, gather) else {
            return Err(skb);
        };
        let count = cut.len();
        let mut segments = SkbQueue::default();
        let mut n = 0;
        // All segments but the last have one length, and so one seed.
        let full_len = large.header_len - large.l4() + large.mss;
        let full_seed = large.seed(full_len);
        while let Some(segment) = cut.pop_front(&mut self.skbs) {
            self.skbs[&segment].packet = self.trace.derived(packet);
            let l4_len = self.skbs[&segment].len() - large.l4();
            let seed = if l4_len == full_len { full_seed } else { large.seed(l4_len) };
            self.dress_segment(&segment, &large, seed, (n, n + 1 == count));
            if !features.contains(Features::HW_CSUM) && !large.no_check {
                self.skb_checksum_help(&segment);
            }
            self.skbs.charge_segment(&skb, &segment);
            segments.push_back(&mut self.skbs, segment);
            n += 1;
        }
        self.skbs.consume(&mut self.trace, skb);
        Ok(segments)
    }

    /// Makes the copied headers those of segment `n`.
    fn dress_segment(&mut self, segment: &Skb, large: &Large, seed: u16, (n, is_last): (usize, bool)) {
        let len = self.skbs[segment].len();
        let l4_len = len - large.l4();
        let data = self.skbs.linear_mut(segment);
        let (ip, l4) = data[large.l3..].split_at_mut(large.ip_bytes);
        ip[2..4].copy_from_slice(&((len - large.l3) as u16).to_be_bytes());
        ip[4..6].copy_from_slice(&large.id.wrapping_add(n as u16).to_be_bytes());
        ip[10..12].fill(0);
        let check = header_checksum(ip).to_be_bytes();
        ip[10..12].copy_from_slice(&check);
        let seed = seed.to_be_bytes();
        if large.udp {
            l4[4..6].copy_from_slice(&(l4_len as u16).to_be_bytes());
            if !large.no_check {
                l4[6..8].copy_from_slice(&seed);
            }
        } else {
            let seq = large.seq.wrapping_add((n * large.mss) as u32);
            l4[4..8].copy_from_slice(&seq.to_be_bytes());
            let last = if is_last { 0 } else { FIN | PSH };
            let later = if n == 0 { 0 } else { CWR };
            l4[13] &= !(last | later);
            l4[16..18].copy_from_slice(&seed);
        }
        let meta = &mut self.skbs[segment];
        meta.ip_summed = if large.no_check { IpSummed::None } else { IpSummed::Partial };
        meta.transport_header = meta.data_offset() + large.l4() as u16;
        meta.csum_start = meta.transport_header;
        meta.csum_offset = if large.udp { 6 } else { 16 };
    }

    /// `skb_checksum_help`: adds up the checksum that was left to the device.
    #[inline(never)]
    pub(crate) fn skb_checksum_help(&mut self, skb: &Skb) {
        let meta = &mut self.skbs[skb];
        if meta.ip_summed != IpSummed::Partial {
            return;
        }
        let (start, at) = (meta.csum_start, usize::from(meta.csum_offset));
        let Some(skip) = start.checked_sub(meta.data_offset()) else { return };
        meta.ip_summed = IpSummed::None;
        let check =
            if meta.headlen() == meta.len() { None } else { Some(self.skb_checksum_pieces(skb, skip)) };
        let bytes = self.skbs.header_mut(skb, start);
        let check = check.unwrap_or_else(|| checksum(bytes));
        // UDP says "none" with zero; for any other the two zeros are the same.
        let check = if at == 6 && check == 0 { 0xffff } else { check };
        if let Some(field) = bytes.get_mut(at..at + 2) {
            field.copy_from_slice(&check.to_be_bytes());
        }
    }

    /// `skb_checksum`, inverted: of a packet in pieces, from `skip` on.
    #[inline(always)]
    fn skb_checksum_pieces(&self, skb: &Skb, skip: u16) -> u16 {
        let meta = &self.skbs[skb];
        let mut sum = Checksum::default();
        if usize::from(skip) <= meta.headlen() && !self.skbs.has_frag_list(skb) {
            let (linear, frags) = (self.skbs.header(skb, meta.csum_start), self.skbs.frags(skb));
            if let [frag] = frags
                && linear.len().is_multiple_of(2)
            {
                return checksum_of_two(linear, self.skbs.frag_bytes(frag));
            }
            sum.add(linear);
            for frag in frags {
                sum.add(self.skbs.frag_bytes(frag));
            }
        } else {
            self.skbs.for_each_run(skb, usize::from(skip), &mut |run| sum.add(run));
        }
        sum.finish()
    }
}

#[cfg(test)]
mod tests;
