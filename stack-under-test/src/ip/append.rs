//! Building a datagram out of an application's bytes: `ip_append_data` and `ip_make_skb` (Linux 6.12).
//!
//! The bytes are copied once, into the packets that will leave. A datagram larger than the MTU is built as the fragments
//! it will be cut into, so that cutting copies nothing: the first packet carries the others as its list.

use super::Flow;
use crate::errno::Errno;
use crate::skb::pool::truesize;
use crate::skb::{IpSummed, MAX_HEADER, PAGE_BYTES, Skb, SkbQueue};
use crate::stack::Stack;
use crate::wire::ipv4::HEADER_BYTES;

/// What Linux reserves before the IP header for the link's: 14 bytes rounded up, plus alignment (`hh_len + 15`).
const LINK_RESERVE: u32 = 16 + 15;
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
        let meta = &mut self.skbs[&skb];
        meta.truesize = truesize(asked);
        meta.transport_header = meta.data_offset();
        meta.priority = flow.priority;
        meta.mark = flow.mark;
        meta.ignore_df = flow.ignore_df;
        meta.dst = Some(flow.dst);
        meta.protocol = crate::wire::ethernet::ETH_P_IP;
        meta.ip_summed = IpSummed::None;
        if flow.sk != u32::MAX {
            self.skbs.set_owner_w(&skb, flow.sk);
        }
        Ok(skb)
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

    /// Puts the IPv4 header before the data of a packet, all but its length and checksum, which
    /// [`Stack::ip_local_out`] fills in.
    #[inline]
    pub(crate) fn push_ip_header(&mut self, skb: &Skb, flow: &Flow) {
        let out: &mut [u8; HEADER_BYTES] = self
            .skbs
            .push(skb, HEADER_BYTES)
            .try_into()
            .expect("skb_push gives as many bytes as were asked for");
        let frag = if flow.df { 0x40 } else { 0 };
        let [id0, id1] = flow.id.to_be_bytes();
        let (s, d) = (flow.saddr.octets(), flow.daddr.octets());
        *out = [
            0x45,
            flow.tos,
            0,
            0,
            id0,
            id1,
            frag,
            0,
            flow.ttl,
            flow.protocol,
            0,
            0,
            s[0],
            s[1],
            s[2],
            s[3],
            d[0],
            d[1],
            d[2],
            d[3],
        ];
        let meta = &mut self.skbs[skb];
        meta.network_header = meta.data_offset();
    }
}
