//! UDP_SEGMENT: one call, one large packet, many datagrams; and what `lo` hands up of it (Linux 6.12, `udp_send_skb`,
//! `udp_rcv_segment`).

use super::HEADER_BYTES;
use crate::errno::Errno;
use crate::ip::Flow;
use crate::netdev::features::Features;
use crate::skb::{GsoType, IpSummed, Skb};
use crate::socket::Fd;
use crate::stack::Stack;
use crate::wire::ipv4::HEADER_BYTES as IP_BYTES;

/// `UDP_MAX_SEGMENTS`: datagrams that one call may send.
pub const UDP_MAX_SEGMENTS: usize = 128;

impl Stack {
    /// What of the socket's UDP_SEGMENT holds for a send of `len` bytes: the bytes of a datagram, or 0 when one datagram
    /// takes them all.
    ///
    /// # Errors
    /// EMSGSIZE when a datagram of that size does not fit `mtu`; EINVAL for more than [`UDP_MAX_SEGMENTS`], or on a socket
    /// with SO_NO_CHECK.
    pub(super) fn udp_gso_size(&self, fd: Fd, len: usize, mtu: usize) -> Result<u16, Errno> {
        let options = &self.sockets.get(fd)?.options;
        let size = usize::from(options.gso_size);
        if size == 0 {
            return Ok(0);
        }
        if IP_BYTES + HEADER_BYTES + len.min(size) > mtu {
            return Err(Errno::EMSGSIZE);
        }
        if len > size * UDP_MAX_SEGMENTS || options.no_check {
            return Err(Errno::EINVAL);
        }
        Ok(if len > size { options.gso_size } else { 0 })
    }

    /// The packet of a send that is to be cut into datagrams of `gso_size` bytes: header and, in pages, payload; its
    /// checksum is left to whoever cuts it.
    ///
    /// # Errors
    /// ENOBUFS when memory is out.
    pub(super) fn udp_make_large(
        &mut self,
        flow: &Flow,
        header: &[u8],
        payload: &[u8],
        gso_size: u16,
    ) -> Result<Skb, Errno> {
        let skb = self.ip_append_paged(flow, header, payload)?;
        self.push_ip_header(&skb, flow);
        let meta = &mut self.skbs[&skb];
        meta.gso_size = gso_size;
        meta.gso_segs = payload.len().div_ceil(usize::from(gso_size)) as u16;
        meta.gso_type = GsoType::UDP_L4;
        Ok(skb)
    }

    /// `udp_queue_rcv_skb`: a datagram to its socket; a large packet, which only `lo` brings, as its datagrams.
    pub(super) fn udp_queue_rcv_skb(&mut self, slot: u32, skb: Skb) {
        if !self.dev.xps.rxqs.is_empty() && self.sockets.at(slot).is_some_and(|socket| socket.peer.is_some())
        {
            self.sk_rx_queue_update(slot, &skb);
        }
        if self.skbs[&skb].gso_size == 0 {
            return self.enqueue_datagram(slot, skb);
        }
        let meta = &self.skbs[&skb];
        let back = usize::from(meta.data_offset() - meta.network_header);
        self.skbs.push(&skb, back);
        let mut segments = match self.skb_gso_segment(skb, Features::SG.with(Features::HW_CSUM)) {
            Ok(segments) => segments,
            Err(skb) => return self.udp_bad(skb, crate::drop_reason::DropReason::SkbGsoSeg),
        };
        while let Some(segment) = segments.pop_front(&mut self.skbs) {
            self.skbs.pull(&segment, back);
            self.skbs[&segment].ip_summed = IpSummed::Unnecessary;
            self.enqueue_datagram(slot, segment);
        }
    }
}
