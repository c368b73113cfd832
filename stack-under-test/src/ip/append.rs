//! Building a datagram out of an application's bytes: `ip_append_data` and `ip_make_skb` (Linux 6.12).
//!
//! The bytes are copied once, into the packets that will leave. A datagram larger than the MTU is built as the fragments
//! it will be cut into, so that cutting copies nothing: the first packet carries the others as its list.

use super::Flow;
use crate::errno::Errno;
use crate::skb::datagram::LINK_RESERVE;
use crate::skb::pool::truesize;
use crate::skb::{IpSummed, MAX_HEADER, PAGE_BYTES, Skb, SkbQueue};
use crate::stack::Stack;
use crate::wire::checksum::{fold, fold_small, sum};
use crate::wire::ipv4::HEADER_BYTES;

/// What a linear buffer holds of a packet, link header aside.
const LINEAR_MAX: usize = crate::skb::HEAD_BYTES - MAX_HEADER;

impl Stack {
    /// Builds a packet, or a list of fragments to be, of `header` (the transport header) and `payload`. The data of each
    /// begins where its IP header will go behind [`Stack::push_ip_header`].
    ///
    /// # Errors
    /// ENOBUFS when the socket's buffer cannot take the fragments, or memory is out.
    #[inline]
    pub(crate) fn ip_append_data(
        &mut self,
        flow: &Flow,
        header: &[u8],
        payload: &[u8],
    ) -> Result<Skb, Errno> {
        let mtu = flow.dst.mtu as usize;
        let total = HEADER_BYTES + header.len() + payload.len();
        if total <= mtu {
            return self.ip_append_one(flow, header, payload);
        }
        self.ip_append_fragments(flow, header, payload)
    }

    #[inline]
    fn ip_append_one(&mut self, flow: &Flow, header: &[u8], payload: &[u8]) -> Result<Skb, Errno> {
        let skb = self.skbs.alloc().ok_or(Errno::ENOBUFS)?;
        let linear = payload.len().min(LINEAR_MAX - header.len());
        self.skbs.put(&skb, header.len()).copy_from_slice(header);
        self.skbs.copy_in(&skb, &payload[..linear]);
        for page in payload[linear..].chunks(PAGE_BYTES) {
            if !self.skbs.copy_in_page(&skb, page) {
                self.skbs.drop(&mut self.trace, skb, crate::drop_reason::DropReason::NoMem);
                return Err(Errno::ENOBUFS);
            }
        }
        let asked = (HEADER_BYTES + header.len() + payload.len()) as u32 + LINK_RESERVE;
        self.ip_describe(&skb, flow, truesize(asked));
        Ok(skb)
    }

    /// A packet whose payload lies in pages alone: one that is to be cut.
    ///
    /// # Errors
    /// ENOBUFS when memory is out.
    pub(crate) fn ip_append_paged(
        &mut self,
        flow: &Flow,
        header: &[u8],
        payload: &[u8],
    ) -> Result<Skb, Errno> {
        let skb = self.skbs.alloc().ok_or(Errno::ENOBUFS)?;
        self.skbs.put(&skb, header.len()).copy_from_slice(header);
        for page in payload.chunks(PAGE_BYTES) {
            if !self.skbs.copy_in_page(&skb, page) {
                self.skbs.drop(&mut self.trace, skb, crate::drop_reason::DropReason::NoMem);
                return Err(Errno::ENOBUFS);
            }
        }
        let head = truesize((HEADER_BYTES + header.len()) as u32 + LINK_RESERVE);
        self.ip_describe(&skb, flow, head + payload.len() as u32);
        Ok(skb)
    }

    /// What the layers know of a new packet, whose data begins at its transport header.
    #[inline]
    fn ip_describe(&mut self, skb: &Skb, flow: &Flow, truesize: u32) {
        let meta = &mut self.skbs[skb];
        meta.truesize = truesize;
        meta.transport_header = meta.data_offset();
        meta.priority = flow.priority;
        meta.mark = flow.mark;
        meta.ignore_df = flow.ignore_df;
        meta.dst = Some(flow.dst);
        meta.protocol = crate::wire::ethernet::ETH_P_IP;
        meta.ip_summed = IpSummed::None;
        if flow.sk != u32::MAX {
            self.skbs.set_owner_w(skb, flow.sk);
        }
    }

