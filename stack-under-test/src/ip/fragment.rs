//! Cutting a packet that is larger than the MTU: `ip_fragment` and `ip_do_fragment` (Linux 6.12; RFC 791, section 3.2).
//!
//! A datagram of our own comes as a list of fragments to be, and only needs headers. Any other packet is cut into packets
//! that refer to its bytes.

use super::SendError;
use crate::drop_reason::DropReason;
use crate::errno::Errno;
use crate::mib::Counter;
use crate::skb::{Dst, Skb, SkbQueue};
use crate::stack::Stack;
use crate::wire::icmpv4::ICMP_FRAG_NEEDED;

const DF: u16 = 0x4000;
const MF: u16 = 0x2000;

impl Stack {
    /// Cuts `skb` into packets that fit `dst`, and sends each.
    ///
    /// # Errors
    /// EMSGSIZE when DF forbids it (the sender learns it by ICMP too); else that of the first fragment that failed, and
    /// the rest is dropped.
    #[cold]
    pub(crate) fn ip_fragment(&mut self, skb: Skb, dst: &Dst) -> Result<(), SendError> {
        let meta = &self.skbs[&skb];
        let packet = meta.packet;
        self.trace.function(packet, "ip_fragment");
        let ip = self.skbs.header(&skb, meta.network_header);
        let df = u16::from_be_bytes([ip[6], ip[7]]) & DF != 0;
        if df && !meta.ignore_df {
            self.mib.inc(Counter::IpFragFails);
            self.icmp_send_unreachable(&skb, ICMP_FRAG_NEEDED, dst.mtu);
            self.skbs.drop(&mut self.trace, skb, DropReason::PktTooBig);
            return Err(SendError::Errno(Errno::EMSGSIZE));
        }
        self.trace.function(packet, "ip_do_fragment");
        let mut fragments = match self.split(skb, dst) {
            Ok(fragments) => fragments,
            Err(skb) => {
                self.mib.inc(Counter::IpFragFails);
                self.skbs.drop(&mut self.trace, skb, DropReason::NoMem);
                return Err(SendError::Errno(Errno::ENOMEM));
            }
        };
        while let Some(fragment) = fragments.pop_front(&mut self.skbs) {
            self.mib.add(Counter::IpExtOutOctets, self.skbs[&fragment].len());
            if let Err(error) = self.ip_finish_output2::<true>(fragment, *dst) {
                self.mib.inc(Counter::IpFragFails);
                self.skbs.purge(&mut self.trace, &mut fragments, DropReason::NotSpecified);
                return Err(error);
            }
            self.mib.inc(Counter::IpFragCreates);
        }
        self.mib.inc(Counter::IpFragOks);
        Ok(())
    }

    fn split(&mut self, skb: Skb, dst: &Dst) -> Result<SkbQueue, Skb> {
        let fits = |stack: &Self, skb: &Skb| stack.skbs[skb].len() <= dst.mtu as usize;
        if self.skbs.has_frag_list(&skb) {
            let list = self.skbs.take_frag_list(&skb);
            if fits(self, &skb) {
                return Ok(self.dress_list(skb, list));
            }
            let mut list = list;
            self.skbs.set_frag_list(&skb, &mut list);
        }
        self.cut(skb, dst.mtu as usize)
    }

    /// The list was built as fragments: the header of the first goes before each.
    fn dress_list(&mut self, head: Skb, mut list: SkbQueue) -> SkbQueue {
        let meta = &self.skbs[&head];
        let (parent, network_header, mut offset) = (meta.packet, meta.network_header, meta.len());
        let ip = self.skbs.header(&head, network_header);
        let header_bytes = usize::from(ip[0] & 0xf) * 4;
        let mut header = [0; 60];
        header[..header_bytes].copy_from_slice(&ip[..header_bytes]);
        offset -= header_bytes;
        let mut out = SkbQueue::default();
        self.set_fragment(&head, 0, true);
        self.ip_send_check(&head);
        out.push_back(&mut self.skbs, head);
        while let Some(part) = list.pop_front(&mut self.skbs) {
            let bytes = self.skbs[&part].len();
            self.skbs.push(&part, header_bytes).copy_from_slice(&header[..header_bytes]);
            let packet = self.trace.derived(parent);
            let meta = &mut self.skbs[&part];
            meta.network_header = meta.data_offset();
            meta.packet = packet;
            self.set_fragment(&part, offset, !list.is_empty());
            self.ip_send_check(&part);
            offset += bytes;
            out.push_back(&mut self.skbs, part);
        }
        out
    }

    /// Cuts a packet that was not built for this MTU: each fragment has a header of its own and refers to the bytes.
    fn cut(&mut self, skb: Skb, mtu: usize) -> Result<SkbQueue, Skb> {
        let meta = &self.skbs[&skb];
        let (parent, dst, priority, mark) = (meta.packet, meta.dst, meta.priority, meta.mark);
        let ip = self.skbs.header(&skb, meta.network_header);
        let header_bytes = usize::from(ip[0] & 0xf) * 4;
        let was_offset = usize::from(u16::from_be_bytes([ip[6], ip[7]]) & 0x1fff) * 8;
        let was_more = u16::from_be_bytes([ip[6], ip[7]]) & MF != 0;
        let mut header = [0; 60];
        header[..header_bytes].copy_from_slice(&ip[..header_bytes]);
        let total = meta.len() - header_bytes;
        let room = (mtu - header_bytes) & !7;
        let mut out = SkbQueue::default();
        let mut at = 0;
        while at < total {
            let take = room.min(total - at);
            let Some(fragment) = self.refer(&skb, header_bytes + at, take) else {
                self.skbs.purge(&mut self.trace, &mut out, DropReason::NoMem);
                return Err(skb);
            };
            self.skbs.push(&fragment, header_bytes).copy_from_slice(&header[..header_bytes]);
            let packet = self.trace.derived(parent);
            let meta = &mut self.skbs[&fragment];
            meta.network_header = meta.data_offset();
            (meta.packet, meta.dst, meta.priority, meta.mark) = (packet, dst, priority, mark);
            self.set_fragment(&fragment, was_offset + at, was_more || at + take < total);
            self.ip_send_check(&fragment);
            out.push_back(&mut self.skbs, fragment);
            at += take;
        }
        self.skbs.consume(&mut self.trace, skb);
        Ok(out)
    }

    /// A packet without headers that refers to `len` bytes of another, from `skip` on. `None` when memory is out.
    fn refer(&mut self, skb: &Skb, skip: usize, len: usize) -> Option<Skb> {
        let out = self.skbs.alloc()?;
        let pieces = self.skbs.pieces(skb, skip, len);
        for piece in pieces {
            self.skbs.get_buf(piece.buf);
            if !self.skbs.add_frag(&out, piece) {
                self.skbs.put_buf(piece.buf);
                self.skbs.drop(&mut self.trace, out, DropReason::NoMem);
                return None;
            }
        }
        Some(out)
    }

    /// Sets the offset (bytes) and the MF bit in a packet's IP header; DF stays as it was.
    fn set_fragment(&mut self, skb: &Skb, offset: usize, more: bool) {
        let network_header = self.skbs[skb].network_header;
        let ip = self.skbs.header_mut(skb, network_header);
        let df = u16::from_be_bytes([ip[6], ip[7]]) & DF;
        let field = df | (offset / 8) as u16 | if more { MF } else { 0 };
        ip[6..8].copy_from_slice(&field.to_be_bytes());
    }
}
