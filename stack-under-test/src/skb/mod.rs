//! The packet buffer, `sk_buff`: where a packet's bytes lie, and what the layers know of it.
//!
//! An [`Skb`] is a handle: it cannot be copied, so a packet is in one place at a time, and one that is lost shows as in
//! flight for ever. The bytes lie in DMA memory, in buffers that are counted: a fragment, a clone or a retransmission
//! refers to them and copies nothing. The handle's description is reached through the [`SkbPool`].

mod buffers;
mod bytes;
mod charge;
mod coherent;
pub(crate) mod datagram;
mod pieces;
pub mod pool;
pub mod queue;
mod segment;

#[cfg(test)]
mod tests;

pub use pool::{PoolConfig, SkbPool};
pub use queue::SkbQueue;

use crate::time::Instant;
use crate::trace::PacketId;
use core::net::Ipv4Addr;

/// The size of a buffer for linear data (headers, and what fits beside them) and for received frames.
pub const HEAD_BYTES: usize = 2048;
/// The size of a buffer for the rest of a large packet.
pub const PAGE_BYTES: usize = 4096;
/// How many pieces of page buffers a packet may have beside its linear part: Linux's `MAX_SKB_FRAGS` with 4 KiB pages.
pub const MAX_SKB_FRAGS: usize = 17;
/// Room before the data of a packet that is being built: Ethernet, IPv4 with options, UDP or TCP with options.
pub const MAX_HEADER: usize = 160;

/// A packet. It must be handed on, consumed or dropped; one that goes out of scope stays in flight for ever.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a packet must be handed on, consumed or dropped"]
pub struct Skb(pub(crate) u32);

impl Skb {
    /// The slot that the packet occupies: a name to log, not a way to reach it.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.0
    }

    /// The slot, for one who keeps that instead of the handle.
    #[inline]
    pub(crate) fn into_slot(self) -> u32 {
        self.0
    }
}

/// A buffer in DMA memory, counted by reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufId(pub(crate) u32);

/// A piece of a buffer: `skb_frag_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frag {
    /// The buffer.
    pub buf: BufId,
    /// Where the piece begins in it, in bytes.
    pub offset: u16,
    /// How long it is, in bytes.
    pub len: u16,
}

impl Frag {
    pub(crate) const EMPTY: Self = Self { buf: BufId(0), offset: 0, len: 0 };
}

/// Who vouches for the checksum of layer 4: `skb->ip_summed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpSummed {
    /// Nobody: on the way in it must be verified, on the way out it is there.
    #[default]
    None,
    /// The device verified it.
    Unnecessary,
    /// On the way out: the field holds the sum of the pseudo-header, the rest is to be added from `csum_start` on.
    Partial,
}

/// What a large packet is to be cut into: `skb_shinfo(skb)->gso_type`, SKB_GSO_….
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GsoType(u8);

impl GsoType {
    /// Nothing: `gso_size` is 0.
    pub const NONE: Self = Self(0);
    /// SKB_GSO_TCPV4: segments of TCP over IPv4.
    pub const TCPV4: Self = Self(1);
    /// SKB_GSO_TCP_ECN: CWR is set, and belongs to the first segment alone.
    pub const TCP_ECN: Self = Self(2);
    /// SKB_GSO_UDP_L4: datagrams, each with its UDP header.
    pub const UDP_L4: Self = Self(4);

    /// Whether it says all that `other` says.
    #[inline]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// For whom a received frame is: `skb->pkt_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PacketType {
    /// This host.
    #[default]
    Host,
    /// Everybody.
    Broadcast,
    /// A group.
    Multicast,
    /// Another host.
    OtherHost,
}

/// The way out that routing chose: the part of `dst_entry` that later layers need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dst {
    /// The neighbour that the packet goes to: the gateway, or the destination itself.
    pub nexthop: Ipv4Addr,
    /// The largest IP packet that may leave this way, in bytes.
    pub mtu: u32,
    /// Broadcast and multicast have no neighbour.
    pub kind: crate::route::RouteKind,
    /// The device.
    pub oif: crate::route::OifId,
}

/// Against which of its socket's accounts a packet is charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charge {
    /// None.
    #[default]
    None,
    /// `sk_wmem_alloc`: memory on the way out.
    Wmem,
    /// `sk_rmem_alloc`: memory in the receive queue.
    Rmem,
    /// None, but a segment on its way out of several queues is counted: its connection keeps to its queue meanwhile.
    Segment,
    /// None: the packet is of the request of a connection, and its `sk` is the receive queue of the request's SYN.
    Request,
}

/// What the layers know of a packet. Offsets of headers count from the start of the linear buffer.
#[derive(Clone, Debug)]
pub struct SkBuff {
    pub(crate) head: BufId,
    /// Where the linear buffer begins in the DMA region.
    pub(crate) head_at: usize,
    pub(crate) data: u16,
    pub(crate) tail: u16,
    pub(crate) nr_frags: u8,
    pub(crate) len: u32,
    pub(crate) next: u32,
    pub(crate) frag_list: u32,
    /// Where the Ethernet header begins.
    pub mac_header: u16,
    /// Where the IP or ARP header begins.
    pub network_header: u16,
    /// Where the UDP, TCP or ICMP header begins.
    pub transport_header: u16,
    /// The ethertype.
    pub protocol: u16,
    /// `skb->priority`, from the socket's TOS or SO_PRIORITY; chooses the band of a qdisc.
    pub priority: u32,
    /// `skb->mark`.
    pub mark: u32,
    /// Who vouches for the checksum of layer 4.
    pub ip_summed: IpSummed,
    /// Where the checksum begins that the device adds up (offset from the start of the linear buffer).
    pub csum_start: u16,
    /// Where the result goes, in bytes from `csum_start`.
    pub csum_offset: u16,
    /// For whom a received frame is.
    pub pkt_type: PacketType,
    /// Its VLAN tag, where that is not in the frame: priority 15:13, DEI 12, VLAN 11:0.
    pub vlan_tci: Option<u16>,
    /// The device that it came in on.
    pub iif: crate::route::OifId,
    /// The socket that is charged; see `charge`.
    pub sk: u32,
    /// Against which account of it.
    pub charge: Charge,
    /// What it is charged with, in bytes: Linux's arithmetic (buffer rounded to its slab, plus the descriptions).
    pub truesize: u32,
    /// The transmit queue.
    pub queue_mapping: u16,
    /// May be fragmented though DF is set: the sender asked for less than PMTU discovery.
    pub ignore_df: bool,
    /// The payload of one segment when the packet is to be cut, or 0.
    pub gso_size: u16,
    /// Into how many segments, or 0.
    pub gso_segs: u16,
    /// What it is to be cut into.
    pub gso_type: GsoType,
    /// The largest fragment of which the datagram was put together again, or 0.
    pub frag_max_size: u16,
    /// When it was made, or received.
    pub tstamp: Instant,
    /// The way out, once routed.
    pub dst: Option<Dst>,
    /// Its name in the trace.
    pub packet: PacketId,
}

impl SkBuff {
    /// All bytes: linear, pieces, and the list of fragments.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are no bytes.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes in the linear part.
    #[inline]
    #[must_use]
    pub fn headlen(&self) -> usize {
        usize::from(self.tail - self.data)
    }

    /// Where the data begins, from the start of the linear buffer.
    #[inline]
    #[must_use]
    pub fn data_offset(&self) -> u16 {
        self.data
    }

    /// Pieces of page buffers.
    #[inline]
    #[must_use]
    pub fn nr_frags(&self) -> usize {
        usize::from(self.nr_frags)
    }
}
