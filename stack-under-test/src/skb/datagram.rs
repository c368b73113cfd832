//! A packet that is made in one go: its headers, or headers and payload, in one linear buffer, everything known from the
//! start.

use super::pool::NONE;
use super::{BufId, Charge, Dst, HEAD_BYTES, IpSummed, MAX_HEADER, PacketType, SkBuff, Skb, SkbPool};
use crate::time::Instant;
use crate::trace::PacketId;
use crate::wire::ipv4::HEADER_BYTES as IP_BYTES;

/// The bytes of an IPv4 header without options and a UDP header.
pub(crate) const HEADERS: usize = 28;
/// The UDP header begins where that of a packet built piece by piece does.
const NETWORK_HEADER: usize = TRANSPORT_HEADER - IP_BYTES;
const TRANSPORT_HEADER: usize = MAX_HEADER;
/// The most bytes, headers included, that go into one linear buffer.
pub(crate) const DATAGRAM_ROOM: usize = HEAD_BYTES - NETWORK_HEADER;
/// What Linux reserves before the IP header for the link's: 14 bytes rounded up, plus alignment (`hh_len + 15`).
pub(crate) const LINK_RESERVE: u32 = 16 + 15;
/// Where the checksum stands in the UDP header.
const CHECKSUM_OFFSET: u16 = 6;

/// What the layers know of a datagram before it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The way out, if it is to be noted.
    pub(crate) dst: Option<Dst>,
    /// `skb->mark`.
    pub(crate) mark: u32,
    /// `skb->priority`.
    pub(crate) priority: u32,
    /// May be fragmented though DF is set.
    pub(crate) ignore_df: bool,
    /// The socket that it is of (or [`NONE`]); a datagram's is charged by the caller, and with how much.
    pub(crate) sk: u32,
    pub(crate) truesize: u32,
    /// When it was made.
    pub(crate) tstamp: Instant,
    /// Its name in the trace.
    pub(crate) packet: PacketId,
}

impl SkbPool {
    /// A datagram of `headers` and a copy of `payload`, at most [`DATAGRAM_ROOM`] together, its checksum left to the device;
    /// gives the headers to be completed. `None` when memory is out.
    #[inline(always)]
    pub(crate) fn alloc_datagram(
        &mut self,
        headers: &[u8; HEADERS],
        payload: &[u8],
        origin: &Origin,
    ) -> Option<(Skb, &mut [u8; HEADERS])> {
        let len = HEADERS + payload.len();
        debug_assert!(len <= DATAGRAM_ROOM, "the caller asks for no more");
        let slot = self.take_whole()?;
        let meta = &mut self.meta[slot as usize];
        let (head, head_at) = (meta.head, meta.head_at);
        *meta = SkBuff {
            head,
            head_at,
            data: NETWORK_HEADER as u16,
            tail: (NETWORK_HEADER + len) as u16,
            len: len as u32,
            network_header: NETWORK_HEADER as u16,
            transport_header: TRANSPORT_HEADER as u16,
            protocol: crate::wire::ethernet::ETH_P_IP,
            priority: origin.priority,
            mark: origin.mark,
            ip_summed: IpSummed::Partial,
            csum_start: TRANSPORT_HEADER as u16,
            csum_offset: CHECKSUM_OFFSET,
            sk: origin.sk,
            charge: Charge::Wmem,
            truesize: origin.truesize,
            ignore_df: origin.ignore_df,
            tstamp: origin.tstamp,
            dst: origin.dst,
            packet: origin.packet,
            ..SkBuff::EMPTY
        };
        self.copied_bytes += payload.len() as u64;
        let at = head_at + NETWORK_HEADER;
        let (out, rest) = self.mem.bytes_mut(at, len).split_first_chunk_mut::<HEADERS>()?;
        *out = *headers;
        rest.copy_from_slice(payload);
        Some((Skb(slot), out))
    }

    /// A packet of an IPv4 header without options and a transport header, `len` bytes together, its checksum left to the
    /// device; gives the bytes to be written. `None` when memory is out.
    #[inline(always)]
    pub(crate) fn alloc_headers(
        &mut self,
        len: usize,
        csum_offset: u16,
        origin: &Origin,
    ) -> Option<(Skb, &mut [u8])> {
        debug_assert!(
            len <= MAX_HEADER - crate::wire::ethernet::HEADER_BYTES,
            "as much room is left before them"
        );
        let slot = self.take_whole()?;
        let meta = &mut self.meta[slot as usize];
        let (head, head_at) = (meta.head, meta.head_at);
        let data = (MAX_HEADER - len) as u16;
        *meta = SkBuff {
            head,
            head_at,
            data,
            tail: MAX_HEADER as u16,
            len: len as u32,
            network_header: data,
            transport_header: data + IP_BYTES as u16,
            protocol: crate::wire::ethernet::ETH_P_IP,
            priority: origin.priority,
            mark: origin.mark,
            ip_summed: IpSummed::Partial,
            csum_start: data + IP_BYTES as u16,
            csum_offset,
            sk: origin.sk,
            charge: Charge::None,
            truesize: origin.truesize,
            ignore_df: origin.ignore_df,
            tstamp: origin.tstamp,
            dst: origin.dst,
            packet: origin.packet,
            ..SkBuff::EMPTY
        };
        Some((Skb(slot), self.mem.bytes_mut(head_at + usize::from(data), len)))
    }
}

impl SkBuff {
    /// A description of nothing.
    pub(super) const EMPTY: Self = Self {
        head: BufId(0),
        head_at: 0,
        data: 0,
        tail: 0,
        nr_frags: 0,
        len: 0,
        next: NONE,
        frag_list: NONE,
        mac_header: 0,
        network_header: 0,
        transport_header: 0,
        protocol: 0,
        priority: 0,
        mark: 0,
        ip_summed: IpSummed::None,
        csum_start: 0,
        csum_offset: 0,
        pkt_type: PacketType::Host,
        vlan_tci: None,
        iif: crate::route::OifId::ETH0,
        sk: NONE,
        charge: Charge::None,
        truesize: 0,
        queue_mapping: 0,
        ignore_df: false,
        gso_size: 0,
        gso_segs: 0,
        gso_type: super::GsoType::NONE,
        frag_max_size: 0,
        tstamp: Instant::ZERO,
        dst: None,
        packet: 0,
    };
}