    fn ip_append_fragments(&mut self, flow: &Flow, header: &[u8], payload: &[u8]) -> Result<Skb, Errno> {
        // Each fragment but the last carries a multiple of 8 bytes (RFC 791, section 3.2).
        let room = (flow.dst.mtu as usize - HEADER_BYTES) & !7;
        let first = room - header.len();
        let head = self.ip_append_one(flow, header, &payload[..first])?;
        let mut list = SkbQueue::default();
        for part in payload[first..].chunks(room) {
            let built = if self.may_charge(flow.sk) {
                self.ip_append_one(flow, &[], part)
            } else {
                Err(Errno::ENOBUFS)
            };
            match built {
                Ok(skb) => list.push_back(&mut self.skbs, skb),
                Err(errno) => {
                    let reason = crate::drop_reason::DropReason::NoMem;
                    self.skbs.purge(&mut self.trace, &mut list, reason);
                    self.skbs.drop(&mut self.trace, head, reason);
                    return Err(errno);
                }
            }
        }
        self.skbs.set_frag_list(&head, &mut list);
        Ok(head)
    }

    /// `sock_wmalloc`'s limit for the second and later fragments: twice the send buffer.
    fn may_charge(&self, sk: u32) -> bool {
        match self.sockets.at(sk) {
            Some(socket) => self.skbs.charges[sk as usize].wmem <= 2 * socket.sndbuf(),
            None => true,
        }
    }

    /// Puts the IPv4 header before the data of a packet, length and checksum included.
    #[inline]
    pub(crate) fn push_ip_header(&mut self, skb: &Skb, flow: &Flow) {
        let length = self.skbs[skb].len() + HEADER_BYTES;
        if let Some(out) = self.skbs.push(skb, HEADER_BYTES).first_chunk_mut() {
            flow.write_ip_header(out, length as u16);
        }
        let meta = &mut self.skbs[skb];
        meta.network_header = meta.data_offset();
    }
}

impl Flow {
    /// Writes the IPv4 header of a packet of `length` bytes, checksum included.
    #[inline(always)]
    pub(crate) fn write_ip_header(&self, out: &mut [u8; HEADER_BYTES], length: u16) {
        let df = if self.df { 0x4000 } else { 0 };
        let mut words = [
            0x4500_0000 | u32::from(self.tos) << 16 | u32::from(length),
            u32::from(self.id) << 16 | df,
            u32::from(self.ttl) << 24 | u32::from(self.protocol) << 16,
            self.saddr.to_bits(),
            self.daddr.to_bits(),
        ];
        let sum: u64 = words.iter().map(|word| u64::from(*word)).sum();
        words[2] |= u32::from(!fold(sum));
        for (out, word) in out.as_chunks_mut().0.iter_mut().zip(words) {
            *out = word.to_be_bytes();
        }
    }

    /// The IPv4 header of the packets of a flow, but for length, identification and checksum; and the sum of its words.
    #[inline]
    pub(crate) fn ip_header(&self) -> ([u8; HEADER_BYTES], u32) {
        let frag = if self.df { 0x40 } else { 0 };
        let mut out =
            [0x45, self.tos, 0, 0, 0, 0, frag, 0, self.ttl, self.protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        out[12..16].copy_from_slice(&self.saddr.octets());
        out[16..].copy_from_slice(&self.daddr.octets());
        (out, u32::from(sum(&out)))
    }
}

/// Fills in what [`Flow::ip_header`] leaves open, in the first bytes of `ip`; `template_sum` is the sum that it gave.
#[inline(always)]
pub(crate) fn finish_ip_header(ip: &mut [u8], template_sum: u32, length: u16, id: u16) {
    let checksum = !fold_small(template_sum + u32::from(length) + u32::from(id));
    ip[2..4].copy_from_slice(&length.to_be_bytes());
    ip[4..6].copy_from_slice(&id.to_be_bytes());
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
}
