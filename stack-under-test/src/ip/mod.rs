//! IPv4: building packets, the way out with fragmentation, the way in with reassembly, and ICMP.

pub mod append;
pub mod deliver;
pub(crate) mod early;
pub mod fragment;
pub mod icmp;
pub mod ident;
pub mod input;
pub mod options;
pub mod output;
pub mod pmtu;
pub mod rate_limit;
pub mod reassembly;

use core::net::Ipv4Addr;

/// What a packet's headers are to say, and where it goes: `struct flowi4` with the answer of routing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    pub(crate) saddr: Ipv4Addr,
    pub(crate) daddr: Ipv4Addr,
    pub(crate) protocol: u8,
    pub(crate) tos: u8,
    pub(crate) ttl: u8,
    pub(crate) df: bool,
    pub(crate) ignore_df: bool,
    pub(crate) id: u16,
    pub(crate) mark: u32,
    pub(crate) priority: u32,
    pub(crate) dst: crate::skb::Dst,
    /// The socket that is charged; `u32::MAX`: none.
    pub(crate) sk: u32,
}

/// Why a packet did not leave: what `ip_send_skb` gives its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendError {
    /// An error that the sender is told.
    Errno(crate::errno::Errno),
    /// The qdisc or device dropped it: NET_XMIT_DROP, which becomes ENOBUFS for those who asked for errors.
    Congested,
}
