//! The bytes of headers: read, checked and written here, and nowhere else. No state, no memory of its own.
//!
//! Reading: each `parse` takes bytes from the wire, which may be anything, and gives an owned description of the header or
//! `Err(DropReason)`; none of them panics. Writing: each `write` takes a buffer that the caller made, and panics if it is
//! shorter than the header it is to hold (each says so); a length that comes from the wire must never reach one unchecked.

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod icmpv4;
pub mod ipv4;
pub mod tcp;
pub mod udp;

pub use ethernet::Mac;

/// The big-endian number in two bytes; the caller has checked that they are there.
#[inline]
fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The IPv4 address in four bytes; the caller has checked that they are there.
#[inline]
fn ip(bytes: &[u8], at: usize) -> core::net::Ipv4Addr {
    core::net::Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

/// The big-endian number in four bytes; the caller has checked that they are there.
#[inline]
fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
