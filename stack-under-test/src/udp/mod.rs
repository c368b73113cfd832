//! UDP (RFC 768): `udp_sendmsg`, `udp_rcv` and `udp_err`, with the behaviour of Linux 6.12.

pub(crate) mod cached;
pub(crate) mod cork;
pub mod error;
pub mod gso;
pub mod input;
pub mod output;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 8;
